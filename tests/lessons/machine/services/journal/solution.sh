logger -p user.err "out of oil"
journalctl -u lantern --no-pager > /root/lantern.txt
journalctl -p err -b --no-pager > /root/errors.txt
