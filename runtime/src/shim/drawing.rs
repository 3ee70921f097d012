//! What of a terminal's drawing the emulator behind [`super::picture`] does not carry over: letters that stand for
//! lines (`ESC ( 0`, as every box of an ncurses program), and the part of the screen that scrolls (`CSI 3;20 r`).
//!
//! Lines become the letters of Unicode that look the same before the emulator sees them. Of both, what holds at the
//! end is said behind the picture, so that what follows is drawn as the program means it.

use std::borrow::Cow;

const ESC: u8 = 0x1b;
const SHIFT_OUT: u8 = 0x0e;
const SHIFT_IN: u8 = 0x0f;
const BEL: u8 = 0x07;
const CAN: u8 = 0x18;
const SUB: u8 = 0x1a;

/// The first letter of the set, and what stands for it and each that follows, up to `~`.
const LINES_FROM: u8 = b'`';
const LINES: [&str; 31] = [
    "◆", "▒", "␉", "␌", "␍", "␊", "°", "±", "␤", "␋", "┘", "┐", "┌", "└", "┼", "⎺", "⎻", "─", "⎼", "⎽", "├", "┤", "┴",
    "┬", "│", "≤", "≥", "π", "≠", "£", "·",
];

/// Parameters of the sequences that are looked at: two numbers, or a few modes.
const PARAMETERS_MAX: usize = 24;

#[derive(Debug, Default)]
pub struct Drawing {
    state: State,
    parameters: Vec<u8>,
    /// Whether G0 and G1 are line drawing, and whether G1 is in use.
    lines: [bool; 2],
    shifted: bool,
    /// First and last row that scroll, of the shell's screen and of a program's own; `None`: all of it.
    regions: [Option<(u16, u16)>; 2],
    alternate: bool,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum State {
    #[default]
    Ground,
    Escape,
    /// Behind `ESC (` or `ESC )`.
    Designates(usize),
    /// Behind another intermediate byte.
    Skips,
    Csi,
    /// A title, a link or the like, up to its end.
    Text,
}

impl Drawing {
    /// `bytes` with letters in place of lines. They may begin and end anywhere.
    pub fn pass<'a>(&mut self, bytes: &'a [u8]) -> Cow<'a, [u8]> {
        let plain = self.state == State::Ground && !self.draws_lines();
        if plain && memchr::memchr3(ESC, SHIFT_OUT, SHIFT_IN, bytes).is_none() {
            return Cow::Borrowed(bytes);
        }
        let mut out = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            match self.line(byte) {
                Some(line) => out.extend_from_slice(line.as_bytes()),
                None => out.push(byte),
            }
            self.step(byte);
        }
        Cow::Owned(out)
    }

    /// The region of the shell's screen, or of a program's own, as a terminal is told it.
    pub fn region(&self, alternate: bool) -> String {
        self.regions[usize::from(alternate)].map_or(String::new(), |(top, bottom)| format!("\x1b[{top};{bottom}r"))
    }

    /// Which letters stand for lines now.
    pub fn sets(&self) -> String {
        let designated = self.lines.iter().zip(['(', ')']).filter(|(lines, _)| **lines);
        let mut text: String = designated.map(|(_, set)| format!("\x1b{set}0")).collect();
        if self.shifted {
            text.push(char::from(SHIFT_OUT));
        }
        text
    }

    fn draws_lines(&self) -> bool {
        self.lines[usize::from(self.shifted)]
    }

    fn line(&self, byte: u8) -> Option<&'static str> {
        let drawn = self.state == State::Ground && self.draws_lines();
        LINES.get(usize::from(byte.checked_sub(LINES_FROM)?)).filter(|_| drawn).copied()
    }

    fn step(&mut self, byte: u8) {
        self.state = match (self.state, byte) {
            (_, CAN | SUB) => State::Ground,
            (_, ESC) => State::Escape,
            (State::Ground, SHIFT_OUT | SHIFT_IN) => {
                self.shifted = byte == SHIFT_OUT;
                State::Ground
            }
            (State::Ground, _) => State::Ground,
            (State::Escape, b'[') => {
                self.parameters.clear();
                State::Csi
            }
            (State::Escape, b']' | b'P' | b'X' | b'^' | b'_') => State::Text,
            (State::Escape, b'(') => State::Designates(0),
            (State::Escape, b')') => State::Designates(1),
            (State::Escape, 0x20..=0x2f) => State::Skips,
            (State::Escape, b'c') => {
                *self = Self::default();
                State::Ground
            }
            (State::Designates(set), _) => {
                self.lines[set] = byte == b'0';
                State::Ground
            }
            (State::Escape | State::Skips, _) => State::Ground,
            (State::Csi, 0x40..=0x7e) => {
                self.control(byte);
                State::Ground
            }
            (State::Csi, _) => {
                if self.parameters.len() < PARAMETERS_MAX {
                    self.parameters.push(byte);
                }
                State::Csi
            }
            (State::Text, BEL) => State::Ground,
            (State::Text, _) => State::Text,
        };
    }

    fn control(&mut self, last: u8) {
        let parameters = std::str::from_utf8(&self.parameters).unwrap_or_default();
        match (parameters, last) {
            ("?1049" | "?1047" | "?47", b'h' | b'l') => {
                self.alternate = last == b'h';
                self.regions[1] = None;
            }
            ("!", b'p') => {
                (self.lines, self.shifted) = ([false; 2], false);
                self.regions[usize::from(self.alternate)] = None;
            }
            (rows, b'r') => {
                let (top, bottom) = rows.split_once(';').unwrap_or((rows, ""));
                let number = |text: &str, default| if text.is_empty() { Ok(default) } else { text.parse() };
                // Those of another kind (`CSI ? … r`) have no numbers here.
                let (Ok(top), Ok(bottom)) = (number(top, 1), number(bottom, u16::MAX)) else { return };
                let whole = top <= 1 && bottom == u16::MAX;
                self.regions[usize::from(self.alternate)] = (top < bottom && !whole).then_some((top, bottom));
            }
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passed(drawing: &mut Drawing, bytes: &[u8]) -> String {
        String::from_utf8(drawing.pass(bytes).into_owned()).expect("text")
    }

    #[test]
    fn a_box_of_line_drawing_is_a_box_of_unicode() {
        let mut drawing = Drawing::default();
        assert_eq!(passed(&mut drawing, b"x\x1b(0lqk\x1b[31mx\x1b(Bx"), "x\x1b(0┌─┐\x1b[31m│\x1b(Bx");
        assert_eq!(passed(&mut drawing, b"\x1b)0q\x0eq\x0fq"), "\x1b)0q\x0e─\x0fq");
        assert_eq!(drawing.sets(), "\x1b)0");
    }

    #[test]
    fn in_any_pieces_it_is_the_same_and_titles_are_left_alone() {
        let bytes = "\x1b(0lq\x1b]0;lqk\x07q\x1bPlq\x1b\\q\x1b(Bé\x1b[2;9rq".as_bytes();
        let mut whole = Drawing::default();
        let mut pieces = Drawing::default();
        let one_by_one: Vec<u8> = bytes.chunks(1).flat_map(|byte| pieces.pass(byte).into_owned()).collect();
        assert_eq!(whole.pass(bytes).into_owned(), one_by_one);
        assert_eq!(
            String::from_utf8(one_by_one).expect("text"),
            "\x1b(0┌─\x1b]0;lqk\x07─\x1bPlq\x1b\\─\x1b(Bé\x1b[2;9rq"
        );
        assert_eq!((whole.region(false), pieces.region(false)), ("\x1b[2;9r".into(), "\x1b[2;9r".into()));
    }

    #[test]
    fn each_screen_has_a_region_and_a_reset_takes_it_away() {
        let mut drawing = Drawing::default();
        drawing.pass(b"\x1b[1;23r\x1b[?1049h\x1b[3;20r\x1b[?1;2r");
        assert_eq!((drawing.region(false), drawing.region(true)), ("\x1b[1;23r".into(), "\x1b[3;20r".into()));
        drawing.pass(b"\x1b[r");
        assert_eq!((drawing.region(false), drawing.region(true)), ("\x1b[1;23r".into(), String::new()));
        drawing.pass(b"\x1b[5;4r\x1b[?1049l\x1b[!p");
        assert_eq!((drawing.region(false), drawing.region(true)), Default::default());
    }

    #[test]
    fn plain_text_is_not_copied() {
        assert!(matches!(Drawing::default().pass("héllo\r\n".as_bytes()), Cow::Borrowed(_)));
    }
}
