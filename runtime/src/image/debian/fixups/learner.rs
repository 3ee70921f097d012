//! What the learners' machine has in addition.

use super::{Act, Alternative, CAP_NET_RAW_EP, CRONTAB, DAEMON, FixUp, ROOT, SSH, simple, target};

pub const LEARNER: &[FixUp] = &[
    FixUp {
        reason: "accounts: without them nothing has an owner with a name [base-passwd, passwd, tcpdump, cron, openssh-client]",
        acts: &[Act::Accounts {
            users: &["tcpdump:x:100:103::/nonexistent:/usr/sbin/nologin"],
            groups: &["crontab:x:101:", "_ssh:x:102:", "tcpdump:x:103:"],
        }],
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
                text: include_str!("../files/systemctl.sh"),
            },
            Act::File {
                path: "usr/local/bin/journalctl",
                mode: 0o755,
                gid: ROOT,
                text: include_str!("../files/journalctl.sh"),
            },
            Act::File { path: "etc/rc.local", mode: 0o755, gid: ROOT, text: include_str!("../files/rc.local.sh") },
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
        reason: "names that several packages offer [vim-tiny, nano, less, util-linux, netcat-openbsd, iptables]",
        acts: &[
            simple("editor", "/usr/bin/editor", &[("/bin/nano", 40, &[]), ("/usr/bin/vim.tiny", 15, &[])]),
            simple("pico", "/usr/bin/pico", &[("/bin/nano", 10, &[])]),
            simple("vi", "/usr/bin/vi", &[("/usr/bin/vim.tiny", 15, &[])]),
            // Debian calls only the full one vim; lessons call whichever is there.
            simple("vim", "/usr/bin/vim", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("view", "/usr/bin/view", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("ex", "/usr/bin/ex", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("rview", "/usr/bin/rview", &[("/usr/bin/vim.tiny", 15, &[])]),
            simple("pager", "/usr/bin/pager", &[("/usr/bin/less", 77, &[]), ("/bin/more", 50, &[])]),
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
        reason: "a lesson's own overlays need a place that is not on one; the runtime mounts the session's disk here",
        acts: &[Act::Directory { path: "lab", mode: 0o755, gid: ROOT }],
    },
];
