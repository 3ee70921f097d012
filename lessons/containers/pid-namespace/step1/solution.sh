#!/bin/bash
# A shell that had one child in its new namespace, and now waits without having another:
# it reads from a pipe into which nobody writes.
pkill -KILL -f '^bash --norc -c /bin/true'
rm -f /run/nobody-writes
mkfifo /run/nobody-writes
setsid unshare --pid bash --norc -c '/bin/true; read -r line <> /run/nobody-writes' < /dev/null > /dev/null 2>&1 &
sleep 0.5
