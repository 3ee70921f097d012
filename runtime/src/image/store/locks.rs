//! Locks between processes, and the store's own folders and small files.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

use rustix::fs::FlockOperation;
use rustix::io::Errno;

use super::{ImageError, Work};

pub fn make_private(path: &Path) -> Result<(), ImageError> {
    let make = || {
        DirBuilder::new().recursive(true).mode(0o700).create(path)?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o700))
    };
    make().map_err(ImageError::store("make the folder", path))
}

/// How a lock is shared with others.
#[derive(Debug, Clone, Copy)]
pub enum Sharing {
    Shared,
    Exclusive,
}

/// Opens the file, which is made where it is missing, and waits for its lock.
pub fn lock(path: &Path, sharing: Sharing) -> Result<File, ImageError> {
    let file = open(path)?;
    wait(&file, sharing).map_err(ImageError::store("lock", path))?;
    Ok(file)
}

/// The same without waiting; `None` when somebody else has it.
pub fn try_lock(path: &Path, sharing: Sharing) -> Result<Option<File>, ImageError> {
    let file = open(path)?;
    let operation = match sharing {
        Sharing::Shared => FlockOperation::NonBlockingLockShared,
        Sharing::Exclusive => FlockOperation::NonBlockingLockExclusive,
    };
    match rustix::fs::flock(&file, operation) {
        Ok(()) => Ok(Some(file)),
        Err(Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(ImageError::store("lock", path)(error.into())),
    }
}

/// Whether somebody has it at this moment. Makes nothing.
pub fn is_held(path: &Path) -> bool {
    File::open(path)
        .is_ok_and(|file| rustix::fs::flock(&file, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK))
}

/// Waits for the lock; a signal meanwhile is no reason to give up.
pub fn wait(file: &File, sharing: Sharing) -> io::Result<()> {
    let operation = match sharing {
        Sharing::Shared => FlockOperation::LockShared,
        Sharing::Exclusive => FlockOperation::LockExclusive,
    };
    loop {
        match rustix::fs::flock(file, operation) {
            Err(Errno::INTR) => {}
            result => return Ok(result?),
        }
    }
}

fn open(path: &Path) -> Result<File, ImageError> {
    let options = File::options().create(true).truncate(false).write(true).open(path);
    options.map_err(ImageError::store("open", path))
}

/// A small file, whole or not at all, also after a power failure.
pub fn write_whole(work: &Work, to: &Path, bytes: &[u8]) -> Result<(), ImageError> {
    let from = work.file();
    let write = || {
        let mut file = File::create(&from)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&from, to)
    };
    write().map_err(ImageError::store("write", to))
}

/// What the kernel calls its present run; empty where /proc is not there, and then everything is of this boot.
pub fn boot_id() -> String {
    fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default().trim().to_owned()
}
