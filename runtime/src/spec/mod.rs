//! What a sandbox is asked to be: plain data, shared by every process.

pub mod data_dir;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// A sandbox's name on this host: a version 7 UUID, so that lists sort by age.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SandboxId(Uuid);

impl SandboxId {
    /// A new one.
    pub fn random() -> Self {
        Self(Uuid::now_v7())
    }
}

impl fmt::Display for SandboxId {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        self.0.simple().fmt(out)
    }
}

impl FromStr for SandboxId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What a sandbox is made from. The keeper checks every field again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct SandboxSpec {
    pub id: SandboxId,
    /// A name of the catalogue (`learner`, `host`).
    pub image: String,
    /// Letters, digits and hyphens, at most 63 (RFC 1123).
    pub hostname: String,
    /// PS1 as bash expands it, without the marks that the runtime adds.
    #[serde(default = "default_prompt")]
    pub prompt: String,
    #[serde(default)]
    pub limits: Limits,
    #[serde(default)]
    pub egress: Egress,
}

fn default_prompt() -> String {
    r"\u@\h:\w\$ ".into()
}

/// Where a sandbox may connect to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Egress {
    /// Nowhere: nothing connects it to the host, and every lookup and connect is refused at once.
    #[default]
    None,
}

/// The room a sandbox has. Each default is for a class of 40 on 16 GiB.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Memory of everything the learner runs, in bytes. Swap is not added to it.
    pub memory_max_bytes: u64,
    /// Processes and threads.
    pub pids_max: u64,
    /// Thousandths of one CPU.
    pub cpu_max_millis: u64,
    /// Share among sandboxes when the CPUs are busy, as in cgroup v2's cpu.weight (1 to 10,000).
    pub cpu_weight: u64,
    /// Size of the session's disk in bytes.
    pub disk_max_bytes: u64,
    /// Open files of one process (RLIMIT_NOFILE).
    pub files_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            memory_max_bytes: 1024 * 1024 * 1024,
            pids_max: 512,
            cpu_max_millis: 2000,
            cpu_weight: 100,
            disk_max_bytes: 2 * 1024 * 1024 * 1024,
            files_max: 4096,
        }
    }
}
