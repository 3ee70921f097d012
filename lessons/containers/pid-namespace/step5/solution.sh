#!/bin/bash
pkill -KILL -xf 'sleep 3000'
pkill -KILL -f '^bash -c trap'
setsid unshare --pid --fork --mount-proc --kill-child \
    bash -c 'trap "echo bye; exit" TERM; sleep 100000 & wait' < /dev/null > /dev/null 2>&1 &
sleep 0.5
