//! Names that mean a deletion (OCI image specification, "Whiteouts"; the marks come from aufs).
//!
//! In an archive `.wh.NAME` says that NAME of the layers below is gone, and `.wh..wh..opq` in a directory that everything
//! below it is. In overlay form the first is a character device 0/0 called NAME, the second an attribute of the directory.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use crate::image::beneath::Name;

const PREFIX: &[u8] = b".wh.";
/// aufs's own bookkeeping, which is nothing of the image.
const AUFS_PREFIX: &[u8] = b".wh..wh.";
pub const OPAQUE: &str = ".wh..wh..opq";

/// The attribute of an opaque directory where overlays are mounted with `userxattr`, as all of ours are.
pub const OPAQUE_XATTR: &str = "user.overlay.opaque";

/// What a name of a layer's archive is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mark {
    /// A file like any other.
    None,
    /// This name is gone.
    Whiteout(Name),
    /// Nothing below this directory shows.
    Opaque(Name),
    /// Of no meaning here.
    Skipped,
}

/// Why a mark is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MarkError {
    #[error("it would delete its own folder or the one above")]
    Dots,
    #[error("it names nothing that it would delete")]
    Empty,
    #[error("it lies in a folder whose name means a deletion")]
    Within,
}

/// Reads a name of an archive.
pub fn read(name: &Name) -> Result<Mark, MarkError> {
    let Some(last) = name.last().map(OsStr::as_bytes) else { return Ok(Mark::None) };
    let parent = name.parent().unwrap_or_else(Name::root);
    let mut parts = parent.as_path().iter().map(OsStr::as_bytes);
    if let Some(mark) = parts.find(|part| part.starts_with(PREFIX)) {
        // aufs kept hard links in folders of its own.
        return if mark.starts_with(AUFS_PREFIX) { Ok(Mark::Skipped) } else { Err(MarkError::Within) };
    }
    if last == OPAQUE.as_bytes() {
        return Ok(Mark::Opaque(parent));
    }
    if let Some(rest) = last.strip_prefix(AUFS_PREFIX) {
        return gone(rest).map(|_| Mark::Skipped);
    }
    match last.strip_prefix(PREFIX) {
        Some(rest) => Ok(Mark::Whiteout(parent.join(gone(rest)?))),
        None => Ok(Mark::None),
    }
}

fn gone(rest: &[u8]) -> Result<&OsStr, MarkError> {
    match rest {
        b"" => Err(MarkError::Empty),
        b"." | b".." => Err(MarkError::Dots),
        rest => Ok(OsStr::from_bytes(rest)),
    }
}

/// Whether a file may not be called so in a layer: unpacked elsewhere it would delete another.
pub fn is_mark(last: &OsStr) -> bool {
    last.as_bytes().starts_with(PREFIX)
}

/// How an archive says that `last` is gone.
pub fn written(last: &OsStr) -> Vec<u8> {
    [PREFIX, last.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str) -> Result<Mark, MarkError> {
        read(&Name::of(name))
    }

    #[test]
    fn names_are_files_deletions_or_nothing() {
        assert_eq!(check("etc/passwd"), Ok(Mark::None));
        assert_eq!(check("etc/.why"), Ok(Mark::None));
        assert_eq!(check("."), Ok(Mark::None));
        assert_eq!(check("etc/.wh.passwd"), Ok(Mark::Whiteout(Name::of("etc/passwd"))));
        assert_eq!(check(".wh.etc"), Ok(Mark::Whiteout(Name::of("etc"))));
        assert_eq!(check("etc/.wh..wh..opq"), Ok(Mark::Opaque(Name::of("etc"))));
        assert_eq!(check(".wh..wh..opq"), Ok(Mark::Opaque(Name::root())));
        assert_eq!(check(".wh..wh.aufs"), Ok(Mark::Skipped));
        assert_eq!(check(".wh..wh.plnk/12.34"), Ok(Mark::Skipped));
    }

    #[test]
    fn a_mark_that_could_delete_something_else_is_refused() {
        assert_eq!(check("etc/.wh.."), Err(MarkError::Dots));
        assert_eq!(check("etc/.wh..."), Err(MarkError::Dots));
        assert_eq!(check("etc/.wh."), Err(MarkError::Empty));
        assert_eq!(check("etc/.wh..wh."), Err(MarkError::Empty));
        assert_eq!(check("etc/.wh..wh..."), Err(MarkError::Dots));
        assert_eq!(check(".wh.etc/passwd"), Err(MarkError::Within));
    }

    #[test]
    fn what_is_written_reads_back() {
        assert_eq!(check(std::str::from_utf8(&written(OsStr::new("a"))).unwrap()), Ok(Mark::Whiteout(Name::of("a"))));
        assert!(is_mark(OsStr::new(".wh.a")) && !is_mark(OsStr::new("a.wh.")));
    }
}
