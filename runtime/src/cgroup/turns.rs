//! How the group of all sandboxes stands beside the host's other programs, and when that changes.
//!
//! A key passes through processes that are in no sandbox: the web process, and the kernel's workers that carry
//! a pty's bytes. Beside a sandbox that takes all processors each of them waits for a tick, as the scheduler looks
//! no sooner whose turn it is. An *idle* group gives way to anybody at once (cpu.idle of cgroup-v2.rst; v1 has the
//! same file), so sandboxes are one while the host's own programs leave them room: [`Turns::Behind`].
//! It also has next to no share where they do not, so then it gets a large one instead: [`Turns::Weighed`].
//! [`Governor`] decides which, once a second, and decision 17 has the measurements.

use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::unistd::{SysconfVar, sysconf};
use serde::{Deserialize, Serialize};

use super::layout::Layout;
use super::parent::Parent;

/// Between two looks of a [`Governor`]: as long a learner may stand still when the host gets busy.
pub const LOOK: Duration = Duration::from_secs(1);

/// Share of all sandboxes together where they have one, in cpu.weight's measure, where a process of the host's own
/// has 100: with no more than one compiler has, one learner who burns that makes every other wait for the compiler.
const WEIGHT: u64 = 1000;

/// The part of all processors from which on the host's own programs leave the sandboxes too little.
const CROWDED: f64 = 0.75;

/// How long, in looks, the group keeps its weight the first time. What others would like to have cannot be seen while
/// it has one, so it is taken away again to find out, and that costs learners a look each time.
const WEIGHED_FIRST: u32 = 4;
/// At most: a learner may stand still for one second in a minute.
const WEIGHED_MAX: u32 = 60;

/// How the group of all sandboxes takes turns with the host's own programs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turns {
    /// It gives way at once, and has what the others leave.
    #[default]
    Behind,
    /// It has a share as large as that of ten programs.
    Weighed,
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

/// Decides from what the host's own programs use.
#[derive(Debug)]
pub struct Governor {
    turns: Turns,
    /// Looks until the group is put behind the others again.
    left: u32,
    /// How many those will be the next time.
    next: u32,
}

impl Default for Governor {
    fn default() -> Self {
        Self { turns: Turns::Behind, left: 0, next: WEIGHED_FIRST }
    }
}

impl Governor {
    /// `others`: the part of all processors, from 0 to 1, that the host's own programs have had since the last look.
    pub fn look(&mut self, others: f64) -> Turns {
        match self.turns {
            Turns::Behind if others > CROWDED => {
                (self.turns, self.left) = (Turns::Weighed, self.next);
                self.next = (self.next * 2).min(WEIGHED_MAX);
            }
            Turns::Behind => self.next = WEIGHED_FIRST,
            Turns::Weighed => {
                self.left -= 1;
                if self.left == 0 {
                    self.turns = Turns::Behind;
                }
            }
        }
        self.turns
    }
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
    /// The part of all processors that others than the sandboxes have had since `before`, from 0 to 1.
    pub fn others_since(&self, before: &Self) -> f64 {
        let all = self.all.saturating_sub(before.all).as_secs_f64();
        let busy = self.busy.saturating_sub(before.busy).as_secs_f64();
        let sandboxes = self.sandboxes.saturating_sub(before.sandboxes).as_secs_f64();
        if all == 0.0 { 0.0 } else { ((busy - sandboxes) / all).clamp(0.0, 1.0) }
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

    #[test]
    fn it_is_behind_the_others_while_they_leave_room() {
        let mut governor = Governor::default();
        assert!((0..100).all(|_| governor.look(0.7) == Turns::Behind));
    }

    #[test]
    fn it_has_a_share_at_once_when_they_do_not_and_tries_again_ever_more_seldom() {
        let mut governor = Governor::default();
        let looks: Vec<Turns> = (0..1000).map(|_| governor.look(1.0)).collect();
        assert_eq!(looks[0], Turns::Weighed);
        let tries: Vec<usize> = (1..looks.len()).filter(|&at| looks[at] == Turns::Behind).collect();
        assert_eq!(tries[0], WEIGHED_FIRST as usize);
        let between: Vec<usize> = tries.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(between.is_sorted() && *between.last().unwrap() == WEIGHED_MAX as usize + 1, "{between:?}");
    }

    #[test]
    fn when_they_have_left_it_is_behind_again_and_has_forgotten() {
        let mut governor = Governor::default();
        (0..200).for_each(|_| drop(governor.look(1.0)));
        let back = (0..=WEIGHED_MAX).take_while(|_| governor.look(0.1) == Turns::Weighed).count();
        assert!(back <= WEIGHED_MAX as usize);
        governor.look(0.1);
        governor.look(1.0);
        assert_eq!((1..).find(|_| governor.look(1.0) == Turns::Behind), Some(WEIGHED_FIRST));
    }

    #[test]
    fn what_others_use_is_all_but_idle_and_the_sandboxes() {
        let (all, busy) = all_and_busy("cpu  100 10 50 600 40 5 15 80 7 0\ncpu0 1\n").unwrap();
        assert_eq!((all, busy), (900, 180));
        let seconds = Duration::from_secs;
        let before = Used { all: seconds(100), busy: seconds(50), sandboxes: seconds(20) };
        let after = Used { all: seconds(110), busy: seconds(58), sandboxes: seconds(25) };
        assert_eq!(after.others_since(&before), 0.3);
        assert_eq!(after.others_since(&after), 0.0);
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
