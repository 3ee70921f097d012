//! The log: one line an event on standard error.
//!
//! Spans carry the ids (`session`, `sandbox`, `request`), so that one learner's trouble can be followed
//! through every part. Such spans are of level error, or a log without `info` would lose the ids of what it has.
//! What a learner types or sees is never logged, nor is a cookie or a query string.
//!
//! No single place of the source can flood the log: past so many lines in a while the rest is counted, and the
//! count is told with the next line of that place.

use std::collections::HashMap;
use std::fmt;
use std::io::IsTerminal;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt as lines};

use crate::config::{Log, LogFormat, LogLevel};

/// Lines of one place are counted over this time.
const WINDOW: Duration = Duration::from_secs(10);
/// Lines of one place in that time: a class that starts in one minute stays far below.
const LINES_MAX: u32 = 300;
/// The same for what is only written to find a mistake: every request of that class has a few.
const DETAILS_MAX: u32 = 10_000;

/// Starts logging for this process. A second call changes nothing, so tests may all make it.
pub fn start(log: Log) {
    let level = level(log.level);
    let ours = Targets::new()
        .with_target("quayside", level)
        .with_target("quayside_runtime", level)
        // Statements are ours and known; at `info` sqlx would log each slow one with its text.
        .with_target("sqlx", Level::ERROR)
        .with_default(Level::WARN);
    let layer = lines::layer().with_writer(std::io::stderr);
    let layer = match log.format {
        LogFormat::Text => {
            layer.with_ansi(std::io::stderr().is_terminal()).map_event_format(|it| Bounded::new(it, log.format)).boxed()
        }
        LogFormat::Json => layer.json().flatten_event(true).map_event_format(|it| Bounded::new(it, log.format)).boxed(),
    };
    // An error means that somebody else already listens, which is what was asked for.
    let _ = tracing_subscriber::registry().with(layer.with_filter(ours)).try_init();
}

fn level(level: LogLevel) -> Level {
    match level {
        LogLevel::Error => Level::ERROR,
        LogLevel::Warn => Level::WARN,
        LogLevel::Info => Level::INFO,
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Trace => Level::TRACE,
    }
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

/// Writes events as `inner` does, but not more of one place than there may be.
struct Bounded<F> {
    inner: F,
    format: LogFormat,
    /// Guards the counts, for the time of one look.
    places: Mutex<HashMap<Identifier, Place>>,
}

/// How much one place of the source has written lately.
#[derive(Debug, Clone, Copy)]
struct Place {
    since: Instant,
    lines: u32,
    left_out: u64,
}

impl<F> Bounded<F> {
    fn new(inner: F, format: LogFormat) -> Self {
        Self { inner, format, places: Mutex::default() }
    }

    /// Whether there is room for a line of `of`, and how many had none before it.
    fn admit(&self, of: &Metadata, now: Instant) -> Option<u64> {
        let max = if *of.level() <= Level::INFO { LINES_MAX } else { DETAILS_MAX };
        let mut places = self.places.lock().expect("arithmetic does not panic");
        let place = places.entry(of.callsite()).or_insert(Place { since: now, lines: 0, left_out: 0 });
        place.admit(max, now)
    }

    fn tell_left_out(&self, left_out: u64, of: &Metadata, writer: &mut Writer) -> fmt::Result {
        let (file, line) = (of.file().unwrap_or("?"), of.line().unwrap_or(0));
        match self.format {
            LogFormat::Text => writeln!(writer, "{left_out} lines like the next one were left out ({file}:{line})"),
            LogFormat::Json => {
                let message = "lines like the next one were left out";
                let object = serde_json::json!({ "level": "WARN", "message": message, "left_out": left_out, "of": format!("{file}:{line}") });
                writeln!(writer, "{object}")
            }
        }
    }
}

impl Place {
    fn admit(&mut self, max: u32, now: Instant) -> Option<u64> {
        if now.saturating_duration_since(self.since) >= WINDOW {
            (self.since, self.lines) = (now, 0);
        }
        if self.lines >= max {
            self.left_out += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.left_out))
    }
}

impl<S, N, F> FormatEvent<S, N> for Bounded<F>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
    F: FormatEvent<S, N>,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let Some(left_out) = self.admit(event.metadata(), Instant::now()) else { return Ok(()) };
        if left_out > 0 {
            self.tell_left_out(left_out, event.metadata(), &mut writer)?;
        }
        self.inner.format_event(context, writer, event)
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_place_writes_so_much_in_a_while_and_then_says_how_much_it_did_not() {
        let begun = Instant::now();
        let mut place = Place { since: begun, lines: 0, left_out: 0 };
        let admitted = (0..50).filter(|_| place.admit(10, begun).is_some()).count();
        assert_eq!(admitted, 10);
        assert_eq!(place.admit(10, begun + WINDOW / 2), None);
        assert_eq!(place.admit(10, begun + WINDOW), Some(41));
        assert_eq!(place.admit(10, begun + WINDOW), Some(0), "told once");
    }

    /// Everything that was written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("not poisoned").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn written(log: impl FnOnce(), format: LogFormat) -> String {
        let page = Page::default();
        let writer = page.clone();
        let layer = lines::layer().with_writer(move || writer.clone());
        let layer: Box<dyn Layer<_> + Send + Sync> = match format {
            LogFormat::Text => layer.with_ansi(false).map_event_format(|it| Bounded::new(it, format)).boxed(),
            LogFormat::Json => layer.json().flatten_event(true).map_event_format(|it| Bounded::new(it, format)).boxed(),
        };
        tracing::subscriber::with_default(tracing_subscriber::registry().with(layer), log);
        let bytes = page.0.lock().expect("not poisoned").clone();
        String::from_utf8(bytes).expect("text")
    }

    #[test]
    fn every_line_has_the_ids_of_what_it_is_about() {
        let log = || {
            let _request = tracing::error_span!("request", request = "r1").entered();
            let _session = tracing::error_span!("session", session = "s1").entered();
            tracing::warn!(sandbox = "b1", "something");
        };
        let text = written(log, LogFormat::Text);
        assert!(["request=\"r1\"", "session=\"s1\"", "sandbox=\"b1\""].iter().all(|id| text.contains(id)), "{text}");
        let line: serde_json::Value = serde_json::from_str(&written(log, LogFormat::Json)).expect("JSON");
        assert_eq!((&line["message"], &line["sandbox"]), (&"something".into(), &"b1".into()), "{line}");
        assert_eq!(
            (&line["spans"][0]["request"], &line["spans"][1]["session"]),
            (&"r1".into(), &"s1".into()),
            "{line}"
        );
    }

    #[test]
    fn a_flood_is_cut_off_and_every_line_of_json_stays_json() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let text = written(|| (0..10_000).for_each(|n| tracing::warn!(n, "flood")), format);
            assert_eq!(text.lines().count(), LINES_MAX as usize);
            if format == LogFormat::Json {
                assert!(text.lines().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{text}");
            }
        }
    }
}
