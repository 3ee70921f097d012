//! The sets of packages that layers are made of: which suites, which seeds and why, and the lock that pins them.
//!
//! Everything comes from Debian 12, whose pool no longer changes, but for what only Debian 13 has. What a set is made into
//! stands elsewhere: `recipe` for layers that take files out of packages, the fix-ups for layers that are a system.

use super::lock::{Archive, Lock, LockError, Pin};

/// A suite of Debian, and which of its two archives has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Suite {
    pub archive: Archive,
    pub name: &'static str,
}

const fn main(name: &'static str) -> Suite {
    Suite { archive: Archive::Main, name }
}

const fn security(name: &'static str) -> Suite {
    Suite { archive: Archive::Security, name }
}

/// The release that images are made of.
pub const SUITE: &str = "bookworm";
pub const SECURITY_SUITE: &str = "bookworm-security";

pub const BOOKWORM: &[Suite] = &[main(SUITE), security(SECURITY_SUITE)];
const BACKPORTS: &[Suite] = &[main("bookworm-backports")];
const TRIXIE: &[Suite] = &[main("trixie"), security("trixie-security")];

/// How far the seeds reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reach {
    /// With everything that they depend on: what apt would install.
    Closure,
    /// The seeds alone: only files are taken out of them, and those need nothing else.
    Seeds,
}

/// Names separated by blanks, each group with its reason.
pub type Seeds = &'static [(&'static str, &'static str)];

#[derive(Debug, Clone, Copy)]
pub struct PackageSet {
    /// As `quayside image relock` takes it.
    pub name: &'static str,
    /// The first line of its lock.
    pub title: &'static str,
    pub suites: &'static [Suite],
    pub reach: Reach,
    pub seeds: Seeds,
    /// The pinned packages that this build of Quayside was made with.
    pub lock: &'static str,
    /// The set that is installed already where this one goes; its packages are not taken again.
    pub on: Option<&'static PackageSet>,
}

impl PackageSet {
    pub fn seeds(&self) -> Vec<&'static str> {
        self.seeds.iter().flat_map(|(_, seeds)| seeds.split_whitespace()).collect()
    }

    pub fn lock(&self) -> Result<Lock, LockError> {
        Lock::parse(self.lock)
    }

    /// What is installed below it, the lowest first.
    pub fn given(&self) -> Result<Vec<Pin>, LockError> {
        let Some(on) = self.on else { return Ok(Vec::new()) };
        let mut given = on.given()?;
        given.extend(on.lock()?.pins);
        Ok(given)
    }
}

pub const SETS: &[&PackageSet] =
    &[&LEARNER, &DOCKER, &DOCKER_OLDER, &BUSYBOX, &GO, &GO_MODULES, &BASE, &NGINX, &REDIS, &PYTHON];

pub fn find(name: &str) -> Option<&'static PackageSet> {
    SETS.iter().copied().find(|set| set.name == name)
}

/// What is essential in Debian is named here, because nothing depends on it.
const ESSENTIAL: &str = "base-files base-passwd bash bsdutils coreutils dash debianutils diffutils dpkg findutils grep \
    gzip hostname init-system-helpers libc-bin login mawk ncurses-base ncurses-bin passwd perl-base sed sysvinit-utils tar \
    util-linux";

/// Without this, the resolver would take usrmerge, which converts a layout that is ours from the start.
const MERGED: (&str, &str) = ("the merged layout is ours from the start", "usr-is-merged");

pub static LEARNER: PackageSet = PackageSet {
    name: "learner",
    title: "The packages of the learner image: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Closure,
    seeds: &[
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
    ],
    lock: include_str!("locks/learner.lock"),
    on: None,
};

pub static DOCKER: PackageSet = PackageSet {
    name: "docker",
    title: "Docker's command line, upon the learner image: Debian 13 (trixie)",
    suites: TRIXIE,
    reach: Reach::Closure,
    seeds: &[(
        "Debian 13 has a newer one than 12, which needs nothing but a C library that 12 has too",
        "docker-cli docker-compose",
    )],
    lock: include_str!("locks/docker.lock"),
    on: Some(&LEARNER),
};

pub static DOCKER_OLDER: PackageSet = PackageSet {
    name: "docker-older",
    title: "Docker's command line where Debian 13 cannot be had: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Seeds,
    seeds: &[("the command line is in one package with the daemon, of which nothing is taken", "docker.io")],
    lock: include_str!("locks/docker-older.lock"),
    on: None,
};

pub static BUSYBOX: PackageSet = PackageSet {
    name: "busybox",
    title: "BusyBox, and the certificates that all the web trusts: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Seeds,
    seeds: &[("a whole small system in one static file", "busybox-static"), ("https", "ca-certificates")],
    lock: include_str!("locks/busybox.lock"),
    on: None,
};

pub static GO: PackageSet = PackageSet {
    name: "go",
    title: "The Go toolchain: backports of Debian 12 (bookworm-backports)",
    suites: BACKPORTS,
    reach: Reach::Seeds,
    seeds: &[("a static compiler, and the standard library as source", "golang-1.21-go golang-1.21-src")],
    lock: include_str!("locks/go.lock"),
    on: None,
};

/// Debian 12's, because they are all older than the toolchain, and because its pool no longer changes.
pub static GO_MODULES: PackageSet = PackageSet {
    name: "go-modules",
    title: "Go modules for programs of lessons: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Seeds,
    seeds: &[
        (
            "command lines",
            "golang-github-spf13-cobra-dev golang-github-spf13-pflag-dev golang-github-inconshreveable-mousetrap-dev \
             golang-github-cpuguy83-go-md2man-v2-dev golang-github-russross-blackfriday-v2-dev \
             golang-github-shurcool-sanitized-anchor-name-dev golang-github-fatih-color-dev \
             golang-github-mattn-go-isatty-dev golang-github-mattn-go-colorable-dev \
             golang-github-mattn-go-runewidth-dev golang-github-rivo-uniseg-dev \
             golang-github-olekukonko-tablewriter-dev golang-github-dustin-go-humanize-dev \
             golang-github-creack-pty-dev",
        ),
        (
            "servers",
            "golang-github-gorilla-mux-dev golang-github-gorilla-websocket-dev golang-github-go-chi-chi-dev \
             golang-github-julienschmidt-httprouter-dev golang-github-google-uuid-dev golang-github-sirupsen-logrus-dev",
        ),
        (
            "what Go's own people keep beside the standard library",
            "golang-golang-x-text-dev golang-golang-x-sys-dev golang-golang-x-net-dev golang-golang-x-crypto-dev \
             golang-golang-x-sync-dev golang-golang-x-term-dev golang-golang-x-time-dev golang-golang-x-mod-dev",
        ),
        (
            "files of settings, and watching them",
            "golang-gopkg-yaml.v3-dev golang-gopkg-yaml.v2-dev golang-github-burntsushi-toml-dev \
             golang-github-fsnotify-fsnotify-dev",
        ),
        (
            "errors and tests",
            "golang-github-pkg-errors-dev golang-github-stretchr-testify-dev golang-github-stretchr-objx-dev \
             golang-github-davecgh-go-spew-dev golang-github-pmezard-go-difflib-dev golang-github-google-go-cmp-dev \
             golang-gopkg-check.v1-dev golang-github-kr-pretty-dev golang-github-kr-text-dev \
             golang-github-rogpeppe-go-internal-dev",
        ),
    ],
    lock: include_str!("locks/go-modules.lock"),
    on: None,
};

pub static BASE: PackageSet = PackageSet {
    name: "base",
    title: "A small Debian for services: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Closure,
    seeds: &[MERGED, ("every other package takes them for granted", ESSENTIAL), ("packages can be installed", "apt")],
    lock: include_str!("locks/base.lock"),
    on: None,
};

pub static NGINX: PackageSet = PackageSet {
    name: "nginx",
    title: "nginx, upon the small Debian: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Closure,
    seeds: &[("the server without the modules that Debian keeps apart", "nginx")],
    lock: include_str!("locks/nginx.lock"),
    on: Some(&BASE),
};

pub static REDIS: PackageSet = PackageSet {
    name: "redis",
    title: "Redis, upon the small Debian: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Closure,
    seeds: &[("the server, which brings its command line", "redis-server")],
    lock: include_str!("locks/redis.lock"),
    on: Some(&BASE),
};

pub static PYTHON: PackageSet = PackageSet {
    name: "python",
    title: "Python, upon the small Debian: Debian 12 (bookworm)",
    suites: BOOKWORM,
    reach: Reach::Closure,
    seeds: &[("the language with its whole library, and its installer", "python3 python3-venv python3-pip")],
    lock: include_str!("locks/python.lock"),
    on: Some(&BASE),
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_lock_of_this_build_reads_and_is_written_back_the_same() {
        for set in SETS {
            let lock = set.lock().unwrap_or_else(|error| panic!("{}: {error}", set.name));
            assert_eq!(lock.to_text(set.title), set.lock, "{}", set.name);
            assert!(lock.pins.is_sorted_by_key(|pin| &pin.package), "{}", set.name);
        }
    }

    #[test]
    fn every_seed_is_pinned_and_no_package_is_there_twice() {
        for set in SETS {
            let (pins, given) = (set.lock().unwrap().pins, set.given().unwrap());
            let has = |pins: &[Pin], package: &str| pins.iter().any(|pin| pin.package == package);
            for seed in set.seeds() {
                assert!(has(&pins, seed) || has(&given, seed), "{seed} is not in the lock of {}", set.name);
            }
            for pin in &pins {
                assert!(!has(&given, &pin.package), "{} of {} is installed already", pin.package, set.name);
            }
        }
    }
}
