//! A text that was put together from several lines and still knows where each character stood.

use crate::build::source::{Position, Span, Word};

/// A piece of a line that is not ASCII is mapped in parts of this size, so that finding a column never means counting
/// the characters of a whole long line.
const PIECE_MAX_BYTES: usize = 256;

/// Bytes from `offset` on, up to the next piece, stand from `at` on in one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Piece {
    offset: usize,
    at: Position,
    is_ascii: bool,
}

/// Several lines joined into one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Text {
    text: String,
    pieces: Vec<Piece>,
}

impl Text {
    /// Appends a part of one line that begins at `at`.
    pub fn push(&mut self, mut part: &str, mut at: Position) {
        let is_ascii = part.is_ascii();
        loop {
            self.pieces.push(Piece { offset: self.text.len(), at, is_ascii });
            if is_ascii || part.len() <= PIECE_MAX_BYTES {
                self.text.push_str(part);
                return;
            }
            let (now, later) = part.split_at(part.floor_char_boundary(PIECE_MAX_BYTES));
            self.text.push_str(now);
            at.column += now.chars().count() as u32;
            part = later;
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where the character at `offset` stands; at the end, the place behind the last one.
    pub fn position(&self, offset: usize) -> Position {
        // Where two pieces meet in a place without a character (an empty line's), the later one counts.
        let index = self.pieces.partition_point(|piece| piece.offset <= offset);
        let Some(piece) = self.pieces.get(index.wrapping_sub(1)) else { return Position::default() };
        let before = match piece.is_ascii {
            true => offset - piece.offset,
            false => self.text[piece.offset..offset].chars().count(),
        };
        Position { line: piece.at.line, column: piece.at.column + before as u32 }
    }

    pub fn span(&self, from: usize, to: usize) -> Span {
        // Its end is behind its last character, which may stand on the line before the next one's.
        let end = match self.text[from..to].chars().next_back() {
            Some(last) => {
                let last = self.position(to - last.len_utf8());
                Position { column: last.column + 1, ..last }
            }
            None => self.position(from),
        };
        Span { start: self.position(from), end }
    }

    pub fn whole(&self) -> Span {
        self.span(0, self.text.len())
    }

    pub fn word(&self, from: usize, to: usize) -> Word {
        Word::new(&self.text[from..to], self.span(from, to))
    }

    /// The part between two offsets, with its places.
    pub fn slice(&self, from: usize, to: usize) -> Text {
        let first = self.pieces.partition_point(|piece| piece.offset <= from).saturating_sub(1);
        let inside =
            self.pieces[first.min(self.pieces.len())..].iter().take_while(|piece| piece.offset < to.max(from + 1));
        let moved = |piece: &Piece| match piece.offset <= from {
            true => Piece { offset: 0, at: self.position(from), ..*piece },
            false => Piece { offset: piece.offset - from, ..*piece },
        };
        Text { text: self.text[from..to].to_owned(), pieces: inside.map(moved).collect() }
    }

    /// Without blanks at both ends.
    pub fn trimmed(&self) -> Text {
        let start = self.text.len() - self.text.trim_start().len();
        self.slice(start, self.text.trim_end().len().max(start))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(line: u32, column: u32) -> Position {
        Position { line, column }
    }

    #[test]
    fn every_character_keeps_its_place() {
        let mut text = Text::default();
        text.push("RUN a ", at(3, 1));
        text.push("  ü && b", at(5, 1));
        assert_eq!(text.as_str(), "RUN a   ü && b");
        assert_eq!(text.position(4), at(3, 5));
        assert_eq!(text.position(8), at(5, 3));
        assert_eq!(text.position(text.as_str().find('&').unwrap()), at(5, 5));
        assert_eq!(text.position(text.as_str().len()), at(5, 9));
        assert_eq!(text.span(0, 6), Span { start: at(3, 1), end: at(3, 7) });
    }

    #[test]
    fn a_slice_keeps_places_too() {
        let mut text = Text::default();
        text.push("ENV a=b ", at(1, 1));
        text.push("    c=d  ", at(2, 1));
        let rest = text.slice(3, text.as_str().len()).trimmed();
        assert_eq!(rest.as_str(), "a=b     c=d");
        assert_eq!(rest.whole(), Span { start: at(1, 5), end: at(2, 8) });
        assert_eq!(text.slice(17, 17).whole().start, at(2, 10));
    }

    #[test]
    fn a_long_line_of_other_letters_is_mapped_in_parts() {
        let mut text = Text::default();
        text.push(&"ü".repeat(1000), at(1, 1));
        assert_eq!(text.position(2 * 999), at(1, 1000));
        assert_eq!(text.slice(2 * 500, 2 * 900).position(2 * 100), at(1, 601));
    }
}
