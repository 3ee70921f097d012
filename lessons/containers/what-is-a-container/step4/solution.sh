#!/bin/bash
pkill -KILL -xf 'shareserver 3000'
setsid unshare --user --map-root-user --pid --fork --mount-proc --mount --uts --ipc --cgroup --time --kill-child \
    bash -c 'hostname box2; exec -a shareserver sleep 3000' < /dev/null > /dev/null 2>&1 &

# Wait until it has taken its name.
for _ in $(seq 50); do
    pgrep -xf 'shareserver 3000' > /dev/null && break
    sleep 0.1
done
