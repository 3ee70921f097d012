//! The keeper's loop: what it waits for, and when it ends.
//!
//! Read this first: the state of a keeper is here, and its loop. Then `workers`, which do what takes time; `sandboxes`,
//! which is what all of it is for; `images`; `processors`; and `connections`, the edge to those who ask.

mod workers;
mod sandboxes;
mod images;
mod processors;
mod connections;

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use rustix::event::{PollFd, PollFlags, poll};

use self::connections::bind;
use self::processors::Processors;
use self::sandboxes::Sandbox;
use self::workers::{Task, Waiting};
use super::protocol::{Body, Failure, FailureCode, ImageState};
use super::worker::Worker;
use crate::cgroup::tree::sweep_parents;
use crate::image::{Sources, Store};
use crate::launch::parent::{Launcher, reopen_shim};
use crate::launch::teardown::{self, Record, socket_name};
use crate::rootfs::disk::{self, ReadyDisk};
use crate::shim::frames::Frames;
use crate::spec::{Limits, SandboxId};

/// Disks kept ready, so that a learner's start does not wait for a copy and a mount (3 of 18 ms). A class
/// that starts in one second uses them up and waits that much longer.
const READY_DISKS: usize = 4;

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

struct Keeper<'a> {
    launcher: Launcher,
    config: Config,
    store: Store,
    log: &'a mut Log,
    listener: UnixListener,
    signals: SignalFd,
    processors: Processors,
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
        let listener = bind(&launcher)?;
        let images_wanted = config.prepare.iter().cloned().collect();
        let mut keeper = Self {
            launcher,
            config,
            store,
            log,
            listener,
            signals,
            processors: Processors::new()?,
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
        let go_on = keeper.sandboxes.values().filter(|sandbox| matches!(sandbox, Sandbox::Running { .. })).count();
        if go_on > 0 {
            (keeper.log)(Tone::Progress, None, &format!("sandboxes of an earlier start that go on: {go_on}"));
        }
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
                self.waiting.push_back(Waiting::Destroy(Box::new(record), None));
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
            fds.push(PollFd::new(&self.processors.timer, PollFlags::IN));
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

    fn new_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

#[derive(Debug, Clone, Copy)]
enum Source {
    Signals,
    /// A moment is over.
    Look,
    Listener,
    Connection(u32),
    Worker(u32),
    Shim(SandboxId),
}

fn failed(code: FailureCode, message: String) -> Body {
    Body::Failed { failure: Failure { code, message } }
}
