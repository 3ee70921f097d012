cmp -s /root/hold/list /root/copy/list && unzip -tq /root/hold.zip > /dev/null && tar tJf /root/hold.tar.xz > /dev/null && [ "$(ps -o ni= -p "$(pgrep -f "sleep 3000")" | tr -d " ")" = 10 ] && exit
ls /root
exit 1
