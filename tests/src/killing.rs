//! A program that is killed in the middle of what it does: at the entry of its Nth call that writes, whichever of its
//! threads makes it (ptrace(2)). Programs that it starts are not followed.

use std::fs;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// Calls by which what is done gets its name, or is known to be on the disk, and those by which locks are taken. Between
/// two of them nobody else sees a change.
pub const SETTLING: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rename,
    libc::SYS_renameat,
    libc::SYS_renameat2,
    libc::SYS_fsync,
    libc::SYS_fdatasync,
    libc::SYS_syncfs,
    libc::SYS_flock,
];

/// Calls by which files and folders come and go.
pub const NAMING: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_unlink,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_rmdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_link,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_symlink,
    libc::SYS_unlinkat,
    libc::SYS_mkdirat,
    libc::SYS_linkat,
    libc::SYS_symlinkat,
    libc::SYS_mknodat,
];

/// Calls that change what is in a file or folder, or who may do what with it.
pub const CONTENT: &[i64] = &[
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_pwrite64,
    libc::SYS_copy_file_range,
    libc::SYS_sendfile,
    libc::SYS_splice,
    libc::SYS_ftruncate,
    libc::SYS_fallocate,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_fsetxattr,
];

/// Calls by which a store makes its own folders, each time it is opened: they change something of a new one only.
pub const FOLDERS: &[i64] = &[
    #[cfg(target_arch = "x86_64")]
    libc::SYS_mkdir,
    #[cfg(target_arch = "x86_64")]
    libc::SYS_chmod,
];

/// Waits until it can be traced, and only then becomes the program.
const STOPPED_FIRST: &str = r#"kill -STOP $$; exec "$0" "$@""#;

/// A stop that is none of a signal's or a call's (ptrace(2), PTRACE_EVENT_STOP); nix has no name for it.
const EVENT_STOP: i32 = 128;

/// Runs a program until its `number`th call of `calls`, counted from one, and kills it there. Gives whether it came so
/// far; its end is waited for either way.
pub fn killed_at(program: &Command, calls: &[&[i64]], number: usize) -> bool {
    let mut shell = Command::new("sh");
    shell.args(["-c", STOPPED_FIRST]).arg(program.get_program()).args(program.get_args());
    shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = shell.spawn().expect("sh starts");
    let pid = Pid::from_raw(child.id().cast_signed());
    let stopped = waitpid(pid, Some(WaitPidFlag::WUNTRACED)).expect("it is our child");
    assert_eq!(stopped, WaitStatus::Stopped(pid, Signal::SIGSTOP));
    let options = Options::PTRACE_O_TRACESYSGOOD
        | Options::PTRACE_O_TRACECLONE
        | Options::PTRACE_O_TRACEEXEC
        | Options::PTRACE_O_EXITKILL;
    ptrace::seize(pid, options).expect("we are its parent, and root");
    kill(pid, Signal::SIGCONT).expect("it is our child");
    let was_killed = Traced { main: pid, calls, number, count: 0, is_program: false }.until_end();
    // It has been waited for; this only lets go of it.
    let _ = child.wait();
    was_killed
}

struct Traced<'a> {
    main: Pid,
    calls: &'a [&'a [i64]],
    number: usize,
    /// Calls so far.
    count: usize,
    /// The shell has become the program.
    is_program: bool,
}

impl Traced<'_> {
    fn until_end(mut self) -> bool {
        // Only what this thread has started: other tests have children too.
        let flags = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        loop {
            let (tid, signal) = match waitpid(None, Some(flags)).expect("there is something to wait for") {
                WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) if pid == self.main => {
                    return self.count >= self.number;
                }
                WaitStatus::Exited(..) | WaitStatus::Signaled(..) => continue,
                WaitStatus::PtraceSyscall(tid) => {
                    if self.is_program && self.is_the_one(tid) {
                        kill(self.main, Signal::SIGKILL).expect("it is our child");
                    }
                    (tid, None)
                }
                WaitStatus::PtraceEvent(tid, _, EVENT_STOP) => (tid, None),
                WaitStatus::PtraceEvent(tid, _, event) => {
                    self.is_program |= event == libc::PTRACE_EVENT_EXEC;
                    (tid, None)
                }
                WaitStatus::Stopped(tid, signal) => (tid, Some(signal)),
                other => panic!("what is {other:?}?"),
            };
            match ptrace::syscall(tid, signal) {
                // It has been killed meanwhile.
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => panic!("cannot go on with {tid}: {error}"),
            }
        }
    }

    /// Whether a thread stands at the call that it is to die in.
    fn is_the_one(&mut self, tid: Pid) -> bool {
        let entry = ptrace::syscall_info(tid).is_ok_and(|info| info.op == libc::PTRACE_SYSCALL_INFO_ENTRY);
        if !entry {
            return false;
        }
        // proc_pid_syscall(5); a running one has none, and this one stands still.
        let call = fs::read_to_string(format!("/proc/{tid}/syscall")).unwrap_or_default();
        let call = call.split(' ').next().and_then(|number| number.parse().ok());
        let counts = call.is_some_and(|call: i64| self.calls.iter().any(|calls| calls.contains(&call)));
        self.count += usize::from(counts);
        counts && self.count == self.number
    }
}
