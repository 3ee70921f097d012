//! A layer's archive becomes a directory in overlay form.
//!
//! What a layer deletes becomes what overlayfs understands (see [`whiteout`]); everything else becomes itself. An entry
//! may come twice, and then the last one counts, as with tar(1). The directory that is written into right now stays open,
//! and gets its time back when the next one is turned to: so nothing has to be remembered until the end, however many
//! directories there are.

use std::ffi::OsStr;
use std::io::{self, Read};

use rustix::fs::{FileType, Stat, Timespec, Timestamps};
use rustix::io::Errno;

use super::entry::{Entry, Kind, link_target, lossy};
use super::limits::Limits;
use super::walk::{ArchiveError, Content, walk};
use super::whiteout::{self, Mark, MarkError, OPAQUE_XATTR};
use crate::image::beneath::{Device, Folder, Meta, Name, Root};

/// How many names of what was left out are kept to be shown; the rest is counted.
const SHOWN_MAX: usize = 20;

/// Directories on the way to an entry which no entry describes: root's, and of a time that is the same on every host.
const IMPLIED: Meta = Meta { mode: 0o755, uid: 0, gid: 0, mtime: Some(0) };

/// What was unpacked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Entries that were written or had an effect.
    pub entries: u64,
    /// Bytes of content, as the files' sizes say.
    pub bytes: u64,
    /// Files with a content of their own.
    pub files: u64,
    /// Device nodes that could not be made: the kernel allows none in a user namespace.
    pub left_out: LeftOut,
}

/// Names that were left out: the first of them, and how many in all.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct LeftOut {
    pub count: u64,
    pub first: Vec<Name>,
}

impl LeftOut {
    fn push(&mut self, name: &Name) {
        self.count += 1;
        if self.first.len() < SHOWN_MAX {
            self.first.push(name.clone());
        }
    }
}

/// Why a layer was not unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("cannot write {name}")]
    Write { name: Name, source: io::Error },
    #[error("cannot write {name}: {way} is {what}, not a folder")]
    Way { name: Name, way: Name, what: &'static str },
    #[error("{name} is a hard link to {target:?}, which is not in this layer before it")]
    LinkTarget { name: Name, target: String },
    #[error("{name} is a hard link to {target:?}, which is {what}; only files, links and pipes have second names here")]
    LinkKind { name: Name, target: String, what: &'static str },
    #[error("the deletion {name} is refused: {why}")]
    Mark { name: Name, why: MarkError },
    #[error("the archive's root is {what}, not a folder")]
    Root { what: &'static str },
    #[error("cannot remove what was unpacked of a layer that is refused")]
    Clear { source: io::Error },
}

/// Unpacks a layer into an empty directory. When the archive is refused the directory is empty again.
pub fn unpack(archive: &mut dyn Read, root: &Root, limits: Limits) -> Result<Unpacked, UnpackError> {
    let mut layer = Layer { root, turned_to: None, unpacked: Unpacked::default() };
    let result = layer.fill(archive, limits);
    let Err(error) = result else { return Ok(layer.unpacked) };
    drop(layer.turned_to);
    root.folder(&Name::root()).and_then(|top| top.clear()).map_err(|source| UnpackError::Clear { source })?;
    Err(error)
}

struct Layer<'a> {
    root: &'a Root,
    /// The directory that was written into last.
    turned_to: Option<TurnedTo>,
    unpacked: Unpacked,
}

struct TurnedTo {
    name: Name,
    folder: Folder,
    times: Timestamps,
}

impl Layer<'_> {
    fn fill(&mut self, archive: &mut dyn Read, limits: Limits) -> Result<(), UnpackError> {
        let top = Name::root();
        self.root.directory(&top, IMPLIED, &[]).map_err(|source| UnpackError::Write { name: top.clone(), source })?;
        walk(archive, limits, &mut |entry, content| self.entry(entry, content))?;
        self.turn_from().map_err(|source| UnpackError::Write { name: top, source })
    }

    fn entry(&mut self, entry: &Entry, content: &mut Content) -> Result<(), UnpackError> {
        let name = &entry.name;
        let mark = whiteout::read(name).map_err(|why| UnpackError::Mark { name: name.clone(), why })?;
        match mark {
            Mark::Skipped => return Ok(()),
            Mark::Whiteout(gone) => self.in_folder_of(&gone, whiteout)?,
            Mark::Opaque(directory) => self.opaque(&directory)?,
            Mark::None if name.is_root() => self.top(entry)?,
            Mark::None => self.file(entry, content)?,
        }
        self.unpacked.entries += 1;
        Ok(())
    }

    fn top(&mut self, entry: &Entry) -> Result<(), UnpackError> {
        if entry.kind != Kind::Directory {
            return Err(UnpackError::Root { what: shown(&entry.kind) });
        }
        let failed = |source| UnpackError::Write { name: entry.name.clone(), source };
        self.turn_from().map_err(failed)?;
        self.root.directory(&entry.name, entry.meta, &entry.xattrs).map_err(failed)
    }

    fn file(&mut self, entry: &Entry, content: &mut Content) -> Result<(), UnpackError> {
        let (name, meta) = (&entry.name, entry.meta);
        match &entry.kind {
            Kind::File => {
                let write = |file: &mut std::fs::File| content.write_to(file);
                self.unpacked.files += 1;
                self.unpacked.bytes += self.in_folder_of(name, |folder, last| {
                    folder.remove(last)?;
                    folder.file(last, meta, &entry.xattrs, write)
                })?;
            }
            Kind::Directory => self.in_folder_of(name, |folder, last| directory(folder, last, entry))?,
            Kind::Symlink(target) => self.in_folder_of(name, |folder, last| {
                folder.remove(last)?;
                folder.symlink(last, target, meta)
            })?,
            Kind::HardLink(target) => self.hard_link(name, target)?,
            Kind::Fifo => self.in_folder_of(name, |folder, last| {
                folder.remove(last)?;
                folder.fifo(last, meta)
            })?,
            Kind::Device(device) => {
                let made = self.in_folder_of(name, |folder, last| make_device(folder, last, *device, meta))?;
                if !made {
                    self.unpacked.left_out.push(name);
                }
            }
        }
        Ok(())
    }

    fn hard_link(&mut self, name: &Name, target: &[u8]) -> Result<(), UnpackError> {
        let existing = link_target(target).map_err(ArchiveError::Entry)?;
        let missing = || UnpackError::LinkTarget { name: name.clone(), target: lossy(target) };
        let (Some(parent), Some(last)) = (existing.parent(), existing.last()) else { return Err(missing()) };
        // A way that leads over a link or a file leads to nothing of this layer.
        let from = self.root.folder(&parent).map_err(|_| missing())?;
        let failed = |source| UnpackError::Write { name: name.clone(), source };
        let stat = from.find(last).map_err(failed)?.filter(|stat| !is_whiteout(stat)).ok_or_else(missing)?;
        let what = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile | FileType::Symlink | FileType::Fifo => None,
            FileType::Directory => Some("a folder"),
            _ => Some("a device"),
        };
        if let Some(what) = what {
            return Err(UnpackError::LinkKind { name: name.clone(), target: lossy(target), what });
        }
        if existing == *name {
            return Ok(());
        }
        self.in_folder_of(name, |folder, to| {
            folder.remove(to)?;
            folder.hard_link(to, &from, last)
        })
    }

    /// Marks a directory, which is made if no entry has described it yet.
    fn opaque(&mut self, directory: &Name) -> Result<(), UnpackError> {
        // Any name in it makes it the directory that is turned to.
        self.in_folder_of(&directory.join(OsStr::new(whiteout::OPAQUE)), |folder, _| make_opaque(folder))
    }

    /// Does something to a name, in the open directory that it is in.
    fn in_folder_of<T>(
        &mut self,
        name: &Name,
        write: impl FnOnce(&Folder, &OsStr) -> io::Result<T>,
    ) -> Result<T, UnpackError> {
        let (parent, last) = (name.parent().unwrap_or_else(Name::root), name.last().unwrap_or_default());
        let failed = |source| UnpackError::Write { name: name.clone(), source };
        if self.turned_to.as_ref().is_none_or(|turned| turned.name != parent) {
            self.turn_from().map_err(failed)?;
            let folder = match self.root.folder(&parent) {
                Ok(folder) => folder,
                Err(_) => self.make_way(name, &parent)?,
            };
            let times = times(&folder.stat().map_err(failed)?);
            self.turned_to = Some(TurnedTo { name: parent, folder, times });
        }
        let turned = self.turned_to.as_ref().expect("it was turned to above");
        write(&turned.folder, last).map_err(failed)
    }

    /// Leaves the directory that was turned to, and gives it its time back.
    fn turn_from(&mut self) -> io::Result<()> {
        self.turned_to.take().map_or(Ok(()), |turned| turned.folder.restore_times(&turned.times))
    }

    /// Makes the directories to `parent` that are missing, one part after the other.
    fn make_way(&self, name: &Name, parent: &Name) -> Result<Folder, UnpackError> {
        let failed = |source| UnpackError::Write { name: name.clone(), source };
        let mut folder = self.root.folder(&Name::root()).map_err(failed)?;
        let mut way = Name::root();
        for part in parent.as_path() {
            way = way.join(part);
            let before = times(&folder.stat().map_err(failed)?);
            match folder.find(part).map_err(failed)? {
                Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {}
                Some(stat) if is_whiteout(&stat) => make_over_whiteout(&folder, part, IMPLIED).map_err(failed)?,
                None => folder.directory(part, IMPLIED, &[]).map_err(failed)?,
                Some(stat) => {
                    return Err(UnpackError::Way { name: name.clone(), way, what: shown_type(&stat) });
                }
            }
            folder.restore_times(&before).map_err(failed)?;
            folder = folder.enter(part).map_err(failed)?;
        }
        Ok(folder)
    }
}

/// A deletion. It is of what lies *below* (OCI: whiteouts apply to lower layers only), so a file of this layer stays, and
/// a directory of this layer stays without what was in it.
fn whiteout(folder: &Folder, last: &OsStr) -> io::Result<()> {
    match folder.find(last)? {
        None => folder.device(last, Device::WHITEOUT, Meta { mode: 0, uid: 0, gid: 0, mtime: Some(0) }),
        Some(stat) if FileType::from_raw_mode(stat.st_mode) == FileType::Directory => {
            let before = times(&stat);
            let directory = folder.enter(last)?;
            make_opaque(&directory)?;
            directory.restore_times(&before)
        }
        Some(_) => Ok(()),
    }
}

fn make_opaque(directory: &Folder) -> io::Result<()> {
    directory.set_xattr(OPAQUE_XATTR, b"y")
}

fn directory(folder: &Folder, last: &OsStr, entry: &Entry) -> io::Result<()> {
    match folder.find(last)? {
        Some(stat) if is_whiteout(&stat) => {
            make_over_whiteout(folder, last, entry.meta)?;
        }
        Some(stat) if FileType::from_raw_mode(stat.st_mode) != FileType::Directory => folder.remove(last)?,
        _ => {}
    }
    folder.directory(last, entry.meta, &entry.xattrs)
}

/// A directory that stands where this layer has deleted one: nothing of the old one may show.
fn make_over_whiteout(folder: &Folder, last: &OsStr, meta: Meta) -> io::Result<()> {
    folder.remove(last)?;
    folder.directory(last, meta, &[(OPAQUE_XATTR.to_owned(), b"y".to_vec())])
}

/// False when this process may make no devices. A whiteout that is written as a device would be a deletion in disguise.
fn make_device(folder: &Folder, last: &OsStr, device: Device, meta: Meta) -> io::Result<bool> {
    folder.remove(last)?;
    if device == Device::WHITEOUT {
        return Ok(false);
    }
    match folder.device(last, device, meta) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == Some(Errno::PERM.raw_os_error()) => Ok(false),
        Err(error) => Err(error),
    }
}

pub fn is_whiteout(stat: &Stat) -> bool {
    Device::of(stat) == Some(Device::WHITEOUT)
}

fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

fn shown(kind: &Kind) -> &'static str {
    match kind {
        Kind::File => "a file",
        Kind::Directory => "a folder",
        Kind::Symlink(_) => "a symbolic link, which is never followed",
        Kind::HardLink(_) => "a hard link",
        Kind::Fifo => "a pipe",
        Kind::Device(_) => "a device",
    }
}

fn shown_type(stat: &Stat) -> &'static str {
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::RegularFile => "a file",
        FileType::Symlink => "a symbolic link, which is never followed",
        FileType::Fifo => "a pipe",
        FileType::CharacterDevice | FileType::BlockDevice => "a device",
        _ => "something else",
    }
}
