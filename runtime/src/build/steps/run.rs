//! `RUN`: a program in a container made of the image so far.

use std::io;
use std::path::{Path, PathBuf};

use super::caches::{self, Cache, Emptied};
use super::copy;
use super::error::{ExitWords, LastLines, StepError};
use super::mask;
use super::material::{Materials, Site, at};
use super::output::{Line, Output, Stream};
use super::request::{MountKind, MountRequest, Network, Origin, Ownership, RunRequest, Security};
use super::secrets::Secrets;
use crate::container::spec::{self, Mount, Scratch, Source};
use crate::container::{Cancel, ContainerSpec, Exit, Input, Runner, Said};
use crate::image::show::size;
use crate::image::store::LayerDraft;

/// What a program finds where nothing was said, as in Docker.
const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// BuildKit's is `buildkitsandbox`.
const DEFAULT_HOSTNAME: &str = "build";

/// Of a tmpfs that anybody in the container may use, as /tmp.
const TMPFS_MODE: u32 = 0o1777;

/// How much of a command an error quotes.
const COMMAND_MAX_CHARS: usize = 120;

/// What runs steps.
pub struct Runs<'a> {
    pub runner: &'a Runner,
    pub cancel: &'a Cancel,
    /// Letters, digits and hyphens; for messages and groups.
    pub name: &'a str,
    /// How large a cache may be once a step has ended.
    pub cache_max_bytes: u64,
}

/// Runs a program to its end; what it writes is in the draft. There is no limit of time: `cancel` ends it.
pub fn carry_out(
    request: &RunRequest,
    materials: &Materials,
    site: &Site,
    draft: &LayerDraft,
    runs: &Runs,
    said: &mut dyn FnMut(Line),
) -> Result<(), StepError> {
    if request.security == Security::Insecure {
        let why = "RUN --security=insecure would give the step all rights of the builder, which is not offered";
        return Err(StepError::Refused(why.into()));
    }
    let mut held =
        Held { site, materials, runs, mounts: Vec::new(), env: request.env.clone(), caches: Vec::new(), secrets: None };
    for mount in &request.mounts {
        held.mount(request, mount)?;
    }
    if let Some(script) = &request.script {
        held.script(&script.name, &script.body)?;
    }
    if !held.env.iter().any(|(key, _)| key == "PATH") {
        held.env.push(("PATH".into(), DEFAULT_PATH.into()));
    }
    let args: Vec<&str> = request.args.iter().map(String::as_str).collect();
    let layers = if site.layers.is_empty() { vec![site.folder()?] } else { site.layers.to_vec() };
    let container = ContainerSpec {
        env: std::mem::take(&mut held.env),
        cwd: PathBuf::from(&request.workdir),
        user: request.user.clone(),
        hostname: if request.hostname.is_empty() { DEFAULT_HOSTNAME.into() } else { request.hostname.clone() },
        mounts: std::mem::take(&mut held.mounts),
        network: match request.network {
            Network::Default | Network::Host => spec::Network::Host,
            Network::None => spec::Network::None,
        },
        extra_hosts: request.extra_hosts.iter().map(|(name, address)| (address.clone(), name.clone())).collect(),
        ..ContainerSpec::new(runs.name, layers, draft.diff(), site.folder()?, &args)
    };
    let mut output = Output::new(said);
    let ended = runs.runner.run(&container, Input::Nothing, None, runs.cancel, &mut |said| match said {
        Said::Step(_) => {}
        Said::Out(bytes) => output.take(Stream::Out, bytes),
        Said::Err(bytes) => output.take(Stream::Err, bytes),
    });
    let last = LastLines(output.finish());
    held.end_caches(said);
    match ended? {
        Exit::Code(0) => Ok(()),
        exit => {
            Err(StepError::Failed { command: command(&request.args), exit: ExitWords(exit), code: exit.code(), last })
        }
    }
}

/// A command as people wrote it: of `/bin/sh -c TEXT` the text.
fn command(args: &[String]) -> String {
    let text = match args {
        [_, flag, text] if flag == "-c" => text.clone(),
        args => args.join(" "),
    };
    let line = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default().trim();
    let more = text.trim().lines().nth(1).is_some() || line.chars().count() > COMMAND_MAX_CHARS;
    let shown: String = line.chars().take(COMMAND_MAX_CHARS).collect();
    if more { format!("{shown}…") } else { shown }
}

/// What a step has for as long as it runs.
struct Held<'a> {
    site: &'a Site<'a>,
    materials: &'a Materials<'a>,
    runs: &'a Runs<'a>,
    mounts: Vec<Mount>,
    env: Vec<(String, String)>,
    caches: Vec<Cache>,
    secrets: Option<Secrets>,
}

impl Held<'_> {
    fn mount(&mut self, request: &RunRequest, mount: &MountRequest) -> Result<(), StepError> {
        let target = target(&request.workdir, &mount.target)?;
        match &mount.kind {
            MountKind::Bind { from, source, read_only } => {
                let from = self.bind(from, source, *read_only)?;
                self.add(from, target, *read_only);
            }
            MountKind::Cache { id, sharing, read_only, owner, from, source } => {
                let cache = self.cache(id, *sharing, *owner, from, source)?;
                self.add(Source::Path { root: cache.data.clone(), path: "/".into() }, target, *read_only);
                self.caches.push(cache);
            }
            MountKind::Tmpfs { size_bytes } => {
                self.add(Source::Tmpfs { size_bytes: *size_bytes, mode: TMPFS_MODE }, target, false);
            }
            MountKind::Secret { id, file, env, required, owner } => {
                let Some(secret) = self.materials.secrets.get(id) else {
                    return absent(*required, &format!("the secret {id:?}"), &format!("--secret id={id},src=FILE"));
                };
                if let Some(name) = env {
                    let value = String::from_utf8(secret.clone()).map_err(|_| {
                        StepError::Mount(format!("the secret {id:?} is no text, and a variable holds nothing else"))
                    })?;
                    self.env.push((name.clone(), value));
                }
                if *file {
                    self.secret(id, secret, *owner, target)?;
                }
            }
            MountKind::Ssh { id, required, owner } => {
                let Some(socket) = self.materials.agents.get(id) else {
                    return absent(*required, &format!("the ssh agent {id:?}"), &format!("--ssh {id}=SOCKET"));
                };
                if owner.uid.is_some_and(|uid| uid != 0) || owner.gid.is_some_and(|gid| gid != 0) {
                    let why = "type=ssh with an owner: the agent's socket is mounted as it is, and is root's";
                    return Err(StepError::Mount(why.into()));
                }
                let (Some(root), Some(path)) = (socket.parent(), socket.file_name()) else {
                    return Err(StepError::Mount(format!("{} is no socket", socket.display())));
                };
                self.env.push(("SSH_AUTH_SOCK".into(), target.display().to_string()));
                self.add(Source::Path { root: root.to_owned(), path: path.into() }, target, false);
            }
        }
        Ok(())
    }

    fn add(&mut self, from: Source, at: PathBuf, read_only: bool) {
        self.mounts.push(Mount { from, at, read_only });
    }

    /// What is written to one that may be written to is thrown away, as in Docker.
    fn bind(&self, from: &Origin, source: &str, read_only: bool) -> Result<Source, StepError> {
        let path = Path::new("/").join(source);
        // Opened so that what is missing is said in the words of COPY.
        let tree = self.materials.open(from, self.site)?;
        if tree.merged.root.find(&path).is_err() {
            let hint = super::error::Hint::default();
            return Err(StepError::Missing { path: source.to_owned(), place: super::error::Place(from.clone()), hint });
        }
        let layers = match (from, self.materials.context) {
            (Origin::Context, Some(context)) => {
                let mask = self.site.folder()?;
                let hides = context.has_ignored && mask::fill(&tree, &mask).map_err(at(context.path))?;
                match hides {
                    true => vec![context.path.to_owned(), mask],
                    false if read_only => return Ok(Source::Path { root: context.path.to_owned(), path }),
                    false => vec![context.path.to_owned()],
                }
            }
            (from, _) => match self.materials.trees.get(from) {
                Some(layers) if !layers.is_empty() => layers.clone(),
                _ => vec![self.site.folder()?],
            },
        };
        let scratch = match read_only {
            true => None,
            false => Some(Scratch { upper: self.site.folder()?, work: self.site.folder()? }),
        };
        Ok(Source::Layers { layers, path, scratch })
    }

    fn cache(
        &self,
        id: &str,
        sharing: super::request::Sharing,
        owner: Ownership,
        from: &Origin,
        source: &str,
    ) -> Result<Cache, StepError> {
        let mut fill = |data: &Path| -> io::Result<()> {
            let metadata = Ownership { mode: Some(owner.mode.unwrap_or(0o755)), ..owner };
            if *from != Origin::Scratch {
                let tree = self.materials.open(from, self.site).map_err(io::Error::other)?;
                copy::fill(&tree, source, data).map_err(io::Error::other)?;
            }
            std::os::unix::fs::chown(data, Some(metadata.uid.unwrap_or(0)), Some(metadata.gid.unwrap_or(0)))?;
            let mode = std::os::unix::fs::PermissionsExt::from_mode(metadata.mode.unwrap_or(0o755));
            std::fs::set_permissions(data, mode)
        };
        let given_up = || self.runs.cancel.is_cancelled();
        caches::open(self.site.store, self.site.work, id, sharing, &mut fill, &given_up)
            .map_err(|source| StepError::Cache { id: id.to_owned(), source })
    }

    /// What is too large once the step has ended is emptied, and said: the next step that needs it fills it again.
    fn end_caches(&mut self, said: &mut dyn FnMut(Line)) {
        let max = self.runs.cache_max_bytes;
        let mut tell = |text: String| said(Line { stream: Stream::Err, text: &text });
        for cache in std::mem::take(&mut self.caches) {
            match caches::empty_above(self.site.work, cache, max) {
                Ok(Emptied::No) => {}
                Ok(Emptied::Yes { id, bytes }) => tell(format!(
                    "the cache {id:?} has {} after this step, and {} are allowed (--cache-mount-max): it was emptied",
                    size(bytes),
                    size(max)
                )),
                Ok(Emptied::InUse { id, bytes }) => tell(format!(
                    "the cache {id:?} has {} after this step, and {} are allowed (--cache-mount-max); another step uses \
                     it, so it stays for now",
                    size(bytes),
                    size(max)
                )),
                Err(error) => tell(format!("cannot find out how large a cache is: {error}")),
            }
        }
    }

    fn secret(&mut self, id: &str, secret: &[u8], owner: Ownership, target: PathBuf) -> Result<(), StepError> {
        let failed = |error: io::Error| StepError::Mount(format!("cannot keep the secret {id:?} in memory: {error}"));
        if self.secrets.is_none() {
            self.secrets = Some(Secrets::new().map_err(failed)?);
        }
        let secrets = self.secrets.as_mut().expect("it was made above");
        let (root, path) = secrets.add(secret, owner).map_err(failed)?;
        self.add(Source::Path { root, path }, target, true);
        Ok(())
    }

    /// A heredoc that begins with `#!` is a file that is executed.
    fn script(&mut self, name: &str, body: &str) -> Result<(), StepError> {
        let is_plain = !name.is_empty() && !name.contains('/') && name != "." && name != "..";
        if !is_plain {
            return Err(StepError::Refused(format!("<<{name} cannot be a file's name")));
        }
        let root = self.site.folder()?;
        let path = root.join(name);
        std::fs::write(&path, body).map_err(at(&path))?;
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(&path, mode).map_err(at(&path))?;
        self.add(Source::Path { root, path: name.into() }, Path::new("/dev/pipes").join(name), true);
        Ok(())
    }
}

/// Absolute, and not `/` itself.
fn target(workdir: &str, target: &str) -> Result<PathBuf, StepError> {
    let path = Path::new("/").join(workdir).join(target);
    let clean: PathBuf = path.components().filter(|part| *part != std::path::Component::CurDir).collect();
    let leads_up = clean.components().any(|part| part == std::path::Component::ParentDir);
    if clean == Path::new("/") || leads_up {
        return Err(StepError::Mount(format!(
            "a mount at {target:?} would hide the image; name a folder below /, without .."
        )));
    }
    Ok(clean)
}

fn absent(required: bool, what: &str, how: &str) -> Result<(), StepError> {
    match required {
        true => Err(StepError::Mount(format!("the step needs {what}, which was not given; give it by {how}"))),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_was_written() {
        let shown = |args: &[&str]| command(&args.iter().map(ToString::to_string).collect::<Vec<_>>());
        assert_eq!(shown(&["/bin/sh", "-c", "go build ./..."]), "go build ./...");
        assert_eq!(shown(&["/bin/sh", "-c", "<<EOF\na\nEOF"]), "<<EOF…");
        assert_eq!(shown(&["go", "build"]), "go build");
        assert_eq!(shown(&["x".repeat(500).as_str()]).chars().count(), COMMAND_MAX_CHARS + 1);
    }

    #[test]
    fn a_mount_lies_below_the_working_directory_or_the_root_and_never_over_it() {
        assert_eq!(target("/src", "out").unwrap(), Path::new("/src/out"));
        assert_eq!(target("/src", "/out/./x").unwrap(), Path::new("/out/x"));
        assert!(target("/", "").is_err() && target("/src", "/").is_err() && target("/", "../x").is_err());
    }

    #[test]
    fn what_is_needed_and_not_given_says_how_to_give_it() {
        let error = absent(true, "the secret \"token\"", "--secret id=token,src=FILE").unwrap_err().to_string();
        assert_eq!(
            error,
            "the step needs the secret \"token\", which was not given; give it by --secret id=token,src=FILE"
        );
        assert!(absent(false, "", "").is_ok());
    }
}
