//! One open directory beneath a root, and what is done to the names in it.
//!
//! A [`Folder`] is a descriptor, so nothing that happens to the path it was opened by can lead it elsewhere. Every call
//! here takes one part of a path, which is never followed: what is found there is looked at, replaced or removed itself.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid, XattrFlags};
use rustix::io::Errno;

use super::{Meta, Xattr};

/// A device node: its kind and its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Device {
    pub block: bool,
    pub major: u32,
    pub minor: u32,
}

impl Device {
    /// What overlayfs takes for "there is nothing here, whatever lies below".
    pub const WHITEOUT: Device = Device { block: false, major: 0, minor: 0 };

    pub fn of(stat: &Stat) -> Option<Self> {
        let block = match FileType::from_raw_mode(stat.st_mode) {
            FileType::BlockDevice => true,
            FileType::CharacterDevice => false,
            _ => return None,
        };
        let (major, minor) = (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev));
        Some(Self { block, major, minor })
    }
}

#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
}

impl Folder {
    /// A descriptor of a directory, opened with `O_PATH` or for reading.
    pub fn new(fd: OwnedFd) -> Self {
        Self { fd }
    }

    /// Opens a directory in this one; a link to a directory is none.
    pub fn enter(&self, last: &OsStr) -> io::Result<Folder> {
        self.open(last, OFlags::PATH | OFlags::DIRECTORY).map(Folder::new)
    }

    /// Writes a new file: `write` gives it its content, then it gets its owner, mode, attributes and time.
    /// What is there already is an error.
    pub fn file<T>(
        &self,
        last: &OsStr,
        meta: Meta,
        xattrs: &[Xattr],
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let mut file = File::from(rustix::fs::openat(&self.fd, last, flags, Mode::from_raw_mode(0o600))?);
        let written = write(&mut file)?;
        dress(&file, meta, xattrs)?;
        Ok(written)
    }

    /// Makes a directory, or gives the one that is there this owner and mode.
    pub fn directory(&self, last: &OsStr, meta: Meta, xattrs: &[Xattr]) -> io::Result<()> {
        match rustix::fs::mkdirat(&self.fd, last, Mode::from_raw_mode(0o700)) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        dress(&self.open(last, OFlags::RDONLY | OFlags::DIRECTORY)?, meta, xattrs)
    }

    /// Makes a symbolic link. Its target is text and may say anything: nothing here ever follows it.
    pub fn symlink(&self, last: &OsStr, target: &[u8], meta: Meta) -> io::Result<()> {
        rustix::fs::symlinkat(OsStr::from_bytes(target), &self.fd, last)?;
        self.dress_unopened(last, meta)
    }

    /// Gives a file that is `existing` in the folder `from` a second name.
    pub fn hard_link(&self, last: &OsStr, from: &Folder, existing: &OsStr) -> io::Result<()> {
        // Without AT_SYMLINK_FOLLOW a link put there since would itself be linked, not followed.
        Ok(rustix::fs::linkat(&from.fd, existing, &self.fd, last, AtFlags::empty())?)
    }

    /// Makes a named pipe.
    pub fn fifo(&self, last: &OsStr, meta: Meta) -> io::Result<()> {
        rustix::fs::mknodat(&self.fd, last, FileType::Fifo, Mode::from_raw_mode(meta.mode), 0)?;
        self.dress_unopened(last, meta)
    }

    /// Makes a device node (mknod(2)): refused with EPERM in a user namespace, but for a whiteout.
    pub fn device(&self, last: &OsStr, device: Device, meta: Meta) -> io::Result<()> {
        let kind = if device.block { FileType::BlockDevice } else { FileType::CharacterDevice };
        let number = rustix::fs::makedev(device.major, device.minor);
        rustix::fs::mknodat(&self.fd, last, kind, Mode::from_raw_mode(meta.mode), number)?;
        self.dress_unopened(last, meta)
    }

    /// What a name is, without following it; `None` when there is nothing.
    pub fn find(&self, last: &OsStr) -> io::Result<Option<Stat>> {
        match rustix::fs::statat(&self.fd, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(stat)),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// What this directory itself is.
    pub fn stat(&self) -> io::Result<Stat> {
        Ok(rustix::fs::fstat(&self.fd)?)
    }

    /// Opens what is there for reading, without following it and without waiting for a pipe's other end.
    pub fn read(&self, last: &OsStr) -> io::Result<File> {
        self.open(last, OFlags::RDONLY | OFlags::NONBLOCK).map(File::from)
    }

    pub fn read_link(&self, last: &OsStr) -> io::Result<Vec<u8>> {
        Ok(rustix::fs::readlinkat(&self.fd, last, Vec::new())?.into_bytes())
    }

    /// What is in this directory, sorted.
    pub fn list(&self) -> io::Result<Vec<OsString>> {
        list(&self.open(OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    /// Sets the time of this directory itself back, after something in it was changed.
    pub fn restore_times(&self, times: &Timestamps) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.fd, ".", times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets the times of what is there, without following it.
    pub fn set_times(&self, last: &OsStr, times: &Timestamps) -> io::Result<()> {
        Ok(rustix::fs::utimensat(&self.fd, last, times, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// Sets an attribute of this directory itself.
    pub fn set_xattr(&self, name: &str, value: &[u8]) -> io::Result<()> {
        let directory = self.open(OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?;
        Ok(rustix::fs::fsetxattr(directory, name, value, XattrFlags::empty())?)
    }

    /// An attribute of this directory itself.
    pub fn xattr(&self, name: &str) -> io::Result<Option<Vec<u8>>> {
        xattr(self.open(OsStr::new("."), OFlags::RDONLY | OFlags::DIRECTORY)?, name)
    }

    /// Removes what is there, a directory with all that is in it. Nothing there is fine.
    ///
    /// It goes as deep as the tree is: who lets somebody else make the tree limits its depth.
    pub fn remove(&self, last: &OsStr) -> io::Result<()> {
        match rustix::fs::unlinkat(&self.fd, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(Errno::ISDIR) => {
                self.enter(last)?.clear()?;
                Ok(rustix::fs::unlinkat(&self.fd, last, AtFlags::REMOVEDIR)?)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Removes everything in this directory.
    pub fn clear(&self) -> io::Result<()> {
        self.list()?.iter().try_for_each(|last| self.remove(last))
    }

    fn open(&self, last: &OsStr, flags: OFlags) -> io::Result<OwnedFd> {
        let flags = flags | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        match rustix::fs::openat(&self.fd, last, flags, Mode::empty()) {
            Err(Errno::LOOP | Errno::NOTDIR) => Err(never_followed(last.as_ref())),
            opened => Ok(opened?),
        }
    }

    /// Owner, mode and time of what cannot be opened without a side effect. A link has no mode of its own.
    fn dress_unopened(&self, last: &OsStr, meta: Meta) -> io::Result<()> {
        rustix::fs::chownat(&self.fd, last, Some(uid(meta.uid)), Some(gid(meta.gid)), AtFlags::SYMLINK_NOFOLLOW)?;
        let is_link = self.find(last)?.is_some_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Symlink);
        if !is_link {
            // The mask of this process took bits from it when it was made, and the change of owner took setuid.
            rustix::fs::chmodat(&self.fd, last, Mode::from_raw_mode(meta.mode & 0o7777), AtFlags::empty())?;
        }
        rustix::fs::utimensat(&self.fd, last, &times(meta.mtime), AtFlags::SYMLINK_NOFOLLOW)?;
        Ok(())
    }
}

/// ENOTDIR is a link too, where a folder was asked for and the link came last.
pub(super) fn never_followed(path: &Path) -> io::Error {
    let why = format!("on the way {} is a file or a symbolic link, which is never followed", path.display());
    io::Error::new(io::ErrorKind::InvalidInput, why)
}

/// What is in an open directory, sorted.
pub(super) fn list(directory: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes != b"." && bytes != b".." {
            names.push(OsString::from_vec(bytes.to_vec()));
        }
    }
    names.sort();
    Ok(names)
}

/// Owner before mode, because a change of owner clears setuid; attributes after, because it clears capabilities too.
pub(super) fn dress(file: impl AsFd, meta: Meta, xattrs: &[Xattr]) -> io::Result<()> {
    rustix::fs::fchown(&file, Some(uid(meta.uid)), Some(gid(meta.gid)))?;
    rustix::fs::fchmod(&file, Mode::from_raw_mode(meta.mode & 0o7777))?;
    for (name, value) in xattrs {
        rustix::fs::fsetxattr(&file, name.as_str(), value, XattrFlags::empty())?;
    }
    rustix::fs::futimens(&file, &times(meta.mtime))?;
    Ok(())
}

/// The longest list of attributes, and the longest value of one (XATTR_LIST_MAX and XATTR_SIZE_MAX of linux/limits.h).
const XATTR_MAX_BYTES: usize = 64 * 1024;

/// What a guess at the length of either should hold, so that one call is enough.
const XATTR_USUAL_BYTES: usize = 256;

/// All attributes of an open file, in the kernel's order; none where the file system has none.
pub fn attributes(file: impl AsFd) -> io::Result<Vec<Xattr>> {
    let names = match grown(|buffer| rustix::fs::flistxattr(&file, buffer)) {
        Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
        names => names?,
    };
    let mut attributes = Vec::new();
    for name in names.split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        // A name that is no text is none that anybody here looks for.
        let Ok(name) = std::str::from_utf8(name) else { continue };
        if let Some(value) = xattr(&file, name)? {
            attributes.push((name.to_owned(), value));
        }
    }
    Ok(attributes)
}

fn xattr(file: impl AsFd, name: &str) -> io::Result<Option<Vec<u8>>> {
    match grown(|buffer| rustix::fs::fgetxattr(&file, name, buffer)) {
        Ok(value) => Ok(Some(value)),
        Err(Errno::NODATA | Errno::OPNOTSUPP) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Calls with a small buffer, and again with the largest when that was too small (ERANGE).
fn grown(call: impl Fn(&mut [u8]) -> rustix::io::Result<usize>) -> rustix::io::Result<Vec<u8>> {
    let mut buffer = vec![0; XATTR_USUAL_BYTES];
    let length = match call(&mut buffer) {
        Err(Errno::RANGE) => {
            buffer = vec![0; XATTR_MAX_BYTES];
            call(&mut buffer)?
        }
        length => length?,
    };
    buffer.truncate(length);
    Ok(buffer)
}

fn uid(id: u32) -> Uid {
    Uid::from_raw(id)
}

fn gid(id: u32) -> Gid {
    Gid::from_raw(id)
}

fn times(mtime: Option<i64>) -> Timestamps {
    let time = match mtime {
        Some(seconds) => Timespec { tv_sec: seconds, tv_nsec: 0 },
        None => Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
    };
    Timestamps { last_access: time, last_modification: time }
}
