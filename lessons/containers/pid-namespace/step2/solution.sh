#!/bin/bash
pkill -KILL -xf 'bash --norc -c sleep 5002; true'
setsid unshare --pid --fork --kill-child bash --norc -c 'sleep 5002; true' < /dev/null > /dev/null 2>&1 &
sleep 0.5
