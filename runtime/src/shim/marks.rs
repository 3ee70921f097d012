//! What a shell's output tells about the shell: OSC 133 marks, bracketed paste, the alternate screen.
//!
//! Only our own bashrc sends the marks; a program that prints them fools nobody but its own viewer.

/// Something that the output said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `OSC 133;B`: the prompt stands, readline listens.
    Prompt,
    /// `OSC 133;C`: a command begins.
    CommandStart,
    /// `OSC 133;D;N`: how it ended.
    CommandEnd(i32),
    /// `CSI ? 2004 h` and `l`.
    BracketedPaste(bool),
    /// `CSI ? 1049 h` and `l`, and the older 47 and 1047.
    AlternateScreen(bool),
    /// Another mode of the terminal that a program leaves set: see [`super::modes`].
    Mode(u16, bool),
    /// `CSI ! p`, and part of `ESC c`: every mode is as it was at first.
    Reset,
}

/// The number that stands for `ESC =` and `ESC >`, as in DECNKM.
pub const KEYPAD: u16 = 66;

/// Longest sequence that is looked at; ours have at most 16 bytes. Longer ones are passed over.
const SEQUENCE_MAX: usize = 32;

const ESC: u8 = 0x1b;
const BEL: u8 = 0x07;

#[derive(Debug, Default)]
pub struct Marks {
    state: State,
    sequence: Vec<u8>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    Csi,
    Osc,
    OscEscape,
}

impl Marks {
    /// Calls `found` for every mark in `bytes`, which may begin and end anywhere, with the place behind it.
    pub fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(usize, Mark)) {
        let length = bytes.len();
        while !bytes.is_empty() {
            if self.state == State::Ground {
                let Some(at) = memchr::memchr(ESC, bytes) else { return };
                self.state = State::Escape;
                bytes = &bytes[at + 1..];
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            self.step(byte, &mut |mark| found(length - bytes.len(), mark));
        }
    }

    fn step(&mut self, byte: u8, found: &mut impl FnMut(Mark)) {
        match (self.state, byte) {
            (State::Escape, b'[') => self.begin(State::Csi),
            (State::Escape, b']') => self.begin(State::Osc),
            (State::Escape, ESC) => {}
            (State::Escape, byte) => {
                self.state = State::Ground;
                escape_marks(byte).iter().copied().for_each(found);
            }
            (State::Csi, 0x40..=0x7e) => {
                self.state = State::Ground;
                csi_marks(&self.sequence, byte, found);
            }
            (State::Osc, BEL) | (State::OscEscape, b'\\') => {
                self.state = State::Ground;
                osc_mark(&self.sequence).into_iter().for_each(found);
            }
            (State::Osc, ESC) => self.state = State::OscEscape,
            (State::OscEscape, _) => {
                // Not a string terminator: an escape sequence cut the string off.
                self.begin(State::Escape);
                self.step(byte, found);
            }
            (State::Csi, ESC) => self.state = State::Escape,
            (_, _) if self.sequence.len() == SEQUENCE_MAX => self.state = State::Ground,
            (_, byte) => self.sequence.push(byte),
        }
    }

    fn begin(&mut self, state: State) {
        self.state = state;
        self.sequence.clear();
    }
}

fn escape_marks(last: u8) -> &'static [Mark] {
    match last {
        b'=' => &[Mark::Mode(KEYPAD, true)],
        b'>' => &[Mark::Mode(KEYPAD, false)],
        b'c' => &[Mark::AlternateScreen(false), Mark::Reset],
        _ => &[],
    }
}

fn csi_marks(parameters: &[u8], last: u8, found: &mut impl FnMut(Mark)) {
    let on = match (parameters, last) {
        (b"!", b'p') => return found(Mark::Reset),
        (_, b'h') => true,
        (_, b'l') => false,
        _ => return,
    };
    let Some(modes) = parameters.strip_prefix(b"?") else { return };
    for mode in modes.split(|&byte| byte == b';') {
        match std::str::from_utf8(mode).ok().and_then(|digits| digits.parse().ok()) {
            Some(2004) => found(Mark::BracketedPaste(on)),
            Some(1049 | 1047 | 47) => found(Mark::AlternateScreen(on)),
            Some(mode) => found(Mark::Mode(mode, on)),
            None => {}
        }
    }
}

fn osc_mark(text: &[u8]) -> Option<Mark> {
    let text = std::str::from_utf8(text).ok()?.strip_prefix("133;")?;
    match text.split_at_checked(1)? {
        ("B", _) => Some(Mark::Prompt),
        ("C", _) => Some(Mark::CommandStart),
        ("D", code) => Some(Mark::CommandEnd(code.trim_start_matches(';').parse().unwrap_or(0))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks(pieces: &[&[u8]]) -> Vec<Mark> {
        let mut marks = Marks::default();
        let mut found = Vec::new();
        for piece in pieces {
            marks.scan(piece, |_, mark| found.push(mark));
        }
        found
    }

    #[test]
    fn a_prompt_after_a_failed_command() {
        let output = b"\x1b[?2004l\x1b]133;C\x07ls: no\r\n\x1b]133;D;2\x07\x1b[?2004h\x1b]133;A\x07$ \x1b]133;B\x07";
        let expected = [
            Mark::BracketedPaste(false),
            Mark::CommandStart,
            Mark::CommandEnd(2),
            Mark::BracketedPaste(true),
            Mark::Prompt,
        ];
        assert_eq!(marks(&[output]), expected);
        let bytes: Vec<&[u8]> = output.chunks(1).collect();
        assert_eq!(marks(&bytes), expected, "in any pieces");
    }

    #[test]
    fn the_string_terminator_ends_a_mark_too() {
        assert_eq!(marks(&[b"\x1b]133;B\x1b\\"]), [Mark::Prompt]);
        assert_eq!(marks(&[b"\x1b]133;B\x1b[?1049h"]), [Mark::AlternateScreen(true)], "a string that was cut off");
    }

    #[test]
    fn modes_are_heard_one_by_one_with_the_place_behind_them() {
        let mut found = Vec::new();
        Marks::default().scan(b"ab\x1b[?1;1002hc\x1b=\x1b[!p\x1bc", |at, mark| found.push((at, mark)));
        let keypad = Mark::Mode(KEYPAD, true);
        let expected = [(12, Mark::Mode(1, true)), (12, Mark::Mode(1002, true)), (15, keypad), (19, Mark::Reset)];
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], [(21, Mark::AlternateScreen(false)), (21, Mark::Reset)]);
    }

    #[test]
    fn noise_says_nothing_and_takes_no_room() {
        let mut noise = b"\x1b]0;".to_vec();
        noise.extend(vec![b'x'; 100_000]);
        noise.extend(b"\x07\x1b[31mred\x1b]133;D\x07");
        assert_eq!(marks(&[&noise]), [Mark::CommandEnd(0)]);
    }
}
