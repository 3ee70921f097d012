#!/bin/bash
# A process called `appserver 2000` that shares no namespace with process 1.
pids=$(pgrep -xf 'appserver 2000')
if [ -z "$pids" ]; then
    echo "Looked for a process with the command line “appserver 2000”, and found none. It must still run while you press Check."
    exit 1
fi
for pid in $pids; do
    shared=""
    for kind in cgroup ipc mnt net pid time user uts; do
        [ "$(readlink "/proc/$pid/ns/$kind")" = "$(readlink "/proc/1/ns/$kind")" ] && shared="$shared $kind"
    done
    if [ -z "$shared" ]; then
        echo "Process $pid, appserver, has eight namespaces of its own. That is a container."
        exit 0
    fi
done
echo "Found appserver as process $pid, but it still shares with the rest of the machine:$shared."
exit 1
