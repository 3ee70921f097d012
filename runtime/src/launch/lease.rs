//! Ids and numbers that a sandbox holds while it lives.
//!
//! A lease is a file with a lock (flock(2)). The lock travels to the shim, which holds it until it
//! ends; so `run` and `serve` can share a data directory, and whoever can take a lock knows that
//! its owner is dead, however it died.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rustix::fs::FlockOperation;
use serde::{Deserialize, Serialize};

use crate::spec::SandboxId;

/// Sandboxes at once on one host: far beyond what memory allows, so only a bound on the search.
pub const SLOTS_MAX: u32 = 4096;

/// Ids of one sandbox, as Docker, podman and systemd use too.
pub const RANGE: u32 = 65_536;

/// First host id of slot 0's range: above what useradd, /etc/subuid's defaults and
/// systemd-nspawn's first choices use, below the end of the signed 32-bit numbers.
const RANGE_BASE: u32 = 0x5000_0000;

/// Owner ids: one for each slot, below the ranges.
const OWNER_BASE: u32 = RANGE_BASE - RANGE;

/// The id that the web process gets where no account is named: below the owners.
pub const WEB_ID: u32 = OWNER_BASE - 1;

/// What a slot's number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    pub slot: u32,
    /// The shim's id: rules the user namespace, is not in it.
    pub owner: u32,
    /// Host id of the sandbox's root; the range follows.
    pub base: u32,
}

impl Ids {
    pub fn of(slot: u32) -> Self {
        Self { slot, owner: OWNER_BASE + slot, base: RANGE_BASE + slot * RANGE }
    }
}

/// A slot that is held while `file`, or a copy of its descriptor, is open.
#[derive(Debug)]
pub struct Lease {
    pub ids: Ids,
    pub file: File,
}

fn path_of(directory: &Path, slot: u32) -> PathBuf {
    directory.join(format!("slot-{slot}"))
}

fn open(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path)
}

/// Takes the first free slot; `None` when all are taken.
pub fn take(directory: &Path) -> io::Result<Option<Lease>> {
    for slot in 0..SLOTS_MAX {
        if let Some(lease) = try_slot(directory, slot)? {
            return Ok(Some(lease));
        }
    }
    Ok(None)
}

/// The lease of `slot`, if nobody holds it.
pub fn try_slot(directory: &Path, slot: u32) -> io::Result<Option<Lease>> {
    let file = open(&path_of(directory, slot))?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Lease { ids: Ids::of(slot), file })),
        Err(rustix::io::Errno::WOULDBLOCK) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether the sandbox `id` holds `slot` now: somebody has the lock, and wrote that name into the file.
pub fn is_held_by(directory: &Path, slot: u32, id: SandboxId) -> io::Result<bool> {
    if try_slot(directory, slot)?.is_some() {
        return Ok(false);
    }
    Ok(std::fs::read_to_string(path_of(directory, slot))? == id.to_string())
}

impl Lease {
    /// Writes down who holds it: a slot that is free is given to the next sandbox, perhaps before anybody
    /// has swept what the last one left.
    pub fn claim(&mut self, id: SandboxId) -> io::Result<()> {
        use std::io::{Seek, Write};
        self.file.set_len(0)?;
        self.file.rewind()?;
        self.file.write_all(id.to_string().as_bytes())
    }

    /// Gives the slot back, unless a shim holds the lock too. The file stays: if it were removed,
    /// one taker could lock the removed file and another a new one of the same name.
    pub fn release(self) {
        drop(self.file);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_leases_never_share_an_id() {
        let directory = tempfile::tempdir().expect("a directory");
        let first = take(directory.path()).unwrap().unwrap();
        let second = take(directory.path()).unwrap().unwrap();
        assert_ne!(first.ids.owner, second.ids.owner);
        assert!(first.ids.base + RANGE <= second.ids.base);
        assert!(Ids::of(SLOTS_MAX - 1).owner < Ids::of(0).base);
        first.release();
        assert_eq!(take(directory.path()).unwrap().unwrap().ids.slot, 0);
    }

    #[test]
    fn a_slot_that_was_given_to_another_is_not_held_by_the_last() {
        let directory = tempfile::tempdir().expect("a directory");
        let (first, second) = (SandboxId::random(), SandboxId::random());
        let mut lease = take(directory.path()).unwrap().unwrap();
        lease.claim(first).unwrap();
        assert!(is_held_by(directory.path(), 0, first).unwrap());
        lease.release();
        assert!(!is_held_by(directory.path(), 0, first).unwrap(), "nobody holds it");
        let mut lease = take(directory.path()).unwrap().unwrap();
        lease.claim(second).unwrap();
        assert!(!is_held_by(directory.path(), 0, first).unwrap(), "another holds it");
    }

    #[test]
    fn the_last_range_fits_into_32_bits() {
        assert!(Ids::of(SLOTS_MAX - 1).base.checked_add(RANGE).is_some());
    }
}
