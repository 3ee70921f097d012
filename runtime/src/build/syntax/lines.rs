//! Lines as they are in the file, and what they join to.

use crate::build::source::{Position, Problem, Span};
use crate::build::warning::{Check, Warning};

use super::directives::{Directives, Reader};
use super::text::Text;

/// The longest line; Docker has the same limit, so no Dockerfile that builds there is refused here.
pub const LINE_MAX_BYTES: usize = 64 * 1024 - 1;

/// One line without its end.
#[derive(Debug, Clone, Copy)]
pub struct Line<'a> {
    /// From 1.
    pub number: u32,
    pub text: &'a str,
    /// With its end, for the bodies of heredocs.
    pub raw: &'a str,
}

impl Line<'_> {
    fn is_comment(&self) -> bool {
        self.text.trim_start().starts_with('#')
    }

    pub fn whole(&self) -> Span {
        let at = |column| Position { line: self.number, column };
        Span { start: at(1), end: at(1 + self.text.chars().count() as u32) }
    }
}

/// Takes a file apart, line by line.
pub struct Lines<'a> {
    rest: &'a [u8],
    number: u32,
    directives: Reader,
}

impl<'a> Lines<'a> {
    pub fn new(bytes: &'a [u8]) -> Self {
        let rest = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        Self { rest, number: 0, directives: Reader::default() }
    }

    pub fn directives(&self) -> &Directives {
        self.directives.found()
    }

    /// The next instruction, if there is one. Comments and empty lines before and within it are left out.
    pub fn next_joined(&mut self, warnings: &mut Vec<Warning>) -> Result<Option<Text>, Problem> {
        while let Some(line) = self.next_line()? {
            if self.directives.read(&line)? || line.is_comment() || line.text.trim().is_empty() {
                continue;
            }
            let mut joined = Text::default();
            let indent = line.text.len() - line.text.trim_start().len();
            if self.append(&mut joined, &line, indent) {
                self.continue_line(&mut joined, warnings)?;
            }
            return Ok(Some(joined));
        }
        Ok(None)
    }

    /// Appends lines until one does not end with the escape character.
    fn continue_line(&mut self, text: &mut Text, warnings: &mut Vec<Warning>) -> Result<(), Problem> {
        let mut empty = None;
        while let Some(line) = self.next_line()? {
            if line.is_comment() {
                continue;
            }
            if line.text.trim().is_empty() {
                empty = empty.or(Some(line.whole()));
                continue;
            }
            if !self.append(text, &line, 0) {
                break;
            }
        }
        warnings.extend(empty.map(|at| {
            Warning::new(Check::NoEmptyContinuation, at, "an empty line stands within an instruction; take it out")
        }));
        Ok(())
    }

    /// Appends a line from `from` on, and says whether the next line belongs to it.
    fn append(&self, text: &mut Text, line: &Line<'_>, from: usize) -> bool {
        let (kept, goes_on) = match continued(line.text, self.directives().escape()) {
            Some(kept) => (kept, true),
            None => (line.text, false),
        };
        let column = 1 + line.text[..from].chars().count() as u32;
        text.push(&kept[from.min(kept.len())..], Position { line: line.number, column });
        goes_on
    }

    /// The next line of the file, whatever it is.
    pub fn next_line(&mut self) -> Result<Option<Line<'a>>, Problem> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.number += 1;
        let length = memchr::memchr(b'\n', self.rest).map_or(self.rest.len(), |at| at + 1);
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        self.decode(bytes).map(Some)
    }

    fn decode(&self, bytes: &'a [u8]) -> Result<Line<'a>, Problem> {
        let start = Position { line: self.number, column: 1 };
        let refuse = |column: u32, message: String| {
            let at = Position { column, ..start };
            Problem::new(Span { start: at, end: Position { column: column + 1, ..at } }, message)
        };
        if bytes.len() > LINE_MAX_BYTES {
            let message = format!("a line of {} bytes is too long: at most {LINE_MAX_BYTES}", bytes.len());
            return Err(refuse(1, message).advise("break it with the escape character"));
        }
        let raw = match std::str::from_utf8(bytes) {
            Ok(raw) => raw,
            // What is in a comment does not matter, and old ones are often Latin-1.
            Err(_) if bytes.trim_ascii_start().starts_with(b"#") => "#",
            Err(error) => {
                let before = String::from_utf8_lossy(&bytes[..error.valid_up_to()]).chars().count() as u32;
                let byte = bytes[error.valid_up_to()];
                let message = format!("byte {byte:#04x} is not UTF-8");
                return Err(refuse(before + 1, message).advise("save the file as UTF-8"));
            }
        };
        if let Some(before) = raw.find('\0').filter(|_| !raw.trim_start().starts_with('#')) {
            let column = 1 + raw[..before].chars().count() as u32;
            return Err(refuse(column, "a zero byte can be in no argument, variable or path".to_owned()));
        }
        Ok(Line { number: self.number, text: raw.trim_end_matches(['\r', '\n']), raw })
    }
}

/// A line without the escape character that ends it; none if there is none.
///
/// Blanks may follow it, and a second one directly before it takes its meaning away.
fn continued(line: &str, escape: char) -> Option<&str> {
    let kept = line.trim_end_matches([' ', '\t']).strip_suffix(escape)?;
    (!kept.ends_with(escape)).then_some(kept)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(text: &str) -> Vec<String> {
        let mut lines = Lines::new(text.as_bytes());
        let mut all = Vec::new();
        while let Some(joined) = lines.next_joined(&mut Vec::new()).unwrap() {
            all.push(joined.as_str().to_owned());
        }
        all
    }

    #[test]
    fn lines_join_and_comments_within_them_vanish() {
        assert_eq!(joined("RUN a \\\n# no\n   # nor this\n  b\nRUN c"), ["RUN a   b", "RUN c"]);
        assert_eq!(joined("\u{feff}FROM a\r\nRUN b \\  \r\n c\r\n"), ["FROM a", "RUN b  c"]);
        assert_eq!(joined("RUN a \\\n\n\n b"), ["RUN a  b"]);
        assert_eq!(joined("RUN a \\"), ["RUN a "]);
        assert_eq!(joined("RUN a\\\\\nRUN b"), ["RUN a\\\\", "RUN b"]);
        assert_eq!(joined("# escape=`\nRUN a `\n b\\\nRUN c"), ["RUN a  b\\", "RUN c"]);
        assert_eq!(joined("   RUN a\n\t# no\n\n"), ["RUN a"]);
    }

    #[test]
    fn an_empty_line_within_an_instruction_is_told() {
        let mut warnings = Vec::new();
        Lines::new(b"RUN a \\\n\n\n b").next_joined(&mut warnings).unwrap();
        assert_eq!(warnings.len(), 1);
        assert_eq!((warnings[0].check, warnings[0].at.start.line), (Check::NoEmptyContinuation, 2));
    }

    #[test]
    fn a_comment_may_be_in_any_encoding_and_an_instruction_may_not() {
        assert!(Lines::new(b"# caf\xe9\nRUN a").next_joined(&mut Vec::new()).is_ok());
        let problem = Lines::new(b"RUN caf\xe9").next_joined(&mut Vec::new()).unwrap_err();
        assert_eq!(problem.to_string(), "line 1, column 8: byte 0xe9 is not UTF-8; save the file as UTF-8");
        let problem = Lines::new(b"RUN a\0").next_joined(&mut Vec::new()).unwrap_err();
        assert_eq!(problem.at.start.column, 6);
    }

    #[test]
    fn a_line_has_a_greatest_length() {
        let longest = format!("RUN {}", "x".repeat(LINE_MAX_BYTES - 4));
        assert!(Lines::new(longest.as_bytes()).next_joined(&mut Vec::new()).is_ok());
        let problem = Lines::new(format!("{longest}x").as_bytes()).next_joined(&mut Vec::new()).unwrap_err();
        assert!(problem.message.contains("too long"), "{problem}");
    }
}
