//! What `.dockerignore` leaves out of a context that a `RUN` sees: `RUN --mount=type=bind`.
//!
//! A context is never copied, so what does not belong to it is hidden: a layer of whiteouts lies on top of the folder, as
//! a layer of an image that deletes those files would.

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::io;
use std::path::Path;

use rustix::fs::{FileType, Stat};

use super::material::{Tree, Verdict};
use crate::image::archive::limits::DEPTH_MAX;
use crate::image::beneath::{Device, Folder, Meta, Name, Root};

/// Fills an empty folder with whiteouts. False if there is nothing to hide.
pub fn fill(tree: &Tree, mask: &Path) -> io::Result<bool> {
    let top = tree.merged.root.find_directory(Path::new("/")).map(Folder::new)?;
    let mut hidden = BTreeSet::new();
    collect(tree, &top, &Name::root(), &mut hidden)?;
    let root = Root::open(mask)?;
    root.directory(&Name::root(), meta(&top.stat()?), &[])?;
    let mut made = BTreeSet::new();
    for name in &hidden {
        let (mut seen, mut way) = (tree.merged.root.find_directory(Path::new("/")).map(Folder::new)?, Name::root());
        let parent = name.parent().unwrap_or_else(Name::root);
        for part in parent.as_path().iter() {
            (seen, way) = (seen.enter(part)?, way.join(part));
            if made.insert(way.clone()) {
                // The topmost of the folders that an overlay merges is the one whose owner and mode are seen.
                root.directory(&way, meta(&seen.stat()?), &[])?;
            }
        }
        let whiteout = Meta { mode: 0, uid: 0, gid: 0, mtime: None };
        root.folder(&parent)?.device(name.last().unwrap_or_default(), Device::WHITEOUT, whiteout)?;
    }
    Ok(!hidden.is_empty())
}

/// Adds what is left out below a folder; gives whether anything there is kept.
fn collect(tree: &Tree, folder: &Folder, name: &Name, hidden: &mut BTreeSet<Name>) -> io::Result<bool> {
    if name.depth() >= DEPTH_MAX {
        return Err(io::Error::other(format!("{name} is more than {DEPTH_MAX} folders deep")));
    }
    let mut any = false;
    for last in folder.list()? {
        any |= keep(tree, folder, &last, &name.join(&last), hidden)?;
    }
    Ok(any)
}

fn keep(tree: &Tree, folder: &Folder, last: &OsStr, name: &Name, hidden: &mut BTreeSet<Name>) -> io::Result<bool> {
    // What was removed since the folder was read is not there.
    let Some(stat) = folder.find(last)? else { return Ok(false) };
    let is_folder = FileType::from_raw_mode(stat.st_mode) == FileType::Directory;
    let mut below = BTreeSet::new();
    let kept = match tree.verdict(name, is_folder) {
        Verdict::DropAll => false,
        Verdict::Drop => is_folder && collect(tree, &folder.enter(last)?, name, &mut below)?,
        Verdict::Keep if is_folder => {
            collect(tree, &folder.enter(last)?, name, &mut below)?;
            true
        }
        Verdict::Keep => true,
    };
    // A folder that is hidden hides what is in it.
    match kept {
        true => hidden.append(&mut below),
        false => hidden.extend([name.clone()]),
    }
    Ok(kept)
}

fn meta(stat: &Stat) -> Meta {
    Meta { mode: stat.st_mode & 0o7777, uid: stat.st_uid, gid: stat.st_gid, mtime: Some(stat.st_mtime) }
}
