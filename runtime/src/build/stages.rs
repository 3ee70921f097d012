//! Stages: what a Dockerfile builds, what each starts from, and which of them a target needs.
//!
//! `parse` makes a [`Dockerfile`]; with the arguments and the platform of one build, [`Stages::resolve`] makes
//! [`Stages`], which is what the planner takes.

use serde::Serialize;

use super::instruction::{From, Step};
use super::source::{Source, Word};
use super::warning::Warning;

/// A Dockerfile that has been read; the same for every build of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What `# syntax=` says. We have one front end, so it is only shown.
    pub syntax: Option<Word>,
    /// What `# check=` says; so too.
    pub check: Option<Word>,
    /// `\` or a backquote.
    pub escape: char,
    /// `ARG` above the first `FROM`.
    pub globals: Vec<Step>,
    /// In their order; never empty.
    pub stages: Vec<Stage>,
    /// In the order of their lines.
    pub warnings: Vec<Warning>,
    pub source: Source,
}

/// A `FROM` and what follows it up to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// As written; `step` holds the same with its place.
    pub from: From,
    pub step: Step,
    pub steps: Vec<Step>,
}

/// A Dockerfile as one build sees it: bases expanded, target chosen, order known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// All of them; a stage's number is its place here.
    pub list: Vec<Resolved>,
    pub target: usize,
    /// The stages that the target needs, the target included, each behind all those that it needs itself.
    pub order: Vec<usize>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// In lower case.
    pub name: Option<String>,
    pub base: Base,
    /// What `--platform` says, expanded.
    pub platform: Option<String>,
    pub from: Step,
    pub steps: Vec<Step>,
    /// Numbers of the stages that it starts from, copies from or mounts; ascending, each once.
    pub needs: Vec<usize>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Base {
    /// Nothing.
    Scratch,
    Stage(usize),
    /// As written, variables expanded; not looked up.
    Image(String),
}

/// What `COPY --from` or a mount's `from` means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Origin {
    Context,
    /// An empty tree: a mount with `from=scratch`.
    Scratch,
    Stage(usize),
    Image(String),
}
