//! Every need, tried or read, in the order in which it is reported.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::fs::{StatVfsMountFlags, statvfs};

use super::finding::{
    CONTROLLERS, Cause, Finding, Namespace, Need, Settings, State, accounts_within, cause_of_namespace, map_covers,
    overlapping_ranges,
};
use super::memory::{available_bytes, memory_bytes};
use super::trial::{Failure, Stage, attempt};
use crate::cgroup::layout::Layout;
use crate::cgroup::parent::Parent;
use crate::image::{self, Sources};
use crate::launch::child::restrict;
use crate::launch::lease::{Ids, RANGE, SLOTS_MAX, WEB_ID};
use crate::launch::plan::staging_directory;
use crate::network::netlink::Netlink;
use crate::rootfs::disk;
use crate::sizing::{self, Capacity};
use crate::spec::Limits;
use crate::sys;
use crate::sys::process::CLONE_NEWTIME;

/// The Debian image, its archives while it is made, and a few sessions.
const DISK_WANTED_BYTES: u64 = 2 << 30;
/// The image borrowed from the host, and a session or two.
const DISK_NEEDED_BYTES: u64 = 300 << 20;
/// One sandbox at its limit.
const MEMORY_WANTED_BYTES: u64 = 1 << 30;
/// From here on `fs.file-max` bounds nobody: systemd writes the largest number that the kernel takes, and kernels
/// differ in which that is.
const NO_FILE_LIMIT: u64 = i64::MAX as u64;
/// The table of neighbours is everybody's, and what was renewed within five seconds stays (arp(7)): one processor renews
/// 160,000 a second, so this is five times of what a sandbox can hold.
const NEIGHBOURS_WANTED: u64 = 1 << 22;
/// The smallest disk that a sandbox may have is enough to try one.
const TRIAL_DISK_BYTES: u64 = 64 << 20;

/// Where a service would be.
#[derive(Debug, Clone)]
pub struct Place<'a> {
    /// Need not be there yet.
    pub data: &'a Path,
    /// `None`: a service holds it already.
    pub listen: Option<SocketAddr>,
    pub debian_mirror: Option<&'a str>,
    /// Where sandboxes' groups are to go, if somebody has said it.
    pub cgroup_parent: Option<&'a Path>,
    /// What one sandbox may take.
    pub limits: &'a Limits,
}

/// Looks at everything that a service at `place` would need. Changes nothing that lasts; the caller has one
/// thread.
pub fn examine(place: &Place) -> Vec<Finding> {
    let is_root = nix::unistd::geteuid().is_root();
    let root = if is_root { State::Present(String::new()) } else { State::Missing(Cause::NotRoot) };
    let ids = ids();
    // Without these two there is no child to try anything in.
    let blocked = match (&root, &ids) {
        (State::Missing(_), _) => Some(Need::Root),
        (_, State::Missing(_)) => Some(Need::Ids),
        _ => None,
    };
    let tried = |state: &dyn Fn() -> State| match blocked {
        Some(need) => State::Missing(Cause::DependsOn(need)),
        None => state(),
    };
    let mut findings = Vec::new();
    let mut add = |need, state| findings.push(Finding::new(need, state));
    add(Need::Root, root);
    add(Need::Ids, ids);
    add(Need::Clone3, tried(&clone3));
    for which in Namespace::ALL {
        add(Need::Namespace(which), tried(&|| namespace(which)));
    }
    for (need, state) in cgroups(is_root, place.cgroup_parent) {
        add(need, state);
    }
    add(Need::Overlay, tried(&overlay));
    add(Need::IdMaps, tried(&|| id_maps(place.data)));
    let loops = tried(&loop_devices);
    let mke2fs = mke2fs();
    let ext4 = match (&loops, &mke2fs) {
        (State::Missing(_), _) => State::Missing(Cause::DependsOn(Need::LoopDevices)),
        (_, State::Missing(_)) => State::Missing(Cause::DependsOn(Need::Mke2fs)),
        _ => tried(&ext4),
    };
    add(Need::LoopDevices, loops);
    add(Need::Mke2fs, mke2fs);
    add(Need::Ext4, ext4);
    add(Need::Seccomp, tried(&seccomp));
    add(Need::Veth, tried(&veth));
    let mirror = mirror(place.debian_mirror);
    add(Need::HostImage, borrowed_image(matches!(mirror, State::Present(_))));
    add(Need::Mirror, mirror);
    add(Need::DataDirectory, data_directory(place.data));
    add(Need::Disk, room(place.data));
    add(Need::Memory, memory());
    add(Need::Learners, learners(place));
    add(Need::OpenFiles, open_files(place.limits));
    add(Need::Neighbours, neighbours());
    if let Some(listen) = place.listen {
        add(Need::Port, port(listen));
    }
    findings
}

/// What a failed attempt says about `need`; `own` is asked where the attempt came as far as what it was for.
fn state_of(result: Result<(), Failure>, own: impl FnOnce(Failure) -> Cause) -> State {
    match result {
        Ok(()) => State::Present(String::new()),
        Err(Failure { at: Stage::Fork, .. }) => State::Missing(Cause::DependsOn(Need::Clone3)),
        Err(Failure { at: Stage::UserNamespace, .. }) => {
            State::Missing(Cause::DependsOn(Need::Namespace(Namespace::User)))
        }
        Err(failure) => State::Missing(own(failure)),
    }
}

fn nothing(_: BorrowedFd) -> io::Result<()> {
    Ok(())
}

/// ENOSYS, EINVAL, ENODEV and EOPNOTSUPP are how a kernel says that it does not know something.
fn cause_of(failure: Failure) -> Cause {
    match failure.errno {
        Some(libc::ENOSYS | libc::EINVAL | libc::ENODEV | libc::EOPNOTSUPP) => Cause::Kernel,
        Some(errno) => Cause::Other(io::Error::from_raw_os_error(errno).to_string()),
        None => Cause::Other("the attempt gave no answer in time".into()),
    }
}

// ---- namespaces ----

fn clone3() -> State {
    match attempt(nothing, || Ok(())) {
        Err(failure @ Failure { at: Stage::Fork, .. }) => State::Missing(cause_of(failure)),
        _ => State::Present(String::new()),
    }
}

fn namespace(which: Namespace) -> State {
    let cause = |failure: Failure| cause_of_namespace(which, failure.errno, &settings());
    match attempt(nothing, || make(which)) {
        Err(failure @ Failure { at: Stage::UserNamespace, .. }) if which == Namespace::User => {
            State::Missing(cause(failure))
        }
        result => state_of(result, cause),
    }
}

/// As root of a user namespace: what a launch does with the namespace `which`.
fn make(which: Namespace) -> io::Result<()> {
    let flag = match which {
        Namespace::User => return Ok(()),
        Namespace::Pid => CloneFlags::CLONE_NEWPID,
        Namespace::Mount => CloneFlags::CLONE_NEWNS,
        Namespace::Network => CloneFlags::CLONE_NEWNET,
        Namespace::Uts => CloneFlags::CLONE_NEWUTS,
        Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
        Namespace::Time => CloneFlags::from_bits_retain(CLONE_NEWTIME),
        Namespace::Cgroup => CloneFlags::CLONE_NEWCGROUP,
    };
    unshare(flag)?;
    match which {
        Namespace::Time => fs::write("/proc/self/timens_offsets", "monotonic -1 0\nboottime -1 0\n"),
        Namespace::Uts => Ok(nix::unistd::sethostname("doctor")?),
        _ => Ok(()),
    }
}

fn settings() -> Settings {
    let read = |name: &str| {
        let text = fs::read_to_string(Path::new("/proc/sys/kernel").join(name));
        text.ok().map(|text| text.trim().to_owned())
    };
    Settings {
        unprivileged_userns_clone: read("unprivileged_userns_clone"),
        apparmor_restrict_unprivileged_userns: read("apparmor_restrict_unprivileged_userns"),
    }
}

// ---- cgroups ----

fn cgroups(is_root: bool, wanted: Option<&Path>) -> Vec<(Need, State)> {
    let layout = Layout::of_host().unwrap_or(Layout { v1: Vec::new(), v2: None });
    if layout.word() == "none" {
        return vec![(Need::Cgroups, State::Missing(Cause::Absent))];
    }
    let parent = match Parent::wanted(&layout, wanted) {
        Ok(parent) => parent,
        Err(unfit) => return vec![(Need::Cgroups, State::Missing(Cause::Other(unfit.to_string())))],
    };
    let mut tops: Vec<PathBuf> = layout.v1.iter().map(|v1| existing(&v1.mount.join(&parent.path))).collect();
    let v2 = layout.v2.as_ref().map(|v2| existing(&v2.mount.join(&parent.path)));
    tops.extend(v2.clone());
    let place = match parent.path.to_str() {
        Some("") => "sandboxes' groups go below the root".to_owned(),
        _ => format!("sandboxes' groups go below {}", parent.path.display()),
    };
    let not_root = || State::Missing(Cause::DependsOn(Need::Root));
    let can_make = tops.iter().try_for_each(|top| TrialGroup::make(top).map(drop));
    let groups = match can_make {
        _ if !is_root => not_root(),
        Ok(()) => State::Present(format!("{}; {place}", layout.word())),
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    };
    let mut found = vec![(Need::Cgroups, groups)];
    for name in CONTROLLERS {
        let state = match layout.v1_of(name) {
            Some(_) => State::Present("on v1".into()),
            None if parent.has(name) => State::Present("on v2".into()),
            None => State::Weak(Cause::Absent),
        };
        found.push((Need::Controller(name), state));
    }
    let has_kill = v2.is_some_and(|v2| TrialGroup::make(&v2).is_ok_and(|group| group.0.join("cgroup.kill").exists()));
    let kill = match has_kill {
        _ if !is_root => not_root(),
        true => State::Present(String::new()),
        false => State::Weak(Cause::Kernel),
    };
    found.push((Need::CgroupKill, kill));
    found
}

/// An empty group, gone when this is dropped.
struct TrialGroup(PathBuf);

impl TrialGroup {
    fn make(parent: &Path) -> io::Result<Self> {
        let path = parent.join(format!("quayside-doctor-{}", std::process::id()));
        let words = |error| io::Error::other(format!("cannot make the group {}: {error}", path.display()));
        fs::create_dir(&path).map_err(words)?;
        Ok(Self(path))
    }
}

impl Drop for TrialGroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

// ---- file systems ----

fn overlay() -> State {
    let staging = staging_directory();
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNS)?;
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        mount(Some("doctor"), &staging, Some("tmpfs"), MsFlags::empty(), None::<&str>)?;
        for name in ["lower", "upper", "work", "root"] {
            fs::create_dir(staging.join(name))?;
        }
        let at = |name: &str| staging.join(name).display().to_string();
        let options = format!("lowerdir={},upperdir={},workdir={},userxattr", at("lower"), at("upper"), at("work"));
        mount(Some("overlay"), &staging.join("root"), Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        fs::write(staging.join("root/file"), "")
    };
    state_of(attempt(nothing, inside), cause_of)
}

/// On the file system that the layers of images are on.
fn id_maps(data: &Path) -> State {
    let path = existing(data);
    let outside = |namespace: BorrowedFd| {
        let tree = sys::mount::clone_tree(&path)?;
        sys::mount::idmap(tree.as_fd(), namespace, sys::mount::MOUNT_ATTR_RDONLY)
    };
    let result = attempt(outside, || Ok(()));
    state_of(result, |failure| match failure.errno {
        Some(libc::EINVAL | libc::EPERM) => {
            Cause::FileSystem { kind: file_system_of(&path).unwrap_or_else(|| "this kind".into()), path: path.clone() }
        }
        _ => cause_of(failure),
    })
}

/// The type of the file system that `path` is on: of the longest mount point above it.
fn file_system_of(path: &Path) -> Option<String> {
    let path = fs::canonicalize(path).ok()?;
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").ok()?;
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, after) = line.split_once(" - ")?;
        Some((Path::new(before.split(' ').nth(4)?), after.split(' ').next()?))
    });
    // The last of several at the same place is the one on top.
    let above = mounts.filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.components().count()).map(|(_, kind)| kind.to_owned())
}

fn loop_devices() -> State {
    let tried = || -> io::Result<()> {
        let trial = TrialDirectory::make()?;
        let file = fs::OpenOptions::new().read(true).write(true).create_new(true).open(trial.0.join("file"))?;
        file.set_len(1 << 20)?;
        sys::loop_device::attach(file.as_fd(), 4096).map(drop)
    };
    match tried() {
        Ok(()) => State::Present(String::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            State::Missing(Cause::NotFound("/dev/loop-control".into()))
        }
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    }
}

fn mke2fs() -> State {
    match disk::mke2fs() {
        Some(path) => State::Present(path.display().to_string()),
        None => State::Missing(Cause::NotFound("mke2fs".into())),
    }
}

/// A session's disk, from the template to the shifted mount.
fn ext4() -> State {
    let tried = || -> Result<State, String> {
        let trial = TrialDirectory::make().map_err(|error| error.to_string())?;
        let template = disk::template(&trial.0, TRIAL_DISK_BYTES).map_err(|error| error.to_string())?;
        let mount = disk::mount_detached(&template).map_err(|error| error.to_string())?;
        let outside = |namespace: BorrowedFd| sys::mount::idmap(mount.as_fd(), namespace, 0);
        Ok(state_of(attempt(outside, || Ok(())), cause_of))
    };
    tried().unwrap_or_else(|why| State::Missing(Cause::Other(why)))
}

/// A directory for what is tried, gone when this is dropped.
struct TrialDirectory(PathBuf);

impl TrialDirectory {
    fn make() -> io::Result<Self> {
        let mut random = [0; 8];
        getrandom::fill(&mut random).map_err(|error| io::Error::other(error.to_string()))?;
        let path = staging_directory().join(format!("quayside-doctor-{:016x}", u64::from_ne_bytes(random)));
        // Fails where it is there already: nobody's link is followed.
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(Self(path))
    }
}

impl Drop for TrialDirectory {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- the rest of a launch ----

fn seccomp() -> State {
    state_of(attempt(nothing, restrict), cause_of)
}

fn veth() -> State {
    let inside = || {
        unshare(CloneFlags::CLONE_NEWNET)?;
        let here = fs::File::open("/proc/self/ns/net")?;
        Netlink::open()?.add_veth("cable", "eth0", here.as_fd())
    };
    state_of(attempt(nothing, inside), cause_of)
}

fn ids() -> State {
    let ours = (WEB_ID, Ids::of(SLOTS_MAX - 1).base + (RANGE - 1));
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    if !["/proc/self/uid_map", "/proc/self/gid_map"].iter().all(|map| map_covers(&read(map), ours)) {
        return State::Missing(Cause::FewIds);
    }
    let ranges = ["/etc/subuid", "/etc/subgid"].map(|file| (file, overlapping_ranges(&read(file), ours)));
    let accounts = ["/etc/passwd", "/etc/group"].map(|file| (file, accounts_within(&read(file), ours)));
    let shared = ranges.into_iter().chain(accounts).filter(|(_, names)| !names.is_empty());
    let shared: Vec<String> = shared.map(|(file, names)| format!("{} in {file}", names.join(", "))).collect();
    match shared.as_slice() {
        [] => State::Present(format!("{} to {}", ours.0, ours.1)),
        some => State::Weak(Cause::SharedIds(some.join("; "))),
    }
}

/// Without what the host lends, the Debian image is the only one.
fn borrowed_image(has_mirror: bool) -> State {
    match image::host::decide() {
        Ok(_) => State::Present(String::new()),
        Err(error) if has_mirror => State::Weak(Cause::Other(error.to_string())),
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    }
}

fn mirror(setting: Option<&str>) -> State {
    let sources = Sources { debian_mirror: setting.map(Into::into), ..Sources::default() };
    match image::debian::mirrors(sources.debian_mirror.as_deref(), &sources.apt) {
        Ok(mirrors) => State::Present(mirrors.main.first().cloned().unwrap_or_default()),
        Err(_) => State::Weak(Cause::Absent),
    }
}

// ---- room ----

/// `path`, or the nearest directory above it that is there.
fn existing(path: &Path) -> PathBuf {
    let absolute = std::path::absolute(path).unwrap_or_else(|_| path.into());
    absolute.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/")).into()
}

fn data_directory(data: &Path) -> State {
    let path = existing(data);
    if let Err(error) = fs::read_dir(&path) {
        return State::Missing(Cause::Other(format!("cannot read {}: {error}", path.display())));
    }
    let Ok(stat) = statvfs(&path) else { return State::Missing(Cause::NotFound(path)) };
    let mounted = |flag, name| stat.f_flag.contains(flag).then_some(name);
    let forbidding = mounted(StatVfsMountFlags::RDONLY, "ro").or(mounted(StatVfsMountFlags::NOEXEC, "noexec"));
    match (forbidding, mounted(StatVfsMountFlags::NOSUID, "nosuid")) {
        (Some(option), _) => State::Missing(Cause::MountedWith { path, option }),
        (None, Some(option)) => State::Weak(Cause::MountedWith { path, option }),
        (None, None) => State::Present(data.display().to_string()),
    }
}

fn room(data: &Path) -> State {
    let path = existing(data);
    match statvfs(&path) {
        Ok(stat) => {
            let has = stat.f_bavail.saturating_mul(stat.f_frsize);
            let little = |wanted| Cause::Little { has, wanted };
            match has {
                DISK_WANTED_BYTES.. => State::Present(size(has)),
                DISK_NEEDED_BYTES.. => State::Weak(little(DISK_WANTED_BYTES)),
                _ => State::Missing(little(DISK_NEEDED_BYTES)),
            }
        }
        Err(error) => State::Missing(Cause::Other(io::Error::from(error).to_string())),
    }
}

fn memory() -> State {
    match available_bytes() {
        Some(has) if has < MEMORY_WANTED_BYTES => State::Weak(Cause::Little { has, wanted: MEMORY_WANTED_BYTES }),
        Some(has) => State::Present(size(has)),
        None => State::Weak(Cause::Other("/proc/meminfo does not say".into())),
    }
}

fn learners(place: &Place) -> State {
    let host = match machine(place.data) {
        Ok(host) => host,
        Err(error) => return State::Weak(Cause::Other(format!("cannot tell: {error}"))),
    };
    let capacity = Capacity::of(host, place.limits);
    match capacity.learners {
        0 => State::Weak(Cause::Other(capacity.to_string())),
        _ => State::Present(capacity.to_string()),
    }
}

/// The kernel counts open files of all users together, by default as many as a tenth of memory holds. systemd
/// takes that bound away, as memory limits count them too; where nobody did, one sandbox can reach it.
fn open_files(limits: &Limits) -> State {
    let each = limits.pids_max * limits.files_max;
    match fs::read_to_string("/proc/sys/fs/file-max").ok().and_then(|text| text.trim().parse::<u64>().ok()) {
        Some(max) if max < 2 * each => State::Weak(Cause::FewFiles { max, each }),
        Some(NO_FILE_LIMIT..) => State::Present("no limit".into()),
        Some(max) => State::Present(max.to_string()),
        None => State::Weak(Cause::Other("/proc/sys/fs/file-max does not say".into())),
    }
}

/// Every network namespace's count together: Linux knows no bound for one of them.
fn neighbours() -> State {
    let bound = |setting: &'static str| {
        let max = fs::read_to_string(Path::new("/proc/sys").join(setting.replace('.', "/"))).ok()?;
        Some((setting, max.trim().parse::<u64>().ok()?))
    };
    // Without IPv6 there is only the one table.
    let tables = ["net.ipv4.neigh.default.gc_thresh3", "net.ipv6.neigh.default.gc_thresh3"];
    match tables.into_iter().filter_map(bound).min_by_key(|(_, max)| *max) {
        Some((setting, max)) if max < NEIGHBOURS_WANTED => {
            State::Weak(Cause::FewNeighbours { setting, max, wanted: NEIGHBOURS_WANTED })
        }
        Some((_, max)) => State::Present(max.to_string()),
        None => State::Weak(Cause::Other("/proc/sys/net does not say, as in a network namespace of its own".into())),
    }
}

/// What there is of this machine, whoever uses it now.
fn machine(data: &Path) -> io::Result<sizing::Host> {
    let layout = Layout::of_host()?;
    let memory_bytes = memory_bytes(&layout, &Parent::of_host(&layout)).ok_or(io::ErrorKind::InvalidData)?;
    let stat = statvfs(existing(data))?;
    Ok(sizing::Host {
        memory_bytes,
        processors: std::thread::available_parallelism()?.get() as u64,
        disk_bytes: stat.f_bavail.saturating_mul(stat.f_frsize),
    })
}

fn size(bytes: u64) -> String {
    image::show::size(bytes)
}

fn port(listen: SocketAddr) -> State {
    match TcpListener::bind(listen) {
        Ok(_) => State::Present(listen.to_string()),
        Err(error) => State::Missing(match error.kind() {
            io::ErrorKind::AddrInUse => Cause::Taken(listen),
            io::ErrorKind::AddrNotAvailable => Cause::NotOurs(listen),
            _ => Cause::Other(format!("cannot listen on {listen}: {error}")),
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_looked_for_above() {
        let directory = tempfile::tempdir().expect("a directory");
        assert_eq!(existing(&directory.path().join("a/b")), directory.path());
        assert_eq!(existing(directory.path()), directory.path());
    }

    #[test]
    fn a_port_that_somebody_holds_is_taken_and_a_foreign_address_is_not_ours() {
        let held = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = held.local_addr().expect("its address");
        assert_eq!(port(address), State::Missing(Cause::Taken(address)));
        drop(held);
        assert_eq!(port(address), State::Present(address.to_string()));
        let foreign: SocketAddr = "192.0.2.1:80".parse().expect("an address");
        assert_eq!(port(foreign), State::Missing(Cause::NotOurs(foreign)));
    }

    #[test]
    fn a_directory_that_is_a_file_is_missing() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        assert!(matches!(data_directory(file.path()), State::Missing(Cause::Other(_))));
    }
}
