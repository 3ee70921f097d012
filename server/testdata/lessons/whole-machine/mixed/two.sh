grep -q /mnt /etc/fstab
