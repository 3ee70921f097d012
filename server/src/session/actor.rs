//! The task that owns one session.
//!
//! ```text
//!             launched              first scripts ended, or 60 s
//!  Starting ────────────► Preparing ────────────────────────────► Ready
//!     │                       │                                     │
//!     │ no machine            └───────────────┬─────────────────────┘
//!     ▼                                       ▼  left, idle, or the machine ended
//!   Failed                                  Ended
//! ```
//!
//! Nobody else changes a session: requests and the session's own jobs (launch, files, scripts, a check) send
//! messages, and everybody reads the picture that [`SessionView`] is. Jobs end with the task; what should
//! outlive it is in the store, in the keeper and in the shim, where the next task finds it.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::spec::{Limits, SandboxId};
use tokio::sync::{Semaphore, mpsc, oneshot, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};
use tracing::Instrument;

use super::launch::{self, LaunchFailure, Launched, STAND_IN_NOTE};
use super::view::{
    Check, Environment, NOTICES_MAX, Notice, NoticeLevel, Outcome, Phase, ScriptKind, ScriptRun, ScriptState,
    SessionView, Stage,
};
use super::{check, place, script};
use crate::lesson::model::{Page, PageKind, Scenario, Verify};
use crate::lesson::progress::{PassedStep, StepMark};
use crate::sandbox::{Sandbox, Sandboxes};
use crate::store::{Ending, SandboxState, SessionRow, SessionState, Store, StoreError, UnixMs};

/// Messages that wait for the task; a sender waits when there are more. Clicks are rare and quickly done.
const INBOX_MAX: usize = 32;
/// Reports of jobs that wait for the task.
const REPORTS_MAX: usize = 32;
/// How long the first scripts may keep a learner waiting; afterwards they go on beside the terminal.
pub const PREPARING_MAX: Duration = Duration::from_secs(60);
/// How often the task looks whether anybody is there.
const IDLE_TICK: Duration = Duration::from_secs(20);
/// A setting below this is taken for this.
const IDLE_TICK_MIN: Duration = Duration::from_secs(1);
/// Connections that one session may have: nine terminals in three tabs, and somebody who looks on.
pub const CONNECTIONS_MAX: usize = 32;
/// Ends of sandboxes that are remembered while a launch is under way: ours may be among them.
const EARLY_MAX: usize = 32;
/// Requests that wait for one check.
const WAITING_MAX: usize = 16;

/// What everybody else holds of a session.
#[derive(Debug, Clone)]
pub struct Handle {
    inbox: mpsc::Sender<Message>,
    view: watch::Receiver<Arc<SessionView>>,
    connections: Arc<Semaphore>,
    scenario: Option<Arc<Scenario>>,
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
    #[error("The service cannot write its store now. Nothing was lost; try again.")]
    Store,
}

#[derive(Debug)]
enum Message {
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

/// What a job has to tell.
#[derive(Debug)]
enum Report {
    Launched(Result<Launched, LaunchFailure>),
    Placed {
        remarks: Vec<String>,
        failed: Option<String>,
    },
    Terminals(Vec<u16>),
    Script(ScriptRun),
    /// The page's background script has ended, or has had its time.
    Settled(PageKind),
    Remark(String),
    Checked(Check),
}

/// What a session's task is made from.
pub struct Seed {
    pub row: SessionRow,
    /// `None`: the lesson is not readable now.
    pub scenario: Option<Arc<Scenario>>,
    pub store: Store,
    pub sandboxes: Sandboxes,
    pub limits: Limits,
    pub idle_max: Duration,
    /// Something to say at once.
    pub remark: Option<String>,
}

/// Makes the task; the caller spawns the future, and is told by it when the session is over.
pub fn session(seed: Seed) -> (Handle, impl Future<Output = ()> + Send + 'static) {
    let (inbox_in, inbox) = mpsc::channel(INBOX_MAX);
    let (reports_in, reports) = mpsc::channel(REPORTS_MAX);
    let (view_in, view) = watch::channel(Arc::new(first_view(&seed)));
    let connections = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let handle = Handle { inbox: inbox_in, view, connections: connections.clone(), scenario: seed.scenario.clone() };
    let span = tracing::info_span!("session", session = %seed.row.id);
    let wanted = PageKind::from_slug(&seed.row.page);
    let actor = Actor {
        seed,
        inbox,
        reports,
        reports_in,
        view: view_in,
        connections,
        jobs: JoinSet::new(),
        placed: false,
        started: Vec::new(),
        queue: VecDeque::new(),
        leading: None,
        wanted,
        check: None,
        early: Vec::new(),
        notices: 0,
        looked_at: Instant::now(),
    };
    (handle, actor.run().instrument(span))
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
        self.connections.clone().try_acquire_owned().ok()
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

struct Actor {
    seed: Seed,
    inbox: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
    reports_in: mpsc::Sender<Report>,
    view: watch::Sender<Arc<SessionView>>,
    connections: Arc<Semaphore>,
    jobs: JoinSet<()>,
    /// The scenario's files are there, so scripts may run.
    placed: bool,
    /// Pages whose scripts were started by this task.
    started: Vec<PageKind>,
    /// Pages whose scripts wait for those before them: somebody came by a link into the middle.
    queue: VecDeque<PageKind>,
    /// The page that the queue waits for.
    leading: Option<PageKind>,
    /// The furthest page that the learner was on while there was no machine.
    wanted: Option<PageKind>,
    check: Option<RunningCheck>,
    /// Sandboxes of anybody that ended while this session had none yet.
    early: Vec<(SandboxId, String)>,
    notices: u64,
    looked_at: Instant,
}

struct RunningCheck {
    step: u32,
    begun: Instant,
    job: AbortHandle,
    waiting: Vec<oneshot::Sender<Result<Check, Refusal>>>,
}

/// Whether the task goes on.
enum Next {
    On,
    Stop,
}

impl Actor {
    async fn run(mut self) {
        if let Some(remark) = self.seed.remark.take() {
            self.remark(NoticeLevel::Warn, remark);
        }
        self.restore().await;
        self.spawn_launch();
        let mut tick = interval(self.seed.idle_max.clamp(IDLE_TICK_MIN, IDLE_TICK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let next = tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => Next::Stop,
                },
                Some(report) = self.reports.recv() => self.learn(report).await,
                Some(job) = self.jobs.join_next() => self.job_ended(job).await,
                _ = tick.tick() => self.look_around().await,
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        self.jobs.shutdown().await;
    }

    /// What the store knows of a session that began in an earlier life of this process.
    async fn restore(&mut self) {
        match self.seed.store.passed(self.seed.row.id).await {
            Ok(passed) => self.change(|view| view.passed = passed),
            Err(error) => self.store_trouble(&error),
        }
    }

    async fn hear(&mut self, message: Message) -> Next {
        match message {
            Message::Enter { page, reply } => {
                self.looked_at = Instant::now();
                let _ = reply.send(self.enter(page).await);
            }
            Message::Check { step, reply } => {
                self.looked_at = Instant::now();
                self.start_check(step, reply);
            }
            Message::StopCheck { step, reply } => {
                self.stop_check(step);
                let _ = reply.send(Ok(()));
            }
            Message::Opened { terminal } => self.add_terminals(&[terminal]),
            Message::Leave { reply } => {
                self.end(SessionState::Left, "You left, and the machine was ended.", None).await;
                let _ = reply.send(Ok(()));
                return Next::Stop;
            }
            Message::Ended { sandbox, why } => return self.machine_ended(sandbox, why).await,
            Message::Release => return Next::Stop,
        }
        Next::On
    }

    async fn learn(&mut self, report: Report) -> Next {
        match report {
            Report::Launched(Ok(Launched::Fresh(sandbox))) => {
                if let Some(why) = self.ended_early(&sandbox) {
                    return self.lose_machine(why).await;
                }
                self.machine_is_there(sandbox);
                self.spawn_placing();
            }
            Report::Launched(Ok(Launched::Prepared(sandbox))) => {
                self.machine_is_there(sandbox);
                self.spawn_listing();
                self.resume().await;
            }
            Report::Launched(Err(failure)) => {
                let state = if failure.ended { SessionState::Ended } else { SessionState::Failed };
                self.end(state, &failure.message, failure.output).await;
                return Next::Stop;
            }
            Report::Placed { remarks, failed } => self.files_are_there(remarks, failed).await,
            Report::Terminals(numbers) => self.add_terminals(&numbers),
            Report::Script(run) => self.note_script(run),
            Report::Settled(page) => self.settled(page).await,
            Report::Remark(text) => self.remark(NoticeLevel::Warn, text),
            Report::Checked(check) => self.checked(check).await,
        }
        Next::On
    }

    /// A job that panicked ends the session's hope in it, and nothing else.
    async fn job_ended(&mut self, job: Result<(), tokio::task::JoinError>) -> Next {
        let Err(error) = job else { return Next::On };
        if error.is_cancelled() {
            return Next::On;
        }
        tracing::error!(%error, "a job of the session panicked");
        if self.sandbox().is_none() {
            self.end(SessionState::Failed, "The machine could not be started, and that is not your doing.", None).await;
            return Next::Stop;
        }
        if let Some(running) = &self.check {
            let words = "The check could not run, and that is not your doing.".into();
            let seconds = running.begun.elapsed().as_secs_f64();
            let broken = Check { step: running.step, is: Outcome::Broken, words, seconds };
            self.checked(broken).await;
        }
        Next::On
    }

    async fn look_around(&mut self) -> Next {
        if self.connections.available_permits() < CONNECTIONS_MAX {
            self.looked_at = Instant::now();
        }
        if self.looked_at.elapsed() < self.seed.idle_max.max(IDLE_TICK_MIN) {
            return Next::On;
        }
        let message = match self.seed.idle_max.as_secs() {
            seconds @ ..120 => {
                format!("Nobody looked at this session for {seconds} seconds, so its machine was ended.")
            }
            seconds => format!("Nobody looked at this session for {} minutes, so its machine was ended.", seconds / 60),
        };
        self.end(SessionState::Ended, &message, None).await;
        Next::Stop
    }

    // The machine.

    fn spawn_launch(&mut self) {
        let request = launch::Request {
            session: self.seed.row.id,
            wanted: self.seed.scenario.as_ref().map(|scenario| scenario.environment.clone()),
            limits: self.seed.limits.clone(),
        };
        let (store, sandboxes) = (self.seed.store.clone(), self.seed.sandboxes.clone());
        self.spawn(|reports| async move {
            let launched = launch::launch(&store, &sandboxes, &request).await;
            let _ = reports.send(Report::Launched(launched)).await;
        });
    }

    /// The keeper says that a sandbox ended. Its word may come before the launch's own answer: then it is kept.
    async fn machine_ended(&mut self, id: SandboxId, why: String) -> Next {
        match self.sandbox() {
            Some(ours) if ours.id == id => self.lose_machine(why).await,
            Some(_) => Next::On,
            None => {
                if self.early.len() == EARLY_MAX {
                    self.early.remove(0);
                }
                self.early.push((id, why));
                Next::On
            }
        }
    }

    fn ended_early(&mut self, sandbox: &Sandbox) -> Option<String> {
        let early = std::mem::take(&mut self.early);
        early.into_iter().find(|(id, _)| *id == sandbox.id).map(|(_, why)| why)
    }

    async fn lose_machine(&mut self, why: String) -> Next {
        let message = "The machine ended by itself. What was in it is gone; the lesson can be started again.";
        self.end(SessionState::Ended, message, Some(why)).await;
        Next::Stop
    }

    fn machine_is_there(&mut self, sandbox: Sandbox) {
        self.change(|view| {
            let environment = &mut view.environment;
            if sandbox.image != environment.wanted {
                let notes = [environment.note.as_deref(), Some(STAND_IN_NOTE)];
                environment.note = Some(notes.into_iter().flatten().collect::<Vec<_>>().join(" "));
            }
            environment.image = sandbox.image.clone();
            environment.hostname = sandbox.hostname.clone();
            view.sandbox = Some(sandbox);
            view.terminals = vec![1];
        });
        self.turn(Stage::Preparing, None, None);
    }

    fn spawn_placing(&mut self) {
        let (Some(sandbox), Some(scenario)) = (self.sandbox(), self.seed.scenario.clone()) else { return };
        self.spawn(|reports| async move {
            // Looking at the files blocks; there are at most a few hundred.
            let plan = tokio::task::spawn_blocking(move || place::plan(&scenario)).await;
            let Ok(plan) = plan else { return };
            let mut remarks = plan.remarks.clone();
            let failed = match place::carry_out(&sandbox, &plan).await {
                Ok(more) => {
                    remarks.extend(more);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            let _ = reports.send(Report::Placed { remarks, failed }).await;
        });
    }

    async fn files_are_there(&mut self, remarks: Vec<String>, failed: Option<String>) {
        for remark in remarks {
            self.remark(NoticeLevel::Warn, remark);
        }
        if let Some(why) = failed {
            tracing::warn!(%why, "cannot place the scenario's files");
            self.remark(NoticeLevel::Warn, format!("The lesson's files could not be placed in the machine: {why}."));
        } else if let Some(sandbox) = self.sandbox()
            && let Err(error) = self.seed.store.mark_sandbox(sandbox.id, SandboxState::Prepared).await
        {
            self.store_trouble(&error);
        }
        self.resume().await;
    }

    fn spawn_listing(&mut self) {
        let Some(sandbox) = self.sandbox() else { return };
        self.spawn(|reports| async move {
            match sandbox.state().await {
                Ok(state) => {
                    let numbers = state.terminals.iter().map(|terminal| terminal.number).collect();
                    let _ = reports.send(Report::Terminals(numbers)).await;
                }
                Err(error) => tracing::warn!(%error, "cannot ask the shim for its terminals"),
            }
        });
    }

    // Pages and their scripts.

    /// Scripts may run now: those that ran before (the shim knows, and does nothing twice), and those of the
    /// pages up to where the learner is.
    async fn resume(&mut self) {
        self.placed = true;
        match self.seed.store.entered(self.seed.row.id).await {
            Ok(entered) => {
                for page in entered.iter().filter_map(|slug| PageKind::from_slug(slug)) {
                    if self.page(page).is_some() {
                        self.start_scripts(page).await;
                    }
                }
            }
            Err(error) => self.store_trouble(&error),
        }
        let wanted = self.wanted.take().filter(|&wanted| self.page(wanted).is_some());
        match wanted.or(self.pages().first().map(|page| page.kind)) {
            Some(page) => self.catch_up(page).await,
            None => self.turn(Stage::Ready, None, None),
        }
    }

    async fn enter(&mut self, page: PageKind) -> Result<(), Refusal> {
        if self.page(page).is_none() {
            return Err(Refusal::NoPage);
        }
        let slug = page.slug();
        if self.view.borrow().page != slug {
            self.seed.store.turn_page(self.seed.row.id, &slug).await.map_err(|error| self.refused(&error))?;
            self.change(|view| view.page = slug);
        }
        if self.placed {
            self.catch_up(page).await;
        } else {
            let further = self.position(page) > self.wanted.map_or(0, |wanted| self.position(wanted));
            if further || self.wanted.is_none() {
                self.wanted = Some(page);
            }
        }
        Ok(())
    }

    /// Starts the scripts of every page up to `page` that were not started yet. Of several, each waits for
    /// the one before; one alone starts beside whatever runs, as a learner who walks on expects.
    async fn catch_up(&mut self, page: PageKind) {
        let last = self.position(page);
        let missing: Vec<PageKind> = self.pages()[..=last]
            .iter()
            .map(|page| page.kind)
            .filter(|kind| !self.started.contains(kind) && !self.queue.contains(kind))
            .collect();
        if missing.len() == 1 && self.leading.is_none() {
            self.start_scripts(missing[0]).await;
            return;
        }
        self.queue.extend(missing);
        if self.leading.is_none() {
            self.lead_next().await;
        }
    }

    async fn lead_next(&mut self) {
        self.leading = self.queue.pop_front();
        if let Some(page) = self.leading {
            self.start_scripts(page).await;
        }
    }

    async fn start_scripts(&mut self, kind: PageKind) {
        if self.started.contains(&kind) {
            return;
        }
        self.started.push(kind);
        // Noted before they run: after a crash in between they are asked for again, and run once all the same.
        if let Err(error) = self.seed.store.enter(self.seed.row.id, &kind.slug(), UnixMs::now()).await {
            self.store_trouble(&error);
        }
        let (Some(sandbox), Some(page)) = (self.sandbox(), self.page(kind).cloned()) else { return };
        if let Some(script) = page.foreground {
            match script::typed(&script) {
                Ok(Some(text)) => self.spawn_foreground(sandbox.clone(), kind, text),
                Ok(None) => {}
                Err(why) => self.remark(NoticeLevel::Warn, format!("The lesson's script could not be typed: {why}.")),
            }
        }
        match page.background {
            Some(script) => self.spawn_background(sandbox, kind, script),
            None => self.report_settled(kind),
        }
    }

    fn spawn_foreground(&mut self, sandbox: Sandbox, page: PageKind, text: String) {
        let session = self.seed.row.id;
        self.spawn(|reports| async move {
            if let Err(error) = script::foreground(&sandbox, session, page, text).await {
                let remark = format!("The lesson's script could not be typed into terminal 1: {error}.");
                let _ = reports.send(Report::Remark(remark)).await;
            }
        });
    }

    fn spawn_background(&mut self, sandbox: Sandbox, page: PageKind, script: crate::lesson::model::Script) {
        let running = ScriptRun {
            page: page.slug(),
            script: ScriptKind::Background,
            is: ScriptState::Running,
            seconds: 0.0,
            output: None,
        };
        self.note_script(running);
        self.spawn(|reports| async move {
            let mut running = std::pin::pin!(script::background(&sandbox, page, &script));
            let ended = tokio::select! {
                ended = &mut running => ended,
                () = sleep(PREPARING_MAX) => {
                    let _ = reports.send(Report::Settled(page)).await;
                    running.await
                }
            };
            let _ = reports.send(Report::Script(ended)).await;
            let _ = reports.send(Report::Settled(page)).await;
        });
    }

    fn report_settled(&mut self, page: PageKind) {
        self.spawn(|reports| async move {
            let _ = reports.send(Report::Settled(page)).await;
        });
    }

    async fn settled(&mut self, page: PageKind) {
        let first = self.pages().first().map(|page| page.kind);
        if first == Some(page) && self.view.borrow().phase.is == Stage::Preparing {
            self.turn(Stage::Ready, None, None);
        }
        if self.leading == Some(page) {
            self.lead_next().await;
        }
    }

    fn note_script(&mut self, run: ScriptRun) {
        self.change(|view| {
            match view.scripts.iter_mut().find(|known| known.page == run.page && known.script == run.script) {
                Some(known) => *known = run,
                None => view.scripts.push(run),
            }
        });
    }

    // Checks.

    fn start_check(&mut self, step: u32, reply: oneshot::Sender<Result<Check, Refusal>>) {
        if let Some(running) = &mut self.check {
            let refusal = match running {
                running if running.step != step => Refusal::Busy(running.step),
                running if running.waiting.len() >= WAITING_MAX => Refusal::Crowded,
                running => return running.waiting.push(reply),
            };
            let _ = reply.send(Err(refusal));
            return;
        }
        match self.verify(step) {
            Ok((sandbox, verify)) => {
                let job = self.spawn(|reports| async move {
                    let check = check::run(&sandbox, step, &verify).await;
                    let _ = reports.send(Report::Checked(check)).await;
                });
                self.check = Some(RunningCheck { step, begun: Instant::now(), job, waiting: vec![reply] });
                let running = Check { step, is: Outcome::Running, words: String::new(), seconds: 0.0 };
                self.change(|view| view.check = Some(running));
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
    }

    fn verify(&self, step: u32) -> Result<(Sandbox, Verify), Refusal> {
        let page = self.page(PageKind::Step(step)).ok_or(Refusal::NoPage)?;
        let verify = page.verify.clone().ok_or(Refusal::NoCheck)?;
        Ok((self.sandbox().ok_or(Refusal::NotReady)?, verify))
    }

    fn stop_check(&mut self, step: u32) {
        let Some(running) = self.check.take_if(|running| running.step == step) else { return };
        // The connection ends with the job, and the script with the connection.
        running.job.abort();
        let words = "Stopped.".into();
        let stopped = Check { step, is: Outcome::Stopped, words, seconds: running.begun.elapsed().as_secs_f64() };
        self.tell(running, stopped);
    }

    async fn checked(&mut self, check: Check) {
        let Some(running) = self.check.take_if(|running| running.step == check.step) else { return };
        if check.is == Outcome::Passed {
            let (id, step) = (self.seed.row.id, self.passed_step(check.step));
            match self.seed.store.pass(id, &step, UnixMs::now()).await {
                Ok(()) => self.change(|view| {
                    if let Err(at) = view.passed.binary_search(&check.step) {
                        view.passed.insert(at, check.step);
                    }
                }),
                Err(error) => self.store_trouble(&error),
            }
        }
        self.tell(running, check);
    }

    /// What is kept of a step that has passed: enough to tell it again in another version of the lesson.
    fn passed_step(&self, step: u32) -> PassedStep {
        let mark = self.page(PageKind::Step(step)).and_then(StepMark::of).unwrap_or_default();
        let digest = self.seed.scenario.as_ref().map_or(&self.seed.row.digest, |scenario| &scenario.digest);
        PassedStep { digest: digest.clone(), step, mark }
    }

    fn tell(&mut self, running: RunningCheck, check: Check) {
        self.change(|view| view.check = Some(check.clone()));
        for reply in running.waiting {
            let _ = reply.send(Ok(check.clone()));
        }
    }

    // The end.

    /// Ends the session for good. In this order: the store, so that nobody finds it any more; the jobs; the
    /// machine; and last the picture, so that who waits for the end sees a machine that is gone.
    async fn end(&mut self, state: SessionState, message: &str, output: Option<String>) {
        tracing::info!(?state, message, output, "the session is over");
        let ending = Ending { state, why: message.to_owned(), detail: output.clone() };
        if let Err(error) = self.seed.store.end_session(self.seed.row.id, &ending, UnixMs::now()).await {
            self.store_trouble(&error);
        }
        self.jobs.shutdown().await;
        self.destroy().await;
        if let Some(running) = self.check.take() {
            let words = "The check was cut short: the session is over.".into();
            let seconds = running.begun.elapsed().as_secs_f64();
            let step = running.step;
            self.tell(running, Check { step, is: Outcome::Broken, words, seconds });
        }
        self.change(|view| view.left = state == SessionState::Left);
        self.turn(stage(state), Some(message.to_owned()), output);
        self.change(|view| view.sandbox = None);
    }

    async fn destroy(&self) {
        let id = match self.seed.store.sandbox_of(self.seed.row.id).await {
            Ok(Some(row)) if row.state != SandboxState::Gone => row.id,
            Ok(_) => return,
            Err(error) => return self.store_trouble(&error),
        };
        if let Err(error) = self.seed.sandboxes.destroy(id).await {
            // The sweep at the next sight of the keeper finds it by the session's end.
            tracing::warn!(sandbox = %id, %error, "cannot end the sandbox now");
        } else if let Err(error) = self.seed.store.mark_sandbox(id, SandboxState::Gone).await {
            self.store_trouble(&error);
        }
    }

    // The picture.

    fn change(&self, change: impl FnOnce(&mut SessionView)) {
        self.view.send_modify(|view| change(Arc::make_mut(view)));
    }

    fn turn(&self, is: Stage, message: Option<String>, output: Option<String>) {
        self.change(|view| view.phase = Phase { is, since: UnixMs::now(), message, output });
    }

    fn remark(&mut self, level: NoticeLevel, text: String) {
        self.notices += 1;
        let notice = Notice { number: self.notices, at: UnixMs::now(), level, text };
        self.change(|view| {
            if view.notices.len() == NOTICES_MAX {
                view.notices.remove(0);
            }
            view.notices.push(notice);
        });
    }

    fn add_terminals(&self, numbers: &[u16]) {
        self.change(|view| {
            view.terminals.extend(numbers);
            view.terminals.sort_unstable();
            view.terminals.dedup();
        });
    }

    fn sandbox(&self) -> Option<Sandbox> {
        self.view.borrow().sandbox.clone()
    }

    // The lesson.

    fn pages(&self) -> &[Page] {
        self.seed.scenario.as_ref().map_or(&[], |scenario| &scenario.pages)
    }

    fn page(&self, kind: PageKind) -> Option<&Page> {
        self.seed.scenario.as_ref()?.page(kind)
    }

    /// 0 for a page that is not there.
    fn position(&self, kind: PageKind) -> usize {
        self.pages().iter().position(|page| page.kind == kind).unwrap_or(0)
    }

    // Jobs and troubles.

    fn spawn<F>(&mut self, job: impl FnOnce(mpsc::Sender<Report>) -> F) -> AbortHandle
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let reports = self.reports_in.clone();
        self.jobs.spawn(job(reports).in_current_span())
    }

    fn refused(&self, error: &StoreError) -> Refusal {
        self.store_trouble(error);
        Refusal::Store
    }

    fn store_trouble(&self, error: &StoreError) {
        tracing::error!(error = %crate::telemetry::chain(error), "the store");
    }
}

fn first_view(seed: &Seed) -> SessionView {
    let row = &seed.row;
    let wanted = seed.scenario.as_ref().map(|scenario| scenario.environment.clone());
    let environment = wanted.map_or_else(
        || Environment { image: String::new(), wanted: String::new(), hostname: String::new(), note: None },
        |wanted| Environment {
            image: wanted.image.clone(),
            wanted: wanted.image,
            hostname: wanted.hostname,
            note: wanted.note,
        },
    );
    SessionView {
        id: row.id,
        learner: row.learner,
        course: row.course.clone(),
        scenario: row.scenario.clone(),
        digest: row.digest.clone(),
        left: false,
        phase: Phase { is: Stage::Starting, since: UnixMs::now(), message: None, output: None },
        page: row.page.clone(),
        passed: Vec::new(),
        terminals: Vec::new(),
        environment,
        sandbox: None,
        check: None,
        scripts: Vec::new(),
        notices: Vec::new(),
    }
}

/// How a session that is over shows itself.
fn stage(state: SessionState) -> Stage {
    if state == SessionState::Failed { Stage::Failed } else { Stage::Ended }
}

/// The picture of a session that is over, from its row alone.
pub fn past_view(row: &SessionRow, passed: Vec<u32>) -> SessionView {
    let phase = Phase {
        is: stage(row.state),
        since: row.ended.unwrap_or(row.created),
        message: row.why.clone(),
        output: row.detail.clone(),
    };
    let environment = Environment { image: String::new(), wanted: String::new(), hostname: String::new(), note: None };
    SessionView {
        id: row.id,
        learner: row.learner,
        course: row.course.clone(),
        scenario: row.scenario.clone(),
        digest: row.digest.clone(),
        phase,
        left: row.state == SessionState::Left,
        page: row.page.clone(),
        passed,
        terminals: Vec::new(),
        environment,
        sandbox: None,
        check: None,
        scripts: Vec::new(),
        notices: Vec::new(),
    }
}
