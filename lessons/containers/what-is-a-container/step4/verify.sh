#!/bin/bash
# A process called `shareserver 3000` that shares the network with process 1, and nothing else.
pids=$(pgrep -xf 'shareserver 3000')
if [ -z "$pids" ]; then
    echo "Looked for a process with the command line “shareserver 3000”, and found none. It must still run while you press Check."
    exit 1
fi
for pid in $pids; do
    shared=""
    for kind in cgroup ipc mnt net pid time user uts; do
        [ "$(readlink "/proc/$pid/ns/$kind")" = "$(readlink "/proc/1/ns/$kind")" ] && shared="$shared $kind"
    done
    if [ "$shared" = " net" ]; then
        echo "Process $pid, shareserver, has seven namespaces of its own and shares the network."
        exit 0
    fi
done
echo "Found shareserver as process $pid. It should share net and nothing else, but it shares:${shared:- nothing at all}."
exit 1
