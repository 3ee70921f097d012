//! What may be known of a session from outside: a picture that its task replaces whole.
//!
//! Readers take the picture from a watch channel, so nobody waits for the task, a slow reader holds nothing
//! up, and who was away sees how things stand now, not everything that happened.

use std::time::Duration;

use crate::lesson::model::{Environment as Wanted, Scenario};
use crate::sandbox::Sandbox;
use crate::store::{LearnerId, SessionId, SessionRow, SessionState, UnixMs};

/// Notices that a page which just came may still be told. They are remarks, not a log.
pub const NOTICES_MAX: usize = 16;

#[derive(Debug, Clone)]
pub struct SessionView {
    pub id: SessionId,
    pub learner: LearnerId,
    pub course: String,
    pub scenario: String,
    pub digest: String,
    pub phase: Phase,
    /// Which machine of the session it is, from 1; 0 while that is not known.
    pub generation: u32,
    /// There once the first machine is there.
    pub time: Option<Time>,
    /// There while the learner is in line.
    pub line: Option<Place>,
    /// The learner ended it.
    pub left: bool,
    /// Where the learner is: `intro`, `1`, …, `finish`.
    pub page: String,
    /// Steps whose check has passed, ascending.
    pub passed: Vec<u32>,
    /// Terminals that were opened, ascending.
    pub terminals: Vec<u16>,
    pub environment: Environment,
    /// There from the moment that the machine runs until it ends.
    pub sandbox: Option<Sandbox>,
    /// The last check that ran, or the one that runs.
    pub check: Option<Check>,
    /// The scripts of the pages so far.
    pub scripts: Vec<ScriptRun>,
    /// The last few, oldest first.
    pub notices: Vec<Notice>,
}

impl SessionView {
    /// The picture of a session that begins, or is found again.
    pub fn first(row: &SessionRow, scenario: Option<&Scenario>) -> Self {
        let environment = scenario.map_or_else(Environment::default, |scenario| {
            let Wanted { image, hostname, note, .. } = scenario.environment.clone();
            Environment { wanted: image.clone(), image, hostname, note }
        });
        let is = if row.state == SessionState::Waiting { Stage::Waiting } else { Stage::Starting };
        let phase = Phase { is, since: UnixMs::now(), message: None, output: None };
        Self::bare(row, phase, environment, Vec::new())
    }

    /// The picture of a session that is over, from its row alone.
    pub fn past(row: &SessionRow, passed: Vec<u32>) -> Self {
        let phase = Phase {
            is: Stage::of_past(row.state),
            since: row.ended.unwrap_or(row.created),
            message: row.why.clone(),
            output: row.detail.clone(),
        };
        Self::bare(row, phase, Environment::default(), passed)
    }

    fn bare(row: &SessionRow, phase: Phase, environment: Environment, passed: Vec<u32>) -> Self {
        Self {
            id: row.id,
            learner: row.learner,
            course: row.course.clone(),
            scenario: row.scenario.clone(),
            digest: row.digest.clone(),
            phase,
            generation: 0,
            time: None,
            line: None,
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

    pub fn is_over(&self) -> bool {
        matches!(self.phase.is, Stage::Failed | Stage::Ended)
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Phase {
    pub is: Stage,
    pub since: UnixMs,
    pub message: Option<String>,
    /// What the part that failed said itself.
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// In line for a place.
    Waiting,
    /// There is no machine yet.
    Starting,
    /// The machine is there, and the scenario's files and first scripts are on their way.
    Preparing,
    Ready,
    /// The machine ended by itself; the session has its place and its time, and can have another machine.
    Lost,
    /// There never was a machine.
    Failed,
    /// There was one.
    Ended,
}

impl Stage {
    /// How a session that is over shows itself.
    pub fn of_past(state: SessionState) -> Self {
        if state == SessionState::Failed { Self::Failed } else { Self::Ended }
    }
}

/// Until when there is a machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Time {
    pub ends: UnixMs,
    /// What the next Extend adds; nothing when nothing more can be had.
    pub more: Duration,
    /// What a machine can have in all.
    pub most: Duration,
}

/// Where somebody stands in line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// 1 is next.
    pub place: u32,
    /// So many are in line.
    pub of: u32,
    /// Sessions that there may be at once; 0 while that is not known.
    pub capacity: u32,
    pub wait: Wait,
    /// A place is free and held for them.
    pub offered: bool,
    /// How long somebody in line may be away.
    pub kept: Duration,
    /// How long a free place is held for somebody who is away.
    pub held: Duration,
}

/// How long a place takes to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    Unknown,
    /// At the latest, if nobody extends.
    Within {
        minutes: u32,
    },
    Between {
        from_minutes: u32,
        to_minutes: u32,
    },
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Environment {
    pub image: String,
    /// What the scenario asked for: another image may serve until this one is ready.
    pub wanted: String,
    pub hostname: String,
    pub note: Option<String>,
}

/// The address of a sandbox's eth0: the same in each, as each has a network of its own.
pub const ADDRESS: &str = "172.30.1.2";

#[derive(Debug, Clone, PartialEq)]
pub struct Check {
    pub step: u32,
    pub is: Outcome,
    /// For the learner: what the script printed, or our sentence where it said nothing.
    pub words: String,
    pub seconds: f64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    Running,
    Passed,
    Failed,
    /// It could not run to its end: the words say whose fault that is.
    Broken,
    Stopped,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ScriptRun {
    pub page: String,
    pub script: ScriptKind,
    pub is: ScriptState,
    pub seconds: f64,
    /// The end of what it printed, where it failed.
    pub output: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptKind {
    /// Typed into terminal 1.
    Foreground,
    Background,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ScriptState {
    Running,
    Done,
    Failed,
}

/// A remark for the learner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Notice {
    /// Counted from 1 in the life of the process, so that a reader knows which are new.
    pub number: u64,
    pub at: UnixMs,
    pub level: NoticeLevel,
    pub text: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoticeLevel {
    Info,
    Warn,
}
