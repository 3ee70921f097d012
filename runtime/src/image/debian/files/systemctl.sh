#!/bin/sh
# systemctl(1) of this machine. There is no systemd: /usr/bin/systemctl, of Debian's package `systemctl`, starts and stops
# services by itself. It calls a service that runs but is not enabled "unknown"; systemd does not, so this one verb is
# answered here.

quiet= verb= units=
for word; do
    case $word in
        -q | --quiet) quiet=yes ;;
        -*) ;;
        *) if [ -z "$verb" ]; then verb=$word; else units="$units $word"; fi ;;
    esac
done
if [ "$verb" != is-active ] || [ -z "$units" ]; then
    exec /usr/bin/systemctl "$@"
fi

code=3
for unit in $units; do
    state=$(/usr/bin/systemctl show -p ActiveState "$unit" 2>/dev/null)
    state=${state#ActiveState=}
    [ "$state" = active ] && code=0
    [ -n "$quiet" ] || echo "${state:-inactive}"
done
exit $code
