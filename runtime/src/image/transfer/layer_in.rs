//! A layer comes in: unpacked, checked, and kept with what it takes to give it on.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use super::super::archive::blob::unpack_blob;
use super::super::archive::compression::Compression;
use super::super::archive::limits::Limits;
use super::super::archive::pack::pack;
use super::super::digest::{Digest, Hashing};
use super::super::oci::media;
use super::super::store::{ImageError, Layer, LayerRecord, Store, Tar, Work};
use super::TransferError;

/// What is known of a layer before it comes. Whatever is known must be so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Of the archive without its compression, as the image's config says.
    pub diff_id: Option<Digest>,
    /// Of the archive as it comes, as the manifest says.
    pub blob: Option<Digest>,
}

/// Takes in a layer from its archive, compressed or not. One whose diff id is here already is not read at all.
///
/// When the canonical archive of the unpacked tree is the very same, as with layers of our own, the archive is not kept:
/// it can be made again. Any other is kept as it came.
pub fn take_layer(
    store: &Store,
    work: &Work,
    blob: impl Read + Send,
    expected: Expected,
) -> Result<Layer, TransferError> {
    if let Some(layer) = expected.diff_id.and_then(|diff_id| store.layer(&diff_id)) {
        return Ok(layer);
    }
    let shown = || expected.diff_id.map_or_else(|| "of the archive".to_owned(), |diff_id| diff_id.to_string());
    let (draft, copy) = (work.layer()?, work.file());
    let root = draft.root()?;
    let file = File::create_new(&copy).map_err(ImageError::store("write", &copy))?;
    let mut tee = Hashing::new(Tee { from: blob, to: BufWriter::with_capacity(1 << 20, file), failed: None });
    let taken = unpack_blob(&mut tee, &root, Limits::LAYER);
    let (blob_digest, blob_bytes, mut tee) = tee.finish();
    // A disk that is full is told as such, not as an archive that could not be read.
    if let Some(source) = tee.failed.take() {
        return Err(ImageError::store("write the layer's archive to", &copy)(source).into());
    }
    let taken = taken.map_err(|source| TransferError::Unpack { layer: shown(), source })?;
    tee.to.flush().map_err(ImageError::store("write the layer's archive to", &copy))?;
    for (expected, found) in [(expected.blob, blob_digest), (expected.diff_id, taken.diff_id)] {
        if let Some(expected) = expected.filter(|expected| *expected != found) {
            return Err(TransferError::Layer { expected, found });
        }
    }
    let packed = pack(&root, &mut io::sink());
    let tar = match packed {
        Ok(packed) if packed.diff_id == taken.diff_id => Tar::Canonical { bytes: packed.archive_bytes },
        // Also when it cannot be packed at all: what came is kept, and nobody has to pack it.
        _ => {
            store.keep_blob(&copy, &blob_digest)?;
            Tar::Kept { blob: blob_digest, bytes: blob_bytes, media_type: media_type(taken.compression).to_owned() }
        }
    };
    let record = LayerRecord::new(taken.unpacked.bytes, taken.unpacked.files, tar);
    Ok(store.keep_layer(work, draft, taken.diff_id, &record)?)
}

/// What an archive is called, by what it is and not by what it was called.
pub fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => media::LAYER_GZIP,
        Compression::Zstd => media::LAYER_ZSTD,
        // There is no official name for xz; who gives it on unpacks it (see `layer_out`).
        Compression::None | Compression::Xz => media::LAYER,
    }
}

/// Writes down what it reads.
struct Tee<R, W> {
    from: R,
    to: W,
    failed: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Tee<R, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.from.read(buffer)?;
        self.to.write_all(&buffer[..read]).map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failed.get_or_insert(error);
            told
        })?;
        Ok(read)
    }
}
