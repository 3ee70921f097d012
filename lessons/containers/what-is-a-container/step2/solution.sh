#!/bin/bash
pkill -KILL -xf 'appserver 2000'
setsid unshare --user --map-root-user --pid --fork --mount-proc --mount --uts --ipc --net --cgroup --time --kill-child \
    bash -c 'hostname box; exec -a appserver sleep 2000' < /dev/null > /dev/null 2>&1 &

# Wait until it has taken its name.
for _ in $(seq 50); do
    pgrep -xf 'appserver 2000' > /dev/null && break
    sleep 0.1
done
