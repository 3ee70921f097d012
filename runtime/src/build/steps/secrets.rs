//! Secrets of a `RUN`: files in memory, for as long as the step runs.
//!
//! They are written below /dev/shm, which is a tmpfs, so that they reach no disk, and bound into the container read-only.
//! They are in no layer, because what is mounted is not in a layer; in no key and in no message, because a request has
//! only their names.

use std::fs::{self, DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;

use super::request::Ownership;

const PLACE: &str = "/dev/shm";
const PREFIX: &str = "quayside-secrets-";

/// tmpfs's f_type (statfs(2)).
const TMPFS_MAGIC: i64 = 0x0102_1994;

/// As BuildKit has it.
const MODE: u32 = 0o400;

/// A folder of secrets; gone when dropped.
#[derive(Debug)]
pub struct Secrets {
    path: PathBuf,
    count: u32,
    /// Locked while the step runs, so that what a crash leaves is known by its being free.
    _folder: File,
}

impl Secrets {
    pub fn new() -> io::Result<Self> {
        sweep()?;
        if i64::from(rustix::fs::statfs(PLACE)?.f_type as i32) != TMPFS_MAGIC {
            return Err(io::Error::other(format!("{PLACE} is no tmpfs, and secrets are not written to a disk")));
        }
        let path = Path::new(PLACE).join(format!("{PREFIX}{}", uuid::Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let folder = File::open(&path)?;
        rustix::fs::flock(&folder, FlockOperation::LockExclusive)?;
        Ok(Self { path, count: 0, _folder: folder })
    }

    /// Writes one; gives the folder and its name there.
    pub fn add(&mut self, secret: &[u8], owner: Ownership) -> io::Result<(PathBuf, PathBuf)> {
        self.count += 1;
        let name = PathBuf::from(self.count.to_string());
        let path = self.path.join(&name);
        let mut file = File::options().write(true).create_new(true).mode(0o600).open(&path)?;
        file.write_all(secret)?;
        std::os::unix::fs::fchown(&file, Some(owner.uid.unwrap_or(0)), Some(owner.gid.unwrap_or(0)))?;
        file.set_permissions(fs::Permissions::from_mode(owner.mode.unwrap_or(MODE)))?;
        Ok((self.path.clone(), name))
    }
}

impl Drop for Secrets {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next step with a secret.
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what a crash left.
fn sweep() -> io::Result<()> {
    for entry in fs::read_dir(PLACE)?.flatten() {
        if !entry.file_name().to_string_lossy().starts_with(PREFIX) {
            continue;
        }
        let Ok(folder) = File::open(entry.path()) else { continue };
        let age = folder.metadata().and_then(|it| it.modified()).ok().and_then(|at| at.elapsed().ok());
        // One that is being made is not locked yet.
        let is_new = age.is_none_or(|age| age < std::time::Duration::from_secs(60));
        if !is_new && rustix::fs::flock(&folder, FlockOperation::NonBlockingLockExclusive).is_ok() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_secret_is_its_owners_alone_and_gone_with_the_step() {
        let mut secrets = Secrets::new().unwrap();
        let (folder, name) = secrets.add(b"hunter2", Ownership::default()).unwrap();
        let file = fs::metadata(folder.join(&name)).unwrap();
        assert_eq!((file.mode() & 0o7777, file.uid()), (0o400, 0));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o777, 0o700);
        drop(secrets);
        assert!(!folder.exists());
    }
}
