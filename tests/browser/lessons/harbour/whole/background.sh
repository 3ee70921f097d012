pvcreate /dev/sdb
