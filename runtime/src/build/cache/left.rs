//! What builds that were ended in the middle have left: files of locks, and layers held for a step that nobody remembers.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::{Cache, CacheError, failed, hold, remove};
use crate::image::Digest;

impl Cache {
    /// Removes it, unless a build that runs is about to make it whole.
    pub(super) fn sweep_left(&self) -> Result<(), CacheError> {
        let holds = self.store.holds()?;
        let held = holds.iter().filter_map(|name| Digest::from_hex(name.strip_prefix("build-")?));
        let (locks, steps) = (keys_in(&self.root.join("locks"))?, keys_in(&self.root.join("steps"))?);
        let half = held.chain(steps).filter(|key| !self.step(key).exists());
        for key in half.chain(locks).collect::<BTreeSet<_>>() {
            // Who has it is at work on this very step.
            let Some(lock) = self.lock(&key, &|| true, &mut || {})? else { continue };
            if !self.step(&key).exists() {
                remove(&self.step(&key).with_extension("parts"))?;
                self.store.release(&hold(&key))?;
            }
            self.unlock(&key, lock);
        }
        Ok(())
    }
}

/// Files whose names begin with a key.
fn keys_in(folder: &Path) -> Result<BTreeSet<Digest>, CacheError> {
    let entries = fs::read_dir(folder).map_err(failed("list", folder))?;
    Ok(entries.flatten().filter_map(|entry| Digest::from_hex(entry.file_name().to_str()?.split('.').next()?)).collect())
}
