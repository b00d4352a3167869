#!/bin/sh
# Has apt take packages as they were in Debian's archive at a time, such as 20261101T000000Z; without one, as they are now.
set -eu
time=${1:-}
[ -n "$time" ] || exit 0
case $time in
????????T??????Z) ;;
*)
    echo "'$time' is no time of snapshot.debian.org, such as 20261101T000000Z" >&2
    exit 2
    ;;
esac
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
rm -f /etc/apt/sources.list.d/debian.sources
# Lists of the past have expired, and are signed all the same. There are no certificates yet for https.
cat >/etc/apt/sources.list <<A
deb [check-valid-until=no] http://snapshot.debian.org/archive/debian/$time $release main
deb [check-valid-until=no] http://snapshot.debian.org/archive/debian/$time $release-updates main
deb [check-valid-until=no] http://snapshot.debian.org/archive/debian-security/$time $release-security main
A
