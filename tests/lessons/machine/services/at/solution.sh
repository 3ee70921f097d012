systemctl start atd
echo "touch /root/later" | at now + 1 hour
printf "/var/log/lantern.log {\n  rotate 2\n}\n" > /etc/logrotate.d/lantern
echo "oil" > /var/log/lantern.log
logrotate -f /etc/logrotate.d/lantern
