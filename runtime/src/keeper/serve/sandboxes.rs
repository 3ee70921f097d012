//! The sandboxes that there are, from the request for one to its last trace.

use std::os::fd::OwnedFd;

use super::workers::Waiting;
use super::{Caller, Keeper, Tone, failed};
use crate::keeper::protocol::{Body, Failure, FailureCode, SandboxInfo};
use crate::launch::teardown::{Record, socket_name};
use crate::spec::{SandboxId, SandboxSpec};

/// Requests that wait for a worker: a class and a half.
const WAITING_MAX: usize = 256;

#[derive(Debug)]
pub(super) enum Sandbox {
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

impl Keeper<'_> {
    pub(super) fn create(&mut self, caller: Caller, spec: SandboxSpec) {
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

    pub(super) fn destroy(&mut self, id: SandboxId, caller: Option<Caller>) {
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
                self.waiting.push_back(Waiting::Destroy(record, Some(shim)));
            }
        }
    }

    /// A shim's pidfd became readable: it ended without being told to.
    pub(super) fn shim_ended(&mut self, id: SandboxId) {
        if let Some(Sandbox::Running { record, .. }) = self.sandboxes.remove(&id) {
            let why = "its first process, or the process that owns its terminals, has ended".to_owned();
            self.sandboxes.insert(id, Sandbox::Destroying { callers: Vec::new(), why: Some(why) });
            self.waiting.push_back(Waiting::Destroy(record, None));
        }
    }

    pub(super) fn created(&mut self, id: SandboxId, record: Record, shim: Option<OwnedFd>) {
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
                self.waiting.push_back(Waiting::Destroy(Box::new(record), None));
            }
        }
    }

    pub(super) fn create_failed(&mut self, id: SandboxId, failure: Failure) {
        (self.log)(Tone::Trouble, Some(id), &failure.message);
        let Some(Sandbox::Creating { callers, doomed }) = self.sandboxes.remove(&id) else { return };
        for caller in callers {
            self.answer(caller, Body::Failed { failure: failure.clone() });
        }
        doomed.into_iter().for_each(|caller| self.answer(caller, Body::Done));
    }

    pub(super) fn destroyed(&mut self, id: SandboxId, left: Option<String>) {
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
}

pub(super) fn info(record: &Record) -> SandboxInfo {
    SandboxInfo {
        id: record.id,
        socket: socket_name(record.id),
        image: record.image.clone(),
        hostname: record.hostname.clone(),
        launch_us: record.launch_us,
    }
}
