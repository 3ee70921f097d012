touch /root/rope
