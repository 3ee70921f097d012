//! Forked workers: what waits for one, what each is at, and what it reports.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::{Keeper, Tone};
use crate::keeper::protocol::{Failure, FailureCode, ImageState};
use crate::keeper::worker::{self, Report, Worker};
use crate::launch::teardown::Record;
use crate::spec::{Limits, SandboxId, SandboxSpec};
use crate::sys::message;

/// Launches and tear-downs at once: more would only share the same cores.
const WORKERS_MAX: usize = 8;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Task {
    Create(SandboxId),
    Destroy(SandboxId),
    Prepare(String),
}

/// Work that waits for a worker to be free.
#[derive(Debug)]
pub(super) enum Waiting {
    Create(SandboxSpec),
    Destroy(Box<Record>, Option<OwnedFd>),
}

impl Keeper<'_> {
    pub(super) fn start_workers(&mut self) {
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

    pub(super) fn worker_ready(&mut self, id: u32) {
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
