#!/bin/bash
# A zombie whose parent is number 1 of a pid namespace within this one.
ours=$(readlink /proc/1/ns/pid)
for dir in /proc/[0-9]*; do
    [ "$(awk '/^State/ {print $2}' "$dir/status")" = Z ] || continue
    parent=$(awk '/^PPid/ {print $2}' "$dir/status")
    set -- $(grep '^NSpid' "/proc/$parent/status")
    if [ "$(readlink "/proc/$parent/ns/pid")" != "$ours" ] && [ "${!#}" = 1 ]; then
        echo "Process ${dir#/proc/} is a zombie, and its parent $parent, number 1 in there, does not ask for it."
        exit 0
    fi
done 2> /dev/null
echo "Looked for a zombie whose parent is number 1 of a nested namespace, and found none."
exit 1
