//! How many sandboxes a host's memory has room for.
//!
//! A sandbox's limit is what it may take, not what it takes: a learner with a shell and an editor uses a few
//! dozen mebibytes, one who builds something some hundreds. So each is counted with a share, and what the host
//! and the service themselves need is left alone. What limits us may be less than the machine: a group of a
//! container or of a systemd unit.

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::layout::Layout;
use crate::cgroup::parent::Parent;

/// How memory is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sizing {
    /// Left to the host and to the service.
    pub reserve_bytes: u64,
    /// One session's share.
    pub per_session_bytes: u64,
}

impl Sizing {
    /// How many sessions `memory_bytes` have room for. Never none: a host that is too small for one session
    /// should serve that one slowly rather than nobody.
    pub fn places(&self, memory_bytes: u64) -> u32 {
        let places = memory_bytes.saturating_sub(self.reserve_bytes) / self.per_session_bytes.max(1);
        u32::try_from(places).unwrap_or(u32::MAX).max(1)
    }
}

/// The memory that sandboxes can have together: the machine's, or less where a group that they are in, or one
/// above it, has a limit. `None`: the kernel does not say.
pub fn memory_bytes(layout: &Layout, parent: &Parent) -> Option<u64> {
    let machine = total_memory(&fs::read_to_string("/proc/meminfo").ok()?)?;
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let limits = limit_files(layout, parent).into_iter().filter_map(read).filter_map(|text| limit(&text));
    Some(limits.fold(machine, u64::min))
}

/// The files that hold the limits of the group where sandboxes go, and of those above it.
fn limit_files(layout: &Layout, parent: &Parent) -> Vec<PathBuf> {
    let v2 = layout.v2.as_ref().map(|v2| (v2.mount.as_path(), "memory.max"));
    let v1 = layout.v1_of("memory").map(|v1| (v1.mount.as_path(), "memory.limit_in_bytes"));
    let mut files = Vec::new();
    for (mount, name) in v2.into_iter().chain(v1) {
        for group in parent.path.ancestors() {
            files.push(if group == Path::new("") { mount.join(name) } else { mount.join(group).join(name) });
        }
    }
    files
}

/// A limit as the kernel writes it: v2 says `max` for none; v1 a number near 2^63, which limits nobody.
fn limit(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

fn total_memory(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1024 * 1024;
    const SIZING: Sizing = Sizing { reserve_bytes: 1024 * MIB, per_session_bytes: 352 * MIB };

    #[test]
    fn what_is_left_behind_the_reserve_is_shared_out() {
        for (memory_mib, places) in [(16 * 1024, 43), (15_666, 41), (8 * 1024, 20), (4 * 1024, 8), (2 * 1024, 2)] {
            assert_eq!(SIZING.places(memory_mib * MIB), places, "{memory_mib} MiB");
        }
    }

    #[test]
    fn a_host_that_is_too_small_serves_one_and_none_divides_by_nothing() {
        assert_eq!(SIZING.places(512 * MIB), 1);
        assert_eq!(SIZING.places(0), 1);
        assert_eq!(Sizing { reserve_bytes: 0, per_session_bytes: 0 }.places(u64::MAX), u32::MAX);
    }

    #[test]
    fn a_limit_is_a_number_and_none_is_none() {
        assert_eq!(limit("4294967296\n"), Some(4 << 30));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n").map(|limit| limit.min(1 << 30)), Some(1 << 30));
        assert_eq!(total_memory("MemTotal:       16041632 kB\nMemFree: 1 kB\n"), Some(16_041_632 * 1024));
    }

    #[test]
    fn this_machine_has_memory_and_its_groups_allow_no_more_than_that() {
        let layout = Layout::of_host().expect("its cgroups");
        let whole = memory_bytes(&layout, &Parent::default()).expect("its memory");
        assert!(whole >= 64 * MIB, "{whole}");
        assert!(memory_bytes(&layout, &Parent::of_host(&layout)).expect("its memory") <= whole);
    }
}
