//! The keeper's loop.

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::socket::{getsockopt, sockopt};
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};

use super::protocol::{
    Answer, Body, Failure, FailureCode, ImageInfo, ImageState, KEEPER_VERSION, Request, SandboxInfo, Verb,
};
use super::worker::{self, Report, Worker};
use crate::cgroup::tree::{sweep_parents, take_turns};
use crate::cgroup::turns::{Governor, LOOK, Together, Used};
use crate::image::{Sources, Store};
use crate::launch::parent::{Launcher, reopen_shim};
use crate::launch::teardown::{self, Record, socket_name};
use crate::rootfs::disk::{self, ReadyDisk};
use crate::shim::frames::{Frames, Peer};
use crate::spec::{Limits, SandboxId, SandboxSpec};
use crate::sys::message;

/// The web process, its successor while it is replaced, and an operator's command or two.
const CONNECTIONS_MAX: usize = 8;

/// Launches and tear-downs at once: more would only share the same cores.
const WORKERS_MAX: usize = 8;

/// Disks kept ready, so that a learner's start does not wait for a copy and a mount (3 of 18 ms). A class
/// that starts in one second uses them up and waits that much longer.
const READY_DISKS: usize = 4;

/// Requests that wait for a worker: a class and a half.
const WAITING_MAX: usize = 256;

/// What a keeper is told.
#[derive(Debug)]
pub struct Config {
    /// Sandboxes at once.
    pub sandboxes_max: usize,
    pub sources: Sources,
    /// Images to have ready, the first first.
    pub prepare: Vec<String>,
    /// Shown to those who connect.
    pub build: String,
    /// The memory that all sandboxes can have together, where the host says it: whoever decides how many there
    /// should be is told.
    pub memory_bytes: Option<u64>,
}

/// Something for the operator to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Tone {
    /// How far something is.
    Progress,
    /// Something failed.
    Trouble,
}

/// Takes a line for the operator, with the sandbox that it is about.
pub type Log = dyn FnMut(Tone, Option<SandboxId>, &str);

/// Serves until SIGTERM (sandboxes go on) or SIGINT (they are ended first).
pub fn run(launcher: Launcher, config: Config, log: &mut Log) -> io::Result<()> {
    Keeper::new(launcher, config, log)?.serve()
}

/// Who is to be answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Caller {
    connection: u32,
    request: u64,
}

#[derive(Debug)]
enum Sandbox {
    /// A worker is at it; `doomed`: destroy it as soon as it is there.
    Creating {
        callers: Vec<Caller>,
        doomed: Vec<Caller>,
    },
    Running {
        record: Box<Record>,
        shim: OwnedFd,
    },
    /// A worker is at it. `why`: it ended by itself, and everybody is to hear of it.
    Destroying {
        callers: Vec<Caller>,
        why: Option<String>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Task {
    Create(SandboxId),
    Destroy(SandboxId),
    Prepare(String),
}

/// Work that waits for a worker to be free.
#[derive(Debug)]
enum Waiting {
    Create(SandboxSpec),
    Destroy(Record, Option<OwnedFd>),
}

struct Keeper<'a> {
    launcher: Launcher,
    config: Config,
    store: Store,
    log: &'a mut Log,
    listener: UnixListener,
    signals: SignalFd,
    /// When to look again who uses the processors.
    look: TimerFd,
    governor: Governor,
    used: Option<Used>,
    connections: BTreeMap<u32, Frames>,
    sandboxes: BTreeMap<SandboxId, Sandbox>,
    workers: BTreeMap<u32, (Task, Worker)>,
    waiting: VecDeque<Waiting>,
    /// How images under way, or failed, stand; the store knows the others.
    images: BTreeMap<String, ImageState>,
    images_wanted: VecDeque<String>,
    ready_disks: Vec<ReadyDisk>,
    /// None is made ready after one failed, until a launch has worked.
    disks_fail: bool,
    next_id: u32,
    /// End every sandbox, then return.
    ending: bool,
}

impl<'a> Keeper<'a> {
    fn new(launcher: Launcher, config: Config, log: &'a mut Log) -> io::Result<Self> {
        let store = Store::open(launcher.data.images()).map_err(io::Error::other)?;
        // Shims whose worker has ended become this process's children, to be reaped.
        rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
        disk::sweep_ready(&launcher.data.disks())?;
        let (alive, left) = teardown::sweep(&launcher.data)?;
        left.iter().for_each(|left| {
            log(Tone::Trouble, None, &format!("cannot sweep all of a sandbox that has ended: {left}"))
        });
        let mut mask = SigSet::empty();
        for signal in [Signal::SIGCHLD, Signal::SIGTERM, Signal::SIGINT] {
            mask.add(signal);
        }
        mask.thread_block()?;
        let signals = SignalFd::with_flags(&mask, SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC)?;
        let look = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        look.set(Expiration::Interval(LOOK.into()), TimerSetTimeFlags::empty())?;
        let listener = bind(&launcher)?;
        let images_wanted = config.prepare.iter().cloned().collect();
        let mut keeper = Self {
            launcher,
            config,
            store,
            log,
            listener,
            signals,
            look,
            governor: Governor::default(),
            used: None,
            connections: BTreeMap::new(),
            sandboxes: BTreeMap::new(),
            workers: BTreeMap::new(),
            waiting: VecDeque::new(),
            images: BTreeMap::new(),
            images_wanted,
            ready_disks: Vec::new(),
            disks_fail: false,
            next_id: 0,
            ending: false,
        };
        alive.into_iter().filter(|record| record.kept).for_each(|record| keeper.adopt(record));
        Ok(keeper)
    }

    /// A sandbox of an earlier keeper. One whose launch that keeper did not see through is ended.
    fn adopt(&mut self, record: Record) {
        let id = record.id;
        // Whoever launched it may have had another id for the web process.
        let socket = self.launcher.data.shims().join(socket_name(id));
        if let Err(error) = chown(&socket, Some(self.launcher.web_id), Some(self.launcher.web_id)) {
            (self.log)(Tone::Trouble, Some(id), &format!("cannot hand over {}: {error}", socket.display()));
        }
        match reopen_shim(&record) {
            Ok(shim) => drop(self.sandboxes.insert(id, Sandbox::Running { record: Box::new(record), shim })),
            Err(_) => {
                self.sandboxes.insert(id, Sandbox::Destroying { callers: Vec::new(), why: None });
                self.waiting.push_back(Waiting::Destroy(record, None));
            }
        }
    }

    fn serve(mut self) -> io::Result<()> {
        loop {
            self.start_workers();
            if self.ending && self.sandboxes.is_empty() && self.workers.is_empty() {
                let host = &self.launcher.host;
                sweep_parents(&host.cgroups, &host.cgroup_parent);
                disk::sweep_ready(&self.launcher.data.disks())?;
                return Ok(());
            }
            let spare =
                !self.ending && !self.disks_fail && self.waiting.is_empty() && self.ready_disks.len() < READY_DISKS;
            let ready = self.wait(spare)?;
            if ready.is_empty() && spare {
                self.make_disk_ready();
            }
            for source in ready {
                match source {
                    Source::Signals => {
                        if self.signalled()? {
                            return Ok(());
                        }
                    }
                    Source::Look => self.look_who_uses_the_processors(),
                    Source::Listener => self.accept(),
                    Source::Connection(id) => self.connection_ready(id),
                    Source::Worker(id) => self.worker_ready(id),
                    Source::Shim(id) => self.shim_ended(id),
                }
            }
        }
    }

    /// What is ready; nothing after a moment if there is something else to do.
    fn wait(&self, spare: bool) -> io::Result<Vec<Source>> {
        let mut fds = vec![PollFd::new(&self.signals, PollFlags::IN), PollFd::new(&self.listener, PollFlags::IN)];
        let mut sources = vec![Source::Signals, Source::Listener];
        if !self.sandboxes.is_empty() {
            fds.push(PollFd::new(&self.look, PollFlags::IN));
            sources.push(Source::Look);
        }
        for (&id, frames) in &self.connections {
            let out = if frames.is_idle() { PollFlags::empty() } else { PollFlags::OUT };
            fds.push(PollFd::from_borrowed_fd(frames.as_fd(), PollFlags::IN | out));
            sources.push(Source::Connection(id));
        }
        for (&id, (_, worker)) in &self.workers {
            fds.push(PollFd::new(&worker.socket, PollFlags::IN));
            sources.push(Source::Worker(id));
        }
        for (&id, sandbox) in &self.sandboxes {
            if let Sandbox::Running { shim, .. } = sandbox {
                fds.push(PollFd::new(shim, PollFlags::IN));
                sources.push(Source::Shim(id));
            }
        }
        let moment = rustix::time::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
        match poll(&mut fds, spare.then_some(&moment)) {
            Ok(_) => {}
            Err(rustix::io::Errno::INTR) => return Ok(Vec::new()),
            Err(error) => return Err(error.into()),
        }
        let ready = fds.iter().zip(sources).filter(|(fd, _)| !fd.revents().is_empty());
        Ok(ready.map(|(_, source)| source).collect())
    }

    /// `true`: end now, and leave the sandboxes to the next keeper.
    fn signalled(&mut self) -> io::Result<bool> {
        while let Some(info) = self.signals.read_signal()? {
            match Signal::try_from(info.ssi_signo as i32) {
                Ok(Signal::SIGTERM) => return Ok(true),
                Ok(Signal::SIGINT) if !self.ending => {
                    self.ending = true;
                    self.images_wanted.clear();
                    let ids: Vec<SandboxId> = self.sandboxes.keys().copied().collect();
                    ids.into_iter().for_each(|id| self.destroy(id, None));
                }
                _ => {}
            }
        }
        loop {
            match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::StillAlive) | Err(_) => return Ok(false),
                Ok(_) => {}
            }
        }
    }

    /// Whether sandboxes give way to the host's own programs, or have a share beside them.
    fn look_who_uses_the_processors(&mut self) {
        let _ = self.look.wait(); // takes what has expired: it does not block
        let host = &mut self.launcher.host;
        let used = Used::read(&host.cgroups, &host.cgroup_parent);
        let before = std::mem::replace(&mut self.used, used);
        let (Some(before), Some(used)) = (before, used) else { return };
        host.turns = self.governor.look(used.since(&before));
        let Some(together) = Together::new(&host.cgroups, &host.cgroup_parent, host.turns) else { return };
        // Each time, as `quayside run` may have said something else. Not said to the operator each time: the
        // next launch meets the same files, and fails in words.
        let _ = take_turns(&together);
    }

    fn make_disk_ready(&mut self) {
        let size = Limits::default().disk_max_bytes;
        let name = self.new_id().to_string();
        match disk::make_ready(&self.launcher.data.disks(), &name, size) {
            Ok(disk) => self.ready_disks.push(disk),
            // A launch that needs it will say so in words; trying again and again would say nothing more.
            Err(error) => {
                (self.log)(Tone::Trouble, None, &error.to_string());
                self.disks_fail = true;
            }
        }
    }

    // ---- connections ----

    fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        // The socket's mode lets in only those two already; nobody has to trust that it stays so.
        let trusted = getsockopt(&stream, sockopt::PeerCredentials)
            .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.launcher.web_id);
        if !trusted || self.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        if let Ok(frames) = Frames::new(stream) {
            let id = self.new_id();
            self.connections.insert(id, frames);
        }
    }

    fn new_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }

    fn connection_ready(&mut self, id: u32) {
        let Some(frames) = self.connections.get_mut(&id) else { return };
        if frames.flush().is_err() {
            self.connections.remove(&id);
            return;
        }
        let peer = frames.fill();
        loop {
            let Some(frames) = self.connections.get_mut(&id) else { return };
            match frames.next_frame() {
                Ok(Some(frame)) => self.frame(id, &frame),
                Ok(None) => break,
                Err(_) => {
                    self.connections.remove(&id);
                    return;
                }
            }
        }
        if !matches!(peer, Ok(Peer::Open)) {
            self.connections.remove(&id);
        }
    }

    fn frame(&mut self, connection: u32, frame: &[u8]) {
        match serde_json::from_slice::<Request>(frame) {
            Ok(Request { id: request, verb }) => self.verb(Caller { connection, request }, verb),
            Err(error) => {
                // The id is what an answer needs; a request that is broken otherwise may still have one.
                #[derive(serde::Deserialize)]
                struct OnlyId {
                    id: u64,
                }
                let request = serde_json::from_slice::<OnlyId>(frame).map_or(0, |only| only.id);
                let message = format!("cannot read the request: {error}");
                self.answer(Caller { connection, request }, failed(FailureCode::Invalid, message));
            }
        }
    }

    fn verb(&mut self, caller: Caller, verb: Verb) {
        match verb {
            Verb::Hello { version: KEEPER_VERSION } => {
                let Config { build, memory_bytes, .. } = &self.config;
                let body = Body::Hello { version: KEEPER_VERSION, build: build.clone(), memory_bytes: *memory_bytes };
                self.answer(caller, body);
            }
            Verb::Hello { version } => {
                let message =
                    format!("this keeper speaks version {KEEPER_VERSION}, not {version}; restart the older side");
                self.answer(caller, failed(FailureCode::Version, message));
            }
            Verb::Create { spec } => self.create(caller, spec),
            Verb::Destroy { sandbox } => self.destroy(sandbox, Some(caller)),
            Verb::List => {
                let running = self.sandboxes.values().filter_map(|sandbox| match sandbox {
                    Sandbox::Running { record, .. } => Some(info(record)),
                    _ => None,
                });
                let sandboxes = running.collect();
                self.answer(caller, Body::Sandboxes { sandboxes });
            }
            Verb::Images => {
                let images = self.images();
                self.answer(caller, Body::Images { images });
            }
            Verb::PrepareImage { name } => self.prepare_on_demand(caller, name),
        }
    }

    fn answer(&mut self, Caller { connection, request }: Caller, body: Body) {
        let Some(frames) = self.connections.get_mut(&connection) else { return };
        let bytes = serde_json::to_vec(&Answer { id: request, body }).expect("plain data serialises");
        if frames.send(&bytes).is_err() {
            self.connections.remove(&connection);
        }
    }

    fn tell_all(&mut self, body: &Body) {
        let connections: Vec<u32> = self.connections.keys().copied().collect();
        for connection in connections {
            self.answer(Caller { connection, request: 0 }, body.clone());
        }
    }

    // ---- sandboxes ----

    fn create(&mut self, caller: Caller, spec: SandboxSpec) {
        match self.sandboxes.get_mut(&spec.id) {
            Some(Sandbox::Running { record, .. }) => {
                let sandbox = info(record);
                return self.answer(caller, Body::Created { sandbox });
            }
            Some(Sandbox::Creating { callers, .. }) => return callers.push(caller),
            Some(Sandbox::Destroying { .. }) => {
                let message = format!("sandbox {} is being destroyed", spec.id);
                return self.answer(caller, failed(FailureCode::Invalid, message));
            }
            None => {}
        }
        if self.ending || self.sandboxes.len() >= self.config.sandboxes_max || self.waiting.len() >= WAITING_MAX {
            let max = self.config.sandboxes_max;
            return self.answer(caller, failed(FailureCode::Full, format!("all {max} places are taken")));
        }
        self.sandboxes.insert(spec.id, Sandbox::Creating { callers: vec![caller], doomed: Vec::new() });
        self.waiting.push_back(Waiting::Create(spec));
    }

    fn destroy(&mut self, id: SandboxId, caller: Option<Caller>) {
        match self.sandboxes.remove(&id) {
            None => {
                if let Some(caller) = caller {
                    self.answer(caller, Body::Done);
                }
            }
            Some(Sandbox::Creating { callers, mut doomed }) => {
                doomed.extend(caller);
                // Without a caller it is doomed too: nobody is to be answered then.
                doomed.push(Caller { connection: 0, request: 0 });
                self.sandboxes.insert(id, Sandbox::Creating { callers, doomed });
            }
            Some(Sandbox::Destroying { mut callers, why }) => {
                callers.extend(caller);
                self.sandboxes.insert(id, Sandbox::Destroying { callers, why });
            }
            Some(Sandbox::Running { record, shim }) => {
                let callers = caller.into_iter().collect();
                self.sandboxes.insert(id, Sandbox::Destroying { callers, why: None });
                self.waiting.push_back(Waiting::Destroy(*record, Some(shim)));
            }
        }
    }

    /// A shim's pidfd became readable: it ended without being told to.
    fn shim_ended(&mut self, id: SandboxId) {
        if let Some(Sandbox::Running { record, .. }) = self.sandboxes.remove(&id) {
            let why = "its first process, or the process that owns its terminals, has ended".to_owned();
            self.sandboxes.insert(id, Sandbox::Destroying { callers: Vec::new(), why: Some(why) });
            self.waiting.push_back(Waiting::Destroy(*record, None));
        }
    }

    fn created(&mut self, id: SandboxId, record: Record, shim: Option<OwnedFd>) {
        let Some(Sandbox::Creating { callers, doomed }) = self.sandboxes.remove(&id) else { return };
        let line = format!("launched on image {} in {} µs", record.image, record.launch_us);
        (self.log)(Tone::Progress, Some(id), &line);
        let sandbox = info(&record);
        for caller in callers {
            self.answer(caller, Body::Created { sandbox: sandbox.clone() });
        }
        match shim {
            Some(shim) => {
                self.sandboxes.insert(id, Sandbox::Running { record: Box::new(record), shim });
                doomed.into_iter().for_each(|caller| self.destroy(id, Some(caller)));
            }
            None => {
                self.sandboxes.insert(id, Sandbox::Destroying { callers: doomed, why: None });
                self.waiting.push_back(Waiting::Destroy(record, None));
            }
        }
    }

    fn create_failed(&mut self, id: SandboxId, failure: Failure) {
        (self.log)(Tone::Trouble, Some(id), &failure.message);
        let Some(Sandbox::Creating { callers, doomed }) = self.sandboxes.remove(&id) else { return };
        for caller in callers {
            self.answer(caller, Body::Failed { failure: failure.clone() });
        }
        doomed.into_iter().for_each(|caller| self.answer(caller, Body::Done));
    }

    fn destroyed(&mut self, id: SandboxId, left: Option<String>) {
        match left {
            Some(left) => (self.log)(Tone::Trouble, Some(id), &format!("it has ended but left something: {left}")),
            None => (self.log)(Tone::Progress, Some(id), "it has ended, and nothing of it is left"),
        }
        let Some(Sandbox::Destroying { callers, why }) = self.sandboxes.remove(&id) else { return };
        callers.into_iter().for_each(|caller| self.answer(caller, Body::Done));
        if let Some(why) = why {
            self.tell_all(&Body::Ended { sandbox: id, why });
        }
    }

    // ---- images ----

    fn images(&self) -> Vec<ImageInfo> {
        let mut images = self.store.list();
        for image in &mut images {
            if let Some(state) = self.images.get(&image.name) {
                image.state = state.clone();
            }
        }
        images
    }

    fn prepare_on_demand(&mut self, caller: Caller, name: String) {
        let known = self.images().into_iter().find(|image| image.name == name);
        let body = match known.map(|image| image.state) {
            None => failed(FailureCode::NoImage, format!("there is no image {name} in the catalogue")),
            Some(ImageState::Ready { .. } | ImageState::Preparing { .. }) => Body::Done,
            Some(ImageState::Absent | ImageState::Failed { .. }) => {
                if !self.images_wanted.contains(&name) {
                    self.images_wanted.push_back(name);
                }
                Body::Done
            }
        };
        self.answer(caller, body);
    }

    fn image_is(&mut self, name: &str, state: Option<ImageState>) {
        self.tell_operator(name, state.as_ref());
        match state {
            Some(state) => drop(self.images.insert(name.to_owned(), state)),
            None => drop(self.images.remove(name)),
        }
        if let Some(image) = self.images().into_iter().find(|image| image.name == name) {
            self.tell_all(&Body::Image { image });
        }
    }

    /// A line for each stage of a preparation, and for each tenth of it.
    fn tell_operator(&mut self, name: &str, state: Option<&ImageState>) {
        let tenth = |done: u64, total: u64| (done * 10).checked_div(total).unwrap_or(0);
        let before = match self.images.get(name) {
            Some(ImageState::Preparing { doing, done, total }) => Some((doing.clone(), tenth(*done, *total))),
            _ => None,
        };
        let line = match state {
            None => format!("image {name} is ready"),
            Some(ImageState::Preparing { doing, done, total }) => {
                let now = (doing.clone(), tenth(*done, *total));
                if before == Some(now.clone()) {
                    return;
                }
                format!("preparing image {name}: {doing}, {} %", now.1 * 10)
            }
            // Told with its reason already.
            Some(_) => return,
        };
        (self.log)(Tone::Progress, None, &line);
    }

    // ---- workers ----

    fn start_workers(&mut self) {
        let launching = self.workers.values().filter(|(task, _)| !matches!(task, Task::Prepare(_))).count();
        for _ in launching..WORKERS_MAX {
            let Some(work) = self.waiting.pop_front() else { break };
            self.start(work);
        }
        let preparing = self.workers.values().any(|(task, _)| matches!(task, Task::Prepare(_)));
        if !preparing && let Some(name) = self.images_wanted.pop_front() {
            let (store, sources) = (&self.store, &self.config.sources);
            let worker = worker::start(|outbox| worker::prepare(outbox, store, &name, sources));
            self.add_worker(Task::Prepare(name), worker);
        }
    }

    fn start(&mut self, work: Waiting) {
        let launcher = &self.launcher;
        match work {
            Waiting::Create(spec) => {
                let (id, store) = (spec.id, &self.store);
                let fits = spec.limits.disk_max_bytes == Limits::default().disk_max_bytes;
                let disk = if fits { self.ready_disks.pop() } else { None };
                let worker = worker::start(|outbox| worker::create(outbox, launcher, store, disk, spec));
                self.add_worker(Task::Create(id), worker);
            }
            Waiting::Destroy(record, shim) => {
                let id = record.id;
                let shim = shim.as_ref().map(AsFd::as_fd);
                let worker = worker::start(|outbox| worker::destroy(outbox, launcher, &record, shim));
                self.add_worker(Task::Destroy(id), worker);
            }
        }
    }

    fn add_worker(&mut self, task: Task, worker: io::Result<Worker>) {
        match worker {
            Ok(worker) => {
                let id = self.new_id();
                self.workers.insert(id, (task, worker));
            }
            Err(error) => self.worker_failed(task, &format!("cannot start a worker: {error}")),
        }
    }

    /// A worker that ended without a result.
    fn worker_failed(&mut self, task: Task, why: &str) {
        match task {
            Task::Create(id) => {
                let failure =
                    Failure { code: FailureCode::Internal, message: format!("cannot create sandbox {id}: {why}") };
                self.create_failed(id, failure);
            }
            Task::Destroy(id) => self.destroyed(id, Some(why.to_owned())),
            Task::Prepare(name) => self.image_is(&name, Some(ImageState::Failed { message: why.to_owned() })),
        }
    }

    fn worker_ready(&mut self, id: u32) {
        let Some((task, worker)) = self.workers.get(&id) else { return };
        let task = task.clone();
        let received = message::receive(worker.socket.as_fd());
        let (report, mut fds) = match received {
            Ok(Some((bytes, fds))) => match worker::decode(&bytes) {
                Ok(report) => (report, fds),
                Err(error) => return self.end_worker(id, &error.to_string()),
            },
            Ok(None) => return self.end_worker(id, "its worker was killed"),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(error) => return self.end_worker(id, &error.to_string()),
        };
        match (&task, report) {
            (Task::Prepare(name), Report::Progress { doing, done, total }) => {
                return self.image_is(name, Some(ImageState::Preparing { doing, done, total }));
            }
            (Task::Prepare(name), Report::Prepared) => self.image_is(name, None),
            (Task::Prepare(name), Report::Failed(failure)) => {
                (self.log)(Tone::Trouble, None, &failure.message);
                self.image_is(name, Some(ImageState::Failed { message: failure.message }));
            }
            (Task::Create(sandbox), Report::Created(record)) => self.created(*sandbox, *record, fds.pop()),
            (Task::Create(sandbox), Report::Failed(failure)) => self.create_failed(*sandbox, failure),
            (Task::Destroy(sandbox), Report::Destroyed { left }) => self.destroyed(*sandbox, left),
            (_, other) => return self.end_worker(id, &format!("an unexpected report: {other:?}")),
        }
        self.workers.remove(&id);
    }

    fn end_worker(&mut self, id: u32, why: &str) {
        if let Some((task, _)) = self.workers.remove(&id) {
            self.worker_failed(task, why);
        }
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    /// [`LOOK`] is over.
    Look,
    Listener,
    Connection(u32),
    Worker(u32),
    Shim(SandboxId),
}

/// `keeper.sock`, for root and the web process. Through the directory's descriptor: the path may be
/// longer than an address of a socket allows.
fn bind(launcher: &Launcher) -> io::Result<UnixListener> {
    let directory = fs::File::open(launcher.data.run())?;
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join("keeper.sock");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(&path);
    nix::sys::stat::umask(old);
    let listener = listener?;
    chown(&path, Some(launcher.web_id), Some(launcher.web_id))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn info(record: &Record) -> SandboxInfo {
    SandboxInfo {
        id: record.id,
        socket: socket_name(record.id),
        image: record.image.clone(),
        hostname: record.hostname.clone(),
        launch_us: record.launch_us,
    }
}

fn failed(code: FailureCode, message: String) -> Body {
    Body::Failed { failure: Failure { code, message } }
}
