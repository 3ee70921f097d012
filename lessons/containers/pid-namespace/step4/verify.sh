#!/bin/bash
# `sleep 3000` is number 1 of a pid namespace, and ~/answers/heard holds its mask of caught signals.
for pid in $(pgrep -xf 'sleep 3000'); do
    set -- $(grep '^NSpid' "/proc/$pid/status" 2> /dev/null)
    [ $# -gt 2 ] && [ "${!#}" = 1 ] && found=$pid
done
if [ -z "$found" ]; then
    echo "Looked for “sleep 3000” as number 1 of its own pid namespace, and found none. Start it in terminal 2."
    exit 1
fi
mask=$(awk '/^SigCgt/ {print $2}' "/proc/$found/status")
answer=$(grep -o '[0-9a-f]\{16\}' /root/answers/heard 2> /dev/null)
if [ "$answer" != "$mask" ]; then
    echo "Number 1 listens to the signals $mask; ~/answers/heard says “${answer:-nothing}”."
    exit 1
fi
echo "Process $found is number 1 in there, listens to $mask, and so is deaf to everything but a KILL from outside."
