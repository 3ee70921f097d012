//! What a step's result is known by in the cache.
//!
//! A key is the digest of everything that the result may depend on, and of nothing else. Because it is made before the
//! step is done, two builds with equal keys have equal results as far as a builder can know: a `RUN` that asks the
//! clock or the network is done once and believed afterwards, as in Docker.
//!
//! | part | in the key | because |
//! |---|---|---|
//! | key of the step before, or layers of the base | yes, but for `--link` | a step works on the files below it; what is linked does not look at them |
//! | the instruction, expanded | yes | it says what is done |
//! | ENV and declared ARG, for `RUN` | yes | the command sees them |
//! | ENV and ARG, for other steps | as far as expanded | nothing else sees them |
//! | proxies (`HTTP_PROXY` and its kind) | only if declared by ARG | they say how to reach something, not what; Docker's rule |
//! | what is copied: names, kinds, modes, contents, where links lead, capabilities | yes | it is what is copied |
//! | what a URL gives, without `--checksum` | its digest, and the time that the server says | it is what is added |
//! | owners of copied files | as asked for by `--chown` | files of a context belong to whoever checked them out |
//! | times, inodes, the order in a folder | no | a fresh checkout would never hit |
//! | contents of secrets, agents, cache mounts | no | they do not belong to the result; Docker's rule |
//! | the name of the image, labels, `CMD` and its kind | no | they change the config, no layer |

use std::collections::BTreeMap;
use std::os::unix::ffi::OsStrExt;

use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::steps::request::{CopyRequest, CopySource, MountKind, Request, RunRequest, WorkdirRequest};
use crate::image::Digest;
use crate::image::beneath::Name;

/// Raised when what a step does changes, so that results of older builders are not believed.
const VERSION: &str = "quayside step 1";

/// Everything that a key is made of, kept beside it so that a miss can be explained.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parts {
    /// The key of the step before, or what the base's layers are together; none if the result does not depend on it.
    pub parent: Option<Digest>,
    /// The base's name, if this is the first step on it.
    pub base: Option<String>,
    /// In the order in which they are compared and told.
    pub facets: Vec<Facet>,
    /// What is copied, by name below its origin.
    pub files: BTreeMap<String, FileFact>,
}

/// One thing that a step's result depends on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facet {
    pub is: Aspect,
    pub value: String,
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Aspect {
    Instruction,
    /// A variable that `ARG` declares.
    Argument(String),
    /// One that `ENV` sets.
    Variable(String),
    /// Anything else, in the words of a message: `the working directory`.
    Setting(String),
    /// Something from outside the context, such as what a URL gives: its name.
    Source(String),
}

/// A file, folder or link that is copied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileFact {
    pub kind: FileKind,
    /// Permission bits, in decimal; 0 for a link, which has none.
    pub mode: u32,
    /// Of a file's content, or of what a link says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<Digest>,
    /// Of its `security.capability`, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capability: Option<Digest>,
    /// User and group, where a copy keeps them: from another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<(u32, u32)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    File,
    Folder,
    Link,
    /// A device or pipe of another image; its content is its numbers.
    Special,
}

impl Parts {
    /// What a request depends on, but for the files that it copies.
    ///
    /// `arguments` are the variables of a `RUN` that came from `ARG`; `uncounted` those that are only passed on.
    pub fn of(
        request: &Request,
        parent: Digest,
        base: Option<String>,
        arguments: &[String],
        uncounted: &[String],
    ) -> Self {
        let facets = match request {
            Request::Run(run) => run_facets(run, arguments, uncounted),
            Request::Copy(copy) => copy_facets(copy),
            Request::Workdir(workdir) => workdir_facets(workdir),
        };
        let linked = matches!(request, Request::Copy(copy) if copy.link);
        Self { parent: (!linked).then_some(parent), base, facets, files: BTreeMap::new() }
    }

    pub fn key(&self) -> Digest {
        let mut hash = Fields::new(VERSION);
        hash.field(self.parent.map(|parent| parent.hex()).unwrap_or_default().as_bytes());
        for Facet { is, value } in &self.facets {
            let (kind, name) = match is {
                Aspect::Instruction => ("instruction", ""),
                Aspect::Argument(name) => ("argument", name.as_str()),
                Aspect::Variable(name) => ("variable", name.as_str()),
                Aspect::Setting(name) => ("setting", name.as_str()),
                Aspect::Source(name) => ("source", name.as_str()),
            };
            [kind, name, value].iter().for_each(|field| hash.field(field.as_bytes()));
        }
        hash.field(&(self.files.len() as u64).to_le_bytes());
        for (name, fact) in &self.files {
            hash.field(name.as_bytes());
            fact.add_to(&mut hash);
        }
        hash.finish()
    }

    pub fn instruction(&self) -> Option<&str> {
        self.facets.iter().find(|facet| facet.is == Aspect::Instruction).map(|facet| facet.value.as_str())
    }
}

impl FileFact {
    fn add_to(&self, hash: &mut Fields) {
        hash.field(&[self.kind as u8]);
        hash.field(&self.mode.to_le_bytes());
        for digest in [self.content, self.capability] {
            hash.field(digest.map(|digest| digest.hex()).unwrap_or_default().as_bytes());
        }
        let owner = self.owner.map(|(user, group)| format!("{user}:{group}")).unwrap_or_default();
        hash.field(owner.as_bytes());
    }
}

/// What the first step of a stage has for a parent: the layers of its base, bottom to top.
pub fn base_key(diff_ids: &[Digest]) -> Digest {
    let mut hash = Fields::new("quayside base 1");
    diff_ids.iter().for_each(|diff_id| hash.field(diff_id.hex().as_bytes()));
    hash.finish()
}

/// A name as parts have it: bytes that are no UTF-8 as `\xNN`, so that two names never become one.
pub fn file_name(name: &Name) -> String {
    let mut shown = String::new();
    for chunk in name.as_path().as_os_str().as_bytes().utf8_chunks() {
        shown.push_str(&chunk.valid().replace('\\', "\\\\"));
        chunk.invalid().iter().for_each(|byte| shown.push_str(&format!("\\x{byte:02x}")));
    }
    shown
}

fn run_facets(run: &RunRequest, arguments: &[String], uncounted: &[String]) -> Vec<Facet> {
    let mut facets = vec![facet(Aspect::Instruction, format!("RUN {}", words(&run.args)))];
    if let Some(script) = &run.script {
        facets.push(setting("the script", format!("{} {}", script.name, script.body)));
    }
    for (name, value) in run.env.iter().filter(|(name, _)| !uncounted.contains(name)) {
        let is = if arguments.contains(name) { Aspect::Argument(name.clone()) } else { Aspect::Variable(name.clone()) };
        facets.push(facet(is, value.clone()));
    }
    facets.push(setting("the working directory", run.workdir.clone()));
    facets.push(setting("the user", run.user.clone()));
    for mount in &run.mounts {
        facets.push(setting(&format!("the mount at {}", mount.target), mount_text(&mount.kind)));
    }
    facets.push(setting("the network", format!("{:?}", run.network)));
    facets.push(setting("the security", format!("{:?}", run.security)));
    facets.push(setting("the host name", run.hostname.clone()));
    let hosts: Vec<String> = run.extra_hosts.iter().map(|(name, address)| format!("{name}={address}")).collect();
    facets.push(setting("the list of hosts", hosts.join(" ")));
    facets
}

fn copy_facets(copy: &CopyRequest) -> Vec<Facet> {
    let sources: Vec<String> = copy.sources.iter().map(source_text).collect();
    let mut facets = vec![facet(Aspect::Instruction, format!("{} {} {}", copy.verb, sources.join(" "), copy.target))];
    for source in &copy.sources {
        if let CopySource::Inline { name, text } = source {
            facets.push(setting(&format!("the text of {name}"), text.clone()));
        }
    }
    facets.push(setting("the working directory", copy.workdir.clone()));
    facets.push(setting("the owner", copy.chown.clone().unwrap_or_default()));
    facets.push(setting("the mode", copy.chmod.clone().unwrap_or_default()));
    facets.push(setting("what is excluded", copy.excludes.join(" ")));
    facets.push(setting("the checksum", copy.checksum.clone().unwrap_or_default()));
    let switches = [
        ("parents", copy.parents),
        ("link", copy.link),
        ("unpack", copy.unpack_local),
        ("unpack-fetched", copy.unpack_fetched),
        ("keep-git-dir", copy.keep_git_dir),
    ];
    let set: Vec<&str> = switches.iter().filter(|(_, set)| *set).map(|(name, _)| *name).collect();
    facets.push(setting("how it is copied", set.join(" ")));
    facets
}

fn workdir_facets(workdir: &WorkdirRequest) -> Vec<Facet> {
    vec![facet(Aspect::Instruction, format!("WORKDIR {}", workdir.path)), setting("the user", workdir.user.clone())]
}

/// A mount as far as a result may depend on it: what a bind shows is among the files, what a cache holds is not.
fn mount_text(kind: &MountKind) -> String {
    serde_json::to_string(kind).expect("a mount has only texts, numbers and switches")
}

fn source_text(source: &CopySource) -> String {
    match source {
        CopySource::Path(path) => path.clone(),
        CopySource::Url(url) | CopySource::Git(url) => url.clone(),
        CopySource::Inline { name, .. } => format!("<<{name}"),
    }
}

/// Words as a message shows them; quotes where one holds blanks, so that two lists never look alike.
fn words(words: &[String]) -> String {
    let plain = |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c == '"' || c == '\\');
    let shown = |word: &String| if plain(word) { word.clone() } else { format!("{word:?}") };
    words.iter().map(shown).collect::<Vec<_>>().join(" ")
}

fn facet(is: Aspect, value: String) -> Facet {
    Facet { is, value }
}

fn setting(name: &str, value: String) -> Facet {
    facet(Aspect::Setting(name.to_owned()), value)
}

/// Fields of any bytes, each with its length before it, so that no two lists of fields are one text.
struct Fields(Sha256);

impl Fields {
    fn new(what: &str) -> Self {
        use sha2::Digest as _;
        let mut fields = Self(Sha256::new());
        fields.field(what.as_bytes());
        fields
    }

    fn field(&mut self, bytes: &[u8]) {
        use sha2::Digest as _;
        self.0.update((bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
    }

    fn finish(self) -> Digest {
        use sha2::Digest as _;
        Digest::from_bytes(self.0.finalize().into())
    }
}

#[cfg(test)]
mod tests;
