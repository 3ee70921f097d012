#!/bin/bash
apt-get update && apt-get install -y jq figlet
cat <<EOF > x
systemctl start nothing
EOF
