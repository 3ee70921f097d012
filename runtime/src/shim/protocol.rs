//! What web (or `quayside run`) says to a shim: one connection for one purpose.
//!
//! Every message stands behind a 32-bit little-endian length ([`super::wire::write_frame`]).
//! The first is [`Open`] as JSON, which names the purpose. After it
//!
//! - a *terminal* connection speaks [`super::wire`];
//! - an *exec* connection sends the script as [`ToShim::Data`] … [`ToShim::End`] and receives
//!   [`FromShim::Output`] until [`FromShim::Finished`] or [`FromShim::Failed`];
//! - a *files* connection sends, for each file, [`ToShim::File`], [`ToShim::Data`] …, and at the very
//!   end one [`ToShim::End`]; it receives `Finished` or `Failed`;
//! - a *state* connection receives one [`FromShim::State`] and is closed.
//!
//! Old shims meet new webs: fields are only ever added, each with a default.

use serde::{Deserialize, Serialize};

pub const SHIM_VERSION: u32 = 1;

/// Terminals a sandbox may have: T1 to T9, and room for the class.
pub const TERMINALS_MAX: u16 = 16;
/// Connections a shim accepts at once: viewers of every terminal, a check, a few scripts.
pub const CONNECTIONS_MAX: usize = 64;
/// Scripts kept by name, so that a web process that comes back finds what it started.
pub const NAMED_MAX: usize = 128;
/// The longest script; they are typed by people.
pub const SCRIPT_MAX: usize = 1024 * 1024;
/// All files of one files connection together.
pub const FILES_MAX: u64 = 64 * 1024 * 1024;

/// The first message of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    pub version: u32,
    #[serde(flatten)]
    pub purpose: Purpose,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "purpose", rename_all = "kebab-case")]
pub enum Purpose {
    /// Look at, and type into, terminal `number` (from 1), which is made if it is not there.
    Terminal {
        number: u16,
        /// What to run in it when it is made, instead of a shell.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        command: Vec<String>,
    },
    Exec(Exec),
    Files,
    State,
}

/// Run something inside, without a terminal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exec {
    /// With a name it runs once: a second `Exec` of the same name attaches to the first, running or
    /// finished, and the end of a connection does not end it. Without one it ends with its connection.
    #[serde(default)]
    pub name: Option<String>,
    /// What to run. The script's bytes arrive behind this; `{script}` in an argument becomes the
    /// path of a sealed copy (`/dev/fd/N`), so `["bash", "{script}"]` runs it.
    pub args: Vec<String>,
    /// The script becomes standard input instead.
    #[serde(default)]
    pub script_is_stdin: bool,
    #[serde(default)]
    pub env: Vec<(String, String)>,
    #[serde(default = "root_home")]
    pub cwd: String,
    pub group: Group,
    /// Milliseconds until SIGKILL; 0: none.
    #[serde(default)]
    pub timeout_ms: u64,
    /// Bytes of output kept and sent; the rest is counted and dropped.
    #[serde(default = "output_max")]
    pub output_max: u64,
    /// Files inside the sandbox that get standard output and error instead of the connection.
    #[serde(default)]
    pub stdout_path: Option<String>,
    #[serde(default)]
    pub stderr_path: Option<String>,
}

fn root_home() -> String {
    "/root".into()
}

fn output_max() -> u64 {
    64 * 1024
}

/// The cgroup that pays for an exec.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Group {
    /// The learner's own: foreground, background, solutions.
    Payload,
    /// Room that a fork bomb cannot take: verify scripts only.
    Check,
}

/// Behind `Open`, to the shim. On the wire: a tag byte, then the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToShim {
    Data(Vec<u8>),
    End,
    File(FileHead),
}

/// One file to place inside; its directories are made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileHead {
    /// Absolute, inside the sandbox.
    pub path: String,
    /// Permission bits, as in chmod(2).
    pub mode: u32,
    /// Bytes that follow as `Data`.
    pub size: u64,
}

/// From the shim, on exec, files and state connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FromShim {
    /// 1: standard output, 2: standard error.
    Output {
        stream: u8,
        bytes: Vec<u8>,
    },
    Finished(Finished),
    Failed {
        message: String,
    },
    State(State),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finished {
    /// The exit code, or 128 + the number of the signal that ended it.
    pub code: i32,
    pub timed_out: bool,
    /// Bytes of output beyond `output_max` that were dropped.
    pub dropped_bytes: u64,
    pub duration_ms: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    pub version: u32,
    pub terminals: Vec<TerminalState>,
    /// Names of execs, and whether each still runs.
    pub named: Vec<(String, bool)>,
    /// How long ago a viewer typed or ran something last, in any terminal; `None`: never, or an older shim.
    #[serde(default)]
    pub input_ms_ago: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TerminalState {
    pub number: u16,
    pub running: bool,
    /// Bytes of output so far.
    pub offset: u64,
    pub viewers: u32,
}

/// A message on an exec, files or state connection that does not read.
#[derive(Debug, thiserror::Error)]
#[error("a message to or from a shim that does not read: {0}")]
pub struct ProtocolError(pub String);

const DATA: u8 = 0x11;
const END: u8 = 0x12;
const FILE: u8 = 0x13;
const OUTPUT: u8 = 0x21;
const FINISHED: u8 = 0x22;
const FAILED: u8 = 0x23;
const STATE: u8 = 0x24;

fn json(tag: u8, value: &impl Serialize) -> Vec<u8> {
    let mut out = vec![tag];
    serde_json::to_writer(&mut out, value).expect("plain data serialises");
    out
}

fn unjson<T: for<'a> Deserialize<'a>>(bytes: &[u8]) -> Result<T, ProtocolError> {
    serde_json::from_slice(bytes).map_err(|error| ProtocolError(error.to_string()))
}

impl Open {
    pub fn new(purpose: Purpose) -> Self {
        Self { version: SHIM_VERSION, purpose }
    }

    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("plain data serialises")
    }

    pub fn decode(frame: &[u8]) -> Result<Self, ProtocolError> {
        unjson(frame)
    }
}

impl ToShim {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Data(bytes) => [&[DATA], bytes.as_slice()].concat(),
            Self::End => vec![END],
            Self::File(head) => json(FILE, head),
        }
    }

    pub fn decode(frame: &[u8]) -> Result<Self, ProtocolError> {
        match frame.split_first() {
            Some((&DATA, bytes)) => Ok(Self::Data(bytes.to_vec())),
            Some((&END, [])) => Ok(Self::End),
            Some((&FILE, bytes)) => unjson(bytes).map(Self::File),
            other => Err(ProtocolError(format!("tag {:?}", other.map(|(tag, _)| tag)))),
        }
    }
}

impl FromShim {
    pub fn encode(&self) -> Vec<u8> {
        match self {
            Self::Output { stream, bytes } => [&[OUTPUT, *stream], bytes.as_slice()].concat(),
            Self::Finished(finished) => json(FINISHED, finished),
            Self::Failed { message } => [&[FAILED], message.as_bytes()].concat(),
            Self::State(state) => json(STATE, state),
        }
    }

    pub fn decode(frame: &[u8]) -> Result<Self, ProtocolError> {
        match frame.split_first() {
            Some((&OUTPUT, [stream, bytes @ ..])) => Ok(Self::Output { stream: *stream, bytes: bytes.to_vec() }),
            Some((&FINISHED, bytes)) => unjson(bytes).map(Self::Finished),
            Some((&FAILED, bytes)) => Ok(Self::Failed { message: String::from_utf8_lossy(bytes).into_owned() }),
            Some((&STATE, bytes)) => unjson(bytes).map(Self::State),
            other => Err(ProtocolError(format!("tag {:?}", other.map(|(tag, _)| tag)))),
        }
    }
}
