#!/bin/sh
# journalctl(1) of this machine. There is no systemd, and so no journal: this shows what systemctl kept of each service's
# output, and what programs told syslogd, in the same words as far as they go.

usage() {
    echo "usage: journalctl [-u UNIT]… [-p PRIORITY] [-n LINES] [-g PATTERN] [-r] [-f]" >&2
    echo "There is no systemd here; this reads /var/log/journal/UNIT.log and /var/log/syslog." >&2
    exit "$1"
}

units= priority= lines= pattern= reverse= follow= ignored=
while [ $# -gt 0 ]; do
    case $1 in
        --*=*) option=${1%%=*} value=${1#*=}; shift; set -- "$option" "$value" "$@" ;;
    esac
    case $1 in
        -u | --unit) units="$units $2"; shift ;;
        -u?*) units="$units ${1#-u}" ;;
        -p | --priority) priority=$2; shift ;;
        -n | --lines)
            case ${2:-} in '' | *[!0-9]*) lines=10 ;; *) lines=$2; shift ;; esac ;;
        -n[0-9]*) lines=${1#-n} ;;
        -g | --grep) pattern=$2; shift ;;
        -r | --reverse) reverse=yes ;;
        -f | --follow) follow=yes ;;
        -t | --identifier | -S | --since | -U | --until | -o | --output) ignored="$ignored $1"; shift ;;
        # One boot, one system, no pager: these say what is the case anyway.
        -b | --boot | -e | -x | -xe | -ex | --pager-end | --catalog | -q | --quiet | -a | --all | --system | --no-pager \
            | --no-hostname | --no-full | -l | --full | -m | --merge) ;;
        0) ;;
        -h | --help) usage 0 ;;
        *) echo "journalctl: $1 is not known here" >&2; usage 1 ;;
    esac
    shift
done
[ -z "$ignored" ] || echo "journalctl:$ignored is not known here and changes nothing" >&2

if [ -n "$units" ]; then
    files=
    for unit in $units; do
        case $unit in *.*) ;; *) unit=$unit.service ;; esac
        files="$files /var/log/journal/$unit.log"
    done
else
    files=/var/log/syslog
fi
for file in $files; do
    [ -e "$file" ] || { [ -n "$follow" ] && mkdir -p "${file%/*}" && : >> "$file"; }
done

# syslogd writes `Nov  1 12:00:00 host facility.level program: text`; a service's own output has no level.
levels() {
    case $priority in
        '') echo . ;;
        0 | emerg) echo '\.emerg ' ;;
        1 | alert) echo '\.(emerg|alert) ' ;;
        2 | crit) echo '\.(emerg|alert|crit) ' ;;
        3 | err | error) echo '\.(emerg|alert|crit|err) ' ;;
        4 | warning | warn) echo '\.(emerg|alert|crit|err|warn) ' ;;
        5 | notice) echo '\.(emerg|alert|crit|err|warn|notice) ' ;;
        6 | info) echo '\.(emerg|alert|crit|err|warn|notice|info) ' ;;
        *) echo . ;;
    esac
}

if [ -n "$follow" ]; then
    exec tail -n "${lines:-10}" -F $files 2>/dev/null
fi
shown=$(cat $files 2>/dev/null | grep -E -e "$(levels)" | grep -E -e "${pattern:-^}" | tail -n "${lines:-+1}")
if [ -z "$shown" ]; then
    echo "-- No entries --"
elif [ -n "$reverse" ]; then
    printf '%s\n' "$shown" | tac
else
    printf '%s\n' "$shown"
fi
