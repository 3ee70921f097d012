//! Playing lessons without a learner, to prove that they work: `quayside lesson test`.
//!
//! Every scenario is played in fresh sandboxes of its environment, with the same code as a session: files, scripts and
//! checks. Each step's check has to fail before the step's work is done, and to pass afterwards; the work is done by the
//! author's solution, and, in a second sandbox, by pressing the text's own run actions in their terminals ([`Way`]).
//! What can be judged without a machine is in [`judge`], what the fingers do in [`typist`].
//! This module knows nothing of command lines, and prints nothing.

pub mod judge;
mod typist;
mod play;

use std::fmt;

use quayside_runtime::launch::parent::Layers;

use crate::lesson::model::{Item, Scenario};
use crate::sandbox::alone::Alone;
use crate::stop::Signals;

/// What is asked of a rehearsal.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wish {
    /// What a lesson of ours must have, and others may lack, is a failure: a check, a hint and a solution at every step.
    pub strict: bool,
    /// Press the text's run actions as well.
    pub typing: bool,
}

/// Who does a step's work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    Solution,
    /// The run actions of the text.
    Typing,
}

/// One thing that was tried, and what came of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Finding {
    /// `COURSE/SCENARIO`.
    pub scenario: String,
    /// Where in it, and by which way: `step 4, solution`. Empty: the scenario as a whole.
    pub place: String,
    pub verdict: Verdict,
}

#[derive(Debug, Clone, PartialEq)]
pub enum Verdict {
    Passed,
    /// What went wrong; more than one line where a check's words are quoted.
    Failed(String),
    /// Nothing was proven, and that is no failure.
    Skipped(String),
}

/// What a scenario is played on.
#[derive(Clone, Copy)]
pub struct Stage<'a> {
    pub alone: &'a Alone,
    pub image: &'a str,
    pub layers: &'a Layers,
}

/// The rehearsal was told to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stopped;

/// How many findings of each kind there were.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl Tally {
    pub fn count(&mut self, verdict: &Verdict) {
        match verdict {
            Verdict::Passed => self.passed += 1,
            Verdict::Failed(_) => self.failed += 1,
            Verdict::Skipped(_) => self.skipped += 1,
        }
    }
}

/// Judges and plays one scenario; every finding goes to `tell` as soon as it is there.
///
/// `stage` is `None` for an item that is not to be played ([`image_of`]).
pub fn rehearse(
    course: &str,
    item: &Item,
    wish: Wish,
    stage: Option<Stage>,
    signals: &Signals,
    tell: &mut dyn FnMut(Finding),
) -> Result<(), Stopped> {
    let name = format!("{course}/{}", item.slug());
    let mut say = |place: String, verdict| tell(Finding { scenario: name.clone(), place, verdict });
    judge::at_rest(item, wish, &mut say);
    let (Some(scenario), Some(stage)) = (playable(item), stage) else { return Ok(()) };
    let mut say_strictly = |place, verdict| match verdict {
        Verdict::Skipped(words) if wish.strict => say(place, Verdict::Failed(words)),
        verdict => say(place, verdict),
    };
    for way in judge::ways(scenario, wish) {
        play::play(scenario, way, stage, signals, &mut say_strictly)?;
    }
    Ok(())
}

/// The image that an item is played in, if it can be played here.
pub fn image_of(item: &Item) -> Option<&str> {
    playable(item).map(|scenario| scenario.environment.image.as_str())
}

fn playable(item: &Item) -> Option<&Scenario> {
    match item {
        Item::Scenario(scenario) if scenario.refusal().is_none() => Some(scenario),
        _ => None,
    }
}

impl fmt::Display for Way {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Solution => "solution",
            Self::Typing => "typed",
        })
    }
}

/// `ok      course/scenario step 1, solution`, with what went wrong in indented lines below.
impl fmt::Display for Finding {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let (word, words) = match &self.verdict {
            Verdict::Passed => ("ok", ""),
            Verdict::Failed(words) => ("FAILED", words.as_str()),
            Verdict::Skipped(words) => ("skipped", words.as_str()),
        };
        write!(out, "{word:<8}{}", self.scenario)?;
        if !self.place.is_empty() {
            write!(out, " {}", self.place)?;
        }
        let mut lines = words.lines();
        if let Some(first) = lines.next() {
            write!(out, ": {first}")?;
        }
        lines.try_for_each(|line| write!(out, "\n        {line}"))
    }
}

/// `12 passed, 0 failed`, and what was not tried where there is any.
impl fmt::Display for Tally {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{} passed, {} failed", self.passed, self.failed)?;
        match self.skipped {
            0 => Ok(()),
            skipped => write!(out, ", {skipped} skipped"),
        }
    }
}
