//! Why a container did not run to its process's own end.

use std::time::Duration;

use super::valid::Invalid;
use crate::launch::event::Event;

/// Nothing of the container is left, whichever of these it is.
#[derive(Debug, thiserror::Error)]
pub enum ContainerError {
    #[error(transparent)]
    Invalid(#[from] Invalid),
    #[error("cannot start container {name}: {step}")]
    Step { name: String, step: Box<FailedStep> },
    /// The program or its user is not in the image, or cannot be run: `code` is 127 or 126, as shells and Docker answer.
    #[error("cannot start container {name}: {why}")]
    NotRun { name: String, why: String, code: i32 },
    #[error("container {name} was ended before its process was done")]
    Cancelled { name: String },
    #[error("container {name} was ended after {} s, its limit", .after.as_secs_f32())]
    TimedOut { name: String, after: Duration },
    #[error("cannot run container {name}: {why}")]
    Other { name: String, why: String },
}

impl ContainerError {
    /// What Docker would answer as an exit code.
    pub fn code(&self) -> i32 {
        match self {
            Self::NotRun { code, .. } => *code,
            Self::Invalid(_) | Self::Step { .. } | Self::Other { .. } => 125,
            Self::Cancelled { .. } | Self::TimedOut { .. } => 137,
        }
    }
}

/// The step at which a start stopped.
#[derive(Debug, thiserror::Error)]
#[error("step {number} of {all}, {} {}: {why}", .event.call, .event.what)]
pub struct FailedStep {
    /// From 1.
    pub number: usize,
    pub all: usize,
    pub event: Event,
    pub why: String,
}
