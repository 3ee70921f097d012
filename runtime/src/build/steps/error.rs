//! Why a step made no layer.

use std::io;
use std::path::PathBuf;

use super::request::{Origin, Verb};
use crate::build::ignore::IgnoreError;
use crate::build::pattern::PatternError;
use crate::container::ContainerError;
use crate::image::ImageError;
use crate::image::archive::pack::PackError;

/// Nothing of the step is left, whichever of these it is.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("cannot copy {path:?}: there is no such file in {place}{}", .hint)]
    Missing { path: String, place: Place, hint: Hint },
    #[error("cannot copy {path:?}: it is a pipe, a socket or a device, and {place} {why}")]
    Special { path: String, place: Place, why: &'static str },
    #[error("cannot copy {path:?} out of {place}")]
    Read { path: String, place: Place, source: io::Error },
    #[error("cannot copy {path:?} to {to}: {why}")]
    Unfit { path: String, to: String, why: String },
    #[error("cannot write {to}")]
    Write { to: String, source: io::Error },
    #[error("{verb} has several sources and one target that is no folder; end {target:?} with /")]
    NoFolder { verb: Verb, target: String },
    #[error("{path:?} is no pattern; a backslash makes a character of it stand for itself")]
    Pattern { path: String, source: PatternError },
    #[error("--exclude cannot be read")]
    Exclude(#[from] IgnoreError),
    #[error("--chmod={0} is no mode; write it in octal (0755) or as chmod(1) takes it (u=rwX,go=rX)")]
    Mode(String),
    #[error("--chown={0} cannot be looked up")]
    Owner(String, #[source] io::Error),
    #[error(
        "--chown={0} has names, which the image below decides on, and with --link a layer does not depend on it; \
         give numbers"
    )]
    LinkedOwner(String),
    #[error("{path:?} is more than {max} folders deep")]
    Depth { path: String, max: usize },
    #[error("{0}")]
    Refused(String),
    #[error("cannot fetch {url}: {why}")]
    Fetch { url: String, why: String },
    #[error("cannot unpack {path:?}")]
    Unpack { path: String, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("cannot make the working directory {path}")]
    Workdir { path: String, source: io::Error },
    #[error("{0}")]
    Mount(String),
    #[error("cannot prepare the cache {id:?}")]
    Cache { id: String, source: io::Error },
    #[error("RUN {command} failed with {exit}{}", .last)]
    Failed { command: String, exit: ExitWords, code: i32, last: LastLines },
    #[error(transparent)]
    Container(#[from] ContainerError),
    #[error("cannot put the layers together at {}", .at.display())]
    Overlay { at: PathBuf, source: io::Error },
    #[error("cannot make a layer of what the step wrote")]
    Pack(#[from] PackError),
    #[error(transparent)]
    Store(#[from] ImageError),
}

/// Where files come from, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place(pub Origin);

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Origin::Context => f.write_str("the build context"),
            Origin::Scratch => f.write_str("scratch, which is empty"),
            Origin::Stage(number) => write!(f, "stage {number}"),
            Origin::Image(name) => write!(f, "the image {name}"),
        }
    }
}

/// What somebody may have meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Hint {
    /// Which line leaves the file out (`.dockerignore line 3`).
    pub ignored_by: Option<String>,
    /// What a link says that has this name and leads to nothing.
    pub link_to: Option<String>,
    pub near: Vec<String>,
}

impl std::fmt::Display for Hint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let (None, Some(to)) = (&self.ignored_by, &self.link_to) {
            return write!(
                f,
                " (the name is a link to {to:?}, which leads to nothing there; a link itself is copied with the folder \
                 that it is in)"
            );
        }
        match (&self.ignored_by, &self.near[..]) {
            (Some(by), _) => write!(f, " (it is excluded by {by})"),
            (None, []) => Ok(()),
            (None, [only]) => write!(f, "; did you mean {only}?"),
            (None, [first, others @ ..]) => write!(f, "; did you mean {} or {first}?", others.join(", ")),
        }
    }
}

/// How a program ended, as people say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExitWords(pub crate::container::Exit);

impl std::fmt::Display for ExitWords {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            crate::container::Exit::Code(code) => write!(f, "exit code {code}"),
            crate::container::Exit::Signal(9) => {
                write!(f, "signal 9 (exit code 137): it was killed, as by lack of memory")
            }
            crate::container::Exit::Signal(signal) => write!(f, "signal {signal} (exit code {})", 128 + signal),
        }
    }
}

/// What a program said last.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LastLines(pub Vec<String>);

impl std::fmt::Display for LastLines {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if !self.0.is_empty() {
            f.write_str("; its last lines were:")?;
        }
        self.0.iter().try_for_each(|line| write!(f, "\n  {line}"))
    }
}
