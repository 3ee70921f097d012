//! Content by its digest.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

use super::super::digest::Digest;
use super::locks::write_whole;
use super::{ImageError, Store, Work};

impl Store {
    /// Where the content called `digest` lies, if it is here.
    pub fn blob(&self, digest: &Digest) -> Option<PathBuf> {
        self.contents().map(|content| blob_path(content, digest)).find(|path| path.is_file())
    }

    /// The same, open for reading. What is read is not checked again.
    pub fn open_blob(&self, what: &'static str, digest: &Digest) -> Result<File, ImageError> {
        let path = self.blob(digest).unwrap_or_else(|| blob_path(&self.content, digest));
        File::open(&path).map_err(|source| match source.kind() {
            io::ErrorKind::NotFound => {
                ImageError::Incomplete { name: String::new(), missing: format!("its {what} {digest}") }
            }
            _ => ImageError::Store { doing: "open", path, source },
        })
    }

    /// A document, whole, and checked against its digest.
    pub fn read_blob(&self, what: &'static str, digest: &Digest, max: u64) -> Result<Vec<u8>, ImageError> {
        let path = self.blob(digest);
        let mut bytes = Vec::new();
        let read = self.open_blob(what, digest)?.take(max + 1).read_to_end(&mut bytes);
        read.map_err(ImageError::store("read", path.unwrap_or_default()))?;
        if bytes.len() as u64 > max {
            return Err(ImageError::TooLong { what, digest: *digest, max });
        }
        let found = Digest::of(&bytes);
        if found != *digest {
            return Err(ImageError::Damaged { what, digest: *digest, found });
        }
        Ok(bytes)
    }

    /// The same as what it says.
    pub fn read_json<T: DeserializeOwned>(
        &self,
        what: &'static str,
        digest: &Digest,
        max: u64,
    ) -> Result<T, ImageError> {
        let bytes = self.read_blob(what, digest, max)?;
        serde_json::from_slice(&bytes).map_err(|source| ImageError::NotUnderstood { what, digest: *digest, source })
    }

    /// Adds a document.
    pub fn write_blob(&self, work: &Work, bytes: &[u8]) -> Result<Digest, ImageError> {
        let digest = Digest::of(bytes);
        if self.blob(&digest).is_none() {
            write_whole(work, &blob_path(&self.content, &digest), bytes)?;
        }
        Ok(digest)
    }

    /// Adds a file of `work`, whose content the caller has found to be what `digest` says.
    pub fn keep_blob(&self, file: &Path, digest: &Digest) -> Result<PathBuf, ImageError> {
        let to = blob_path(&self.content, digest);
        let keep = || {
            File::open(file)?.sync_all()?;
            fs::rename(file, &to)
        };
        keep().map_err(ImageError::store("write", &to))?;
        Ok(to)
    }
}

pub fn blob_path(content: &Path, digest: &Digest) -> PathBuf {
    content.join("blobs/sha256").join(digest.hex())
}
