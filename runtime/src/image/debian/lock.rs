//! The recipe: which packages an image is made of, each pinned to one file by its SHA-256.
//!
//! `learner.lock` is the recipe in the repository. It names files of Debian's pool and no mirror, so that any mirror serves.
//! It is written by [`super::relock`], never by hand.

use std::fmt;

use crate::image::hex;

/// The release that the learner image is made of.
pub const SUITE: &str = "bookworm";
pub const SECURITY_SUITE: &str = "bookworm-security";

/// The seeds of the learner image, each group with its reason, names separated by blanks. What they depend on is added by
/// the resolver; what is essential in Debian is named here, because nothing depends on it.
pub const LEARNER_SEEDS: &[(&str, &str)] = &[
    (
        "the merged layout is ours from the start; without this, the resolver would take usrmerge, which converts one",
        "usr-is-merged",
    ),
    (
        "Debian's essential packages: every other package takes them for granted",
        "base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep gzip hostname \
         init-system-helpers libc-bin login mawk ncurses-base ncurses-bin passwd perl-base sed sysvinit-utils tar \
         util-linux",
    ),
    ("packages can be looked at, and installed from a file", "apt adduser"),
    (
        "what containers are made of: namespaces, mounts, capabilities, attributes",
        "mount util-linux-extra bsdextrautils attr acl libcap2-bin uidmap busybox-static tini",
    ),
    ("processes, and the services of a small server", "procps psmisc strace lsof cron at logrotate systemctl"),
    ("file systems in files: made, looked into and checked, though the kernel mounts none here", "e2fsprogs fdisk"),
    ("manuals: those of every package are in the image, and need a reader", "man-db manpages"),
    ("what texts call in passing", "lsb-release xxd dos2unix gettext-base"),
    ("archives and copies", "rsync zip unzip xz-utils bzip2"),
    (
        "network",
        "iproute2 iputils-ping nftables iptables tcpdump socat curl wget netcat-openbsd openssh-client \
         ca-certificates net-tools",
    ),
    (
        "a terminal that one can work in",
        "bash-completion vim-tiny nano less tmux jq tree file git python3 sudo bc htop",
    ),
];

/// The pinned packages that this build of Quayside was made with.
pub const LEARNER_LOCK: &str = include_str!("learner.lock");

const FORMAT: &str = "format 1";

/// The larger limits of a lock, so that a damaged one is refused with words.
const PINS_MAX: usize = 2000;
const PACKAGE_MAX_BYTES: u64 = 512 * 1024 * 1024;

/// Which of Debian's two archives holds a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Archive {
    Main,
    Security,
}

impl Archive {
    pub const ALL: [Archive; 2] = [Archive::Main, Archive::Security];

    pub fn name(self) -> &'static str {
        match self {
            Archive::Main => "debian",
            Archive::Security => "debian-security",
        }
    }

    pub fn suite(self) -> &'static str {
        match self {
            Archive::Main => SUITE,
            Archive::Security => SECURITY_SUITE,
        }
    }
}

/// One package, pinned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pin {
    pub package: String,
    pub version: String,
    pub archive: Archive,
    /// Beneath the archive's root: `pool/main/b/bash/…`.
    pub path: String,
    pub size: u64,
    pub sha256: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// Debian's name of it: `amd64`.
    pub architecture: String,
    /// Sorted by package.
    pub pins: Vec<Pin>,
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} of the package lock does not read: {why}; make it anew with `quayside image relock`")]
pub struct LockError {
    pub line: usize,
    pub why: &'static str,
}

impl Lock {
    pub fn parse(text: &str) -> Result<Self, LockError> {
        let mut lock = Lock { architecture: String::new(), pins: Vec::new() };
        let lines = text.lines().enumerate().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        for (index, (number, text)) in lines.enumerate() {
            let failed = |why| LockError { line: number + 1, why };
            match (index, text.split_once(' ')) {
                (0, _) if text == FORMAT => {}
                (0, _) => return Err(failed("it is not of a format that this version reads")),
                (_, Some(("architecture", name))) => lock.architecture = name.to_owned(),
                _ => lock.pins.push(Pin::parse(text).map_err(failed)?),
            }
            if lock.pins.len() > PINS_MAX {
                return Err(failed("it has too many packages"));
            }
        }
        if lock.architecture.is_empty() || lock.pins.is_empty() {
            return Err(LockError { line: 1, why: "it names no architecture, or no package" });
        }
        Ok(lock)
    }

    pub fn bytes(&self) -> u64 {
        self.pins.iter().map(|pin| pin.size).sum()
    }
}

impl fmt::Display for Lock {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        writeln!(out, "# The packages of the learner image: Debian 12 ({}). Made by `quayside image relock`.", SUITE)?;
        writeln!(out, "# package version archive path size sha256")?;
        writeln!(out, "{FORMAT}\narchitecture {}", self.architecture)?;
        for pin in &self.pins {
            let Pin { package, version, archive, path, size, sha256 } = pin;
            writeln!(out, "{package} {version} {} {path} {size} {sha256}", archive.name())?;
        }
        Ok(())
    }
}

impl Pin {
    fn parse(line: &str) -> Result<Self, &'static str> {
        let words: Vec<&str> = line.split(' ').collect();
        let [package, version, archive, path, size, sha256] = words[..] else {
            return Err("it must have six words");
        };
        let archive = Archive::ALL.into_iter().find(|known| known.name() == archive).ok_or("its archive is unknown")?;
        let size =
            size.parse().ok().filter(|size| *size <= PACKAGE_MAX_BYTES).ok_or("its size is no number, or too large")?;
        let pin = Self {
            package: package.into(),
            version: version.into(),
            archive,
            path: path.into(),
            size,
            sha256: sha256.into(),
        };
        pin.check()?;
        Ok(pin)
    }

    /// What an index or a lock says ends up in addresses and file names.
    pub fn check(&self) -> Result<(), &'static str> {
        let plain = |text: &str| {
            !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.~:%_/".contains(&b))
        };
        if !plain(&self.package) || self.package.contains(['/', ':', '%']) || self.package.starts_with('.') {
            return Err("the package's name holds letters that no package's name has");
        }
        if !plain(&self.version) || self.version.contains('/') {
            return Err("the version holds letters that no version has");
        }
        if !plain(&self.path) || !self.path.starts_with("pool/") || self.path.split('/').any(|part| part == "..") {
            return Err("the path is not one of Debian's pool");
        }
        if !hex::is_sha256(&self.sha256) {
            return Err("its sha256 is not 64 hexadecimal digits");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn line(line: &str) -> Result<Lock, LockError> {
        Lock::parse(&format!("# head\nformat 1\narchitecture amd64\n{line}\n"))
    }

    #[test]
    fn the_lock_of_this_build_reads_and_is_written_back_the_same() {
        let lock = Lock::parse(LEARNER_LOCK).unwrap();
        assert_eq!(lock.to_string(), LEARNER_LOCK);
        for (reason, seeds) in LEARNER_SEEDS {
            for seed in seeds.split_whitespace() {
                assert!(lock.pins.iter().any(|pin| pin.package == seed), "{seed} ({reason}) is not in the lock");
            }
        }
        assert!(lock.pins.is_sorted_by_key(|pin| &pin.package));
    }

    #[test]
    fn a_pin_that_could_leave_the_pool_is_refused_with_its_line() {
        assert!(line(&format!("a 1 debian pool/main/a/a_1.deb 5 {HASH}")).is_ok());
        for bad in [
            format!("a 1 debian pool/../../etc 5 {HASH}"),
            format!("a 1 debian /pool/x 5 {HASH}"),
            format!("../a 1 debian pool/x 5 {HASH}"),
            format!("a 1 elsewhere pool/x 5 {HASH}"),
            format!("a 1 debian pool/x many {HASH}"),
            format!("a 1 debian pool/x 99999999999999 {HASH}"),
            "a 1 debian pool/x 5 abc".into(),
            "a 1 debian".into(),
        ] {
            assert_eq!(line(&bad).unwrap_err().line, 4, "{bad}");
        }
        assert!(Lock::parse("format 9\n").is_err());
    }
}
