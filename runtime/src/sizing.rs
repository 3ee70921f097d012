//! How many learners a host carries at once: a pure function of what the host has and of what one
//! sandbox is allowed.
//!
//! Limits are what a sandbox may take at most, and a class never takes all of it: one learner builds an
//! image while most read. So a host promises more than it has, by the factors below, and keeps a part
//! back for itself. `quayside doctor` prints the number; admission can hold to the same one.

use std::fmt;

use crate::image::show::size;
use crate::launch::lease::SLOTS_MAX;
use crate::spec::Limits;

/// Kept back for the kernel, this service, and the page cache that the shared image layers live in.
const MEMORY_KEPT_SHARE: u64 = 8;
/// What a small host keeps back at least: Debian itself, and the service at its largest.
const MEMORY_KEPT_MIN_BYTES: u64 = 512 << 20;

/// Memory is promised three times over: an idle session has a few megabytes, one that builds an image a few
/// hundred, and 16 GiB then carry a class of 40 with the default limit of 1 GiB.
const MEMORY_PROMISED: u64 = 3;

/// Disk is promised eight times over: a session's file is sparse, and most sessions write less than 100 MB.
const DISK_PROMISED: u64 = 8;
/// Kept back on the disk: the images, and archives while one is made.
const DISK_KEPT_BYTES: u64 = 2 << 30;

/// Learners on one processor. One who types and reads uses less than a hundredth of it (`make bench`, part
/// `active`); what counts is that some of them build at the same moment, and share it then.
const LEARNERS_PER_PROCESSOR: u64 = 20;

/// What a host has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Host {
    /// Of everything: the machine's, or what an outer container allows.
    pub memory_bytes: u64,
    pub processors: u64,
    /// Free where session disks will be.
    pub disk_bytes: u64,
}

/// What is planned for one learner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    pub memory_bytes: u64,
    pub disk_bytes: u64,
}

impl Budget {
    pub fn of(limits: &Limits) -> Self {
        Self {
            memory_bytes: limits.memory_max_bytes / MEMORY_PROMISED,
            disk_bytes: limits.disk_max_bytes / DISK_PROMISED,
        }
    }
}

/// How many learners a host carries, and why not more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Capacity {
    pub learners: u64,
    pub bound: Bound,
    host: Host,
    budget: Budget,
}

/// What there is too little of for one learner more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    Memory,
    Processors,
    Disk,
    /// Ids to lease: not before [`SLOTS_MAX`].
    Ids,
}

impl Capacity {
    pub fn of(host: Host, limits: &Limits) -> Self {
        let budget = Budget::of(limits);
        let bounds = [
            (fitting(host.memory_bytes, memory_kept_bytes(host.memory_bytes), budget.memory_bytes), Bound::Memory),
            (host.processors.saturating_mul(LEARNERS_PER_PROCESSOR), Bound::Processors),
            (fitting(host.disk_bytes, DISK_KEPT_BYTES, budget.disk_bytes), Bound::Disk),
            (u64::from(SLOTS_MAX), Bound::Ids),
        ];
        let (learners, bound) = bounds.into_iter().min_by_key(|(learners, _)| *learners).expect("four are not none");
        Self { learners, bound, host, budget }
    }
}

/// How much of a host's memory sessions are not to count on.
pub fn memory_kept_bytes(memory_bytes: u64) -> u64 {
    (memory_bytes / MEMORY_KEPT_SHARE).max(MEMORY_KEPT_MIN_BYTES)
}

/// Sessions of `each` bytes that fit into `room` without `kept`.
pub fn fitting(room: u64, kept: u64, each: u64) -> u64 {
    room.saturating_sub(kept) / each.max(1)
}

impl fmt::Display for Bound {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str(match self {
            Self::Memory => "memory",
            Self::Processors => "processors",
            Self::Disk => "disk",
            Self::Ids => "ids to lease",
        })
    }
}

impl fmt::Display for Capacity {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let Self { learners, bound, host, budget } = self;
        write!(
            out,
            "{learners}, limited by {bound}: {} of memory without {} that are kept back, {} for each; {} processors, \
             {LEARNERS_PER_PROCESSOR} learners on each; {} of disk without {} that are kept back, {} for each",
            size(host.memory_bytes),
            size(memory_kept_bytes(host.memory_bytes)),
            size(budget.memory_bytes),
            host.processors,
            size(host.disk_bytes),
            size(DISK_KEPT_BYTES),
            size(budget.disk_bytes),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GIB: u64 = 1 << 30;

    fn capacity(memory_bytes: u64, processors: u64, disk_bytes: u64) -> (u64, Bound) {
        let capacity = Capacity::of(Host { memory_bytes, processors, disk_bytes }, &Limits::default());
        (capacity.learners, capacity.bound)
    }

    #[test]
    fn sixteen_gib_carry_a_class_of_forty() {
        assert_eq!(capacity(16 * GIB, 4, 100 * GIB), (42, Bound::Memory));
        // What Linux reports of 16 GiB: the firmware and the kernel have taken theirs.
        assert_eq!(capacity(16 * GIB - 400 * 1024 * 1024, 4, 100 * GIB), (40, Bound::Memory));
    }

    #[test]
    fn what_there_is_least_of_is_what_limits() {
        assert_eq!(capacity(64 * GIB, 1, 100 * GIB), (20, Bound::Processors));
        assert_eq!(capacity(64 * GIB, 8, 4 * GIB), (8, Bound::Disk));
        assert_eq!(capacity(4096 * GIB, 512, 40_000 * GIB), (4096, Bound::Ids));
        assert_eq!(capacity(2 * GIB, 2, 20 * GIB), (4, Bound::Memory));
    }

    #[test]
    fn a_host_without_room_carries_nobody() {
        assert_eq!(capacity(GIB / 2, 2, 20 * GIB), (0, Bound::Memory));
        assert_eq!(capacity(16 * GIB, 2, GIB), (0, Bound::Disk));
        assert_eq!(capacity(0, 0, 0).0, 0);
    }

    #[test]
    fn larger_sandboxes_are_fewer() {
        let host = Host { memory_bytes: 16 * GIB, processors: 8, disk_bytes: 100 * GIB };
        let twice = Limits { memory_max_bytes: 2 * GIB, ..Limits::default() };
        assert_eq!(Capacity::of(host, &twice).learners, 21);
        let none = Limits { memory_max_bytes: 0, disk_max_bytes: 0, ..Limits::default() };
        assert_eq!(Capacity::of(host, &none).bound, Bound::Processors);
    }

    #[test]
    fn it_says_what_limits_and_by_how_much() {
        let host = Host { memory_bytes: 16 * GIB, processors: 2, disk_bytes: 100 * GIB };
        insta::assert_snapshot!(Capacity::of(host, &Limits::default()), @"40, limited by processors: 17 GB of memory without 2147 MB that are kept back, 357 MB for each; 2 processors, 20 learners on each; 107 GB of disk without 2147 MB that are kept back, 268 MB for each");
    }
}
