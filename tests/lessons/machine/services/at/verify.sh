atq | grep -q root && pgrep -x atd > /dev/null && [ -s /var/log/lantern.log.1 ] && exit
echo "Jobs: $(atq). Logs: $(ls /var/log/lantern*)"
exit 1
