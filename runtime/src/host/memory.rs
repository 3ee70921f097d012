//! The memory that sandboxes can have together.
//!
//! What limits them may be less than the machine: a group of a container or of a systemd unit. How many learners
//! that carries is decided in [`crate::sizing`].

use std::fs;
use std::path::{Path, PathBuf};

use crate::cgroup::layout::Layout;
use crate::cgroup::parent::Parent;

/// The memory that sandboxes can have together: the machine's, or less where a group that they are in, or one
/// above it, has a limit. `None`: the kernel does not say.
pub fn memory_bytes(layout: &Layout, parent: &Parent) -> Option<u64> {
    let machine = in_meminfo(&fs::read_to_string("/proc/meminfo").ok()?, "MemTotal:")?;
    let read = |path: PathBuf| fs::read_to_string(path).ok();
    let limits = limit_files(layout, parent).into_iter().filter_map(read).filter_map(|text| limit(&text));
    Some(limits.fold(machine, u64::min))
}

/// What is free, or would be at once; `None`: the kernel does not say.
pub fn available_bytes() -> Option<u64> {
    in_meminfo(&fs::read_to_string("/proc/meminfo").ok()?, "MemAvailable:")
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

/// A line of proc_meminfo(5), in bytes.
fn in_meminfo(meminfo: &str, name: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_is_a_number_and_none_is_none() {
        assert_eq!(limit("4294967296\n"), Some(4 << 30));
        assert_eq!(limit("max\n"), None);
        assert_eq!(limit("9223372036854771712\n").map(|limit| limit.min(1 << 30)), Some(1 << 30));
    }

    #[test]
    fn a_line_of_meminfo_is_read_in_bytes() {
        assert_eq!(in_meminfo("MemTotal: 9 kB\nMemAvailable:    2048 kB\n", "MemAvailable:"), Some(2 << 20));
        assert_eq!(in_meminfo("MemTotal: 9 kB\n", "MemAvailable:"), None);
    }

    #[test]
    fn this_machine_has_memory_and_its_groups_allow_no_more_than_that() {
        let layout = Layout::of_host().expect("its cgroups");
        let whole = memory_bytes(&layout, &Parent::default()).expect("its memory");
        assert!(whole >= 64 << 20, "{whole}");
        assert!(memory_bytes(&layout, &Parent::of_host(&layout)).expect("its memory") <= whole);
    }
}
