//! What everybody else holds of a session: its picture, and the way to its task.

use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::spec::SandboxId;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot, watch};

use super::view::{Check, SessionView};
use crate::lesson::model::{PageKind, Scenario};
use crate::sandbox::Sandbox;

/// Connections that one session may have: nine terminals in three tabs, and somebody who looks on.
pub const CONNECTIONS_MAX: usize = 32;

/// What everybody else holds of a session.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) inbox: mpsc::Sender<Message>,
    pub(super) view: watch::Receiver<Arc<SessionView>>,
    pub(super) connections: Arc<Connections>,
    pub(super) scenario: Option<Arc<Scenario>>,
}

/// Who looks at a session.
#[derive(Debug)]
pub(super) struct Connections {
    places: Arc<Semaphore>,
    /// Told of each that comes.
    pub(super) arrived: Notify,
}

impl Connections {
    pub(super) fn new() -> Self {
        Self { places: Arc::new(Semaphore::new(CONNECTIONS_MAX)), arrived: Notify::new() }
    }

    pub(super) fn is_anybody_there(&self) -> bool {
        self.places.available_permits() < CONNECTIONS_MAX
    }
}

/// Why a session did not do what it was asked to.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum Refusal {
    #[error("This session has ended.")]
    Over,
    #[error("The machine is not there yet. Wait until it has started.")]
    NotReady,
    #[error("There is no such page in this lesson.")]
    NoPage,
    #[error("This step has nothing to check.")]
    NoCheck,
    #[error("The check of step {0} still runs. Wait for it, or stop it.")]
    Busy(u32),
    #[error("Too many windows wait for this.")]
    Crowded,
    #[error("This machine has all the time that one may have. When it ends, a fresh one can be started.")]
    NoMoreTime,
    #[error("The service cannot write its store now. Nothing was lost; try again.")]
    Store,
}

#[derive(Debug)]
pub(super) enum Message {
    Enter {
        page: PageKind,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Check {
        step: u32,
        reply: oneshot::Sender<Result<Check, Refusal>>,
    },
    StopCheck {
        step: u32,
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Extend {
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Restart {
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Leave {
        reply: oneshot::Sender<Result<(), Refusal>>,
    },
    Opened {
        terminal: u16,
    },
    Ended {
        sandbox: SandboxId,
        why: String,
    },
    /// The process stops; the session goes on without it.
    Release,
}

impl Handle {
    pub fn view(&self) -> Arc<SessionView> {
        self.view.borrow().clone()
    }

    /// To be told when the picture changes.
    pub fn watch(&self) -> watch::Receiver<Arc<SessionView>> {
        self.view.clone()
    }

    /// The scenario as it was when the session began.
    pub fn scenario(&self) -> Option<&Arc<Scenario>> {
        self.scenario.as_ref()
    }

    /// A place for one more connection, given back when it is dropped; `None` when there are too many.
    pub fn connection(&self) -> Option<tokio::sync::OwnedSemaphorePermit> {
        let place = self.connections.places.clone().try_acquire_owned().ok()?;
        self.connections.arrived.notify_one();
        Some(place)
    }

    /// The machine, as soon as there is one; `None` when there will be none, or not within `patience`.
    pub async fn sandbox(&self, patience: Duration) -> Option<Sandbox> {
        let mut view = self.watch();
        let there = view.wait_for(|view| view.sandbox.is_some() || view.is_over());
        let view = tokio::time::timeout(patience, there).await.ok()?.ok()?;
        view.sandbox.clone()
    }

    /// The learner is on `page` now: its scripts run, once.
    pub async fn enter(&self, page: PageKind) -> Result<(), Refusal> {
        self.ask(|reply| Message::Enter { page, reply }).await
    }

    /// Runs the check of `step` and waits for its end; joins it if it runs already.
    pub async fn check(&self, step: u32) -> Result<Check, Refusal> {
        self.ask(|reply| Message::Check { step, reply }).await
    }

    pub async fn stop_check(&self, step: u32) -> Result<(), Refusal> {
        self.ask(|reply| Message::StopCheck { step, reply }).await
    }

    /// More time for the machine, as much as one Extend gives.
    pub async fn extend(&self) -> Result<(), Refusal> {
        self.ask(|reply| Message::Extend { reply }).await
    }

    /// Another machine for the one that there is, or was; progress and time stay.
    pub async fn restart(&self) -> Result<(), Refusal> {
        self.ask(|reply| Message::Restart { reply }).await
    }

    /// Ends the session, and returns when nothing of its machine is left.
    pub async fn leave(&self) -> Result<(), Refusal> {
        self.ask(|reply| Message::Leave { reply }).await
    }

    pub async fn opened(&self, terminal: u16) {
        let _ = self.inbox.send(Message::Opened { terminal }).await;
    }

    /// The keeper says that a sandbox ended by itself.
    pub(super) async fn ended(&self, sandbox: SandboxId, why: String) {
        let _ = self.inbox.send(Message::Ended { sandbox, why }).await;
    }

    /// The process stops.
    pub(super) async fn release(&self) {
        let _ = self.inbox.send(Message::Release).await;
    }

    async fn ask<T>(&self, message: impl FnOnce(oneshot::Sender<Result<T, Refusal>>) -> Message) -> Result<T, Refusal> {
        let (reply, answer) = oneshot::channel();
        self.inbox.send(message(reply)).await.map_err(|_| Refusal::Over)?;
        answer.await.unwrap_or(Err(Refusal::Over))
    }
}
