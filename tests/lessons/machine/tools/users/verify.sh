visudo -cq && [ "$(sudo -u mate sudo -n id -u)" = 0 ] && getfacl -c /root/chart 2>/dev/null | grep -q "^user:mate:r" && exit
echo "mate is: $(id mate 2>&1)"
exit 1
