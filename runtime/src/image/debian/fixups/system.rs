//! What every Debian system needs after its packages are unpacked.

use super::{Act, Alternative, FixUp, MAIL, ROOT, UTMP, simple};

pub const SYSTEM: &[FixUp] = &[
    FixUp {
        reason: "where names are looked up; without it the C library asks services that do not exist [libc-bin]",
        acts: &[Act::Copy { from: "usr/share/libc-bin/nsswitch.conf", to: "etc/nsswitch.conf", mode: 0o644 }],
    },
    FixUp {
        reason: "the skeleton of a system: profile, message of the day, folders, logs of logins [base-files]",
        acts: &[
            Act::Copy { from: "usr/share/base-files/profile", to: "etc/profile", mode: 0o644 },
            Act::Copy { from: "usr/share/base-files/dot.profile", to: "root/.profile", mode: 0o644 },
            Act::File { path: "etc/motd", mode: 0o644, gid: ROOT, text: "" },
            Act::Link { path: "etc/dpkg/origins/default", to: "debian" },
            Act::Directory { path: "mnt", mode: 0o755, gid: ROOT },
            Act::Directory { path: "srv", mode: 0o755, gid: ROOT },
            Act::Directory { path: "opt", mode: 0o755, gid: ROOT },
            Act::Directory { path: "etc/opt", mode: 0o755, gid: ROOT },
            Act::Directory { path: "var/opt", mode: 0o755, gid: ROOT },
            Act::Directory { path: "media", mode: 0o755, gid: ROOT },
            Act::Directory { path: "var/mail", mode: 0o2775, gid: MAIL },
            Act::Link { path: "var/spool/mail", to: "../mail" },
            Act::Directory { path: "run/lock", mode: 0o1777, gid: ROOT },
            Act::Link { path: "var/run", to: "/run" },
            Act::Link { path: "var/lock", to: "/run/lock" },
            Act::Directory { path: "usr/local/bin", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/etc", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/games", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/include", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/lib", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/sbin", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/share/man", mode: 0o755, gid: ROOT },
            Act::Directory { path: "usr/local/src", mode: 0o755, gid: ROOT },
            Act::Link { path: "usr/local/man", to: "share/man" },
            Act::File { path: "var/log/wtmp", mode: 0o664, gid: UTMP, text: "" },
            Act::File { path: "var/log/btmp", mode: 0o660, gid: UTMP, text: "" },
            Act::File { path: "var/log/lastlog", mode: 0o664, gid: UTMP, text: "" },
            Act::File { path: "var/log/faillog", mode: 0o644, gid: ROOT, text: "" },
        ],
    },
    FixUp {
        reason: "df, mount and older tools read the mount table here",
        acts: &[Act::Link { path: "etc/mtab", to: "../proc/self/mounts" }],
    },
    FixUp {
        reason: "ranges for newuidmap, empty as on a fresh system [login]",
        acts: &[
            Act::File { path: "etc/subuid", mode: 0o644, gid: ROOT, text: "" },
            Act::File { path: "etc/subgid", mode: 0o644, gid: ROOT, text: "" },
        ],
    },
    FixUp {
        reason: "without these, su, sudo, passwd and cron refuse everybody [libpam-runtime]",
        acts: &[
            Act::Pam {
                from: "usr/share/pam/common-auth",
                to: "etc/pam.d/common-auth",
                values: &[("$auth_primary", "auth\t[success=1 default=ignore]\tpam_unix.so nullok")],
            },
            Act::Pam {
                from: "usr/share/pam/common-account",
                to: "etc/pam.d/common-account",
                values: &[(
                    "$account_primary",
                    "account\t[success=1 new_authtok_reqd=done default=ignore]\tpam_unix.so",
                )],
            },
            Act::Pam {
                from: "usr/share/pam/common-password",
                to: "etc/pam.d/common-password",
                values: &[("$password_primary", "password\t[success=1 default=ignore]\tpam_unix.so obscure yescrypt")],
            },
            Act::Pam {
                from: "usr/share/pam/common-session",
                to: "etc/pam.d/common-session",
                values: &[
                    ("$session_primary", "session\t[default=1]\t\t\tpam_permit.so"),
                    ("$session_additional", "session\trequired\tpam_unix.so"),
                ],
            },
            Act::Pam {
                from: "usr/share/pam/common-session-noninteractive",
                to: "etc/pam.d/common-session-noninteractive",
                values: &[
                    ("$session_nonint_primary", "session\t[default=1]\t\t\tpam_permit.so"),
                    ("$session_nonint_additional", "session\trequired\tpam_unix.so"),
                ],
            },
        ],
    },
    FixUp {
        reason: "the locale that the C library has built in, and UTC",
        acts: &[
            Act::File { path: "etc/default/locale", mode: 0o644, gid: ROOT, text: "LANG=C.UTF-8\n" },
            Act::File { path: "etc/timezone", mode: 0o644, gid: ROOT, text: "Etc/UTC\n" },
        ],
    },
    FixUp {
        reason: "apt without a mirror: it works from files, and `apt-get update` ends well with nothing to fetch",
        acts: &[Act::File {
            path: "etc/apt/sources.list",
            mode: 0o644,
            gid: ROOT,
            text: "# No mirror is set. Packages can be installed from files: apt-get install ./NAME.deb\n",
        }],
    },
    FixUp {
        reason: "packages installed later leave out what this image leaves out",
        acts: &[Act::File {
            path: "etc/dpkg/dpkg.cfg.d/quayside",
            mode: 0o644,
            gid: ROOT,
            text: "# What this image leaves out to stay small.\n\
                   path-exclude=/usr/share/doc/*\npath-include=/usr/share/doc/*/copyright\n\
                   path-exclude=/usr/share/locale/*\npath-exclude=/usr/share/info/*\npath-exclude=/usr/share/lintian/*\n",
        }],
    },
    FixUp {
        reason: "names that several packages offer, of those that every system has [debianutils, mawk, tar]",
        acts: &[
            simple("which", "/usr/bin/which", &[("/usr/bin/which.debianutils", 0, &[])]),
            Act::Alternative(Alternative {
                name: "awk",
                link: "/usr/bin/awk",
                slaves: &[("nawk", "/usr/bin/nawk")],
                choices: &[("/usr/bin/mawk", 5, &["/usr/bin/mawk"])],
            }),
            simple("rmt", "/usr/sbin/rmt", &[("/usr/sbin/rmt-tar", 50, &[])]),
        ],
    },
];
