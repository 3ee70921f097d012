//! What an installation is told, as plain data, already merged (flag, then environment, then file, then default).
//!
//! Only this module may know where a setting comes from: below it nothing reads the environment.
//! [`WebConfig`] is what the web process needs; it is serialisable because the supervisor hands it over.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use quayside_runtime::sizing::{self, Budget};
use quayside_runtime::spec::Limits;
use serde::{Deserialize, Serialize};

/// Everything the web process is told.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WebConfig {
    /// Holds the store's one file. The only directory that the web process writes to.
    pub store_dir: PathBuf,
    /// Holds `keeper.sock`, and `shims/ID.sock` for each sandbox.
    pub sockets_dir: PathBuf,
    pub lessons_dir: PathBuf,
    #[serde(default)]
    pub base_path: BasePath,
    /// Names under which people reach this installation, besides IP addresses, `localhost` and the
    /// machine's own name.
    #[serde(default)]
    pub hosts: Vec<String>,
    /// Peers whose `X-Forwarded-*` headers are believed.
    #[serde(default)]
    pub trusted_proxies: Vec<Network>,
    #[serde(default)]
    pub sessions: SessionLimits,
    #[serde(default)]
    pub keep: KeepDays,
    /// The room each sandbox gets.
    #[serde(default)]
    pub sandbox: Limits,
}

impl WebConfig {
    /// Every default; the directories are the supervisor's to set.
    pub fn new() -> Self {
        Self {
            store_dir: PathBuf::new(),
            sockets_dir: PathBuf::new(),
            lessons_dir: PathBuf::new(),
            base_path: BasePath::default(),
            hosts: Vec::new(),
            trusted_proxies: Vec::new(),
            sessions: SessionLimits::default(),
            keep: KeepDays::default(),
            sandbox: Limits::default(),
        }
    }
}

impl Default for WebConfig {
    fn default() -> Self {
        Self::new()
    }
}

/// Everything the keeper is told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeeperConfig {
    pub data: PathBuf,
    pub sandboxes_max: usize,
    /// Where Debian packages come from, if not from where the host's apt takes them.
    #[serde(default)]
    pub debian_mirror: Option<String>,
    /// Images to have ready, the first first.
    pub prepare: Vec<String>,
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

/// The part of every URL before the routes: begins and ends with a slash.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct BasePath(String);

impl BasePath {
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The path that a router nests below: empty at the root, else without the closing slash.
    pub fn prefix(&self) -> &str {
        &self.0[..self.0.len() - 1]
    }
}

impl Default for BasePath {
    fn default() -> Self {
        Self("/".into())
    }
}

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    #[error("web.base-path is {0:?}, and must consist of segments of letters, digits, '-', '_' and '.', as in /learn")]
    BasePath(String),
    #[error("web.trusted-proxies has {0:?}, which is neither an address (10.0.0.7) nor a network (10.0.0.0/8)")]
    Network(String),
}

impl FromStr for BasePath {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let inner = text.trim_matches('/');
        if inner.is_empty() {
            return Ok(Self::default());
        }
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let plain =
            |segment: &str| !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(allowed);
        if inner.split('/').all(plain) {
            Ok(Self(format!("/{inner}/")))
        } else {
            Err(ConfigError::BasePath(text.into()))
        }
    }
}

impl TryFrom<String> for BasePath {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<BasePath> for String {
    fn from(path: BasePath) -> Self {
        path.0
    }
}

/// An address, or all that share its first bits: `10.0.0.0/8`, `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    bits: u8,
}

impl Network {
    pub fn contains(&self, address: IpAddr) -> bool {
        let (ours, theirs, width) = match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(theirs)) => (u128::from(ours.to_bits()), u128::from(theirs.to_bits()), 32),
            (IpAddr::V6(ours), IpAddr::V6(theirs)) => (ours.to_bits(), theirs.to_bits(), 128),
            _ => return false,
        };
        let rest = u32::from(width - self.bits);
        (ours ^ theirs).checked_shr(rest).unwrap_or(0) == 0
    }
}

impl FromStr for Network {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let wrong = || ConfigError::Network(text.into());
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, Some(bits)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let width = if address.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.parse().ok().filter(|&bits| bits <= width).ok_or_else(wrong)?,
            None => width,
        };
        Ok(Self { address, bits })
    }
}

impl fmt::Display for Network {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}/{}", self.address, self.bits)
    }
}

impl TryFrom<String> for Network {
    type Error = ConfigError;

    fn try_from(text: String) -> Result<Self, ConfigError> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
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

    #[test]
    fn a_base_path_begins_and_ends_with_a_slash_however_it_is_written() {
        for (written, path, prefix) in
            [("", "/", ""), ("/", "/", ""), ("learn", "/learn/", "/learn"), ("/a/b/", "/a/b/", "/a/b")]
        {
            let base: BasePath = written.parse().expect("a path");
            assert_eq!((base.as_str(), base.prefix()), (path, prefix), "{written}");
        }
        for wrong in ["/../x", "/a//b", "/a b", "/{x}", "/%2e"] {
            assert!(wrong.parse::<BasePath>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_network_contains_what_shares_its_first_bits() {
        let contains = |network: &str, address: &str| {
            network.parse::<Network>().expect("a network").contains(address.parse().expect("an address"))
        };
        assert!(contains("10.0.0.0/8", "10.255.0.1"));
        assert!(!contains("10.0.0.0/8", "11.0.0.1"));
        assert!(contains("0.0.0.0/0", "8.8.8.8"));
        assert!(contains("192.0.2.7", "192.0.2.7"));
        assert!(!contains("192.0.2.7", "192.0.2.8"));
        assert!(contains("192.0.2.7", "::ffff:192.0.2.7"), "as a dual-stack listener reports it");
        assert!(contains("fd00::/8", "fd12::1"));
        assert!(!contains("fd00::/8", "10.0.0.1"));
        for wrong in ["10.0.0.0/33", "example.org", "10.0.0.0/x", "/8"] {
            assert!(wrong.parse::<Network>().is_err(), "{wrong}");
        }
    }
}
