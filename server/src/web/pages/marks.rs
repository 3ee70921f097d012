//! The eight marks, and the flags that a learner has hoisted.

/// A namespace's mark: its pattern and colour come from the style sheet, its words from here.
#[derive(Debug)]
pub struct Mark {
    pub ns: &'static str,
    pub(super) name: &'static str,
    pub(super) about: &'static str,
}

pub const MARKS: [Mark; 8] = [
    Mark { ns: "pid", name: "PID", about: "who is number one?" },
    Mark { ns: "net", name: "NET", about: "a network of one’s own" },
    Mark { ns: "ipc", name: "IPC", about: "private shared memory" },
    Mark { ns: "mnt", name: "MNT", about: "another tree of files" },
    Mark { ns: "uts", name: "UTS", about: "a host name to change" },
    Mark { ns: "user", name: "USER", about: "root, but only here" },
    Mark { ns: "time", name: "TIME", about: "a clock that starts at zero" },
    Mark { ns: "cgroup", name: "CGROUP", about: "its place among the limits" },
];

/// The flags of some lessons, in the marks' order.
#[derive(Debug, Clone)]
pub struct FlagsView {
    pub flags: Vec<FlagView>,
}

impl FlagsView {
    pub(super) fn hoisted(&self) -> usize {
        self.flags.iter().filter(|flag| flag.state == FlagState::Hoisted).count()
    }

    pub fn has_begun(&self) -> bool {
        self.flags.iter().any(|flag| flag.state != FlagState::Down)
    }

    /// `Your third flag of eight.`
    pub(super) fn nth(&self) -> String {
        const NUMBERS: [(&str, &str); 8] = [
            ("one", "first"),
            ("two", "second"),
            ("three", "third"),
            ("four", "fourth"),
            ("five", "fifth"),
            ("six", "sixth"),
            ("seven", "seventh"),
            ("eight", "eighth"),
        ];
        let (hoisted, all) = (self.hoisted(), self.flags.len());
        match (hoisted.checked_sub(1).and_then(|at| NUMBERS.get(at)), all.checked_sub(1).and_then(|at| NUMBERS.get(at)))
        {
            (Some(_), Some((all, _))) if hoisted == self.flags.len() && hoisted > 1 => {
                format!("All {all} flags are hoisted.")
            }
            (Some((_, nth)), Some((all, _))) => format!("Your {nth} flag of {all}."),
            _ => String::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct FlagView {
    pub ns: &'static str,
    pub state: FlagState,
}

/// In ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagState {
    Down,
    Going,
    Hoisted,
}

impl FlagState {
    /// The class that draws it, besides `flag`.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Down => " flag--down",
            Self::Going => " flag--going",
            Self::Hoisted => "",
        }
    }

    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Down => "not yet",
            Self::Going => "under way",
            Self::Hoisted => "passed",
        }
    }
}
