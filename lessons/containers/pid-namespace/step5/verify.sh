#!/bin/bash
# Number 1 of a pid namespace that catches TERM (bit 14, counted from 0) and waits for this step's `sleep 100000`.
# An interactive shell catches TERM too, so the sleep tells which one is meant.
seen=""
for dir in /proc/[0-9]*; do
    set -- $(grep '^NSpid' "$dir/status")
    [ $# -gt 2 ] && [ "${!#}" = 1 ] || continue
    mask=$(awk '/^SigCgt/ {print $2}' "$dir/status")
    seen="$seen ${dir#/proc/} ($mask)"
    if [ $(( 0x$mask >> 14 & 1 )) = 1 ] && pgrep -P "${dir#/proc/}" -xf 'sleep 100000' > /dev/null; then
        echo "Process ${dir#/proc/} is number 1 in there and listens to TERM: its mask is $mask."
        exit 0
    fi
done 2> /dev/null
echo "Looked for a number 1 that runs “sleep 100000” and whose SigCgt has the bit 4000 for TERM, and found:${seen:- no nested namespace at all}."
exit 1
