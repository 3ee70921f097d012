[ "$(blkid -o value -s TYPE /root/volume)" = ext4 ] && fdisk -l /root/disk | grep -q disk2 && exit
echo "Looked for ext4 in /root/volume and for two partitions in /root/disk."
exit 1
