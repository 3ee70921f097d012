//! The children's side of a launch: shim, launcher, PID 1. The order of steps is the security.
//!
//! Read with the picture in [`super`]. Each function below runs in a process of its own, which has
//! one thread and gives up something at every step.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::time::Duration;

use nix::sched::{CloneFlags, setns, unshare};
use nix::sys::wait::{WaitStatus, waitpid};
use nix::time::{ClockId, clock_gettime};
use nix::unistd::Pid;
use rustix::fs::{Mode, OFlags};

use super::channel::{Channel, Message, StartedAt};
use super::event::{Clock, Event};
use super::plan::LaunchPlan;
use crate::cgroup::plan::Member;
use crate::cgroup::tree;
use crate::network::netlink::Netlink;
use crate::network::plan::Step as NetworkStep;
use crate::rootfs::build::PreparedMounts;
use crate::sys::process::{CLONE_NEWTIME, Fork, ForkOptions, become_id, exit_now, fork, reset_signals};
use crate::{policy, rootfs, sys};

/// What a shim has when its sandbox runs.
pub struct Sandbox {
    pub plan: LaunchPlan,
    pub pid1: Pid,
    pub pid1_fd: OwnedFd,
    pub user_namespace: OwnedFd,
    /// The root of the sandbox's devpts, whatever the learner mounts over /dev/pts.
    pub devpts: OwnedFd,
    /// The other end of eth0's cable.
    pub gateway: OwnedFd,
}

/// The shim's part: start the launcher, wait until it has gone, and take what is to be kept.
///
/// # Errors
/// A launch that failed: the parent knows why already and only the exit code matters here.
pub fn start(channel: &Channel) -> io::Result<Sandbox> {
    let Some((Message::Plan(plan, StartedAt(nanos)), _)) = channel.receive()? else {
        return Err(unexpected("instead of a plan"));
    };
    let start = Duration::from_nanos(nanos);
    let payload = open_cgroup(&plan, Member::Payload)?;
    let launcher = match fork(ForkOptions { cgroup: payload.as_ref().map(AsFd::as_fd), sibling: false })? {
        Fork::Child => run_and_exit(channel, || launcher(&plan, channel, start)),
        Fork::Parent(child) => child,
    };
    drop(payload);
    match waitpid(launcher.pid, None)? {
        WaitStatus::Exited(_, 0) => channel.send(&Message::LauncherGone, &[])?,
        status => return Err(unexpected(&format!("the launcher ended: {status:?}"))),
    }
    let Some((Message::Keep { pid1 }, fds)) = channel.receive()? else { return Err(unexpected("instead of keep")) };
    let [user_namespace, devpts, gateway] = <[OwnedFd; 3]>::try_from(fds).map_err(|_| unexpected("descriptors"))?;
    let pid1 = Pid::from_raw(pid1);
    let raw = rustix::process::Pid::from_raw(pid1.as_raw()).ok_or_else(|| unexpected("pid 0"))?;
    // A child of ours that is not reaped: the number cannot have been given to another process.
    let pid1_fd = rustix::process::pidfd_open(raw, rustix::process::PidfdFlags::empty())?;
    channel.send(&Message::Kept, &[])?;
    Ok(Sandbox { plan: *plan, pid1, pid1_fd, user_namespace, devpts, gateway })
}

/// The cgroup v2 directory of `member`, where there is one, for a child to start in.
pub fn open_cgroup(plan: &LaunchPlan, member: Member) -> io::Result<Option<OwnedFd>> {
    let open = |path| rustix::fs::open(path, OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    Ok(plan.cgroup.v2_join(member).map(open).transpose()?)
}

/// Ends the process with the result of `body`; a failure was told to the parent by then.
fn run_and_exit(channel: &Channel, body: impl FnOnce() -> io::Result<()>) -> ! {
    match body() {
        Ok(()) => exit_now(0),
        Err(error) => {
            let why = error.to_string();
            let _ = channel.send(&Message::Failed { doing: String::new(), why }, &[]);
            exit_now(1)
        }
    }
}

fn unexpected(what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the launch went out of step: {what}"))
}

/// Runs steps, tells the parent of each, and stops at the first that fails.
struct Steps<'a> {
    channel: &'a Channel,
    clock: Clock,
}

impl Steps<'_> {
    fn step<T>(&self, call: &str, what: impl Into<String>, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let (event, result) = self.clock.time(call, what, step);
        self.tell(event)?;
        result
    }

    fn tell(&self, event: Event) -> io::Result<()> {
        self.channel.send(&Message::Event(event), &[])
    }
}

/// From the owner's id to root of a namespace of its own, and then PID 1's parent for a moment.
fn launcher(plan: &LaunchPlan, channel: &Channel, start: Duration) -> io::Result<()> {
    let steps = Steps { channel, clock: Clock::new("launcher", start) };
    // 1. The payload's groups while this process still has the owner's id: v1 lets nobody be moved by
    //    another id, and the cgroup namespace of step 6 is rooted where we are then.
    steps.step("write", "0 to tasks of payload", || {
        tree::enter_v1(&plan.cgroup, Member::Payload).map_err(io::Error::other)
    })?;
    // 2. The user namespace first: everything made after it belongs to it, time namespace included.
    steps.step("unshare", "CLONE_NEWUSER", || Ok(unshare(CloneFlags::CLONE_NEWUSER)?))?;
    let user_namespace = fs::File::open("/proc/self/ns/user")?;
    let pid = std::process::id() as i32;
    channel.send(&Message::UserNamespace { pid }, &[user_namespace.as_fd()])?;
    // 3. The parent writes the maps and prepares mounts that need rights of the host's.
    let (exec_pipe, prepared) = receive_mounts(channel)?;
    // 4. Root of the namespace: the owner's id has no name in it.
    steps.step("setresuid", "0 of the user namespace", || become_id(0, 0))?;
    // 5. Changing ids cleared it, and without it /proc/self belongs to the host's root.
    steps.step("prctl", "PR_SET_DUMPABLE", || {
        Ok(rustix::process::set_dumpable_behavior(rustix::process::DumpableBehavior::Dumpable)?)
    })?;
    // 6. The cgroup namespace, rooted at payload.
    steps.step("unshare", "CLONE_NEWCGROUP", || Ok(unshare(CloneFlags::CLONE_NEWCGROUP)?))?;
    // 7. The gateway, then everything else. PID and time count from the first child on.
    let namespace = |file: &str| fs::File::open(format!("/proc/self/ns/{file}")).map(OwnedFd::from);
    steps.step("unshare", "CLONE_NEWNET for the gateway", || Ok(unshare(CloneFlags::CLONE_NEWNET)?))?;
    let gateway = namespace("net")?;
    let rest = CloneFlags::CLONE_NEWNS
        | CloneFlags::CLONE_NEWUTS
        | CloneFlags::CLONE_NEWIPC
        | CloneFlags::CLONE_NEWNET
        | CloneFlags::CLONE_NEWPID
        | CloneFlags::from_bits_retain(CLONE_NEWTIME);
    steps.step("unshare", "CLONE_NEWNS|NEWUTS|NEWIPC|NEWNET|NEWPID|NEWTIME", || Ok(unshare(rest)?))?;
    let inside = namespace("net")?;
    // 8. The cable, from the gateway's side, then ours.
    steps.step("setns", "the gateway", || Ok(setns(gateway.as_fd(), CloneFlags::CLONE_NEWNET)?))?;
    network(&steps, &plan.network.gateway, inside.as_fd())?;
    steps.step("setns", "the sandbox's network", || Ok(setns(inside.as_fd(), CloneFlags::CLONE_NEWNET)?))?;
    network(&steps, &plan.network.sandbox, inside.as_fd())?;
    // 9. Clocks that start at zero: written before the time namespace has its first process.
    steps.step("write", "/proc/self/timens_offsets", || fs::write("/proc/self/timens_offsets", clock_offsets()?))?;
    steps.step("sethostname", plan.spec.hostname.clone(), || Ok(nix::unistd::sethostname(&plan.spec.hostname)?))?;
    // 10. PID 1, a child of the shim's: the shim reaps it, and it dies with the shim.
    let init = open_cgroup(plan, Member::Init)?;
    let options = ForkOptions { cgroup: init.as_ref().map(AsFd::as_fd), sibling: true };
    let (event, forked) = steps.clock.time("clone3", "PID 1", || fork(options));
    match forked {
        Ok(Fork::Child) => run_and_exit(channel, || pid1(plan, channel, start, &prepared, gateway.as_fd(), exec_pipe)),
        Ok(Fork::Parent(child)) => {
            steps.tell(event)?;
            channel.send(&Message::Pid1 { pid: child.pid.as_raw() }, &[])
        }
        Err(error) => {
            steps.tell(event)?;
            Err(error)
        }
    }
}

fn receive_mounts(channel: &Channel) -> io::Result<(OwnedFd, PreparedMounts)> {
    let Some((Message::Mounts, fds)) = channel.receive()? else { return Err(unexpected("instead of mounts")) };
    let mut fds = fds.into_iter();
    let mut next = || fds.next().ok_or_else(|| unexpected("a descriptor is missing"));
    let (exec_pipe, disk, binary, images) = (next()?, next()?, next()?, next()?);
    Ok((exec_pipe, PreparedMounts { layers: fds.collect(), disk, binary, images }))
}

fn network(steps: &Steps, plan: &[NetworkStep], peer: BorrowedFd) -> io::Result<()> {
    let mut netlink = Netlink::open()?;
    for step in plan {
        steps.step("netlink", step.command(), || match step {
            NetworkStep::Up { name } => netlink.set_up(name),
            NetworkStep::Cable { name, peer: peer_name } => netlink.add_veth(name, peer_name, peer),
            NetworkStep::Address { name, address, prefix } => netlink.add_address(name, *address, *prefix),
            NetworkStep::DefaultRoute { gateway } => netlink.add_default_route(*gateway),
            NetworkStep::EverythingIsLocal => netlink.make_everything_local(),
            NetworkStep::Sysctl { key, value } => fs::write(Path::new("/proc/sys/net").join(key), value),
        })?;
    }
    Ok(())
}

/// Lines of timens_offsets that put both clocks to zero now (time_namespaces(7)).
fn clock_offsets() -> io::Result<String> {
    let line = |name: &str, clock: ClockId| -> io::Result<String> {
        let now = clock_gettime(clock)?;
        // An offset's nanoseconds are never negative: -1.25 s is -2 s and 750,000,000 ns.
        let (seconds, nanos) = if now.tv_nsec() == 0 { (0, 0) } else { (1, 1_000_000_000 - now.tv_nsec()) };
        Ok(format!("{name} {} {nanos}\n", -(now.tv_sec() + seconds)))
    };
    Ok(line("monotonic", ClockId::CLOCK_MONOTONIC)? + &line("boottime", ClockId::CLOCK_BOOTTIME)?)
}

/// PID 1: builds the root, gives up the host's, and becomes `quayside init`.
fn pid1(
    plan: &LaunchPlan,
    channel: &Channel,
    start: Duration,
    prepared: &PreparedMounts,
    gateway: BorrowedFd,
    exec_pipe: OwnedFd,
) -> io::Result<()> {
    let steps = Steps { channel, clock: Clock::new("pid 1", start) };
    // 1. Its own group, by itself (see the launcher's step 1).
    steps.step("write", "0 to tasks of payload/init", || {
        tree::enter_v1_from_payload(&plan.cgroup).map_err(io::Error::other)
    })?;
    // 2. Dies with the shim. After the last change of ids, which would clear it.
    steps.step("prctl", "PR_SET_PDEATHSIG SIGKILL", || {
        Ok(rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL))?)
    })?;
    nix::unistd::setsid()?;
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
    // 3. The root file system, up to and behind pivot_root.
    for step in &plan.rootfs.steps {
        let (call, what) = step.words();
        steps.step(call, what, || step.run(prepared))?;
    }
    // 4. What the shim keeps of it: taken now, before a learner can put anything over the path.
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let devpts = rustix::fs::open("/dev/pts", flags, Mode::empty())?;
    channel.send(&Message::Mounted, &[devpts.as_fd(), gateway])?;
    // 5. The last rights go, then the program. `exec_pipe` closes when exec has worked.
    steps.step("seccomp", "the table of policy", restrict)?;
    steps.step("prlimit", "RLIMIT_NOFILE, RLIMIT_CORE", || limit_files(plan.spec.limits.files_max))?;
    let program = sys::mount::c_path(Path::new(rootfs::plan::BINARY_INSIDE))?;
    let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
    for number in 0..3 {
        sys::process::place_fd(null.as_fd(), number)?;
    }
    sys::process::cloexec_from(3)?;
    reset_signals();
    steps.step("execve", rootfs::plan::BINARY_INSIDE, || {
        Err(nix::unistd::execve(&program, &[c"quayside", c"init"], &[] as &[&std::ffi::CStr])
            .expect_err("exec returns only on failure")
            .into())
    })?;
    drop(exec_pipe);
    Ok(())
}

/// Loads the seccomp table: for every process that will run a learner's code.
pub fn restrict() -> io::Result<()> {
    for program in policy::seccomp::programs().map_err(io::Error::other)? {
        sys::seccomp::load(&program)?;
    }
    Ok(())
}

/// Open files, and no core files: they would fill the session's disk.
pub fn limit_files(files_max: u64) -> io::Result<()> {
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    let max = files_max.min(hard);
    setrlimit(Resource::RLIMIT_NOFILE, max, max)?;
    setrlimit(Resource::RLIMIT_CORE, 0, 0)?;
    Ok(())
}
