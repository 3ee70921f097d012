#!/bin/sh
# adduser [-h HOME] [-g NAME] [-s SHELL] [-G GROUP] [-u UID] [-S] [-D] [-H] USER: what Dockerfiles use of it.
# Nobody gets a password: root needs none to become somebody else.
usage() { echo "usage: adduser [-h HOME] [-g NAME] [-s SHELL] [-G GROUP] [-u UID] [-S] [-D] [-H] USER" >&2; exit 1; }

home= full= shell=/bin/sh group= uid= system= make_home=yes
while getopts h:g:s:G:u:SDH option; do
    case $option in
        h) home=$OPTARG ;;
        g) full=$OPTARG ;;
        s) shell=$OPTARG ;;
        G) group=$OPTARG ;;
        u) uid=$OPTARG ;;
        S) system=yes ;;
        D) ;;
        H) make_home= ;;
        *) usage ;;
    esac
done
shift $((OPTIND - 1))
[ $# = 1 ] || usage
user=$1
grep -q "^$user:" /etc/passwd && { echo "adduser: the user $user is there already" >&2; exit 1; }

if [ -z "$uid" ]; then
    uid=1000
    [ -z "$system" ] || uid=101
    while cut -d: -f3 /etc/passwd | grep -qx "$uid"; do uid=$((uid + 1)); done
fi
if [ -n "$group" ]; then
    grep -q "^$group:" /etc/group || { echo "adduser: there is no group $group" >&2; exit 1; }
elif [ -n "$system" ]; then
    group=nogroup
else
    group=$user
    grep -q "^$group:" /etc/group || echo "$group:x:$uid:" >> /etc/group
fi
gid=$(grep "^$group:" /etc/group | cut -d: -f3)
home=${home:-/home/$user}
echo "$user:x:$uid:$gid:$full:$home:$shell" >> /etc/passwd
echo "$user:!:::::::" >> /etc/shadow
if [ -n "$make_home" ] && [ ! -e "$home" ]; then
    mkdir -p "$home" && chown "$uid:$gid" "$home"
fi
