mkdir -p /root/hold && seq 100 > /root/hold/list
cd /root && zip -qr hold.zip hold && tar cJf hold.tar.xz hold && rsync -a hold/ copy/
sleep 3000 > /dev/null 2>&1 &
renice -n 10 -p $!
