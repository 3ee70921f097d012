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
}

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
    /// Calls `found` for every mark in `bytes`, which may begin and end anywhere.
    pub fn scan(&mut self, mut bytes: &[u8], mut found: impl FnMut(Mark)) {
        while !bytes.is_empty() {
            if self.state == State::Ground {
                let Some(at) = memchr::memchr(ESC, bytes) else { return };
                self.state = State::Escape;
                bytes = &bytes[at + 1..];
                continue;
            }
            let byte = bytes[0];
            bytes = &bytes[1..];
            if let Some(mark) = self.step(byte) {
                found(mark);
            }
        }
    }

    fn step(&mut self, byte: u8) -> Option<Mark> {
        match (self.state, byte) {
            (State::Escape, b'[') => self.begin(State::Csi),
            (State::Escape, b']') => self.begin(State::Osc),
            (State::Escape, ESC) => None,
            (State::Escape, _) => self.end(None),
            (State::Csi, 0x40..=0x7e) => {
                let mark = csi_mark(&self.sequence, byte);
                self.end(mark)
            }
            (State::Osc, BEL) => {
                let mark = osc_mark(&self.sequence);
                self.end(mark)
            }
            (State::Osc, ESC) => {
                self.state = State::OscEscape;
                None
            }
            (State::OscEscape, b'\\') => {
                let mark = osc_mark(&self.sequence);
                self.end(mark)
            }
            (State::OscEscape, _) => {
                // Not a string terminator: an escape sequence cut the string off.
                self.state = State::Escape;
                self.sequence.clear();
                self.step(byte)
            }
            (State::Csi, ESC) => {
                self.state = State::Escape;
                None
            }
            (_, _) if self.sequence.len() == SEQUENCE_MAX => self.end(None),
            (_, byte) => {
                self.sequence.push(byte);
                None
            }
        }
    }

    fn begin(&mut self, state: State) -> Option<Mark> {
        self.state = state;
        self.sequence.clear();
        None
    }

    fn end(&mut self, mark: Option<Mark>) -> Option<Mark> {
        self.state = State::Ground;
        mark
    }
}

fn csi_mark(parameters: &[u8], last: u8) -> Option<Mark> {
    let on = match last {
        b'h' => true,
        b'l' => false,
        _ => return None,
    };
    match parameters.strip_prefix(b"?")? {
        b"2004" => Some(Mark::BracketedPaste(on)),
        b"1049" | b"1047" | b"47" => Some(Mark::AlternateScreen(on)),
        _ => None,
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
            marks.scan(piece, |mark| found.push(mark));
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
    fn noise_says_nothing_and_takes_no_room() {
        let mut noise = b"\x1b]0;".to_vec();
        noise.extend(vec![b'x'; 100_000]);
        noise.extend(b"\x07\x1b[31mred\x1b]133;D\x07");
        assert_eq!(marks(&[&noise]), [Mark::CommandEnd(0)]);
    }
}
