//! Layers, unpacked.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::beneath::Root;
use super::super::digest::Digest;
use super::locks::{boot_id, write_whole};
use super::{ImageError, LayerDraft, Store, Work};

/// A layer's JSON. Ours have under 1 KiB.
const RECORD_MAX_BYTES: u64 = 64 * 1024;

/// A layer that is here.
#[derive(Debug, Clone, PartialEq)]
pub struct Layer {
    pub diff_id: Digest,
    /// Its files in overlay form (see [`archive`](super::super::archive)). Nobody writes here.
    pub path: PathBuf,
    pub record: LayerRecord,
}

/// What is known of a layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerRecord {
    /// Of its files' content.
    pub size_bytes: u64,
    pub files: u64,
    pub tar: Tar,
    /// Only valid while the machine runs since then: its files have not been waited for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boot: Option<String>,
}

/// How others are given the layer under its digest.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "kebab-case")]
pub enum Tar {
    /// Made again from the files; `bytes` is how long it is.
    Canonical { bytes: u64 },
    /// As it came: a blob of this store.
    Kept { blob: Digest, bytes: u64, media_type: String },
}

impl LayerRecord {
    /// Of a layer whose files have just been written, and are on their way to the disk.
    pub fn new(size_bytes: u64, files: u64, tar: Tar) -> Self {
        Self { size_bytes, files, tar, boot: Some(boot_id()) }
    }
}

impl Store {
    /// A layer that is here, whole, and was on the disk when the machine last started.
    pub fn layer(&self, diff_id: &Digest) -> Option<Layer> {
        let boot = boot_id();
        self.contents().find_map(|content| {
            let record = read_record(&folder(content, diff_id))?;
            let whole = record.boot.as_ref().is_none_or(|of| *of == boot);
            whole.then(|| Layer { diff_id: *diff_id, path: folder(content, diff_id).join("diff"), record })
        })
    }

    /// Moves a finished layer into place, where it can be used at once. One of the same digest is the same.
    ///
    /// It counts as lost if the machine stops before [`Store::settle`].
    pub fn keep_layer(
        &self,
        work: &Work,
        draft: LayerDraft,
        diff_id: Digest,
        record: &LayerRecord,
    ) -> Result<Layer, ImageError> {
        if let Some(layer) = self.layer(&diff_id) {
            return Ok(layer);
        }
        let to = folder(&self.content, &diff_id);
        write_record(work, draft.path(), record)?;
        // What is there is of another boot, or half removed: out of the way with it.
        self.discard(work, &to)?;
        match fs::rename(draft.path(), &to) {
            // Another process was quicker.
            Err(_) if self.layer(&diff_id).is_some() => {}
            result => result.map_err(ImageError::store("move the finished layer to", &to))?,
        }
        Ok(Layer { diff_id, path: to.join("diff"), record: record.clone() })
    }

    /// Waits until these layers are on the disk, so that they outlive a power failure.
    pub fn settle(&self, work: &Work, layers: &[Layer]) -> Result<(), ImageError> {
        // Those of the store below are its own business.
        let is_ours = |layer: &&Layer| layer.path.starts_with(&self.content);
        let new: Vec<&Layer> = layers.iter().filter(is_ours).filter(|layer| layer.record.boot.is_some()).collect();
        let Some(first) = new.first() else { return Ok(()) };
        // One call for all: they are on one file system.
        Root::open(&first.path)
            .and_then(|root| root.sync())
            .map_err(ImageError::store("write to disk", &first.path))?;
        for layer in new {
            let settled = LayerRecord { boot: None, ..layer.record.clone() };
            write_record(work, &folder(&self.content, &layer.diff_id), &settled)?;
        }
        Ok(())
    }

    /// Moves a layer's folder out of the way before its files go, so that half a layer is never found under its name.
    pub(super) fn discard(&self, work: &Work, folder: &Path) -> Result<(), ImageError> {
        match fs::rename(folder, work.file()) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            result => result.map_err(ImageError::store("remove", folder)),
        }
    }
}

pub fn folder(content: &Path, diff_id: &Digest) -> PathBuf {
    content.join("layers").join(diff_id.hex())
}

pub fn read_record(folder: &Path) -> Option<LayerRecord> {
    let path = folder.join("layer.json");
    if fs::metadata(&path).ok()?.len() > RECORD_MAX_BYTES || !folder.join("diff").is_dir() {
        return None;
    }
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn write_record(work: &Work, folder: &Path, record: &LayerRecord) -> Result<(), ImageError> {
    let text = serde_json::to_vec_pretty(record).expect("a record has only texts and numbers");
    write_whole(work, &folder.join("layer.json"), &text)
}
