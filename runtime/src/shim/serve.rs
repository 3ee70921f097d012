//! The loop: sockets, ptys, pipes and children of one sandbox.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use rustix::event::epoll;

use super::enter::{self, Output, Program, Report, Stdio};
use super::exec::Job;
use super::frames::{Frames, Peer};
use super::protocol::{
    CONNECTIONS_MAX, Exec, FromShim, NAMED_MAX, Open, Purpose, SCRIPT_MAX, SHIM_VERSION, State, TERMINALS_MAX,
    TerminalState, ToShim,
};
use super::pty::SandboxPty;
use super::terminal::{BURST_MAX, News, Pty, Shell, Terminal, View};
use super::wire::{FromViewer, ToViewer};
use super::{files, protocol};
use crate::launch::channel::Channel;
use crate::launch::child::{self, Sandbox};
use crate::launch::parent::shim_fds;
use crate::sys::message;
use crate::sys::process::inherited_fd;

/// Scripts without a name at once: checks and files of one learner's few tabs.
const JOBS_MAX: usize = NAMED_MAX + 32;

/// How long init may take to end everything before it is killed.
const END_GRACE: Duration = Duration::from_secs(3);

/// Runs a shim: from the launch to the end of the sandbox.
pub fn run() -> io::Result<()> {
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
    next_id: u32,
    /// Everything is to end; init gets this long.
    ending: Option<Instant>,
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
        let next = terminals.chain(jobs).chain(self.ending).min()?;
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
        if self.ending.is_some_and(|deadline| deadline <= now) {
            self.ending = None;
            let _ = rustix::process::pidfd_send_signal(&self.sandbox.pid1_fd, rustix::process::Signal::KILL);
        }
    }

    // ---- children ----

    /// `false`: the sandbox has ended.
    fn signalled(&mut self) -> io::Result<bool> {
        while let Some(info) = self.signals.read_signal()? {
            if info.ssi_signo != Signal::SIGCHLD as u32 && self.ending.is_none() {
                // In order: init ends everybody inside, then itself, then this ends.
                self.ending = Some(Instant::now() + END_GRACE);
                let _ = rustix::process::pidfd_send_signal(&self.sandbox.pid1_fd, rustix::process::Signal::TERM);
            }
        }
        Ok(self.reap())
    }

    /// `false`: PID 1 was among them.
    fn reap(&mut self) -> bool {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return true,
                Ok(_) => continue,
            };
            if pid == self.sandbox.pid1 {
                return false;
            }
            self.exited(pid, status);
        }
    }

    fn exited(&mut self, pid: Pid, status: i32) {
        let now = Instant::now();
        if let Some(job) = self.jobs.values_mut().find(|job| job.is(pid)) {
            job.exited(status, now);
            return;
        }
        let is_shell =
            |terminal: &Terminal| matches!(terminal.shell, Shell::Running { pid: shell, .. } if shell == pid);
        match self.terminals.iter().find(|(_, terminal)| is_shell(terminal)).map(|(&number, _)| number) {
            Some(number) => self.shell_exited(number, status),
            None if !self.envoys.is_empty() => drop(self.unclaimed.insert(pid, status)),
            None => self.unclaimed.clear(),
        }
    }

    fn shell_exited(&mut self, number: u16, status: i32) {
        let now = Instant::now();
        // What it printed last is in the pty still.
        let mut buffer = vec![0; BURST_MAX];
        while self.read_pty(number, &mut buffer) > 0 {}
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        let news = terminal.ended(status, now);
        self.unwatch(Source::Pty(number));
        if let Some(Terminal { shell: Shell::Ended { pty, .. }, .. }) = self.terminals.get_mut(&number) {
            *pty = None; // hangs up whoever the shell left behind
        }
        self.tell(number, news);
        self.exits_are_told_behind_output(number, status);
    }

    /// Viewers hear of the end after the last byte; those who lag see it in `Attached`.
    fn exits_are_told_behind_output(&mut self, number: u16, status: i32) {
        self.feed_viewers();
        let exit = News { to_all: vec![ToViewer::Exit { status }], ..News::default() };
        self.tell(number, exit);
    }

    fn report_ready(&mut self, id: u32) {
        let Some((whom, socket)) = self.envoys.get(&id) else { return };
        let whom = *whom;
        match message::receive(socket.as_fd()) {
            Ok(Some((bytes, mut fds))) => match enter::decode(&bytes) {
                Ok(Report::Started { pid }) => self.started(whom, Pid::from_raw(pid), fds.pop()),
                Ok(Report::Failed { doing, why }) => self.failed(whom, &doing, &why),
                Err(error) => self.failed(whom, "understand its own child", &error.to_string()),
            },
            Ok(None) => {
                self.unwatch(Source::Report(id));
                self.envoys.remove(&id);
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => {
                self.unwatch(Source::Report(id));
                self.envoys.remove(&id);
                self.failed(whom, "hear from its own child", &error.to_string());
            }
        }
    }

    fn started(&mut self, whom: For, pid: Pid, master: Option<OwnedFd>) {
        match (whom, master) {
            (For::Terminal(number), Some(master)) => {
                let Some(terminal) = self.terminals.get_mut(&number) else { return };
                let pty = master.try_clone().and_then(|fd| Ok(Pty { master: Box::new(SandboxPty::new(master)?), fd }));
                match pty {
                    Ok(pty) => {
                        terminal.shell = Shell::Running { pid, pty };
                        let (cols, rows) = terminal.size();
                        terminal.resize(cols.saturating_add(1), rows);
                        terminal.resize(cols, rows);
                    }
                    Err(error) => self.failed(whom, "use its terminal", &error.to_string()),
                }
            }
            (For::Job(id), _) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.started_as(pid);
                }
            }
            (For::Terminal(_), None) => self.failed(whom, "open a terminal", "none came"),
        }
        if let Some(status) = self.unclaimed.remove(&pid) {
            self.exited(pid, status);
        }
    }

    fn failed(&mut self, whom: For, doing: &str, why: &str) {
        match whom {
            For::Job(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.failed(doing, why);
                    self.job_finished(id);
                }
            }
            For::Terminal(number) => {
                let text = format!("cannot start a shell in the sandbox: {doing}: {why}");
                let notice = ToViewer::Notice { code: "no-shell".into(), text };
                let news = News { to_all: vec![notice], ..News::default() };
                self.tell(number, news);
                if let Some(terminal) = self.terminals.get_mut(&number)
                    && matches!(terminal.shell, Shell::Starting)
                {
                    let news = terminal.ended(126, Instant::now());
                    self.tell(number, news);
                    self.exits_are_told_behind_output(number, 126);
                }
            }
        }
    }

    fn send_envoy(&mut self, whom: For, program: Program) {
        match enter::enter(&self.sandbox, program) {
            Ok(socket) => {
                let id = self.new_id();
                self.envoys.insert(id, (whom, socket));
            }
            Err(error) => self.failed(whom, "fork", &error.to_string()),
        }
    }

    // ---- terminals ----

    fn start_shell(&mut self, number: u16) {
        let terminal = self.terminals.entry(number).or_insert_with(|| Terminal::new(Instant::now()));
        terminal.shell = Shell::Starting;
        let (cols, rows) = terminal.size();
        let program = Program {
            args: self.commands.get(&number).cloned().unwrap_or_else(|| vec!["bash".into()]),
            env: self.sandbox.plan.env.clone(),
            cwd: "/root".into(),
            group: protocol::Group::Payload,
            script: None,
            script_is_stdin: false,
            stdio: Stdio::Terminal { cols, rows },
        };
        self.send_envoy(For::Terminal(number), program);
    }

    fn pty_ready(&mut self, number: u16, flags: epoll::EventFlags, buffer: &mut [u8]) {
        if flags.contains(epoll::EventFlags::OUT) {
            self.write_input(number);
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            self.read_pty(number, buffer);
        }
    }

    /// Reads what is there, up to a burst, as one piece of output. Returns its length.
    fn read_pty(&mut self, number: u16, buffer: &mut [u8]) -> usize {
        let Some(terminal) = self.terminals.get_mut(&number) else { return 0 };
        let Shell::Running { pty, .. } = &terminal.shell else { return 0 };
        let mut length = 0;
        while length < buffer.len() {
            match rustix::io::read(&pty.fd, &mut buffer[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(rustix::io::Errno::INTR) => {}
                // EIO: nobody holds the other side at the moment. The shell's exit ends the terminal.
                Err(_) => break,
            }
        }
        if length > 0 {
            let news = terminal.output(&buffer[..length], Instant::now());
            self.tell(number, news);
            self.write_input(number);
        }
        length
    }

    fn write_input(&mut self, number: u16) {
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        if !terminal.wants_input() {
            return;
        }
        let mut news = News::default();
        // A pty that takes nothing any more ends with its shell.
        let _ = terminal.write_input(&mut news);
        self.tell(number, news);
        self.retry_stalled(number);
    }

    fn retry_stalled(&mut self, number: u16) {
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        let mut news = News::default();
        for connection in self.connections.values_mut() {
            let Role::Viewer { terminal: of, viewer, .. } = connection.role else { continue };
            if of != number {
                continue;
            }
            if let Some((offset, bytes)) = connection.stalled.take()
                && !terminal.typed_bytes(viewer, offset, &bytes, &mut news)
            {
                connection.stalled = Some((offset, bytes));
            }
        }
        self.tell(number, news);
    }

    /// Sends news to the connections of a terminal; one that does not read is closed.
    fn tell(&mut self, number: u16, news: News) {
        if news.to_all.is_empty() && news.to_viewer.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        for (&id, connection) in &mut self.connections {
            let Role::Viewer { terminal, viewer, .. } = connection.role else { continue };
            if terminal != number {
                continue;
            }
            let mine = news.to_viewer.iter().filter(|(whose, _)| *whose == viewer).map(|(_, frame)| frame);
            for frame in news.to_all.iter().chain(mine) {
                if connection.frames.send(&frame.encode()).is_err() {
                    gone.push(id);
                    break;
                }
            }
        }
        gone.into_iter().for_each(|id| self.close(id));
    }

    fn feed_viewers(&mut self) {
        let mut gone = Vec::new();
        for (&id, connection) in &mut self.connections {
            if let Role::Viewer { terminal, view: Some(view), .. } = &mut connection.role
                && let Some(terminal) = self.terminals.get(terminal)
                && terminal.feed(view, &mut connection.frames).is_err()
            {
                gone.push(id);
            }
        }
        gone.into_iter().for_each(|id| self.close(id));
    }

    // ---- connections ----

    fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() >= CONNECTIONS_MAX {
                continue; // closed at once: the other side says that too many are open
            }
            if let Ok(frames) = Frames::new(stream) {
                let id = self.new_id();
                let connection = Connection { frames, role: Role::New, stalled: None, closing: false };
                self.connections.insert(id, connection);
            }
        }
    }

    fn connection_ready(&mut self, id: u32, flags: epoll::EventFlags) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if flags.contains(epoll::EventFlags::OUT) && connection.frames.flush().is_err() {
            return self.close(id);
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return;
        }
        let peer = connection.frames.fill();
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if connection.stalled.is_some() || connection.closing {
                break;
            }
            match connection.frames.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(why) = self.frame(id, &frame) {
                        return self.refuse(id, &why);
                    }
                }
                Ok(None) => break,
                Err(error) => return self.refuse(id, &error.to_string()),
            }
        }
        if !matches!(peer, Ok(Peer::Open)) {
            self.close(id);
        }
    }

    /// Says why, then closes.
    fn refuse(&mut self, id: u32, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let frame = match connection.role {
            Role::Viewer { .. } => ToViewer::Notice { code: "refused".into(), text: why.into() }.encode(),
            _ => FromShim::Failed { message: why.into() }.encode(),
        };
        let _ = connection.frames.send(&frame);
        self.close(id);
    }

    fn close(&mut self, id: u32) {
        self.unwatch(Source::Connection(id));
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.role {
            Role::Viewer { terminal, view: Some(_), .. } => {
                let watched = self.connections.values().any(
                    |other| matches!(&other.role, Role::Viewer { terminal: of, view: Some(_), .. } if *of == terminal),
                );
                if !watched && let Some(terminal) = self.terminals.get_mut(&terminal) {
                    terminal.unwatched(Instant::now());
                }
            }
            Role::Listener { job } => {
                // A script without a name belongs to its connection.
                if let Some(owned) = self.jobs.get_mut(&job)
                    && owned.exec.name.is_none()
                {
                    owned.kill();
                    if !owned.running() {
                        self.jobs.remove(&job);
                    }
                }
            }
            _ => {}
        }
    }

    fn frame(&mut self, id: u32, frame: &[u8]) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match &mut connection.role {
            Role::New => self.open(id, frame),
            Role::Viewer { .. } => {
                let frame = FromViewer::decode(frame).map_err(|error| error.to_string())?;
                self.from_viewer(id, frame)
            }
            Role::ExecHead { script, .. } => match ToShim::decode(frame).map_err(|error| error.to_string())? {
                ToShim::Data(bytes) if script.len() + bytes.len() <= SCRIPT_MAX => {
                    script.extend(bytes);
                    Ok(())
                }
                ToShim::Data(_) => Err(format!("a script of more than {SCRIPT_MAX} bytes; put the rest into a file")),
                ToShim::End => self.start_job(id),
                ToShim::File(_) => Err("a file on a connection that runs a script".into()),
            },
            Role::Listener { .. } => Err("bytes behind a script's end".into()),
        }
    }

    fn open(&mut self, id: u32, frame: &[u8]) -> Result<(), String> {
        let open = Open::decode(frame).map_err(|error| error.to_string())?;
        if open.version != SHIM_VERSION {
            return Err(format!("this sandbox speaks version {SHIM_VERSION}, not {}", open.version));
        }
        match open.purpose {
            Purpose::Terminal { number, command } if (1..=TERMINALS_MAX).contains(&number) => {
                self.set_role(id, Role::Viewer { terminal: number, viewer: 0, view: None });
                if !command.is_empty() && !self.terminals.contains_key(&number) {
                    self.commands.insert(number, command);
                }
            }
            Purpose::Terminal { number, .. } => {
                return Err(format!("terminal {number} of {TERMINALS_MAX}: close one first"));
            }
            Purpose::Exec(exec) => match exec.name.as_ref().and_then(|name| self.job_named(name)) {
                Some(job) => self.listen(id, job),
                None => self.set_role(id, Role::ExecHead { exec, script: Vec::new() }),
            },
            Purpose::Files => return self.take_files(id),
            Purpose::State => {
                let state = self.state();
                self.answer(id, &FromShim::State(state));
                self.close(id);
            }
        }
        Ok(())
    }

    fn set_role(&mut self, id: u32, role: Role) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.role = role;
        }
    }

    fn state(&self) -> State {
        let viewers = |number| {
            let looks = |connection: &&Connection| matches!(&connection.role, Role::Viewer { terminal, view: Some(_), .. } if *terminal == number);
            self.connections.values().filter(looks).count() as u32
        };
        let terminals = self.terminals.iter().map(|(&number, terminal)| TerminalState {
            number,
            running: matches!(terminal.shell, Shell::Running { .. } | Shell::Starting),
            offset: terminal.offset(),
            viewers: viewers(number),
        });
        let named = self.jobs.values().filter_map(|job| Some((job.exec.name.clone()?, job.running())));
        State { version: SHIM_VERSION, terminals: terminals.collect(), named: named.collect() }
    }

    fn take_files(&mut self, id: u32) -> Result<(), String> {
        self.unwatch(Source::Connection(id));
        let Some(connection) = self.connections.remove(&id) else { return Ok(()) };
        let (stream, first) = connection.frames.into_parts();
        files::receive(&self.sandbox, stream, first).map_err(|error| error.to_string())
    }

    fn from_viewer(&mut self, id: u32, frame: FromViewer) -> Result<(), String> {
        let now = Instant::now();
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Role::Viewer { terminal: number, viewer, view } = &mut connection.role else { return Ok(()) };
        let number = *number;
        match frame {
            FromViewer::Attach { viewer: name, have, cols, rows, restart } => {
                *viewer = name;
                self.attach(id, number, name, have, (cols, rows), restart)
            }
            FromViewer::Ack { offset } => {
                if let (Some(terminal), Some(view)) = (self.terminals.get_mut(&number), view.as_mut()) {
                    terminal.acked(view, offset);
                }
                Ok(())
            }
            FromViewer::Ping { payload } => {
                connection.frames.send(&ToViewer::Pong { payload }.encode()).map_err(|error| error.to_string())
            }
            FromViewer::Resize { cols, rows } => {
                if let Some(terminal) = self.terminals.get_mut(&number) {
                    terminal.resize(cols, rows);
                }
                Ok(())
            }
            FromViewer::Input { number: offset, bytes } => {
                let viewer = *viewer;
                let mut news = News::default();
                if let Some(terminal) = self.terminals.get_mut(&number)
                    && !terminal.typed_bytes(viewer, offset, &bytes, &mut news)
                {
                    connection.stalled = Some((offset, bytes));
                }
                self.tell(number, news);
                self.write_input(number);
                Ok(())
            }
            FromViewer::Run { id: run, flags, text } => {
                let Some(terminal) = self.terminals.get_mut(&number) else { return Err("attach first".into()) };
                let news = terminal.run(run, flags, text, now);
                self.tell(number, news);
                self.write_input(number);
                Ok(())
            }
        }
    }

    fn attach(
        &mut self,
        id: u32,
        number: u16,
        viewer: u128,
        have: u64,
        size: (u16, u16),
        restart: bool,
    ) -> Result<(), String> {
        let only_types = size == (0, 0);
        let fresh = !self.terminals.contains_key(&number);
        let terminal = self.terminals.entry(number).or_insert_with(|| Terminal::new(Instant::now()));
        if !only_types {
            terminal.resize(size.0, size.1);
        }
        if fresh || (restart && matches!(terminal.shell, Shell::Ended { .. })) {
            self.start_shell(number);
        }
        let Some(terminal) = self.terminals.get_mut(&number) else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Role::Viewer { view, .. } = &mut connection.role else { return Ok(()) };
        if only_types {
            return Ok(());
        }
        let (new_view, frames) = terminal.attach(viewer, have);
        *view = Some(new_view);
        for frame in frames {
            connection.frames.send(&frame.encode()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }

    // ---- scripts ----

    fn job_named(&self, name: &str) -> Option<u32> {
        self.jobs.iter().find(|(_, job)| job.exec.name.as_deref() == Some(name)).map(|(&id, _)| id)
    }

    fn start_job(&mut self, connection: u32) -> Result<(), String> {
        let Some(Connection { role, .. }) = self.connections.get_mut(&connection) else { return Ok(()) };
        let Role::ExecHead { exec, script } = std::mem::replace(role, Role::New) else { return Ok(()) };
        if self.jobs.len() >= JOBS_MAX {
            return Err(format!("{JOBS_MAX} scripts are kept already; restart the sandbox"));
        }
        // Between this connection's Open and now another may have started the same.
        if let Some(job) = exec.name.as_ref().and_then(|name| self.job_named(name)) {
            self.listen(connection, job);
            return Ok(());
        }
        let prepared = self.program(exec.clone(), &script).map_err(|error| error.to_string())?;
        let (program, pipes) = prepared;
        let id = self.new_id();
        self.jobs.insert(id, Job::new(exec, pipes, Instant::now()));
        self.listen(connection, id);
        self.send_envoy(For::Job(id), program);
        Ok(())
    }

    fn program(&self, exec: Exec, script: &[u8]) -> io::Result<(Program, Vec<(u8, OwnedFd)>)> {
        // Only where it is asked for: a descriptor that nobody opened puzzles who looks at /proc/self/fd.
        let wanted = exec.script_is_stdin || exec.args.iter().any(|arg| arg.contains("{script}"));
        let script = wanted.then(|| enter::sealed_bytes(script)).transpose()?;
        let script_path = format!("/dev/fd/{}", enter::SCRIPT_FD);
        let args = exec.args.iter().map(|arg| arg.replace("{script}", &script_path)).collect();
        let mut env = self.sandbox.plan.env.clone();
        env.retain(|(key, _)| !exec.env.iter().any(|(other, _)| other == key));
        env.extend(exec.env);
        let mut pipes = Vec::new();
        let mut output = |stream: u8, path: Option<String>| -> io::Result<Output> {
            if let Some(path) = path {
                return Ok(Output::File(path));
            }
            let (read, write) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
            rustix::io::ioctl_fionbio(&read, true)?;
            pipes.push((stream, read));
            Ok(Output::Pipe(write))
        };
        let stdout = output(1, exec.stdout_path)?;
        let stderr = output(2, exec.stderr_path)?;
        let stdio = Stdio::Pipes { stdout, stderr };
        let script_is_stdin = exec.script_is_stdin;
        let program = Program { args, env, cwd: exec.cwd, group: exec.group, script, script_is_stdin, stdio };
        Ok((program, pipes))
    }

    fn listen(&mut self, connection: u32, job: u32) {
        let replay = self.jobs.get(&job).map(Job::replay).unwrap_or_default();
        let over = self.jobs.get(&job).is_none_or(|job| !job.running());
        self.set_role(connection, Role::Listener { job });
        for message in replay {
            self.answer(connection, &message);
        }
        if over && let Some(connection) = self.connections.get_mut(&connection) {
            connection.closing = true;
        }
    }

    fn answer(&mut self, connection: u32, message: &FromShim) {
        if let Some(connection) = self.connections.get_mut(&connection)
            && connection.frames.send(&message.encode()).is_err()
        {
            connection.closing = true;
        }
    }

    fn listeners(&self, job: u32) -> Vec<u32> {
        let listens = |connection: &Connection| matches!(connection.role, Role::Listener { job: of } if of == job);
        self.connections.iter().filter(|(_, connection)| listens(connection)).map(|(&id, _)| id).collect()
    }

    fn pipe_ready(&mut self, id: u32, stream: u8, buffer: &mut [u8]) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let Some((_, pipe)) = job.pipes.iter().find(|(of, _)| *of == stream) else { return };
        let read = rustix::io::read(pipe, &mut buffer[..]);
        match read {
            Ok(0) | Err(rustix::io::Errno::IO) => {
                job.pipes.retain(|(of, _)| *of != stream);
                self.unwatch(Source::Pipe(id, stream));
            }
            Ok(length) => {
                if let Some(message) = job.output(stream, &buffer[..length]) {
                    self.listeners(id).into_iter().for_each(|listener| self.answer(listener, &message));
                }
            }
            Err(_) => {}
        }
    }

    fn job_finished(&mut self, id: u32) {
        for stream in [1, 2] {
            self.unwatch(Source::Pipe(id, stream));
        }
        let Some(Job { result: Some(result), exec, .. }) = self.jobs.get(&id) else { return };
        let (result, named) = (result.clone(), exec.name.is_some());
        for listener in self.listeners(id) {
            self.answer(listener, &result);
            if let Some(connection) = self.connections.get_mut(&listener) {
                connection.closing = true;
            }
        }
        if !named {
            self.jobs.remove(&id);
        }
        self.forget_old_jobs();
    }

    /// Finished scripts beyond the limit, oldest first.
    fn forget_old_jobs(&mut self) {
        while self.jobs.len() > NAMED_MAX {
            let Some(oldest) = self.jobs.iter().find(|(_, job)| !job.running()).map(|(&id, _)| id) else { return };
            self.jobs.remove(&oldest);
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
