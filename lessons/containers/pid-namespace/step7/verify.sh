#!/bin/bash
# Number 1 of a nested pid namespace is tini, and no zombie is left in any of them.
ours=$(readlink /proc/1/ns/pid)
tini=""
others=""
for dir in /proc/[0-9]*; do
    pid=${dir#/proc/}
    set -- $(grep '^NSpid' "$dir/status")
    [ $# -gt 2 ] || continue
    if [ "$(awk '/^State/ {print $2}' "$dir/status")" = Z ]; then
        echo "Process $pid is a zombie in a nested namespace: its number 1 does not ask for it."
        exit 1
    fi
    [ "${!#}" = 1 ] || continue
    name=$(cat "$dir/comm")
    if [ "$name" = tini ]; then tini=$pid; else others="$others $name ($pid)"; fi
done 2> /dev/null
if [ -z "$tini" ]; then
    echo "Looked for tini as number 1 of a nested namespace, and found:${others:- no nested namespace at all}."
    exit 1
fi
echo "Process $tini, tini, is number 1 in there, and there are no zombies."
