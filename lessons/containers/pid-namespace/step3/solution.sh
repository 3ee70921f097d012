#!/bin/bash
pkill -KILL -xf 'bash --norc -c sleep 5003; true'
setsid unshare --pid --fork --mount-proc --kill-child bash --norc -c 'sleep 5003; true' < /dev/null > /dev/null 2>&1 &
sleep 0.5
