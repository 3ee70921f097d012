//! The modes that programs leave a terminal in, at both ends of the scrollback.
//!
//! What is kept of the output may begin behind the sequence that switched to the alternate screen or to the
//! application's cursor keys. So each switch is remembered with its place: those that are dropped with the
//! bytes before them become the modes in which the scrollback begins.

use std::collections::{BTreeMap, VecDeque};

use super::marks::{KEYPAD, Mark};

/// Switches remembered with their place; every prompt makes two. Older ones count as if the scrollback began
/// behind them, which changes nothing about how it ends.
const SWITCHES_MAX: usize = 1024;

const ALTERNATE: u16 = 1049;
const PASTE: u16 = 2004;

/// DEC private modes that outlast the sequence around them: cursor keys, wrapping, cursor, mouse and its
/// forms, focus. Others are ignored, so that a program cannot make this grow.
const KNOWN: [u16; 13] = [1, 7, 9, 25, KEYPAD, 1000, 1002, 1003, 1004, 1005, 1006, 1015, PASTE];

/// Mode by number, where it is not as at first.
type Set = BTreeMap<u16, bool>;

#[derive(Debug, Default)]
pub struct Modes {
    first: Set,
    switches: VecDeque<(u64, Switch)>,
    /// Where the program in front switched to its own screen.
    entered: Option<u64>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Switch {
    To(u16, bool),
    Reset,
}

impl Modes {
    /// A mark that ends at `offset` of the output.
    pub fn heard(&mut self, offset: u64, mark: Mark) {
        let switch = match mark {
            Mark::AlternateScreen(on) => Switch::To(ALTERNATE, on),
            Mark::BracketedPaste(on) => Switch::To(PASTE, on),
            Mark::Mode(mode, on) if KNOWN.contains(&mode) => Switch::To(mode, on),
            Mark::Reset => Switch::Reset,
            _ => return,
        };
        if let Mark::AlternateScreen(on) = mark {
            self.entered = on.then(|| self.entered.unwrap_or(offset));
        }
        if self.switches.len() == SWITCHES_MAX {
            self.drop_first();
        }
        self.switches.push_back((offset, switch));
    }

    /// The output before `start` is not kept any more.
    pub fn begin_at(&mut self, start: u64) {
        while self.switches.front().is_some_and(|&(offset, _)| offset <= start) {
            self.drop_first();
        }
    }

    fn drop_first(&mut self) {
        if let Some((_, switch)) = self.switches.pop_front() {
            apply(&mut self.first, switch);
        }
    }

    /// Whether the alternate screen is in front.
    pub fn alternate(&self) -> bool {
        self.entered.is_some()
    }

    /// Where the program that has the alternate screen switched to it.
    pub fn entered(&self) -> Option<u64> {
        self.entered
    }

    /// The modes at `offset`, as a terminal is told them.
    pub fn at(&self, offset: u64) -> String {
        let mut set = self.first.clone();
        let before = self.switches.iter().take_while(|&&(at, _)| at <= offset);
        before.for_each(|&(_, switch)| apply(&mut set, switch));
        sequences(&set, true)
    }

    /// The modes at its end, but for the screen in front.
    pub fn at_end(&self) -> String {
        sequences(&self.last(), false)
    }

    fn last(&self) -> Set {
        let mut set = self.first.clone();
        self.switches.iter().for_each(|&(_, switch)| apply(&mut set, switch));
        set
    }
}

fn apply(set: &mut Set, switch: Switch) {
    match switch {
        Switch::To(mode, on) => drop(set.insert(mode, on)),
        // A soft reset leaves the screen in front; a hard one says so besides.
        Switch::Reset => set.retain(|&mode, _| mode == ALTERNATE),
    }
}

fn sequences(set: &Set, with_screen: bool) -> String {
    let mut text = String::new();
    // The screen first: switching to it is what saves the cursor of the other.
    if with_screen && set.get(&ALTERNATE) == Some(&true) {
        text.push_str("\x1b[?1049h");
    }
    for (&mode, &on) in set.iter().filter(|(mode, _)| **mode != ALTERNATE) {
        match (mode, on) {
            (KEYPAD, true) => text.push_str("\x1b="),
            (KEYPAD, false) => text.push_str("\x1b>"),
            (mode, on) => text.push_str(&format!("\x1b[?{mode}{}", if on { 'h' } else { 'l' })),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_dropped_is_how_the_rest_begins() {
        let mut modes = Modes::default();
        modes.heard(10, Mark::AlternateScreen(true));
        modes.heard(20, Mark::Mode(1, true));
        modes.heard(30, Mark::Mode(25, false));
        assert_eq!((modes.entered(), modes.at(10)), (Some(10), "\x1b[?1049h".into()));
        modes.begin_at(20);
        assert_eq!(modes.at(20), "\x1b[?1049h\x1b[?1h");
        assert_eq!(modes.at_end(), "\x1b[?1h\x1b[?25l");
        assert!(modes.alternate());
        modes.heard(40, Mark::AlternateScreen(false));
        assert!(!modes.alternate());
        assert_eq!(modes.at(20), "\x1b[?1049h\x1b[?1h", "it still began there");
    }

    #[test]
    fn a_reset_forgets_what_was_set() {
        let mut modes = Modes::default();
        modes.heard(1, Mark::Mode(1003, true));
        modes.heard(2, Mark::Mode(KEYPAD, true));
        modes.heard(3, Mark::Reset);
        assert_eq!(modes.at_end(), "");
    }

    #[test]
    fn switching_without_end_takes_no_more_room() {
        let mut modes = Modes::default();
        for n in 0..100_000 {
            modes.heard(n, Mark::Mode((n % 5000) as u16, n % 3 == 0));
            modes.heard(n, Mark::BracketedPaste(n % 2 == 0));
        }
        assert_eq!(modes.switches.len(), SWITCHES_MAX);
        assert!(modes.first.len() <= KNOWN.len() + 1);
        assert!(modes.at_end().contains("\x1b[?2004l"), "the last is what holds");
    }
}
