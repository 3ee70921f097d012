//! Uploads under way, at the holder: each a file of its own in the store's work, which the front writes.
//!
//! The front may go on writing what it was given, so nothing of it is believed: a finished upload is copied, and the copy
//! is summed up and kept. While there are uploads, and until their manifest had time to come, nothing is swept.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use quayside_runtime::image::Digest;
use quayside_runtime::image::digest::Hashing;
use quayside_runtime::image::store::{ImageError, Store, Work};

use super::UPLOAD_MAX_BYTES;

/// Uploads at once: some clients that push five layers each.
const UPLOADS_MAX: usize = 40;

/// How long an upload, or a blob without its manifest, is kept when nothing happens.
const PATIENCE: Duration = Duration::from_secs(10 * 60);

pub struct Uploads {
    store: Store,
    /// There while something is under way: nothing is removed from the store meanwhile.
    work: Option<Work>,
    open: BTreeMap<u64, Upload>,
    next: u64,
    /// Blobs that came and that no manifest has named yet.
    unnamed: BTreeSet<Digest>,
    /// How many complete uploads are being looked at.
    looked_at: usize,
    /// When something last happened.
    last: Instant,
}

/// An upload that nobody writes any more, and the place of its copy.
pub struct Complete {
    file: File,
    path: PathBuf,
    copy: PathBuf,
}

struct Upload {
    file: File,
    path: PathBuf,
    since: Instant,
}

/// Why a finished upload is not kept.
pub enum Unfit {
    Digest { found: Digest },
    TooLarge,
    Store(ImageError),
}

impl Uploads {
    pub fn new(store: Store) -> Self {
        let (open, unnamed) = (BTreeMap::new(), BTreeSet::new());
        Self { store, work: None, open, next: 1, unnamed, looked_at: 0, last: Instant::now() }
    }

    /// A new, empty file; `None` when there are too many.
    pub fn begin(&mut self) -> Result<Option<(u64, OwnedFd)>, ImageError> {
        self.forget_old();
        if self.open.len() >= UPLOADS_MAX {
            return Ok(None);
        }
        self.last = Instant::now();
        let work = match &self.work {
            Some(work) => work,
            None => self.work.insert(self.store.work()?),
        };
        let path = work.file();
        let opened = || -> io::Result<(File, OwnedFd)> {
            let file = File::options().read(true).write(true).create_new(true).open(&path)?;
            let theirs = file.try_clone()?;
            Ok((file, theirs.into()))
        };
        let (file, theirs) =
            opened().map_err(|source| ImageError::Store { doing: "make", path: path.clone(), source })?;
        let number = self.next;
        self.next += 1;
        self.open.insert(number, Upload { file, path, since: Instant::now() });
        Ok(Some((number, theirs)))
    }

    /// An upload that is complete, to be looked at while others go on: [`Uploads::keep`] or [`Uploads::discard`] follows.
    pub fn take(&mut self, upload: u64) -> Option<Complete> {
        let Upload { file, path, .. } = self.open.remove(&upload)?;
        self.last = Instant::now();
        self.looked_at += 1;
        let copy = self.work.as_ref().expect("there is work while there are uploads").file();
        Some(Complete { file, path, copy })
    }

    /// Moves into the store what was found to be what `digest` says.
    pub fn keep(&mut self, complete: Complete, digest: &Digest) -> Result<(), ImageError> {
        let kept = self.store.keep_blob(&complete.copy, digest);
        self.unnamed.insert(*digest);
        self.discard(complete);
        kept.map(drop)
    }

    pub fn discard(&mut self, complete: Complete) {
        let _ = std::fs::remove_file(&complete.path);
        // Kept, it has another name by now.
        let _ = std::fs::remove_file(&complete.copy);
        self.looked_at -= 1;
        self.rest();
    }

    pub fn cancel(&mut self, upload: u64) -> bool {
        let gone = self.open.remove(&upload);
        let was_there = gone.map(|upload| std::fs::remove_file(upload.path)).is_some();
        self.rest();
        was_there
    }

    /// A manifest names these blobs now, so that they need nobody else to keep them.
    pub fn named(&mut self, blobs: impl Iterator<Item = Digest>) {
        for digest in blobs {
            self.unnamed.remove(&digest);
        }
        self.rest();
    }

    /// Something happened that what came is needed for.
    pub fn touch(&mut self) {
        self.last = Instant::now();
    }

    /// Lets go of what nobody came back for.
    pub fn forget_old(&mut self) {
        let old = |upload: &Upload| upload.since.elapsed() > PATIENCE && self.last.elapsed() > PATIENCE;
        let gone: Vec<u64> = self.open.iter().filter(|(_, upload)| old(upload)).map(|(number, _)| *number).collect();
        for number in gone {
            self.cancel(number);
        }
        if self.last.elapsed() > PATIENCE {
            self.unnamed.clear();
        }
        self.rest();
    }

    /// Lets others remove things, when nothing is under way.
    fn rest(&mut self) {
        if self.open.is_empty() && self.looked_at == 0 && self.unnamed.is_empty() {
            self.work = None;
        }
    }
}

impl Complete {
    /// Copies it, and finds out whether it is what `digest` says.
    pub fn check(&mut self, digest: &Digest) -> Result<(), Unfit> {
        copy_checked(&mut self.file, &self.copy, digest)
    }
}

fn copy_checked(from: &mut File, to: &PathBuf, digest: &Digest) -> Result<(), Unfit> {
    let failed = |source| Unfit::Store(ImageError::Store { doing: "write", path: to.clone(), source });
    from.rewind().map_err(failed)?;
    let mut hashing = Hashing::new(File::create_new(to).map_err(failed)?);
    io::copy(&mut from.take(UPLOAD_MAX_BYTES + 1), &mut hashing).map_err(failed)?;
    hashing.flush().map_err(failed)?;
    let (found, bytes, _) = hashing.finish();
    let unfit = match () {
        () if bytes > UPLOAD_MAX_BYTES => Unfit::TooLarge,
        () if found != *digest => Unfit::Digest { found },
        () => return Ok(()),
    };
    Err(unfit)
}
