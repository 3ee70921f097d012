//! How the group of all sandboxes stands beside the host's other programs, and when that changes.
//!
//! With a large weight a woken shell goes before the host's own programs, as most of the time their share is used up
//! and the shell's is not: [`Turns::Weighed`]. But a key also passes through processes that are in no sandbox: the web
//! process, and the kernel's workers that carry a pty's bytes. Beside a sandbox that takes all processors each of them
//! waits for a tick, as the scheduler looks no sooner whose turn it is. An *idle* group gives way to anybody at once
//! (cpu.idle of cgroup-v2.rst; v1 has the same file), so while sandboxes take much they are one: [`Turns::Behind`].
//! It also has next to no share where the host's own programs take everything, so then it is not.
//! [`Governor`] decides which, and decision 18 has the measurements.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::parent::Parent;

/// Between two looks of a [`Governor`]: a fraction of what a person takes for a moment, and some hundredths of a
/// percent of a processor.
pub const LOOK: Duration = Duration::from_millis(250);

/// Share of all sandboxes together where they have one, in cpu.weight's measure, where a process of the host's own
/// has 100: with no more than one compiler has, one learner who burns that makes every other wait for the compiler.
const WEIGHT: u64 = 1000;

/// The part of all processors from which on sandboxes take much, and until which they then do.
const MUCH: f64 = 0.25;
const LITTLE: f64 = 0.15;

/// The part of all processors from which on the host's own programs leave the sandboxes too little.
const CROWDED: f64 = 0.75;

/// How long, in looks, the group keeps its weight the first time that it was crowded out (4 s). What others would like
/// to have cannot be seen while it has one, so that is tried again, and costs learners a look each time.
const WEIGHED_FIRST: u32 = 16;
/// At most (a minute).
const WEIGHED_MAX: u32 = 240;

/// How the group of all sandboxes takes turns with the host's own programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turns {
    /// It has a share as large as that of ten programs.
    #[default]
    Weighed,
    /// It gives way at once, and has what the others leave.
    Behind,
}

/// What is written for that, to which files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Together {
    pub turns: Turns,
    /// 1 or 0; absent before Linux 5.15.
    pub idle: PathBuf,
    /// cpu.weight or v1's cpu.shares; cannot be written while `idle` is 1.
    pub weight: PathBuf,
    pub weight_value: u64,
}

impl Together {
    /// `None` where no controller shares out processors.
    pub fn new(layout: &Layout, parent: &Parent, turns: Turns) -> Option<Self> {
        let (group, file, value) = match (layout.v1_of("cpu"), &layout.v2) {
            (Some(v1), _) => (group(&v1.mount, parent), "cpu.shares", shares(WEIGHT)),
            (None, Some(v2)) if parent.has("cpu") => (group(&v2.mount, parent), "cpu.weight", WEIGHT),
            _ => return None,
        };
        Some(Self { turns, idle: group.join("cpu.idle"), weight: group.join(file), weight_value: value })
    }
}

/// The group of all sandboxes in the hierarchy at `mount`.
pub fn group(mount: &Path, parent: &Parent) -> PathBuf {
    mount.join(&parent.path).join("quayside")
}

/// v1's cpu.shares is 1024 where v2's cpu.weight is 100.
pub fn shares(weight: u64) -> u64 {
    (weight * 1024 / 100).max(2)
}

/// Decides from what has used the processors since the last look.
#[derive(Debug)]
pub struct Governor {
    turns: Turns,
    /// Looks until the group may be put behind the others again.
    left: u32,
    /// How many those will be the next time.
    next: u32,
}

impl Default for Governor {
    fn default() -> Self {
        Self { turns: Turns::default(), left: 0, next: WEIGHED_FIRST }
    }
}

impl Governor {
    pub fn look(&mut self, Shares { sandboxes, others }: Shares) -> Turns {
        match self.turns {
            Turns::Weighed if self.left > 0 => self.left -= 1,
            Turns::Weighed if sandboxes > MUCH => self.turns = Turns::Behind,
            Turns::Behind if others > CROWDED => {
                (self.turns, self.left) = (Turns::Weighed, self.next);
                self.next = (self.next * 2).min(WEIGHED_MAX);
            }
            Turns::Behind if sandboxes < LITTLE => self.turns = Turns::Weighed,
            Turns::Behind => self.next = WEIGHED_FIRST,
            Turns::Weighed => {}
        }
        self.turns
    }
}

/// Parts of all processors' time, from 0 to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Shares {
    pub sandboxes: f64,
    /// Everybody else's.
    pub others: f64,
}

/// Processor time since the start, as counters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Used {
    /// All processors' time, idle or not.
    pub all: Duration,
    /// What of it anybody used.
    pub busy: Duration,
    /// What of that the sandboxes used.
    pub sandboxes: Duration,
}

impl Used {
    /// Who has used how much since `before`.
    pub fn since(&self, before: &Self) -> Shares {
        let all = self.all.saturating_sub(before.all).as_secs_f64();
        let busy = self.busy.saturating_sub(before.busy).as_secs_f64();
        let sandboxes = self.sandboxes.saturating_sub(before.sandboxes).as_secs_f64();
        let part = |time: f64| if all == 0.0 { 0.0 } else { (time / all).clamp(0.0, 1.0) };
        Shares { sandboxes: part(sandboxes), others: part(busy - sandboxes) }
    }

    /// Reads this host's. `None`: no sandbox has been here yet, or the kernel does not say.
    pub fn read(layout: &Layout, parent: &Parent) -> Option<Self> {
        let read = |path: PathBuf| std::fs::read_to_string(path).ok();
        let sandboxes = match (layout.v1_of("cpuacct"), &layout.v2) {
            (Some(v1), _) => nanoseconds(&read(group(&v1.mount, parent).join("cpuacct.usage"))?)?,
            (None, Some(v2)) => usage_usec(&read(group(&v2.mount, parent).join("cpu.stat"))?)?,
            (None, None) => return None,
        };
        let a_second = u64::try_from(sysconf(SysconfVar::CLK_TCK).ok()??).ok()?;
        let time = |ticks: u64| Duration::from_millis(ticks * 1000 / a_second);
        let (all, busy) = all_and_busy(&read("/proc/stat".into())?)?;
        Some(Self { all: time(all), busy: time(busy), sandboxes })
    }
}

/// v1's cpuacct.usage.
fn nanoseconds(usage: &str) -> Option<Duration> {
    usage.trim().parse().ok().map(Duration::from_nanos)
}

/// v2's cpu.stat, which each group has.
fn usage_usec(stat: &str) -> Option<Duration> {
    let value = stat.lines().find_map(|line| line.strip_prefix("usage_usec "))?;
    value.trim().parse().ok().map(Duration::from_micros)
}

/// The first line of /proc/stat, in ticks: all of it, and what is neither idle, nor waiting for a disk, nor taken by
/// the machine below (proc_stat(5)).
fn all_and_busy(stat: &str) -> Option<(u64, u64)> {
    let fields = stat.lines().next()?.strip_prefix("cpu ")?;
    let fields: Vec<u64> = fields.split_whitespace().map(str::parse).collect::<Result<_, _>>().ok()?;
    // user nice system idle iowait irq softirq steal; guest time is in user already.
    let all: u64 = fields.get(..8)?.iter().sum();
    let idle = fields[3] + fields[4] + fields[7];
    Some((all, all - idle))
}

#[cfg(test)]
mod tests {
    use super::super::layout::{V1, V2};
    use super::*;

    fn shares(sandboxes: f64, others: f64) -> Shares {
        Shares { sandboxes, others }
    }

    #[test]
    fn it_has_its_weight_until_sandboxes_take_much_and_again_when_they_take_little() {
        let mut governor = Governor::default();
        assert!((0..100).all(|_| governor.look(shares(0.2, 0.7)) == Turns::Weighed));
        assert_eq!(governor.look(shares(0.5, 0.1)), Turns::Behind);
        assert!((0..100).all(|_| governor.look(shares(0.2, 0.7)) == Turns::Behind));
        assert_eq!(governor.look(shares(0.1, 0.1)), Turns::Weighed);
        assert_eq!(governor.look(shares(0.5, 0.1)), Turns::Behind);
    }

    /// The host's own programs take what they can get, and so does a sandbox.
    fn crowd(turns: Turns) -> Shares {
        if turns == Turns::Behind { shares(0.0, 1.0) } else { shares(0.9, 0.1) }
    }

    #[test]
    fn crowded_out_it_has_its_weight_and_tries_again_ever_more_seldom() {
        let mut governor = Governor::default();
        let mut turns = Turns::default();
        let mut look = || {
            turns = governor.look(crowd(turns));
            turns
        };
        let looks: Vec<Turns> = (0..2000).map(|_| look()).collect();
        let tries: Vec<usize> = (0..looks.len()).filter(|&at| looks[at] == Turns::Behind).collect();
        assert_eq!(tries[..2], [0, WEIGHED_FIRST as usize + 2]);
        let between: Vec<usize> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(between.is_sorted() && *between.last().unwrap() == WEIGHED_MAX as usize + 2, "{between:?}");
    }

    #[test]
    fn when_the_crowd_has_left_it_gives_way_again_and_has_forgotten() {
        let mut governor = Governor::default();
        let mut turns = Turns::default();
        (0..2000).for_each(|_| turns = governor.look(crowd(turns)));
        let back = (0..).find(|_| governor.look(shares(0.9, 0.1)) == Turns::Behind).unwrap();
        assert!(back <= WEIGHED_MAX);
        governor.look(shares(0.9, 0.1));
        governor.look(shares(0.0, 1.0));
        assert_eq!((0..).find(|_| governor.look(shares(0.9, 0.1)) == Turns::Behind), Some(WEIGHED_FIRST));
    }

    #[test]
    fn what_others_use_is_all_but_idle_and_the_sandboxes() {
        let (all, busy) = all_and_busy("cpu  100 10 50 600 40 5 15 80 7 0\ncpu0 1\n").unwrap();
        assert_eq!((all, busy), (900, 180));
        let seconds = Duration::from_secs;
        let before = Used { all: seconds(100), busy: seconds(50), sandboxes: seconds(20) };
        let after = Used { all: seconds(110), busy: seconds(58), sandboxes: seconds(25) };
        assert_eq!(after.since(&before), shares(0.5, 0.3));
        assert_eq!(after.since(&after), shares(0.0, 0.0));
        assert_eq!(usage_usec("usage_usec 1500000\nuser_usec 1\n"), Some(Duration::from_millis(1500)));
        assert_eq!(nanoseconds("2000000\n"), Some(Duration::from_millis(2)));
    }

    #[test]
    fn both_kinds_of_hierarchy_have_their_own_files_and_measure() {
        let v1 = V1 { controllers: vec!["cpu".into(), "cpuacct".into()], mount: "/c".into(), own: None };
        let v1 = Layout { v1: vec![v1], v2: None };
        let together = Together::new(&v1, &Parent::default(), Turns::Weighed).unwrap();
        assert_eq!((together.weight.to_str(), together.weight_value), (Some("/c/quayside/cpu.shares"), 10240));
        let v2 = Layout { v1: vec![], v2: Some(V2 { mount: "/g".into(), controllers: vec!["cpu".into()], own: None }) };
        let parent = Parent { path: "a".into(), controllers: vec!["cpu".into()], vacate: true };
        let together = Together::new(&v2, &parent, Turns::Behind).unwrap();
        assert_eq!((together.weight.to_str(), together.weight_value), (Some("/g/a/quayside/cpu.weight"), 1000));
        assert_eq!(together.idle.to_str(), Some("/g/a/quayside/cpu.idle"));
        assert_eq!(Together::new(&v2, &Parent::default(), Turns::Behind), None);
    }
}
