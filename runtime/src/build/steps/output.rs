//! What a program says, as lines: passed on as they come up to a limit, and the last ones kept for the error.

use std::collections::VecDeque;

/// More than the most talkative builds say that anybody reads (BuildKit has the same number); what follows is counted.
const OUTPUT_MAX_BYTES: u64 = 2 * 1024 * 1024;

/// A line that is longer is passed on in pieces.
const LINE_MAX_BYTES: usize = 16 * 1024;

/// How many last lines an error shows, and how much of each.
const LAST_LINES: usize = 15;
const LAST_LINE_MAX_CHARS: usize = 300;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    Out,
    Err,
}

/// One line, without its end. Bytes that are no UTF-8 are U+FFFD.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Line<'a> {
    pub stream: Stream,
    pub text: &'a str,
}

/// The output of one step.
pub struct Output<'a> {
    said: &'a mut dyn FnMut(Line),
    /// Lines that have no end yet.
    out: Vec<u8>,
    err: Vec<u8>,
    passed_bytes: u64,
    dropped_bytes: u64,
    last: VecDeque<String>,
}

impl<'a> Output<'a> {
    pub fn new(said: &'a mut dyn FnMut(Line)) -> Self {
        Self { said, out: Vec::new(), err: Vec::new(), passed_bytes: 0, dropped_bytes: 0, last: VecDeque::new() }
    }

    pub fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let lines = bytes.split_inclusive(|byte| *byte == b'\n');
        for piece in lines.flat_map(|line| line.chunks(LINE_MAX_BYTES)) {
            let open = self.open(stream);
            open.extend_from_slice(piece);
            if piece.ends_with(b"\n") || open.len() >= LINE_MAX_BYTES {
                self.end_line(stream);
            }
        }
    }

    /// Passes on what has no end of line, says how much was dropped, and gives the last lines.
    pub fn finish(mut self) -> Vec<String> {
        for stream in [Stream::Out, Stream::Err] {
            if !self.open(stream).is_empty() {
                self.end_line(stream);
            }
        }
        if self.dropped_bytes > 0 {
            let text = format!(
                "[{} more bytes of output are not shown: the limit of a step is {OUTPUT_MAX_BYTES}]",
                self.dropped_bytes
            );
            (self.said)(Line { stream: Stream::Err, text: &text });
        }
        self.last.into()
    }

    fn open(&mut self, stream: Stream) -> &mut Vec<u8> {
        match stream {
            Stream::Out => &mut self.out,
            Stream::Err => &mut self.err,
        }
    }

    fn end_line(&mut self, stream: Stream) {
        let mut bytes = std::mem::take(self.open(stream));
        let length = bytes.len() as u64;
        while matches!(bytes.last(), Some(b'\n' | b'\r')) {
            bytes.pop();
        }
        let text = String::from_utf8_lossy(&bytes);
        if self.last.len() == LAST_LINES {
            self.last.pop_front();
        }
        // Of a line that a carriage return wrote over, the last state is what a person saw.
        let seen = text.rsplit('\r').next().unwrap_or_default();
        self.last.push_back(seen.chars().take(LAST_LINE_MAX_CHARS).collect());
        if self.passed_bytes + length > OUTPUT_MAX_BYTES {
            self.dropped_bytes += length;
            return;
        }
        self.passed_bytes += length;
        (self.said)(Line { stream, text: &text });
        bytes.clear();
        *self.open(stream) = bytes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn collect(pieces: &[(Stream, &[u8])]) -> (Vec<String>, Vec<String>) {
        let mut lines = Vec::new();
        let mut said = |line: Line| lines.push(format!("{:?} {}", line.stream, line.text));
        let mut output = Output::new(&mut said);
        pieces.iter().for_each(|(stream, bytes)| output.take(*stream, bytes));
        let last = output.finish();
        (lines, last)
    }

    #[test]
    fn lines_are_put_together_from_pieces_and_streams_do_not_mix() {
        let pieces: [(Stream, &[u8]); 4] =
            [(Stream::Out, b"a"), (Stream::Err, b"x\ny"), (Stream::Out, b"b\r\nc"), (Stream::Err, b"\xff")];
        let (lines, last) = collect(&pieces);
        assert_eq!(lines, ["Err x", "Out ab", "Out c", "Err y\u{fffd}"]);
        assert_eq!(last, ["x", "ab", "c", "y\u{fffd}"]);
    }

    #[test]
    fn a_flood_is_cut_and_said_and_its_end_is_kept() {
        let flood = b"0123456789abcde\n".repeat(OUTPUT_MAX_BYTES as usize / 16);
        let (lines, last) = collect(&[(Stream::Out, &flood), (Stream::Out, b"the reason\n")]);
        assert_eq!(
            lines.last().unwrap(),
            "Err [11 more bytes of output are not shown: the limit of a step is 2097152]"
        );
        assert_eq!(last.last().unwrap(), "the reason");
        assert_eq!(last.len(), LAST_LINES);
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces() {
        let (lines, _) = collect(&[(Stream::Out, &b"x".repeat(3 * LINE_MAX_BYTES))]);
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX_BYTES + 4) && lines.len() == 3);
    }
}
