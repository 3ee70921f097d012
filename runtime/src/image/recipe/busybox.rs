//! A whole small system in one static file: BusyBox under all its names, and the few files that programs expect.
//!
//! It is not in the merged layout: `/bin` and `/usr/bin` are two folders, as in the images that it is compared with.

use crate::image::beneath::Name;
use crate::image::debian::{Act, FixUp, ROOT};
use crate::image::unpack::Place;

/// Of the package only the program and its licence.
pub fn place(package: &str, name: &Name) -> Place {
    let wanted = ["bin/busybox", "usr/share/doc/busybox-static/copyright"];
    match package == "busybox-static" && wanted.iter().any(|wanted| name.as_path() == std::path::Path::new(wanted)) {
        true => Place::At(name.clone()),
        false => Place::Nowhere,
    }
}

/// What `busybox --list-full` says, without Debian's and Red Hat's package tools, which would find no packages, and
/// without what only a starting machine needs.
const APPLETS: &str = "\
    usr/bin/[ usr/bin/[[ sbin/acpid sbin/adjtimex usr/bin/ar bin/arch sbin/arp usr/sbin/arping usr/bin/ascii \
    bin/ash usr/bin/awk bin/base64 usr/bin/basename usr/bin/bc usr/bin/blkdiscard sbin/blockdev usr/sbin/brctl \
    usr/bin/bunzip2 usr/bin/bzcat usr/bin/bzip2 usr/bin/cal bin/cat bin/chgrp bin/chmod bin/chown usr/sbin/chroot \
    usr/bin/chvt usr/bin/clear usr/bin/cmp bin/cp bin/cpio usr/bin/crc32 usr/sbin/crond usr/bin/crontab \
    usr/bin/cut bin/date usr/bin/dc bin/dd usr/bin/deallocvt sbin/depmod sbin/devmem bin/df usr/bin/diff \
    usr/bin/dirname bin/dmesg bin/dnsdomainname usr/bin/dos2unix usr/bin/du bin/dumpkmap usr/bin/dumpleases \
    bin/echo bin/ed bin/egrep usr/bin/env usr/bin/expand usr/bin/expr usr/bin/factor usr/bin/fallocate bin/false \
    bin/fatattr sbin/fdisk bin/fgrep usr/bin/find sbin/findfs usr/bin/fold usr/bin/free sbin/freeramdisk \
    usr/sbin/fsfreeze sbin/fstrim usr/bin/ftpget usr/bin/ftpput bin/getopt sbin/getty bin/grep usr/bin/groups \
    bin/gunzip bin/gzip sbin/halt usr/bin/head usr/bin/hexdump usr/bin/hostid bin/hostname usr/sbin/httpd \
    sbin/hwclock usr/sbin/i2cdetect usr/sbin/i2cdump usr/sbin/i2cget usr/sbin/i2cset usr/sbin/i2ctransfer \
    usr/bin/id sbin/ifconfig sbin/ifdown sbin/ifup sbin/init sbin/insmod bin/ionice sbin/ip bin/ipcalc \
    sbin/ipneigh bin/kill usr/bin/killall sbin/klogd usr/bin/last usr/bin/less bin/link bin/linux32 bin/linux64 \
    bin/ln usr/sbin/loadfont sbin/loadkmap usr/bin/logger bin/login usr/bin/logname sbin/logread sbin/losetup \
    bin/ls sbin/lsmod usr/bin/lsscsi usr/bin/lzcat usr/bin/lzma bin/lzop usr/bin/md5sum sbin/mdev \
    usr/bin/microcom bin/mkdir sbin/mkdosfs sbin/mke2fs usr/bin/mkfifo bin/mknod usr/bin/mkpasswd sbin/mkswap \
    bin/mktemp sbin/modinfo sbin/modprobe bin/more bin/mount bin/mt bin/mv sbin/nameif usr/bin/nc bin/netstat \
    usr/bin/nl usr/sbin/nologin usr/bin/nproc usr/bin/nsenter usr/bin/nslookup usr/bin/od usr/bin/openvt \
    usr/sbin/partprobe usr/bin/passwd usr/bin/paste usr/bin/patch bin/pidof bin/ping bin/ping6 sbin/pivot_root \
    sbin/poweroff usr/bin/printf bin/ps bin/pwd usr/sbin/rdate bin/readlink usr/bin/realpath sbin/reboot \
    usr/bin/renice usr/bin/reset bin/rev bin/rm bin/rmdir sbin/rmmod sbin/route bin/run-parts bin/sed usr/bin/seq \
    usr/bin/setkeycodes bin/setpriv usr/bin/setsid bin/sh usr/bin/sha1sum usr/bin/sha256sum usr/bin/sha3sum \
    usr/bin/sha512sum usr/bin/shred usr/bin/shuf bin/sleep usr/bin/sort usr/bin/ssl_client sbin/start-stop-daemon \
    bin/stat usr/bin/strings bin/stty bin/su sbin/sulogin usr/bin/svc usr/bin/svok sbin/swapoff sbin/swapon \
    sbin/switch_root bin/sync sbin/sysctl sbin/syslogd usr/bin/tac usr/bin/tail bin/tar usr/bin/taskset sbin/tc \
    usr/bin/tee usr/bin/telnet usr/sbin/telnetd usr/bin/test usr/bin/tftp usr/bin/time usr/bin/timeout \
    usr/bin/top bin/touch usr/bin/tr usr/bin/traceroute usr/bin/traceroute6 bin/true usr/bin/truncate usr/bin/ts \
    usr/bin/tty sbin/tunctl usr/sbin/ubirename sbin/udhcpc usr/sbin/udhcpd sbin/uevent bin/umount bin/uname \
    bin/uncompress usr/bin/unexpand usr/bin/uniq usr/bin/unix2dos usr/bin/unlink usr/bin/unlzma usr/bin/unshare \
    usr/bin/unxz usr/bin/unzip usr/bin/uptime bin/usleep usr/bin/uudecode usr/bin/uuencode sbin/vconfig bin/vi \
    usr/bin/w bin/watch sbin/watchdog usr/bin/wc usr/bin/wget usr/bin/which usr/bin/who usr/bin/whoami \
    usr/bin/xargs usr/bin/xxd usr/bin/xz usr/bin/xzcat usr/bin/yes bin/zcat";

const fn folder(path: &'static str, mode: u32) -> Act {
    Act::Directory { path, mode, gid: ROOT }
}

const fn text(path: &'static str, mode: u32, text: &'static str) -> Act {
    Act::File { path, mode, gid: ROOT, text }
}

pub const FIX_UPS: &[FixUp] = &[
    FixUp { reason: "one program under many names", acts: &[Act::Links { paths: APPLETS, to: "/bin/busybox" }] },
    FixUp {
        reason: "folders that programs write into, and where a container's own file systems are mounted",
        acts: &[
            folder("dev", 0o755),
            folder("home", 0o755),
            folder("proc", 0o755),
            folder("root", 0o700),
            folder("run", 0o755),
            folder("sys", 0o755),
            folder("tmp", 0o1777),
            folder("usr/local/bin", 0o755),
            folder("var/log", 0o755),
            folder("var/spool/mail", 0o755),
            folder("var/tmp", 0o1777),
            folder("var/www", 0o755),
        ],
    },
    FixUp {
        reason: "accounts, so that owners have names and `USER` in a Dockerfile finds them",
        acts: &[
            text(
                "etc/passwd",
                0o644,
                "root:x:0:0:root:/root:/bin/sh\ndaemon:x:1:1:daemon:/usr/sbin:/bin/false\n\
                 www-data:x:33:33:www-data:/var/www:/bin/false\nnobody:x:65534:65534:nobody:/home:/bin/false\n",
            ),
            text(
                "etc/group",
                0o644,
                "root:x:0:\ndaemon:x:1:\ntty:x:5:\nwww-data:x:33:\nutmp:x:43:\nusers:x:100:\nnogroup:x:65534:\n",
            ),
            text("etc/shadow", 0o600, "root:*:::::::\ndaemon:*:::::::\nwww-data:*:::::::\nnobody:*:::::::\n"),
        ],
    },
    FixUp {
        reason: "programs that are linked to a C library look here for where names are looked up",
        acts: &[text("etc/nsswitch.conf", 0o644, "passwd: files\ngroup: files\nhosts: files dns\n")],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_program_and_its_licence_are_taken() {
        let at = |package, name| place(package, &Name::of(name)) != Place::Nowhere;
        assert!(at("busybox-static", "bin/busybox") && at("busybox-static", "usr/share/doc/busybox-static/copyright"));
        assert!(!at("busybox-static", "usr/share/man/man1/busybox.1.gz") && !at("ca-certificates", "bin/busybox"));
    }

    #[test]
    fn every_applet_has_a_name_of_its_own_and_the_shell_is_among_them() {
        let mut names: Vec<&str> = APPLETS.split_whitespace().collect();
        assert!(names.contains(&"bin/sh") && names.len() > 200);
        names.iter().for_each(|name| drop(Name::of(name)));
        let before = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), before);
    }
}
