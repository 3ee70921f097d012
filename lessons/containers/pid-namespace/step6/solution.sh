#!/bin/bash
pkill -KILL -f '^bash -c trap'
pkill -KILL -xf 'sleep 4000'
setsid unshare --pid --fork --mount-proc --kill-child sleep 4000 < /dev/null > /dev/null 2>&1 &
sleep 0.5
inside=$(pgrep -xf 'sleep 4000' | tail -n 1)
nsenter -t "$inside" -p -m bash -c '(sleep 0.1 &)'
sleep 0.5
