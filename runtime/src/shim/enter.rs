//! A process inside: joined by a fresh child, step by step.
//!
//! ```text
//! shim ─fork─▶ envoy: group, user namespace, its root, [a pty], the other namespaces
//!                └─fork, as the shim's child─▶ the program: session, terminal, limits, seccomp, exec
//! ```
//!
//! The envoy is needed because a pid namespace counts from the first child on. It tells the shim the
//! program's pid, and whatever failed, over a socket that closes when the program's exec has worked.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use nix::sched::{CloneFlags, setns};
use rustix::pty::OpenptFlags;
use serde::{Deserialize, Serialize};

use super::protocol::Group;
use crate::cgroup::plan::Member;
use crate::cgroup::tree;
use crate::launch::child::{Sandbox, limit_files, open_cgroup, restrict};
use crate::launch::plan::LEARNERS_OOM_SCORE_ADJ;
use crate::sys::message;
use crate::sys::mount::c_path;
use crate::sys::process::{
    CLONE_NEWTIME, Fork, ForkOptions, become_id, cloexec_from, close_all_but, exit_now, fork, place_fd, reset_signals,
};

/// The descriptor a script is found at: `/dev/fd/10`, clear of what shells use by habit.
pub const SCRIPT_FD: i32 = 10;

/// What the new process has for standard input, output and error.
pub enum Stdio {
    /// A new terminal of the sandbox, of this size.
    Terminal { cols: u16, rows: u16 },
    /// Pipes that the shim reads, or files inside.
    Pipes { stdout: Output, stderr: Output },
}

pub enum Output {
    Pipe(OwnedFd),
    /// Inside the sandbox; appended to, its directory is made.
    File(String),
}

impl Stdio {
    fn pipes(&self) -> impl Iterator<Item = &OwnedFd> {
        let outputs = match self {
            Self::Terminal { .. } => None,
            Self::Pipes { stdout, stderr } => Some([stdout, stderr]),
        };
        outputs.into_iter().flatten().filter_map(|output| match output {
            Output::Pipe(fd) => Some(fd),
            Output::File(_) => None,
        })
    }
}

pub struct Program {
    pub args: Vec<String>,
    pub env: Vec<(String, String)>,
    pub cwd: String,
    pub group: Group,
    /// Becomes [`SCRIPT_FD`].
    pub script: Option<OwnedFd>,
    /// It becomes standard input instead.
    pub script_is_stdin: bool,
    pub stdio: Stdio,
}

/// What the envoy, or the program before its exec, says. A terminal's master travels with `Started`.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    Started { pid: i32 },
    Failed { doing: String, why: String },
}

/// Starts `program`. The reports arrive on the socket that is returned; its end means exec worked or
/// everybody who could speak is gone.
pub fn enter(sandbox: &Sandbox, program: Program) -> io::Result<OwnedFd> {
    let (ours, theirs) = message::pair()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    let member = member_of(program.group);
    let cgroup = open_cgroup(&sandbox.plan, member)?;
    match fork(ForkOptions { cgroup: cgroup.as_ref().map(AsFd::as_fd), sibling: false })? {
        Fork::Parent(_) => Ok(ours),
        Fork::Child => {
            let envoy = Envoy { sandbox, report: theirs };
            let code = match envoy.go(program) {
                Ok(()) => 0,
                Err((doing, error)) => envoy.fail(&doing, &error),
            };
            exit_now(code)
        }
    }
}

pub fn member_of(group: Group) -> Member {
    match group {
        Group::Payload => Member::Init,
        Group::Check => Member::Check,
    }
}

type Step<T> = Result<T, (String, io::Error)>;

fn at(doing: &str) -> impl FnOnce(io::Error) -> (String, io::Error) {
    move |error| (doing.to_owned(), error)
}

struct Envoy<'a> {
    sandbox: &'a Sandbox,
    report: OwnedFd,
}

impl Envoy<'_> {
    fn fail(&self, doing: &str, error: &io::Error) -> i32 {
        let report = Report::Failed { doing: doing.into(), why: error.to_string() };
        let _ = message::send(self.report.as_fd(), &encode(&report), &[]);
        // What shells answer for a program that is not there, or cannot be run.
        if error.kind() == io::ErrorKind::NotFound { 127 } else { 126 }
    }

    fn go(&self, program: Program) -> Step<()> {
        let terminal = join(self.sandbox, member_of(program.group), &program.stdio)?;
        // The program is visible to the learner from its fork on, who may trace it: it must hold
        // nothing of the shim's by then.
        let mut keep = vec![self.report.as_fd()];
        keep.extend(program.script.iter().map(AsFd::as_fd));
        keep.extend(terminal.iter().flat_map(|terminal| [terminal.master.as_fd(), terminal.slave.as_fd()]));
        keep.extend(program.stdio.pipes().map(AsFd::as_fd));
        close_all_but(&keep).map_err(at("close the shim's descriptors"))?;
        match fork(ForkOptions { cgroup: None, sibling: true }).map_err(at("fork inside"))? {
            Fork::Child => {
                let error = self.become_program(program, terminal.as_ref());
                exit_now(self.fail(&error.0, &error.1))
            }
            Fork::Parent(child) => {
                let report = encode(&Report::Started { pid: child.pid.as_raw() });
                let master: Vec<BorrowedFd> = terminal.iter().map(|terminal| terminal.master.as_fd()).collect();
                message::send(self.report.as_fd(), &report, &master).map_err(at("report to the shim"))
            }
        }
    }

    /// Everything between the last fork and exec. Returns only with what failed.
    fn become_program(&self, program: Program, terminal: Option<&Terminal>) -> (String, io::Error) {
        let Program { args, env, cwd, script, script_is_stdin, stdio, .. } = program;
        let prepare = || -> Step<()> {
            nix::unistd::setsid().map_err(io::Error::from).map_err(at("make a session"))?;
            nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
            place_stdio(stdio, terminal).map_err(at("set up standard input and output"))?;
            if nix::unistd::chdir(cwd.as_str()).is_err() {
                nix::unistd::chdir("/").map_err(io::Error::from).map_err(at("change to /"))?;
            }
            limit_files(self.sandbox.plan.spec.limits.files_max).map_err(at("limit open files"))?;
            restrict().map_err(at("load the seccomp table"))?;
            cloexec_from(3).map_err(at("close descriptors"))?;
            if let Some(script) = &script {
                place_fd(script.as_fd(), if script_is_stdin { 0 } else { SCRIPT_FD })
                    .map_err(at("place the script"))?;
            }
            reset_signals();
            Ok(())
        };
        if let Err(error) = prepare() {
            return error;
        }
        exec_by_path(&args, &env)
    }
}

/// A terminal that was just opened inside.
struct Terminal {
    master: OwnedFd,
    slave: OwnedFd,
}

/// Into the group, then the namespaces: user first, whose root may join the others.
fn join(sandbox: &Sandbox, member: Member, stdio: &Stdio) -> Step<Option<Terminal>> {
    // To be killed before PID 1, which would take the whole sandbox with it: where the kernel itself holds a
    // group's memory (network namespaces, say), PID 1 is the largest process. A learner can lower it to PID 1's
    // and no further. Where it is refused, the order is as it was.
    let _ = std::fs::write("/proc/self/oom_score_adj", LEARNERS_OOM_SCORE_ADJ.to_string());
    // While this is still the owner's id; v1 asks for it.
    tree::enter_v1(&sandbox.plan.cgroup, member).map_err(io::Error::other).map_err(at("enter the cgroup"))?;
    setns(&sandbox.user_namespace, CloneFlags::CLONE_NEWUSER)
        .map_err(io::Error::from)
        .map_err(at("join the user namespace"))?;
    become_id(0, 0).map_err(at("become root inside"))?;
    let terminal = match stdio {
        Stdio::Terminal { cols, rows } => Some(open_terminal(sandbox, *cols, *rows).map_err(at("open a terminal"))?),
        Stdio::Pipes { .. } => None,
    };
    join_rest(sandbox).map_err(at("join the namespaces"))?;
    Ok(terminal)
}

/// All namespaces of PID 1 but user, by its pidfd (setns(2), since Linux 5.8).
pub fn join_rest(sandbox: &Sandbox) -> io::Result<()> {
    let rest = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::CLONE_NEWCGROUP
        | CloneFlags::from_bits_retain(CLONE_NEWTIME);
    Ok(setns(&sandbox.pid1_fd, rest)?)
}

/// As the sandbox's root, so that the slave belongs to it (tmux, script and mesg look), and by the
/// descriptor of its devpts: a path could lead anywhere by now (pts(4), ioctl_tty(2)).
fn open_terminal(sandbox: &Sandbox, cols: u16, rows: u16) -> io::Result<Terminal> {
    use rustix::fs::{Mode, OFlags};
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
    let master = rustix::fs::openat(&sandbox.devpts, "ptmx", flags, Mode::empty())?;
    rustix::pty::unlockpt(&master)?;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    let size = rustix::termios::Winsize { ws_row: rows, ws_col: cols, ws_xpixel: 0, ws_ypixel: 0 };
    rustix::termios::tcsetwinsize(&master, size)?;
    // Erase removes a whole UTF-8 character (termios(3), IUTF8).
    let mut termios = rustix::termios::tcgetattr(&slave)?;
    termios.input_modes |= rustix::termios::InputModes::IUTF8;
    rustix::termios::tcsetattr(&slave, rustix::termios::OptionalActions::Now, &termios)?;
    Ok(Terminal { master, slave })
}

fn place_stdio(stdio: Stdio, terminal: Option<&Terminal>) -> io::Result<()> {
    match (stdio, terminal) {
        (Stdio::Pipes { stdout, stderr }, _) => {
            // It may be a pipe by now, that nobody writes into: whoever waits for one waits for the learner.
            let null = without_waiting().read(true).open("/dev/null")?;
            rustix::io::ioctl_fionbio(&null, false)?;
            place_fd(null.as_fd(), 0)?;
            place_fd(open_output(stdout)?.as_fd(), 1)?;
            place_fd(open_output(stderr)?.as_fd(), 2)
        }
        (Stdio::Terminal { .. }, Some(Terminal { slave, .. })) => {
            rustix::process::ioctl_tiocsctty(slave)?;
            (0..3).try_for_each(|number| place_fd(slave.as_fd(), number))
        }
        (Stdio::Terminal { .. }, None) => Err(io::ErrorKind::NotFound.into()),
    }
}

fn open_output(output: Output) -> io::Result<OwnedFd> {
    match output {
        Output::Pipe(fd) => Ok(fd),
        Output::File(path) => {
            if let Some(parent) = Path::new(&path).parent() {
                std::fs::create_dir_all(parent)?;
            }
            let file = without_waiting().append(true).create(true).open(path)?;
            rustix::io::ioctl_fionbio(&file, false)?;
            Ok(file.into())
        }
    }
}

/// Opens what a learner may have replaced by a pipe (fifo(7)): at once, or not at all.
pub fn without_waiting() -> std::fs::OpenOptions {
    let mut options = std::fs::OpenOptions::new();
    options.custom_flags(libc::O_NONBLOCK | libc::O_NOCTTY);
    options
}

/// execve along PATH of the given environment, as a shell would look (execvp(3)).
fn exec_by_path(args: &[String], env: &[(String, String)]) -> (String, io::Error) {
    let Some(name) = args.first() else { return ("run nothing".into(), io::ErrorKind::InvalidInput.into()) };
    let doing = format!("run {name}");
    let c = |text: &str| CString::new(text).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput));
    let collect = |texts: Vec<io::Result<CString>>| texts.into_iter().collect::<io::Result<Vec<_>>>();
    let args = match collect(args.iter().map(|arg| c(arg)).collect()) {
        Ok(args) => args,
        Err(error) => return (doing, error),
    };
    let variables = match collect(env.iter().map(|(key, value)| c(&format!("{key}={value}"))).collect()) {
        Ok(variables) => variables,
        Err(error) => return (doing, error),
    };
    let args: Vec<&CStr> = args.iter().map(CString::as_c_str).collect();
    let variables: Vec<&CStr> = variables.iter().map(CString::as_c_str).collect();
    let path = env.iter().find(|(key, _)| key == "PATH").map_or("/usr/bin:/bin", |(_, value)| value);
    let mut result = io::Error::from_raw_os_error(libc::ENOENT);
    let directories: Vec<&str> = if name.contains('/') { vec![""] } else { path.split(':').collect() };
    for directory in directories {
        let Ok(candidate) = c_path(&Path::new(directory).join(name)) else { continue };
        let Err(error) = nix::unistd::execve(&candidate, &args, &variables);
        if error != nix::errno::Errno::ENOENT {
            result = error.into();
        }
    }
    (doing, result)
}

pub fn encode(report: &Report) -> Vec<u8> {
    serde_json::to_vec(report).expect("plain data serialises")
}

pub fn decode(bytes: &[u8]) -> io::Result<Report> {
    serde_json::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}
