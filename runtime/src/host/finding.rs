//! Findings as plain data, and the pure part: which cause an error number stands for.

use std::net::SocketAddr;
use std::path::PathBuf;

/// One of the eight namespaces (namespaces(7)).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Namespace {
    User,
    Pid,
    Mount,
    Network,
    Uts,
    Ipc,
    Time,
    Cgroup,
}

impl Namespace {
    /// In the order in which a launch makes them: the user namespace owns the others.
    pub const ALL: [Self; 8] =
        [Self::User, Self::Pid, Self::Mount, Self::Network, Self::Uts, Self::Ipc, Self::Time, Self::Cgroup];

    pub fn word(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Mount => "mount",
            Self::Network => "network",
            Self::Uts => "uts",
            Self::Ipc => "ipc",
            Self::Time => "time",
            Self::Cgroup => "cgroup",
        }
    }

    /// The setting that bounds how many there may be (namespaces(7)).
    pub fn bound(self) -> &'static str {
        match self {
            Self::User => "user.max_user_namespaces",
            Self::Pid => "user.max_pid_namespaces",
            Self::Mount => "user.max_mnt_namespaces",
            Self::Network => "user.max_net_namespaces",
            Self::Uts => "user.max_uts_namespaces",
            Self::Ipc => "user.max_ipc_namespaces",
            Self::Time => "user.max_time_namespaces",
            Self::Cgroup => "user.max_cgroup_namespaces",
        }
    }
}

/// What a host is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    Root,
    Ids,
    /// clone3(2) and a pidfd.
    Clone3,
    Namespace(Namespace),
    /// Any hierarchy, and the right to make groups in it.
    Cgroups,
    /// `memory`, `pids`, `cpu`.
    Controller(&'static str),
    CgroupKill,
    Overlay,
    IdMaps,
    LoopDevices,
    Mke2fs,
    Ext4,
    Seccomp,
    Veth,
    /// The image borrowed from the host's own commands.
    HostImage,
    Mirror,
    DataDirectory,
    Disk,
    Memory,
    /// Room for as many learners as memory, processors and disk together carry.
    Learners,
    /// Open files of everybody together: more than one sandbox may have.
    OpenFiles,
    /// Neighbours (arp(7)) of all networks of the host together: more than one sandbox can keep.
    Neighbours,
    Port,
}

/// Controllers that a sandbox's limits are made of.
pub const CONTROLLERS: [&str; 3] = ["memory", "pids", "cpu"];

/// Why something is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cause {
    /// A setting of the kernel's forbids it: `name` is `is`, and should be `wanted`.
    Setting { name: &'static str, is: String, wanted: &'static str },
    /// The whole host may have so many files open (`fs.file-max`), and one sandbox so many.
    FewFiles { max: u64, each: u64 },
    /// All networks of the host together may know so many neighbours, by this setting (ip-sysctl.rst).
    FewNeighbours { setting: &'static str, max: u64, wanted: u64 },
    /// A profile of AppArmor's, or another security module, forbids it to this program.
    Confined,
    /// Only root may.
    NotRoot,
    /// The kernel does not know it: too old, or built without it.
    Kernel,
    /// Could not be tried, because what it stands on is missing.
    DependsOn(Need),
    /// No program, file or directory of this name.
    NotFound(PathBuf),
    /// Nothing of the kind is mounted or offered.
    Absent,
    /// The file system at `path` cannot do it.
    FileSystem { path: PathBuf, kind: String },
    /// The mount that it is on has this option.
    MountedWith { path: PathBuf, option: &'static str },
    /// Somebody else has some of the ids.
    SharedIds(String),
    /// Not all ids exist in the user namespace that we are in ourselves.
    FewIds,
    /// Less than wanted: bytes.
    Little { has: u64, wanted: u64 },
    /// The address is taken by somebody who listens already.
    Taken(SocketAddr),
    /// Not an address of this machine.
    NotOurs(SocketAddr),
    /// Whatever else: the system's own words.
    Other(String),
}

/// How much of a need is met.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// With a word on how, where that tells something: `v2`, `/usr/sbin/mke2fs`.
    Present(String),
    /// Sandboxes can be served, with less.
    Weak(Cause),
    /// None can.
    Missing(Cause),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    pub need: Need,
    pub state: State,
}

impl Finding {
    pub fn new(need: Need, state: State) -> Self {
        Self { need, state }
    }

    pub fn is_missing(&self) -> bool {
        matches!(self.state, State::Missing(_))
    }
}

/// The kernel's settings that forbid namespaces, as they are on this host; `None`: the kernel has none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// kernel.unprivileged_userns_clone (Debian's)
    pub unprivileged_userns_clone: Option<String>,
    /// kernel.apparmor_restrict_unprivileged_userns (Ubuntu's)
    pub apparmor_restrict_unprivileged_userns: Option<String>,
}

/// Why a namespace could not be made, from the error of unshare(2) and the kernel's settings.
///
/// Three things forbid user namespaces, each with an error number of its own: EPERM is Debian's switch,
/// ENOSPC is a bound that is used up (or 0), EACCES is a security module. Ubuntu's switch lets the user
/// namespace be made but without any right in it: then it is the others that fail with EPERM.
pub fn cause_of_namespace(which: Namespace, errno: Option<i32>, settings: &Settings) -> Cause {
    const EPERM: i32 = nix::errno::Errno::EPERM as i32;
    const EACCES: i32 = nix::errno::Errno::EACCES as i32;
    const ENOSPC: i32 = nix::errno::Errno::ENOSPC as i32;
    const EUSERS: i32 = nix::errno::Errno::EUSERS as i32;
    const EINVAL: i32 = nix::errno::Errno::EINVAL as i32;
    const ENOSYS: i32 = nix::errno::Errno::ENOSYS as i32;
    let is_on = |setting: &Option<String>, value| setting.as_deref() == Some(value);
    match errno {
        Some(EPERM) if is_on(&settings.unprivileged_userns_clone, "0") => {
            Cause::Setting { name: "kernel.unprivileged_userns_clone", is: "0".into(), wanted: "1" }
        }
        Some(EPERM | EACCES) if is_on(&settings.apparmor_restrict_unprivileged_userns, "1") => {
            Cause::Setting { name: "kernel.apparmor_restrict_unprivileged_userns", is: "1".into(), wanted: "0" }
        }
        Some(EACCES | EPERM) => Cause::Confined,
        Some(ENOSPC | EUSERS) => Cause::Setting { name: which.bound(), is: "used up".into(), wanted: "65536" },
        Some(EINVAL | ENOSYS) => Cause::Kernel,
        Some(other) => Cause::Other(std::io::Error::from_raw_os_error(other).to_string()),
        None => Cause::Other("the attempt gave no answer in time".into()),
    }
}

/// Ranges of `text` (`name:start:count`, subuid(5)) that overlap with ours, by their names.
pub fn overlapping_ranges(text: &str, ours: (u32, u32)) -> Vec<String> {
    let overlap = |line: &str| {
        let mut parts = line.trim().split(':');
        let name = parts.next()?;
        let start: u64 = parts.next()?.parse().ok()?;
        let count: u64 = parts.next()?.parse().ok()?;
        let meets = count > 0 && start <= u64::from(ours.1) && u64::from(ours.0) < start + count;
        meets.then(|| format!("{name} ({start} to {})", start + count - 1))
    };
    text.lines().filter_map(overlap).collect()
}

/// Accounts or groups of `text` (passwd(5), group(5): the id is the third field) whose id is one of ours.
pub fn accounts_within(text: &str, ours: (u32, u32)) -> Vec<String> {
    let within = |line: &str| {
        let mut parts = line.split(':');
        let name = parts.next()?;
        let id: u32 = parts.nth(1)?.parse().ok()?;
        (ours.0..=ours.1).contains(&id).then(|| format!("{name} ({id})"))
    };
    text.lines().filter_map(within).collect()
}

/// Whether every id of `ours` exists in a namespace with this uid_map or gid_map (user_namespaces(7)).
pub fn map_covers(map: &str, ours: (u32, u32)) -> bool {
    let range = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse::<u64>);
        Some((numbers.next()?.ok()?, numbers.nth(1)?.ok()?))
    };
    let mut ranges: Vec<(u64, u64)> = map.lines().filter_map(range).collect();
    ranges.sort_unstable();
    let mut next = u64::from(ours.0);
    for (start, count) in ranges {
        if start <= next && next < start + count {
            next = start + count;
        }
    }
    next > u64::from(ours.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_of_forbidding_user_namespaces_is_told_from_the_others() {
        let debian = Settings { unprivileged_userns_clone: Some("0".into()), ..Settings::default() };
        let ubuntu = Settings { apparmor_restrict_unprivileged_userns: Some("1".into()), ..Settings::default() };
        let free = Settings { unprivileged_userns_clone: Some("1".into()), ..Settings::default() };
        let cause = |which, errno, settings: &Settings| match cause_of_namespace(which, Some(errno), settings) {
            Cause::Setting { name, .. } => name.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(cause(Namespace::User, libc::EPERM, &debian), "kernel.unprivileged_userns_clone");
        assert_eq!(cause(Namespace::User, libc::ENOSPC, &free), "user.max_user_namespaces");
        assert_eq!(cause(Namespace::User, libc::ENOSPC, &debian), "user.max_user_namespaces");
        assert_eq!(cause(Namespace::User, libc::EACCES, &free), "Confined");
        assert_eq!(cause(Namespace::Pid, libc::EPERM, &ubuntu), "kernel.apparmor_restrict_unprivileged_userns");
        assert_eq!(cause(Namespace::Pid, libc::EPERM, &free), "Confined");
        assert_eq!(cause(Namespace::Network, libc::ENOSPC, &free), "user.max_net_namespaces");
        assert_eq!(cause(Namespace::Time, libc::EINVAL, &free), "Kernel");
    }

    #[test]
    fn a_range_that_meets_ours_is_named_and_one_beside_it_is_not() {
        let text = "alice:100000:65536\nbob:1000:1\ncarol:999:1\nbroken\ndave:x:1\nerin:2001:5\nfred:2000:0\n";
        assert_eq!(overlapping_ranges(text, (1000, 2000)), ["bob (1000 to 1000)"]);
        assert_eq!(overlapping_ranges(text, (150_000, 150_001)), ["alice (100000 to 165535)"]);
        assert_eq!(overlapping_ranges("last:4294967295:1", (u32::MAX, u32::MAX)), ["last (4294967295 to 4294967295)"]);
    }

    #[test]
    fn an_account_within_our_ids_is_named() {
        let text = "root:x:0:0:root:/root:/bin/bash\nlab:x:1500:1500::/:/bin/sh\n+::::\n";
        assert_eq!(accounts_within(text, (1000, 2000)), ["lab (1500)"]);
    }

    #[test]
    fn a_map_covers_what_its_lines_cover_together() {
        let host = "         0          0 4294967295\n";
        assert!(map_covers(host, (1000, 1_000_000)));
        assert!(!map_covers("0 100000 65536\n", (60_000, 70_000)));
        assert!(map_covers("1000 5000 1000\n0 1 1000\n", (500, 1999)));
        assert!(!map_covers("", (1, 1)));
    }
}
