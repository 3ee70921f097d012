printf '#!/bin/bash\necho burning\nexec sleep infinity\n' > /usr/local/bin/lantern
chmod +x /usr/local/bin/lantern
printf '[Service]\nExecStart=/usr/local/bin/lantern\n[Install]\nWantedBy=multi-user.target\n' > /etc/systemd/system/lantern.service
systemctl daemon-reload
systemctl start lantern
