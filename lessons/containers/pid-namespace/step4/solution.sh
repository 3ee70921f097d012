#!/bin/bash
mkdir -p /root/answers
pkill -KILL -xf 'sleep 3000'
setsid unshare --pid --fork --mount-proc --kill-child sleep 3000 < /dev/null > /dev/null 2>&1 &
sleep 0.5
grep SigCgt "/proc/$(pgrep -xf 'sleep 3000' | tail -n 1)/status" > /root/answers/heard
