echo stepped > /srv/stepped
