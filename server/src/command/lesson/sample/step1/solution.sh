touch /root/harbour/boat
