//! Removing: names, then images without names, then content that nothing names.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::digest::Digest;
use super::super::oci::{CONFIG_MAX_BYTES, ImageConfig, MANIFEST_MAX_BYTES, Manifest};
use super::super::reference::Reference;
use super::layers::{LayerRecord, Tar, read_record};
use super::locks::{self, Sharing, write_whole};
use super::work::remove_tree;
use super::{Image, ImageError, Layer, Store, Work, images};

/// A hold's JSON: a list of digests.
const HOLD_MAX_BYTES: u64 = 1024 * 1024;

/// What is gone.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    pub names: Vec<Reference>,
    pub images: Vec<Digest>,
    pub layers: Vec<Digest>,
    /// Of blobs and of the files of layers.
    pub bytes: u64,
}

/// What takes room.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Usage {
    pub images: Vec<ImageUsage>,
    /// Bytes of all layers' files, each layer once.
    pub layers_bytes: u64,
    pub layers: usize,
    /// Bytes of archives that came with layers, and of documents.
    pub blobs_bytes: u64,
    /// Bytes of layers that no image has: a build's cache, or what was not swept yet.
    pub unnamed_bytes: u64,
    pub downloads_bytes: u64,
}

#[derive(Debug, Clone, PartialEq)]
pub struct ImageUsage {
    pub image: Image,
    /// Bytes of layers that other images have too.
    pub shared_bytes: u64,
    /// Bytes that would be free without it.
    pub unique_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Hold {
    layers: Vec<Digest>,
}

impl Store {
    /// Keeps layers from being swept until [`Store::release`], whether or not an image has them. `name` is a file's.
    pub fn hold(&self, work: &Work, name: &str, layers: &[Digest]) -> Result<(), ImageError> {
        let text = serde_json::to_vec(&Hold { layers: layers.to_vec() }).expect("digests are texts");
        write_whole(work, &self.hold_path(name), &text)
    }

    pub fn release(&self, name: &str) -> Result<(), ImageError> {
        remove_file(&self.hold_path(name))
    }

    /// The names of all holds.
    pub fn holds(&self) -> Result<Vec<String>, ImageError> {
        let files = list(&self.root.join("holds"))?;
        Ok(files
            .iter()
            .filter_map(|path| Some(path.file_name()?.to_str()?.strip_suffix(".json")?.to_owned()))
            .collect())
    }

    /// Takes a name from its image, and removes the image when that was its last. By its id an image is removed if it has
    /// at most one name, or with `force`. `used` are the layers that sandboxes run on.
    pub fn remove(&self, text: &str, used: &[PathBuf], force: bool) -> Result<Removed, ImageError> {
        let image = self.resolve(text)?;
        let named = text.parse::<Reference>().ok().filter(|name| image.names.contains(name));
        let gone = match &named {
            Some(name) => vec![name.clone()],
            None if force || image.names.len() <= 1 => image.names.clone(),
            None => {
                let names = image.names.iter().map(Reference::familiar).collect::<Vec<_>>().join(", ");
                return Err(ImageError::HasNames { id: image.id.short(), names });
            }
        };
        let last = gone.len() == image.names.len();
        if last && let Some(layer) = image.layers.iter().find(|layer| used.contains(&layer.path)) {
            let layer = layer.path.clone();
            return Err(ImageError::InUse { name: image.shown(), layer, by: "a sandbox" });
        }
        let work = self.work_alone()?;
        self.untag(&work, &gone)?;
        if !last {
            return Ok(Removed { names: gone, ..Removed::default() });
        }
        remove_file(&images::record_path(&self.content, &image.id))?;
        let swept = self.sweep_with(&work, used)?;
        Ok(Removed { names: gone, images: vec![image.id], ..swept })
    }

    /// Removes images that have no name, and all content that nothing names.
    pub fn prune(&self, used: &[PathBuf]) -> Result<Removed, ImageError> {
        let work = self.work_alone()?;
        let named: BTreeSet<Digest> = super::names::read(&self.content)?.into_values().collect();
        let nameless: Vec<Digest> = images::ids_in(&self.content)?
            .into_iter()
            .filter(|id| !named.contains(id) && !self.is_used(id, used))
            .collect();
        for id in &nameless {
            remove_file(&images::record_path(&self.content, id))?;
        }
        let swept = self.sweep_with(&work, used)?;
        Ok(Removed { images: nameless, ..swept })
    }

    /// Removes content that no image and no hold names, and that is not in `used`.
    pub fn sweep(&self, used: &[PathBuf]) -> Result<Removed, ImageError> {
        let work = self.work_alone()?;
        self.sweep_with(&work, used)
    }

    /// Drops an image's record when it has no name left; its content goes with the next sweep.
    pub(in crate::image) fn forget_if_nameless(&self, id: &Digest) -> Result<(), ImageError> {
        match self.names_of(id)?.is_empty() {
            true => remove_file(&images::record_path(&self.content, id)),
            false => Ok(()),
        }
    }

    /// What takes how much room, from records alone: no file of a layer is looked at.
    pub fn usage(&self) -> Result<Usage, ImageError> {
        let images: Vec<Image> = self.images()?.into_iter().flatten().collect();
        let owners = |layer: &Layer| images.iter().filter(|image| image.layers.contains(layer)).count();
        let sum = |layers: Vec<&Layer>| layers.iter().map(|layer| layer.record.size_bytes).sum();
        let of = |image: &Image| {
            let (shared, unique) = image.layers.iter().partition(|layer| owners(layer) > 1);
            ImageUsage { image: image.clone(), shared_bytes: sum(shared), unique_bytes: sum(unique) }
        };
        let layers = self.layers_here()?;
        let has_owner = |id: &Digest| images.iter().any(|image| image.layers.iter().any(|layer| layer.diff_id == *id));
        let bytes = |(_, record): &(Digest, LayerRecord)| record.size_bytes;
        Ok(Usage {
            layers: layers.len(),
            layers_bytes: layers.iter().map(bytes).sum(),
            unnamed_bytes: layers.iter().filter(|(id, _)| !has_owner(id)).map(bytes).sum(),
            blobs_bytes: folder_bytes(&self.content.join("blobs/sha256")),
            downloads_bytes: folder_bytes(&self.cache()),
            images: images.iter().map(of).collect(),
        })
    }

    /// Work of a process that alone may change the store.
    fn work_alone(&self) -> Result<Work, ImageError> {
        let alone = locks::try_lock(&self.root.join("writers"), Sharing::Exclusive)?;
        self.work_as(alone.ok_or(ImageError::Busy)?)
    }

    fn sweep_with(&self, work: &Work, used: &[PathBuf]) -> Result<Removed, ImageError> {
        let keep = self.kept()?;
        let mut removed = Removed::default();
        for path in list(&self.content.join("layers"))? {
            let id = hex_name(&path);
            let wanted = id.is_some_and(|id| keep.layers.contains(&id));
            if wanted || used.iter().any(|used| used.starts_with(&path)) {
                continue;
            }
            removed.bytes += read_record(&path).map_or(0, |record| record.size_bytes);
            removed.layers.extend(id);
            self.discard(work, &path)?;
        }
        for path in list(&self.content.join("blobs/sha256"))? {
            if hex_name(&path).is_none_or(|id| !keep.blobs.contains(&id)) {
                removed.bytes += fs::metadata(&path).map_or(0, |meta| meta.len());
                remove_file(&path)?;
            }
        }
        // Of an earlier form of the store.
        let ids: BTreeSet<PathBuf> =
            images::ids_in(&self.content)?.iter().map(|id| images::record_path(&self.content, id)).collect();
        for path in list(&self.content.join("images"))?.iter().filter(|path| !ids.contains(*path)) {
            remove_file(path)?;
        }
        Ok(removed)
    }

    /// What images and holds name.
    fn kept(&self) -> Result<Kept, ImageError> {
        let mut kept = Kept::default();
        for id in images::ids_in(&self.content)? {
            kept.blobs.insert(id);
            // One that cannot be read has no layers to keep, and says so where it is asked for.
            if let Ok(config) = self.read_json::<ImageConfig>("config", &id, CONFIG_MAX_BYTES) {
                kept.layers.extend(config.rootfs.diff_ids);
            }
            let origin = self.image(&id).ok().flatten().map(|image| image.origin).unwrap_or_default();
            for digest in origin.repo_digests.iter().filter_map(Reference::digest) {
                kept.blobs.extend(self.layers_of(&digest));
                kept.blobs.insert(digest);
            }
        }
        for path in list(&self.root.join("holds"))? {
            kept.layers.extend(read_hold(&path));
        }
        for (id, record) in self.layers_here()? {
            if let (true, Tar::Kept { blob, .. }) = (kept.layers.contains(&id), record.tar) {
                kept.blobs.insert(blob);
            }
        }
        Ok(kept)
    }

    /// The layers' archives that a manifest names. One that came in another form than the layer was kept in is kept as
    /// well, or nobody would find the manifest whole under the digest that it was pushed as.
    fn layers_of(&self, manifest: &Digest) -> Vec<Digest> {
        let read = self.blob(manifest).and_then(|_| self.read_json("manifest", manifest, MANIFEST_MAX_BYTES).ok());
        read.map(|manifest: Manifest| manifest.layers.iter().map(|layer| layer.digest).collect()).unwrap_or_default()
    }

    fn is_used(&self, id: &Digest, used: &[PathBuf]) -> bool {
        let image = self.image(id).ok().flatten();
        image.is_some_and(|image| image.layers.iter().any(|layer| used.contains(&layer.path)))
    }

    /// The layers of this store itself, without those of the one below.
    fn layers_here(&self) -> Result<Vec<(Digest, LayerRecord)>, ImageError> {
        let here = list(&self.content.join("layers"))?;
        Ok(here.iter().filter_map(|path| Some((hex_name(path)?, read_record(path)?))).collect())
    }

    fn hold_path(&self, name: &str) -> PathBuf {
        self.root.join("holds").join(format!("{name}.json"))
    }
}

#[derive(Default)]
struct Kept {
    layers: BTreeSet<Digest>,
    blobs: BTreeSet<Digest>,
}

fn read_hold(path: &Path) -> Vec<Digest> {
    let read = || {
        let small = fs::metadata(path).ok()?.len() <= HOLD_MAX_BYTES;
        small.then(|| serde_json::from_slice::<Hold>(&fs::read(path).ok()?).ok())?
    };
    read().map(|hold| hold.layers).unwrap_or_default()
}

fn hex_name(path: &Path) -> Option<Digest> {
    Digest::from_hex(path.file_name()?.to_str()?)
}

fn list(folder: &Path) -> Result<Vec<PathBuf>, ImageError> {
    let entries = fs::read_dir(folder).map_err(ImageError::store("list", folder))?;
    Ok(entries.flatten().map(|entry| entry.path()).collect())
}

fn folder_bytes(folder: &Path) -> u64 {
    let files = list(folder).unwrap_or_default();
    files.iter().filter_map(|path| fs::metadata(path).ok()).filter(|meta| meta.is_file()).map(|meta| meta.len()).sum()
}

fn remove_file(path: &Path) -> Result<(), ImageError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::IsADirectory => remove_tree(path),
        result => result.map_err(ImageError::store("remove", path)),
    }
}
