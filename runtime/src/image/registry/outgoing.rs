//! How an image is shown to others: its manifest, and where each of its blobs is to be had.
//!
//! One that came from a registry goes on under the manifest that it came with, byte for byte, as long as all that this
//! names is here: who has its digest finds it. For any other a manifest is made, the same each time.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use super::super::archive::compression::{Gzip, decompress};
use super::super::archive::pack::{Packed, pack};
use super::super::beneath::Root;
use super::super::digest::{Digest, Hashing};
use super::super::oci::{CONFIG_MAX_BYTES, Descriptor, MANIFEST_MAX_BYTES, Manifest, media};
use super::super::store::{Image, ImageError, Layer, Store, Tar, Work};
use super::document::{Document, understand};
use super::error::RegistryError;

/// A manifest with what it names, all of it here.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    pub bytes: Vec<u8>,
    pub media_type: String,
    pub digest: Digest,
    pub config: Descriptor,
    /// Bottom to top.
    pub layers: Vec<(Descriptor, Source)>,
}

/// Where a layer's archive comes from.
#[derive(Debug, Clone, PartialEq)]
pub enum Source {
    /// A blob of the store.
    Blob,
    /// It is made from the layer's files, uncompressed.
    Files(Layer),
}

/// The manifest that the image came with, if everything in it can be given.
pub fn original(store: &Store, image: &Image) -> Option<Outgoing> {
    let digests = image.origin.repo_digests.iter().filter_map(|name| name.digest());
    digests.into_iter().find_map(|digest| original_as(store, image, &digest))
}

/// The same for one of the manifests that it came with.
pub fn original_as(store: &Store, image: &Image, digest: &Digest) -> Option<Outgoing> {
    store.blob(digest)?;
    let bytes = store.read_blob("manifest", digest, MANIFEST_MAX_BYTES).ok()?;
    let Ok(Document::Manifest(manifest)) = understand("", &bytes, None) else { return None };
    if manifest.config.digest != image.id || manifest.layers.len() != image.layers.len() {
        return None;
    }
    let source = |(descriptor, layer): (&Descriptor, &Layer)| {
        if store.blob(&descriptor.digest).is_some() {
            return Some((descriptor.clone(), Source::Blob));
        }
        let from_files = descriptor.digest == layer.diff_id && matches!(layer.record.tar, Tar::Canonical { .. });
        from_files.then(|| (descriptor.clone(), Source::Files(layer.clone())))
    };
    let layers = manifest.layers.iter().zip(&image.layers).map(source).collect::<Option<_>>()?;
    let media_type = manifest.media_type.clone().unwrap_or_else(|| media::MANIFEST.to_owned());
    Some(Outgoing { bytes, media_type, digest: *digest, config: manifest.config, layers })
}

/// A manifest over the layers' archives as they are had without any work: as they came, or made from the files.
pub fn plain(store: &Store, image: &Image) -> Result<Outgoing, RegistryError> {
    let one = |layer: &Layer| match &layer.record.tar {
        Tar::Kept { blob, bytes, media_type } => Ok((Descriptor::new(media_type, *blob, *bytes), Source::Blob)),
        Tar::Canonical { bytes } => {
            let bytes = if *bytes == 0 { packed(layer, &mut io::sink())?.archive_bytes } else { *bytes };
            Ok((Descriptor::new(media::LAYER, layer.diff_id, bytes), Source::Files(layer.clone())))
        }
    };
    let layers = image.layers.iter().map(one).collect::<Result<Vec<_>, RegistryError>>()?;
    made(store, image, layers)
}

/// A manifest over layers that are all compressed: what registries are given. What has to be compressed for it becomes a
/// file of `work`, which stands in the layer's place of the list.
pub fn compressed(
    store: &Store,
    work: &Work,
    image: &Image,
) -> Result<(Outgoing, Vec<Option<PathBuf>>), RegistryError> {
    let mut layers = Vec::new();
    let mut files = Vec::new();
    for layer in &image.layers {
        let is_compressed = |media_type: &str| media_type == media::LAYER_GZIP || media_type == media::LAYER_ZSTD;
        let (descriptor, file) = match &layer.record.tar {
            Tar::Kept { blob, bytes, media_type } if is_compressed(media_type) => {
                (Descriptor::new(media_type, *blob, *bytes), None)
            }
            _ => {
                let path = work.file();
                (compress(store, layer, &path)?, Some(path))
            }
        };
        layers.push((descriptor, Source::Blob));
        files.push(file);
    }
    Ok((made(store, image, layers)?, files))
}

/// Writes a layer's archive as it is made from its files, and checks that it is the layer's.
pub fn packed(layer: &Layer, out: &mut dyn Write) -> Result<Packed, RegistryError> {
    let root = Root::open(&layer.path).map_err(|source| ImageError::Store {
        doing: "open",
        path: layer.path.clone(),
        source,
    })?;
    let packed = pack(&root, out).map_err(|source| RegistryError::Pack { layer: layer.diff_id, source })?;
    if packed.diff_id != layer.diff_id {
        let (expected, found) = (layer.diff_id, packed.diff_id);
        return Err(RegistryError::Layer { layer: expected, expected, found });
    }
    Ok(packed)
}

fn compress(store: &Store, layer: &Layer, to: &Path) -> Result<Descriptor, RegistryError> {
    let written = |source| RegistryError::from(ImageError::Store { doing: "write", path: to.to_owned(), source });
    let file = File::create_new(to).map_err(written)?;
    let mut gzip = Gzip::new(Hashing::new(io::BufWriter::new(file)));
    match &layer.record.tar {
        Tar::Canonical { .. } => {
            packed(layer, &mut gzip)?;
        }
        Tar::Kept { blob, .. } => {
            let kept = |source| RegistryError::Kept { layer: *blob, source };
            let mut archive = decompress(store.open_blob("layer", blob)?).map_err(kept)?;
            io::copy(&mut archive, &mut gzip).map_err(kept)?;
        }
    }
    let (digest, bytes, mut file) = gzip.finish().map_err(written)?.finish();
    file.flush().map_err(written)?;
    Ok(Descriptor::new(media::LAYER_GZIP, digest, bytes))
}

fn made(store: &Store, image: &Image, layers: Vec<(Descriptor, Source)>) -> Result<Outgoing, RegistryError> {
    let config = store.read_blob("config", &image.id, CONFIG_MAX_BYTES)?;
    let config = Descriptor::new(media::CONFIG, image.id, config.len() as u64);
    let manifest = Manifest::new(config.clone(), layers.iter().map(|(descriptor, _)| descriptor.clone()).collect());
    let bytes = serde_json::to_vec(&manifest).expect("a manifest has only texts, numbers and lists");
    let digest = Digest::of(&bytes);
    Ok(Outgoing { bytes, media_type: media::MANIFEST.to_owned(), digest, config, layers })
}
