#!/bin/bash
# Ending a number 1 ends everybody in its namespace: the old `sleep` and its zombie, or an old `tini`.
pkill -KILL -xf 'sleep 4000'
pkill -KILL -xf 'tini -s -- sleep 4000'
sleep 0.5
setsid unshare --pid --fork --mount-proc --kill-child tini -s -- sleep 4000 < /dev/null > /dev/null 2>&1 &
sleep 0.5
inside=$(pgrep -xf 'sleep 4000' | tail -n 1)
nsenter -t "$inside" -p -m bash -c '(sleep 0.1 &)'
sleep 0.5
