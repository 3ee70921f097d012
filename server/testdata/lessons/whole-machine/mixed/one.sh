lsmod | grep dummy
