//! What an instruction asks to be done: the request that a step is carried out by.

use crate::build::instruction::{self, Add, Command, Copy, Files, Instruction, Mount, Run, Source};
use crate::build::source::{Problem, Word};
use crate::build::stages;
use crate::build::steps::request::{
    CopyRequest, CopySource, MountKind, MountRequest, Network, Origin, Ownership, Request, RunRequest, Script,
    Security, Sharing, Verb, WorkdirRequest,
};

use super::{DEFAULT_PATH, Under};

/// The trees that a request reads, each once.
pub fn origins(request: &Request) -> Vec<Origin> {
    let mut origins = match request {
        Request::Run(run) => run.mounts.iter().filter_map(|mount| mount_origin(&mount.kind).cloned()).collect(),
        Request::Copy(copy) if copy.sources.iter().any(|source| matches!(source, CopySource::Path(_))) => {
            vec![copy.origin.clone()]
        }
        Request::Copy(_) | Request::Workdir(_) => Vec::new(),
    };
    origins.sort();
    origins.dedup();
    origins
}

fn mount_origin(kind: &MountKind) -> Option<&Origin> {
    match kind {
        MountKind::Bind { from, .. } | MountKind::Cache { from, .. } => Some(from),
        MountKind::Tmpfs { .. } | MountKind::Secret { .. } | MountKind::Ssh { .. } => None,
    }
}

/// A source as a history shows it.
pub fn source_text(source: &CopySource) -> String {
    match source {
        CopySource::Path(path) => path.clone(),
        CopySource::Url(url) | CopySource::Git(url) => url.clone(),
        CopySource::Inline { name, .. } => format!("<<{name}"),
    }
}

impl Under<'_, '_> {
    pub(super) fn request(&self, instruction: &Instruction) -> Result<Option<Request>, Problem> {
        Ok(match instruction {
            Instruction::Run(run) => Some(Request::Run(self.run(run)?)),
            Instruction::Copy(copy) => Some(Request::Copy(self.copy(copy)?)),
            Instruction::Add(add) => Some(Request::Copy(self.add(add))),
            Instruction::Workdir(_) => Some(Request::Workdir(WorkdirRequest {
                path: self.end.config.working_dir.clone(),
                user: self.end.config.user.clone(),
            })),
            _ => None,
        })
    }

    fn run(&self, run: &Run) -> Result<RunRequest, Problem> {
        let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        let mut env: Vec<(String, String)> = self.end.scope.environment().to_vec();
        if !env.iter().any(|(name, _)| name == "PATH") {
            env.push(("PATH".into(), DEFAULT_PATH.into()));
        }
        env.extend(self.end.scope.arguments().map(own));
        env.extend(self.proxies().map(own));
        let script = match &run.command {
            Command::Script(script) => Some(Script { name: script.name.clone(), body: script.body.clone() }),
            _ => None,
        };
        let mounts = run.mounts.iter().map(|mount| self.mount(&mount.resolve()?)).collect::<Result<_, _>>()?;
        Ok(RunRequest {
            args: self.words(&run.command),
            script,
            env,
            user: self.end.config.user.clone(),
            workdir: self.workdir(),
            mounts,
            network: match run.network {
                instruction::Network::Default => self.planner.wishes.network,
                instruction::Network::None => Network::None,
                instruction::Network::Host => Network::Host,
            },
            security: match run.security {
                instruction::Security::Sandbox => Security::Sandbox,
                instruction::Security::Insecure => Security::Insecure,
            },
            hostname: String::new(),
            extra_hosts: self.planner.wishes.extra_hosts.clone(),
        })
    }

    fn mount(&self, mount: &Mount) -> Result<MountRequest, Problem> {
        let (target, kind) = match mount {
            Mount::Bind(bind) => {
                let from = self.origin(bind.from.as_ref())?;
                let source = bind.source.clone().unwrap_or_else(|| "/".into());
                (bind.target.clone(), MountKind::Bind { from, source, read_only: bind.read_only })
            }
            Mount::Cache(cache) => {
                // What a cache begins with is never the context: nothing there says that it is meant.
                let from = match &cache.from {
                    None => Origin::Scratch,
                    from => self.origin(from.as_ref())?,
                };
                let kind = MountKind::Cache {
                    id: cache.id.clone().unwrap_or_else(|| super::join(&self.workdir(), &cache.target)),
                    sharing: sharing(cache.sharing),
                    read_only: cache.read_only,
                    owner: owner(cache.owner),
                    from,
                    source: cache.source.clone().unwrap_or_else(|| "/".into()),
                };
                (cache.target.clone(), kind)
            }
            Mount::Tmpfs(tmpfs) => (tmpfs.target.clone(), MountKind::Tmpfs { size_bytes: tmpfs.size_bytes }),
            Mount::Secret(secret) => {
                let kind = MountKind::Secret {
                    id: secret.id.clone(),
                    file: secret.target.is_some(),
                    env: secret.env.clone(),
                    required: secret.required,
                    owner: owner(secret.owner),
                };
                (secret.target.clone().unwrap_or_default(), kind)
            }
            Mount::Ssh(ssh) => {
                let kind = MountKind::Ssh { id: ssh.id.clone(), required: ssh.required, owner: owner(ssh.owner) };
                (ssh.target.clone().unwrap_or_default(), kind)
            }
        };
        Ok(MountRequest { target, kind })
    }

    fn copy(&self, copy: &Copy) -> Result<CopyRequest, Problem> {
        let files = self.files(Verb::Copy, &copy.files, self.origin(copy.from.as_ref())?);
        Ok(CopyRequest { parents: copy.parents, ..files })
    }

    fn add(&self, add: &Add) -> CopyRequest {
        CopyRequest {
            unpack_local: add.unpack.unwrap_or(true),
            unpack_fetched: add.unpack.unwrap_or(false),
            checksum: add.checksum.as_ref().map(|checksum| checksum.text.clone()),
            keep_git_dir: add.keep_git_dir.unwrap_or(false),
            ..self.files(Verb::Add, &add.files, Origin::Context)
        }
    }

    fn files(&self, verb: Verb, files: &Files, origin: Origin) -> CopyRequest {
        let text = |word: &Option<Word>| word.as_ref().map(|word| word.text.clone()).filter(|text| !text.is_empty());
        CopyRequest {
            verb,
            origin,
            sources: files.sources.iter().map(|source| copy_source(verb, source)).collect(),
            target: files.target.text.clone(),
            workdir: self.workdir(),
            chown: text(&files.chown),
            chmod: text(&files.chmod),
            parents: false,
            excludes: files.excludes.iter().map(|word| word.text.clone()).collect(),
            link: files.link,
            unpack_local: false,
            unpack_fetched: false,
            checksum: None,
            keep_git_dir: false,
        }
    }

    fn origin(&self, from: Option<&Word>) -> Result<Origin, Problem> {
        Ok(match self.planner.stages.origin(from, self.number)? {
            stages::Origin::Context => Origin::Context,
            stages::Origin::Scratch => Origin::Scratch,
            stages::Origin::Stage(number) => Origin::Stage(number),
            stages::Origin::Image(name) => Origin::Image(name),
        })
    }

    fn workdir(&self) -> String {
        super::join("/", &self.end.config.working_dir)
    }
}

fn copy_source(verb: Verb, source: &Source) -> CopySource {
    match source {
        Source::Inline(inline) => CopySource::Inline { name: inline.name.clone(), text: inline.body.text.clone() },
        Source::Path(path) if verb == Verb::Add => remote(&path.text),
        Source::Path(path) => CopySource::Path(path.text.clone()),
    }
}

/// What `ADD` fetches: a repository is named by its protocol, or by `.git` at the end of its path.
fn remote(text: &str) -> CopySource {
    let is_url = text.starts_with("http://") || text.starts_with("https://");
    let path = text.split(['#', '?']).next().unwrap_or(text);
    if ["git://", "ssh://", "git@"].iter().any(|start| text.starts_with(start)) || (is_url && path.ends_with(".git")) {
        CopySource::Git(text.to_owned())
    } else if is_url {
        CopySource::Url(text.to_owned())
    } else {
        CopySource::Path(text.to_owned())
    }
}

fn sharing(sharing: instruction::Sharing) -> Sharing {
    match sharing {
        instruction::Sharing::Shared => Sharing::Shared,
        instruction::Sharing::Private => Sharing::Private,
        instruction::Sharing::Locked => Sharing::Locked,
    }
}

fn owner(owner: instruction::Ownership) -> Ownership {
    Ownership { uid: owner.uid, gid: owner.gid, mode: owner.mode }
}
