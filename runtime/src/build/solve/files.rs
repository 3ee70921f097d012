//! Which files a step reads, and what of them belongs to its key.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;

use rustix::fs::{FileType, Stat};

use super::bases::Bases;
use super::{BuildError, Building, verdict};
use crate::build::context::{self, Entry};
use crate::build::ignore::Ignore;
use crate::build::key::{FileFact, FileKind, Parts, base_key, file_name};
use crate::build::plan::origins;
use crate::build::steps::copy::sources::{Found, find, find_with_parents, open_folder};
use crate::build::steps::error::Place;
use crate::build::steps::material::{FetchedFile, Tree};
use crate::build::steps::request::{CopySource, MountKind, Origin, Request};
use crate::build::steps::{Context, Materials, Site, StepError};
use crate::image::Digest;
use crate::image::archive::limits::DEPTH_MAX;
use crate::image::beneath::{Device, Folder, Name, attributes};
use crate::image::store::{Layer, Work};

/// Holds a file's capabilities (capabilities(7)).
const CAPABILITY: &str = "security.capability";

pub enum FilesError {
    Step(StepError),
    Build(BuildError),
}

impl From<StepError> for FilesError {
    fn from(error: StepError) -> Self {
        Self::Step(error)
    }
}

impl<E: Into<BuildError>> From<E> for FilesError {
    fn from(error: E) -> Self {
        Self::Build(error.into())
    }
}

/// The layers of every tree that a step may name, bottom to top.
pub struct Origins {
    layers: BTreeMap<Origin, Vec<Layer>>,
}

impl Origins {
    pub fn new(mut stages: BTreeMap<Origin, Vec<Layer>>, bases: &Bases) -> Self {
        let images = bases.all().map(|(name, image)| (Origin::Image(name.to_owned()), image.layers.clone()));
        stages.extend(images);
        Self { layers: stages }
    }

    fn digests(&self, origin: &Origin) -> Vec<Digest> {
        self.layers.get(origin).into_iter().flatten().map(|layer| layer.diff_id).collect()
    }
}

/// Gives `work` everything that a step may read.
pub fn with_materials<T>(
    site: &Building,
    origins: &Origins,
    fetched: &BTreeMap<String, FetchedFile>,
    work: impl FnOnce(&Materials) -> T,
) -> T {
    let paths = |layers: &Vec<Layer>| layers.iter().map(|layer| layer.path.clone()).collect::<Vec<PathBuf>>();
    let judge = |name: &Name, is_folder: bool| verdict(site.ignore, name, is_folder);
    let ignored_by = |name: &Name| {
        let (file, _) = site.job.ignore.as_ref()?;
        site.ignore.excludes(&name.as_path().to_string_lossy()).then(|| file.clone())
    };
    let has_ignored = !site.ignore.is_empty();
    let context =
        site.job.context.as_ref().map(|path| Context { path, has_ignored, verdict: &judge, ignored_by: &ignored_by });
    let trees = origins.layers.iter().map(|(origin, layers)| (origin.clone(), paths(layers)));
    work(&Materials {
        context,
        trees: trees.collect(),
        secrets: site.job.secrets.clone(),
        agents: site.job.agents.clone(),
        fetched: fetched.clone(),
    })
}

/// The files that a request reads, as its key counts them.
pub fn of(
    site: &Building,
    request: &Request,
    work: &Work,
    origins: &Origins,
) -> Result<BTreeMap<String, FileFact>, FilesError> {
    let mut facts = BTreeMap::new();
    for wanted in wanted(request) {
        let reading = Reading { site, work, origins, wanted: &wanted };
        let found = match &wanted.origin {
            Origin::Scratch => BTreeMap::new(),
            Origin::Context => reading.of_context()?,
            origin => reading.of_layers(origin)?,
        };
        // Files of a copy need no word about where they are from: its instruction has it.
        let prefix = if wanted.is_mount && wanted.origin != Origin::Context {
            format!("{}: ", Place(wanted.origin.clone()))
        } else {
            String::new()
        };
        facts.extend(found.into_iter().map(|(name, fact)| (format!("{prefix}{name}"), fact)));
    }
    Ok(facts)
}

/// Whether the files of the context are still what the key says, after a step has read them.
pub fn check_unchanged(site: &Building, request: &Request, parts: &Parts) -> Result<(), BuildError> {
    let Some(context) = site.context.as_ref().filter(|_| origins(request).contains(&Origin::Context)) else {
        return Ok(());
    };
    let context = context.lock().expect("no step panics while it holds the context");
    for name in context.entries().keys().filter(|name| parts.files.contains_key(&file_name(name))) {
        context.check_unchanged(name)?;
    }
    Ok(())
}

/// One source of a request.
struct Wanted {
    origin: Origin,
    source: String,
    parents: bool,
    excludes: Vec<String>,
    is_mount: bool,
    /// What is copied keeps its owner, unless one is named.
    keeps_owner: bool,
}

fn wanted(request: &Request) -> Vec<Wanted> {
    match request {
        Request::Workdir(_) => Vec::new(),
        Request::Copy(copy) => {
            let paths = copy.sources.iter().filter_map(|source| match source {
                CopySource::Path(path) => Some(path.clone()),
                CopySource::Url(_) | CopySource::Git(_) | CopySource::Inline { .. } => None,
            });
            let of = |source| Wanted {
                origin: copy.origin.clone(),
                source,
                parents: copy.parents,
                excludes: copy.excludes.clone(),
                is_mount: false,
                keeps_owner: copy.chown.is_none(),
            };
            paths.map(of).collect()
        }
        // What a cache begins with says nothing about what it holds.
        Request::Run(run) => {
            let binds = run.mounts.iter().filter_map(|mount| match &mount.kind {
                MountKind::Bind { from, source, .. } => Some((from.clone(), source.clone())),
                _ => None,
            });
            let of = |(origin, source): (Origin, String)| Wanted {
                origin,
                source: source.trim_start_matches('/').to_owned(),
                parents: false,
                excludes: Vec::new(),
                is_mount: true,
                keeps_owner: true,
            };
            binds.map(of).collect()
        }
    }
}

struct Reading<'a> {
    site: &'a Building<'a>,
    work: &'a Work,
    origins: &'a Origins,
    wanted: &'a Wanted,
}

impl Reading<'_> {
    /// From the list of the context: digests of contents that have not changed are remembered.
    fn of_context(&self) -> Result<BTreeMap<String, FileFact>, FilesError> {
        let found = self.with_tree(|tree| self.find(tree))?;
        let context = self.site.context.as_ref().expect("the context was opened because this step reads it");
        let mut context = context.lock().expect("no step panics while it holds the context");
        let excluded = self.excluded()?;
        let mut named: Vec<(String, Name)> = Vec::new();
        for one in &found {
            let below = context.entries().range(one.name.clone()..).map(|(name, _)| name);
            let below = below.take_while(|name| name.as_path().starts_with(one.name.as_path()));
            for name in below {
                let relative = name.as_path().strip_prefix(one.name.as_path()).unwrap_or(name.as_path());
                if !excluded(relative, &one.last) {
                    named.push((shown(one, name), name.clone()));
                }
            }
        }
        let names: Vec<Name> = named.iter().map(|(_, name)| name.clone()).collect();
        context.know(&names)?;
        Ok(named.into_iter().map(|(shown, name)| (shown, fact_of_entry(&context.entries()[&name]))).collect())
    }

    /// From layers, which never change: what was worked out once is remembered.
    fn of_layers(&self, origin: &Origin) -> Result<BTreeMap<String, FileFact>, FilesError> {
        let Wanted { source, parents, excludes, keeps_owner, .. } = self.wanted;
        let asked =
            format!("{} {source} {parents} {excludes:?} {keeps_owner}", base_key(&self.origins.digests(origin)));
        let asked = Digest::of(asked.as_bytes());
        if let Some(facts) = self.site.cache.tree(&asked) {
            return Ok(facts);
        }
        let facts = self.with_tree(|tree| {
            let excluded = self.excluded()?;
            let mut walk = Walk { facts: BTreeMap::new(), excluded: &excluded, keeps_owner: *keeps_owner };
            for one in self.find(tree)? {
                walk.found(tree, &one).map_err(|source| self.unreadable(source))?;
            }
            Ok(walk.facts)
        })?;
        self.site.cache.set_tree(&asked, &facts)?;
        Ok(facts)
    }

    fn with_tree<T>(&self, work: impl FnOnce(&Tree) -> Result<T, FilesError>) -> Result<T, FilesError> {
        let site = Site { store: self.site.tools.store, work: self.work, layers: &[], epoch: None };
        with_materials(self.site, self.origins, &BTreeMap::new(), |materials| {
            work(&materials.open(&self.wanted.origin, &site)?)
        })
    }

    fn find(&self, tree: &Tree) -> Result<Vec<Found>, FilesError> {
        Ok(match self.wanted.parents {
            true => find_with_parents(tree, &self.wanted.source)?,
            false => find(tree, &self.wanted.source)?,
        })
    }

    fn excluded(&self) -> Result<impl Fn(&std::path::Path, &std::ffi::OsStr) -> bool + use<>, FilesError> {
        let excludes = Ignore::from_patterns(self.wanted.excludes.iter().map(String::as_str));
        let excludes = excludes.map_err(|error| StepError::Refused(error.to_string()))?;
        Ok(move |relative: &std::path::Path, last: &std::ffi::OsStr| match relative.as_os_str().is_empty() {
            _ if excludes.is_empty() => false,
            true => excludes.excludes(&last.to_string_lossy()),
            false => excludes.excludes(&relative.to_string_lossy()),
        })
    }

    fn unreadable(&self, source: io::Error) -> FilesError {
        let Wanted { origin, source: path, .. } = self.wanted;
        FilesError::Step(StepError::Read { path: path.clone(), place: Place(origin.clone()), source })
    }
}

/// A name as a key counts it: where a link led is not what the file will be called.
fn shown(found: &Found, name: &Name) -> String {
    let own = found.name.last().unwrap_or_default();
    match name == &found.name && !found.is_folder && own != found.last {
        true => format!("{} as {}", file_name(name), found.last.to_string_lossy()),
        false => file_name(name),
    }
}

fn fact_of_entry(entry: &Entry) -> FileFact {
    let (kind, content) = match &entry.kind {
        context::Kind::File(digest) => (FileKind::File, *digest),
        context::Kind::Folder => (FileKind::Folder, None),
        context::Kind::Link(to) => (FileKind::Link, Some(Digest::of(to))),
    };
    let mode = if kind == FileKind::Link { 0 } else { entry.mode };
    FileFact { kind, mode, content, capability: None, owner: None }
}

/// A walk through a tree of layers.
struct Walk<'a> {
    facts: BTreeMap<String, FileFact>,
    excluded: &'a dyn Fn(&std::path::Path, &std::ffi::OsStr) -> bool,
    keeps_owner: bool,
}

impl Walk<'_> {
    fn found(&mut self, tree: &Tree, found: &Found) -> io::Result<()> {
        match (found.name.parent(), found.name.last()) {
            (Some(parent), Some(last)) => self.entry(&open_folder(tree, &parent)?, last, &found.name, found),
            _ => self.folder(&open_folder(tree, &found.name)?, &found.name, found),
        }
    }

    fn entry(&mut self, folder: &Folder, last: &std::ffi::OsStr, name: &Name, found: &Found) -> io::Result<()> {
        let relative = name.as_path().strip_prefix(found.name.as_path()).unwrap_or(name.as_path());
        let Some(stat) = folder.find(last)? else { return Ok(()) };
        let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
        if !(self.excluded)(relative, &found.last) {
            self.facts.insert(shown(found, name), self.fact(folder, last, &stat)?);
        }
        if is_folder {
            self.folder(&folder.enter(last)?, name, found)?;
        }
        Ok(())
    }

    fn folder(&mut self, folder: &Folder, name: &Name, found: &Found) -> io::Result<()> {
        if name.as_path().iter().count() >= DEPTH_MAX {
            return Err(io::Error::other(format!("{name} is more than {DEPTH_MAX} folders deep")));
        }
        folder.list()?.iter().try_for_each(|last| self.entry(folder, last, &name.join(last), found))
    }

    fn fact(&self, folder: &Folder, last: &std::ffi::OsStr, stat: &Stat) -> io::Result<FileFact> {
        let (mut capability, mode) = (None, stat.st_mode & 0o7777);
        let (kind, mode, content) = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => {
                let file = folder.read(last)?;
                let all = attributes(&file)?;
                capability = all.iter().find(|(name, _)| name == CAPABILITY).map(|(_, value)| Digest::of(value));
                (FileKind::File, mode, Some(Digest::of_reader(file)?))
            }
            FileType::Directory => (FileKind::Folder, mode, None),
            FileType::Symlink => (FileKind::Link, 0, Some(Digest::of(&folder.read_link(last)?))),
            _ => (FileKind::Special, mode, Some(Digest::of(format!("{:?}", Device::of(stat)).as_bytes()))),
        };
        let owner = self.keeps_owner.then_some((stat.st_uid, stat.st_gid));
        Ok(FileFact { kind, mode, content, capability, owner })
    }
}
