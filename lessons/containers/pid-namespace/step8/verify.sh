#!/bin/bash
# `sleep 6000` has three numbers, the last of them 1, and ~/answers/numbers holds them.
pid=$(pgrep -xf 'sleep 6000' | tail -n 1)
if [ -z "$pid" ]; then
    echo "Looked for “sleep 6000”, and found none. Start it two floors down, in terminal 2."
    exit 1
fi
set -- $(sed -n 's/^NSpid://p' "/proc/$pid/status")
if [ $# != 3 ] || [ "$3" != 1 ]; then
    echo "“sleep 6000” has the numbers $*. It should have three, and be number 1 for itself."
    exit 1
fi
answer=$(sed -n 's/^NSpid://p' /root/answers/numbers 2> /dev/null | xargs)
if [ "$answer" != "$*" ]; then
    echo "“sleep 6000” has the numbers $*; ~/answers/numbers says “${answer:-nothing}”."
    exit 1
fi
echo "One process, three floors, three numbers: $*."
