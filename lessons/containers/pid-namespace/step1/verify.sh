#!/bin/bash
# A bash that is in this pid namespace while its children would be in another.
ours=$(readlink /proc/1/ns/pid)
for dir in /proc/[0-9]*; do
    [ "$(cat "$dir/comm")" = bash ] || continue
    children=$(readlink "$dir/ns/pid_for_children") || continue
    if [ "$(readlink "$dir/ns/pid")" = "$ours" ] && [ "$children" != "$ours" ]; then
        echo "Process ${dir#/proc/}, bash, is in $ours, and its children would be in $children."
        exit 0
    fi
done 2> /dev/null
echo "Looked for a bash whose ns/pid and ns/pid_for_children differ, and found none. Start it in terminal 2, run ls once, and leave it there."
exit 1
