[ -f /tmp/plank ] && echo done
