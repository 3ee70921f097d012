//! The caller's side: one container from its start to its end.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::fs::OFlags;
use rustix::process::{Signal, pidfd_send_signal};
use rustix::time::Timespec;

use super::error::{ContainerError, FailedStep};
use super::message::{self, Message};
use super::monitor::clean_up;
use super::plan::Plan;
use super::spec::{ContainerSpec, Exit, Input, OUTPUT_PIECE, Said};
use crate::cgroup;
use crate::cgroup::layout::Layout;
use crate::launch::event::{Event, now};
use crate::sys::memfd::sealed_bytes;
use crate::sys::{message as datagram, mount};

/// The hidden subcommand that is the monitor.
pub const SUBCOMMAND: &str = "container-init";

/// Longer than the kernel takes to end a monitor that was told to end.
const LAST_WORDS: Duration = Duration::from_secs(20);

/// As many as the largest pipe holds that an ordinary process may make (pipe(7), pipe-max-size).
const LAST_PIECES: usize = 1024 * 1024 / OUTPUT_PIECE;

/// Whoever holds one can end the containers that were started with it, from any thread.
#[derive(Debug, Clone)]
pub struct Cancel {
    /// Readable for good once somebody has cancelled (eventfd(2)).
    event: Arc<OwnedFd>,
}

impl Cancel {
    pub fn new() -> io::Result<Self> {
        Ok(Self { event: Arc::new(eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?) })
    }

    pub fn cancel(&self) {
        // Full is cancelled too.
        let _ = rustix::io::write(&*self.event, &1u64.to_ne_bytes());
    }

    /// For who waits for something else meanwhile.
    pub fn is_cancelled(&self) -> bool {
        let mut fds = [PollFd::from_borrowed_fd(self.event.as_fd(), PollFlags::IN)];
        poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).is_ok_and(|ready| ready > 0)
    }
}

/// Starts containers: what all of them have in common.
#[derive(Debug)]
pub struct Runner {
    /// This program's file on a read-only mount of its own, so that no container's root can write to it through
    /// /proc/PID/exe.
    binary: OwnedFd,
    cgroups: Layout,
    resolv_conf: String,
}

impl Runner {
    /// `binary` is the program whose subcommand [`SUBCOMMAND`] is the monitor: /proc/self/exe, or in a sandbox
    /// [`BINARY_INSIDE`](crate::rootfs::plan::BINARY_INSIDE). Asks for root, as everything here does.
    pub fn new(binary: &File) -> io::Result<Self> {
        let read_only = mount::clone_tree_of(binary.as_fd())?;
        mount::restrict(
            read_only.as_fd(),
            mount::MOUNT_ATTR_RDONLY | mount::MOUNT_ATTR_NOSUID | mount::MOUNT_ATTR_NODEV,
        )?;
        let resolv_conf = match std::fs::read_to_string("/etc/resolv.conf") {
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            text => text?,
        };
        Ok(Self { binary: read_only, cgroups: Layout::of_host()?, resolv_conf })
    }

    /// What would be done, as data.
    pub fn plan(&self, spec: &ContainerSpec) -> Result<Plan, ContainerError> {
        let limits = &spec.limits;
        // Two builds may use the same name at once.
        let unique = format!("quayside-{}-{}", spec.name, uuid::Uuid::now_v7().simple());
        let group = cgroup::container::group(&self.cgroups, &unique, limits.memory_max_bytes, limits.pids_max)
            .map_err(|why| ContainerError::Other { name: spec.name.clone(), why: why.to_string() })?;
        Ok(Plan::new(spec, &self.resolv_conf, group)?)
    }

    /// Runs a container to its end, and returns when nothing of it is left but `upper`. May be called by many threads
    /// at once. `said` hears of each step of the start, then the output as it comes.
    ///
    /// # Errors
    /// A container that did not start, or was ended: by `cancel`, or after `time_max`.
    pub fn run(
        &self,
        spec: &ContainerSpec,
        input: Input,
        time_max: Option<Duration>,
        cancel: &Cancel,
        said: &mut dyn FnMut(Said),
    ) -> Result<Exit, ContainerError> {
        let plan = self.plan(spec)?;
        let other = |error: io::Error| ContainerError::Other { name: plan.name.clone(), why: error.to_string() };
        let mut run = self.start(&plan, input).map_err(other)?;
        let deadline = time_max.map(|max| (Instant::now() + max, max));
        let result = run.follow(&plan, deadline, cancel, said);
        let ended = run.end();
        if ended.is_err() {
            // The monitor itself was killed and could not do it.
            clean_up(&plan);
        }
        result
    }

    fn start(&self, plan: &Plan, input: Input) -> io::Result<Running> {
        let (ours, theirs) = datagram::pair()?;
        let (out, out_inside) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        let (err, err_inside) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        for ours in [&out, &err] {
            rustix::fs::fcntl_setfl(ours, OFlags::NONBLOCK)?;
        }
        let input = match input {
            Input::Nothing => File::open("/dev/null")?.into(),
            Input::Bytes(bytes) => sealed_bytes(&bytes)?,
            Input::Descriptor(fd) => fd,
        };
        let plan = sealed_bytes(&serde_json::to_vec(plan).map_err(io::Error::other)?)?;
        let at = now().as_nanos() as u64;
        message::send(ours.as_fd(), &Message::Start { at }, &[plan.as_fd(), input.as_fd()])?;
        // posix_spawn(3) or fork and exec: safe in a process with threads, where our own fork is not.
        let monitor = Command::new(format!("/proc/self/fd/{}", self.binary.as_raw_fd()))
            .arg0("quayside")
            .arg(SUBCOMMAND)
            .env_clear()
            .current_dir("/")
            .stdin(theirs)
            .stdout(out_inside)
            .stderr(err_inside)
            .spawn()?;
        Ok(Running { monitor, channel: ours, out: Some(out), err: Some(err), pid1: None, ended: None })
    }
}

/// A container between start and end.
struct Running {
    monitor: Child,
    channel: OwnedFd,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    /// From its fork on.
    pid1: Option<OwnedFd>,
    ended: Option<Exit>,
}

/// Why waiting stopped.
enum Stop {
    Ended(Result<Exit, ContainerError>),
    Cancelled,
    TimedOut(Duration),
}

impl Running {
    fn follow(
        &mut self,
        plan: &Plan,
        deadline: Option<(Instant, Duration)>,
        cancel: &Cancel,
        said: &mut dyn FnMut(Said),
    ) -> Result<Exit, ContainerError> {
        let mut story = Story { plan, seen: 0, failed: None };
        let name = || plan.name.clone();
        let stopped = self.wait(&mut story, deadline, cancel, said);
        match stopped {
            Ok(Stop::Ended(result)) => result,
            Ok(Stop::Cancelled) => Err(ContainerError::Cancelled { name: name() }),
            Ok(Stop::TimedOut(after)) => Err(ContainerError::TimedOut { name: name(), after }),
            Err(error) => Err(ContainerError::Other { name: name(), why: error.to_string() }),
        }
    }

    fn wait(
        &mut self,
        story: &mut Story,
        deadline: Option<(Instant, Duration)>,
        cancel: &Cancel,
        said: &mut dyn FnMut(Said),
    ) -> io::Result<Stop> {
        let mut buffer = vec![0; OUTPUT_PIECE];
        loop {
            let left = deadline.map(|(at, _)| at.saturating_duration_since(Instant::now()));
            let ready = self.poll(cancel, left)?;
            if ready.cancelled {
                return Ok(Stop::Cancelled);
            }
            if let Some((at, max)) = deadline
                && Instant::now() >= at
            {
                return Ok(Stop::TimedOut(max));
            }
            if ready.out {
                drain(&mut self.out, &mut buffer, |bytes| said(Said::Out(bytes)))?;
            }
            if ready.err {
                drain(&mut self.err, &mut buffer, |bytes| said(Said::Err(bytes)))?;
            }
            if ready.channel {
                let heard = message::receive(self.channel.as_fd())?;
                let last = self.hear(story, heard, said);
                if let Some(result) = last {
                    // All who wrote are gone: what the pipes still hold is all there is.
                    for _ in 0..LAST_PIECES {
                        drain(&mut self.out, &mut buffer, |bytes| said(Said::Out(bytes)))?;
                        drain(&mut self.err, &mut buffer, |bytes| said(Said::Err(bytes)))?;
                    }
                    return Ok(Stop::Ended(result));
                }
            }
        }
    }

    /// One message; the result if it is the last.
    fn hear(
        &mut self,
        story: &mut Story,
        heard: Option<(Message, Vec<OwnedFd>)>,
        said: &mut dyn FnMut(Said),
    ) -> Option<Result<Exit, ContainerError>> {
        match heard {
            Some((Message::Forked, fds)) => self.pid1 = fds.into_iter().next(),
            Some((Message::Event(event), _)) => story.step(&event, said),
            Some((Message::Failed { event, why, code }, _)) => story.fails(event, why, code, said),
            Some((Message::Ended(exit), _)) => {
                self.ended = Some(exit);
                return Some(story.failed.take().map_or(Ok(exit), Err));
            }
            Some((Message::Start { .. } | Message::End, _)) => {}
            None => return Some(Err(story.failed.take().unwrap_or_else(|| story.monitor_gone()))),
        }
        None
    }

    fn poll(&self, cancel: &Cancel, left: Option<Duration>) -> io::Result<Ready> {
        let all = [Some(&*cancel.event), Some(&self.channel), self.out.as_ref(), self.err.as_ref()];
        let open = all.into_iter().flatten();
        let mut fds: Vec<PollFd> = open.map(|fd| PollFd::from_borrowed_fd(fd.as_fd(), PollFlags::IN)).collect();
        let left = left.map(|left| Timespec { tv_sec: left.as_secs() as i64, tv_nsec: left.subsec_nanos().into() });
        match poll(&mut fds, left.as_ref()) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
        let mut ready = fds.iter().map(|fd| !fd.revents().is_empty());
        let mut next = || ready.next().unwrap_or(false);
        let (cancelled, channel) = (next(), next());
        let out = self.out.is_some() && next();
        let err = self.err.is_some() && next();
        Ok(Ready { cancelled, channel, out, err })
    }

    /// Ends what may still run, and waits until the monitor is gone; an error if it did not end in order.
    fn end(mut self) -> io::Result<()> {
        if self.ended.is_none() {
            let _ = message::send(self.channel.as_fd(), &Message::End, &[]);
            // Nobody reads on: who writes is not to wait, and the monitor's channel is heard to its end.
            drop((self.out.take(), self.err.take()));
            self.hear_out()?;
        }
        let status = self.monitor.wait()?;
        if let (false, Some(pid1)) = (status.success(), &self.pid1) {
            let _ = pidfd_send_signal(pid1, Signal::KILL);
            wait_for_end(pid1.as_fd())?;
        }
        if status.success() { Ok(()) } else { Err(io::Error::other(format!("the monitor ended by {status}"))) }
    }

    /// Takes what monitor and PID 1 still say, so that neither waits for room, until both have closed.
    fn hear_out(&mut self) -> io::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < LAST_WORDS {
            let mut fds = [PollFd::from_borrowed_fd(self.channel.as_fd(), PollFlags::IN)];
            poll(&mut fds, Some(&Timespec { tv_sec: 1, tv_nsec: 0 }))?;
            if fds[0].revents().is_empty() {
                continue;
            }
            match message::receive(self.channel.as_fd())? {
                Some((Message::Forked, fds)) => self.pid1 = fds.into_iter().next(),
                Some(_) => {}
                None => return Ok(()),
            }
        }
        self.monitor.kill()
    }
}

struct Ready {
    cancelled: bool,
    channel: bool,
    out: bool,
    err: bool,
}

/// What has been heard of the start.
struct Story<'a> {
    plan: &'a Plan,
    seen: usize,
    failed: Option<ContainerError>,
}

impl Story<'_> {
    fn step(&mut self, event: &Event, said: &mut dyn FnMut(Said)) {
        self.seen += 1;
        said(Said::Step(event));
    }

    fn fails(&mut self, event: Event, why: String, code: Option<i32>, said: &mut dyn FnMut(Said)) {
        self.step(&event, said);
        let name = self.plan.name.clone();
        let all = self.plan.steps_before() + self.plan.steps.len();
        self.failed = Some(match code {
            Some(code) => ContainerError::NotRun { name, why, code },
            None => ContainerError::Step { name, step: Box::new(FailedStep { number: self.seen, all, event, why }) },
        });
    }

    fn monitor_gone(&self) -> ContainerError {
        let why = "its monitor ended without a word; the kernel's log tells if memory ran out".into();
        ContainerError::Other { name: self.plan.name.clone(), why }
    }
}

/// One piece of what a pipe holds; whether there was any. Its end closes it.
fn drain(pipe: &mut Option<OwnedFd>, buffer: &mut [u8], mut take: impl FnMut(&[u8])) -> io::Result<bool> {
    let Some(open) = pipe else { return Ok(false) };
    match rustix::io::read(&*open, &mut *buffer) {
        Ok(0) => *pipe = None,
        Ok(length) => {
            take(&buffer[..length]);
            return Ok(true);
        }
        Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
        Err(error) => return Err(error.into()),
    }
    Ok(false)
}

/// A pidfd is readable when its process has ended (pidfd_open(2)).
fn wait_for_end(pid1: BorrowedFd) -> io::Result<()> {
    let timeout = Timespec { tv_sec: LAST_WORDS.as_secs() as i64, tv_nsec: 0 };
    poll(&mut [PollFd::from_borrowed_fd(pid1, PollFlags::IN)], Some(&timeout))?;
    Ok(())
}
