//! Folders that outlive a build: `RUN --mount=type=cache`.
//!
//! ```text
//! DATA/images/caches/HEX-N/     HEX is the digest of its id; N is 0, or more where private ones are in use at once
//!   data/                       what is mounted
//!   cache.json                  its id
//!   lock                        shared by the steps that use it, or one step's; whoever removes it has it alone
//! ```
//!
//! A cache is no part of any layer or key: a step that finds it empty must come to the same end, only later.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, Dir, FlockOperation, statat};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::request::Sharing;
use crate::deep;
use crate::image::Digest;
use crate::image::store::{Store, Work};

/// Private copies of one cache that are in use at once. Each is a step that runs.
const COPIES_MAX: u32 = 64;

/// Between two looks at a lock that somebody else has: short for a person, long for a processor.
const LOCK_INTERVAL: Duration = Duration::from_millis(50);

/// How large one may be once a step has ended, unless somebody says otherwise. The module and build caches of a large Go
/// program have 5 GB, a package manager's archives less.
pub const MAX_BYTES: u64 = 16 * 1024 * 1024 * 1024;

/// What is known of a cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CacheInfo {
    pub id: String,
    pub path: PathBuf,
    pub bytes: u64,
    pub last_used: SystemTime,
}

/// A cache that a step uses; free again when dropped.
#[derive(Debug)]
pub struct Cache {
    /// What is mounted.
    pub data: PathBuf,
    id: String,
    lock: File,
}

/// What became of a cache that a step has used.
#[derive(Debug, PartialEq, Eq)]
pub enum Emptied {
    /// It is not too large.
    No,
    Yes {
        id: String,
        bytes: u64,
    },
    InUse {
        id: String,
        bytes: u64,
    },
}

#[derive(Serialize, Deserialize)]
struct Record {
    id: String,
}

/// Opens the cache of this id, and makes it with `fill` if it is not there. Waits for one that is locked, until
/// `given_up` says so.
pub fn open(
    store: &Store,
    work: &Work,
    id: &str,
    sharing: Sharing,
    fill: &mut dyn FnMut(&Path) -> io::Result<()>,
    given_up: &dyn Fn() -> bool,
) -> io::Result<Cache> {
    let all = folder(store);
    fs::create_dir_all(&all)?;
    fs::set_permissions(&all, fs::Permissions::from_mode(0o700))?;
    let hex = Digest::of(id.as_bytes()).hex();
    let copies = if sharing == Sharing::Private { COPIES_MAX } else { 1 };
    loop {
        for number in 0..copies {
            let path = all.join(format!("{hex}-{number}"));
            make(work, &path, id, fill)?;
            if let Some(lock) = try_lock(&path, sharing)? {
                return Ok(Cache { data: path.join("data"), id: id.to_owned(), lock });
            }
        }
        if given_up() {
            return Err(io::Error::new(
                io::ErrorKind::Interrupted,
                "the build was ended while it waited for the cache",
            ));
        }
        std::thread::sleep(LOCK_INTERVAL);
    }
}

/// All caches, the one that was used last first.
pub fn list(store: &Store) -> io::Result<Vec<CacheInfo>> {
    let mut caches = Vec::new();
    for path in paths(store)? {
        let Ok(text) = fs::read(path.join("cache.json")) else { continue };
        let Ok(Record { id }) = serde_json::from_slice(&text) else { continue };
        let last_used = fs::metadata(path.join("lock"))?.modified()?;
        caches.push(CacheInfo { id, bytes: size(&path.join("data"))?, path, last_used });
    }
    caches.sort_by_key(|cache| std::cmp::Reverse(cache.last_used));
    Ok(caches)
}

/// Gives a cache back, and removes it if it has more than `max_bytes`. Between the two another step may take it, and then
/// it stays.
pub fn empty_above(work: &Work, cache: Cache, max_bytes: u64) -> io::Result<Emptied> {
    let bytes = size(&cache.data)?;
    if bytes <= max_bytes {
        return Ok(Emptied::No);
    }
    let Cache { data, id, lock } = cache;
    drop(lock);
    match data.parent() {
        Some(path) if remove(work, path)? => Ok(Emptied::Yes { id, bytes }),
        _ => Ok(Emptied::InUse { id, bytes }),
    }
}

fn folder(store: &Store) -> PathBuf {
    store.root().join("caches")
}

fn paths(store: &Store) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder(store)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        entries => entries?.map(|entry| Ok(entry?.path())).collect(),
    }
}

/// Made elsewhere and moved into place whole, so that a crash leaves no half of one.
fn make(work: &Work, path: &Path, id: &str, fill: &mut dyn FnMut(&Path) -> io::Result<()>) -> io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let draft = work.file();
    let data = draft.join("data");
    fs::create_dir_all(&data)?;
    fill(&data)?;
    fs::write(draft.join("cache.json"), serde_json::to_vec(&Record { id: id.to_owned() })?)?;
    File::create(draft.join("lock"))?;
    match fs::rename(&draft, path) {
        // Another process was quicker.
        Err(error) if path.exists() => {
            deep::remove_all(&draft)?;
            let _ = error;
            Ok(())
        }
        renamed => renamed,
    }
}

/// None if somebody else has it, or if it was removed meanwhile.
fn try_lock(path: &Path, sharing: Sharing) -> io::Result<Option<File>> {
    let lock = match File::options().write(true).open(path.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock?,
    };
    let operation = match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Private | Sharing::Locked => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(&lock, operation) {
        Ok(()) => {}
        Err(Errno::WOULDBLOCK | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error.into()),
    }
    // What was removed before it was locked is another file than the one of this name.
    let same =
        fs::metadata(path.join("lock")).is_ok_and(|there| there.ino() == lock.metadata().map_or(0, |own| own.ino()));
    if !same {
        return Ok(None);
    }
    lock.set_modified(SystemTime::now())?;
    Ok(Some(lock))
}

/// False if it is in use, or gone.
pub fn remove(work: &Work, path: &Path) -> io::Result<bool> {
    let lock = match File::options().write(true).open(path.join("lock")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        lock => lock?,
    };
    if rustix::fs::flock(&lock, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(false);
    }
    let away = work.file();
    fs::rename(path, &away)?;
    deep::remove_all(&away)?;
    Ok(true)
}

/// Of the blocks that it takes on the disk. Links are not followed.
fn size(path: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    deep::each(path, |folder| {
        // What a step removes meanwhile takes no room.
        let Ok(entries) = Dir::read_from(folder) else { return };
        for entry in entries.flatten().filter(|entry| ![c".", c".."].contains(&entry.file_name())) {
            if let Ok(stat) = statat(folder, entry.file_name(), AtFlags::SYMLINK_NOFOLLOW) {
                bytes += stat.st_blocks as u64 * 512;
            }
        }
    })?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Yard {
        _folder: tempfile::TempDir,
        store: Store,
        work: Work,
    }

    fn yard() -> Yard {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("images")).unwrap();
        let work = store.work().unwrap();
        Yard { _folder: folder, store, work }
    }

    impl Yard {
        fn open(&self, id: &str, sharing: Sharing) -> io::Result<Cache> {
            let mut fill = |data: &Path| fs::write(data.join("first"), "x");
            open(&self.store, &self.work, id, sharing, &mut fill, &|| true)
        }
    }

    #[test]
    fn a_cache_is_filled_once_and_kept() {
        let yard = yard();
        let cache = yard.open("go", Sharing::Shared).unwrap();
        fs::remove_file(cache.data.join("first")).unwrap();
        fs::write(cache.data.join("second"), "x").unwrap();
        drop(cache);
        let again = yard.open("go", Sharing::Shared).unwrap();
        assert!(again.data.join("second").exists() && !again.data.join("first").exists());
        let ids: Vec<String> = list(&yard.store).unwrap().into_iter().map(|cache| cache.id).collect();
        assert_eq!(ids, ["go"]);
    }

    #[test]
    fn shared_ones_are_shared_private_ones_are_copies_and_locked_ones_wait() {
        let yard = yard();
        let shared = (yard.open("s", Sharing::Shared).unwrap(), yard.open("s", Sharing::Shared).unwrap());
        assert_eq!(shared.0.data, shared.1.data);
        let private = (yard.open("p", Sharing::Private).unwrap(), yard.open("p", Sharing::Private).unwrap());
        assert_ne!(private.0.data, private.1.data);
        let _locked = yard.open("l", Sharing::Locked).unwrap();
        assert_eq!(yard.open("l", Sharing::Locked).unwrap_err().kind(), io::ErrorKind::Interrupted);
    }

    #[test]
    fn only_what_nobody_uses_is_removed() {
        let yard = yard();
        let used = yard.open("used", Sharing::Shared).unwrap();
        drop(yard.open("old", Sharing::Shared).unwrap());
        let removed: Vec<(String, bool)> = list(&yard.store)
            .unwrap()
            .into_iter()
            .map(|cache| (cache.id, remove(&yard.work, &cache.path).unwrap()))
            .collect();
        assert!(removed.contains(&("old".into(), true)) && removed.contains(&("used".into(), false)), "{removed:?}");
        assert!(used.data.exists());
        assert_eq!(list(&yard.store).unwrap().len(), 1);
    }

    #[test]
    fn what_is_too_large_after_a_step_is_emptied_unless_another_step_uses_it() {
        let yard = yard();
        let fill = |cache: &Cache| fs::write(cache.data.join("big"), vec![1; 100_000]).unwrap();
        let (first, second) = (yard.open("go", Sharing::Shared).unwrap(), yard.open("go", Sharing::Shared).unwrap());
        fill(&first);
        assert_eq!(empty_above(&yard.work, yard.open("go", Sharing::Shared).unwrap(), 1 << 30).unwrap(), Emptied::No);
        let in_use = empty_above(&yard.work, first, 50_000).unwrap();
        assert!(matches!(in_use, Emptied::InUse { bytes: 100_000.., .. }), "{in_use:?}");
        let emptied = empty_above(&yard.work, second, 50_000).unwrap();
        assert!(matches!(&emptied, Emptied::Yes { id, .. } if id == "go"), "{emptied:?}");
        assert!(!yard.open("go", Sharing::Shared).unwrap().data.join("big").exists());
    }
}
