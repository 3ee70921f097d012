//! Uploads under way, at the holder: each a file of its own in the store's work, which the front writes.
//!
//! The front may go on writing what it was given, so nothing of it is believed: a finished upload is copied, and the copy
//! is summed up and kept. While there are uploads, and until their manifest had time to come, nothing is swept.

use std::collections::BTreeMap;
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
    /// When something last happened.
    last: Instant,
}

struct Upload {
    file: File,
    path: PathBuf,
    since: Instant,
}

/// Why a finished upload is not kept.
pub enum Unfit {
    Unknown,
    Digest { found: Digest },
    TooLarge,
    Store(ImageError),
}

impl Uploads {
    pub fn new(store: Store) -> Self {
        Self { store, work: None, open: BTreeMap::new(), next: 1, last: Instant::now() }
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

    /// Copies what was uploaded into the store, if it is what `digest` says.
    pub fn end(&mut self, upload: u64, digest: &Digest) -> Result<(), Unfit> {
        let mut upload = self.open.remove(&upload).ok_or(Unfit::Unknown)?;
        self.last = Instant::now();
        let work = self.work.as_ref().expect("there is work while there are uploads");
        let copy = work.file();
        let result = copy_checked(&mut upload.file, &copy, digest);
        let _ = std::fs::remove_file(&upload.path);
        result?;
        self.store.keep_blob(&copy, digest).map(drop).map_err(Unfit::Store)
    }

    pub fn cancel(&mut self, upload: u64) -> bool {
        let gone = self.open.remove(&upload);
        gone.map(|upload| std::fs::remove_file(upload.path)).is_some()
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
        if self.open.is_empty() && self.last.elapsed() > PATIENCE {
            self.work = None;
        }
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
    let _ = std::fs::remove_file(to);
    Err(unfit)
}
