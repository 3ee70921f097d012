//! Making processes and shaping what they inherit.

use std::ffi::CStr;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::errno::Errno;
use nix::unistd::Pid;

/// Flags of clone3(2). libc's constants of the high bits are `c_int` and silently 0, so these are ours.
pub mod clone_flags {
    /// The caller's parent becomes the child's parent.
    pub const PARENT: u64 = 0x0000_8000;
    /// The child starts in the cgroup v2 directory given by descriptor.
    pub const INTO_CGROUP: u64 = 0x2_0000_0000;
    /// A pidfd of the child is returned.
    pub const PIDFD: u64 = 0x0000_1000;
}

/// `CLONE_NEWTIME` for unshare(2) and setns(2): nix's flags lack it.
pub const CLONE_NEWTIME: i32 = 0x0000_0080;

/// `struct clone_args` of clone3(2), first published size plus `cgroup`.
#[repr(C)]
#[derive(Default)]
struct CloneArgs {
    flags: u64,
    pidfd: u64,
    child_tid: u64,
    parent_tid: u64,
    exit_signal: u64,
    stack: u64,
    stack_size: u64,
    tls: u64,
    set_tid: u64,
    set_tid_size: u64,
    cgroup: u64,
}

/// Which side of a [`fork`] this is.
pub enum Fork {
    Child,
    Parent(Child),
}

/// A child that was just made.
pub struct Child {
    pub pid: Pid,
    pub pidfd: OwnedFd,
}

/// How a [`fork`] differs from fork(2).
#[derive(Default, Clone, Copy)]
pub struct ForkOptions<'a> {
    /// A cgroup v2 directory that the child starts in. Moving it afterwards costs an RCU grace
    /// period of about 10 ms; starting there costs nothing.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// The caller's parent reaps the child (CLONE_PARENT).
    pub sibling: bool,
}

/// Forks, by clone3(2). Only for a single-threaded process: the child may then do anything.
pub fn fork(options: ForkOptions) -> io::Result<Fork> {
    debug_assert_eq!(threads(), 1, "fork in a process with several threads");
    let mut pidfd: RawFd = -1;
    let mut args = CloneArgs {
        flags: clone_flags::PIDFD,
        pidfd: (&raw mut pidfd) as u64,
        exit_signal: if options.sibling { 0 } else { libc::SIGCHLD as u64 },
        ..CloneArgs::default()
    };
    if options.sibling {
        args.flags |= clone_flags::PARENT;
    }
    if let Some(cgroup) = options.cgroup {
        args.flags |= clone_flags::INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    // SAFETY: without CLONE_VM the child gets its own copy of the address space and goes on from
    // here on its own copy of this stack; `args` and `pidfd` live until the call returns, and the
    // kernel writes one int to `pidfd`. The process has one thread, so no lock is held by another.
    let pid = unsafe { libc::syscall(libc::SYS_clone3, &raw const args, size_of::<CloneArgs>()) };
    match Errno::result(pid).map_err(io::Error::from)? {
        0 => Ok(Fork::Child),
        pid => {
            // SAFETY: CLONE_PIDFD made the kernel store a new descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            Ok(Fork::Parent(Child { pid: Pid::from_raw(pid as i32), pidfd }))
        }
    }
}

/// The shortest slice that the scheduler takes (sched(7); 0.1 ms).
const SLICE_NS: u64 = 100_000;

/// Asks for short turns on the processor, and so for early ones: who works for microseconds each time it is
/// woken does not wait for the end of somebody's turn of milliseconds. Shares stay the same. Children inherit
/// both. Kernels before 6.12 take no notice of the first (sched_setattr(2)). `nice` as in sched(7): below 0 for
/// root alone.
pub fn take_short_turns(nice: i32) -> io::Result<()> {
    /// struct sched_attr, in its first version.
    #[repr(C)]
    struct Attributes {
        size: u32,
        policy: u32,
        flags: u64,
        nice: i32,
        priority: u32,
        runtime: u64,
        deadline: u64,
        period: u64,
    }
    let attributes = Attributes {
        size: size_of::<Attributes>() as u32,
        policy: libc::SCHED_OTHER as u32,
        flags: 0,
        nice,
        priority: 0,
        runtime: SLICE_NS,
        deadline: 0,
        period: 0,
    };
    // SAFETY: the kernel reads `size` bytes of `attributes`, which is that long and lives until the call returns.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Threads of this process, from /proc/self/status; 1 where it cannot be read.
fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").map_or(1, Iterator::count)
}

/// Gives every signal its default disposition and an empty mask: what a program expects that we start.
/// SIGPIPE above all, which Rust ignores: `yes | head` would print "Broken pipe" (signal(7)).
pub fn reset_signals() {
    // What the kernel calls struct sigaction, all zero: SIG_DFL, no flags, an empty mask. glibc's own functions refuse 32
    // and 33, and its posix_spawn leaves them ignored in what it starts (signal(7), NPTL).
    let default = [0u64; 4];
    const MASK_BYTES: usize = 8;
    for signal in 1..=64 {
        // SAFETY: the kernel reads at most 32 bytes of `default` on any architecture, writes nothing where the old action
        // is null, and answers EINVAL to SIGKILL and SIGSTOP, which is fine.
        unsafe {
            libc::syscall(
                libc::SYS_rt_sigaction,
                signal,
                default.as_ptr(),
                std::ptr::null_mut::<libc::c_void>(),
                MASK_BYTES,
            )
        };
    }
    // SAFETY: an all-zero sigset is the empty set on Linux, and the kernel only reads it.
    unsafe {
        let mut empty: libc::sigset_t = std::mem::zeroed();
        libc::sigemptyset(&raw mut empty);
        libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut());
    }
}

/// Marks every descriptor from `first` on close-on-exec (close_range(2), CLOSE_RANGE_CLOEXEC).
pub fn cloexec_from(first: RawFd) -> io::Result<()> {
    // SAFETY: the call changes descriptor flags only; it takes no pointers.
    let result = unsafe { libc::close_range(first as u32, u32::MAX, libc::CLOSE_RANGE_CLOEXEC as i32) };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// Closes every descriptor from 3 on but `keep`. Only in a forked child that uses nothing else from
/// then on and ends with exec or [`exit_now`]: the owners of the closed ones never run again.
pub fn close_all_but(keep: &[BorrowedFd]) -> io::Result<()> {
    let mut keep: Vec<RawFd> = keep.iter().map(AsRawFd::as_raw_fd).filter(|&fd| fd >= 3).collect();
    keep.sort_unstable();
    let mut first = 3;
    for fd in keep.into_iter().chain([RawFd::MAX]) {
        if first < fd {
            // SAFETY: the caller gives up all owners of the descriptors between those it keeps.
            let result = unsafe { libc::close_range(first as u32, fd as u32 - 1, 0) };
            Errno::result(result).map_err(io::Error::from)?;
        }
        first = fd.saturating_add(1);
    }
    Ok(())
}

/// Makes `fd` be descriptor `number`, kept across exec (dup2(2)). The caller has nothing open there.
pub fn place_fd(fd: BorrowedFd, number: RawFd) -> io::Result<()> {
    if fd.as_raw_fd() == number {
        // SAFETY: F_SETFD takes an int and changes a flag of a descriptor that is open.
        return Errno::result(unsafe { libc::fcntl(number, libc::F_SETFD, 0) }).map(drop).map_err(io::Error::from);
    }
    // SAFETY: dup2 takes two ints; whatever was open at `number` is the caller's to give up.
    Errno::result(unsafe { libc::dup2(fd.as_raw_fd(), number) }).map(drop).map_err(io::Error::from)
}

/// The descriptor that a parent placed at `number` for this program.
///
/// Each number may be taken once, by the start of a subcommand that documents it.
pub fn inherited_fd(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: F_GETFD only asks whether the number is open.
    Errno::result(unsafe { libc::fcntl(number, libc::F_GETFD) }).map_err(io::Error::from)?;
    // SAFETY: it is open, and by this program's own convention nothing else in it owns the number.
    Ok(unsafe { OwnedFd::from_raw_fd(number) })
}

/// Ends the process at once, without destructors or buffers (_exit(2)): how a forked child that did
/// not exec must end, or it would run its parent's clean-up.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit does not return and touches no memory of ours.
    unsafe { libc::_exit(code) }
}

/// Runs the program behind a descriptor (execveat(2), AT_EMPTY_PATH), so that no path to it need be
/// reachable. Returns only on failure.
pub fn exec_fd(program: BorrowedFd, args: &[&CStr], env: &[&CStr]) -> io::Error {
    let error = nix::unistd::execveat(program, c"", args, env, nix::fcntl::AtFlags::AT_EMPTY_PATH);
    io::Error::from(error.expect_err("exec returns only on failure"))
}

/// Gives up supplementary groups, then becomes `uid` and `gid` for good (setresuid(2)).
pub fn become_id(uid: u32, gid: u32) -> io::Result<()> {
    become_user(uid, gid, &[])
}

/// The same with supplementary groups instead of those of the caller.
pub fn become_user(uid: u32, gid: u32, groups: &[u32]) -> io::Result<()> {
    use nix::unistd::{Gid, Uid, setgroups, setresgid, setresuid};
    // The kernel takes this one for "as it is", and reports success.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(io::Error::other("4294967295 is no id"));
    }
    let groups: Vec<Gid> = groups.iter().copied().map(Gid::from_raw).collect();
    setgroups(&groups)?;
    let gid = Gid::from_raw(gid);
    setresgid(gid, gid, gid)?;
    let uid = Uid::from_raw(uid);
    setresuid(uid, uid, uid)?;
    Ok(())
}
