//! Copying one source, a file or what is in a folder, from one open folder to another.

use std::cell::RefCell;
use std::collections::HashMap;
use std::ffi::OsStr;
use std::io;

use rustix::fs::{FileType, Stat};

use super::super::error::{Place, StepError};
use super::super::material::{Tree, Verdict};
use super::super::mode::Mode;
use super::super::owner::Owner;
use super::content::Contents;
use super::target::{Opened, time_of};
use crate::container::in_root::InRoot;
use crate::image::archive::entry::is_kept_attribute;
use crate::image::archive::limits::DEPTH_MAX;
use crate::image::beneath::{Device, Folder, Meta, Name, Xattr, attributes};

/// How many names of what was left out are kept to be shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// What was copied.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files, links and folders.
    pub entries: u64,
    pub bytes: u64,
    /// Sockets, pipes and devices of a context, which belong to a machine and not to sources; devices that cannot be made
    /// in a user namespace.
    pub left_out: u64,
    pub left_out_first: Vec<String>,
    /// Patterns that nothing fitted: no error, as in Docker.
    pub unmatched: Vec<String>,
}

/// How it is copied.
pub struct Copying<'a> {
    pub from: &'a Tree<'a>,
    pub to: &'a InRoot,
    /// Of everything; without it files of a context are root's, others keep what they have.
    pub owner: Option<Owner>,
    pub mode: Option<&'a Mode>,
    /// What the request leaves out, by its name below the source.
    pub excludes: &'a dyn Fn(&Name, bool) -> Verdict,
    /// No file is younger.
    pub epoch: Option<i64>,
    pub contents: &'a RefCell<Contents>,
}

/// The copying of one source. Hard links are kept within it.
pub struct OneSource<'a> {
    how: &'a Copying<'a>,
    /// Of every file with several names, by device and inode: where its first one went.
    first_names: HashMap<(u64, u64), Name>,
    copied: &'a mut Copied,
}

/// One entry on its way: the folder that it is in and what it is called there, and the same of where it goes.
#[derive(Clone, Copy)]
struct Way<'a> {
    from: &'a Folder,
    from_last: &'a OsStr,
    names: &'a Names,
    to: &'a Folder,
    to_file: &'a Name,
    last: &'a OsStr,
}

/// What something is called: in its tree, and below the source that it is copied with.
struct Names {
    origin: Name,
    within: Name,
}

impl Names {
    fn join(&self, last: &OsStr) -> Self {
        Self { origin: self.origin.join(last), within: self.within.join(last) }
    }
}

impl<'a> OneSource<'a> {
    pub fn new(how: &'a Copying<'a>, copied: &'a mut Copied) -> Self {
        Self { how, first_names: HashMap::new(), copied }
    }

    /// What is in the folder `name`, into a folder that is open.
    pub fn contents(&mut self, name: &Name, to: &Opened) -> Result<(), StepError> {
        let from = super::sources::open_folder(self.how.from, name).map_err(|error| self.how.unread(name, error))?;
        self.below(&from, &Names { origin: name.clone(), within: Name::root() }, &to.folder, &to.name)
    }

    /// One file or folder, as `last` in a folder that is open. `within` is what excludes are about.
    pub fn one(&mut self, name: &Name, within: &Name, to: &Opened, last: &OsStr) -> Result<(), StepError> {
        let (Some(parent), Some(from_last)) = (name.parent(), name.last()) else { return self.contents(name, to) };
        let from = super::sources::open_folder(self.how.from, &parent).map_err(|error| self.how.unread(name, error))?;
        let names = Names { origin: name.clone(), within: within.clone() };
        let to_file = &to.name.join(last);
        self.entry(Way { from: &from, from_last, names: &names, to: &to.folder, to_file, last })
    }

    /// A folder alone, where there is none yet: with `--parents` it comes with what it is in.
    pub fn folder_alone(&mut self, name: &Name, to: &Opened, last: &OsStr) -> Result<(), StepError> {
        let stat = to.folder.find(last).map_err(|error| write_error(&to.name.join(last), error))?;
        if stat.is_some() {
            return Ok(());
        }
        let folder = super::sources::open_folder(self.how.from, name).map_err(|error| self.how.unread(name, error))?;
        let stat = folder.stat().map_err(|error| self.how.unread(name, error))?;
        let xattrs = self.attributes(&folder, OsStr::new(".")).map_err(|error| self.how.unread(name, error))?;
        let meta = self.meta(&stat, true);
        to.folder.directory(last, meta, &xattrs).map_err(|error| write_error(&to.name.join(last), error))
    }

    fn below(&mut self, from: &Folder, names: &Names, to: &Folder, to_name: &Name) -> Result<(), StepError> {
        if names.within.depth() >= DEPTH_MAX {
            return Err(StepError::Depth { path: names.origin.to_string(), max: DEPTH_MAX });
        }
        for last in from.list().map_err(|error| self.how.unread(&names.origin, error))? {
            let (names, to_file) = (&names.join(&last), &to_name.join(&last));
            self.entry(Way { from, from_last: &last, names, to, to_file, last: &last })?;
        }
        Ok(())
    }

    fn entry(&mut self, way: Way) -> Result<(), StepError> {
        let Way { from, from_last, names, to, to_file, last } = way;
        // What was removed since the folder was read is not there.
        let Some(stat) = from.find(from_last).map_err(|error| self.how.unread(&names.origin, error))? else {
            return Ok(());
        };
        let kind = FileType::from_raw_mode(stat.st_mode);
        let is_folder = kind == FileType::Directory;
        match self.verdict(names, is_folder) {
            Verdict::Keep => {}
            Verdict::Drop if is_folder && self.keeps_any(from, from_last, names)? => {}
            Verdict::Drop | Verdict::DropAll => return Ok(()),
        }
        if is_folder {
            return self.folder(way, &stat);
        }
        self.make_room(way)?;
        let meta = self.meta(&stat, false);
        let made = match kind {
            FileType::RegularFile => return self.file(way),
            FileType::Symlink => from.read_link(from_last).and_then(|target| to.symlink(last, &target, meta)),
            FileType::Fifo if !self.how.from.is_context() => to.fifo(last, meta),
            FileType::CharacterDevice | FileType::BlockDevice if !self.how.from.is_context() => {
                match Device::of(&stat).map_or(Ok(()), |device| to.device(last, device, meta)) {
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return self.leave_out(names),
                    made => made,
                }
            }
            _ => return self.leave_out(names),
        };
        self.copied.entries += 1;
        made.map_err(|error| write_error(to_file, error))
    }

    fn folder(&mut self, way: Way, stat: &Stat) -> Result<(), StepError> {
        let Way { from, from_last, names, to, to_file, last } = way;
        let failed = |error| write_error(to_file, error);
        let there = to.find(last).map_err(failed)?;
        if there.is_some_and(|there| FileType::from_raw_mode(there.st_mode) != FileType::Directory) {
            return Err(unfit(names, to_file, "there is a file or a link, and a folder does not replace it"));
        }
        let below = from.enter(from_last).map_err(|error| self.how.unread(&names.origin, error))?;
        let xattrs = self.attributes(from, from_last).map_err(|error| self.how.unread(&names.origin, error))?;
        let meta = self.meta(stat, true);
        to.directory(last, meta, &xattrs).map_err(failed)?;
        let inside = to.enter(last).map_err(failed)?;
        self.below(&below, names, &inside, to_file)?;
        self.copied.entries += 1;
        // What was put into it has changed its time.
        inside.restore_times(&time_of(meta.mtime.unwrap_or_default())).map_err(failed)
    }

    fn file(&mut self, Way { from, from_last, names, to, to_file, last }: Way) -> Result<(), StepError> {
        let how = self.how;
        let unread = |error| how.unread(&names.origin, error);
        let file = from.read(from_last).map_err(unread)?;
        // Of what was opened: it may be another file by now.
        let stat = rustix::fs::fstat(&file).map_err(|error| unread(error.into()))?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(unread(io::Error::other("it changed while it was copied")));
        }
        let failed = |error| write_error(to_file, error);
        if stat.st_nlink > 1 {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.first_names.get(&inode) {
                let (Some(parent), Some(first_last)) = (first.parent(), first.last()) else { return Ok(()) };
                let parent = self.how.to.find_directory(parent.as_path()).map(Folder::new).map_err(failed)?;
                self.copied.entries += 1;
                return to.hard_link(last, &parent, first_last).map_err(failed);
            }
            self.first_names.insert(inode, to_file.clone());
        }
        let xattrs = kept(&file, self.how.from).map_err(unread)?;
        let meta = self.meta(&stat, false);
        let mut contents = self.how.contents.borrow_mut();
        let bytes = to.file(last, meta, &xattrs, |out| contents.copy(&file, &stat, out)).map_err(failed)?;
        self.copied.entries += 1;
        self.copied.bytes += bytes;
        Ok(())
    }

    /// A file replaces a file, and never a folder.
    fn make_room(&self, Way { names, to, to_file, last, .. }: Way) -> Result<(), StepError> {
        match to.find(last).map_err(|error| write_error(to_file, error))? {
            None => Ok(()),
            Some(there) if FileType::from_raw_mode(there.st_mode) == FileType::Directory => {
                Err(unfit(names, to_file, "there is a folder, and a file does not replace it"))
            }
            Some(_) => to.remove(last).map_err(|error| write_error(to_file, error)),
        }
    }

    fn verdict(&self, names: &Names, is_folder: bool) -> Verdict {
        let of_tree = self.how.from.verdict(&names.origin, is_folder);
        of_tree.max((self.how.excludes)(&names.within, is_folder))
    }

    /// Whether anything below a folder that is left out is kept.
    fn keeps_any(&self, from: &Folder, last: &OsStr, names: &Names) -> Result<bool, StepError> {
        if names.within.depth() >= DEPTH_MAX {
            return Err(StepError::Depth { path: names.origin.to_string(), max: DEPTH_MAX });
        }
        let unread = |error| self.how.unread(&names.origin, error);
        let folder = from.enter(last).map_err(unread)?;
        for last in folder.list().map_err(unread)? {
            let names = names.join(&last);
            let stat = folder.find(&last).map_err(unread)?;
            let is_folder = stat.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Directory);
            let keeps = match self.verdict(&names, is_folder) {
                Verdict::Keep => true,
                Verdict::Drop => is_folder && self.keeps_any(&folder, &last, &names)?,
                Verdict::DropAll => false,
            };
            if keeps {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn meta(&self, stat: &Stat, is_folder: bool) -> Meta {
        let own =
            if self.how.from.is_context() { Owner::default() } else { Owner { uid: stat.st_uid, gid: stat.st_gid } };
        let Owner { uid, gid } = self.how.owner.unwrap_or(own);
        let mode = stat.st_mode & 0o7777;
        let mode = self.how.mode.map_or(mode, |change| change.of(mode, is_folder));
        let mtime = self.how.epoch.map_or(stat.st_mtime, |epoch| epoch.min(stat.st_mtime));
        Meta { mode, uid, gid, mtime: Some(mtime) }
    }

    fn attributes(&self, folder: &Folder, last: &OsStr) -> io::Result<Vec<Xattr>> {
        kept(&folder.read(last)?, self.how.from)
    }

    fn leave_out(&mut self, names: &Names) -> Result<(), StepError> {
        self.copied.left_out += 1;
        if self.copied.left_out_first.len() < SHOWN_MAX {
            self.copied.left_out_first.push(names.origin.as_path().display().to_string());
        }
        Ok(())
    }
}

impl Copying<'_> {
    fn unread(&self, name: &Name, source: io::Error) -> StepError {
        let path = name.as_path().display().to_string();
        StepError::Read { path, place: Place(self.from.origin.clone()), source }
    }
}

/// Attributes that mean something in an image. An access list of a context's file names accounts of its machine.
fn kept(file: &std::fs::File, from: &Tree) -> io::Result<Vec<Xattr>> {
    let of_context = |name: &str| from.is_context() && name.starts_with("system.");
    let all = attributes(file)?;
    Ok(all.into_iter().filter(|(name, value)| is_kept_attribute(name, value) && !of_context(name)).collect())
}

fn unfit(names: &Names, to: &Name, why: &str) -> StepError {
    StepError::Unfit { path: names.origin.as_path().display().to_string(), to: to.to_string(), why: why.to_owned() }
}

pub fn write_error(to: &Name, source: io::Error) -> StepError {
    StepError::Write { to: to.to_string(), source }
}
