#!/bin/bash
mkdir -p /root/answers
pkill -KILL -x tini
pkill -KILL -xf 'sleep 6000'
setsid unshare --pid --fork --mount-proc --kill-child \
    bash --norc -c 'unshare --pid --fork --mount-proc --kill-child sleep 6000; true' < /dev/null > /dev/null 2>&1 &
sleep 1
grep NSpid "/proc/$(pgrep -xf 'sleep 6000' | tail -n 1)/status" > /root/answers/numbers
