//! The JSON of the pages' own interface: views and live messages, from the session's picture.
//!
//! The same words stand in `web/src/state.ts` and `web/src/connection/live.ts`.

use std::time::Duration;

use quayside_runtime::keeper::protocol::{ImageInfo, ImageState};
use serde::Serialize;

use crate::session::view::{
    self, ADDRESS, Check, Notice, NoticeLevel, Phase, Place, ScriptKind, ScriptRun, ScriptState, SessionView, Stage,
    Time, Wait,
};
use crate::store::UnixMs;

/// A notice that a page may have missed while it was loading is told again; an older one is not.
const NOTICE_AGE_MS: i64 = 60_000;

#[derive(Debug, Serialize)]
pub struct ErrorBody {
    pub error: ErrorMessage,
}

#[derive(Debug, Serialize)]
pub struct ErrorMessage {
    pub code: &'static str,
    pub message: String,
    /// What the learner can end to get on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub offer: Option<Box<Offer>>,
}

/// A session that may be ended for the one that was asked for.
#[derive(Debug, Clone, Serialize)]
pub struct Offer {
    pub session: String,
    pub title: String,
}

/// `GET /api/sessions/ID`.
#[derive(Debug, Serialize)]
pub struct SessionBody {
    id: String,
    course: String,
    scenario: String,
    digest: String,
    phase: PhaseBody,
    page: String,
    passed: Vec<u32>,
    terminals: Vec<u16>,
    environment: EnvironmentBody,
    time: Option<TimeBody>,
    line: Option<LineBody>,
}

/// How long there is a machine, as lengths of time: a browser's clock may say anything.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TimeBody {
    left_ms: u64,
    /// What the next Extend adds; 0 when nothing more can be had.
    more_ms: u64,
    /// What a machine can have in all.
    most_ms: u64,
}

/// Where the learner stands in line.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LineBody {
    /// 1 is next.
    place: u32,
    of: u32,
    /// Sessions that there may be at once; 0 while that is not known.
    capacity: u32,
    /// Both, one or neither is known.
    from_minutes: Option<u32>,
    to_minutes: Option<u32>,
    /// A place is free.
    offered: bool,
    /// How long the place is kept for who closes the page, and a free machine for who is not here.
    kept_ms: u64,
    held_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PhaseBody {
    is: &'static str,
    /// Which machine of the session it is about, from 1; 0: not known yet.
    generation: u32,
    since_ms: i64,
    message: Option<String>,
    output: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct EnvironmentBody {
    image: String,
    hostname: String,
    address: &'static str,
    note: Option<String>,
}

/// `POST …/check`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CheckBody {
    step: u32,
    is: &'static str,
    words: String,
    seconds: f64,
}

/// What the live connection says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum Live {
    Phase(PhaseBody),
    Time(TimeBody),
    Line(LineBody),
    Check(CheckBody),
    Passed {
        step: u32,
    },
    Script {
        page: String,
        script: &'static str,
        is: &'static str,
        seconds: f64,
        output: Option<String>,
    },
    Image {
        name: String,
        is: &'static str,
        doing: String,
        done: u64,
        total: u64,
    },
    Notice {
        level: &'static str,
        text: String,
    },
    /// What the machine turned out to be.
    Environment(EnvironmentBody),
    /// Another terminal was opened, in this tab or another.
    Terminals {
        terminals: Vec<u16>,
    },
}

impl From<&SessionView> for SessionBody {
    fn from(view: &SessionView) -> Self {
        Self {
            id: view.id.to_string(),
            course: view.course.clone(),
            scenario: view.scenario.clone(),
            digest: view.digest.clone(),
            phase: phase(view),
            page: view.page.clone(),
            passed: view.passed.clone(),
            terminals: view.terminals.clone(),
            environment: (&view.environment).into(),
            time: view.time.as_ref().map(|time| time_left(time, UnixMs::now())),
            line: view.line.as_ref().map(LineBody::from),
        }
    }
}

impl From<&Place> for LineBody {
    fn from(place: &Place) -> Self {
        let (from_minutes, to_minutes) = match place.wait {
            Wait::Unknown => (None, None),
            Wait::Within { minutes } => (None, Some(minutes)),
            Wait::Between { from_minutes, to_minutes } => (Some(from_minutes), Some(to_minutes)),
        };
        let Place { place, of, capacity, offered, kept, held, .. } = *place;
        let (kept_ms, held_ms) = (milliseconds(kept), milliseconds(held));
        Self { place, of, capacity, from_minutes, to_minutes, offered, kept_ms, held_ms }
    }
}

fn time_left(time: &Time, now: UnixMs) -> TimeBody {
    TimeBody {
        left_ms: milliseconds(time.ends.since(now)),
        more_ms: milliseconds(time.more),
        most_ms: milliseconds(time.most),
    }
}

fn phase(view: &SessionView) -> PhaseBody {
    PhaseBody { generation: view.generation, ..PhaseBody::from(&view.phase) }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// How much time is left just now; `None` before there is a machine.
pub fn time(view: &SessionView) -> Option<Live> {
    view.time.as_ref().map(|time| Live::Time(time_left(time, UnixMs::now())))
}

impl From<&Phase> for PhaseBody {
    fn from(phase: &Phase) -> Self {
        let is = match phase.is {
            Stage::Waiting => "waiting",
            Stage::Starting => "starting",
            Stage::Preparing => "preparing",
            Stage::Ready => "ready",
            Stage::Lost => "lost",
            Stage::Failed => "failed",
            Stage::Ended => "ended",
        };
        Self {
            is,
            generation: 0,
            since_ms: phase.since.0,
            message: phase.message.clone(),
            output: phase.output.clone(),
        }
    }
}

impl From<&view::Environment> for EnvironmentBody {
    fn from(environment: &view::Environment) -> Self {
        let view::Environment { image, hostname, note, .. } = environment.clone();
        Self { image, hostname, address: ADDRESS, note }
    }
}

impl From<&Check> for CheckBody {
    fn from(check: &Check) -> Self {
        let is = check.is.word();
        Self { step: check.step, is, words: check.words.clone(), seconds: tenths(check.seconds) }
    }
}

impl From<&ScriptRun> for Live {
    fn from(run: &ScriptRun) -> Self {
        Self::Script {
            page: run.page.clone(),
            script: match run.script {
                ScriptKind::Foreground => "foreground",
                ScriptKind::Background => "background",
            },
            is: match run.is {
                ScriptState::Running => "running",
                ScriptState::Done => "done",
                ScriptState::Failed => "failed",
            },
            seconds: tenths(run.seconds),
            output: run.output.clone(),
        }
    }
}

impl From<&Notice> for Live {
    fn from(notice: &Notice) -> Self {
        let level = match notice.level {
            NoticeLevel::Info => "info",
            NoticeLevel::Warn => "warn",
        };
        Self::Notice { level, text: notice.text.clone() }
    }
}

/// Nobody reads more of a duration than this.
fn tenths(seconds: f64) -> f64 {
    (seconds * 10.0).round() / 10.0
}

/// What a page that has just come must be told.
pub fn first(view: &SessionView, now: UnixMs) -> Vec<Live> {
    let mut messages = vec![Live::Phase(phase(view)), Live::Environment((&view.environment).into())];
    messages.extend(time(view));
    messages.extend(view.line.as_ref().map(|place| Live::Line(place.into())));
    messages.extend(view.scripts.iter().filter(|run| run.is != ScriptState::Done).map(Live::from));
    messages.extend(view.check.as_ref().map(|check| Live::Check(check.into())));
    messages.extend(view.notices.iter().filter(|notice| now.0 - notice.at.0 < NOTICE_AGE_MS).map(Live::from));
    messages
}

/// What a page that knows `before` must be told to know `after`.
pub fn changes(before: &SessionView, after: &SessionView) -> Vec<Live> {
    let mut messages = Vec::new();
    if before.environment != after.environment {
        messages.push(Live::Environment((&after.environment).into()));
    }
    // Time and place before the phase that draws them.
    if before.time != after.time {
        messages.extend(time(after));
    }
    if before.line != after.line {
        messages.extend(after.line.as_ref().map(|place| Live::Line(place.into())));
    }
    // Of another machine there are other terminals.
    if before.terminals != after.terminals {
        messages.push(Live::Terminals { terminals: after.terminals.clone() });
    }
    if before.phase != after.phase || before.generation != after.generation {
        messages.push(Live::Phase(phase(after)));
    }
    messages.extend(after.scripts.iter().filter(|run| !before.scripts.contains(run)).map(Live::from));
    if before.check != after.check {
        messages.extend(after.check.as_ref().map(|check| Live::Check(check.into())));
    }
    let passed = after.passed.iter().filter(|step| !before.passed.contains(step));
    messages.extend(passed.map(|&step| Live::Passed { step }));
    let told = before.notices.last().map_or(0, |notice| notice.number);
    messages.extend(after.notices.iter().filter(|notice| notice.number > told).map(Live::from));
    messages
}

/// How near the image is that the session would rather have; `None` while there is nothing to say.
pub fn image(images: &[ImageInfo], view: &SessionView) -> Option<Live> {
    let wanted = &view.environment.wanted;
    if view.sandbox.is_some() && view.environment.image == *wanted {
        return None;
    }
    let image = images.iter().find(|image| image.name == *wanted)?;
    let (is, doing, done, total) = match &image.state {
        ImageState::Absent => return None,
        // The machine that is being started will have it.
        ImageState::Ready { .. } if view.sandbox.is_none() => return None,
        ImageState::Preparing { doing, done, total } => ("preparing", doing.clone(), *done, *total),
        ImageState::Ready { .. } => ("ready", String::new(), 0, 0),
        ImageState::Failed { message } => ("failed", message.clone(), 0, 0),
    };
    Some(Live::Image { name: image.name.clone(), is, doing, done, total })
}
