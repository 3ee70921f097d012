//! Trying, one need after another. The caller has one thread, and is root for most of it.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sched::{CloneFlags, unshare};
use rustix::mount::MountAttrFlags;

use super::finding::{
    CONTROLLERS, Cause, Finding, Namespace, Need, Settings, State, accounts_within, cause_of_namespace, map_covers,
    overlapping_ranges,
};
use crate::cgroup::layout::Layout;
use crate::cgroup::parent::Parent;
use crate::image::debian;
use crate::launch::child::restrict;
use crate::launch::lease::{Ids, RANGE, SLOTS_MAX, WEB_ID};
use crate::launch::plan::staging_directory;
use crate::network::netlink::Netlink;
use crate::sys;
use crate::sys::process::{CLONE_NEWTIME, Fork, ForkOptions, exit_now, fork};

/// Room for the images and a few sessions; below it nothing starts.
const DISK_MIN_BYTES: u64 = 300 * 1024 * 1024;
/// Room for a class's disks as they fill.
const DISK_WANTED_BYTES: u64 = 2 * 1024 * 1024 * 1024;
/// A handful of learners at the default limits.
const MEMORY_WANTED_BYTES: u64 = 2 * 1024 * 1024 * 1024;

/// What the service is to be started with.
#[derive(Debug, Clone)]
pub struct Asked {
    pub data: PathBuf,
    /// `None`: something of ours listens already.
    pub listen: Option<SocketAddr>,
    /// As named by the operator; without it, the host's apt knows one.
    pub debian_mirror: Option<String>,
}

/// Every need, in the order in which one stands on another.
pub fn examine(asked: &Asked) -> Vec<Finding> {
    let layout = Layout::of_host().unwrap_or(Layout { v1: Vec::new(), v2: None });
    let parent = Parent::of_host(&layout);
    let mut findings = vec![root(), Finding::new(Need::Clone3, tried(in_child(|| Ok(()))))];
    let is_root = !findings[0].is_missing();
    findings.extend(Namespace::ALL.map(namespace));
    findings.push(cgroups(&layout, &parent, is_root));
    findings.extend(CONTROLLERS.map(|name| controller(&layout, &parent, name)));
    findings.push(cgroup_kill(&layout, &parent));
    findings.push(Finding::new(Need::Overlay, tried(in_child(overlay))));
    findings.push(Finding::new(
        Need::Seccomp,
        tried(in_child(|| Ok(unshare(CloneFlags::CLONE_NEWUSER)?).and_then(|()| restrict()))),
    ));
    findings.push(Finding::new(Need::Veth, tried(in_child(veth))));
    let data = data_directory(&asked.data);
    let usable = !data.is_missing();
    findings.push(data);
    for (need, probe) in
        [(Need::Disk, disk as fn(&Path) -> State), (Need::IdMaps, id_maps), (Need::LoopDevices, loop_device)]
    {
        let depends = if is_root { Need::DataDirectory } else { Need::Root };
        let state = if usable && is_root { probe(&asked.data) } else { State::Missing(Cause::DependsOn(depends)) };
        findings.push(Finding::new(need, state));
    }
    findings.push(Finding::new(Need::Ext4, tried(in_child(ext4))));
    findings.push(program(Need::Mke2fs, "mke2fs", State::Missing));
    findings.push(program(Need::Bash, "bash", State::Weak));
    findings.push(Finding::new(Need::Ids, ids()));
    findings.push(mirror(asked));
    findings.push(Finding::new(Need::Memory, memory()));
    findings.extend(asked.listen.map(port));
    findings
}

fn root() -> Finding {
    let is_root = nix::unistd::geteuid().is_root();
    let state = if is_root { State::Present(String::new()) } else { State::Missing(Cause::NotRoot) };
    Finding::new(Need::Root, state)
}

fn tried(result: Result<(), Option<i32>>) -> State {
    match result {
        Ok(()) => State::Present(String::new()),
        Err(Some(libc::EINVAL | libc::ENOSYS | libc::ENODEV | libc::EOPNOTSUPP)) => State::Missing(Cause::Kernel),
        Err(Some(libc::EPERM | libc::EACCES)) if !nix::unistd::geteuid().is_root() => State::Missing(Cause::NotRoot),
        Err(Some(libc::EPERM | libc::EACCES)) => State::Missing(Cause::Confined),
        Err(Some(errno)) => State::Missing(Cause::Other(io::Error::from_raw_os_error(errno).to_string())),
        Err(None) => State::Missing(Cause::Other("the attempt ended without an answer".into())),
    }
}

/// Runs `attempt` in a child, which takes all it made with it; its error number is the child's exit code.
fn in_child(attempt: impl FnOnce() -> io::Result<()>) -> Result<(), Option<i32>> {
    let errno = |error: io::Error| error.raw_os_error().unwrap_or(libc::EIO);
    match fork(ForkOptions::default()).map_err(|error| Some(errno(error)))? {
        Fork::Child => exit_now(attempt().map_or_else(errno, |()| 0)),
        Fork::Parent(child) => match nix::sys::wait::waitpid(child.pid, None) {
            Ok(nix::sys::wait::WaitStatus::Exited(_, 0)) => Ok(()),
            Ok(nix::sys::wait::WaitStatus::Exited(_, errno)) => Err(Some(errno)),
            _ => Err(None),
        },
    }
}

fn namespace(which: Namespace) -> Finding {
    let flag = match which {
        Namespace::User => CloneFlags::empty(),
        Namespace::Pid => CloneFlags::CLONE_NEWPID,
        Namespace::Mount => CloneFlags::CLONE_NEWNS,
        Namespace::Network => CloneFlags::CLONE_NEWNET,
        Namespace::Uts => CloneFlags::CLONE_NEWUTS,
        Namespace::Ipc => CloneFlags::CLONE_NEWIPC,
        Namespace::Time => CloneFlags::from_bits_retain(CLONE_NEWTIME),
        Namespace::Cgroup => CloneFlags::CLONE_NEWCGROUP,
    };
    let result = in_child(|| {
        unshare(CloneFlags::CLONE_NEWUSER)?;
        Ok(unshare(flag)?)
    });
    let setting =
        |file: &str| fs::read_to_string(Path::new("/proc/sys/kernel").join(file)).ok().map(|text| text.trim().into());
    let settings = Settings {
        unprivileged_userns_clone: setting("unprivileged_userns_clone"),
        apparmor_restrict_unprivileged_userns: setting("apparmor_restrict_unprivileged_userns"),
    };
    let state = match result {
        Ok(()) => State::Present(String::new()),
        Err(errno) => State::Missing(cause_of_namespace(which, errno, &settings)),
    };
    Finding::new(Need::Namespace(which), state)
}

/// Makes a group where sandboxes' groups would be, in every hierarchy, and removes it.
fn cgroups(layout: &Layout, parent: &Parent, is_root: bool) -> Finding {
    let word = layout.word();
    let mounts = layout.v1.iter().map(|v1| &v1.mount).chain(layout.v2.iter().map(|v2| &v2.mount));
    let tops = mounts.map(|mount| mount.join(&parent.path));
    let attempt = |top: PathBuf| {
        let group = top.join(format!("quayside-doctor-{}", std::process::id()));
        fs::create_dir(&group).and_then(|()| fs::remove_dir(&group))
    };
    let state = match tops.map(attempt).collect::<io::Result<Vec<()>>>() {
        _ if word == "none" => State::Missing(Cause::Absent),
        Ok(_) => State::Present(word.into()),
        Err(_) if !is_root => State::Missing(Cause::NotRoot),
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    };
    Finding::new(Need::Cgroups, state)
}

fn controller(layout: &Layout, parent: &Parent, name: &'static str) -> Finding {
    let state = match layout.v1_of(name) {
        Some(_) => State::Present("v1".into()),
        None if layout.v2_has(name) && parent.has(name) => State::Present("v2".into()),
        None => State::Weak(Cause::Absent),
    };
    Finding::new(Need::Controller(name), state)
}

/// cgroup.kill is in every group of v2 but the root (cgroups(7), since Linux 5.14).
fn cgroup_kill(layout: &Layout, parent: &Parent) -> Finding {
    let has_kill = |top: &Path| {
        let group = top.join(format!("quayside-doctor-{}", std::process::id()));
        let made = fs::create_dir(&group).is_ok();
        let has = group.join("cgroup.kill").exists();
        if made {
            let _ = fs::remove_dir(&group);
        }
        has
    };
    let has = layout.v2.as_ref().is_some_and(|v2| has_kill(&v2.mount.join(&parent.path)));
    let state = if has { State::Present(String::new()) } else { State::Weak(Cause::Absent) };
    Finding::new(Need::CgroupKill, state)
}

/// Root of a user namespace of one id, with mounts of its own.
fn become_root_of_own() -> io::Result<()> {
    let (uid, gid) = (nix::unistd::geteuid(), nix::unistd::getegid());
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNS)?;
    fs::write("/proc/self/setgroups", "deny")?;
    fs::write("/proc/self/uid_map", format!("0 {uid} 1"))?;
    fs::write("/proc/self/gid_map", format!("0 {gid} 1"))
}

fn overlay() -> io::Result<()> {
    become_root_of_own()?;
    let room = staging_directory();
    let tmpfs = sys::mount::make("tmpfs", &[], MountAttrFlags::empty())?;
    sys::mount::attach(tmpfs.as_fd(), &room)?;
    for part in ["lower", "upper", "work", "root"] {
        fs::create_dir(room.join(part))?;
    }
    let part = |name: &str| room.join(name).display().to_string();
    let options = format!("lowerdir={},upperdir={},workdir={},userxattr", part("lower"), part("upper"), part("work"));
    let flags = nix::mount::MsFlags::empty();
    Ok(nix::mount::mount(Some("overlay"), &room.join("root"), Some("overlay"), flags, Some(options.as_str()))?)
}

fn veth() -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWUSER | CloneFlags::CLONE_NEWNET)?;
    let own = fs::File::open("/proc/self/ns/net")?;
    Netlink::open()?.add_veth("eth0", "eth1", own.as_fd())
}

/// The kernel refuses a source that is not given only once it has found the file system.
fn ext4() -> io::Result<()> {
    rustix::mount::fsopen("ext4", rustix::mount::FsOpenFlags::FSOPEN_CLOEXEC)?;
    Ok(())
}

fn data_directory(data: &Path) -> Finding {
    let attempt = || -> io::Result<()> {
        fs::create_dir_all(data)?;
        let file = data.join(format!(".doctor-{}", std::process::id()));
        fs::write(&file, "")?;
        fs::remove_file(&file)
    };
    let state = match attempt() {
        Ok(()) => State::Present(data.display().to_string()),
        Err(error) => State::Missing(Cause::Other(format!("{}: {error}", data.display()))),
    };
    Finding::new(Need::DataDirectory, state)
}

fn disk(data: &Path) -> State {
    let free = match nix::sys::statvfs::statvfs(data) {
        Ok(room) => room.blocks_available() * room.fragment_size(),
        Err(error) => return State::Missing(Cause::Other(error.to_string())),
    };
    match free {
        has if has < DISK_MIN_BYTES => State::Missing(Cause::Little { has, wanted: DISK_WANTED_BYTES }),
        has if has < DISK_WANTED_BYTES => State::Weak(Cause::Little { has, wanted: DISK_WANTED_BYTES }),
        has => State::Present(format!("{} GB free", has / 1_000_000_000)),
    }
}

/// On the very file system that the images are on: not all can (mount_setattr(2)).
fn id_maps(data: &Path) -> State {
    let attempt = || -> io::Result<()> {
        let namespace = mapped_user_namespace()?;
        let tree = sys::mount::clone_tree(data)?;
        sys::mount::idmap(tree.as_fd(), namespace.as_fd(), 0)
    };
    match attempt() {
        Ok(()) => State::Present(String::new()),
        Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {
            State::Missing(Cause::FileSystem { path: data.into(), kind: file_system_of(data) })
        }
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    }
}

/// A user namespace that maps one sandbox's range; its child lives just long enough to be mapped.
fn mapped_user_namespace() -> io::Result<OwnedFd> {
    let (told_read, told_write) = rustix::pipe::pipe()?;
    let (end_read, end_write) = rustix::pipe::pipe()?;
    match fork(ForkOptions::default())? {
        Fork::Child => {
            drop((told_read, end_write));
            let made = unshare(CloneFlags::CLONE_NEWUSER).is_ok();
            let _ = rustix::io::write(&told_write, &[u8::from(made)]);
            let _ = rustix::io::read(&end_read, &mut [0]);
            exit_now(0)
        }
        Fork::Parent(child) => {
            drop((told_write, end_read));
            let mut made = [0];
            rustix::io::read(&told_read, &mut made)?;
            let map = || -> io::Result<OwnedFd> {
                let proc = PathBuf::from(format!("/proc/{}", child.pid));
                let map = format!("0 {} {RANGE}\n", Ids::of(0).base);
                fs::write(proc.join("uid_map"), &map)?;
                fs::write(proc.join("gid_map"), &map)?;
                Ok(fs::File::open(proc.join("ns/user"))?.into())
            };
            let namespace = map();
            drop(end_write);
            let _ = nix::sys::wait::waitpid(child.pid, None);
            namespace
        }
    }
}

/// The type of the mount that `path` is on, from mountinfo.
fn file_system_of(path: &Path) -> String {
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.into());
    let mountinfo = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let mount = |line: &str| {
        let (before, after) = line.split_once(" - ")?;
        let at = PathBuf::from(before.split(' ').nth(4)?);
        path.starts_with(&at).then(|| (at, after.split(' ').next().unwrap_or("").to_owned()))
    };
    let mounts = mountinfo.lines().filter_map(mount);
    mounts.max_by_key(|(at, _)| at.components().count()).map_or_else(|| "unknown".into(), |(_, kind)| kind)
}

fn loop_device(data: &Path) -> State {
    let file = data.join(format!(".doctor-disk-{}", std::process::id()));
    let attempt = || -> io::Result<()> {
        let disk = fs::OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&file)?;
        disk.set_len(1024 * 1024)?;
        sys::loop_device::attach(disk.as_fd(), 4096).map(drop)
    };
    let result = attempt();
    let _ = fs::remove_file(&file);
    match result {
        Ok(()) => State::Present(String::new()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            State::Missing(Cause::NotFound("/dev/loop-control".into()))
        }
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    }
}

fn program(need: Need, name: &str, otherwise: fn(Cause) -> State) -> Finding {
    let directories = ["/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin"];
    let found = directories.iter().map(|directory| Path::new(directory).join(name)).find(|path| path.exists());
    let state = match found {
        Some(path) => State::Present(path.display().to_string()),
        None => otherwise(Cause::NotFound(name.into())),
    };
    Finding::new(need, state)
}

fn ids() -> State {
    let ours = (WEB_ID, Ids::of(SLOTS_MAX - 1).base + (RANGE - 1));
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let maps = ["/proc/self/uid_map", "/proc/self/gid_map"];
    if !maps.iter().all(|map| map_covers(&read(map), ours)) {
        return State::Missing(Cause::FewIds);
    }
    let ranges = ["/etc/subuid", "/etc/subgid"].into_iter().flat_map(|file| overlapping_ranges(&read(file), ours));
    let accounts = ["/etc/passwd", "/etc/group"].into_iter().flat_map(|file| accounts_within(&read(file), ours));
    let shared: Vec<String> = ranges.chain(accounts).collect();
    match shared.is_empty() {
        true => State::Present(format!("{} to {}", ours.0, ours.1)),
        false => State::Weak(Cause::SharedIds(shared.join(", "))),
    }
}

fn mirror(asked: &Asked) -> Finding {
    let state = match debian::mirrors(asked.debian_mirror.as_deref(), Path::new("/etc/apt")) {
        Ok(_) => State::Present(String::new()),
        Err(error) => State::Weak(Cause::Other(error.to_string())),
    };
    Finding::new(Need::Mirror, state)
}

fn memory() -> State {
    let meminfo = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib: Option<u64> = line.and_then(|rest| rest.trim().trim_end_matches(" kB").parse().ok());
    match kib.map(|kib| kib * 1024) {
        Some(has) if has < MEMORY_WANTED_BYTES => State::Weak(Cause::Little { has, wanted: MEMORY_WANTED_BYTES }),
        Some(has) => State::Present(format!("{} GB", has / 1_000_000_000)),
        None => State::Weak(Cause::NotFound("/proc/meminfo".into())),
    }
}

fn port(address: SocketAddr) -> Finding {
    let state = match TcpListener::bind(address) {
        Ok(_) => State::Present(address.to_string()),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => State::Missing(Cause::Taken),
        Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => State::Missing(Cause::NotOurs),
        Err(error) => State::Missing(Cause::Other(error.to_string())),
    };
    Finding::new(Need::Port, state)
}
