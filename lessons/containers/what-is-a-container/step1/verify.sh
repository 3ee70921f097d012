#!/bin/bash
# A process whose command line is exactly `sleep 1000`.
pid=$(pgrep -xf 'sleep 1000' | head -n 1)
if [ -z "$pid" ]; then
    echo "Looked for a running process with the command line “sleep 1000”, and found none."
    exit 1
fi
echo "sleep 1000 runs as process $pid, with $(ls "/proc/$pid/ns" | grep -vc _for_children) namespaces, like every other process."
