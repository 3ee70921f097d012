echo from-course-data > /tmp/data
