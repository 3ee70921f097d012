//! A layer comes in: unpacked while it is read, checked, and kept with what it takes to give it on.

use std::fs::File;
use std::io::{self, BufWriter, Read, Write};

use super::archive::blob::unpack_blob;
use super::archive::compression::Compression;
use super::archive::limits::Limits;
use super::archive::pack::pack;
use super::archive::unpack::UnpackError;
use super::beneath::Root;
use super::digest::{Digest, Hashing};
use super::oci::media;
use super::store::{ImageError, Layer, LayerRecord, Store, Tar, Work};

/// Between the stream and its copy on disk.
const COPY_BUFFER_BYTES: usize = 1024 * 1024;

/// What is known of a layer before it comes. Whatever is known must be so.
#[derive(Debug, Clone, Copy, Default)]
pub struct Expected {
    /// Of the archive without its compression, as the image's config says.
    pub diff_id: Option<Digest>,
    /// Of the archive as it comes, as the manifest says.
    pub blob: Option<Digest>,
}

/// When the archive is kept beside the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// Others ask for it under the digest that it came under: always, unless it is the very one that our writer makes.
    AsItCame,
    /// Where the files alone do not make the archive of the diff id again, however it was compressed.
    IfNeeded,
}

/// Why a layer was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    #[error("cannot unpack the layer")]
    Unpack { source: UnpackError },
    #[error("cannot read the end of the layer's archive")]
    Read { source: io::Error },
    #[error("the archive has the digest {found}, not {expected}")]
    Blob { expected: Digest, found: Digest },
    #[error("the archive unpacks to {found}, not {expected}")]
    DiffId { expected: Digest, found: Digest },
    #[error(transparent)]
    Image(#[from] ImageError),
}

/// Takes in a layer from its archive, compressed or not. One whose diff id is here already is not read at all.
pub fn take_layer(
    store: &Store,
    work: &Work,
    blob: impl Read + Send,
    expected: Expected,
    keep: Keep,
) -> Result<Layer, LayerError> {
    if let Some(layer) = expected.diff_id.and_then(|diff_id| store.layer(&diff_id)) {
        return Ok(layer);
    }
    let (draft, copy) = (work.layer()?, work.file());
    let root = draft.root()?;
    let written = |source| LayerError::from(ImageError::Store { doing: "write", path: copy.clone(), source });
    let file = File::create_new(&copy).map_err(written)?;
    let to = BufWriter::with_capacity(COPY_BUFFER_BYTES, file);
    let mut hashing = Hashing::new(Copying { from: blob, to, failed: None });
    let taken = unpack_blob(&mut hashing, &root, Limits::LAYER);
    // What follows the end of a compressed stream is a part of the blob too.
    let rest = taken.is_ok().then(|| io::copy(&mut hashing, &mut io::sink())).transpose();
    let (blob_digest, blob_bytes, mut copying) = hashing.finish();
    // A disk that is full is told as such, not as an archive that could not be read.
    if let Some(source) = copying.failed.take() {
        return Err(written(source));
    }
    let taken = taken.map_err(|source| LayerError::Unpack { source })?;
    rest.map_err(|source| LayerError::Read { source })?;
    copying.to.flush().map_err(written)?;
    if let Some(expected) = expected.blob.filter(|expected| *expected != blob_digest) {
        return Err(LayerError::Blob { expected, found: blob_digest });
    }
    if let Some(expected) = expected.diff_id.filter(|expected| *expected != taken.diff_id) {
        return Err(LayerError::DiffId { expected, found: taken.diff_id });
    }
    let may_be_made_again = keep == Keep::IfNeeded || blob_digest == taken.diff_id;
    let tar = match canonical_bytes(&root, &taken.diff_id).filter(|_| may_be_made_again) {
        Some(bytes) => Tar::Canonical { bytes },
        None => {
            store.keep_blob(&copy, &blob_digest)?;
            Tar::Kept { blob: blob_digest, bytes: blob_bytes, media_type: media_type(taken.compression).to_owned() }
        }
    };
    let record = LayerRecord::new(taken.unpacked.bytes, taken.unpacked.files, tar);
    Ok(store.keep_layer(work, draft, taken.diff_id, &record)?)
}

/// How long the archive is that our writer makes of the files, if it is the one with this diff id. What cannot be packed
/// at all is kept as it came, and nobody has to pack it.
fn canonical_bytes(root: &Root, diff_id: &Digest) -> Option<u64> {
    let packed = pack(root, &mut io::sink()).ok()?;
    (packed.diff_id == *diff_id).then_some(packed.archive_bytes)
}

/// What an archive is called, by what it is and not by what it was called.
fn media_type(compression: Compression) -> &'static str {
    match compression {
        Compression::Gzip => media::LAYER_GZIP,
        Compression::Zstd => media::LAYER_ZSTD,
        // There is no official name for xz. A reader goes by the first bytes; who writes an archive for others unpacks it.
        Compression::None | Compression::Xz => media::LAYER,
    }
}

/// Writes down what it reads.
struct Copying<R, W> {
    from: R,
    to: W,
    failed: Option<io::Error>,
}

impl<R: Read, W: Write> Read for Copying<R, W> {
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
