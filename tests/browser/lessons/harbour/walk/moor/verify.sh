#!/bin/bash
if [ -f /root/rope ]; then echo "Found /root/rope."; exit 0; fi
echo "Looked for the file /root/rope, and found none."
exit 1
