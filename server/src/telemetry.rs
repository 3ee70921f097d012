//! The log: one line an event on standard error.
//!
//! Spans carry the ids (`session`, `sandbox`, `request`), so that one learner's trouble can be followed
//! through every part. What a learner types or sees is never logged, nor is a cookie or a query string.

use std::io::IsTerminal;

use tracing::Level;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

/// Starts logging for this process. A second call changes nothing, so tests may all make it.
pub fn start(format: LogFormat, level: Level) {
    let ours = Targets::new()
        .with_target("quayside", level)
        .with_target("quayside_runtime", level)
        // Statements are ours and known; at `info` sqlx would log each slow one with its text.
        .with_target("sqlx", Level::ERROR)
        .with_default(Level::WARN);
    let lines = match format {
        LogFormat::Text => fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal()).boxed(),
        LogFormat::Json => fmt::layer().json().with_writer(std::io::stderr).boxed(),
    };
    // An error means that somebody else already listens, which is what was asked for.
    let _ = tracing_subscriber::registry().with(lines.with_filter(ours)).try_init();
}

/// An error with everything that caused it, in one line.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line.push_str(": ");
        line.push_str(&error.to_string());
        cause = error.source();
    }
    line
}
