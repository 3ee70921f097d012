grep -q "lantern: the lamp is lit" /var/log/syslog && exit
echo "Looked for lantern in /var/log/syslog and found it not."
exit 1
