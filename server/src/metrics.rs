//! What the service counts: figures for whoever watches it, as OpenMetrics text (which Prometheus reads).
//!
//! Events are counted where they happen, through a [`Metrics`] that everybody may clone; how things stand is
//! asked once for each scrape and comes as a [`Snapshot`]. Names end with their unit, counters with `_total`.
//! Labels are words of ours only: nothing a learner chooses can make a new series.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

/// The media type of [`Metrics::render`].
pub const MEDIA_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Sessions whose first prompt is waited for at once: more than can be started in the time they are kept.
const WAITING_MAX: usize = 4096;
/// A page that has not opened its terminal after this was closed meanwhile.
const WAITING_FOR: Duration = Duration::from_secs(120);
/// From a launch's floor of a few milliseconds to a start that waited for an image.
const SECONDS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 0.75, 1.0, 1.5, 2.5, 5.0, 10.0, 30.0, 60.0];

/// What can come of a start, a launch and a check, and the kinds of WebSocket.
const STARTS: [&str; 6] = ["started", "full", "too-many", "too-often", "unplayable", "store"];
const LAUNCHES: [&str; 4] = ["launched", "full", "failed", "unanswered"];
const CHECKS: [&str; 4] = ["passed", "failed", "broken", "stopped"];
const SOCKETS: [&str; 2] = ["terminal", "live"];

/// One label with one of our words.
type Label = [(&'static str, &'static str); 1];

/// A handle; clones count into the same.
#[derive(Debug, Clone)]
pub struct Metrics(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    registry: Registry,
    starts: Family<Label, Counter>,
    to_prompt: Histogram,
    launches: Family<Label, Counter>,
    launch: Histogram,
    checks: Family<Label, Counter>,
    websockets: Family<Label, Gauge>,
    to_machines: Counter,
    to_learners: Counter,
    now: Now,
    /// Since when a session's first prompt is waited for. Guards the map, for the time of one look.
    waiting: Mutex<HashMap<u128, Instant>>,
}

/// What is set for each scrape.
#[derive(Debug, Default)]
struct Now {
    sessions: Family<Label, Gauge>,
    images: Family<Label, Gauge>,
    keeper: Gauge,
    store: Gauge,
    queue: Gauge,
    sandboxes: Gauge,
    memory: Gauge,
    open_files: Gauge,
}

/// How things stand.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// How many are in each state.
    pub sessions: Vec<(&'static str, usize)>,
    pub images: Vec<(&'static str, usize)>,
    pub keeper_reachable: bool,
    pub store_writable: bool,
    /// Learners who wait for a place.
    pub queue: usize,
    pub sandboxes: usize,
}

impl Metrics {
    pub fn new() -> Self {
        let mut registry = Registry::default();
        let now = Now::default();
        let build = Info::new([("version", env!("CARGO_PKG_VERSION"))]);
        registry.register("quayside_build", "The service's version", build);
        registry.register("quayside_sessions", "Sessions by state", now.sessions.clone());
        registry.register("quayside_images", "Images of the catalogue by state", now.images.clone());
        registry.register("quayside_keeper_up", "1 while the keeper can be reached", now.keeper.clone());
        registry.register("quayside_store_up", "1 while the store can be written", now.store.clone());
        registry.register("quayside_queue_length", "Learners who wait for a place", now.queue.clone());
        registry.register("quayside_sandboxes", "Sandboxes that run", now.sandboxes.clone());
        let memory = now.memory.clone();
        registry.register_with_unit("process_resident_memory", "Memory of the web process", Unit::Bytes, memory);
        registry.register("process_open_fds", "Open files of the web process", now.open_files.clone());

        let starts: Family<Label, Counter> = Family::default();
        registry.register("quayside_session_starts", "Sessions asked for, by what came of it", starts.clone());
        let to_prompt = Histogram::new(SECONDS);
        let help = "From the start of a session to the first output of its terminal";
        registry.register_with_unit("quayside_start_to_prompt", help, Unit::Seconds, to_prompt.clone());
        let launches: Family<Label, Counter> = Family::default();
        registry.register("quayside_launches", "Sandboxes asked of the keeper, by what came of it", launches.clone());
        let launch = Histogram::new(SECONDS);
        let help = "From asking the keeper for a sandbox to its answer";
        registry.register_with_unit("quayside_launch", help, Unit::Seconds, launch.clone());
        let checks: Family<Label, Counter> = Family::default();
        registry.register("quayside_checks", "Checks by outcome", checks.clone());
        let websockets: Family<Label, Gauge> = Family::default();
        registry.register("quayside_websockets", "Open WebSockets by kind", websockets.clone());
        let relayed: Family<Label, Counter> = Family::default();
        let help = "Bytes of terminals' frames, to machines and to learners";
        registry.register_with_unit("quayside_relayed", help, Unit::Bytes, relayed.clone());
        // A figure that is not there yet is none; one that is 0 can be watched from the first moment.
        STARTS.iter().for_each(|word| drop(starts.get_or_create_owned(&[("outcome", *word)])));
        LAUNCHES.iter().for_each(|word| drop(launches.get_or_create_owned(&[("outcome", *word)])));
        CHECKS.iter().for_each(|word| drop(checks.get_or_create_owned(&[("outcome", *word)])));
        SOCKETS.iter().for_each(|word| drop(websockets.get_or_create_owned(&[("kind", *word)])));
        Self(Arc::new(Inner {
            registry,
            starts,
            to_prompt,
            launches,
            launch,
            checks,
            websockets,
            to_machines: relayed.get_or_create_owned(&[("to", "machine")]),
            to_learners: relayed.get_or_create_owned(&[("to", "learner")]),
            now,
            waiting: Mutex::default(),
        }))
    }

    /// Somebody asked for a session.
    pub fn started(&self, outcome: &'static str) {
        self.0.starts.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A session begins; its first prompt is waited for.
    pub fn await_prompt(&self, session: u128) {
        let now = Instant::now();
        let mut waiting = self.waiting();
        if waiting.len() >= WAITING_MAX {
            waiting.retain(|_, since| now.duration_since(*since) < WAITING_FOR);
        }
        if waiting.len() < WAITING_MAX {
            waiting.insert(session, now);
        }
    }

    /// A terminal of the session shows something; only the first time counts.
    fn prompted(&self, session: u128) {
        let since = self.waiting().remove(&session);
        if let Some(waited) = since.map(|since| since.elapsed()).filter(|waited| *waited < WAITING_FOR) {
            self.0.to_prompt.observe(waited.as_secs_f64());
        }
    }

    /// The keeper was asked for a sandbox.
    pub fn launched(&self, outcome: &'static str, took: Duration) {
        self.0.launches.get_or_create(&[("outcome", outcome)]).inc();
        self.0.launch.observe(took.as_secs_f64());
    }

    pub fn checked(&self, outcome: &'static str) {
        self.0.checks.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counted as open until it is dropped.
    pub fn websocket(&self, kind: &'static str) -> OpenSocket {
        let gauge = self.0.websockets.get_or_create_owned(&[("kind", kind)]);
        gauge.inc();
        OpenSocket(gauge)
    }

    /// What one terminal's connection counts into.
    pub fn tally(&self, session: u128) -> Tally {
        Tally { metrics: self.clone(), session, silent: true }
    }

    /// Everything, for one scrape.
    pub fn render(&self, snapshot: &Snapshot) -> String {
        let now = &self.0.now;
        set_all(&now.sessions, "state", &snapshot.sessions);
        set_all(&now.images, "state", &snapshot.images);
        now.keeper.set(i64::from(snapshot.keeper_reachable));
        now.store.set(i64::from(snapshot.store_writable));
        set(&now.queue, snapshot.queue);
        set(&now.sandboxes, snapshot.sandboxes);
        set(&now.memory, resident_bytes().unwrap_or(0));
        set(&now.open_files, std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count));
        let mut text = String::new();
        encode(&mut text, &self.0.registry).expect("a String takes everything");
        text
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<u128, Instant>> {
        self.0.waiting.lock().expect("nothing that can panic happens under this lock")
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

fn set(gauge: &Gauge, value: usize) {
    gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
}

fn set_all(family: &Family<Label, Gauge>, label: &'static str, values: &[(&'static str, usize)]) {
    for (word, count) in values {
        set(&family.get_or_create(&[(label, word)]), *count);
    }
}

/// The second field of /proc/self/statm, in pages (proc(5)).
fn resident_bytes() -> Option<usize> {
    let pages: usize = std::fs::read_to_string("/proc/self/statm").ok()?.split(' ').nth(1)?.parse().ok()?;
    let page = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    pages.checked_mul(usize::try_from(page).ok()?)
}

/// An open WebSocket.
#[derive(Debug)]
pub struct OpenSocket(Gauge);

impl Drop for OpenSocket {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Counts the bytes of one terminal's connection.
#[derive(Debug)]
pub struct Tally {
    metrics: Metrics,
    session: u128,
    /// Nothing was shown yet.
    silent: bool,
}

impl Tally {
    pub fn counter_to_machine(&self) -> Counter {
        self.metrics.0.to_machines.clone()
    }

    /// `shows`: whether the frame has something to see.
    pub fn to_learner(&mut self, frame: &[u8], shows: bool) {
        self.metrics.0.to_learners.inc_by(frame.len() as u64);
        if self.silent && shows {
            self.silent = false;
            self.metrics.prompted(self.session);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The value of a sample, by its name and labels as they are written.
    fn value(text: &str, sample: &str) -> Option<f64> {
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.and_then(|value| value.parse().ok())
    }

    #[test]
    fn events_are_counted_under_their_names() {
        let metrics = Metrics::new();
        metrics.started("started");
        metrics.started("started");
        metrics.launched("launched", Duration::from_millis(20));
        metrics.checked("passed");
        let open = metrics.websocket("terminal");
        let session = 1;
        metrics.await_prompt(session);
        let mut tally = metrics.tally(session);
        tally.counter_to_machine().inc_by(5);
        tally.to_learner(b"hello", false);
        tally.to_learner(b"prompt", true);
        tally.to_learner(b"more", true);
        let text =
            metrics.render(&Snapshot { sessions: vec![("ready", 3)], keeper_reachable: true, ..Snapshot::default() });
        for (sample, is) in [
            ("quayside_session_starts_total{outcome=\"started\"}", 2.0),
            ("quayside_launches_total{outcome=\"launched\"}", 1.0),
            ("quayside_launch_seconds_count", 1.0),
            ("quayside_start_to_prompt_seconds_count", 1.0),
            ("quayside_checks_total{outcome=\"passed\"}", 1.0),
            ("quayside_websockets{kind=\"terminal\"}", 1.0),
            ("quayside_relayed_bytes_total{to=\"machine\"}", 5.0),
            ("quayside_relayed_bytes_total{to=\"learner\"}", 15.0),
            ("quayside_sessions{state=\"ready\"}", 3.0),
            ("quayside_keeper_up", 1.0),
            ("quayside_queue_length", 0.0),
        ] {
            assert_eq!(value(&text, sample), Some(is), "{sample} in\n{text}");
        }
        assert!(value(&text, "process_resident_memory_bytes").is_some_and(|bytes| bytes > 100_000.0), "{text}");
        drop(open);
        let text = metrics.render(&Snapshot::default());
        assert_eq!(value(&text, "quayside_websockets{kind=\"terminal\"}"), Some(0.0));
    }

    #[test]
    fn no_more_sessions_are_waited_for_than_the_limit() {
        let metrics = Metrics::new();
        (0..2 * WAITING_MAX).for_each(|session| metrics.await_prompt(session as u128));
        assert_eq!(metrics.waiting().len(), WAITING_MAX);
    }
}
