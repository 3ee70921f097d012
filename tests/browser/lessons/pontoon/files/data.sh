printf "hidden at [[HOST_IP]]\n" > /root/from-the-intro
printf "\0\1\2" > /opt/app/picture.bin
