//! What the `host` image borrows: names of commands and of data, each group with its reason.
//!
//! A command that the host does not have is absent from the image. Only [`REQUIRED`] must be there.

/// Without these there is no prompt and no script.
pub const REQUIRED: &[&str] = &["bash", "sh"];

pub struct Group {
    pub reason: &'static str,
    pub commands: &'static [&'static str],
}

pub const GROUPS: &[Group] = &[
    Group {
        reason: "files and text: what every lesson types",
        commands: &[
            "[",
            "awk",
            "base64",
            "basename",
            "cat",
            "chgrp",
            "chmod",
            "chown",
            "cmp",
            "comm",
            "cp",
            "cut",
            "date",
            "dd",
            "df",
            "diff",
            "dirname",
            "du",
            "echo",
            "env",
            "expr",
            "false",
            "find",
            "getopt",
            "grep",
            "gunzip",
            "gzip",
            "head",
            "id",
            "install",
            "join",
            "less",
            "ln",
            "ls",
            "md5sum",
            "mkdir",
            "mkfifo",
            "mknod",
            "mktemp",
            "more",
            "mv",
            "nl",
            "nproc",
            "od",
            "paste",
            "printf",
            "pwd",
            "readlink",
            "realpath",
            "rm",
            "rmdir",
            "sed",
            "seq",
            "sha256sum",
            "sleep",
            "sort",
            "split",
            "stat",
            "stdbuf",
            "stty",
            "sync",
            "tac",
            "tail",
            "tar",
            "tee",
            "test",
            "timeout",
            "touch",
            "tr",
            "true",
            "truncate",
            "tty",
            "uname",
            "uniq",
            "wc",
            "which",
            "who",
            "whoami",
            "xargs",
            "yes",
            "zcat",
        ],
    },
    Group {
        reason: "processes and the machine: what a learner looks at a container with",
        commands: &[
            "free", "kill", "killall", "pgrep", "pidof", "pkill", "ps", "pstree", "renice", "nice", "nohup", "strace",
            "lsof", "top", "uptime", "vmstat", "w", "watch", "prlimit", "taskset", "getent", "hostname", "ldd",
            "groups",
        ],
    },
    Group {
        reason: "namespaces, mounts and capabilities: what containers are made of",
        commands: &[
            "capsh",
            "chroot",
            "column",
            "findmnt",
            "flock",
            "getcap",
            "getfattr",
            "hexdump",
            "losetup",
            "lscpu",
            "lsns",
            "mount",
            "mountpoint",
            "nsenter",
            "pivot_root",
            "script",
            "setcap",
            "setfattr",
            "setpriv",
            "setsid",
            "umount",
            "unshare",
        ],
    },
    Group {
        reason: "network: looking at addresses, and speaking over a socket",
        commands: &["bridge", "curl", "ip", "nc", "nft", "ping", "socat", "ss"],
    },
    Group {
        reason: "terminal and editors: as much comfort as the host has",
        commands: &["clear", "jq", "nano", "reset", "tmux", "tput", "tree", "vi"],
    },
];

/// Looked for in this order. Not /usr/local, /opt or a home: what an administrator put there is theirs.
pub const COMMAND_DIRECTORIES: &[&str] = &["/usr/bin", "/bin", "/usr/sbin", "/sbin"];

/// Where a loader looks by itself, on the distributions that we know. The image has no ld.so.cache, so that a library from
/// anywhere else is put beside the C library.
pub const LIBRARY_DIRECTORIES: &[&str] = &[
    "/usr/lib/x86_64-linux-gnu",
    "/lib/x86_64-linux-gnu",
    "/usr/lib/aarch64-linux-gnu",
    "/lib/aarch64-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
];

/// Loaded by name at run time, so no header asks for them: lookups of users, where the C library does not have them built
/// in (before glibc 2.34). The second is needed by programs that cancel threads.
pub const LIBRARIES_BY_NAME: &[&str] = &["libnss_files.so.2", "libgcc_s.so.1"];

/// Kinds of terminal that a browser, tmux, or a script may say it is (terminfo(5)).
pub const TERMINALS: &[&str] = &[
    "ansi",
    "dumb",
    "linux",
    "screen",
    "screen-256color",
    "tmux",
    "tmux-256color",
    "vt100",
    "vt102",
    "vt220",
    "xterm",
    "xterm-256color",
    "xterm-color",
];

pub const TERMINFO_DIRECTORIES: &[&str] =
    &["/etc/terminfo", "/lib/terminfo", "/usr/lib/terminfo", "/usr/share/terminfo"];

/// Public files of a distribution: its name, and the numbers of protocols and ports.
pub const PUBLIC_FILES: &[&str] = &["/usr/lib/os-release", "/etc/protocols", "/etc/services"];

/// The locale that every image speaks.
pub const LOCALE_DIRECTORIES: &[&str] = &["/usr/lib/locale/C.utf8", "/usr/lib/locale/C.utf8/LC_MESSAGES"];
