//! Why a step was not in the cache, in words.
//!
//! A key says only that something is different. What it is made of lies beside it, so the parts of this build are compared
//! with those of the nearest earlier one: the last step that did the same on the same files, or else the last one at the
//! same place of the same Dockerfile.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use super::key::{Aspect, Facet, FileFact, FileKind, Parts};

/// So many names are told, then only how many more there are: a line is to be read at a glance.
const NAMES_MAX: usize = 3;

/// As much as is told of an instruction that has changed.
const QUOTED_MAX_CHARS: usize = 60;

/// One reason. Several can hold at once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum Reason {
    /// No earlier build has been at this place.
    NeverBuilt,
    /// Nor is it a step of the images that were named for that.
    NotIn {
        images: Vec<String>,
    },
    /// `--no-cache`.
    Unwanted,
    /// The same was built, and what it made is gone.
    Pruned,
    /// A step before it was not in the cache.
    Follows(Before),
    Base {
        now: String,
        was: String,
    },
    Instruction {
        was: String,
    },
    /// Build arguments that changed, came or went.
    Arguments {
        names: Vec<String>,
    },
    Variables {
        names: Vec<String>,
    },
    /// Such as `the working directory`.
    Settings {
        names: Vec<String>,
    },
    Files {
        changes: FileChanges,
    },
    /// Something is different below this step, and it is not known what.
    Below,
}

/// An earlier step of the same build.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Before {
    /// As people see it, `4/7`.
    pub step: String,
    /// The number that its events have.
    pub part: usize,
}

/// What happened to the files that a step copies. Names are sorted; each list holds all of them.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FileChanges {
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub changed: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub added: Vec<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub removed: Vec<String>,
    /// Mode, owner or capabilities, with the content as it was.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mode: Vec<String>,
}

/// Compares a step that was missed with the nearest earlier one. `missed` is the step before it, if that one was not in
/// the cache either.
pub fn explain(now: &Parts, earlier: Option<&Parts>, missed: Option<&Before>) -> Vec<Reason> {
    let mut reasons = Vec::new();
    if let Some(before) = missed {
        reasons.push(Reason::Follows(before.clone()));
    }
    let Some(was) = earlier else {
        if reasons.is_empty() {
            reasons.push(Reason::NeverBuilt);
        }
        return reasons;
    };
    if now.instruction() != was.instruction() {
        reasons.push(Reason::Instruction { was: was.instruction().unwrap_or_default().to_owned() });
        // Everything else that is different belongs to another instruction.
        return reasons;
    }
    if missed.is_none() && now.parent != was.parent {
        reasons.push(match (&now.base, &was.base) {
            (Some(now), Some(was)) => Reason::Base { now: now.clone(), was: was.clone() },
            _ => Reason::Below,
        });
    }
    reasons.extend(facets(&now.facets, &was.facets));
    let changes = files(&now.files, &was.files);
    if changes != FileChanges::default() {
        reasons.push(Reason::Files { changes });
    }
    if reasons.is_empty() {
        // Its parts are the same, so it was built; only the result is missing.
        reasons.push(Reason::Pruned);
    }
    reasons
}

fn facets(now: &[Facet], was: &[Facet]) -> Vec<Reason> {
    let by_aspect = |facets: &[Facet]| -> BTreeMap<Aspect, String> {
        facets.iter().map(|facet| (facet.is.clone(), facet.value.clone())).collect()
    };
    let (now, was) = (by_aspect(now), by_aspect(was));
    let (mut arguments, mut variables, mut settings) = (Vec::new(), Vec::new(), Vec::new());
    let mut aspects: Vec<&Aspect> = now.keys().chain(was.keys()).collect();
    aspects.sort();
    aspects.dedup();
    for aspect in aspects.into_iter().filter(|aspect| now.get(*aspect) != was.get(*aspect)) {
        match aspect {
            Aspect::Instruction => {}
            Aspect::Argument(name) => arguments.push(name.clone()),
            Aspect::Variable(name) => variables.push(name.clone()),
            Aspect::Setting(name) | Aspect::Source(name) => settings.push(name.clone()),
        }
    }
    let mut reasons = Vec::new();
    if !arguments.is_empty() {
        reasons.push(Reason::Arguments { names: arguments });
    }
    if !variables.is_empty() {
        reasons.push(Reason::Variables { names: variables });
    }
    if !settings.is_empty() {
        reasons.push(Reason::Settings { names: settings });
    }
    reasons
}

fn files(now: &BTreeMap<String, FileFact>, was: &BTreeMap<String, FileFact>) -> FileChanges {
    let mut changes = FileChanges::default();
    for (name, fact) in now {
        match was.get(name) {
            None => changes.added.push(name.clone()),
            Some(old) if old == fact => {}
            Some(old) if old.kind == fact.kind && old.content == fact.content => changes.mode.push(name.clone()),
            Some(_) => changes.changed.push(name.clone()),
        }
    }
    changes.removed.extend(was.keys().filter(|name| !now.contains_key(*name)).cloned());
    // A folder that came or went with what is in it is told by that.
    without_folders(&mut changes.added, now);
    without_folders(&mut changes.removed, was);
    changes
}

fn without_folders(names: &mut Vec<String>, facts: &BTreeMap<String, FileFact>) {
    let all = names.clone();
    names.retain(|name| {
        let is_folder = facts.get(name).is_some_and(|fact| fact.kind == FileKind::Folder);
        let below = format!("{name}/");
        !(is_folder && all.iter().any(|other| other.starts_with(&below)))
    });
}

/// All reasons in one line: `cmd/client/main.go changed; build argument VERSION changed`.
pub fn line(reasons: &[Reason]) -> String {
    reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NeverBuilt => write!(f, "never built before"),
            Self::NotIn { images } => write!(f, "never built here, and no step of {}", listed(images)),
            Self::Unwanted => write!(f, "--no-cache"),
            Self::Pruned => write!(f, "built before, but its result is gone from the cache"),
            Self::Follows(before) => write!(f, "follows step {}", before.step),
            Self::Base { now, was } if now == was => write!(f, "the base image {now} changed"),
            Self::Base { now, was } => write!(f, "the base image is {now}, was {was}"),
            Self::Instruction { was } => write!(f, "the instruction changed: was `{}`", quoted(was)),
            Self::Arguments { names } => write!(f, "{} changed", counted("build argument", names)),
            Self::Variables { names } => write!(f, "{} changed", counted("variable", names)),
            Self::Settings { names } => write!(f, "{} changed", listed(names)),
            Self::Files { changes } => changes.fmt(f),
            Self::Below => write!(f, "the files below it changed"),
        }
    }
}

impl fmt::Display for FileChanges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut parts = Vec::new();
        match &self.changed[..] {
            [] => {}
            [one] => parts.push(format!("{} changed", printable(one))),
            many => parts.push(format!("{} files changed: {}", many.len(), listed(many))),
        }
        for (names, word) in [(&self.added, "new"), (&self.removed, "removed")] {
            match &names[..] {
                [] => {}
                [one] => parts.push(format!("{word} file {}", printable(one))),
                many => parts.push(format!("{} {word} files: {}", many.len(), listed(many))),
            }
        }
        match &self.mode[..] {
            [] => {}
            names => parts.push(format!("mode of {} changed", listed(names))),
        }
        f.write_str(&parts.join("; "))
    }
}

fn counted(what: &str, names: &[String]) -> String {
    let plural = if names.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", listed(names))
}

/// `a, b, c and 12 more`
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names.iter().take(NAMES_MAX).map(|name| printable(name)).collect();
    match names.len().saturating_sub(NAMES_MAX) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

/// Names are anybody's: what a terminal would obey is shown instead.
fn printable(name: &str) -> String {
    name.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn quoted(text: &str) -> String {
    let text = printable(text);
    match text.char_indices().nth(QUOTED_MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests;
