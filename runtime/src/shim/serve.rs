//! The loop: sockets, ptys, pipes and children of one sandbox.

mod children;
mod connections;
mod scripts;
mod terminals;

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;
use rustix::event::epoll;

use super::exec::Job;
use super::frames::Frames;
use super::protocol::{Exec, NAMED_MAX};
use super::terminal::{BURST_MAX, Shell, Terminal, View};
use crate::launch::channel::Channel;
use crate::launch::child::{self, Sandbox};
use crate::launch::parent::shim_fds;
use crate::sys::process::{inherited_fd, take_short_turns};

/// Scripts without a name at once: checks and files of one learner's few tabs.
const JOBS_MAX: usize = NAMED_MAX + 32;

/// How long init may take to end everything before it is killed.
const END_GRACE: Duration = Duration::from_secs(3);

/// How long PID 1 may take to be gone once it was killed. One that a learner has frozen (cgroups(7), freezer of v1) takes
/// for ever, and only the host's root can thaw it: the shim ends, and leaves the rest to whoever removes the groups.
const KILL_GRACE: Duration = Duration::from_millis(500);

/// Runs a shim: from the launch to the end of the sandbox.
pub fn run() -> io::Result<()> {
    // Before the launch, for everything in the sandbox: a key waits for its shell as it does for the shim, and
    // who burns a processor has no longer turns than others. Where it is refused, nothing else changes.
    let _ = take_short_turns(0);
    let listener = UnixListener::from(inherited_fd(shim_fds::LISTENER)?);
    let lease = inherited_fd(shim_fds::LEASE)?;
    for fd in [listener.as_fd(), lease.as_fd()] {
        rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::CLOEXEC)?;
    }
    let channel = inherited_fd(shim_fds::CHANNEL)?;
    rustix::io::fcntl_setfd(&channel, rustix::io::FdFlags::CLOEXEC)?;
    let sandbox = {
        let channel = Channel::new(channel);
        child::start(&channel)?
    };
    let mut shim = Shim::new(sandbox, listener)?;
    let result = shim.serve();
    drop(lease);
    result
}

/// What an event is about, packed into epoll's 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Source {
    Listener,
    Signals,
    Connection(u32),
    Pty(u16),
    /// An envoy's report for a terminal or a job.
    Report(u32),
    /// A job's pipe: standard output (1) or error (2).
    Pipe(u32, u8),
}

impl Source {
    fn pack(self) -> u64 {
        let (kind, number) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Connection(number) => (2, u64::from(number)),
            Self::Pty(number) => (3, u64::from(number)),
            Self::Report(number) => (4, u64::from(number)),
            Self::Pipe(number, stream) => (5, u64::from(number) << 8 | u64::from(stream)),
        };
        kind << 56 | number
    }

    fn unpack(bits: u64) -> Self {
        let number = bits & ((1 << 56) - 1);
        match bits >> 56 {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Connection(number as u32),
            3 => Self::Pty(number as u16),
            4 => Self::Report(number as u32),
            _ => Self::Pipe((number >> 8) as u32, number as u8),
        }
    }
}

/// What a connection is for.
#[derive(Debug)]
enum Role {
    New,
    /// Looks at a terminal once it has attached; until then, and with a size of 0, it only types.
    Viewer {
        terminal: u16,
        viewer: u128,
        view: Option<View>,
    },
    /// Sends a script, then listens to the job.
    ExecHead {
        exec: Exec,
        script: Vec<u8>,
    },
    Listener {
        job: u32,
    },
}

impl Role {
    /// The view of a viewer that looks.
    fn view(&self) -> Option<&View> {
        match self {
            Self::Viewer { view, .. } => view.as_ref(),
            _ => None,
        }
    }
}

#[derive(Debug)]
struct Connection {
    frames: Frames,
    role: Role,
    /// Typed bytes that found no room: nothing more is read until they do.
    stalled: Option<(u64, Vec<u8>)>,
    /// Closed once what waits has been sent.
    closing: bool,
}

/// Whom an envoy works for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum For {
    Terminal(u16),
    Job(u32),
}

/// The end of a sandbox, and until when each part of it may take.
#[derive(Debug, Clone, Copy)]
enum Ending {
    /// Init ends everybody.
    InOrder(Instant),
    /// Init was killed.
    Killed(Instant),
    /// It has not helped.
    GivenUp,
}

impl Ending {
    fn deadline(self) -> Option<Instant> {
        match self {
            Self::InOrder(until) | Self::Killed(until) => Some(until),
            Self::GivenUp => None,
        }
    }
}

struct Shim {
    sandbox: Sandbox,
    epoll: OwnedFd,
    listener: UnixListener,
    signals: SignalFd,
    terminals: BTreeMap<u16, Terminal>,
    /// What runs in a terminal instead of a shell, where its first viewer said so.
    commands: BTreeMap<u16, Vec<String>>,
    connections: BTreeMap<u32, Connection>,
    jobs: BTreeMap<u32, Job>,
    envoys: BTreeMap<u32, (For, OwnedFd)>,
    /// Exits that arrived before the report that names their pid.
    unclaimed: HashMap<Pid, i32>,
    watched: BTreeMap<Source, epoll::EventFlags>,
    /// When a viewer typed or ran something last, in any terminal.
    input_at: Option<Instant>,
    next_id: u32,
    /// Everything is to end: until when what.
    ending: Option<Ending>,
}

impl Shim {
    fn new(sandbox: Sandbox, listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let mut shim = Self {
            sandbox,
            epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
            listener,
            signals,
            terminals: BTreeMap::new(),
            commands: BTreeMap::new(),
            connections: BTreeMap::new(),
            jobs: BTreeMap::new(),
            envoys: BTreeMap::new(),
            unclaimed: HashMap::new(),
            watched: BTreeMap::new(),
            input_at: None,
            next_id: 0,
            ending: None,
        };
        epoll::add(&shim.epoll, &shim.listener, data(Source::Listener), epoll::EventFlags::IN)?;
        epoll::add(&shim.epoll, &shim.signals, data(Source::Signals), epoll::EventFlags::IN)?;
        shim.reap();
        Ok(shim)
    }

    /// Until PID 1 has ended.
    fn serve(&mut self) -> io::Result<()> {
        let mut events = Vec::with_capacity(64);
        let mut buffer = vec![0; BURST_MAX];
        loop {
            events.clear();
            match epoll::wait(&self.epoll, rustix::buffer::spare_capacity(&mut events), self.timeout().as_ref()) {
                Ok(_) | Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
            for event in &events {
                match Source::unpack(event.data.u64()) {
                    Source::Listener => self.accept(),
                    Source::Signals => {
                        if !self.signalled()? {
                            return Ok(());
                        }
                    }
                    Source::Connection(id) => self.connection_ready(id, event.flags),
                    Source::Pty(number) => self.pty_ready(number, event.flags, &mut buffer),
                    Source::Report(id) => self.report_ready(id),
                    Source::Pipe(id, stream) => self.pipe_ready(id, stream, &mut buffer),
                }
            }
            self.tick();
            if matches!(self.ending, Some(Ending::GivenUp)) {
                return Ok(());
            }
            self.feed_viewers();
            self.watch_all()?;
        }
    }

    fn new_id(&mut self) -> u32 {
        self.next_id += 1;
        self.next_id
    }

    // ---- time ----

    fn timeout(&self) -> Option<rustix::time::Timespec> {
        let terminals = self.terminals.values().filter_map(Terminal::deadline);
        let jobs = self.jobs.values().filter_map(Job::deadline);
        let views = self.connections.values().filter_map(|connection| connection.role.view()?.deadline());
        let next = terminals.chain(jobs).chain(views).chain(self.ending.and_then(Ending::deadline)).min()?;
        let wait = next.saturating_duration_since(Instant::now());
        // Rounded up: woken a moment early, the loop would spin until the deadline.
        let wait = wait + Duration::from_millis(1);
        Some(rustix::time::Timespec { tv_sec: wait.as_secs() as i64, tv_nsec: i64::from(wait.subsec_nanos()) })
    }

    fn tick(&mut self) {
        let now = Instant::now();
        let numbers: Vec<u16> = self.terminals.keys().copied().collect();
        for number in numbers {
            let Some(terminal) = self.terminals.get_mut(&number) else { continue };
            let news = terminal.timeout(now);
            self.tell(number, news);
            self.write_input(number);
        }
        let ids: Vec<u32> = self.jobs.keys().copied().collect();
        for id in ids {
            if self.jobs.get_mut(&id).is_some_and(|job| job.tick(now)) {
                self.job_finished(id);
            }
        }
        match self.ending {
            Some(Ending::InOrder(until)) if until <= now => {
                self.ending = Some(Ending::Killed(now + KILL_GRACE));
                let _ = rustix::process::pidfd_send_signal(&self.sandbox.pid1_fd, rustix::process::Signal::KILL);
            }
            Some(Ending::Killed(until)) if until <= now => self.ending = Some(Ending::GivenUp),
            _ => {}
        }
    }

    // ---- what the loop waits for ----

    fn watch_all(&mut self) -> io::Result<()> {
        use epoll::EventFlags as Flags;
        let now = Instant::now();
        let done: Vec<u32> = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.closing && connection.frames.is_idle())
            .map(|(&id, _)| id)
            .collect();
        done.into_iter().for_each(|id| self.close(id));

        let mut wanted: Vec<(Source, BorrowedFd, Flags)> = Vec::new();
        for (&id, connection) in &self.connections {
            let mut flags = Flags::empty();
            flags.set(Flags::IN, connection.stalled.is_none());
            flags.set(Flags::OUT, !connection.frames.is_idle());
            wanted.push((Source::Connection(id), connection.frames.as_fd(), flags));
        }
        for (&number, terminal) in &self.terminals {
            let Shell::Running { pty, .. } = &terminal.shell else { continue };
            let views = self.connections.values().filter_map(|connection| match &connection.role {
                Role::Viewer { terminal: of, view: Some(view), .. } if *of == number => Some(view),
                _ => None,
            });
            let mut flags = Flags::empty();
            flags.set(Flags::IN, terminal.wants_output(views, now));
            flags.set(Flags::OUT, terminal.wants_input());
            wanted.push((Source::Pty(number), pty.fd.as_fd(), flags));
        }
        for (&id, (_, socket)) in &self.envoys {
            wanted.push((Source::Report(id), socket.as_fd(), Flags::IN));
        }
        for (&id, job) in &self.jobs {
            for (stream, pipe) in &job.pipes {
                wanted.push((Source::Pipe(id, *stream), pipe.as_fd(), Flags::IN));
            }
        }
        for (source, fd, flags) in wanted {
            match self.watched.get(&source) {
                Some(known) if *known == flags => continue,
                Some(_) => epoll::modify(&self.epoll, fd, data(source), flags)?,
                None => epoll::add(&self.epoll, fd, data(source), flags)?,
            }
            self.watched.insert(source, flags);
        }
        Ok(())
    }

    /// Before its descriptor is closed: another may get the same number.
    fn unwatch(&mut self, source: Source) {
        if self.watched.remove(&source).is_none() {
            return;
        }
        let fd = match source {
            Source::Connection(id) => self.connections.get(&id).map(|connection| connection.frames.as_fd()),
            Source::Pty(number) => self.terminals.get(&number).and_then(|terminal| match &terminal.shell {
                Shell::Running { pty, .. } | Shell::Ended { pty: Some(pty), .. } => Some(pty.fd.as_fd()),
                _ => None,
            }),
            Source::Report(id) => self.envoys.get(&id).map(|(_, socket)| socket.as_fd()),
            // Closed with its last holder, which is the job.
            Source::Pipe(..) | Source::Listener | Source::Signals => None,
        };
        if let Some(fd) = fd {
            let _ = epoll::delete(&self.epoll, fd);
        }
    }
}

fn data(source: Source) -> epoll::EventData {
    epoll::EventData::new_u64(source.pack())
}

impl std::fmt::Debug for Shim {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_struct("Shim").field("epoll", &self.epoll.as_raw_fd()).finish_non_exhaustive()
    }
}
