//! What Debian's maintainer scripts would do, as a table.
//!
//! Packages are unpacked, their scripts never run: they would run as the host's root, and take a minute. What they leave
//! behind in an image is little and always the same, so it stands here as data, with the reason on each entry. Which
//! package's script it replaces is in brackets.

use crate::image::beneath::Name;
use crate::image::layout;
use crate::image::unpack::Place;

/// The time of every file that we write ourselves, and of every folder: 1 November 2026. A fixed time makes the tree the
/// same on every host.
pub const TIME: i64 = 1_793_491_200;

pub const ROOT: u32 = 0;
pub const SHADOW: u32 = 42;
const UTMP: u32 = 43;
const DAEMON: u32 = 1;
const MAIL: u32 = 8;
const CRONTAB: u32 = 101;
const SSH: u32 = 102;

/// One thing to do, with modes and groups as they are in the image. Everything belongs to root.
#[derive(Debug, Clone, Copy)]
pub enum Act {
    Directory {
        path: &'static str,
        mode: u32,
        gid: u32,
    },
    File {
        path: &'static str,
        mode: u32,
        gid: u32,
        text: &'static str,
    },
    /// A file that a package ships as the default of another.
    Copy {
        from: &'static str,
        to: &'static str,
        mode: u32,
    },
    Link {
        path: &'static str,
        to: &'static str,
    },
    /// Owner and mode that a script would set on a file of a package.
    Change {
        path: &'static str,
        mode: u32,
        gid: u32,
    },
    /// A file capability (capabilities(7)).
    Capability {
        path: &'static str,
        value: &'static [u8],
    },
    /// /etc/passwd, group, shadow and gshadow from base-passwd's masters and these lines.
    Accounts {
        users: &'static [&'static str],
        groups: &'static [&'static str],
    },
    /// A template of pam-auth-update, with its `$…` lines replaced; those that are not named are dropped.
    Pam {
        from: &'static str,
        to: &'static str,
        values: &'static [(&'static str, &'static str)],
    },
    /// All certificates of a folder in one file, a list of their names, and a link to each.
    Certificates {
        from: &'static str,
        bundle: &'static str,
        list: &'static str,
        links: &'static str,
    },
    Alternative(Alternative),
}

#[derive(Debug)]
pub struct FixUp {
    pub reason: &'static str,
    pub acts: &'static [Act],
}

/// A name that several programs could answer to (update-alternatives(1)).
#[derive(Debug, Clone, Copy)]
pub struct Alternative {
    pub name: &'static str,
    pub link: &'static str,
    /// Names that follow the choice: name and link.
    pub slaves: &'static [(&'static str, &'static str)],
    /// Best first: path, priority, and the slaves' paths in order.
    pub choices: &'static [Choice],
}

pub type Choice = (&'static str, u32, &'static [&'static str]);

/// cap_net_raw in the permitted set and effective, as in setcap's `cap_net_raw+ep`: revision 2, little-endian words.
const CAP_NET_RAW_EP: &[u8] = &[1, 0, 0, 2, 0, 0x20, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];

const fn simple(name: &'static str, link: &'static str, choices: &'static [Choice]) -> Act {
    Act::Alternative(Alternative { name, link, slaves: &[], choices })
}

const fn target(path: &'static str, text: &'static str) -> Act {
    Act::File { path, mode: 0o644, gid: ROOT, text }
}

pub const FIX_UPS: &[FixUp] = &[
    FixUp {
        reason: "accounts: without them nothing has an owner with a name [base-passwd, passwd, tcpdump, cron, openssh-client]",
        acts: &[Act::Accounts {
            users: &["tcpdump:x:100:103::/nonexistent:/usr/sbin/nologin"],
            groups: &["crontab:x:101:", "_ssh:x:102:", "tcpdump:x:103:"],
        }],
    },
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
        reason: "shells that chsh and su accept [debianutils, bash, dash, tmux]",
        acts: &[Act::File {
            path: "etc/shells",
            mode: 0o644,
            gid: ROOT,
            text: "# /etc/shells: valid login shells\n/bin/sh\n/bin/bash\n/usr/bin/bash\n/bin/rbash\n/usr/bin/rbash\n\
                   /usr/bin/sh\n/bin/dash\n/usr/bin/dash\n/usr/bin/tmux\n",
        }],
    },
    FixUp {
        reason: "the interactive shell of root: colours, and completion, which Debian leaves off",
        acts: &[Act::File {
            path: "root/.bashrc",
            mode: 0o644,
            gid: ROOT,
            text: "# ~/.bashrc: read by bash(1) for every interactive shell that is no login shell.\n\n\
                   alias ls='ls --color=auto'\nalias ll='ls -l'\nalias grep='grep --color=auto'\n\n\
                   if [ -f /usr/share/bash-completion/bash_completion ] && ! shopt -oq posix; then\n  \
                   . /usr/share/bash-completion/bash_completion\nfi\n",
        }],
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
        reason: "programs that run as a group, so that users can have crontabs and an agent [cron, cron-daemon-common, openssh-client]",
        acts: &[
            Act::Change { path: "usr/bin/crontab", mode: 0o2755, gid: CRONTAB },
            Act::Directory { path: "var/spool/cron/crontabs", mode: 0o1730, gid: CRONTAB },
            Act::Change { path: "usr/bin/ssh-agent", mode: 0o2755, gid: SSH },
        ],
    },
    FixUp {
        reason: "jobs of at are files of the group that atd runs as [at]",
        acts: &[
            Act::Directory { path: "var/spool/cron/atjobs", mode: 0o1770, gid: DAEMON },
            Act::Directory { path: "var/spool/cron/atspool", mode: 0o1770, gid: DAEMON },
            Act::File { path: "var/spool/cron/atjobs/.SEQ", mode: 0o660, gid: DAEMON, text: "" },
        ],
    },
    FixUp {
        reason: "services that begin with the machine are enabled, as their packages do it [cron, at]",
        acts: &[
            Act::Link {
                path: "etc/systemd/system/multi-user.target.wants/cron.service",
                to: "/lib/systemd/system/cron.service",
            },
            Act::Link {
                path: "etc/systemd/system/multi-user.target.wants/atd.service",
                to: "/lib/systemd/system/atd.service",
            },
        ],
    },
    FixUp {
        reason: "targets that systemd itself would bring, so that `systemctl set-default` knows them",
        acts: &[
            target("usr/lib/systemd/system/rescue.target", "[Unit]\nDescription=Rescue Mode\nAllowIsolate=yes\n"),
            target("usr/lib/systemd/system/emergency.target", "[Unit]\nDescription=Emergency Mode\nAllowIsolate=yes\n"),
            target(
                "usr/lib/systemd/system/multi-user.target",
                "[Unit]\nDescription=Multi-User System\nRequires=basic.target\nAllowIsolate=yes\n",
            ),
            target(
                "usr/lib/systemd/system/graphical.target",
                "[Unit]\nDescription=Graphical Interface\nRequires=multi-user.target\nAllowIsolate=yes\n",
            ),
            Act::Link { path: "usr/lib/systemd/system/default.target", to: "multi-user.target" },
        ],
    },
    FixUp {
        reason: "without systemd as the first process: services by hand, a log to read, and what a small server runs",
        acts: &[
            Act::File {
                path: "usr/local/bin/systemctl",
                mode: 0o755,
                gid: ROOT,
                text: include_str!("files/systemctl.sh"),
            },
            Act::File {
                path: "usr/local/bin/journalctl",
                mode: 0o755,
                gid: ROOT,
                text: include_str!("files/journalctl.sh"),
            },
            Act::File { path: "etc/rc.local", mode: 0o755, gid: ROOT, text: include_str!("files/rc.local.sh") },
        ],
    },
    FixUp {
        reason: "sudo warns of, and visudo refuses, a file that others can read [sudo]",
        acts: &[Act::Change { path: "etc/sudoers", mode: 0o440, gid: ROOT }],
    },
    FixUp {
        reason: "ping for everybody by one capability instead of setuid [iputils-ping]",
        acts: &[Act::Capability { path: "usr/bin/ping", value: CAP_NET_RAW_EP }],
    },
    FixUp {
        reason: "certificates: curl, git and wget read the bundle; Python looks in OpenSSL's own place [ca-certificates]",
        acts: &[
            Act::Certificates {
                from: "usr/share/ca-certificates/mozilla",
                bundle: "etc/ssl/certs/ca-certificates.crt",
                list: "etc/ca-certificates.conf",
                links: "etc/ssl/certs",
            },
            Act::Directory { path: "usr/local/share/ca-certificates", mode: 0o755, gid: ROOT },
            Act::Link { path: "usr/lib/ssl/cert.pem", to: "/etc/ssl/certs/ca-certificates.crt" },
        ],
    },
    FixUp {
        reason: "names that several packages offer [debianutils, mawk, vim-tiny, nano, less, util-linux, procps, tar, netcat-openbsd, iptables]",
        acts: &[
            simple("which", "/usr/bin/which", &[("/usr/bin/which.debianutils", 0, &[])]),
            Act::Alternative(Alternative {
                name: "awk",
                link: "/usr/bin/awk",
                slaves: &[("nawk", "/usr/bin/nawk")],
                choices: &[("/usr/bin/mawk", 5, &["/usr/bin/mawk"])],
            }),
            simple("editor", "/usr/bin/editor", &[("/bin/nano", 40, &[]), ("/usr/bin/vim.tiny", 15, &[])]),
            simple("pico", "/usr/bin/pico", &[("/bin/nano", 10, &[])]),
            simple("vi", "/usr/bin/vi", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("view", "/usr/bin/view", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("ex", "/usr/bin/ex", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("rview", "/usr/bin/rview", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("pager", "/usr/bin/pager", &[("/usr/bin/less", 77, &[]), ("/bin/more", 50, &[])]),
            simple("rmt", "/usr/sbin/rmt", &[("/usr/sbin/rmt-tar", 50, &[])]),
            Act::Alternative(Alternative {
                name: "nc",
                link: "/bin/nc",
                slaves: &[("netcat", "/bin/netcat")],
                choices: &[("/bin/nc.openbsd", 50, &["/bin/nc.openbsd"])],
            }),
            Act::Alternative(Alternative {
                name: "iptables",
                link: "/usr/sbin/iptables",
                slaves: &[
                    ("iptables-restore", "/usr/sbin/iptables-restore"),
                    ("iptables-save", "/usr/sbin/iptables-save"),
                ],
                choices: &[
                    ("/usr/sbin/iptables-nft", 20, &["/usr/sbin/iptables-nft-restore", "/usr/sbin/iptables-nft-save"]),
                    (
                        "/usr/sbin/iptables-legacy",
                        10,
                        &["/usr/sbin/iptables-legacy-restore", "/usr/sbin/iptables-legacy-save"],
                    ),
                ],
            }),
            Act::Alternative(Alternative {
                name: "ip6tables",
                link: "/usr/sbin/ip6tables",
                slaves: &[
                    ("ip6tables-restore", "/usr/sbin/ip6tables-restore"),
                    ("ip6tables-save", "/usr/sbin/ip6tables-save"),
                ],
                choices: &[
                    (
                        "/usr/sbin/ip6tables-nft",
                        20,
                        &["/usr/sbin/ip6tables-nft-restore", "/usr/sbin/ip6tables-nft-save"],
                    ),
                    (
                        "/usr/sbin/ip6tables-legacy",
                        10,
                        &["/usr/sbin/ip6tables-legacy-restore", "/usr/sbin/ip6tables-legacy-save"],
                    ),
                ],
            }),
            Act::Alternative(Alternative {
                name: "arptables",
                link: "/usr/sbin/arptables",
                slaves: &[
                    ("arptables-restore", "/usr/sbin/arptables-restore"),
                    ("arptables-save", "/usr/sbin/arptables-save"),
                ],
                choices: &[(
                    "/usr/sbin/arptables-nft",
                    20,
                    &["/usr/sbin/arptables-nft-restore", "/usr/sbin/arptables-nft-save"],
                )],
            }),
            Act::Alternative(Alternative {
                name: "ebtables",
                link: "/usr/sbin/ebtables",
                slaves: &[
                    ("ebtables-restore", "/usr/sbin/ebtables-restore"),
                    ("ebtables-save", "/usr/sbin/ebtables-save"),
                ],
                choices: &[(
                    "/usr/sbin/ebtables-nft",
                    20,
                    &["/usr/sbin/ebtables-nft-restore", "/usr/sbin/ebtables-nft-save"],
                )],
            }),
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
        reason: "a lesson's own overlays need a place that is not on one; the runtime mounts the session's disk here",
        acts: &[Act::Directory { path: "lab", mode: 0o755, gid: ROOT }],
    },
];

/// What of a package is not written, with the reason.
struct LeftOut {
    prefix: &'static str,
    /// Files whose name begins so are written all the same.
    except: &'static str,
    #[expect(dead_code, reason = "for people")]
    reason: &'static str,
}

const LEFT_OUT: &[LeftOut] = &[
    LeftOut { prefix: "usr/share/doc", except: "copyright", reason: "changelogs are for packagers; the licences stay" },
    LeftOut {
        prefix: "usr/share/locale",
        except: "",
        reason: "translations, 60 MB; lessons and their checks read English",
    },
    LeftOut { prefix: "usr/share/info", except: "", reason: "there is no info reader" },
    LeftOut { prefix: "usr/share/lintian", except: "", reason: "notes to Debian's own checker" },
    LeftOut { prefix: "var/run", except: "", reason: "a folder in base-files; a link in a running Debian" },
    LeftOut { prefix: "var/lock", except: "", reason: "the same" },
];

/// Where a name of a package goes: into the merged layout, or nowhere.
pub fn place(name: &Name) -> Place {
    if is_left_out(name) { Place::Nowhere } else { Place::At(layout::place(name)) }
}

fn is_left_out(name: &Name) -> bool {
    LEFT_OUT.iter().filter(|entry| name.starts_with(entry.prefix)).any(|entry| {
        let last = name.as_path().file_name().unwrap_or_default().as_encoded_bytes();
        let kept = !entry.except.is_empty() && last.starts_with(entry.except.as_bytes());
        // The folder itself stays, so that a package installed later finds it.
        let is_top = name.as_path() == std::path::Path::new(entry.prefix) && entry.prefix.starts_with("usr");
        !kept && !is_top
    })
}

/// The state file of update-alternatives for one name, as dpkg writes it.
pub fn alternative_state(alternative: &Alternative) -> String {
    let mut text = format!("auto\n{}\n", alternative.link);
    for (name, link) in alternative.slaves {
        text += &format!("{name}\n{link}\n");
    }
    text += "\n";
    let mut choices = alternative.choices.to_vec();
    choices.sort();
    for (path, priority, slaves) in choices {
        text += &format!("{path}\n{priority}\n");
        for slave in slaves {
            text += &format!("{slave}\n");
        }
    }
    text + "\n"
}

/// The four account files from base-passwd's masters.
#[derive(Debug, PartialEq, Eq)]
pub struct Accounts {
    pub passwd: String,
    pub group: String,
    pub shadow: String,
    pub gshadow: String,
}

/// Nobody has a password: root needs none to become somebody else, and nobody else can become root by one.
pub fn accounts(passwd_master: &str, group_master: &str, users: &[&str], groups: &[&str]) -> Accounts {
    let all = |master: &str, more: &[&str]| -> Vec<String> {
        let lines = master.lines().filter(|line| line.contains(':')).map(|line| line.replacen(":*:", ":x:", 1));
        lines.chain(more.iter().map(|line| line.to_string())).collect()
    };
    let (users, groups) = (all(passwd_master, users), all(group_master, groups));
    let name = |line: &String| line.split(':').next().unwrap_or_default().to_owned();
    let days = TIME / 86_400;
    Accounts {
        passwd: lines(users.iter().cloned()),
        group: lines(groups.iter().cloned()),
        shadow: lines(users.iter().map(|line| format!("{}:*:{days}:0:99999:7:::", name(line)))),
        gshadow: lines(groups.iter().map(|line| format!("{}:*::", name(line)))),
    }
}

/// A template of pam-auth-update with its lines filled in.
pub fn pam(template: &str, values: &[(&str, &str)]) -> String {
    let filled = template.lines().filter_map(|line| match line.starts_with('$') {
        true => values.iter().find(|(name, _)| *name == line).map(|(_, value)| value.to_string()),
        false => Some(line.to_owned()),
    });
    lines(filled)
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.map(|line| line + "\n").collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_move_into_the_merged_layout_or_are_left_out() {
        let check = |name: &str| match place(&Name::of(name)) {
            Place::At(name) => name.to_string(),
            Place::Nowhere => "-".into(),
        };
        assert_eq!(check("bin/ls"), "/usr/bin/ls");
        assert_eq!(check("usr/share/doc/bash/copyright"), "/usr/share/doc/bash/copyright");
        assert_eq!(check("usr/share/doc/bash/NEWS.gz"), "-");
        assert_eq!(check("usr/share/locale/de/LC_MESSAGES/bash.mo"), "-");
        assert_eq!(check("usr/share/locale"), "/usr/share/locale");
        assert_eq!(check("var/run"), "-");
        assert_eq!(check("var/lib"), "/var/lib");
    }

    #[test]
    fn accounts_have_no_password_and_no_hash() {
        let accounts =
            accounts("root:*:0:0:root:/root:/bin/bash\n", "root:*:0:\n", &["a:x:100:1::/:/bin/sh"], &["g:x:101:"]);
        assert_eq!(accounts.passwd, "root:x:0:0:root:/root:/bin/bash\na:x:100:1::/:/bin/sh\n");
        assert_eq!(accounts.group, "root:x:0:\ng:x:101:\n");
        assert_eq!(accounts.shadow, "root:*:20758:0:99999:7:::\na:*:20758:0:99999:7:::\n");
        assert_eq!(accounts.gshadow, "root:*::\ng:*::\n");
    }

    #[test]
    fn a_pam_template_is_filled_in_and_unused_lines_go() {
        let template = "# head\n$auth_primary\nauth requisite pam_deny.so\n$auth_additional\n";
        assert_eq!(pam(template, &[("$auth_primary", "auth unix")]), "# head\nauth unix\nauth requisite pam_deny.so\n");
    }

    #[test]
    fn the_state_of_an_alternative_is_written_as_dpkg_does() {
        let alternative = Alternative {
            name: "nc",
            link: "/bin/nc",
            slaves: &[("netcat", "/bin/netcat")],
            choices: &[("/bin/nc.openbsd", 50, &["/bin/nc.openbsd"])],
        };
        let expected = "auto\n/bin/nc\nnetcat\n/bin/netcat\n\n/bin/nc.openbsd\n50\n/bin/nc.openbsd\n\n";
        assert_eq!(alternative_state(&alternative), expected);
    }

    #[test]
    fn every_entry_of_the_table_is_a_name_and_every_choice_has_all_slaves() {
        for act in FIX_UPS.iter().flat_map(|fix_up| fix_up.acts) {
            match act {
                Act::Directory { path, .. } | Act::File { path, .. } | Act::Link { path, .. } => drop(Name::of(path)),
                Act::Alternative(alternative) => {
                    let complete = alternative.choices.iter().all(|choice| choice.2.len() == alternative.slaves.len());
                    assert!(complete, "{}", alternative.name);
                    assert!(alternative.choices.is_sorted_by_key(|choice| std::cmp::Reverse(choice.1)));
                }
                _ => {}
            }
        }
    }
}
