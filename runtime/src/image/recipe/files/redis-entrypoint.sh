#!/bin/sh
# What begins with - or ends in .conf is for the server. It may be reached from outside the container, where nothing but
# published ports lets anybody in, and so is not protected by refusing everybody else. It gives up being root.
set -e
case $1 in
    -* | *.conf) set -- redis-server "$@" ;;
esac
if [ "$1" = redis-server ]; then
    case " $* " in
        *" --protected-mode "* | *.conf*) ;;
        *) set -- "$@" --protected-mode no ;;
    esac
    if [ "$(id -u)" = 0 ]; then
        chown redis:redis . 2>/dev/null || true
        exec setpriv --reuid=redis --regid=redis --clear-groups "$@"
    fi
fi
exec "$@"
