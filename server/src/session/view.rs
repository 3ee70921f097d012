//! What may be known of a session from outside: a picture that its task replaces whole.
//!
//! Readers take the picture from a watch channel, so nobody waits for the task, a slow reader holds nothing
//! up, and who was away sees how things stand now, not everything that happened.

use crate::sandbox::Sandbox;
use crate::store::{LearnerId, SessionId, UnixMs};

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
    /// There is no machine yet.
    Starting,
    /// The machine is there, and the scenario's files and first scripts are on their way.
    Preparing,
    Ready,
    /// There never was a machine.
    Failed,
    /// There was one.
    Ended,
}

#[derive(Debug, Clone, PartialEq, Eq)]
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

impl Outcome {
    /// For pages and figures.
    pub fn word(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Passed => "passed",
            Self::Failed => "failed",
            Self::Broken => "broken",
            Self::Stopped => "stopped",
        }
    }
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
