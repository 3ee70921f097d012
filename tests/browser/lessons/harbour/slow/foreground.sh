while [ ! -f /srv/ready ]; do sleep 0.2; done; echo all-is-ready
