//! Every setting as plain data, and what each process is told of them.
//!
//! [`Settings`] is what the whole installation was told; [`WebConfig`] and [`KeeperConfig`] are what the
//! supervisor hands to its parts. Names, words and limits of the settings are in [`super::table`].

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use quayside_runtime::sizing::{self, Budget};
use quayside_runtime::spec::{Limits, data_dir};
use serde::{Deserialize, Serialize};

use super::address::{BasePath, Network};

/// Where a service listens that was told nothing: for this machine alone.
const LISTEN: ([u8; 4], u16) = ([127, 0, 0, 1], 8080);

/// Connections at once: a hundred learners with every terminal open. More wait in the kernel's queue.
pub const CONNECTIONS_MAX: u32 = 4096;
/// Connections of one address: a whole class may sit behind one, with a page of six connections and eight terminals
/// each; and three more such addresses find room beside it.
const CONNECTIONS_PER_ADDRESS: u32 = CONNECTIONS_MAX / 4;

/// Everything an installation can be told.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    pub data: PathBuf,
    /// `None`: the bundled ones.
    pub lessons: Option<PathBuf>,
    pub web: Web,
    pub sessions: SessionLimits,
    pub keep: KeepDays,
    /// The room that each sandbox gets.
    pub sandbox: Limits,
    pub cgroup: Cgroup,
    pub images: Images,
    pub log: Log,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            data: data_dir::DEFAULT.into(),
            lessons: None,
            web: Web::default(),
            sessions: SessionLimits::default(),
            keep: KeepDays::default(),
            sandbox: Limits::default(),
            cgroup: Cgroup::default(),
            images: Images::default(),
            log: Log::default(),
        }
    }
}

/// How the service is reached.
#[derive(Debug, Clone, PartialEq)]
pub struct Web {
    pub listen: SocketAddr,
    /// Names under which people reach this installation, besides IP addresses, `localhost` and the
    /// machine's own name.
    pub hosts: Vec<String>,
    pub base_path: BasePath,
    /// Peers whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// Of [`CONNECTIONS_MAX`], as many as one address may hold; 0: all. Proxies that are trusted may.
    pub connections_per_address: u32,
    /// An account's name or an id; `None`: an id without an account.
    pub user: Option<String>,
    pub tls_certificate: Option<PathBuf>,
    pub tls_key: Option<PathBuf>,
    pub metrics_listen: Option<SocketAddr>,
}

impl Default for Web {
    fn default() -> Self {
        Self {
            listen: LISTEN.into(),
            hosts: Vec::new(),
            base_path: BasePath::default(),
            trusted_proxies: Vec::new(),
            connections_per_address: CONNECTIONS_PER_ADDRESS,
            user: None,
            tls_certificate: None,
            tls_key: None,
            metrics_listen: None,
        }
    }
}

/// How many sessions there may be, and for how long one waits for somebody to look at it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct SessionLimits {
    /// Of everybody together.
    pub max: u32,
    /// Of one learner: a lesson in each of a few tabs, not a farm.
    pub per_learner_max: u32,
    /// Starts that one address may make at once. A whole class sits behind one address, and starts in the
    /// same minute, so this is a class and its teacher's second try.
    pub starts_burst: u32,
    /// Starts that an address gets back each minute after that.
    pub starts_per_minute: u32,
    /// A session that nobody looks at and types into for this long is ended, and its room given back.
    pub idle_max_seconds: u32,
    /// How long a machine has, from the moment that it is there.
    pub time_max_seconds: u32,
    /// What each Extend adds.
    pub extend_seconds: u32,
    /// How long a machine may have in all, with everything that was added: half a working day.
    pub extend_max_seconds: u32,
    /// Learners in line at once; who asks after them is told to come later.
    pub line_max: u32,
    /// How long a free place waits for a learner in line whom nobody sees, before it is passed on.
    pub offer_max_seconds: u32,
    /// How long a learner in line may be away before the place in line is given up.
    pub away_max_seconds: u32,
    /// Memory that is left to the host and to the service itself; 0: as much as [`sizing`] keeps back.
    pub memory_reserve_bytes: u64,
    /// What a session is counted with, which is less than it may take; 0: as much as [`sizing`] plans.
    pub memory_per_session_bytes: u64,
}

impl Default for SessionLimits {
    fn default() -> Self {
        Self {
            max: 100,
            per_learner_max: 4,
            starts_burst: 120,
            starts_per_minute: 60,
            idle_max_seconds: 30 * 60,
            time_max_seconds: 60 * 60,
            extend_seconds: 30 * 60,
            extend_max_seconds: 4 * 60 * 60,
            line_max: 200,
            offer_max_seconds: 60,
            away_max_seconds: 15 * 60,
            memory_reserve_bytes: 0,
            memory_per_session_bytes: 0,
        }
    }
}

impl SessionLimits {
    pub fn idle_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.idle_max_seconds))
    }

    pub fn time_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.time_max_seconds))
    }

    pub fn extend(&self) -> Duration {
        Duration::from_secs(u64::from(self.extend_seconds))
    }

    /// Never below the time that a machine has anyway.
    pub fn extend_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.extend_max_seconds)).max(self.time_max())
    }

    pub fn offer_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.offer_max_seconds))
    }

    pub fn away_max(&self) -> Duration {
        Duration::from_secs(u64::from(self.away_max_seconds))
    }

    /// How many sessions there may be at once, on a host with so much memory; `None`: it does not say. Never
    /// none: a host that is too small for one session should serve that one slowly rather than nobody.
    pub fn capacity(&self, memory_bytes: Option<u64>, sandbox: &Limits) -> u32 {
        let Some(memory_bytes) = memory_bytes else { return self.max };
        let kept = match self.memory_reserve_bytes {
            0 => sizing::memory_kept_bytes(memory_bytes),
            reserve => reserve,
        };
        let each = match self.memory_per_session_bytes {
            0 => Budget::of(sandbox).memory_bytes,
            share => share,
        };
        let room = sizing::fitting(memory_bytes, kept, each).max(1);
        self.max.min(u32::try_from(room).unwrap_or(u32::MAX))
    }
}

/// How long the store keeps what nobody asks for, in days.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct KeepDays {
    /// A learner with all progress, after the last visit: a class comes back after the holidays, and next year.
    pub learners: u32,
    /// A session that has ended; the last one of each lesson is kept with its learner. At least a week.
    pub sessions: u32,
}

impl Default for KeepDays {
    fn default() -> Self {
        Self { learners: 365, sessions: 30 }
    }
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Cgroup {
    /// Below which group sandboxes' groups are made; `None`: found out, see `runtime/src/cgroup/parent.rs`.
    pub parent: Option<PathBuf>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Images {
    /// Where Debian packages come from, if not from where the host's apt takes them.
    pub debian_mirror: Option<String>,
    /// Images to have ready, the first first.
    pub prepare: Vec<String>,
    /// `https://HOST` for Docker Hub, `REGISTRY=https://HOST` for another.
    pub registry_mirrors: Vec<String>,
    /// Through which registries are asked.
    pub proxy: Option<String>,
    /// Images beside ours, a line for each, as `image/catalogue/listed.rs` of the runtime reads it.
    pub catalogue: Vec<String>,
    /// How long a registry may take to answer before what stands in for its image is made; 0: it is not asked.
    pub real_within_seconds: u32,
}

impl Images {
    /// Of the operator's lines, which were looked at when they were read.
    pub fn names(&self) -> Vec<String> {
        self.catalogue.iter().filter_map(|line| Some(line.split_once('=')?.0.trim().to_owned())).collect()
    }
}

impl Default for Images {
    fn default() -> Self {
        Self {
            debian_mirror: None,
            registry_mirrors: Vec::new(),
            proxy: None,
            catalogue: Vec::new(),
            real_within_seconds: 0,
            prepare: ["host", "learner"].map(String::from).to_vec(),
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

/// How the log is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogFormat {
    /// For people, in colour on a terminal.
    #[default]
    Text,
    /// One JSON object a line, for a collector.
    Json,
}

/// What is written: this and everything more important.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

/// Everything the web process is told.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct WebConfig {
    /// Holds the store's one file. The only directory that the web process writes to.
    pub store_dir: PathBuf,
    /// Holds `keeper.sock`, and `shims/ID.sock` for each sandbox.
    pub sockets_dir: PathBuf,
    pub lessons_dir: PathBuf,
    /// Where the operator knows them, for what is said about them.
    pub lessons_from: PathBuf,
    pub base_path: BasePath,
    pub hosts: Vec<String>,
    pub trusted_proxies: Vec<Network>,
    pub connections_per_address: u32,
    pub sessions: SessionLimits,
    pub keep: KeepDays,
    pub sandbox: Limits,
    pub log: Log,
    /// The supervisor gives a certificate, and the listener speaks TLS.
    pub tls: bool,
    /// There is a listener for metrics.
    pub metrics: bool,
    /// Names of the operator's own catalogue, which lessons may ask for.
    pub machines: Vec<String>,
}

impl WebConfig {
    /// The directories are the supervisor's to set.
    pub fn new(settings: &Settings) -> Self {
        Self {
            store_dir: PathBuf::new(),
            sockets_dir: PathBuf::new(),
            lessons_dir: PathBuf::new(),
            lessons_from: PathBuf::new(),
            base_path: settings.web.base_path.clone(),
            hosts: settings.web.hosts.clone(),
            trusted_proxies: settings.web.trusted_proxies.clone(),
            connections_per_address: settings.web.connections_per_address,
            sessions: settings.sessions.clone(),
            keep: settings.keep.clone(),
            sandbox: settings.sandbox.clone(),
            log: settings.log,
            tls: settings.web.tls_certificate.is_some(),
            metrics: settings.web.metrics_listen.is_some(),
            machines: settings.images.names(),
        }
    }
}

/// Everything the keeper is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperConfig {
    pub data: PathBuf,
    pub sandboxes_max: usize,
    /// Who may speak to it, and to shims, besides root.
    pub web_uid: u32,
    pub cgroup_parent: Option<PathBuf>,
    pub images: Images,
    pub log: Log,
}

impl KeeperConfig {
    pub fn new(settings: &Settings, data: PathBuf, web_uid: u32) -> Self {
        Self {
            data,
            sandboxes_max: settings.sessions.max as usize,
            web_uid,
            cgroup_parent: settings.cgroup.parent.clone(),
            images: settings.images.clone(),
            log: settings.log,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sixteen_gibibytes_have_room_for_a_class_of_forty() {
        let limits = SessionLimits::default();
        let capacity = |limits: &SessionLimits, memory| limits.capacity(memory, &Limits::default());
        // As a kernel of such a machine shows it.
        assert_eq!(capacity(&limits, Some(16_041_632 * 1024)), 40);
        assert_eq!(capacity(&limits, None), limits.max, "a host that does not say it");
        assert_eq!(capacity(&limits, Some(1 << 50)), limits.max);
        assert_eq!(capacity(&limits, Some(1 << 20)), 1, "slowly rather than not at all");
        assert_eq!(capacity(&SessionLimits { max: 7, ..limits.clone() }, Some(16 << 30)), 7);
        let told = SessionLimits { memory_reserve_bytes: 1 << 30, memory_per_session_bytes: 3 << 30, ..limits };
        assert_eq!(capacity(&told, Some(16 << 30)), 5);
    }

    #[test]
    fn nobody_has_less_time_in_all_than_at_the_start() {
        let limits = SessionLimits { extend_max_seconds: 60, ..SessionLimits::default() };
        assert_eq!(limits.extend_max(), limits.time_max());
    }
}
