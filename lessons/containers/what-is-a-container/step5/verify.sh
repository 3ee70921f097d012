#!/bin/bash
# No process is left in another pid namespace than process 1's.
ours=$(readlink /proc/1/ns/pid)
for dir in /proc/[0-9]*; do
    theirs=$(readlink "$dir/ns/pid") || continue
    if [ "$theirs" != "$ours" ]; then
        echo "Looked for processes in another pid namespace, and found ${dir#/proc/}: $(tr '\0' ' ' < "$dir/cmdline")"
        exit 1
    fi
done 2> /dev/null
echo "No process is left in any pid namespace but this machine's. The containers are gone, and their namespaces with them."
