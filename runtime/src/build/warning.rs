//! What builds, and is still worth a word.
//!
//! The names are those of BuildKit's checks, so that a search for one finds Docker's page about it.

use std::fmt;

use serde::Serialize;

use super::source::Span;

/// Which check found something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub enum Check {
    /// An empty line within an instruction that goes on behind it.
    NoEmptyContinuation,
    /// `MAINTAINER` instead of a label.
    MaintainerDeprecated,
    /// `ENV name value` instead of `ENV name=value`.
    LegacyKeyValueFormat,
    /// A stage whose name has upper-case letters: names are compared without regard to case.
    StageNameCasing,
    /// `FROM image as name`, or the other way round.
    FromAsCasing,
    /// An instruction in another case than most of them.
    ConsistentInstructionCasing,
    /// Two stages with one name.
    DuplicateStageName,
    /// A stage that is called `scratch` or `context`.
    ReservedStageName,
    /// `CMD` or `ENTRYPOINT` as a shell's text: the shell gets the signals.
    JsonArgsRecommended,
    /// What begins as an array of JSON, and is not one, so a shell will get it.
    JsonNotParsed,
    /// A second `CMD`, `ENTRYPOINT` or `HEALTHCHECK` in a stage, which makes the first one useless.
    MultipleInstructionsDisallowed,
    /// An `ARG` or `ENV` whose name says that its value is secret: it can be read from the image.
    SecretsUsedInArgOrEnv,
    /// `EXPOSE 80/TCP`.
    ExposeProtoCasing,
    /// `EXPOSE 8080:80`: what a port is published as is said when a container is started.
    ExposeInvalidFormat,
    /// A variable that nothing has set.
    UndefinedVar,
    /// A variable in `FROM` that no `ARG` above the first `FROM` declares.
    UndefinedArgInFrom,
}

/// What a check found, and where.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Warning {
    pub check: Check,
    pub message: String,
    pub at: Span,
}

impl Warning {
    pub fn new(check: Check, at: Span, message: impl Into<String>) -> Self {
        Self { check, message: message.into(), at }
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {} ({:?})", self.at.start.line, self.message, self.check)
    }
}
