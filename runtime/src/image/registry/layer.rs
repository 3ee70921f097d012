//! A layer comes in: unpacked while it is read, checked against its diff id, and kept as it came.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use super::super::archive::blob::unpack_blob;
use super::super::archive::compression::Compression;
use super::super::archive::limits::Limits;
use super::super::archive::pack::pack;
use super::super::beneath::Root;
use super::super::digest::{Digest, Hashing};
use super::super::oci::media;
use super::super::store::{ImageError, Layer, LayerRecord, Store, Tar};
use super::error::RegistryError;

/// Between the stream and its copy on disk.
const COPY_BUFFER_BYTES: usize = 1024 * 1024;

/// Unpacks a blob into the store and keeps the blob itself, so that it can be given on under its digest. Only where it is
/// an uncompressed archive that our own writer would make again, byte for byte, nothing is kept beside the files.
///
/// `layer` is what the manifest calls it, `diff_id` what it must unpack to.
pub fn take_blob(
    store: &Store,
    blob: &mut (dyn Read + Send),
    layer: &Digest,
    diff_id: &Digest,
) -> Result<Layer, RegistryError> {
    // Work of its own: several layers come at once, each on its own thread.
    let work = store.work()?;
    let (draft, copy) = (work.layer()?, work.file());
    let root = draft.root()?;
    let written = |source| RegistryError::from(ImageError::Store { doing: "write", path: copy.clone(), source });
    let file = File::create_new(&copy).map_err(written)?;
    let mut hashing =
        Hashing::new(Copying { from: blob, to: BufWriter::with_capacity(COPY_BUFFER_BYTES, file), failed: None });
    let taken = unpack_blob(&mut hashing, &root, Limits::LAYER);
    // What follows the end of a compressed stream is a part of the blob too.
    let rest = taken.is_ok().then(|| io::copy(&mut hashing, &mut io::sink())).transpose();
    let (blob_digest, blob_bytes, mut copying) = hashing.finish();
    if let Some(source) = copying.failed.take() {
        return Err(written(source));
    }
    let taken = taken.map_err(|source| RegistryError::Unpack { layer: *layer, source })?;
    rest.map_err(|source| RegistryError::Kept { layer: *layer, source })?;
    copying.to.flush().map_err(written)?;
    if taken.diff_id != *diff_id {
        return Err(RegistryError::Layer { layer: *layer, expected: *diff_id, found: taken.diff_id });
    }
    let is_canonical = blob_digest == *diff_id && packs_to(&root, diff_id);
    let tar = if is_canonical {
        Tar::Canonical { bytes: blob_bytes }
    } else {
        store.keep_blob(&copy, &blob_digest)?;
        let media_type = media_type(taken.compression).to_owned();
        Tar::Kept { blob: blob_digest, bytes: blob_bytes, media_type }
    };
    let record = LayerRecord::new(taken.unpacked.bytes, taken.unpacked.files, tar);
    Ok(store.keep_layer(&work, draft, *diff_id, &record)?)
}

/// Whether the files alone are enough to make the archive again.
fn packs_to(root: &Root, diff_id: &Digest) -> bool {
    pack(root, &mut io::sink()).is_ok_and(|packed| packed.diff_id == *diff_id)
}

/// By what it is, whatever it was called. There is no official name for xz, and a reader goes by the first bytes anyway.
fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => media::LAYER_GZIP,
        Compression::Zstd => media::LAYER_ZSTD,
        Compression::None | Compression::Xz => media::LAYER,
    }
}

/// Writes down what it reads.
struct Copying<'a, W> {
    from: &'a mut (dyn Read + Send),
    to: W,
    /// A disk that is full is told as such, not as a registry that could not be read.
    failed: Option<io::Error>,
}

impl<W: Write> Read for Copying<'_, W> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.from.read(buffer)?;
        self.to.write_all(&buffer[..count]).map_err(|error| {
            let told = io::Error::from(error.kind());
            self.failed.get_or_insert(error);
            told
        })?;
        Ok(count)
    }
}
