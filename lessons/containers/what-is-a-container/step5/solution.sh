#!/bin/bash
pkill -KILL -xf 'appserver 2000'
pkill -KILL -xf 'shareserver 3000'

# A process that was killed takes a moment to be gone.
for _ in $(seq 50); do
    pgrep -xf 'appserver 2000|shareserver 3000' > /dev/null || break
    sleep 0.1
done
