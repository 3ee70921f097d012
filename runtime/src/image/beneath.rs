//! A directory that nothing done to it can leave.
//!
//! An archive chooses the names of its files, so a name is hostile: `../../etc/passwd`, `/etc/passwd`, or `a/passwd`
//! after a symbolic link called `a`. Two things make all of them harmless. A [`Name`] cannot be absolute and cannot hold
//! `..`. And every directory on the way to it is opened by openat2(2) with `RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS`, so
//! the kernel itself refuses to follow a link out of the image, or at all. What is found last is never followed either.

mod folder;

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, ResolveFlags, Stat};
use rustix::io::Errno;

pub use folder::{Device, Folder, attributes};

/// The longest name the kernel takes (PATH_MAX), so that a longer one gets our words instead of ENAMETOOLONG.
const NAME_MAX_BYTES: usize = 4095;

/// What is copied at once: large enough that the system calls do not count, small enough for a few threads.
const COPY_BYTES: usize = 64 * 1024;

/// A path beneath an image's root: relative, without `..`, `.` or empty parts. The root itself is the empty name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(PathBuf);

/// Why a path of an archive is no [`Name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("it begins with /, and names in an archive are relative to the image's root")]
    Absolute,
    #[error("it holds .. and could lead out of the image")]
    DotDot,
    #[error("it holds a zero byte")]
    Zero,
    #[error("it is longer than {NAME_MAX_BYTES} bytes")]
    TooLong,
}

impl Name {
    pub fn root() -> Self {
        Self(PathBuf::new())
    }

    /// A name as it stands in an archive: a leading `./` and a closing `/` are usual and dropped.
    pub fn parse(bytes: &[u8]) -> Result<Self, NameError> {
        if bytes.len() > NAME_MAX_BYTES {
            return Err(NameError::TooLong);
        }
        if bytes.contains(&0) {
            return Err(NameError::Zero);
        }
        let mut clean = PathBuf::new();
        for part in Path::new(OsStr::from_bytes(bytes)).components() {
            match part {
                Component::Normal(part) => clean.push(part),
                Component::CurDir => {}
                Component::ParentDir => return Err(NameError::DotDot),
                Component::RootDir | Component::Prefix(_) => return Err(NameError::Absolute),
            }
        }
        Ok(Self(clean))
    }

    /// A name that we wrote ourselves.
    ///
    /// # Panics
    /// When the text is no name: that is a mistake in our own tables, which the tests go through.
    pub fn of(text: &str) -> Self {
        Self::parse(text.as_bytes()).expect("a name in one of our own tables is relative and without ..")
    }

    pub fn as_path(&self) -> &Path {
        &self.0
    }

    pub fn is_root(&self) -> bool {
        self.0.as_os_str().is_empty()
    }

    pub fn starts_with(&self, prefix: &str) -> bool {
        self.0.starts_with(prefix)
    }

    pub fn join(&self, part: &OsStr) -> Self {
        Self(self.0.join(part))
    }

    pub fn parent(&self) -> Option<Self> {
        self.0.parent().map(|parent| Self(parent.to_owned()))
    }

    /// The last part; the root has none.
    pub fn last(&self) -> Option<&OsStr> {
        self.0.file_name()
    }

    /// How many parts it has: 0 for the root.
    pub fn depth(&self) -> usize {
        self.0.components().count()
    }

    fn split(&self) -> io::Result<(&Path, &OsStr)> {
        match (self.0.parent(), self.0.file_name()) {
            (Some(parent), Some(last)) => Ok((parent, last)),
            _ => Err(io::Error::new(io::ErrorKind::InvalidInput, "the image's root itself can only be a directory")),
        }
    }
}

impl std::fmt::Display for Name {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        write!(out, "/{}", self.0.display())
    }
}

/// Owner, mode and time of a file, with the ids that it has inside the image (0 to 65535).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    /// Seconds since 1970; `None` leaves the time of writing.
    pub mtime: Option<i64>,
}

impl Meta {
    pub fn root(mode: u32, mtime: i64) -> Self {
        Self { mode, uid: 0, gid: 0, mtime: Some(mtime) }
    }
}

/// An extended attribute: name and value.
pub type Xattr = (String, Vec<u8>);

/// The open root of an image.
#[derive(Debug)]
pub struct Root {
    fd: OwnedFd,
}

impl Root {
    /// Opens a directory of the host that we made ourselves: the only path that is followed as usual.
    pub fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        Ok(Self { fd: rustix::fs::openat(CWD, path, flags, Mode::empty())? })
    }

    /// Writes a new file. What is there already is an error: nothing in an image is written twice.
    pub fn file(&self, name: &Name, meta: Meta, xattrs: &[Xattr], content: &mut dyn Read) -> io::Result<u64> {
        self.file_with(name, meta, xattrs, |file| copy(content, file))
    }

    /// The same, with a content that is not written from one end to the other: a file with holes.
    pub fn file_with<T>(
        &self,
        name: &Name,
        meta: Meta,
        xattrs: &[Xattr],
        write: impl FnOnce(&mut File) -> io::Result<T>,
    ) -> io::Result<T> {
        let (parent, last) = self.folder_of(name)?;
        parent.file(last, meta, xattrs, write)
    }

    /// Makes a directory, or gives the one that is there this owner and mode.
    pub fn directory(&self, name: &Name, meta: Meta, xattrs: &[Xattr]) -> io::Result<()> {
        if name.is_root() {
            return folder::dress(self.open_beneath(name, OFlags::RDONLY | OFlags::DIRECTORY)?, meta, xattrs);
        }
        let (parent, last) = self.folder_of(name)?;
        parent.directory(last, meta, xattrs)
    }

    /// Makes the missing directories on the way to `name`, as root's and 0755, the way unpackers do.
    pub fn parents(&self, name: &Name) -> io::Result<()> {
        let Some(parent) = name.parent().filter(|parent| !parent.is_root()) else { return Ok(()) };
        if self.folder(&parent).is_ok() {
            return Ok(());
        }
        self.parents(&parent)?;
        match self.directory(&parent, Meta { mode: 0o755, uid: 0, gid: 0, mtime: None }, &[]) {
            // Somebody else made it meanwhile, or it is no directory: the caller's own step tells.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            result => result,
        }
    }

    /// Makes a symbolic link. Its target is text and may say anything: nothing here ever follows it.
    pub fn symlink(&self, name: &Name, target: &[u8], meta: Meta) -> io::Result<()> {
        let (parent, last) = self.folder_of(name)?;
        parent.symlink(last, target, meta)
    }

    /// Gives a regular file of this image a second name.
    pub fn hard_link(&self, name: &Name, existing: &Name) -> io::Result<()> {
        let (from, from_last) = self.folder_of(existing)?;
        let stat = from.find(from_last)?.ok_or(Errno::NOENT)?;
        if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "what it would link to is no regular file"));
        }
        let (parent, last) = self.folder_of(name)?;
        parent.hard_link(last, &from, from_last)
    }

    /// Makes a named pipe.
    pub fn fifo(&self, name: &Name, meta: Meta) -> io::Result<()> {
        let (parent, last) = self.folder_of(name)?;
        parent.fifo(last, meta)
    }

    /// Changes owner, mode and attributes of a file that is there; its time stays when `mtime` is `None`.
    pub fn change(&self, name: &Name, meta: Meta, xattrs: &[Xattr]) -> io::Result<()> {
        folder::dress(self.open_beneath(name, OFlags::RDONLY | OFlags::NONBLOCK)?, meta, xattrs)
    }

    /// Opens a regular file for reading.
    pub fn read(&self, name: &Name) -> io::Result<File> {
        let file = File::from(self.open_beneath(name, OFlags::RDONLY | OFlags::NONBLOCK)?);
        if !file.metadata()?.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(file)
    }

    /// What is in a directory, sorted.
    pub fn list(&self, name: &Name) -> io::Result<Vec<OsString>> {
        folder::list(&self.open_beneath(name, OFlags::RDONLY | OFlags::DIRECTORY)?)
    }

    /// What a name is, without following it.
    pub fn stat(&self, name: &Name) -> io::Result<Stat> {
        if name.is_root() {
            return Ok(rustix::fs::fstat(&self.fd)?);
        }
        let (parent, last) = self.folder_of(name)?;
        Ok(parent.find(last)?.ok_or(Errno::NOENT)?)
    }

    pub fn exists(&self, name: &Name) -> bool {
        self.stat(name).is_ok()
    }

    pub fn read_link(&self, name: &Name) -> io::Result<Vec<u8>> {
        let (parent, last) = self.folder_of(name)?;
        parent.read_link(last)
    }

    /// Removes a file or link. One that is not there is fine.
    pub fn remove(&self, name: &Name) -> io::Result<()> {
        let (parent, last) = name.split()?;
        match rustix::fs::unlinkat(self.openat2(parent, OFlags::PATH | OFlags::DIRECTORY)?, last, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits until all of it is on the disk (syncfs(2)).
    pub fn sync(&self) -> io::Result<()> {
        Ok(rustix::fs::syncfs(self.open_beneath(&Name::root(), OFlags::RDONLY | OFlags::DIRECTORY)?)?)
    }

    /// Opens a directory, to do several things in it.
    pub fn folder(&self, name: &Name) -> io::Result<Folder> {
        self.openat2(name.as_path(), OFlags::PATH | OFlags::DIRECTORY).map(Folder::new)
    }

    /// The directory that a name is in, open, and the name's last part.
    fn folder_of<'a>(&self, name: &'a Name) -> io::Result<(Folder, &'a OsStr)> {
        let (parent, last) = name.split()?;
        Ok((Folder::new(self.openat2(parent, OFlags::PATH | OFlags::DIRECTORY)?), last))
    }

    fn open_beneath(&self, name: &Name, flags: OFlags) -> io::Result<OwnedFd> {
        self.openat2(name.as_path(), flags | OFlags::NOFOLLOW)
    }

    fn openat2(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        loop {
            match rustix::fs::openat2(&self.fd, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // A rename somewhere made the kernel unsure that we are still beneath: openat2(2) says to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                Err(Errno::LOOP | Errno::NOTDIR) => return Err(folder::never_followed(path)),
                result => return Ok(result?),
            }
        }
    }
}

fn copy(from: &mut dyn Read, to: &mut File) -> io::Result<u64> {
    let mut buffer = [0; COPY_BYTES];
    let mut written = 0;
    loop {
        let count = match from.read(&mut buffer) {
            Ok(0) => return Ok(written),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        to.write_all(&buffer[..count])?;
        written += count as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_relative_and_stays_below() {
        assert_eq!(Name::parse(b"./usr//bin/./ls/").unwrap(), Name::of("usr/bin/ls"));
        assert!(Name::parse(b"./").unwrap().is_root());
        assert_eq!(Name::parse(b"/etc/passwd"), Err(NameError::Absolute));
        assert_eq!(Name::parse(b"a/../../b"), Err(NameError::DotDot));
        assert_eq!(Name::parse(b"a\0b"), Err(NameError::Zero));
        assert_eq!(Name::parse(&[b'a'; 5000]), Err(NameError::TooLong));
    }

    #[test]
    fn a_symbolic_link_on_the_way_is_refused_by_the_kernel() {
        let outside = tempfile::tempdir().unwrap();
        let inside = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink(outside.path(), inside.path().join("way")).unwrap();
        let root = Root::open(inside.path()).unwrap();
        let meta = Meta { mode: 0o644, uid: 0, gid: 0, mtime: None };
        let error = root.file(&Name::of("way/out"), meta, &[], &mut io::empty()).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
