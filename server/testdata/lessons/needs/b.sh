#!/bin/bash
apt-get update && apt-get install -y jq
cat <<EOF > x
systemctl start nothing
EOF
