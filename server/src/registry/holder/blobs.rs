//! Blobs: those of the store, layers' archives as they are made, and uploads.

use std::io;
use std::os::fd::OwnedFd;
use std::thread;

use quayside_runtime::image::Digest;
use quayside_runtime::image::registry::outgoing;
use quayside_runtime::image::store::{Layer, Tar};

use super::super::protocol::{Answer, Code};
use super::super::uploads::Unfit;
use super::{Holder, broken, failed, lock, refused_by};

impl Holder {
    pub(super) fn blob(&self, digest: &Digest, content: bool) -> Result<(Answer, Option<OwnedFd>), Answer> {
        if self.store.blob(digest).is_some() {
            let file = self.store.open_blob("blob", digest).map_err(broken)?;
            let bytes = file.metadata().map_err(failed)?.len();
            return Ok((Answer::Blob { bytes, is_file: true }, content.then(|| file.into())));
        }
        let unknown = || Answer::refused(404, Code::BlobUnknown, format!("there is no blob {digest} here"));
        let layer = self.store.layer(digest).ok_or_else(unknown)?;
        let Tar::Canonical { bytes } = layer.record.tar else { return Err(unknown()) };
        let bytes = match bytes {
            0 => outgoing::packed(&layer, &mut io::sink()).map_err(|error| refused_by(&error))?.archive_bytes,
            bytes => bytes,
        };
        let content = content.then(|| packed_pipe(layer)).transpose().map_err(failed)?;
        Ok((Answer::Blob { bytes, is_file: false }, content))
    }

    pub(super) fn begin(&self) -> Result<(Answer, Option<OwnedFd>), Answer> {
        let many =
            || Answer::refused(429, Code::Toomanyrequests, "there are too many uploads; try again when they are done");
        let (upload, file) = lock(&self.uploads).begin().map_err(broken)?.ok_or_else(many)?;
        Ok((Answer::Begun { upload }, Some(file)))
    }

    pub(super) fn end(&self, upload: u64, digest: &Digest) -> Result<Answer, Answer> {
        let mut complete = lock(&self.uploads).take(upload).ok_or_else(unknown_upload)?;
        // Gigabytes, perhaps: other uploads go on meanwhile.
        let checked = complete.check(digest);
        let mut uploads = lock(&self.uploads);
        match checked {
            Ok(()) => uploads.keep(complete, digest).map_err(broken)?,
            Err(unfit) => {
                uploads.discard(complete);
                return Err(refused_as(unfit, digest));
            }
        }
        Ok(Answer::Done { digest: Some(*digest) })
    }
}

/// The layer's archive, as it is made, from a pipe.
fn packed_pipe(layer: Layer) -> io::Result<OwnedFd> {
    let (ours, theirs) = io::pipe()?;
    thread::spawn(move || {
        let mut out = io::BufWriter::new(theirs);
        // Who reads may have had enough; what is cut short is seen by its length and its digest.
        let _ = outgoing::packed(&layer, &mut out);
    });
    Ok(ours.into())
}

fn refused_as(unfit: Unfit, digest: &Digest) -> Answer {
    match unfit {
        Unfit::Digest { found } => {
            Answer::refused(400, Code::DigestInvalid, format!("what came has the digest {found}, not {digest}"))
        }
        Unfit::TooLarge => Answer::refused(413, Code::SizeInvalid, "the blob is too large"),
        Unfit::Store(error) => broken(error),
    }
}

pub fn unknown_upload() -> Answer {
    Answer::refused(404, Code::BlobUploadUnknown, "there is no such upload")
}
