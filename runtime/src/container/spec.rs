//! What a container is asked to be, and how it ended: plain data.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::launch::event::Event;
use crate::policy::capabilities::{CONTAINER, set_of};

/// What one container is made from. Paths are the host's unless a field says that they are the container's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerSpec {
    /// For messages, events and its group: letters, digits, `-`, `_` and `.` (`build-7`).
    pub name: String,
    /// Unpacked layers, bottom to top, absolute; at most [`LAYERS_MAX`](crate::rootfs::plan::LAYERS_MAX). They are
    /// only read.
    pub layers: Vec<PathBuf>,
    /// A directory that gets what the process writes, and nothing else: the layer that it makes, in overlay form
    /// (attributes `user.overlay.*` beside the whiteouts). Not on overlay itself. It also gets the owner, mode and
    /// time of the image's `/`.
    pub upper: PathBuf,
    /// An empty directory on the same file system as `upper`, for mount points and overlay's own work. Empty again
    /// when the run returns.
    pub work: PathBuf,
    /// The program and its arguments; the program is looked for along PATH of `env` if it has no slash.
    pub args: Vec<String>,
    /// Whole: nothing of the caller's environment is added, but HOME where it is missing.
    pub env: Vec<(String, String)>,
    /// Absolute, the container's. Made if it is missing, as root's.
    pub cwd: PathBuf,
    /// As in Docker: empty for root, `name`, `uid`, `name:group`, `uid:gid`.
    pub user: String,
    /// At most 63 letters, digits, hyphens and dots.
    pub hostname: String,
    pub mounts: Vec<Mount>,
    pub network: Network,
    /// Lines of /etc/hosts beside localhost: address and name.
    pub extra_hosts: Vec<(String, String)>,
    pub privileges: Privileges,
    /// The root cannot be written to, mounts can.
    pub read_only_root: bool,
    pub limits: Limits,
    /// Of /dev/shm.
    pub shm_bytes: u64,
}

/// Docker's size of /dev/shm.
pub const SHM_BYTES: u64 = 64 * 1024 * 1024;

impl ContainerSpec {
    /// A container as a `RUN` has it: root, Docker's privileges, the network of who starts it.
    pub fn new(name: &str, layers: Vec<PathBuf>, upper: PathBuf, work: PathBuf, args: &[&str]) -> Self {
        Self {
            name: name.into(),
            layers,
            upper,
            work,
            args: args.iter().map(ToString::to_string).collect(),
            env: vec![("PATH".into(), "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".into())],
            cwd: "/".into(),
            user: String::new(),
            hostname: "container".into(),
            mounts: Vec::new(),
            network: Network::Host,
            extra_hosts: Vec::new(),
            privileges: Privileges::default(),
            read_only_root: false,
            limits: Limits::default(),
            shm_bytes: SHM_BYTES,
        }
    }
}

/// Something mounted over the root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mount {
    pub from: Source,
    /// Absolute, the container's; links on the way are followed inside. Made if it is missing, without a trace in
    /// the layer.
    pub at: PathBuf,
    pub read_only: bool,
}

/// What is mounted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Source {
    /// A file or directory of the host: `path` is followed as if `root` were `/`, so that no link leads out of it.
    Path { root: PathBuf, path: PathBuf },
    /// The same of an image, or of a directory whose changes are to be dropped: layers, bottom to top. What is
    /// written goes to `scratch`, a pair of empty directories as [`ContainerSpec::upper`] and `work` are; without it
    /// the mount is read-only.
    Layers { layers: Vec<PathBuf>, path: PathBuf, scratch: Option<Scratch> },
    /// A new tmpfs. `mode` as in chmod(2).
    Tmpfs { size_bytes: Option<u64>, mode: u32 },
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scratch {
    pub upper: PathBuf,
    pub work: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// That of whoever starts the container.
    Host,
    /// Its own, with nothing in it but `lo`.
    None,
}

/// What the process may do beyond an ordinary one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Privileges {
    /// Names as in capabilities(7), without `CAP_`.
    pub capabilities: Vec<String>,
    /// /proc as Docker shows it: some paths hidden, some read-only, /sys read-only.
    pub masked: bool,
}

impl Default for Privileges {
    /// Docker's.
    fn default() -> Self {
        let names = set_of(CONTAINER).iter_names().map(|(name, _)| name.to_owned());
        Self { capabilities: names.collect(), masked: true }
    }
}

/// Room; `None` is that of whoever starts it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    pub memory_max_bytes: Option<u64>,
    pub pids_max: Option<u64>,
    /// setrlimit(2), by Docker's names (`nofile`, `core`): name, soft, hard.
    pub rlimits: Vec<(String, u64, u64)>,
}

/// Standard input.
#[derive(Debug)]
pub enum Input {
    /// /dev/null.
    Nothing,
    Bytes(Vec<u8>),
    Descriptor(std::os::fd::OwnedFd),
}

/// What a caller hears while its container runs, in order; output is never kept, so who is slow to take it slows
/// the process down, as a pipe does.
#[derive(Debug)]
pub enum Said<'a> {
    /// One step of the start.
    Step(&'a Event),
    /// Some of standard output, at most [`OUTPUT_PIECE`] bytes.
    Out(&'a [u8]),
    /// The same of standard error.
    Err(&'a [u8]),
}

/// As much as a pipe holds by default (pipe(7)).
pub const OUTPUT_PIECE: usize = 64 * 1024;

/// How the process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Exit {
    Code(u8),
    Signal(i32),
}

impl Exit {
    /// As shells and Docker give it: 128 and the number for a signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code.into(),
            Self::Signal(signal) => 128 + signal,
        }
    }
}
