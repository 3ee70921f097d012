//! Trees of directories that somebody else has made, however deep.
//!
//! Whoever may make a directory may make 100,000 in each other. A path ends at 4,096 bytes, a stack before 100,000 calls,
//! and a process' descriptors at a thousand; so these walks go from descriptor to descriptor, hold one or two at a time,
//! and do not recurse. Nothing is followed, and `..` has to be the directory that one came from.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, fstat, openat, unlinkat};
use rustix::io::Errno;

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Shows every directory of the tree to `visit`, those above first. What vanishes meanwhile is left out.
pub fn each(top: &Path, mut visit: impl FnMut(BorrowedFd)) -> io::Result<()> {
    let mut way = Way::begin(top, &mut |here| {
        visit(here);
        below(here, false)
    })?;
    while let Some(last) = way.levels.last_mut() {
        match last.left.pop() {
            Some(name) => match way.down(&name) {
                Ok(()) => {
                    visit(way.here.as_fd());
                    let left = below(way.here.as_fd(), false)?;
                    way.entered(left)?;
                }
                Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            },
            None => drop(way.up()?),
        }
    }
    Ok(())
}

/// Removes a tree of directories, those below first; it takes away no files, which in a control group cannot be. A tree
/// that is not there is removed already: somebody else's sweep may be at it too.
pub fn remove_directories(top: &Path) -> io::Result<()> {
    is_gone(remove(top, false))
}

/// Removes a tree with everything in it; a file or a link is removed itself. Nothing there is fine.
pub fn remove_all(top: &Path) -> io::Result<()> {
    match remove(top, true) {
        Err(error) if matches!(Errno::from_io_error(&error), Some(Errno::NOTDIR | Errno::LOOP)) => {
            is_gone(Ok(unlinkat(CWD, top, AtFlags::empty())?))
        }
        removed => is_gone(removed),
    }
}

fn is_gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn remove(top: &Path, with_files: bool) -> io::Result<()> {
    let mut way = Way::begin(top, &mut |here| below(here, with_files))?;
    while let Some(last) = way.levels.last_mut() {
        match last.left.pop() {
            Some(name) => {
                way.down(&name)?;
                let left = below(way.here.as_fd(), with_files)?;
                way.entered(left)?;
            }
            None => {
                if let Some(name) = way.up()? {
                    unlinkat(&way.here, &name, AtFlags::REMOVEDIR)?;
                }
            }
        }
    }
    Ok(unlinkat(CWD, top, AtFlags::REMOVEDIR)?)
}

/// Where a walk is, and how it came there.
struct Way {
    here: OwnedFd,
    levels: Vec<Level>,
}

/// One directory on the way from the top to `here`.
struct Level {
    /// What the directory above calls it.
    name: CString,
    /// Device and inode.
    is: (u64, u64),
    /// Directories in it that are still to be entered.
    left: Vec<CString>,
}

impl Way {
    fn begin(top: &Path, look: &mut dyn FnMut(BorrowedFd) -> io::Result<Vec<CString>>) -> io::Result<Self> {
        let here = openat(CWD, top, DIRECTORY, Mode::empty())?;
        let left = look(here.as_fd())?;
        let is = identity(here.as_fd())?;
        Ok(Self { here, levels: vec![Level { name: CString::default(), is, left }] })
    }

    /// The next is [`Way::entered`].
    fn down(&mut self, name: &CString) -> rustix::io::Result<()> {
        let next = openat(&self.here, name, DIRECTORY, Mode::empty())?;
        let is = identity(next.as_fd())?;
        self.here = next;
        self.levels.push(Level { name: name.clone(), is, left: Vec::new() });
        Ok(())
    }

    fn entered(&mut self, left: Vec<CString>) -> io::Result<()> {
        self.levels.last_mut().ok_or(io::ErrorKind::NotFound)?.left = left;
        Ok(())
    }

    /// Out of the directory that it is in; its name, if the walk goes on.
    fn up(&mut self) -> io::Result<Option<CString>> {
        let left = self.levels.pop();
        let (Some(left), Some(above)) = (left, self.levels.last()) else { return Ok(None) };
        self.here = openat(&self.here, c"..", DIRECTORY, Mode::empty())?;
        if identity(self.here.as_fd())? != above.is {
            return Err(io::Error::other("a directory was moved away while its tree was walked"));
        }
        Ok(Some(left.name))
    }
}

fn identity(directory: BorrowedFd) -> rustix::io::Result<(u64, u64)> {
    let stat = fstat(directory)?;
    Ok((stat.st_dev, stat.st_ino))
}

/// The directories in a directory. Everything else in it is removed, if so wanted.
fn below(directory: BorrowedFd, remove_others: bool) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    let mut others = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        match entry.file_type() {
            FileType::Directory if name == c"." || name == c".." => {}
            FileType::Directory => names.push(name.to_owned()),
            _ if remove_others => others.push(name.to_owned()),
            _ => {}
        }
    }
    for name in others {
        match unlinkat(directory, &name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            // A file system that does not say kinds in its lists.
            Err(Errno::ISDIR) => names.push(name),
            Err(error) => return Err(error.into()),
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More than a stack, a path or the descriptors of a process reach.
    const DEPTH: usize = 30_000;

    fn deep_tree() -> (tempfile::TempDir, std::path::PathBuf) {
        let yard = tempfile::tempdir().expect("a temporary directory");
        let top = yard.path().join("top");
        std::fs::create_dir(&top).expect("a directory");
        let mut here = openat(CWD, &top, DIRECTORY, Mode::empty()).expect("it is there");
        for level in 0..DEPTH {
            rustix::fs::mkdirat(&here, c"down", Mode::RWXU).expect("a directory");
            if level % 100 == 0 {
                rustix::fs::mkdirat(&here, c"aside", Mode::RWXU).expect("a directory");
            }
            here = openat(&here, c"down", DIRECTORY, Mode::empty()).expect("it is there");
        }
        (yard, top)
    }

    #[test]
    fn a_tree_that_no_path_reaches_the_end_of_is_walked_and_removed() {
        let (_yard, top) = deep_tree();
        let mut seen = 0;
        each(&top, |_| seen += 1).expect("it can be walked");
        assert_eq!(seen, 1 + DEPTH + DEPTH / 100);
        remove_directories(&top).expect("it can be removed");
        assert!(!top.exists());
        remove_directories(&top).expect("it is removed already");
    }

    #[test]
    fn everything_goes_and_nothing_is_followed() {
        let (yard, top) = deep_tree();
        let outside = yard.path().join("outside");
        std::fs::create_dir(&outside).expect("a directory");
        std::fs::write(outside.join("kept"), "kept").expect("a file");
        for (at, to) in [("down/link", "outside"), ("aside/dots", "../..")] {
            std::os::unix::fs::symlink(yard.path().join(to), top.join(at)).expect("a link");
        }
        std::fs::write(top.join("down/file"), "gone").expect("a file");
        assert!(remove_directories(&top).is_err(), "files are not for it");
        remove_all(&top).expect("it can be removed");
        assert!(!top.exists());
        assert_eq!(std::fs::read_to_string(outside.join("kept")).expect("it is there"), "kept");
        std::os::unix::fs::symlink(&outside, &top).expect("a link");
        remove_all(&top).expect("the link goes");
        assert!(!top.is_symlink() && outside.join("kept").exists());
        remove_all(&top).expect("it is removed already");
    }
}
