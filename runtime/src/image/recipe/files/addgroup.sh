#!/bin/sh
# addgroup [-g GID] [-S] GROUP, and addgroup USER GROUP: what Dockerfiles use of it.
gid= system=
while getopts g:S option; do
    case $option in
        g) gid=$OPTARG ;;
        S) system=yes ;;
        *) echo "usage: addgroup [-g GID] [-S] GROUP | addgroup USER GROUP" >&2; exit 1 ;;
    esac
done
shift $((OPTIND - 1))

if [ $# = 2 ]; then
    grep -q "^$2:" /etc/group || { echo "addgroup: there is no group $2" >&2; exit 1; }
    # A comma only where somebody is in it already.
    sed -i -e "/^$2:/ s/\$/,$1/" -e "/^$2:/ s/:,/:/" /etc/group
    exit
fi
[ $# = 1 ] || { echo "usage: addgroup [-g GID] [-S] GROUP | addgroup USER GROUP" >&2; exit 1; }
grep -q "^$1:" /etc/group && { echo "addgroup: the group $1 is there already" >&2; exit 1; }
if [ -z "$gid" ]; then
    gid=1000
    [ -z "$system" ] || gid=101
    while cut -d: -f3 /etc/group | grep -qx "$gid"; do gid=$((gid + 1)); done
fi
echo "$1:x:$gid:" >> /etc/group
