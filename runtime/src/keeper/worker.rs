//! What workers do, and what they report.

use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::protocol::{Failure, FailureCode};
use crate::image::{Progress, Sources, Store};
use crate::launch::parent::{LaunchError, Launcher, Layers};
use crate::launch::teardown::{self, Record};
use crate::rootfs::disk::ReadyDisk;
use crate::spec::SandboxSpec;
use crate::sys::message;
use crate::sys::process::{Child, Fork, ForkOptions, exit_now, fork};

/// One message of a worker; `Created` carries the shim's pidfd.
#[derive(Debug, Serialize, Deserialize)]
pub enum Report {
    Created(Box<Record>),
    Destroyed { left: Option<String> },
    Progress { doing: String, done: u64, total: u64 },
    Prepared,
    Failed(Failure),
}

/// A worker under way: its reports arrive on `socket`, whose end is the worker's.
#[derive(Debug)]
pub struct Worker {
    pub socket: OwnedFd,
}

/// Forks a worker. It dies with the keeper: what it leaves half-made is swept by the next one.
pub fn start(work: impl FnOnce(&Outbox)) -> io::Result<Worker> {
    let (ours, theirs) = message::pair()?;
    rustix::io::ioctl_fionbio(&ours, true)?;
    match fork(ForkOptions::default())? {
        Fork::Parent(Child { .. }) => Ok(Worker { socket: ours }),
        Fork::Child => {
            let kill = Some(rustix::process::Signal::KILL);
            if rustix::process::set_parent_process_death_signal(kill).is_ok() && unblock_signals().is_ok() {
                drop(ours);
                work(&Outbox { socket: theirs });
            }
            exit_now(0)
        }
    }
}

/// The keeper takes its signals from a descriptor; its workers take theirs as usual.
fn unblock_signals() -> io::Result<()> {
    Ok(nix::sys::signal::SigSet::all().thread_unblock()?)
}

/// A worker's way to speak.
pub struct Outbox {
    socket: OwnedFd,
}

impl Outbox {
    fn send(&self, report: &Report, fds: &[BorrowedFd]) {
        let bytes = serde_json::to_vec(report).expect("plain data serialises");
        // A keeper that is gone has killed this process, or is about to.
        let _ = message::send(self.socket.as_fd(), &bytes, fds);
    }
}

pub fn decode(bytes: &[u8]) -> io::Result<Report> {
    serde_json::from_slice(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

pub fn create(outbox: &Outbox, launcher: &Launcher, store: &Store, disk: Option<ReadyDisk>, spec: SandboxSpec) {
    let waiting = disk.as_ref().map(|disk| disk.path.clone());
    launch(outbox, launcher, store, disk, spec);
    // A launch that came that far has moved it.
    let _ = waiting.map(fs::remove_file);
}

fn launch(outbox: &Outbox, launcher: &Launcher, store: &Store, disk: Option<ReadyDisk>, spec: SandboxSpec) {
    let Some(image) = store.find(&spec.image) else {
        let message = format!("image {} is not ready; prepare it: quayside image prepare {0}", spec.image);
        return outbox.send(&Report::Failed(Failure { code: FailureCode::NoImage, message }), &[]);
    };
    let layers = Layers { bottom_to_top: image.layer_paths(), env: image.env() };
    match launcher.launch_on(disk, spec, &layers, &mut |_| {}) {
        Ok(running) => outbox.send(&Report::Created(Box::new(running.record)), &[running.shim.as_fd()]),
        Err(error) => {
            let code = match error {
                LaunchError::Invalid(_) => FailureCode::Invalid,
                LaunchError::NoSlot => FailureCode::Full,
                LaunchError::Step { .. } | LaunchError::Other { .. } => FailureCode::Launch,
            };
            outbox.send(&Report::Failed(Failure { code, message: error.to_string() }), &[]);
        }
    }
}

pub fn destroy(outbox: &Outbox, launcher: &Launcher, record: &Record, shim: Option<BorrowedFd>) {
    if let Some(shim) = shim {
        teardown::ask_to_end(shim);
    }
    let left = teardown::destroy(&launcher.data, record).err().map(|left| left.to_string());
    outbox.send(&Report::Destroyed { left }, &[]);
}

pub fn prepare(outbox: &Outbox, store: &Store, name: &str, sources: &Sources) {
    let mut report = |Progress { doing, done, total }| outbox.send(&Report::Progress { doing, done, total }, &[]);
    match store.prepare(name, sources, &mut report) {
        Ok(_) => outbox.send(&Report::Prepared, &[]),
        Err(error) => {
            let failure = Failure { code: FailureCode::NoImage, message: chain(&error) };
            outbox.send(&Report::Failed(failure), &[]);
        }
    }
}

/// An error with its causes, as one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}
