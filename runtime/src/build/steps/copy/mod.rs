//! `COPY` and `ADD`: files of a context, a stage or an image into a layer.
//!
//! The rules are Docker's as BuildKit has them (its `solver/llbsolver/file` and `fsutil/copy`), where they differ from the
//! older builder's:
//!
//! - a source is followed when it is a link itself, and one that leads nowhere is an error; links below it are copied as
//!   links;
//! - of a folder its contents are copied, onto what is there; the target folder itself keeps its owner and mode, and if it
//!   is made it is root's (or `--chown`'s) and 0755; folders below take theirs from the source;
//! - files of a context are root's; with `--from` owners are kept; `--chown` is for both;
//! - the target's links are followed inside the image.
//!
//! What it does otherwise, so that the same files make the same layer: a folder that was there keeps its time, and what
//! has no source (folders on the way, heredocs) has the time 0 or `SOURCE_DATE_EPOCH`. And a context has no pipes and
//! devices, which BuildKit makes anew: they are left out of a folder, and refused as a source.

mod content;
pub mod sources;
pub mod target;
pub mod tree;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

pub use content::Contents;
use rustix::fs::FileType;
pub use tree::Copied;

use super::add::{self, Unpacking};
use super::error::{Place, StepError};
use super::fetch::fetch;
use super::material::{FetchedFile, Materials, Site, Tree, Verdict, at};
use super::merged::{Merged, Written};
use super::mode::Mode;
use super::owner::{self, Owner};
use super::request::{CopyRequest, CopySource, Verb};
use crate::build::ignore::{Ignore, Visit};
use crate::build::pattern;
use crate::image::archive::limits::Limits;
use crate::image::beneath::{Meta, Name};
use crate::image::store::LayerDraft;
use sources::Found;
use target::{Opened, Target, There, open_or_make, there};
use tree::{Copying, OneSource, write_error};

/// Copies into a draft.
pub fn carry_out(
    request: &CopyRequest,
    materials: &Materials,
    site: &Site,
    draft: &LayerDraft,
) -> Result<Copied, StepError> {
    let target = Target::new(&request.target, &request.workdir);
    let several = request.sources.len() > 1;
    if several && !target.must_be_folder {
        return Err(StepError::NoFolder { verb: request.verb, target: request.target.clone() });
    }
    let mode = match &request.chmod {
        Some(text) => Some(Mode::parse(text).ok_or_else(|| StepError::Mode(text.clone()))?),
        None => None,
    };
    let image = open_target(request.link, site, draft)?;
    let owner = match &request.chown {
        None => None,
        Some(chown) if request.link => {
            Some(owner::numbers(chown).ok_or_else(|| StepError::LinkedOwner(chown.clone()))?)
        }
        Some(chown) => Some(owner::look_up(chown, &image.root)?),
    };
    let fetched = &materials.fetched;
    let mut job = Job { request, site, fetched, image: &image, target, owner, mode, copied: Copied::default() };
    let needs_tree = request.sources.iter().any(|source| matches!(source, CopySource::Path(_)));
    let tree = if needs_tree { Some(materials.open(&request.origin, site)?) } else { None };
    let contents = RefCell::new(Contents::default());
    for source in &request.sources {
        match (source, &tree) {
            (CopySource::Path(path), Some(tree)) => job.path(tree, path, &contents)?,
            (CopySource::Path(_), None) => unreachable!("a tree was opened because there is a path"),
            (CopySource::Inline { name, text }, _) => job.inline(name, text)?,
            (CopySource::Url(url), _) => job.url(url)?,
            (CopySource::Git(url), _) => return Err(unsupported_git(request.verb, url)),
        }
    }
    Ok(job.copied)
}

/// Copies what is in a folder of a tree into an empty folder of the host: a cache's first content.
pub fn fill(tree: &Tree, source: &str, folder: &Path) -> Result<Copied, StepError> {
    let to = Merged::plain(folder).map_err(at(folder))?;
    let how = Copying {
        from: tree,
        to: &to.root,
        owner: None,
        mode: None,
        excludes: &|_, _| Verdict::Keep,
        epoch: None,
        contents: &RefCell::new(Contents::default()),
    };
    let mut copied = Copied::default();
    let root = Meta { mode: 0o755, uid: 0, gid: 0, mtime: None };
    for found in sources::find(tree, source)? {
        let opened = open_or_make(&to.root, Path::new("/"), root).map_err(at(folder))?;
        let mut one = OneSource::new(&how, &mut copied);
        match found.is_folder {
            true => one.contents(&found.name, &opened)?,
            false => one.one(&found.name, &Name::root(), &opened, &found.last)?,
        }
    }
    Ok(copied)
}

/// The image so far, to be written to; with `--link` the draft alone, as if there were nothing below.
fn open_target(link: bool, site: &Site, draft: &LayerDraft) -> Result<Merged, StepError> {
    let upper = draft.diff();
    if link {
        return Merged::plain(&upper).map_err(at(&upper));
    }
    let written = Written { upper: &upper, work: &site.folder()? };
    Merged::write(site.layers, &site.folder()?, written).map_err(at(&upper))
}

/// One instruction on its way.
struct Job<'a> {
    request: &'a CopyRequest,
    site: &'a Site<'a>,
    fetched: &'a BTreeMap<String, FetchedFile>,
    image: &'a Merged,
    target: Target,
    owner: Option<Owner>,
    mode: Option<Mode>,
    copied: Copied,
}

impl Job<'_> {
    fn path(&mut self, tree: &Tree, given: &str, contents: &RefCell<Contents>) -> Result<(), StepError> {
        let found = match self.request.parents {
            true => sources::find_with_parents(tree, given)?,
            false => sources::find(tree, given)?,
        };
        if found.is_empty() {
            self.copied.unmatched.push(given.to_owned());
            return Ok(());
        }
        let excludes = Ignore::from_patterns(self.request.excludes.iter().map(String::as_str))?;
        let mode = self.mode.clone();
        let how = Copying {
            from: tree,
            to: &self.image.root,
            owner: self.owner,
            mode: mode.as_ref(),
            excludes: &|name, is_folder| excluded(&excludes, name, is_folder),
            epoch: self.site.epoch,
            contents,
        };
        if self.request.parents {
            return found.iter().try_for_each(|found| self.with_parents(&how, found));
        }
        let is_folder = |path: &Path| Ok(there(&self.image.root, path)? == There::Folder);
        if found.len() > 1
            && !self.target.must_be_folder
            && !is_folder(&self.target.path).map_err(|e| self.failed(e))?
        {
            return Err(StepError::NoFolder { verb: self.request.verb, target: self.request.target.clone() });
        }
        let entries = self.copied.entries;
        found.iter().try_for_each(|found| self.found(&how, found))?;
        // Below a folder it is left out; what is asked for by its name is not.
        let is_named = !pattern::has_wildcards(given) && found.iter().all(|found| !found.is_folder);
        if is_named && self.copied.left_out > 0 && self.copied.entries == entries {
            let why = match tree.is_context() {
                true => "gives files, folders and links; make a pipe in the image with RUN mkfifo",
                false => "is copied in a user namespace, where no device can be made",
            };
            return Err(StepError::Special { path: given.to_owned(), place: Place(tree.origin.clone()), why });
        }
        Ok(())
    }

    fn found(&mut self, how: &Copying, found: &Found) -> Result<(), StepError> {
        if found.is_folder {
            let folder = self.folder_for(&found.name)?;
            OneSource::new(how, &mut self.copied).contents(&found.name, &folder)?;
            return self.leave(folder);
        }
        if self.request.unpack_local && self.unpack(how.from, &found.name)? {
            return Ok(());
        }
        let (folder, last) = self.place_of(&found.last)?;
        let within = Name::root().join(&found.last);
        OneSource::new(how, &mut self.copied).one(&found.name, &within, &folder, &last)?;
        self.leave(folder)
    }

    /// False if it is no archive.
    fn unpack(&mut self, from: &Tree, name: &Name) -> Result<bool, StepError> {
        let path = name.as_path().display().to_string();
        let unread = |source| StepError::Read { path: path.clone(), place: Place(from.origin.clone()), source };
        let (Some(parent), Some(last)) = (name.parent(), name.last()) else { return Ok(false) };
        let folder = sources::open_folder(from, &parent).map_err(unread)?;
        let stat = folder.find(last).map_err(unread)?;
        if !stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::RegularFile) {
            return Ok(false);
        }
        let mut file = folder.read(last).map_err(unread)?;
        if !add::is_archive(&mut file, &path)? {
            return Ok(false);
        }
        self.unpack_file(file, &path)?;
        Ok(true)
    }

    fn unpack_file(&mut self, file: File, path: &str) -> Result<(), StepError> {
        let (implied, epoch) = (self.site_meta(), self.site.epoch);
        let how = Unpacking { owner: self.owner, implied, epoch, limits: Limits::LAYER };
        let folder = open_or_make(&self.image.root, &self.target.path, self.site_meta()).map_err(|e| self.failed(e))?;
        add::unpack(file, path, &folder, &self.image.root, &how, &mut self.copied)?;
        self.leave(folder)
    }

    /// Root's alone unless something else is said, and as old as the server says, as in Docker.
    fn url(&mut self, url: &str) -> Result<(), StepError> {
        if self.request.verb == Verb::Copy {
            return Err(StepError::Refused(format!("COPY takes no URL ({url}); ADD does")));
        }
        if let Some(fetched) = self.fetched.get(url) {
            return self.fetched_file(url, &fetched.path, fetched.modified);
        }
        let path = self.site.work.file();
        let fetched = fetch(url, self.request.checksum.as_deref(), &path)?;
        let result = self.fetched_file(url, &path, fetched.modified);
        std::fs::remove_file(&path).map_err(at(&path))?;
        result
    }

    fn fetched_file(&mut self, url: &str, path: &Path, modified: Option<i64>) -> Result<(), StepError> {
        let mut file = File::open(path).map_err(at(path))?;
        match self.request.unpack_fetched && add::is_archive(&mut file, url)? {
            true => self.unpack_file(file, url),
            false => {
                let mtime = modified.unwrap_or(self.site.made_at());
                let mtime = self.site.epoch.map_or(mtime, |epoch| epoch.min(mtime));
                self.new_file(add::name_of(url), url, 0o600, mtime, &mut file)
            }
        }
    }

    /// The folders that it is in are made as they are in the source, if they are not there.
    fn with_parents(&mut self, how: &Copying, found: &Found) -> Result<(), StepError> {
        let mut folder = self.target_folder()?;
        let depth = found.below.depth();
        let base = found.name.as_path().iter().count().saturating_sub(depth);
        let mut name = found.name.as_path().iter().take(base).fold(Name::root(), |name, part| name.join(part));
        let parents = found.below.parent().unwrap_or_else(Name::root);
        for part in parents.as_path().iter() {
            name = name.join(part);
            OneSource::new(how, &mut self.copied).folder_alone(&name, &folder, part)?;
            let path = Path::new("/").join(folder.name.join(part).as_path());
            let next = open_or_make(&self.image.root, &path, self.site_meta()).map_err(|e| self.failed(e))?;
            std::mem::replace(&mut folder, next).leave().map_err(|e| self.failed(e))?;
        }
        let mut source = OneSource::new(how, &mut self.copied);
        match found.below.last() {
            Some(last) => source.one(&found.name, &found.below, &folder, last)?,
            None => source.contents(&found.name, &folder)?,
        }
        self.leave(folder)
    }

    fn inline(&mut self, name: &str, text: &str) -> Result<(), StepError> {
        self.new_file(OsStr::new(name), &format!("<<{name}"), 0o644, self.site.made_at(), &mut text.as_bytes())
    }

    /// A file that comes from nowhere in a tree.
    fn new_file(
        &mut self,
        name: &OsStr,
        shown: &str,
        mode: u32,
        mtime: i64,
        content: &mut dyn Read,
    ) -> Result<(), StepError> {
        let (folder, last) = self.place_of(name)?;
        let to = folder.name.join(&last);
        let failed = |error| write_error(&to, error);
        if there(&self.image.root, &Path::new("/").join(to.as_path())).map_err(failed)? == There::Folder {
            let why = "there is a folder, and a file does not replace it".to_owned();
            return Err(StepError::Unfit { path: shown.to_owned(), to: to.to_string(), why });
        }
        let mode = self.mode.as_ref().map_or(mode, |change| change.of(mode, false));
        let meta = Meta { mode, mtime: Some(mtime), ..self.site_meta() };
        folder.folder.remove(&last).map_err(failed)?;
        let bytes = folder.folder.file(&last, meta, &[], |file| io::copy(content, file)).map_err(failed)?;
        self.copied.entries += 1;
        self.copied.bytes += bytes;
        self.leave(folder)
    }

    /// The target as a folder.
    fn target_folder(&self) -> Result<Opened, StepError> {
        open_or_make(&self.image.root, &self.target.path, self.parent_meta()).map_err(|error| self.failed(error))
    }

    /// The folder that the contents of another go into.
    fn folder_for(&self, from: &Name) -> Result<Opened, StepError> {
        if let There::File(to) = there(&self.image.root, &self.target.path).map_err(|error| self.failed(error))? {
            let why = "there is a file, and a folder does not replace it".to_owned();
            return Err(StepError::Unfit { path: from.as_path().display().to_string(), to: to.to_string(), why });
        }
        self.target_folder()
    }

    /// Where a file called `last` goes: into the target, or as the target.
    fn place_of(&self, last: &OsStr) -> Result<(Opened, OsString), StepError> {
        let root = &self.image.root;
        let failed = |error| self.failed(error);
        if self.target.must_be_folder || there(root, &self.target.path).map_err(failed)? == There::Folder {
            return Ok((self.target_folder()?, last.to_owned()));
        }
        // A link leads to the file that is written, there or not.
        let resolved = root.resolve(&self.target.path).map_err(failed)?.path;
        let (Some(parent), Some(last)) = (resolved.parent(), resolved.file_name()) else {
            return Ok((self.target_folder()?, last.to_owned()));
        };
        let folder = open_or_make(root, &Path::new("/").join(parent), self.parent_meta()).map_err(failed)?;
        Ok((folder, last.to_owned()))
    }

    fn leave(&self, folder: Opened) -> Result<(), StepError> {
        folder.leave().map_err(|error| self.failed(error))
    }

    /// Of what has no source.
    fn site_meta(&self) -> Meta {
        let Owner { uid, gid } = contents_owner(self.owner);
        Meta { mode: 0o755, uid, gid, mtime: Some(self.site.made_at()) }
    }

    fn parent_meta(&self) -> Meta {
        Meta { mode: self.mode.as_ref().map_or(0o755, Mode::of_parent), ..self.site_meta() }
    }

    fn failed(&self, source: io::Error) -> StepError {
        let why = match source.kind() {
            io::ErrorKind::NotADirectory => io::Error::new(source.kind(), "a part of it is a file, not a folder"),
            _ => source,
        };
        StepError::Write { to: self.target.path.display().to_string(), source: why }
    }
}

/// What `--exclude` says of a name.
fn excluded(excludes: &Ignore, name: &Name, is_folder: bool) -> Verdict {
    let text = name.as_path().to_string_lossy();
    match is_folder {
        _ if excludes.is_empty() => Verdict::Keep,
        true => match excludes.visit(&text) {
            Visit::Keep => Verdict::Keep,
            Visit::LookInside => Verdict::Drop,
            Visit::Skip => Verdict::DropAll,
        },
        false if excludes.excludes(&text) => Verdict::DropAll,
        false => Verdict::Keep,
    }
}

fn contents_owner(owner: Option<Owner>) -> Owner {
    owner.unwrap_or_default()
}

fn unsupported_git(verb: Verb, url: &str) -> StepError {
    StepError::Refused(match verb {
        Verb::Copy => format!("COPY takes no repository ({url}); ADD does elsewhere, and here a RUN git clone"),
        Verb::Add => {
            format!("ADD of a repository ({url}) is not supported; clone it in a RUN, or beside the Dockerfile")
        }
    })
}
