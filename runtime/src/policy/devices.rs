//! The device nodes of a sandbox's /dev, bound from the host's: `mknod` is refused in a user namespace.

/// Nodes under /dev that every program may expect, and none that reaches hardware.
pub const NODES: [(&str, &str); 6] = [
    ("null", "swallows; every shell script writes to it"),
    ("zero", "dd and mmap read it"),
    ("full", "answers ENOSPC: a lesson on errors"),
    ("random", "keys"),
    ("urandom", "keys"),
    ("tty", "the controlling terminal of whoever opens it (tty(4))"),
];

/// Symbolic links under /dev: name and what it points to.
pub const LINKS: [(&str, &str); 6] = [
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
    ("ptmx", "pts/ptmx"),
    ("core", "/proc/kcore"),
];
