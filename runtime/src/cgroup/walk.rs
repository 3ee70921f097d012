//! A tree of groups, however deep: v1 limits neither how many groups a learner makes nor how far down, and a path ends at
//! 4,096 bytes. So the walk goes from descriptor to descriptor, holds one of them at a time, and does not recurse.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Dir, FileType, Mode, OFlags, openat, unlinkat};

const DIRECTORY: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Shows every group of the tree to `visit`, those above first. What vanishes meanwhile is left out.
pub fn each(top: &Path, mut visit: impl FnMut(BorrowedFd)) -> io::Result<()> {
    let mut here = openat(CWD, top, DIRECTORY, Mode::empty())?;
    visit(here.as_fd());
    // The groups still to be seen below each group on the way to `here`.
    let mut way = vec![below(&here)?];
    while let Some(left) = way.last_mut() {
        match left.pop() {
            Some(name) => {
                let Ok(next) = openat(&here, &name, DIRECTORY, Mode::empty()) else { continue };
                visit(next.as_fd());
                way.push(below(&next)?);
                here = next;
            }
            None => {
                way.pop();
                if !way.is_empty() {
                    here = openat(&here, c"..", DIRECTORY, Mode::empty())?;
                }
            }
        }
    }
    Ok(())
}

/// Removes the tree, the groups below first. One that is not there is removed already: somebody's sweep may be at it too.
pub fn remove(top: &Path) -> io::Result<()> {
    match removed(top) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn removed(top: &Path) -> io::Result<()> {
    let mut here = openat(CWD, top, DIRECTORY, Mode::empty())?;
    let mut way: Vec<CString> = Vec::new();
    loop {
        if let Some(name) = below(&here)?.pop() {
            here = openat(&here, &name, DIRECTORY, Mode::empty())?;
            way.push(name);
            continue;
        }
        let Some(name) = way.pop() else { break };
        here = openat(&here, c"..", DIRECTORY, Mode::empty())?;
        unlinkat(&here, &name, AtFlags::REMOVEDIR)?;
    }
    Ok(unlinkat(CWD, top, AtFlags::REMOVEDIR)?)
}

fn below(group: &OwnedFd) -> io::Result<Vec<CString>> {
    let mut names = Vec::new();
    for entry in Dir::read_from(group)? {
        let entry = entry?;
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && name != c"." && name != c".." {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Directories of any file system are as good.
    #[test]
    fn a_tree_that_no_path_reaches_the_end_of_is_walked_and_removed() {
        const DEPTH: usize = 5000;
        let yard = tempfile::tempdir().expect("a temporary directory");
        let top = yard.path().join("top");
        std::fs::create_dir(&top).expect("a directory");
        let mut here = openat(CWD, &top, DIRECTORY, Mode::empty()).expect("it is there");
        for _ in 0..DEPTH {
            for name in [c"aside", c"down"] {
                rustix::fs::mkdirat(&here, name, Mode::RWXU).expect("a directory");
            }
            here = openat(&here, c"down", DIRECTORY, Mode::empty()).expect("it is there");
        }
        let mut seen = 0;
        each(&top, |_| seen += 1).expect("it can be walked");
        assert_eq!(seen, 1 + 2 * DEPTH);
        remove(&top).expect("it can be removed");
        assert!(!top.exists());
        remove(&top).expect("it is removed already");
    }
}
