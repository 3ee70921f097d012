//! The layers of an image become one archive: what a container would see, without a mount.
//!
//! It is what overlayfs does, as a walk: of every name the uppermost layer that has it counts; a whiteout hides it, and a
//! directory shows what lower layers have in it too, down to one that is opaque or is no directory.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::io::Write;

use rustix::fs::{FileType, Stat};

use super::limits::DEPTH_MAX;
use super::pack::{PackError, Packed, Packing};
use super::unpack::is_whiteout;
use super::whiteout::OPAQUE_XATTR;
use crate::image::beneath::{Name, Root};

/// Writes the tree that these layers, bottom to top, are together.
pub fn merge(layers: &[Root], out: &mut dyn Write) -> Result<Packed, PackError> {
    let mut packing = Packing::new(out);
    let from_above: Vec<&Root> = layers.iter().rev().collect();
    directory(&mut packing, &Name::root(), &from_above)?;
    packing.finish()
}

/// What is in a directory that these layers have, uppermost first. No descriptor is kept while going deeper: an image may
/// have a hundred layers.
fn directory(packing: &mut Packing, name: &Name, layers: &[&Root]) -> Result<(), PackError> {
    if name.depth() >= DEPTH_MAX {
        return Err(PackError::Depth { name: name.clone() });
    }
    let layers = down_to_opaque(name, layers)?;
    let mut names = BTreeSet::<OsString>::new();
    for layer in layers {
        names.extend(layer.list(name).map_err(|source| PackError::Read { name: name.clone(), source })?);
    }
    for last in names {
        entry(packing, name, &last, layers)?;
    }
    Ok(())
}

fn entry(packing: &mut Packing, parent: &Name, last: &OsStr, layers: &[&Root]) -> Result<(), PackError> {
    let name = parent.join(last);
    let failed = |source| PackError::Read { name: name.clone(), source };
    let mut directories = Vec::new();
    for layer in layers {
        let folder = layer.folder(parent).map_err(failed)?;
        let Some(stat) = folder.find(last).map_err(failed)? else { continue };
        if is_directory(&stat) {
            if directories.is_empty() {
                packing.directory_entry(&name, &folder, last, &stat)?;
            }
            directories.push(*layer);
            continue;
        }
        if directories.is_empty() && !is_whiteout(&stat) {
            packing.file_entry(&name, &folder, last, &stat)?;
        }
        // Whatever it is, nothing further down shows.
        break;
    }
    if directories.is_empty() { Ok(()) } else { directory(packing, &name, &directories) }
}

/// The layers whose files show in a directory: none below one that is opaque.
fn down_to_opaque<'a, 'b>(name: &Name, layers: &'b [&'a Root]) -> Result<&'b [&'a Root], PackError> {
    for (depth, layer) in layers.iter().enumerate() {
        let mark = layer.folder(name).and_then(|folder| folder.xattr(OPAQUE_XATTR));
        if mark.map_err(|source| PackError::Read { name: name.clone(), source })?.as_deref() == Some(b"y") {
            return Ok(&layers[..=depth]);
        }
    }
    Ok(layers)
}

fn is_directory(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
}
