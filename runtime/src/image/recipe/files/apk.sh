#!/bin/sh
# There is no apk here, and this says so.
cat >&2 <<'END'
apk: there are no Alpine packages here. This image is BusyBox, which stands in
for Alpine Linux where no registry can be reached. What to do:
  - many commands are there already: try `busybox --list`
  - leave the `apk` line out, if what it installs is not needed here
  - take the image `debian`, where `apt-get install` works from files and mirrors
  - with a network, get the real image: `quayside image pull alpine`
END
exit 1
