systemctl stop lantern
systemctl enable --now lantern
systemctl set-default rescue.target
