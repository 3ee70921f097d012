#!/bin/bash
# A shell with its own numbers and its own files, whose /proc shows its few processes only.
if [ ! -e /proc/self/stat ]; then
    echo "The machine's own /proc is covered by another namespace's. Run “umount /proc” in terminal 1, and use --mount-proc."
    exit 1
fi
numbers=$(readlink /proc/1/ns/pid)
files=$(readlink /proc/1/ns/mnt)
best=""
for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    [ "$(cat "$dir/comm")" = bash ] || continue
    [ "$(readlink "$dir/ns/pid")" != "$numbers" ] && [ "$(readlink "$dir/ns/mnt")" != "$files" ] || continue
    # The pattern must be expanded in there, so by a shell in there.
    best=$(nsenter -t "$pid" -m -p sh -c 'ls -d /proc/[0-9]* | wc -l')
    if [ "${best:-99}" -lt 10 ]; then
        echo "The shell with number $pid out here has files of its own, and sees $best processes in its /proc."
        exit 0
    fi
done 2> /dev/null
if [ -n "$best" ]; then
    echo "Found a shell with numbers and files of its own, but its /proc shows $best processes: it is still the old one."
else
    echo "Looked for a shell with its own pid and mnt namespace, and found none."
fi
exit 1
