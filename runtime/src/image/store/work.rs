//! Work under way: a folder that disappears unless what is in it is moved to where it belongs.

use std::fs::{self, File};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use super::super::beneath::Root;
use super::locks::{self, Sharing, make_private};
use super::{ImageError, Store};
use crate::deep;

/// A folder in `tmp`, locked, and removed when dropped. While it is there nothing is removed from the store, so that what
/// was found or added stays until something names it.
pub struct Work {
    path: PathBuf,
    /// Files and folders so far; each has its number for a name.
    count: AtomicU32,
    _folder: File,
    _writer: File,
}

/// A layer under way: an empty folder to be filled, in overlay form.
pub struct LayerDraft {
    path: PathBuf,
}

impl Store {
    /// Begins to add something.
    pub fn work(&self) -> Result<Work, ImageError> {
        let writer = locks::lock(&self.root.join("writers"), Sharing::Shared)?;
        self.work_as(writer)
    }

    /// The same for who holds `writers` already.
    pub(super) fn work_as(&self, writer: File) -> Result<Work, ImageError> {
        // Held while the folder is there and not locked yet, when a sweep would take it for abandoned.
        let _lock = locks::lock(&self.root.join("lock"), Sharing::Exclusive)?;
        let path = self.root.join("tmp").join(uuid::Uuid::new_v4().simple().to_string());
        make_private(&path)?;
        let folder = File::open(&path).and_then(|folder| {
            locks::wait(&folder, Sharing::Exclusive)?;
            Ok(folder)
        });
        let folder = folder.map_err(ImageError::store("lock", &path))?;
        Ok(Work { path, count: AtomicU32::new(0), _folder: folder, _writer: writer })
    }

    /// Removes what is left of work that ended in the middle, and nothing of what is under way.
    pub fn sweep_work(&self) -> Result<(), ImageError> {
        let _lock = locks::lock(&self.root.join("lock"), Sharing::Exclusive)?;
        let tmp = self.root.join("tmp");
        let entries = fs::read_dir(&tmp).map_err(ImageError::store("list", &tmp))?;
        for path in entries.flatten().map(|entry| entry.path()) {
            let Ok(folder) = File::open(&path) else { continue };
            if rustix::fs::flock(&folder, rustix::fs::FlockOperation::NonBlockingLockExclusive).is_ok() {
                remove_tree(&path)?;
            }
        }
        Ok(())
    }
}

impl Work {
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file or folder that is not there yet.
    pub fn file(&self) -> PathBuf {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        self.path.join(number.to_string())
    }

    /// The empty root of a new layer.
    pub fn layer(&self) -> Result<LayerDraft, ImageError> {
        let draft = LayerDraft { path: self.file() };
        let root = draft.diff();
        let make = || {
            fs::create_dir(&draft.path)?;
            fs::create_dir(&root)?;
            fs::set_permissions(&root, fs::Permissions::from_mode(0o755))
        };
        make().map_err(ImageError::store("make", &root))?;
        Ok(draft)
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        // What cannot be removed now is swept at the next start.
        let _ = deep::remove_all(&self.path);
    }
}

impl LayerDraft {
    /// Where its files go. Suits as an overlay's upper directory.
    pub fn diff(&self) -> PathBuf {
        self.path.join("diff")
    }

    /// Its files, to be written beneath.
    pub fn root(&self) -> Result<Root, ImageError> {
        Root::open(&self.diff()).map_err(ImageError::store("open", self.diff()))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

pub fn remove_tree(path: &Path) -> Result<(), ImageError> {
    deep::remove_all(path).map_err(ImageError::store("remove", path))
}
