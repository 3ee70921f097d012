//! What steps of earlier builds made, by their keys.
//!
//! ```text
//! DATA/images/builds/
//!   steps/HEX.json     what a step made; HEX is its key
//!   steps/HEX.parts    what its key was made of
//!   latest/HEX         the last key at a place; HEX is the digest of the place's description
//!   contexts/HEX       digests of a context's files; HEX is the digest of its path
//!   urls/HEX           what was behind a URL; HEX is the digest of the URL
//!   trees/HEX          digests of files of a list of layers; HEX is the digest of the layers and of what was asked
//!   locks/HEX          locked by who carries out the step with this key
//! ```
//!
//! Files are written beside their place and renamed to it, a step's parts before the step: whatever ends a process
//! leaves a record that is there or not. A layer is kept by a hold of the store for as long as its record is there. What
//! the store lost all the same (it counts layers as lost that a crash of the machine may have cut) is a miss.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

use super::key::{FileFact, Parts};
use super::steps::caches::{self, CacheInfo};
use super::steps::fetch::Validators;
use crate::image::store::{Layer, Work};
use crate::image::{Digest, ImageError, Store};

/// More steps than a few hundred builds have; the oldest go first. Each is two small files and perhaps a layer.
pub const RECORDS_MAX: usize = 5000;

/// A record's JSON has a few hundred bytes.
const RECORD_MAX_BYTES: u64 = 16 * 1024;

/// Parts name every file that a step copies, at some 150 bytes each.
const PARTS_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// Contexts whose digests are remembered; one is 120 bytes for each of its files.
const CONTEXTS_MAX: usize = 64;

/// Lists of files that were copied out of other images and stages.
const TREES_MAX: usize = 256;

/// URLs whose state is remembered, a few hundred bytes each.
const URLS_MAX: usize = 1000;

/// A URL and its validators.
const URL_MAX_BYTES: u64 = 64 * 1024;

/// How often somebody who waits for another build looks again.
const WAIT: Duration = Duration::from_millis(50);

#[derive(Debug, Clone)]
pub struct Cache {
    store: Store,
    root: PathBuf,
}

/// What a step made.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// As it was shown.
    pub text: String,
    /// None if it wrote nothing.
    pub layer: Option<Digest>,
    /// Seconds since 1970.
    pub created: i64,
    /// What carrying it out took, and so what a hit saves.
    pub took_ms: u64,
    /// Of its layer's files.
    pub size_bytes: u64,
}

/// A step that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Hit {
    pub record: Record,
    pub layer: Option<Layer>,
}

/// What was behind a URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RememberedUrl {
    pub url: String,
    pub digest: Digest,
    /// Seconds since 1970.
    pub modified: Option<i64>,
    pub validators: Validators,
}

/// A record as `prune` sees it.
#[derive(Debug, Clone, PartialEq)]
pub struct Kept {
    pub key: Digest,
    pub record: Record,
    pub used: SystemTime,
}

/// What to remove from the cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Prune {
    /// Everything, whatever the other two say.
    pub all: bool,
    /// Least recently used first, until steps and cache mounts together have no more than this.
    pub keep_bytes: Option<u64>,
    /// What has not been used for so long.
    pub unused_for: Option<Duration>,
}

/// What `prune` has removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pruned {
    pub steps: usize,
    pub mounts: usize,
    /// Of both.
    pub bytes: u64,
}

/// What can be pruned.
enum Prunable {
    Step(Digest),
    Mount(PathBuf),
}

#[derive(Debug, thiserror::Error)]
pub enum CacheError {
    #[error("cannot {doing} {path} of the build cache")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error(transparent)]
    Store(#[from] ImageError),
}

impl Cache {
    /// Opens the cache of a store, and makes it where it is missing.
    pub fn open(store: &Store) -> Result<Self, CacheError> {
        let root = store.root().join("builds");
        for folder in ["", "steps", "latest", "contexts", "urls", "trees", "locks"] {
            let path = root.join(folder);
            DirBuilder::new().recursive(true).mode(0o700).create(&path).map_err(failed("make", &path))?;
        }
        Ok(Self { store: store.clone(), root })
    }

    /// Where the digests of a context are remembered.
    pub fn stamps(&self, context: &Path) -> PathBuf {
        use std::os::unix::ffi::OsStrExt;
        self.root.join("contexts").join(Digest::of(context.as_os_str().as_bytes()).hex())
    }

    /// The files that `asked` (layers and what is copied out of them) stands for, if that was worked out before. Layers
    /// never change, so it holds for ever.
    pub fn tree(&self, asked: &Digest) -> Option<BTreeMap<String, FileFact>> {
        read_json(&self.root.join("trees").join(asked.hex()), PARTS_MAX_BYTES)
    }

    pub fn set_tree(&self, asked: &Digest, files: &BTreeMap<String, FileFact>) -> Result<(), CacheError> {
        self.write(&self.root.join("trees").join(asked.hex()), &json(files))
    }

    /// What was behind a URL when it was last fetched, if its server gave a way to ask whether it has changed.
    pub fn url(&self, url: &str) -> Option<RememberedUrl> {
        let remembered: RememberedUrl = read_json(&self.url_path(url), URL_MAX_BYTES)?;
        (remembered.url == url && remembered.validators != Validators::default()).then_some(remembered)
    }

    pub fn set_url(&self, remembered: &RememberedUrl) -> Result<(), CacheError> {
        self.write(&self.url_path(&remembered.url), &json(remembered))
    }

    /// What the step with this key made, if it is all here still. Counts as a use.
    pub fn find(&self, key: &Digest) -> Option<Hit> {
        let path = self.step(key);
        let record: Record = read_json(&path, RECORD_MAX_BYTES)?;
        let layer = match record.layer {
            Some(diff_id) => Some(self.store.layer(&diff_id)?),
            None => None,
        };
        // When it was last used is the file's time; that it cannot be set is no reason to build again.
        let _ = File::open(&path).and_then(|file| file.set_modified(SystemTime::now()));
        Some(Hit { record, layer })
    }

    /// Remembers what a step made.
    pub fn add(&self, work: &Work, parts: &Parts, record: &Record) -> Result<(), CacheError> {
        let key = parts.key();
        if let Some(layer) = record.layer {
            self.store.hold(work, &hold(&key), &[layer])?;
        }
        self.write(&self.step(&key).with_extension("parts"), &json(parts))?;
        self.write(&self.step(&key), &json(record))
    }

    /// The parts of a step that was built earlier, whether or not its layer is still here.
    pub fn parts(&self, key: &Digest) -> Option<Parts> {
        read_json(&self.step(key).with_extension("parts"), PARTS_MAX_BYTES)
    }

    /// The last step at a place: what a miss there is compared with.
    pub fn latest(&self, place: &str) -> Option<Digest> {
        let hex = fs::read_to_string(self.place(place)).ok()?;
        Digest::from_hex(&hex)
    }

    pub fn set_latest(&self, place: &str, key: &Digest) -> Result<(), CacheError> {
        if self.latest(place) == Some(*key) {
            return Ok(());
        }
        self.write(&self.place(place), key.hex().as_bytes())
    }

    /// Locks a step so that two builds do not do it twice. Waits for who has it, unless `cancelled` says that nobody wants
    /// it any more: then there is no lock. `waits` is called once if it has to wait.
    pub fn lock(
        &self,
        key: &Digest,
        cancelled: &dyn Fn() -> bool,
        waits: &mut dyn FnMut(),
    ) -> Result<Option<File>, CacheError> {
        use rustix::fs::{FlockOperation, flock};
        let path = self.root.join("locks").join(key.hex());
        let open = || File::options().create(true).truncate(false).write(true).open(&path);
        let mut has_waited = false;
        loop {
            let file = open().map_err(failed("open", &path))?;
            match flock(&file, FlockOperation::NonBlockingLockExclusive) {
                // Whoever had it has removed the file, and somebody may have made it anew.
                Ok(()) if !is_at(&file, &path) => continue,
                Ok(()) => return Ok(Some(file)),
                Err(rustix::io::Errno::WOULDBLOCK | rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed("lock", &path)(error.into())),
            }
            if cancelled() {
                return Ok(None);
            }
            if !std::mem::replace(&mut has_waited, true) {
                waits();
            }
            std::thread::sleep(WAIT);
        }
    }

    /// Gives a lock back, and removes its file.
    pub fn unlock(&self, key: &Digest, lock: File) {
        let _ = fs::remove_file(self.root.join("locks").join(key.hex()));
        drop(lock);
    }

    /// Every step that is remembered, least recently used first.
    pub fn records(&self) -> Result<Vec<Kept>, CacheError> {
        let folder = self.root.join("steps");
        let entries = fs::read_dir(&folder).map_err(failed("list", &folder))?;
        let mut kept: Vec<Kept> = entries
            .flatten()
            .filter_map(|entry| {
                let key = Digest::from_hex(entry.file_name().to_str()?.strip_suffix(".json")?)?;
                let used = entry.metadata().ok()?.modified().ok()?;
                Some(Kept { key, record: read_json(&entry.path(), RECORD_MAX_BYTES)?, used })
            })
            .collect();
        kept.sort_by_key(|kept| (kept.used, kept.key));
        Ok(kept)
    }

    /// Forgets steps, removes cache mounts that no step uses, and lets the store remove layers that nothing else keeps. `used` are layers that something runs on.
    pub fn prune(&self, what: &Prune, used: &[PathBuf]) -> Result<Pruned, CacheError> {
        let mut items = self.prunable()?;
        items.sort_by_key(|(used, ..)| *used);
        let mut total: u64 = items.iter().map(|(_, bytes, _)| bytes).sum();
        let mut pruned = Pruned::default();
        let work = self.store.work()?;
        for (used, bytes, item) in items {
            let too_many = what.keep_bytes.is_some_and(|keep| total > keep);
            let too_old = what.unused_for.is_some_and(|unused_for| used.elapsed().unwrap_or_default() >= unused_for);
            if !(what.all || too_many || too_old) {
                continue;
            }
            match item {
                Prunable::Step(key) => {
                    self.forget(&key)?;
                    pruned.steps += 1;
                }
                Prunable::Mount(path) => match caches::remove(&work, &path).map_err(failed("remove", &path))? {
                    true => pruned.mounts += 1,
                    // A step uses it.
                    false => continue,
                },
            }
            total -= bytes;
            pruned.bytes += bytes;
        }
        drop(work);
        if what.all {
            ["contexts", "urls", "trees", "latest"].iter().try_for_each(|folder| empty(&self.root.join(folder)))?;
        }
        self.sweep_left()?;
        self.store.sweep(used)?;
        Ok(pruned)
    }

    /// When each was last used, and how much it takes.
    fn prunable(&self) -> Result<Vec<(SystemTime, u64, Prunable)>, CacheError> {
        let steps = self.records()?.into_iter();
        let steps = steps.map(|kept| (kept.used, kept.record.size_bytes, Prunable::Step(kept.key)));
        let mounts = self.mounts()?.into_iter();
        Ok(steps.chain(mounts.map(|mount| (mount.last_used, mount.bytes, Prunable::Mount(mount.path)))).collect())
    }

    /// What `RUN --mount=type=cache` has kept, the one that was used last first.
    pub fn mounts(&self) -> Result<Vec<CacheInfo>, CacheError> {
        caches::list(&self.store).map_err(failed("list the mounts of", self.store.root()))
    }

    /// Keeps the cache within its limits; what is forgotten is removed from the store by its next sweep.
    pub fn trim(&self) -> Result<(), CacheError> {
        self.sweep_left()?;
        let records = self.records()?;
        for kept in records.iter().take(records.len().saturating_sub(RECORDS_MAX)) {
            self.forget(&kept.key)?;
        }
        for (folder, max) in
            [("contexts", CONTEXTS_MAX), ("urls", URLS_MAX), ("trees", TREES_MAX), ("latest", 2 * RECORDS_MAX)]
        {
            let folder = self.root.join(folder);
            let entries = fs::read_dir(&folder).map_err(failed("list", &folder))?;
            let mut files: Vec<_> = entries
                .flatten()
                .filter_map(|entry| Some((entry.metadata().ok()?.modified().ok()?, entry.path())))
                .collect();
            files.sort();
            for (_, path) in files.iter().take(files.len().saturating_sub(max)) {
                remove(path)?;
            }
        }
        Ok(())
    }

    /// The record before its hold: a layer without a record is swept, a record without a layer would be a miss.
    fn forget(&self, key: &Digest) -> Result<(), CacheError> {
        remove(&self.step(key))?;
        remove(&self.step(key).with_extension("parts"))?;
        Ok(self.store.release(&hold(key))?)
    }

    fn step(&self, key: &Digest) -> PathBuf {
        self.root.join("steps").join(format!("{}.json", key.hex()))
    }

    fn url_path(&self, url: &str) -> PathBuf {
        self.root.join("urls").join(Digest::of(url.as_bytes()).hex())
    }

    fn place(&self, place: &str) -> PathBuf {
        self.root.join("latest").join(Digest::of(place.as_bytes()).hex())
    }

    fn write(&self, path: &Path, bytes: &[u8]) -> Result<(), CacheError> {
        // In the store's work, where the next opening sweeps it if this process ends in the middle.
        let work = self.store.work()?;
        let new = work.file();
        fs::write(&new, bytes).and_then(|()| fs::rename(&new, path)).map_err(failed("write", path))
    }
}

fn hold(key: &Digest) -> String {
    format!("build-{}", key.hex())
}

fn json(value: &impl Serialize) -> Vec<u8> {
    serde_json::to_vec(value).expect("a record has only texts, numbers and lists")
}

fn read_json<T: for<'a> Deserialize<'a>>(path: &Path, max_bytes: u64) -> Option<T> {
    (fs::metadata(path).ok()?.len() <= max_bytes).then_some(())?;
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Whether a path still leads to an open file.
fn is_at(file: &File, path: &Path) -> bool {
    use std::os::unix::fs::MetadataExt;
    match (file.metadata(), fs::metadata(path)) {
        (Ok(open), Ok(there)) => (open.dev(), open.ino()) == (there.dev(), there.ino()),
        _ => false,
    }
}

fn empty(folder: &Path) -> Result<(), CacheError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    entries.flatten().try_for_each(|entry| remove(&entry.path()))
}

fn remove(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result.map_err(failed("remove", path)),
    }
}

fn failed(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> CacheError {
    let path = path.to_owned();
    move |source| CacheError::Io { doing, path, source }
}

mod left;
#[cfg(test)]
mod tests;
