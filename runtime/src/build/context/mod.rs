//! The folder that a build is given, as a list of what is in it: names, kinds, modes, and digests of contents.
//!
//! A context is never copied. What a `COPY` takes is read where it lies, and a list is enough to find out whether
//! anything has changed since the last build. Even for the list, contents are read only once: [`stamps`] remembers a
//! file's digest together with its inode's state, as git's index does.
//!
//! Nothing that lies in the folder can lead out of it: every folder is opened in its parent's descriptor by one part of
//! a name that is never followed, and a link is an entry with a text in it.

pub mod stamps;
pub mod stream;

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, Stat};

use crate::build::steps::Verdict;
use crate::image::Digest;
use crate::image::beneath::Name;
use stamps::{Stamp, Stamps};

/// More than the largest source trees have; a list of so many takes some 300 MB.
pub const ENTRIES_MAX: usize = 1_000_000;

/// Deeper than people nest folders; each level costs a descriptor while it is read.
pub const DEPTH_MAX: usize = 256;

/// The kernel can read several files at once, and hashing keeps a core busy.
const HASHING_THREADS_MAX: usize = 4;

/// What is in a context, without what is ignored.
#[derive(Debug)]
pub struct Context {
    path: PathBuf,
    root: OwnedFd,
    entries: BTreeMap<Name, Entry>,
    stamps: Stamps,
    /// What reading it took.
    pub read: Reading,
}

/// One file, folder or link.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub kind: Kind,
    /// Permission bits with setuid, setgid and sticky: at most 0o7777.
    pub mode: u32,
    /// Of a file's content; a folder has none.
    pub size: u64,
    stamp: Stamp,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// With its digest, once somebody asked for it.
    File(Option<Digest>),
    Folder,
    /// What it says, whether or not anything is there.
    Link(Vec<u8>),
}

/// How much of a context was read: the first number is metadata alone, the others are contents.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reading {
    pub entries: usize,
    pub hashed_files: usize,
    pub hashed_bytes: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum ContextError {
    #[error("cannot open the context {path}; name a folder")]
    Open { path: PathBuf, source: io::Error },
    #[error("cannot read {name} of the context")]
    Read { name: Name, source: io::Error },
    #[error(
        "the context has more than {ENTRIES_MAX} files and folders; name in .dockerignore what the build does not need"
    )]
    TooMany,
    #[error("{name} of the context is more than {DEPTH_MAX} folders deep")]
    TooDeep { name: Name },
    #[error("{name} of the context changed while the build ran; build again when nothing writes there")]
    Changed { name: Name },
    #[error("the context was not listed to its end, as nobody wants the build any more")]
    Stopped,
}

impl Context {
    /// Lists the folder at `path`. `remembered` is where digests of earlier builds are kept; `judge` says what is
    /// ignored, for a name and whether it is a folder; `given_up`, that nobody wants the list any more: a large tree on
    /// a slow disk takes minutes.
    pub fn open(
        path: &Path,
        remembered: Stamps,
        judge: &mut dyn FnMut(&Name, bool) -> Verdict,
        given_up: &dyn Fn() -> bool,
    ) -> Result<Self, ContextError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = rustix::fs::openat(CWD, path, flags, Mode::empty())
            .map_err(|error| ContextError::Open { path: path.to_owned(), source: error.into() })?;
        let mut list = List { entries: BTreeMap::new(), judge, given_up };
        list.folder(&Name::root(), root.as_fd().try_clone_to_owned().map_err(read_error(&Name::root()))?, 0)?;
        let read = Reading { entries: list.entries.len(), ..Reading::default() };
        Ok(Self { path: path.to_owned(), root, entries: list.entries, stamps: remembered, read })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// By name, a folder before what is in it.
    pub fn entries(&self) -> &BTreeMap<Name, Entry> {
        &self.entries
    }

    /// Makes sure that these files' digests are known, and reads those that are not remembered.
    pub fn know(&mut self, names: &[Name]) -> Result<(), ContextError> {
        let mut unknown = Vec::new();
        for name in names {
            let Some(entry) = self.entries.get_mut(name) else { continue };
            if entry.kind != Kind::File(None) {
                continue;
            }
            match self.stamps.digest(name, &entry.stamp) {
                Some(digest) => entry.kind = Kind::File(Some(digest)),
                None => unknown.push(name.clone()),
            }
        }
        for (name, hashed) in unknown.iter().zip(self.hash_all(&unknown)?) {
            let entry = self.entries.get_mut(name).expect("names of the list were taken from the entries");
            self.read.hashed_files += 1;
            self.read.hashed_bytes += hashed.stamp.size;
            self.stamps.remember(name, hashed.stamp, hashed.digest, hashed.began_ns);
            *entry = Entry {
                kind: Kind::File(Some(hashed.digest)),
                mode: hashed.mode,
                size: hashed.stamp.size,
                stamp: hashed.stamp,
            };
        }
        Ok(())
    }

    /// Whether a name is still what it was when it was read. After a step has copied files: what it copied is what its
    /// key says only if they did not change meanwhile.
    pub fn check_unchanged(&self, name: &Name) -> Result<(), ContextError> {
        let Some(entry) = self.entries.get(name) else { return Ok(()) };
        let now = self.stat(name).map_err(read_error(name))?;
        // A folder's times change with what is in it, which has entries of its own.
        let same = match entry.kind {
            Kind::Folder => FileType::from_raw_mode(now.st_mode) == FileType::Directory,
            _ => Stamp::of(&now) == entry.stamp,
        };
        if same { Ok(()) } else { Err(ContextError::Changed { name: name.clone() }) }
    }

    /// What is to be remembered for the next build.
    pub fn stamps(&self) -> &Stamps {
        &self.stamps
    }

    fn hash_all(&self, names: &[Name]) -> Result<Vec<Hashed>, ContextError> {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let threads = cores.min(HASHING_THREADS_MAX).min(names.len());
        let next = AtomicUsize::new(0);
        let done = Mutex::new(BTreeMap::new());
        let take = || {
            let index = next.fetch_add(1, Ordering::Relaxed);
            names.get(index).map(|name| (index, name))
        };
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(|| {
                    while let Some((index, name)) = take() {
                        let hashed = self.hash(name);
                        if hashed.is_err() {
                            next.store(names.len(), Ordering::Relaxed);
                        }
                        done.lock().expect("no thread panics while it holds the results").insert(index, hashed);
                    }
                });
            }
        });
        done.into_inner().expect("all threads have ended without a panic").into_values().collect()
    }

    fn hash(&self, name: &Name) -> Result<Hashed, ContextError> {
        let began_ns = stamps::now_ns();
        let read = || -> io::Result<_> {
            let file = self.open_file(name)?;
            let before = rustix::fs::fstat(&file)?;
            let digest = Digest::of_reader(&file)?;
            Ok((before, rustix::fs::fstat(&file)?, digest))
        };
        let (before, after, digest) = read().map_err(read_error(name))?;
        if Stamp::of(&before) != Stamp::of(&after) {
            return Err(ContextError::Changed { name: name.clone() });
        }
        Ok(Hashed { digest, stamp: Stamp::of(&after), mode: after.st_mode & 0o7777, began_ns })
    }

    fn open_file(&self, name: &Name) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let (folder, last) = self.folder_of(name)?;
        let file = File::from(rustix::fs::openat(&folder, last, flags, Mode::empty())?);
        match file.metadata()?.is_file() {
            true => Ok(file),
            false => Err(io::Error::new(io::ErrorKind::InvalidInput, "it was a file, and is none any more")),
        }
    }

    fn stat(&self, name: &Name) -> io::Result<Stat> {
        let (folder, last) = self.folder_of(name)?;
        Ok(rustix::fs::statat(&folder, last, AtFlags::SYMLINK_NOFOLLOW)?)
    }

    /// The folder that a name is in, opened beneath the root without following anything.
    fn folder_of<'a>(&self, name: &'a Name) -> io::Result<(OwnedFd, &'a OsStr)> {
        use rustix::fs::ResolveFlags;
        let path = name.as_path();
        let (Some(parent), Some(last)) = (path.parent(), path.file_name()) else {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "the context itself is a folder"));
        };
        let parent = if parent.as_os_str().is_empty() { Path::new(".") } else { parent };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        loop {
            match rustix::fs::openat2(&self.root, parent, flags, Mode::empty(), resolve) {
                // A rename somewhere made the kernel unsure that we are still beneath: openat2(2) says to try again.
                Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => {}
                result => return Ok((result?, last)),
            }
        }
    }
}

struct Hashed {
    digest: Digest,
    stamp: Stamp,
    mode: u32,
    began_ns: i64,
}

/// A list that is being made.
struct List<'a> {
    entries: BTreeMap<Name, Entry>,
    judge: &'a mut dyn FnMut(&Name, bool) -> Verdict,
    given_up: &'a dyn Fn() -> bool,
}

impl List<'_> {
    /// Adds what is in a folder; says whether that was anything.
    fn folder(&mut self, name: &Name, folder: OwnedFd, depth: usize) -> Result<bool, ContextError> {
        if depth >= DEPTH_MAX {
            return Err(ContextError::TooDeep { name: name.clone() });
        }
        let mut any = false;
        for last in names_in(&folder).map_err(read_error(name))? {
            any |= self.entry(&name.join(&last), &folder, &last, depth)?;
        }
        Ok(any)
    }

    fn entry(&mut self, name: &Name, folder: &OwnedFd, last: &OsStr, depth: usize) -> Result<bool, ContextError> {
        if (self.given_up)() {
            return Err(ContextError::Stopped);
        }
        let stat = match rustix::fs::statat(folder, last, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => stat,
            // Removed since the folder was read.
            Err(rustix::io::Errno::NOENT) => return Ok(false),
            Err(error) => return Err(read_error(name)(error)),
        };
        let kind = match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Kind::File(None),
            FileType::Directory => Kind::Folder,
            FileType::Symlink => {
                Kind::Link(rustix::fs::readlinkat(folder, last, Vec::new()).map_err(read_error(name))?.into_bytes())
            }
            // Sockets, pipes and devices are of a machine, not of sources.
            _ => return Ok(false),
        };
        let verdict = (self.judge)(name, kind == Kind::Folder);
        if verdict == Verdict::DropAll || (verdict == Verdict::Drop && kind != Kind::Folder) {
            return Ok(false);
        }
        if self.entries.len() >= ENTRIES_MAX {
            return Err(ContextError::TooMany);
        }
        let is_folder = kind == Kind::Folder;
        let entry = Entry { kind, mode: stat.st_mode & 0o7777, size: stat.st_size as u64, stamp: Stamp::of(&stat) };
        self.entries.insert(name.clone(), if is_folder { Entry { size: 0, ..entry } } else { entry });
        if is_folder {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let below = rustix::fs::openat(folder, last, flags, Mode::empty()).map_err(read_error(name))?;
            // An ignored folder is there for what an exception keeps in it.
            if !self.folder(name, below, depth + 1)? && verdict == Verdict::Drop {
                self.entries.remove(name);
                return Ok(false);
            }
        }
        Ok(true)
    }
}

fn names_in(folder: &OwnedFd) -> io::Result<Vec<OsString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let bytes = entry.file_name().to_bytes();
        if bytes != b"." && bytes != b".." {
            names.push(OsString::from_vec(bytes.to_vec()));
        }
    }
    Ok(names)
}

fn read_error<E: Into<io::Error>>(name: &Name) -> impl FnOnce(E) -> ContextError {
    let name = name.clone();
    move |source| ContextError::Read { name, source: source.into() }
}

#[cfg(test)]
mod tests;
