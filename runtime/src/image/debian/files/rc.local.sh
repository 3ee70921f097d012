#!/bin/sh
# What a small server runs from its start: a log and cron. Whoever starts this machine as a server runs this file; a
# second time changes nothing.

[ -e /run/syslogd.pid ] || busybox syslogd -O /var/log/syslog

[ -e /run/crond.pid ] && exit
# In the foreground, with a note of its number for `systemctl status cron`. The note is dated ahead, because systemctl
# drops those that are older than the folder of process 1 in /proc, whose time is that of the first look into it.
setsid cron -f < /dev/null > /dev/null 2>&1 &
echo "MainPID=$!" > /run/cron.service.status
touch -d '+10 years' /run/cron.service.status
