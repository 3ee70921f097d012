docker pull x
