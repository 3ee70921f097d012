//! A launch as plain data: everything that will be done, decided before anything is.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::lease::{Ids, RANGE};
use crate::cgroup::layout::Layout;
use crate::cgroup::parent::Parent;
use crate::cgroup::plan::Owners;
use crate::cgroup::turns::Turns;
use crate::spec::{Limits, SandboxSpec};
use crate::{cgroup, network, rootfs};

/// The hostname's limit (RFC 1123, and sethostname(2) allows 64).
const HOSTNAME_MAX: usize = 63;
/// A prompt is one line of a file.
const PROMPT_MAX: usize = 256;
/// Room that any sandbox must have, or bash does not start.
pub const MEMORY_MIN_BYTES: u64 = 32 * 1024 * 1024;
pub const PIDS_MIN: u64 = 8;
/// The smallest ext4 with a journal that mke2fs makes without complaint.
pub const DISK_MIN_BYTES: u64 = 64 * 1024 * 1024;
pub const DISK_MAX_BYTES: u64 = 1024 * 1024 * 1024 * 1024;
pub const FILES_MIN: u64 = 64;

/// Added to oom_score_adj: a learner's process is to die before anything of the host's.
pub const OOM_SCORE_ADJ: i32 = 300;
/// The same for what a learner runs, which is to die before the PID 1 and the shim of its own sandbox.
pub const LEARNERS_OOM_SCORE_ADJ: i32 = 600;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LaunchPlan {
    pub spec: SandboxSpec,
    pub ids: Ids,
    /// The lines of uid_map and gid_map (user_namespaces(7)).
    pub id_map: String,
    /// Of the image, bottom to top.
    pub layers: Vec<PathBuf>,
    /// Of the image's configuration and the sandbox's terminal.
    pub env: Vec<(String, String)>,
    pub cgroup: cgroup::plan::Plan,
    pub network: network::plan::Plan,
    pub rootfs: rootfs::plan::Plan,
}

/// What the host is, as far as a plan depends on it.
#[derive(Debug, Clone)]
pub struct Host {
    pub cgroups: Layout,
    pub cgroup_parent: Parent,
    /// How sandboxes stand beside the host's other programs just now.
    pub turns: Turns,
    /// A directory that exists on this host.
    pub staging: PathBuf,
}

/// A spec that no sandbox can be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make a sandbox from this: {field} is {value}; {rule}")]
pub struct Invalid {
    field: &'static str,
    value: String,
    rule: &'static str,
}

impl LaunchPlan {
    pub fn new(
        spec: SandboxSpec,
        ids: Ids,
        layers: Vec<PathBuf>,
        image_env: &[(String, String)],
        host: &Host,
    ) -> Result<Self, Invalid> {
        check(&spec, &layers)?;
        let owners = Owners { owner: ids.owner, root: ids.base };
        let name = spec.id.to_string();
        Ok(Self {
            id_map: format!("0 {} {RANGE}\n", ids.base),
            cgroup: cgroup::plan::Plan::new(
                &host.cgroups,
                &host.cgroup_parent,
                host.turns,
                &name,
                owners,
                &spec.limits,
            ),
            network: network::plan::Plan::new(spec.egress),
            rootfs: rootfs::plan::Plan::new(&spec, layers.len(), &host.staging, &host.cgroups),
            env: environment(image_env),
            spec,
            ids,
            layers,
        })
    }
}

/// The keeper trusts no number that came over a socket.
fn check(spec: &SandboxSpec, layers: &[PathBuf]) -> Result<(), Invalid> {
    let invalid = |field, value: &dyn ToString, rule| Err(Invalid { field, value: value.to_string(), rule });
    let Limits { memory_max_bytes, pids_max, cpu_max_millis, cpu_weight, disk_max_bytes, files_max } = spec.limits;
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    if spec.hostname.is_empty()
        || spec.hostname.len() > HOSTNAME_MAX
        || !spec.hostname.bytes().all(label)
        || spec.hostname.starts_with('-')
    {
        return invalid("hostname", &spec.hostname, "letters, digits and hyphens, at most 63, not a hyphen first");
    }
    if spec.prompt.len() > PROMPT_MAX || spec.prompt.chars().any(|c| c.is_control()) {
        return invalid("prompt", &spec.prompt.escape_debug(), "one line of at most 256 bytes");
    }
    if memory_max_bytes < MEMORY_MIN_BYTES {
        return invalid("memory", &memory_max_bytes, "at least 32 MiB");
    }
    if pids_max < PIDS_MIN {
        return invalid("pids", &pids_max, "at least 8");
    }
    if cpu_max_millis < 10 || !(1..=10_000).contains(&cpu_weight) {
        return invalid("cpu", &cpu_max_millis, "at least 10 thousandths of a CPU, and a weight from 1 to 10000");
    }
    if !(DISK_MIN_BYTES..=DISK_MAX_BYTES).contains(&disk_max_bytes) || disk_max_bytes % 4096 != 0 {
        return invalid("disk", &disk_max_bytes, "from 64 MiB to 1 TiB, in whole blocks of 4096 bytes");
    }
    if files_max < FILES_MIN {
        return invalid("open files", &files_max, "at least 64");
    }
    if layers.is_empty() || layers.len() > rootfs::plan::LAYERS_MAX {
        return invalid("layers of the image", &layers.len(), "from 1 to 120");
    }
    Ok(())
}

/// A shell's environment: the image's, then what a terminal of ours is.
fn environment(image: &[(String, String)]) -> Vec<(String, String)> {
    let ours = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("USER", "root"),
        ("LOGNAME", "root"),
        ("SHELL", "/bin/bash"),
        ("LANG", "C.UTF-8"),
        ("TERM", "xterm-256color"),
        ("COLORTERM", "truecolor"),
    ];
    let mut env: Vec<(String, String)> = image.to_vec();
    for (key, value) in ours {
        if !env.iter().any(|(name, _)| name == key) {
            env.push((key.into(), value.into()));
        }
    }
    env
}

/// The first of some directories that every host has: a tmpfs of our own mount namespace covers it.
pub fn staging_directory() -> PathBuf {
    let candidates = ["/tmp", "/mnt", "/run", "/var"].map(Path::new);
    candidates.into_iter().find(|path| path.is_dir()).unwrap_or(Path::new("/tmp")).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::SandboxId;

    fn spec() -> SandboxSpec {
        SandboxSpec {
            id: SandboxId::random(),
            image: "host".into(),
            hostname: "ubuntu".into(),
            prompt: "$ ".into(),
            limits: Limits::default(),
            egress: Default::default(),
        }
    }

    fn plan(spec: SandboxSpec) -> Result<LaunchPlan, Invalid> {
        let cgroups = Layout { v1: vec![], v2: None };
        let host = Host { cgroups, cgroup_parent: Parent::default(), turns: Turns::default(), staging: "/tmp".into() };
        LaunchPlan::new(spec, Ids::of(3), vec!["/layers/a".into()], &[], &host)
    }

    #[test]
    fn the_map_gives_the_sandbox_its_range_and_nothing_of_the_owner() {
        let plan = plan(spec()).expect("a good spec");
        assert_eq!(plan.id_map, format!("0 {} 65536\n", Ids::of(3).base));
        assert!(!(plan.ids.base..plan.ids.base + RANGE).contains(&plan.ids.owner));
    }

    #[test]
    fn values_that_cannot_work_are_refused_in_words() {
        for (broken, word) in [
            (SandboxSpec { hostname: "a/b".into(), ..spec() }, "hostname"),
            (SandboxSpec { hostname: String::new(), ..spec() }, "hostname"),
            (SandboxSpec { prompt: "a\nb".into(), ..spec() }, "prompt"),
            (SandboxSpec { limits: Limits { memory_max_bytes: 1, ..Limits::default() }, ..spec() }, "memory"),
            (SandboxSpec { limits: Limits { disk_max_bytes: 1 << 50, ..Limits::default() }, ..spec() }, "disk"),
            (SandboxSpec { limits: Limits { pids_max: 0, ..Limits::default() }, ..spec() }, "pids"),
        ] {
            let message = plan(broken).expect_err(word).to_string();
            assert!(message.contains(word), "{message}");
        }
    }

    #[test]
    fn the_images_path_wins_over_ours() {
        let env = environment(&[("PATH".into(), "/opt/bin".into())]);
        assert_eq!(env.iter().filter(|(key, _)| key == "PATH").count(), 1);
        assert_eq!(env[0].1, "/opt/bin");
    }
}
