//! A layer goes out: the archive that has its diff id, from its files or from what was kept.

use std::io::{self, Write};

use super::super::archive::compression::decompress;
use super::super::archive::pack::pack;
use super::super::beneath::Root;
use super::super::digest::{Digest, Hashing};
use super::super::oci::{Descriptor, media};
use super::super::store::{ImageError, Layer, Store, Tar};
use super::TransferError;

/// Writes a layer's archive without compression, and checks that it is the one of its diff id. Gives its length.
pub fn write_layer(store: &Store, layer: &Layer, out: &mut dyn Write) -> Result<u64, TransferError> {
    let shown = || layer.diff_id.to_string();
    let (found, bytes) = match &layer.record.tar {
        Tar::Canonical { .. } => {
            let root = Root::open(&layer.path).map_err(ImageError::store("open", &layer.path))?;
            let packed = pack(&root, out).map_err(|source| TransferError::Pack { layer: shown(), source })?;
            (packed.diff_id, packed.archive_bytes)
        }
        Tar::Kept { blob, .. } => {
            let mut plain =
                decompress(store.open_blob("layer", blob)?).map_err(|source| TransferError::Read { source })?;
            let mut hashing = Hashing::new(out);
            io::copy(&mut plain, &mut hashing).map_err(|source| TransferError::Write { source })?;
            let (found, bytes, _) = hashing.finish();
            (found, bytes)
        }
    };
    if found != layer.diff_id {
        return Err(TransferError::Layer { expected: layer.diff_id, found });
    }
    Ok(bytes)
}

/// How long that archive is. What is recorded is taken; a kept one that is compressed has to be read for it.
pub fn archive_bytes(store: &Store, layer: &Layer) -> Result<u64, TransferError> {
    match &layer.record.tar {
        Tar::Canonical { bytes } if *bytes > 0 => Ok(*bytes),
        Tar::Kept { bytes, blob, .. } if *blob == layer.diff_id => Ok(*bytes),
        _ => write_layer(store, layer, &mut io::sink()),
    }
}

/// The archive under which others know the layer, where that is another than the plain one: as it came, if it came in a
/// form with a name.
pub fn kept(layer: &Layer) -> Option<Descriptor> {
    match &layer.record.tar {
        Tar::Kept { blob, bytes, media_type }
            if *media_type == media::LAYER_GZIP || *media_type == media::LAYER_ZSTD =>
        {
            Some(Descriptor::new(media_type, *blob, *bytes))
        }
        _ => None,
    }
}

/// The plain archive as a manifest names it.
pub fn plain(store: &Store, layer: &Layer) -> Result<Descriptor, TransferError> {
    let digest: Digest = layer.diff_id;
    Ok(Descriptor::new(media::LAYER, digest, archive_bytes(store, layer)?))
}
