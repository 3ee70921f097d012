//! Paths of a container, followed as the container would follow them: its root is where `/` leads, and no link
//! and no `..` of an image leads out (openat2(2), RESOLVE_IN_ROOT).

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, mkdirat, openat, openat2, readlinkat};
use rustix::io::Errno;

/// Links on one path: the kernel's own number (path_resolution(7)).
const LINKS_MAX: usize = 40;

/// An open directory that is `/` of every path below.
#[derive(Debug)]
pub struct InRoot {
    root: OwnedFd,
}

/// Where a path leads.
#[derive(Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Relative to the root, without links and `..`.
    pub path: PathBuf,
    /// So many of its last names are not there.
    pub missing: usize,
}

/// What is made where something is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
}

impl Kind {
    pub fn of(file: BorrowedFd) -> io::Result<Self> {
        let mode = rustix::fs::fstat(file)?.st_mode;
        Ok(if FileType::from_raw_mode(mode) == FileType::Directory { Self::Directory } else { Self::File })
    }
}

impl InRoot {
    pub fn open(directory: &Path) -> io::Result<Self> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self { root: openat(CWD, directory, flags, Mode::empty())? })
    }

    /// The same of a directory that is open, or of a detached mount.
    pub fn of(root: OwnedFd) -> Self {
        Self { root }
    }

    /// A descriptor of what is there, for other calls than reading and writing (open(2), O_PATH).
    pub fn find(&self, path: &Path) -> io::Result<OwnedFd> {
        self.openat2(path, OFlags::PATH)
    }

    /// The same of a directory. Through no magic link: one of /proc would lead where a descriptor of ours points.
    pub fn find_directory(&self, path: &Path) -> io::Result<OwnedFd> {
        self.openat2(path, OFlags::PATH | OFlags::DIRECTORY)
    }

    /// The content of a regular file; `None` where there is nothing.
    pub fn read(&self, path: &Path, max_bytes: u64) -> io::Result<Option<Vec<u8>>> {
        // Nonblocking: the image may have a pipe there, which nobody writes to.
        let file = match self.openat2(path, OFlags::RDONLY | OFlags::NONBLOCK) {
            Ok(file) => File::from(file),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        if !file.metadata()?.is_file() {
            return Err(in_words(path, "is not a regular file"));
        }
        let mut bytes = Vec::new();
        file.take(max_bytes + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max_bytes {
            return Err(in_words(path, &format!("has more than {max_bytes} bytes")));
        }
        Ok(Some(bytes))
    }

    /// Follows a path to its end, also where its last names are not there.
    pub fn resolve(&self, path: &Path) -> io::Result<Resolved> {
        let mut waiting = reversed_names(path);
        let mut at = PathBuf::new();
        let (mut missing, mut links) = (0, 0);
        while let Some(name) = waiting.pop() {
            if name == ".." {
                at.pop();
                missing = usize::saturating_sub(missing, 1);
                continue;
            }
            at.push(&name);
            if missing > 0 {
                missing += 1;
                continue;
            }
            let found = match self.openat2(&at, OFlags::PATH | OFlags::NOFOLLOW) {
                Ok(found) => found,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    missing = 1;
                    continue;
                }
                Err(error) => return Err(error),
            };
            if FileType::from_raw_mode(rustix::fs::fstat(&found)?.st_mode) != FileType::Symlink {
                continue;
            }
            links += 1;
            if links > LINKS_MAX {
                return Err(Errno::LOOP.into());
            }
            let target = readlinkat(&found, c"", Vec::new())?;
            let target = Path::new(OsStr::from_bytes(target.to_bytes()));
            if target.is_absolute() {
                at.clear();
            } else {
                at.pop();
            }
            waiting.extend(reversed_names(target));
        }
        Ok(Resolved { path: at, missing })
    }

    /// Opens what is at `path`; what is missing of it is made, as root's: directories, and `kind` at the end.
    pub fn make(&self, path: &Path, kind: Kind) -> io::Result<OwnedFd> {
        let Resolved { path, missing } = self.resolve(path)?;
        let names: Vec<&OsStr> = path.iter().collect();
        let (there, to_make) = names.split_at(names.len() - missing);
        let mut last = self.openat2(&there.iter().collect::<PathBuf>(), OFlags::PATH | OFlags::NOFOLLOW)?;
        for (index, name) in to_make.iter().enumerate() {
            let is_last = index + 1 == to_make.len();
            make_one(last.as_fd(), name, if is_last { kind } else { Kind::Directory })?;
            last = openat(&last, *name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
        }
        Ok(last)
    }

    fn openat2(&self, path: &Path, flags: OFlags) -> io::Result<OwnedFd> {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
        loop {
            match openat2(&self.root, path, flags | OFlags::CLOEXEC, Mode::empty(), resolve) {
                // A rename somewhere made the kernel unsure that we are still inside: openat2(2) says to try again.
                Err(Errno::AGAIN | Errno::INTR) => {}
                result => return Ok(result?),
            }
        }
    }
}

impl AsFd for InRoot {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }
}

/// One that is there already is fine: a neighbour with the same cache may have been quicker.
fn make_one(parent: BorrowedFd, name: &OsStr, kind: Kind) -> io::Result<()> {
    let made = match kind {
        Kind::Directory => mkdirat(parent, name, Mode::from_raw_mode(0o755)),
        Kind::File => {
            let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            openat(parent, name, flags, Mode::from_raw_mode(0o644)).map(drop)
        }
    };
    match made {
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

/// The first last, to be popped.
fn reversed_names(path: &Path) -> Vec<OsString> {
    let name = |part: Component| match part {
        Component::Normal(name) => Some(name.to_owned()),
        Component::ParentDir => Some("..".into()),
        Component::RootDir | Component::CurDir | Component::Prefix(_) => None,
    };
    let mut names: Vec<OsString> = path.components().filter_map(name).collect();
    names.reverse();
    names
}

fn in_words(path: &Path, what: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, format!("{} {what}", path.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;

    fn check(root: &InRoot, path: &str, leads_to: &str, missing: usize) {
        let expected = Resolved { path: leads_to.into(), missing };
        assert_eq!(root.resolve(Path::new(path)).expect("it resolves"), expected, "{path}");
    }

    #[test]
    fn a_path_is_followed_inside_to_its_end_whether_that_is_there_or_not() {
        let outside = tempfile::tempdir().expect("a directory");
        let directory = tempfile::tempdir().expect("a directory");
        let inside = directory.path();
        fs::create_dir_all(inside.join("run/lock")).expect("made");
        fs::create_dir(inside.join("var")).expect("made");
        symlink("/run", inside.join("var/run")).expect("linked");
        symlink("../../../../run/gone/conf", inside.join("var/conf")).expect("linked");
        symlink(outside.path(), inside.join("out")).expect("linked");
        symlink("round", inside.join("round")).expect("linked");
        fs::write(inside.join("file"), "").expect("written");
        let root = InRoot::open(inside).expect("opened");
        check(&root, "/", "", 0);
        check(&root, "/var/run/lock", "run/lock", 0);
        check(&root, "/var/run/a/b", "run/a/b", 2);
        check(&root, "/var/run/a/../b", "run/b", 1);
        check(&root, "/var/conf", "run/gone/conf", 2);
        check(&root, "../../..", "", 0);
        check(&root, "/nothing/../../var/run", "run", 0);
        let out = outside.path().strip_prefix("/").expect("absolute");
        check(&root, "/out/x", &format!("{}/x", out.display()), out.iter().count() + 1);
        assert!(root.resolve(Path::new("/round")).is_err());
        assert!(root.resolve(Path::new("/file/below")).is_err());
    }

    #[test]
    fn what_is_made_through_a_link_to_outside_is_made_inside() {
        let outside = tempfile::tempdir().expect("a directory");
        let directory = tempfile::tempdir().expect("a directory");
        symlink(outside.path(), directory.path().join("way")).expect("linked");
        let root = InRoot::open(directory.path()).expect("opened");
        root.make(Path::new("/way/a/b"), Kind::File).expect("made");
        assert_eq!(fs::read_dir(outside.path()).expect("listed").count(), 0);
        let within = directory.path().join(outside.path().strip_prefix("/").expect("absolute"));
        assert!(within.join("a/b").is_file());
    }

    #[test]
    fn only_a_regular_file_of_a_bounded_size_is_read() {
        let directory = tempfile::tempdir().expect("a directory");
        let root = InRoot::open(directory.path()).expect("opened");
        let read = |name: &str| root.read(Path::new(name), 4);
        fs::write(directory.path().join("four"), "four").expect("written");
        fs::write(directory.path().join("five!"), "five!").expect("written");
        rustix::fs::mknodat(CWD, directory.path().join("pipe"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .expect("a pipe");
        assert_eq!(read("four").expect("read"), Some(b"four".to_vec()));
        assert_eq!(read("none").expect("not there"), None);
        assert!(read("five!").is_err() && read("pipe").is_err() && read("/").is_err());
    }
}
