#!/bin/bash
if [ ! -e /root/made ]; then
    echo "Looked for /root/made."
    echo "There is no such file."
    exit 1
fi
echo "It is there."
