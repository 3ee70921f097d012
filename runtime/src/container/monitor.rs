//! `quayside container-init`: starts one container, waits for its end, and says how that was.
//!
//! A fresh process of one thread, since its caller may have many. Its descriptor 0 is the channel to the caller; 1
//! and 2 are the container's standard output and error, which it gives up when PID 1 has them.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, IntoRawFd, OwnedFd};
use std::time::Duration;

use nix::sched::{CloneFlags, unshare};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{Mode, OFlags};
use rustix::process::{Pid, Signal, WaitOptions, pidfd_send_signal, waitpid};

use super::message::{self, Message};
use super::plan::{Plan, work};
use super::spec::Exit;
use super::steps;
use crate::cgroup::tree;
use crate::deep;
use crate::launch::event::{Clock, Event, now};
use crate::sys::process::{Child, Fork, ForkOptions, fork, inherited_fd, place_fd};

/// Runs the container that the caller describes. Nothing is left of it when this returns.
pub fn run() -> io::Result<()> {
    // A signal to the caller's terminal is for the caller, which ends us by the channel.
    nix::unistd::setsid()?;
    let first = inherited_fd(0)?;
    let channel = rustix::io::fcntl_dupfd_cloexec(&first, 3)?;
    let Some((Message::Start { at }, fds)) = message::receive(channel.as_fd())? else {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "container-init is started by a build, not by hand"));
    };
    let [plan, input] =
        <[OwnedFd; 2]>::try_from(fds).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "descriptors"))?;
    place_fd(input.as_fd(), 0)?;
    // The number is standard input's from here on, and nobody's to close.
    let _ = first.into_raw_fd();
    drop(input);
    let plan: Plan = serde_json::from_reader(io::BufReader::new(fs::File::from(plan)))?;
    let monitor = Monitor { channel, plan, start: Duration::from_nanos(at) };
    let ended = monitor.run();
    monitor.clean_up();
    if let Ok(Some(exit)) = &ended {
        message::send(monitor.channel.as_fd(), &Message::Ended(*exit), &[])?;
    }
    // A step that failed was told to the caller when it did.
    Ok(())
}

struct Monitor {
    channel: OwnedFd,
    plan: Plan,
    start: Duration,
}

impl Monitor {
    /// How PID 1 ended; `None` where a step before it failed.
    fn run(&self) -> io::Result<Option<Exit>> {
        if let Some(group) = &self.plan.group {
            self.step("mkdir", "its group", || tree::create(group).map_err(io::Error::other))?;
        }
        self.step("unshare", "CLONE_NEWPID", || Ok(unshare(CloneFlags::CLONE_NEWPID)?))?;
        let (alive, running) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let child = self.step("clone3", "PID 1", || {
            let group = self.plan.group.as_ref().and_then(|group| group.v2.as_ref());
            let flags = OFlags::DIRECTORY | OFlags::RDONLY | OFlags::CLOEXEC;
            let group = group.map(|path| rustix::fs::open(path, flags, Mode::empty())).transpose()?;
            match fork(ForkOptions { cgroup: group.as_ref().map(AsFd::as_fd), sibling: false })? {
                Fork::Child => steps::run(&self.plan, self.channel.as_fd(), running.as_fd(), self.start),
                Fork::Parent(child) => Ok(child),
            }
        })?;
        drop(running);
        // Whatever it was that failed, the caller is gone.
        let watched = self.watch(&child, alive);
        if watched.is_err() {
            let _ = pidfd_send_signal(&child.pidfd, Signal::KILL);
        }
        let exit = reap(&child)?;
        watched.map(|()| Some(exit))
    }

    /// Until PID 1 has ended, by itself or by us, because the caller says so or is gone.
    fn watch(&self, child: &Child, alive: OwnedFd) -> io::Result<()> {
        message::send(self.channel.as_fd(), &Message::Forked, &[child.pidfd.as_fd()])?;
        // The caller sees the end of the output when those inside have closed theirs.
        let null = fs::OpenOptions::new().read(true).write(true).open("/dev/null")?;
        (0..3).try_for_each(|number| place_fd(null.as_fd(), number))?;
        let mut alive = Some(alive);
        loop {
            let mut fds = vec![readable(child.pidfd.as_fd()), readable(self.channel.as_fd())];
            fds.extend(alive.iter().map(|alive| readable(alive.as_fd())));
            poll(&mut fds, None)?;
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[1] {
                // `End`, or nobody there any more.
                return Ok(pidfd_send_signal(&child.pidfd, Signal::KILL)?);
            }
            if ready.get(2) == Some(&true) {
                self.say_started(alive.take())?;
            }
            if ready[0] {
                return Ok(());
            }
        }
    }

    /// exec closes PID 1's end of the pipe, and so does its death; before a failed step it writes a byte.
    fn say_started(&self, alive: Option<OwnedFd>) -> io::Result<()> {
        let Some(alive) = alive else { return Ok(()) };
        if rustix::io::read(&alive, &mut [0; 1])? != 0 {
            return Ok(());
        }
        let event = Event {
            who: "pid 1".into(),
            call: "execve".into(),
            what: "the program runs".into(),
            at_us: now().saturating_sub(self.start).as_micros() as u64,
            took_us: 0,
            errno: None,
        };
        message::send(self.channel.as_fd(), &Message::Event(event), &[])
    }

    fn step<T>(&self, call: &str, what: &str, step: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        let (event, result) = Clock::new("monitor", self.start).time(call, what, step);
        let message = match &result {
            Ok(_) => Message::Event(event),
            Err(error) => Message::Failed { event, why: steps::in_full(error), code: None },
        };
        message::send(self.channel.as_fd(), &message, &[])?;
        result
    }

    /// Goes on past failures: the caller looks at what is left.
    fn clean_up(&self) {
        clean_up(&self.plan);
    }
}

/// Removes the group and what the work directory has of ours, when nothing of the container runs any more.
pub fn clean_up(plan: &Plan) {
    if let Some(group) = &plan.group {
        tree::destroy(group);
    }
    for name in work::ALL {
        let _ = deep::remove_all(&plan.work.join(name));
    }
}

fn readable(fd: BorrowedFd<'_>) -> PollFd<'_> {
    PollFd::from_borrowed_fd(fd, PollFlags::IN)
}

/// With PID 1 everything in its pid namespace has ended (pid_namespaces(7)).
fn reap(child: &Child) -> io::Result<Exit> {
    loop {
        let status = match waitpid(Pid::from_raw(child.pid.as_raw()), WaitOptions::empty()) {
            Ok(Some((_, status))) => status,
            Ok(None) | Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => return Ok(Exit::Code(code as u8)),
            (None, Some(signal)) => return Ok(Exit::Signal(signal)),
            (None, None) => {}
        }
    }
}
