groupadd crew && useradd -m -s /bin/bash -G crew mate
echo "mate ALL=(ALL) NOPASSWD:ALL" > /etc/sudoers.d/mate && chmod 440 /etc/sudoers.d/mate
echo chart > /root/chart && setfacl -m u:mate:r /root/chart
