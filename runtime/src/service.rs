//! Starting the service's own processes, each with no more than it needs.
//!
//! Keeper and web are exec'd from the same file as the supervisor, die with it, and are told what they
//! need by a sealed descriptor. The keeper stays root; the web process gives everything up before it
//! runs a line of its own: it gets an id without an account, and a mount namespace in which the few
//! directories it may see stand below [`ROOM`], because a data directory below a 0700 parent, as /root
//! is, could not be reached after the drop.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};
use rustix::process::{Resource, Rlimit};

use crate::sys::memfd::sealed_bytes;
use crate::sys::process::{self, Child, Fork, ForkOptions, become_id, cloexec_from, exit_now, fork, place_fd};

/// Where the web process finds its directories.
pub const ROOM: &str = "/run/quayside";

/// The web process weighs as much as all sandboxes together (sched(7): ten times a process without it): what
/// answers everybody is not outweighed by what learners run.
const WEB_NICE: i32 = -10;

/// Descriptors that a part finds at its start.
pub mod part_fds {
    /// What it is told, as JSON.
    pub const CONFIG: i32 = 3;
    /// The listening socket (web).
    pub const LISTENER: i32 = 4;
    /// A SOCK_SEQPACKET pair's end, to the supervisor (web).
    pub const SUPERVISOR: i32 = 5;
    /// The listening socket for metrics, if there is one (web).
    pub const METRICS: i32 = 6;
}

/// What the web process is started with.
#[derive(Debug)]
pub struct WebStart<'a> {
    pub config: &'a [u8],
    pub listener: BorrowedFd<'a>,
    pub supervisor: BorrowedFd<'a>,
    pub metrics: Option<BorrowedFd<'a>>,
    pub uid: u32,
    pub gid: u32,
    pub binds: &'a [Bind],
}

/// A directory of the host that the web process sees as `ROOM/NAME`.
#[derive(Debug, Clone)]
pub struct Bind {
    pub name: &'static str,
    pub from: PathBuf,
    pub writable: bool,
}

/// Starts `quayside keeper`.
pub fn start_keeper(binary: BorrowedFd, config: &[u8]) -> io::Result<Child> {
    start(
        config,
        &[],
        |program| {
            die_with_parent()?;
            Err(process::exec_fd(program, &[c"quayside", c"keeper"], &environment()))
        },
        binary,
    )
}

/// Starts `quayside web`, as somebody who is not root.
pub fn start_web(binary: BorrowedFd, web: &WebStart) -> io::Result<Child> {
    let mut fds = vec![web.listener, web.supervisor];
    fds.extend(web.metrics);
    start(
        web.config,
        &fds,
        |program| {
            // A key passes here twice. Where it is refused, keys wait for their neighbours' turns, and no more.
            let _ = process::take_short_turns(WEB_NICE).or_else(|_| process::take_short_turns(0));
            enter_room(web.binds)?;
            become_id(web.uid, web.gid)?;
            // Nothing that it starts can have more than it has; it starts nothing.
            rustix::thread::set_no_new_privs(true)?;
            // After the last change of ids, which clears it (prctl(2), PR_SET_PDEATHSIG).
            die_with_parent()?;
            Err(process::exec_fd(program, &[c"quayside", c"web"], &environment()))
        },
        binary,
    )
}

/// Starts `quayside registry-front`, as somebody who is not root and cannot write a file longer than `file_max_bytes`:
/// descriptors of files are all that it is given to write. `fds`: the listening socket, and the line to the one that has
/// the images.
pub fn start_registry(
    binary: BorrowedFd,
    config: &[u8],
    fds: [BorrowedFd; 2],
    (uid, gid): (u32, u32),
    file_max_bytes: u64,
) -> io::Result<Child> {
    start(
        config,
        &fds,
        |program| {
            become_id(uid, gid)?;
            rustix::thread::set_no_new_privs(true)?;
            let limit = Some(file_max_bytes);
            rustix::process::setrlimit(Resource::Fsize, Rlimit { current: limit, maximum: limit })?;
            die_with_parent()?;
            Err(process::exec_fd(program, &[c"quayside", c"registry-front"], &environment()))
        },
        binary,
    )
}

fn start(
    config: &[u8],
    // From the one after [`part_fds::CONFIG`] on.
    fds: &[BorrowedFd],
    become_part: impl FnOnce(BorrowedFd) -> io::Result<()>,
    binary: BorrowedFd,
) -> io::Result<Child> {
    let config = sealed_bytes(config)?;
    let part = || -> io::Result<()> {
        // A group of its own: Ctrl-C is for the supervisor, which ends the parts in order.
        nix::unistd::setpgid(nix::unistd::Pid::from_raw(0), nix::unistd::Pid::from_raw(0))?;
        nix::unistd::chdir("/")?;
        let high = |fd: BorrowedFd| rustix::io::fcntl_dupfd_cloexec(fd, 32);
        let (config, program) = (high(config.as_fd())?, high(binary)?);
        let fds: Vec<OwnedFd> = fds.iter().map(|&fd| high(fd)).collect::<Result<_, _>>()?;
        let mut number = part_fds::CONFIG;
        for fd in std::iter::once(&config).chain(&fds) {
            place_fd(fd.as_fd(), number)?;
            number += 1;
        }
        cloexec_from(number)?;
        process::reset_signals();
        become_part(program.as_fd())
    };
    match fork(ForkOptions::default())? {
        Fork::Parent(child) => Ok(child),
        Fork::Child => {
            let error = part().expect_err("exec returns only on failure");
            let _ =
                io::Write::write_all(&mut io::stderr(), format!("quayside: cannot start a part: {error}\n").as_bytes());
            exit_now(1)
        }
    }
}

fn environment() -> [&'static CStr; 2] {
    [c"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", c"LANG=C.UTF-8"]
}

fn die_with_parent() -> io::Result<()> {
    Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
}

/// A mount namespace of its own with the directories of `binds` below [`ROOM`].
fn enter_room(binds: &[Bind]) -> io::Result<()> {
    unshare(CloneFlags::CLONE_NEWNS)?;
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
    let flags = MsFlags::MS_NOSUID | MsFlags::MS_NODEV | MsFlags::MS_NOEXEC;
    mount(Some("tmpfs"), ROOM, Some("tmpfs"), flags, Some("mode=755,size=64k"))?;
    for Bind { name, from, writable } in binds {
        let at = Path::new(ROOM).join(name);
        fs::create_dir(&at)?;
        mount(Some(from), &at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?;
        let read_only = if *writable { MsFlags::empty() } else { MsFlags::MS_RDONLY };
        let flags = flags | read_only | MsFlags::MS_BIND | MsFlags::MS_REMOUNT;
        mount(None::<&str>, &at, None::<&str>, flags, None::<&str>)?;
    }
    Ok(())
}

/// Has orphans of this process's children given to it, to be reaped: shims whose keeper has ended.
pub fn adopt_orphans() -> io::Result<()> {
    Ok(rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?)
}

/// The calls of a sandbox without a sandbox's care: what the benchmark's floor is made of.
pub mod floor {
    use super::*;
    use crate::sys::process::CLONE_NEWTIME;

    /// Runs `work` in a forked child and waits; `true` if it worked.
    pub fn in_child(work: impl FnOnce() -> io::Result<()>) -> io::Result<bool> {
        match fork(ForkOptions::default())? {
            Fork::Child => exit_now(i32::from(work().is_err())),
            Fork::Parent(child) => {
                let status = nix::sys::wait::waitpid(child.pid, None)?;
                Ok(matches!(status, nix::sys::wait::WaitStatus::Exited(_, 0)))
            }
        }
    }

    /// All eight namespaces at once (unshare(2)).
    pub fn unshare_all() -> io::Result<()> {
        let all = CloneFlags::CLONE_NEWUSER
            | CloneFlags::CLONE_NEWNS
            | CloneFlags::CLONE_NEWUTS
            | CloneFlags::CLONE_NEWIPC
            | CloneFlags::CLONE_NEWNET
            | CloneFlags::CLONE_NEWPID
            | CloneFlags::CLONE_NEWCGROUP
            | CloneFlags::from_bits_retain(CLONE_NEWTIME);
        Ok(unshare(all)?)
    }

    /// An overlay of `lower`, `upper` and `work` in `room` on `root`, /proc in it, and pivot_root to it.
    pub fn mount_and_pivot(room: &Path) -> io::Result<()> {
        mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?;
        let part = |name: &str| room.join(name).display().to_string();
        let options =
            format!("lowerdir={},upperdir={},workdir={},userxattr", part("lower"), part("upper"), part("work"));
        mount(Some("overlay"), &room.join("root"), Some("overlay"), MsFlags::empty(), Some(options.as_str()))?;
        mount(Some("proc"), &room.join("root/proc"), Some("proc"), MsFlags::empty(), None::<&str>)?;
        crate::sys::mount::pivot_root_here(&room.join("root"))
    }
}
