echo [[HOST_IP]] > /tmp/ip
if [[ -f /tmp/ip ]]; then echo yes; fi
