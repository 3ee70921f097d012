#!/bin/sh
# Runs what an image or a volume put into /docker-entrypoint.d, in the order of names, then the server in our place, so
# that signals reach it.
set -e
if [ "$1" = nginx ]; then
    for script in /docker-entrypoint.d/*; do
        case $script in
            *.envsh) [ ! -x "$script" ] || . "$script" ;;
            *.sh) [ ! -x "$script" ] || "$script" ;;
        esac
    done
fi
exec "$@"
