# Whether cron runs is asked before the table is looked at: the table alone would be a file.
systemctl is-active --quiet cron && pgrep -x cron > /dev/null && crontab -l | grep -q /root/ticks && exit
echo "Looked for a running cron with a table, and found: $(systemctl is-active cron), $(crontab -l 2>&1)"
exit 1
