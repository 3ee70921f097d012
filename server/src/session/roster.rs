//! Every session of this process, and the way from the store to its task.
//!
//! A session is found in the store, not here: what this process does not know yet (it was restarted, another
//! one began it) gets a task when somebody asks for it, and that task finds the machine again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use quayside_runtime::spec::{Limits, SandboxId};
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::task::JoinSet;

use super::actor::{Aside, Seed, session};
use super::clock::TimeLimits;
use super::handle::Handle;
use super::line::Line;
use super::shelf::Shelf;
use super::view::{SessionView, Stage};
use crate::config::SessionLimits;
use crate::lesson::model::{PageKind, Scenario};
use crate::sandbox::{Event, KeeperError, Sandboxes};
use crate::store::{LearnerId, Opened, Opening, Room, SandboxState, SessionId, SessionRow, Store, StoreError, UnixMs};

/// How long sessions may take to let go when the process stops. They only drop connections.
const RELEASE_PATIENCE: Duration = Duration::from_secs(5);

/// How long a start waits to be told what the host has room for; then it waits in line.
const HOST_PATIENCE: Duration = Duration::from_secs(10);
/// Asides that a busy session may be behind; it misses older ones.
const ASIDES_MAX: usize = 64;

/// A handle; clones share the sessions.
#[derive(Clone)]
pub struct Roster {
    inner: Arc<Inner>,
}

struct Inner {
    store: Store,
    sandboxes: Sandboxes,
    shelf: Shelf,
    sessions: SessionLimits,
    limits: Limits,
    line: Line,
    asides: broadcast::Sender<Aside>,
    /// Guards the map and the set, for the time of one look-up or insertion; never held across an await.
    tasks: Mutex<Tasks>,
}

#[derive(Default)]
struct Tasks {
    handles: HashMap<SessionId, Handle>,
    running: JoinSet<()>,
}

/// A session that somebody asked for.
pub enum Found {
    Live(Handle),
    /// It is over: what it was.
    Past(Box<SessionView>),
}

impl Found {
    pub fn view(&self) -> Arc<SessionView> {
        match self {
            Self::Live(handle) => handle.view(),
            Self::Past(view) => Arc::new((**view).clone()),
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// There is no room for anybody, and none in line.
    #[error("every machine of this installation is taken, and {0} are in line")]
    Full(u32),
    /// This learner has as many as one may have.
    #[error("this learner has {max} machines already")]
    TooMany { max: u32, least_used: Option<LeastUsed> },
    /// Something is missing that the scenario cannot do without; the text says what.
    #[error("{0}")]
    Unplayable(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The session that a learner has not used for longest.
#[derive(Debug)]
pub struct LeastUsed {
    pub session: SessionId,
    pub title: String,
    pub unused: Duration,
}

/// Who wants to begin what.
pub struct Start<'a> {
    pub learner: LearnerId,
    pub scenario: &'a Arc<Scenario>,
    pub page: PageKind,
    /// A session of theirs that is ended for it.
    pub instead: Option<SessionId>,
}

impl Roster {
    pub fn new(store: Store, sandboxes: Sandboxes, shelf: Shelf, sessions: SessionLimits, limits: Limits) -> Self {
        let line = Line::new(store.clone(), sessions.clone(), limits.clone(), sandboxes.host());
        let (asides, _) = broadcast::channel(ASIDES_MAX);
        let tasks = Mutex::default();
        Self { inner: Arc::new(Inner { store, sandboxes, shelf, sessions, limits, line, asides, tasks }) }
    }

    /// Begins a session, or finds the one that the learner has in the scenario, or puts the learner in line.
    pub async fn start(&self, start: Start<'_>) -> Result<Handle, StartError> {
        let Start { learner, scenario, page, instead } = start;
        if let Some(lack) = scenario.refusal() {
            return Err(StartError::Unplayable(lack.says.clone()));
        }
        let opening = Opening {
            learner,
            course: scenario.course.clone(),
            scenario: scenario.slug.clone(),
            digest: scenario.digest.clone(),
            page: page.slug(),
            instead,
        };
        let sessions = &self.inner.sessions;
        let room = Room {
            all_max: self.inner.line.capacity_soon(HOST_PATIENCE).await,
            per_learner_max: sessions.per_learner_max,
            line_max: sessions.line_max,
        };
        // What goes for it, while it is still known.
        let goes = match instead {
            Some(id) => self.find(id).await?.filter(|found| found.view().learner == learner),
            None => None,
        };
        let opened = self.inner.store.open_session(&opening, room, UnixMs::now()).await?;
        // Also a place in another lesson's line may have ended with it.
        self.let_go(learner).await?;
        match opened {
            Opened::New(row) => {
                if let Some(Found::Live(handle)) = goes {
                    // Its machine first: its place is the new one's.
                    let _ = handle.leave().await;
                }
                Ok(self.adopt(row, Some(scenario.clone()), None))
            }
            Opened::Queued(row) => {
                let handle = self.adopt(row, Some(scenario.clone()), None);
                self.inner.line.stir();
                Ok(handle)
            }
            Opened::Found(row) => Ok(self.find_again(row)),
            Opened::Full => Err(StartError::Full(sessions.line_max)),
            Opened::TooMany(rows) => {
                let least_used = rows.first().map(|row| self.least_used(row));
                Err(StartError::TooMany { max: sessions.per_learner_max, least_used })
            }
        }
    }

    /// Tasks of this learner's waiting sessions that the store has ended meanwhile learn it.
    async fn let_go(&self, learner: LearnerId) -> Result<(), StoreError> {
        for handle in self.handles() {
            let view = handle.view();
            if view.learner == learner
                && view.phase.is == Stage::Waiting
                && self.inner.store.session(view.id).await?.is_none_or(|row| row.ended.is_some())
            {
                let _ = handle.leave().await;
            }
        }
        Ok(())
    }

    fn least_used(&self, row: &SessionRow) -> LeastUsed {
        let scenario = self.inner.shelf.scenario(&row.course, &row.scenario);
        let title = scenario.map_or_else(|| row.scenario.clone(), |scenario| scenario.title.clone());
        LeastUsed { session: row.id, title, unused: UnixMs::now().since(row.used) }
    }

    /// Hands free places to those in line, for as long as it is polled.
    pub async fn keep_line(&self) {
        loop {
            if let Err(error) = self.look_at_line().await {
                tracing::error!(error = %crate::telemetry::chain(&error), "cannot look at the line");
            }
            self.inner.line.rest().await;
        }
    }

    async fn look_at_line(&self) -> Result<(), StoreError> {
        for id in self.inner.line.look().await? {
            // Also who has not come back after a restart needs a task that takes the place, or gives it up.
            self.find(id).await?;
        }
        Ok(())
    }

    /// A session by its id, whoever's it is.
    pub async fn find(&self, id: SessionId) -> Result<Option<Found>, StoreError> {
        if let Some(handle) = self.tasks().handles.get(&id) {
            return Ok(Some(Found::Live(handle.clone())));
        }
        let Some(row) = self.inner.store.session(id).await? else { return Ok(None) };
        if row.ended.is_none() {
            return Ok(Some(Found::Live(self.find_again(row))));
        }
        let passed = self.inner.store.passed(id).await?;
        Ok(Some(Found::Past(Box::new(SessionView::past(&row, passed)))))
    }

    /// The learner's newest session of a scenario, over or not.
    pub async fn latest(&self, learner: LearnerId, course: &str, scenario: &str) -> Result<Option<Found>, StoreError> {
        match self.inner.store.latest_session(learner, course, scenario).await? {
            Some(row) => self.find(row.id).await,
            None => Ok(None),
        }
    }

    /// Follows the keeper until `Sandboxes` is gone: sandboxes that ended, and those that nobody needs.
    pub async fn follow_keeper(&self) {
        let mut events = self.inner.sandboxes.events();
        if self.inner.sandboxes.reachable() {
            self.reconcile().await;
        }
        loop {
            match events.recv().await {
                Ok(Event::Ended { sandbox, why }) => self.ended(sandbox, &why).await,
                Ok(Event::Connected) => self.reconcile().await,
                Err(RecvError::Lagged(_)) => self.reconcile().await,
                Err(RecvError::Closed) => return,
            }
        }
    }

    /// Every task lets go of its session; the sessions themselves go on.
    pub async fn release(&self) {
        let (handles, mut running) = {
            let mut tasks = self.tasks();
            (std::mem::take(&mut tasks.handles), std::mem::take(&mut tasks.running))
        };
        for handle in handles.values() {
            handle.release().await;
        }
        let all = async { while running.join_next().await.is_some() {} };
        if tokio::time::timeout(RELEASE_PATIENCE, all).await.is_err() {
            tracing::warn!("some sessions did not let go in time; they are found again all the same");
        }
    }

    /// Told to whoever has this sandbox, and to those who have none yet: it may become theirs.
    async fn ended(&self, sandbox: SandboxId, why: &str) {
        for handle in self.handles() {
            if handle.view().sandbox.as_ref().is_none_or(|ours| ours.id == sandbox) {
                handle.ended(sandbox, why.to_owned()).await;
            }
        }
    }

    /// Compares what should run with what runs: after a time in which events were not heard.
    async fn reconcile(&self) {
        if let Err(error) = self.try_reconcile().await {
            tracing::warn!(%error, "cannot compare sessions with sandboxes; trying again at the keeper's next sign");
        }
    }

    async fn try_reconcile(&self) -> anyhow::Result<()> {
        let store = &self.inner.store;
        // The store first: a session that begins meanwhile has its row before its sandbox.
        for row in store.live_sessions().await? {
            self.find_again(row);
        }
        // What sessions had before the question; what they get meanwhile may not be in the answer.
        let had = self.handles().into_iter().filter_map(|handle| {
            let id = handle.view().sandbox.as_ref()?.id;
            Some((handle, id))
        });
        let had: Vec<(Handle, SandboxId)> = had.collect();
        let running = self.inner.sandboxes.list().await?;
        for (handle, ours) in had {
            if !running.iter().any(|sandbox| sandbox.id == ours) {
                handle.ended(ours, "it was gone when the keeper came back".into()).await;
            }
        }
        for row in store.orphans().await? {
            tracing::info!(sandbox = %row.id, session = %row.session, "ending a sandbox whose session is over");
            self.end_orphan(row.id).await?;
        }
        self.inner.line.stir();
        Ok(())
    }

    async fn end_orphan(&self, id: SandboxId) -> anyhow::Result<()> {
        match self.inner.sandboxes.destroy(id).await {
            Ok(()) => self.inner.store.mark_sandbox(id, SandboxState::Gone).await?,
            Err(error @ KeeperError::Refused(_)) => tracing::warn!(sandbox = %id, %error, "cannot end it"),
            Err(error) => return Err(error.into()),
        }
        Ok(())
    }

    /// The task of a live row: the one that is there, or a new one.
    fn find_again(&self, row: SessionRow) -> Handle {
        if let Some(handle) = self.tasks().handles.get(&row.id) {
            return handle.clone();
        }
        let scenario = self.inner.shelf.scenario(&row.course, &row.scenario);
        let remark = match &scenario {
            None => {
                Some("This lesson cannot be read any more. The machine goes on, but nothing can be checked.".into())
            }
            Some(scenario) if scenario.digest != row.digest => {
                Some("This lesson was changed since you began. Its texts and checks are the new ones.".into())
            }
            Some(_) => None,
        };
        self.adopt(row, scenario, remark)
    }

    fn adopt(&self, row: SessionRow, scenario: Option<Arc<Scenario>>, remark: Option<String>) -> Handle {
        let mut tasks = self.tasks();
        let id = row.id;
        if let Some(handle) = tasks.handles.get(&id) {
            return handle.clone(); // somebody else was as quick
        }
        while tasks.running.try_join_next().is_some() {}
        let inner = &self.inner;
        let (handle, task) = session(Seed {
            row,
            scenario,
            store: inner.store.clone(),
            sandboxes: inner.sandboxes.clone(),
            limits: inner.limits.clone(),
            idle_max: inner.sessions.idle_max(),
            time: TimeLimits {
                first: inner.sessions.time_max(),
                extend: inner.sessions.extend(),
                most: inner.sessions.extend_max(),
            },
            offer_max: inner.sessions.offer_max(),
            away_max: inner.sessions.away_max(),
            line: inner.line.clone(),
            asides: inner.asides.clone(),
            remark,
        });
        tasks.handles.insert(id, handle.clone());
        let forget = Forget { roster: Arc::downgrade(inner), id };
        tasks.running.spawn(async move {
            let _forget = forget;
            task.await;
        });
        handle
    }

    fn handles(&self) -> Vec<Handle> {
        self.tasks().handles.values().cloned().collect()
    }

    fn tasks(&self) -> MutexGuard<'_, Tasks> {
        self.inner.tasks.lock().expect("nothing that can panic happens under this lock")
    }
}

/// Takes a session off the roster when its task ends, also by a panic.
struct Forget {
    roster: std::sync::Weak<Inner>,
    id: SessionId,
}

impl Drop for Forget {
    fn drop(&mut self) {
        if let Some(inner) = self.roster.upgrade()
            && let Ok(mut tasks) = inner.tasks.lock()
        {
            tasks.handles.remove(&self.id);
        }
    }
}
