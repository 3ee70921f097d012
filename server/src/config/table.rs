//! The table of every setting: one line each.
//!
//! A setting's name is where it stands in a file (`web.listen` is `listen` in the section `web`), and its
//! variable is the name again: `QUAYSIDE_WEB_LISTEN`.

use quayside_runtime::launch::lease::SLOTS_MAX;
use quayside_runtime::launch::plan::{DISK_MAX_BYTES, DISK_MIN_BYTES, FILES_MIN, MEMORY_MIN_BYTES, PIDS_MIN};

use super::settings::{CONNECTIONS_MAX, Settings};
use super::slot::Slot;

/// A day: who waits longer has forgotten it.
const DAY: u32 = 24 * 60 * 60;
/// A course of a week, at the longest.
const WEEK: u32 = 7 * DAY;
/// Each stands in the store and is told how it goes.
const LINE_MAX: u32 = 10_000;
/// In days: longer than anybody asks.
const YEARS: u32 = 3650;
/// More than any machine has.
const MEMORY_MAX_BYTES: u64 = 1 << 42;
const PIDS_MAX: u64 = 1 << 22;
const FILES_MAX: u64 = 1 << 20;
const PROCESSORS_MAX_MILLIS: u64 = 1024 * 1000;
/// In seconds: who waits longer has internet, and pulls.
const REAL_WITHIN_MAX: u32 = 60;
/// cgroup v2's cpu.weight goes from 1 to 10,000.
const WEIGHT_MAX: u64 = 10_000;
/// Starts of an address: more than sessions there can be says nothing.
const STARTS_MAX: u32 = 100_000;

/// Every variable of ours begins so.
pub const PREFIX: &str = "QUAYSIDE_";

/// One setting.
pub struct Row {
    pub name: &'static str,
    /// For people; begins small, as it stands behind the name.
    pub about: &'static str,
    pub slot: for<'a> fn(&'a mut Settings) -> Slot<'a>,
}

const fn row(name: &'static str, about: &'static str, slot: for<'a> fn(&'a mut Settings) -> Slot<'a>) -> Row {
    Row { name, about, slot }
}

#[rustfmt::skip]
pub const ROWS: &[Row] = &[
    row("data", "directory for images, sandboxes and the store", |it| Slot::Path(&mut it.data)),
    row("lessons", "directory of courses, or one scenario repository; the bundled lessons if not set", |it| Slot::SomePath(&mut it.lessons)),

    row("web.listen", "address to listen on", |it| Slot::Address(&mut it.web.listen)),
    row("web.hosts", "names under which learners reach the service, besides its addresses, `localhost` and the machine's own name", |it| Slot::Names(&mut it.web.hosts)),
    row("web.base-path", "the part of every URL before the lessons'", |it| Slot::BasePath(&mut it.web.base_path)),
    row("web.trusted-proxies", "addresses and networks of proxies whose `X-Forwarded-` headers (Proto, Host, For) are believed", |it| Slot::Networks(&mut it.web.trusted_proxies)),
    row("web.connections-per-address", "connections at once of one address, which may be a whole class's; 0 for no such limit, which trusted proxies do not have", |it| Slot::Count(&mut it.web.connections_per_address, 0..=CONNECTIONS_MAX)),
    row("web.user", "account, or number, that the web process runs as; an id without an account if not set", |it| Slot::SomeText(&mut it.web.user)),
    row("web.tls-certificate", "file (PEM) with the certificate and those that signed it; with it the service speaks https", |it| Slot::SomePath(&mut it.web.tls_certificate)),
    row("web.tls-key", "file (PEM) with the private key of the certificate; only root has to be able to read it", |it| Slot::SomePath(&mut it.web.tls_key)),
    row("web.metrics-listen", "address at which metrics are served; nowhere if not set", |it| Slot::SomeAddress(&mut it.web.metrics_listen)),

    row("sessions.max", "sessions at once, of everybody", |it| Slot::Count(&mut it.sessions.max, 1..=SLOTS_MAX)),
    row("sessions.per-learner-max", "sessions at once of one learner", |it| Slot::Count(&mut it.sessions.per_learner_max, 1..=SLOTS_MAX)),
    row("sessions.starts-burst", "starts that one address may make at once", |it| Slot::Count(&mut it.sessions.starts_burst, 1..=STARTS_MAX)),
    row("sessions.starts-per-minute", "starts that an address gets back each minute", |it| Slot::Count(&mut it.sessions.starts_per_minute, 1..=STARTS_MAX)),
    row("sessions.idle-max", "a session that nobody looks at and types into for this long is ended", |it| Slot::Seconds(&mut it.sessions.idle_max_seconds, 1..=DAY)),
    row("sessions.time-max", "how long a machine has, from its start", |it| Slot::Seconds(&mut it.sessions.time_max_seconds, 1..=WEEK)),
    row("sessions.extend", "what each Extend adds", |it| Slot::Seconds(&mut it.sessions.extend_seconds, 1..=WEEK)),
    row("sessions.extend-max", "how long a machine may have in all, with everything that was added", |it| Slot::Seconds(&mut it.sessions.extend_max_seconds, 1..=WEEK)),
    row("sessions.line-max", "learners in line for a place", |it| Slot::Count(&mut it.sessions.line_max, 0..=LINE_MAX)),
    row("sessions.offer-max", "how long a free place waits for a learner in line whom nobody sees", |it| Slot::Seconds(&mut it.sessions.offer_max_seconds, 1..=DAY)),
    row("sessions.away-max", "how long a learner in line may be away before the place in line is given up", |it| Slot::Seconds(&mut it.sessions.away_max_seconds, 1..=DAY)),
    row("sessions.memory-reserve", "memory that is left to the host and to the service; 0 for an eighth, at least 512 MiB", |it| Slot::Bytes(&mut it.sessions.memory_reserve_bytes, 0..=MEMORY_MAX_BYTES)),
    row("sessions.memory-per-session", "memory that each session is counted with; 0 for a third of its limit", |it| Slot::Bytes(&mut it.sessions.memory_per_session_bytes, 0..=MEMORY_MAX_BYTES)),

    row("keep.learners", "how long a learner is kept with all progress, after the last visit", |it| Slot::Days(&mut it.keep.learners, 1..=YEARS)),
    row("keep.sessions", "how long a session is kept that has ended; the last one of each lesson stays with its learner", |it| Slot::Days(&mut it.keep.sessions, 7..=YEARS)),

    row("sandbox.memory", "memory of one sandbox", |it| Slot::Bytes(&mut it.sandbox.memory_max_bytes, MEMORY_MIN_BYTES..=MEMORY_MAX_BYTES)),
    row("sandbox.pids", "processes and threads of one sandbox", |it| Slot::Number(&mut it.sandbox.pids_max, PIDS_MIN..=PIDS_MAX)),
    row("sandbox.cpu", "processors that one sandbox may use at once; fractions are allowed", |it| Slot::Processors(&mut it.sandbox.cpu_max_millis, 10..=PROCESSORS_MAX_MILLIS)),
    row("sandbox.cpu-weight", "share of a sandbox when the processors are busy, beside the others' 100", |it| Slot::Number(&mut it.sandbox.cpu_weight, 1..=WEIGHT_MAX)),
    row("sandbox.disk", "size of a sandbox's disk; its file grows as it is filled", |it| Slot::Bytes(&mut it.sandbox.disk_max_bytes, DISK_MIN_BYTES..=DISK_MAX_BYTES)),
    row("sandbox.files", "open files of one process in a sandbox", |it| Slot::Number(&mut it.sandbox.files_max, FILES_MIN..=FILES_MAX)),

    row("cgroup.parent", "control group below which sandboxes' groups are made, from the hierarchy's root; found out if not set", |it| Slot::SomePath(&mut it.cgroup.parent)),

    row("images.debian-mirror", "where Debian packages come from; from where the host's apt takes them if not set", |it| Slot::SomeText(&mut it.images.debian_mirror)),
    row("images.registry-mirrors", "servers that are asked before a registry: `https://HOST` for Docker Hub's images, `REGISTRY=https://HOST` for another's", |it| Slot::Names(&mut it.images.registry_mirrors)),
    row("images.proxy", "proxy for registries, as `http://HOST:PORT`; none if not set, whatever the environment says", |it| Slot::SomeText(&mut it.images.proxy)),
    row("images.catalogue", "images beside those of the catalogue: `NAME=registry:REFERENCE`, `NAME=archive:/PATH`, `NAME=learner:PACKAGES` or `NAME=debian:PACKAGES`; a reference or path may end in `@sha256:DIGEST`", |it| Slot::Catalogue(&mut it.images.catalogue)),
    row("images.real-within", "how long a registry may take to answer before what stands in for its image is made; 0 s: it is not asked", |it| Slot::Seconds(&mut it.images.real_within_seconds, 0..=REAL_WITHIN_MAX)),
    row("images.prepare", "images to have ready, the first first", |it| Slot::Names(&mut it.images.prepare)),

    row("log.format", "`text` for people, or `json` for a collector: one object a line", |it| Slot::LogFormat(&mut it.log.format)),
    row("log.level", "`error`, `warn`, `info`, `debug` or `trace`", |it| Slot::LogLevel(&mut it.log.level)),
];

/// Where `name` stands in [`ROWS`].
pub fn position(name: &str) -> Option<usize> {
    ROWS.iter().position(|row| row.name == name)
}

/// The name that somebody who wrote `name` may have meant.
pub fn nearest(name: &str) -> Option<&'static str> {
    /// More letters apart, and it is another word.
    const APART_MAX: usize = 3;
    let last = |name: &'static str| name.rsplit_once('.').map_or(name, |(_, last)| last);
    // In the wrong section, or in none.
    let elsewhere = ROWS.iter().find(|row| last(row.name) == name.rsplit_once('.').map_or(name, |(_, last)| last));
    let apart = |row: &&Row| strsim::damerau_levenshtein(row.name, name);
    let near = ROWS.iter().min_by_key(apart).filter(|row| apart(row) <= APART_MAX);
    near.or(elsewhere).map(|row| row.name)
}

/// The variable that sets `name`.
pub fn variable(name: &str) -> String {
    let upper = |letter: char| if letter.is_ascii_alphanumeric() { letter.to_ascii_uppercase() } else { '_' };
    PREFIX.chars().chain(name.chars().map(upper)).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_and_variables_are_each_there_once_and_written_alike() {
        let variables: BTreeSet<String> = ROWS.iter().map(|row| variable(row.name)).collect();
        assert_eq!(variables.len(), ROWS.len());
        assert!(!variables.contains(super::super::environment::FILE));
        for row in ROWS {
            let kebab = |part: &str| part.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
            assert!(row.name.split('.').count() <= 2 && row.name.split('.').all(kebab), "{}", row.name);
            assert!(!row.about.ends_with('.') && row.about.starts_with(|c: char| !c.is_uppercase()), "{}", row.about);
        }
        assert_eq!(variable("web.tls-key"), "QUAYSIDE_WEB_TLS_KEY");
    }

    #[test]
    fn every_row_has_a_place_of_its_own_whose_default_reads_back() {
        let mut settings = Settings::default();
        let mut places = BTreeSet::new();
        for row in ROWS {
            let mut slot = (row.slot)(&mut settings);
            let shown = slot.show();
            if let Some(shown) = &shown {
                let value = toml::Table::from_iter([("it".to_owned(), shown.parse().expect("a TOML value"))]);
                let given = super::super::file::read(&value.to_string(), std::path::Path::new("x")).expect("reads");
                slot.set(&given[0].raw).unwrap_or_else(|why| panic!("{} does not read back: {why}", row.name));
                assert_eq!(slot.show().as_ref(), Some(shown), "{}", row.name);
            }
            places.insert(slot.address());
        }
        assert_eq!(settings, Settings::default());
        assert_eq!(places.len(), ROWS.len(), "two rows set the same thing");
    }

    #[test]
    fn a_typo_finds_the_name_that_was_meant() {
        assert_eq!(nearest("sessions.idel-max"), Some("sessions.idle-max"));
        assert_eq!(nearest("web.listne"), Some("web.listen"));
        assert_eq!(nearest("listen"), Some("web.listen"), "without its section");
        assert_eq!(nearest("sandbox.idle-max"), Some("sessions.idle-max"), "in another's section");
        assert_eq!(nearest("colour"), None);
    }
}
