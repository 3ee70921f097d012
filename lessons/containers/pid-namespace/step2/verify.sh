#!/bin/bash
# A shell that is number 1 of a pid namespace, and has the files (so the /proc) of everybody else.
files=$(readlink /proc/1/ns/mnt)
for dir in /proc/[0-9]*; do
    [ "$(cat "$dir/comm")" = bash ] || continue
    set -- $(grep '^NSpid' "$dir/status")
    if [ $# -gt 2 ] && [ "${!#}" = 1 ] && [ "$(readlink "$dir/ns/mnt")" = "$files" ]; then
        echo "Process ${dir#/proc/} is a shell that is number 1 in its own namespace, and still sees everybody's /proc."
        exit 0
    fi
done 2> /dev/null
echo "Looked for a bash that is number 1 of its own pid namespace and shares its files with the machine, and found none."
exit 1
