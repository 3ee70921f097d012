fallocate -l 32M /root/disk && printf "label: gpt\n,8M\n,\n" | sfdisk -q /root/disk
fallocate -l 32M /root/volume && mkfs.ext4 -q -F /root/volume
