//! What a Dockerfile says, instruction by instruction: the whole of Docker's reference as types.
//!
//! A [`Word`] is text as it was written: quotes and variables are still in it, until `scope` expands it. What cannot
//! hold a variable is read at once (durations, switches, the form of a command).
//!
//! Reading is in the files beside this one, `show` writes an instruction down again.

pub mod duration;
pub mod ports;
mod flags;
mod mount;
mod command;
mod files;
mod run;
mod read;
mod show;

use std::time::Duration;

use serde::Serialize;

pub use read::{NAMES, step};

use super::source::{Span, Word};

/// One instruction and where it stands.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Step {
    pub instruction: Instruction,
    /// As it was written, its lines joined and without comments, heredocs not included. This is what progress shows.
    pub text: String,
    #[serde(skip)]
    pub at: Span,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Instruction {
    From(From),
    Arg(Vec<Argument>),
    Env(Vec<Pair>),
    Label(Vec<Pair>),
    Maintainer(Word),
    Run(Run),
    Cmd(Command),
    Entrypoint(Command),
    /// What shell forms behind it run in: never empty.
    Shell(Vec<String>),
    Copy(Copy),
    Add(Add),
    Workdir(Word),
    User(Word),
    /// Folders whose contents a container keeps outside its image: never empty.
    Volume(Vec<Word>),
    /// Words that become ports once they are expanded; see [`ports`].
    Expose(Vec<Word>),
    StopSignal(Word),
    Healthcheck(Healthcheck),
    Onbuild(Trigger),
}

/// `FROM [--platform=…] base [AS name]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct From {
    /// An image, a stage, or `scratch`; may hold variables.
    pub base: Word,
    pub platform: Option<Word>,
    /// In lower case, as Docker compares it.
    pub name: Option<Word>,
}

/// One of the variables that `ARG` declares.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Argument {
    pub name: Word,
    /// `ARG x=` has the empty default, `ARG x` has none.
    pub default: Option<Word>,
}

/// One assignment of `ENV` or `LABEL`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Pair {
    pub key: Word,
    pub value: Word,
    /// Written `ENV key value`, without an equals sign: everything behind the key is its value.
    pub legacy: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Run {
    pub command: Command,
    pub mounts: Vec<MountFlag>,
    pub network: Network,
    pub security: Security,
}

/// What `RUN`, `CMD`, `ENTRYPOINT` and `HEALTHCHECK CMD` start. Nothing in it is expanded by the builder: variables are the shell's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Command {
    /// Text for the shell of the moment (`SHELL`, by default `/bin/sh -c`). Heredocs that the shell reads itself are
    /// in it; may be empty (`CMD` alone).
    Shell(String),
    /// A program and its arguments. `CMD []` is empty: it takes back what the base image starts.
    Exec(Vec<String>),
    /// `RUN <<EOF` whose first line is `#!…`: the body is to be a file that is executed.
    Script(Script),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Script {
    /// The heredoc's delimiter. Docker puts the file at `/dev/pipes/NAME`, read-only, for the time of the step.
    pub name: String,
    pub body: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Network {
    #[default]
    Default,
    None,
    Host,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Security {
    #[default]
    Sandbox,
    Insecure,
}

/// `--mount=…`, split at its commas. Values may hold variables; [`MountFlag::resolve`] reads them when they are expanded.
#[derive(Debug, Clone, Eq, Serialize)]
pub struct MountFlag {
    pub fields: Vec<MountField>,
    #[serde(skip)]
    pub at: Span,
}

/// As with a word, where it stands does not matter.
impl PartialEq for MountFlag {
    fn eq(&self, other: &Self) -> bool {
        self.fields == other.fields
    }
}

/// `key=value`, or `key` alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MountField {
    /// In lower case.
    pub key: String,
    pub value: Option<Word>,
}

/// A mount for the time of one `RUN`.
///
/// A target that does not begin with a slash is below the working directory; an empty one is that directory.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Mount {
    Bind(BindMount),
    Cache(CacheMount),
    Tmpfs(TmpfsMount),
    Secret(SecretMount),
    Ssh(SshMount),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BindMount {
    pub target: String,
    /// A stage, a stage's number or an image; without it, the context.
    pub from: Option<Word>,
    /// Below the root of `from`.
    pub source: Option<String>,
    /// What is written is thrown away after the step even if this is false.
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CacheMount {
    pub target: String,
    /// Which cache; by default the target as it is written, cleaned.
    pub id: Option<String>,
    /// What the cache holds at first.
    pub from: Option<Word>,
    pub source: Option<String>,
    pub read_only: bool,
    pub sharing: Sharing,
    pub owner: Ownership,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Sharing {
    /// Several steps use the cache at once.
    #[default]
    Shared,
    /// A step that finds the cache in use gets another one.
    Private,
    /// A step waits until the cache is free.
    Locked,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct TmpfsMount {
    pub target: String,
    pub size_bytes: Option<u64>,
    pub read_only: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretMount {
    /// Never empty: by default the last part of the target.
    pub id: String,
    /// Where the file appears; none if only a variable is asked for.
    pub target: Option<String>,
    /// The variable that holds the secret.
    pub env: Option<String>,
    pub required: bool,
    pub owner: Ownership,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SshMount {
    pub id: String,
    pub target: Option<String>,
    pub required: bool,
    pub owner: Ownership,
}

/// What was said of a mounted file's owner and mode; what is missing is Docker's default for the kind of mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Ownership {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Copy {
    pub files: Files,
    /// A stage, a stage's number or an image; without it, the context. Holds no variable. See `stages::Stages::origin`.
    pub from: Option<Word>,
    /// Keeps the folders of a source's path, from `/./` on if that is in it.
    pub parents: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Add {
    pub files: Files,
    /// `sha256:…` of what is fetched.
    pub checksum: Option<Word>,
    pub keep_git_dir: Option<bool>,
    /// Whether an archive is unpacked; not said, local ones are and fetched ones are not.
    pub unpack: Option<bool>,
}

/// What `COPY` and `ADD` have in common.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Files {
    /// Sources in their order; never empty.
    pub sources: Vec<Source>,
    /// Ends with `/` if it must be a folder.
    pub target: Word,
    /// `user[:group]`, names or numbers.
    pub chown: Option<Word>,
    /// Octal, or symbolic as in chmod(1).
    pub chmod: Option<Word>,
    pub link: bool,
    /// Patterns of `--exclude`, as in `.dockerignore`. Docker does not expand variables in them.
    pub excludes: Vec<Word>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Source {
    /// A path or pattern, or for `ADD` a URL.
    Path(Word),
    /// `<<NAME`: a file with this name and content.
    Inline(Inline),
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inline {
    pub name: String,
    /// The place is that of its first line.
    pub body: Word,
    /// Whether variables in the body are expanded: not if the delimiter was quoted.
    pub expands: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Healthcheck {
    /// Takes back what the base image checks.
    None,
    Check(HealthCommand),
}

/// Times that are not said, or zero, are Docker's defaults; an image leaves them out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HealthCommand {
    pub command: Command,
    pub interval: Option<Duration>,
    pub timeout: Option<Duration>,
    pub start_period: Option<Duration>,
    pub start_interval: Option<Duration>,
    pub retries: Option<u32>,
}

/// `ONBUILD instruction`: recorded in the image, done by builds that start from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Trigger {
    /// What an image's configuration records, heredocs included; `build::parse_trigger` reads it again.
    pub text: String,
    /// The same, read. Never `FROM`, `MAINTAINER` or `ONBUILD`.
    pub instruction: Box<Instruction>,
}

impl Instruction {
    /// In capitals, as people write it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::From(_) => "FROM",
            Self::Arg(_) => "ARG",
            Self::Env(_) => "ENV",
            Self::Label(_) => "LABEL",
            Self::Maintainer(_) => "MAINTAINER",
            Self::Run(_) => "RUN",
            Self::Cmd(_) => "CMD",
            Self::Entrypoint(_) => "ENTRYPOINT",
            Self::Shell(_) => "SHELL",
            Self::Copy(_) => "COPY",
            Self::Add(_) => "ADD",
            Self::Workdir(_) => "WORKDIR",
            Self::User(_) => "USER",
            Self::Volume(_) => "VOLUME",
            Self::Expose(_) => "EXPOSE",
            Self::StopSignal(_) => "STOPSIGNAL",
            Self::Healthcheck(_) => "HEALTHCHECK",
            Self::Onbuild(_) => "ONBUILD",
        }
    }
}
