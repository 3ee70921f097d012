//! The task that owns one session.
//!
//! ```text
//!            a place        launched              first scripts ended, or 60 s
//!  Waiting ───────► Starting ──────► Preparing ────────────────────────────► Ready
//!     │                ▲  │              │                                     │
//!     │       restart  │  │ no machine   │   the machine ended by itself       │
//!     │                │  │              ├─────────────────────────────────────┤
//!     │               Lost ◄─────────────┘◄── (a restart that failed) ─────────┤
//!     ▼                │  ▼                                                    │
//!   Failed ◄── (the first launch failed)                                       │
//!                      └──► Ended ◄── left, idle, time is up ──────────────────┘
//! ```
//!
//! Nobody else changes a session: requests and the session's own jobs (launch, files, scripts, a check) send
//! messages, and everybody reads the picture that [`SessionView`] is. Jobs end with the task; what should
//! outlive it is in the store, in the keeper and in the shim, where the next task finds it.
//!
//! Here is the loop, and the end. [`machine`] brings machines, [`pages`] their scripts, [`checks`] the checks,
//! [`turns`] the wait in line, and [`hours`] the time and the idleness.

mod machine;
mod pages;
mod checks;
mod turns;
mod hours;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::spec::{Limits, SandboxId};
use tokio::sync::{broadcast, mpsc, watch};
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, sleep_until};
use tracing::Instrument;

use super::clock::TimeLimits;
use super::handle::{Connections, Handle, Message, Refusal};
use super::launch::{LaunchFailure, Launched};
use super::line::{Line, Places};
use super::view::{Check, NOTICES_MAX, Notice, NoticeLevel, Phase, ScriptRun, SessionView, Stage};
use crate::lesson::model::{Page, PageKind, Scenario};
use crate::sandbox::{Sandbox, Sandboxes};
use crate::store::{Ending, LearnerId, SandboxState, SessionId, SessionRow, SessionState, Store, StoreError, UnixMs};
use checks::RunningCheck;
pub use pages::PREPARING_MAX;

/// Messages that wait for the task; a sender waits when there are more. Clicks are rare and quickly done.
const INBOX_MAX: usize = 32;
/// Reports of jobs that wait for the task.
const REPORTS_MAX: usize = 32;
/// How often the task looks whether anybody is there.
const IDLE_TICK: Duration = Duration::from_secs(20);
/// And at least so often before it ends an idle session: what it knows of keys is one look old.
const TICKS: u32 = 4;
/// How long after the start of this process nobody's absence counts.
const RETURN_PATIENCE: Duration = Duration::from_secs(2 * 60);
/// How long until an end that the store could not take is written again.
const STORE_PAUSE: Duration = Duration::from_secs(5);
/// A setting below this is taken for this.
const IDLE_TICK_MIN: Duration = Duration::from_secs(1);

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
    /// So long ago something was typed into the machine last.
    Touched(Duration),
}

/// Something that a learner should hear wherever they are just now.
#[derive(Debug, Clone)]
pub struct Aside {
    pub learner: LearnerId,
    /// The session that it is about: its own pages know.
    pub about: SessionId,
    pub text: String,
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
    pub time: TimeLimits,
    /// How long a free place is held for a learner in line whom nobody sees.
    pub offer_max: Duration,
    /// How long a learner in line may be away.
    pub away_max: Duration,
    pub line: Line,
    pub asides: broadcast::Sender<Aside>,
    /// Something to say at once.
    pub remark: Option<String>,
}

/// Makes the task; the caller spawns the future, and is told by it when the session is over.
pub fn session(seed: Seed) -> (Handle, impl Future<Output = ()> + Send + 'static) {
    let (inbox_in, inbox) = mpsc::channel(INBOX_MAX);
    let (reports_in, reports) = mpsc::channel(REPORTS_MAX);
    let (view_in, view) = watch::channel(Arc::new(SessionView::first(&seed.row, seed.scenario.as_deref())));
    let connections = Arc::new(Connections::new());
    let handle = Handle { inbox: inbox_in, view, connections: connections.clone(), scenario: seed.scenario.clone() };
    let span = tracing::error_span!(parent: None, "session", session = %seed.row.id);
    let wanted = PageKind::from_slug(&seed.row.page);
    // Whoever was there before this process began needs a moment to come back.
    let unused = UnixMs::now().since(seed.row.used);
    let used_at = before_now(unused.min(seed.idle_max.saturating_sub(RETURN_PATIENCE)));
    let actor = Actor {
        places: seed.line.places(),
        asides: seed.asides.subscribe(),
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
        seen_at: used_at,
        touched_at: used_at,
        noted: seed.row.used,
        warned: false,
        held_since: None,
        unwritten: None,
        seed,
    };
    (handle, actor.run().instrument(span))
}

struct Actor {
    seed: Seed,
    inbox: mpsc::Receiver<Message>,
    reports: mpsc::Receiver<Report>,
    reports_in: mpsc::Sender<Report>,
    places: watch::Receiver<Arc<Places>>,
    asides: broadcast::Receiver<Aside>,
    view: watch::Sender<Arc<SessionView>>,
    connections: Arc<Connections>,
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
    /// When somebody was there last.
    seen_at: Instant,
    /// When something was typed last, as far as the shim has said.
    touched_at: Instant,
    /// What the store knows of both.
    noted: UnixMs,
    /// The learner has been told that the machine is about to be ended.
    warned: bool,
    /// Since when a place is held for this learner, as this task knows it.
    held_since: Option<Instant>,
    /// The session's end, while the store does not know it.
    unwritten: Option<Ending>,
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
        if !self.waits() {
            self.spawn_launch(false);
        }
        let mut tick = interval((self.seed.idle_max / TICKS).clamp(IDLE_TICK_MIN, IDLE_TICK));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let due = self.due();
            let connections = self.connections.clone();
            let next = tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(message) => self.hear(message).await,
                    None => Next::Stop,
                },
                Some(report) = self.reports.recv() => self.learn(report).await,
                Some(job) = self.jobs.join_next() => self.job_ended(job).await,
                () = connections.arrived.notified() => self.somebody_came().await,
                Ok(()) = self.places.changed(), if self.waits() => self.line_moved().await,
                Ok(aside) = self.asides.recv() => self.overhear(aside),
                _ = tick.tick() => self.look_around().await,
                () = sleep_until(due) => self.time_is_up().await,
            };
            if matches!(next, Next::Stop) {
                break;
            }
        }
        self.jobs.shutdown().await;
        self.write_end().await;
    }

    /// What the store knows of a session that began in an earlier life of this process.
    async fn restore(&mut self) {
        match self.seed.store.passed(self.seed.row.id).await {
            Ok(passed) => self.change(|view| view.passed = passed),
            Err(error) => self.store_trouble(&error),
        }
        if let Some(clock) = self.seed.row.clock() {
            self.show_clock(clock);
        }
        if self.waits() {
            self.line_moved().await;
        }
    }

    async fn hear(&mut self, message: Message) -> Next {
        match message {
            Message::Enter { page, reply } => {
                self.touched();
                let _ = reply.send(self.enter(page).await);
            }
            Message::Check { step, reply } => {
                self.touched();
                self.start_check(step, reply);
            }
            Message::StopCheck { step, reply } => {
                self.stop_check(step);
                let _ = reply.send(Ok(()));
            }
            Message::Opened { terminal } => self.add_terminals(&[terminal]),
            Message::Extend { reply } => {
                self.touched();
                let _ = reply.send(self.extend().await);
            }
            Message::Restart { reply } => {
                self.touched();
                let _ = reply.send(self.restart().await);
            }
            Message::Leave { reply } => {
                let message = if self.waits() { "You left the line." } else { "You left, and the machine was ended." };
                self.end(SessionState::Left, message, None).await;
                let _ = reply.send(Ok(()));
                return Next::Stop;
            }
            Message::Ended { sandbox, why } => self.machine_ended(sandbox, why).await,
            Message::Release => return Next::Stop,
        }
        Next::On
    }

    async fn learn(&mut self, report: Report) -> Next {
        match report {
            Report::Launched(Ok(launched)) => self.launched(launched).await,
            Report::Launched(Err(failure)) => return self.launch_failed(failure).await,
            Report::Placed { remarks, failed } => self.files_are_there(remarks, failed).await,
            Report::Terminals(numbers) => self.add_terminals(&numbers),
            Report::Script(run) => self.note_script(run),
            Report::Settled(page) => self.settled(page).await,
            Report::Remark(text) => self.remark(NoticeLevel::Warn, text),
            Report::Checked(check) => self.checked(check).await,
            Report::Touched(ago) => self.touched_at = self.touched_at.max(before_now(ago)),
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
        self.break_check("The check could not run, and that is not your doing.");
        Next::On
    }

    // The end.

    /// Ends the session for good. In this order: the store, so that nobody finds it any more; the jobs; the
    /// machine; and last the picture, so that who waits for the end sees a machine that is gone.
    async fn end(&mut self, state: SessionState, message: &str, output: Option<String>) {
        tracing::info!(?state, why = message, output, "the session is over");
        let ending = Ending { state, why: message.to_owned(), detail: output.clone() };
        if let Err(error) = self.seed.store.end_session(self.seed.row.id, &ending, UnixMs::now()).await {
            self.store_trouble(&error);
            self.unwritten = Some(ending);
        }
        self.drop_jobs("The check was cut short: the session is over.").await;
        self.destroy().await;
        self.change(|view| {
            view.left = state == SessionState::Left;
            view.line = None;
        });
        self.turn(Stage::of_past(state), Some(message.to_owned()), output);
        self.change(|view| view.sandbox = None);
        // What it had is free for the next in line.
        self.seed.line.stir();
    }

    /// A session that is over and lives in the store would keep its place, and nobody would come to end it: its task
    /// stays until a full disk has room again. It hears nobody any more.
    async fn write_end(&mut self) {
        let Some(ending) = self.unwritten.take() else { return };
        self.inbox.close();
        while let Err(error) = self.seed.store.end_session(self.seed.row.id, &ending, UnixMs::now()).await {
            tracing::debug!(error = %crate::telemetry::chain(&error), "the end is not written yet");
            sleep(STORE_PAUSE).await;
        }
        // Its machine's end was not written either.
        self.destroy().await;
        self.seed.line.stir();
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

    fn stage(&self) -> Stage {
        self.view.borrow().phase.is
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

    /// Ends every job; what they still had to say is not heard, as it is about a machine that goes.
    async fn drop_jobs(&mut self, about_the_check: &str) {
        self.jobs.shutdown().await;
        (self.reports_in, self.reports) = mpsc::channel(REPORTS_MAX);
        self.break_check(about_the_check);
    }

    fn refused(&self, error: &StoreError) -> Refusal {
        self.store_trouble(error);
        Refusal::Store
    }

    fn store_trouble(&self, error: &StoreError) {
        tracing::error!(error = %crate::telemetry::chain(error), "the store");
    }
}

/// `ago`, or as long ago as can be said.
fn before_now(ago: Duration) -> Instant {
    let now = Instant::now();
    now.checked_sub(ago).unwrap_or(now)
}
