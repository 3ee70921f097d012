//! What a step is asked to do: plain data, with every variable expanded and every default filled in.
//!
//! A request holds no content of files, no secret, and no path of the host: where its files come from is an [`Origin`],
//! which whoever carries it out looks up. So it can be printed, compared and made a key of.

use serde::{Deserialize, Serialize};

/// A step that makes a layer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "kebab-case")]
pub enum Request {
    Run(RunRequest),
    Copy(CopyRequest),
    Workdir(WorkdirRequest),
}

/// A tree of files that a step reads.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    Context,
    /// An empty tree.
    Scratch,
    /// Of this build, by its number.
    Stage(usize),
    /// As written, variables expanded.
    Image(String),
}

/// `RUN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunRequest {
    /// What is executed: for the shell form the shell is in it (`/bin/sh`, `-c`, text).
    pub args: Vec<String>,
    /// A file that is there while it runs: a heredoc that begins with `#!`.
    pub script: Option<Script>,
    /// Whole, in its order: the image's, and the build arguments that are visible here.
    pub env: Vec<(String, String)>,
    /// As `USER` says it; empty for root.
    pub user: String,
    /// Absolute.
    pub workdir: String,
    pub mounts: Vec<MountRequest>,
    pub network: Network,
    pub security: Security,
    /// Empty for the default one.
    pub hostname: String,
    /// Lines of /etc/hosts: name and address.
    pub extra_hosts: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Script {
    /// The heredoc's name; the file is /dev/pipes/NAME.
    pub name: String,
    pub body: String,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The builder's.
    #[default]
    Default,
    None,
    Host,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Security {
    #[default]
    Sandbox,
    /// All capabilities of whoever builds.
    Insecure,
}

/// A mount for the time of one `RUN`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountRequest {
    /// The container's; relative to the working directory if it does not begin with `/`.
    pub target: String,
    pub kind: MountKind,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum MountKind {
    Bind {
        from: Origin,
        /// Below its root; links are followed inside.
        source: String,
        /// If not, what is written is thrown away after the step.
        read_only: bool,
    },
    Cache {
        id: String,
        sharing: Sharing,
        read_only: bool,
        owner: Ownership,
        /// What a new cache holds at first.
        from: Origin,
        source: String,
    },
    Tmpfs {
        size_bytes: Option<u64>,
    },
    /// The request says which secret; its bytes are in no request.
    Secret {
        id: String,
        /// Whether it is a file at `target`.
        file: bool,
        /// The variable that holds it.
        env: Option<String>,
        required: bool,
        owner: Ownership,
    },
    /// The socket of an agent, and SSH_AUTH_SOCK.
    Ssh {
        id: String,
        required: bool,
        owner: Ownership,
    },
}

/// Two steps that use one cache at the same time.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sharing {
    #[default]
    Shared,
    /// The second gets one of its own.
    Private,
    /// The second waits.
    Locked,
}

/// What was said of an owner and a mode; what was not is the default of the kind of mount.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ownership {
    pub uid: Option<u32>,
    pub gid: Option<u32>,
    pub mode: Option<u32>,
}

/// `COPY` and `ADD`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CopyRequest {
    /// Which of the two: they differ in what is unpacked and fetched, and in messages.
    pub verb: Verb,
    /// Where paths among the sources lead.
    pub origin: Origin,
    /// In their order; never empty.
    pub sources: Vec<CopySource>,
    /// Ends with `/` if it must be a folder.
    pub target: String,
    /// Absolute; a relative target lies below it.
    pub workdir: String,
    /// `user[:group]`, names or numbers.
    pub chown: Option<String>,
    /// Octal, or symbolic as in chmod(1).
    pub chmod: Option<String>,
    /// Keeps the folders of a source's path, from `/./` on if that is in it.
    pub parents: bool,
    /// Patterns as in `.dockerignore`, relative to each source.
    pub excludes: Vec<String>,
    /// The layer does not depend on those below it.
    pub link: bool,
    /// Local archives are unpacked.
    pub unpack_local: bool,
    /// Fetched archives are unpacked.
    pub unpack_fetched: bool,
    /// `sha256:…` of the only source, which is a URL.
    pub checksum: Option<String>,
    pub keep_git_dir: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verb {
    Copy,
    Add,
}

impl std::fmt::Display for Verb {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Copy => "COPY",
            Self::Add => "ADD",
        })
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CopySource {
    /// A path, or a pattern as Go's `filepath.Match` takes it, below the root of the origin.
    Path(String),
    Url(String),
    /// A remote repository.
    Git(String),
    /// A heredoc: a file of this name and content.
    Inline {
        name: String,
        text: String,
    },
}

/// `WORKDIR`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkdirRequest {
    /// Absolute, without `..`.
    pub path: String,
    /// As `USER` says it: what is made belongs to that user.
    pub user: String,
}
