//! A draft becomes a layer.
//!
//! Its diff id is the digest of its canonical archive, so that two drafts with the same files are one layer. What an
//! overlay leaves in a draft without meaning is not in the archive: the draft's own top folder, overlay's attributes,
//! sockets. Folders that were only passed through are in it, as in Docker's layers: an archive in which they were missing
//! would give them another owner when it is unpacked alone. They have the times that they had.
//!
//! `RUN` writes files with the time of day, so it makes another layer each time, unless `SOURCE_DATE_EPOCH` is given: then
//! nothing is younger than that, as with BuildKit's `rewrite-timestamp`.

use std::io;

use rustix::fs::{FileType, Stat};

use super::copy::target::time_of;
use super::error::StepError;
use super::material::{Site, at};
use crate::image::archive::limits::DEPTH_MAX;
use crate::image::archive::pack::{Packed, pack};
use crate::image::archive::unpack::is_whiteout;
use crate::image::beneath::{Folder, Name};
use crate::image::store::{Layer, LayerDraft, LayerRecord, Tar};

/// Packs a draft and keeps it. None if there is nothing in it, unless `even_if_empty`.
pub fn keep(site: &Site, draft: LayerDraft, even_if_empty: bool) -> Result<Option<Layer>, StepError> {
    let root = draft.root()?;
    if let Some(epoch) = site.epoch {
        let top = root.folder(&Name::root()).map_err(at(&draft.diff()))?;
        clamp(&top, epoch, 0).map_err(at(&draft.diff()))?;
    }
    let packed: Packed = pack(&root, &mut io::sink())?;
    if packed.entries == 0 && !even_if_empty {
        return Ok(None);
    }
    let record = LayerRecord::new(packed.bytes, packed.files, Tar::Canonical { bytes: packed.archive_bytes });
    Ok(Some(site.store.keep_layer(site.work, draft, packed.diff_id, &record)?))
}

/// Makes nothing younger than `epoch`.
fn clamp(folder: &Folder, epoch: i64, depth: usize) -> io::Result<()> {
    if depth >= DEPTH_MAX {
        return Err(io::Error::other(format!("it is more than {DEPTH_MAX} folders deep")));
    }
    for last in folder.list()? {
        let Some(stat) = folder.find(&last)? else { continue };
        if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            clamp(&folder.enter(&last)?, epoch, depth + 1)?;
        }
        if is_younger(&stat, epoch) && !is_whiteout(&stat) {
            folder.set_times(&last, &time_of(epoch))?;
        }
    }
    Ok(())
}

fn is_younger(stat: &Stat, epoch: i64) -> bool {
    stat.st_mtime > epoch || stat.st_mtime == epoch && stat.st_mtime_nsec > 0
}
