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
    /// The limit was met: nothing more is passed on.
    is_full: bool,
    last: VecDeque<String>,
}

impl<'a> Output<'a> {
    pub fn new(said: &'a mut dyn FnMut(Line)) -> Self {
        Self {
            said,
            out: Vec::new(),
            err: Vec::new(),
            passed_bytes: 0,
            dropped_bytes: 0,
            is_full: false,
            last: VecDeque::new(),
        }
    }

    pub fn take(&mut self, stream: Stream, bytes: &[u8]) {
        let mut rest = bytes;
        while !self.is_full && !rest.is_empty() {
            let (piece, behind) = rest.split_at(piece_length(rest));
            self.add(stream, piece);
            rest = behind;
        }
        // Past the limit a block costs the search for its last lines: none before them can be among the last of all.
        let (before, mut rest) = rest.split_at(tail(rest));
        if !before.is_empty() {
            self.dropped_bytes += (self.open(stream).len() + before.len()) as u64;
            self.open(stream).clear();
        }
        while !rest.is_empty() {
            let (piece, behind) = rest.split_at(piece_length(rest));
            self.add(stream, piece);
            rest = behind;
        }
    }

    fn add(&mut self, stream: Stream, piece: &[u8]) {
        let open = self.open(stream);
        open.extend_from_slice(piece);
        if piece.ends_with(b"\n") || open.len() >= LINE_MAX_BYTES {
            self.end_line(stream);
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
        self.is_full |= self.passed_bytes + length > OUTPUT_MAX_BYTES;
        if self.is_full {
            self.dropped_bytes += length;
        } else {
            self.passed_bytes += length;
            (self.said)(Line { stream, text: &text });
        }
        bytes.clear();
        *self.open(stream) = bytes;
    }
}

/// Up to the end of the first line, or as much of it as is passed on at once.
fn piece_length(bytes: &[u8]) -> usize {
    let most = &bytes[..bytes.len().min(LINE_MAX_BYTES)];
    memchr::memchr(b'\n', most).map_or(most.len(), |at| at + 1)
}

/// Where the last lines begin that an error may show, with what has no end yet behind them.
fn tail(bytes: &[u8]) -> usize {
    memchr::memrchr_iter(b'\n', bytes).nth(LAST_LINES).map_or(0, |at| at + 1)
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
    fn past_the_limit_only_the_last_lines_of_a_block_are_looked_at_and_every_byte_is_counted() {
        let flood = b"0123456789abcde\n".repeat(OUTPUT_MAX_BYTES as usize / 16);
        let mut block = b" of before\n".to_vec();
        (0..1000).for_each(|number| block.extend_from_slice(format!("{number}\n").as_bytes()));
        block.extend_from_slice(b"the ");
        let (lines, last) = collect(&[
            (Stream::Out, &flood),
            (Stream::Out, b"a line"),
            (Stream::Out, &block),
            (Stream::Err, b"beside\n"),
            (Stream::Out, b"end"),
        ]);
        let dropped = b"a line".len() + block.len() + b"beside\nend".len();
        assert!(lines.last().unwrap().starts_with(&format!("Err [{dropped} more bytes")), "{:?}", lines.last());
        let numbers: Vec<String> = (987..1000).map(|number| number.to_string()).collect();
        assert_eq!(last, [&numbers[..], &["beside".into(), "the end".into()]].concat());
    }

    #[test]
    fn past_the_limit_short_lines_cost_what_a_long_one_costs() {
        const BLOCK_BYTES: usize = 64 * 1024;
        let time = |block: &[u8]| {
            let mut said = |_: Line| ();
            let mut output = Output::new(&mut said);
            (0..=OUTPUT_MAX_BYTES as usize / BLOCK_BYTES).for_each(|_| output.take(Stream::Out, block));
            let begin = std::time::Instant::now();
            (0..200).for_each(|_| output.take(Stream::Out, block));
            let needed = begin.elapsed();
            assert!(output.finish().len() == LAST_LINES);
            needed
        };
        let (short, long) = (b"x\n".repeat(BLOCK_BYTES / 2), b"x".repeat(BLOCK_BYTES));
        // One by one, they cost a thousand times as much.
        let ratio = (0..3).map(|_| time(&short).as_secs_f64() / time(&long).as_secs_f64()).fold(f64::MAX, f64::min);
        assert!(ratio < 10.0, "{ratio}");
    }

    #[test]
    fn a_line_without_end_is_passed_on_in_pieces() {
        let (lines, _) = collect(&[(Stream::Out, &b"x".repeat(3 * LINE_MAX_BYTES))]);
        assert!(lines.iter().all(|line| line.len() <= LINE_MAX_BYTES + 4) && lines.len() == 3);
    }
}
