//! Files with holes: where in the file the pieces belong that an archive holds one after another.
//!
//! GNU tar writes them in four ways (its manual, "Storing Sparse Files"): the old header of kind `S` with blocks of more
//! pieces behind it, and three generations of extended headers (0.0, 0.1, 1.0). All of them end in one [`Map`].

use std::io::{self, Read};

use super::BLOCK_BYTES;

/// Pieces of one file. GNU tar makes one for each run of blocks; a disk image of a virtual machine has some thousands.
const PIECES_MAX: usize = 65_536;

/// Bytes of a file that an archive holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    pub offset: u64,
    pub length: u64,
}

/// All pieces of a file, in order, and the size that it has with its holes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    pub pieces: Vec<Piece>,
    pub size: u64,
}

#[derive(Debug, thiserror::Error)]
pub enum SparseError {
    #[error("it has more than {PIECES_MAX} pieces between holes; write it without --sparse")]
    Pieces,
    #[error("its pieces overlap, or reach beyond its size")]
    Order,
    #[error("its pieces are not as many bytes as it has in the archive")]
    Stored,
    #[error("the list of its pieces does not read")]
    List,
    #[error("the archive ends within the list of its pieces")]
    Read(#[from] io::Error),
}

impl Map {
    /// `stored` is how many bytes the archive holds of it.
    pub fn new(pieces: Vec<Piece>, size: u64, stored: u64) -> Result<Self, SparseError> {
        let mut end = 0;
        let mut sum = 0_u64;
        for piece in &pieces {
            let next = piece.offset.checked_add(piece.length).ok_or(SparseError::Order)?;
            if piece.offset < end || next > size {
                return Err(SparseError::Order);
            }
            end = next;
            sum += piece.length;
        }
        if sum != stored {
            return Err(SparseError::Stored);
        }
        Ok(Self { pieces, size })
    }
}

/// What extended headers said of a file's holes so far.
#[derive(Debug, Default)]
pub struct Records {
    major: Option<u64>,
    size: Option<u64>,
    pieces: Vec<Piece>,
    /// The offset of a piece whose length has yet to come (0.0).
    offset: Option<u64>,
}

impl Records {
    /// Takes in a record of a key that begins with `GNU.sparse.`, but for the name.
    pub fn absorb(&mut self, key: &str, value: &[u8]) -> Result<(), SparseError> {
        match key {
            "major" => self.major = Some(number(value)?),
            "size" | "realsize" => self.size = Some(number(value)?),
            "offset" => self.offset = Some(number(value)?),
            "numbytes" => {
                let offset = self.offset.take().ok_or(SparseError::List)?;
                push(&mut self.pieces, Piece { offset, length: number(value)? })?;
            }
            "map" => self.pieces = list(value)?,
            // "minor" and "numblocks" say what is known without them.
            _ => {}
        }
        Ok(())
    }

    /// The map, if these records are of a file with holes; version 1.0 has it at the beginning of the file's bytes in the
    /// archive, and `stored` becomes how many are left.
    pub fn map(self, archive: &mut dyn Read, stored: &mut u64) -> Result<Option<Map>, SparseError> {
        let Some(size) = self.size else { return Ok(None) };
        let pieces = if self.major == Some(1) { written_before(archive, stored)? } else { self.pieces };
        Map::new(pieces, size, *stored).map(Some)
    }
}

/// The old form: four pieces in the header, and 21 in every block behind it while its last flag says so.
pub fn of_old_header(header: &tar::Header, archive: &mut dyn Read, stored: u64) -> Result<Map, SparseError> {
    let header = header.as_gnu().ok_or(SparseError::List)?;
    let mut pieces = Vec::new();
    old_pieces(&header.sparse, &mut pieces)?;
    let mut more = header.is_extended();
    while more {
        let mut block = tar::GnuExtSparseHeader::new();
        archive.read_exact(block.as_mut_bytes())?;
        old_pieces(block.sparse(), &mut pieces)?;
        more = block.is_extended();
    }
    Map::new(pieces, header.real_size().map_err(|_| SparseError::List)?, stored)
}

fn old_pieces(headers: &[tar::GnuSparseHeader], pieces: &mut Vec<Piece>) -> Result<(), SparseError> {
    for header in headers.iter().filter(|header| !header.is_empty()) {
        let read = |field: io::Result<u64>| field.map_err(|_| SparseError::List);
        push(pieces, Piece { offset: read(header.offset())?, length: read(header.length())? })?;
    }
    // A block without a piece would let one header have any number of blocks behind it.
    if headers.len() > 4 && headers[0].is_empty() {
        return Err(SparseError::List);
    }
    Ok(())
}

/// Version 1.0: decimal numbers on lines, filled up to a block: how many, then offset and length of each.
fn written_before(archive: &mut dyn Read, stored: &mut u64) -> Result<Vec<Piece>, SparseError> {
    let mut lines = Lines { archive, stored, block: [0; BLOCK_BYTES], at: BLOCK_BYTES };
    let count = lines.number()?;
    if count > PIECES_MAX as u64 {
        return Err(SparseError::Pieces);
    }
    let mut pieces = Vec::new();
    for _ in 0..count {
        push(&mut pieces, Piece { offset: lines.number()?, length: lines.number()? })?;
    }
    Ok(pieces)
}

struct Lines<'a> {
    archive: &'a mut dyn Read,
    stored: &'a mut u64,
    block: [u8; BLOCK_BYTES],
    at: usize,
}

impl Lines<'_> {
    fn number(&mut self) -> Result<u64, SparseError> {
        let mut value: u64 = 0;
        loop {
            match self.byte()? {
                b'\n' => return Ok(value),
                digit @ b'0'..=b'9' => {
                    let next = value.checked_mul(10).and_then(|value| value.checked_add(u64::from(digit - b'0')));
                    value = next.ok_or(SparseError::List)?;
                }
                _ => return Err(SparseError::List),
            }
        }
    }

    fn byte(&mut self) -> Result<u8, SparseError> {
        if self.at == BLOCK_BYTES {
            *self.stored = self.stored.checked_sub(BLOCK_BYTES as u64).ok_or(SparseError::List)?;
            self.archive.read_exact(&mut self.block)?;
            self.at = 0;
        }
        self.at += 1;
        Ok(self.block[self.at - 1])
    }
}

/// Version 0.1: `offset,length,offset,length`.
fn list(value: &[u8]) -> Result<Vec<Piece>, SparseError> {
    let mut pieces = Vec::new();
    let mut numbers = value.split(|byte| *byte == b',');
    while let Some(offset) = numbers.next() {
        let length = numbers.next().ok_or(SparseError::List)?;
        push(&mut pieces, Piece { offset: number(offset)?, length: number(length)? })?;
    }
    Ok(pieces)
}

fn push(pieces: &mut Vec<Piece>, piece: Piece) -> Result<(), SparseError> {
    if pieces.len() == PIECES_MAX {
        return Err(SparseError::Pieces);
    }
    pieces.push(piece);
    Ok(())
}

fn number(value: &[u8]) -> Result<u64, SparseError> {
    std::str::from_utf8(value).ok().and_then(|text| text.parse().ok()).ok_or(SparseError::List)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(offset: u64, length: u64) -> Piece {
        Piece { offset, length }
    }

    fn map(records: &[(&str, &str)], mut archive: &[u8], mut stored: u64) -> Result<Option<Map>, SparseError> {
        let mut all = Records::default();
        for (key, value) in records {
            all.absorb(key, value.as_bytes())?;
        }
        all.map(&mut archive, &mut stored)
    }

    #[test]
    fn the_three_extended_forms_say_the_same() {
        let expected = Map { pieces: vec![piece(0, 3), piece(4096, 5)], size: 10_000 };
        let first = [("size", "10000"), ("offset", "0"), ("numbytes", "3"), ("offset", "4096"), ("numbytes", "5")];
        assert_eq!(map(&first, b"", 8).unwrap().unwrap(), expected);
        assert_eq!(map(&[("size", "10000"), ("map", "0,3,4096,5")], b"", 8).unwrap().unwrap(), expected);
        let mut block = b"2\n0\n3\n4096\n5\n".to_vec();
        block.resize(BLOCK_BYTES, 0);
        let third = [("major", "1"), ("minor", "0"), ("realsize", "10000")];
        assert_eq!(map(&third, &block, 520).unwrap().unwrap(), expected);
        assert_eq!(map(&[], b"", 8).unwrap(), None);
    }

    #[test]
    fn lists_that_lie_are_refused() {
        let refused = |list: &str, stored| map(&[("size", "100"), ("map", list)], b"", stored).unwrap_err();
        assert!(matches!(refused("0,50,40,10", 60), SparseError::Order));
        assert!(matches!(refused("90,20", 20), SparseError::Order));
        assert!(matches!(refused("18446744073709551615,2", 2), SparseError::Order));
        assert!(matches!(refused("0,10", 20), SparseError::Stored));
        assert!(matches!(refused("0", 0), SparseError::List));
        assert!(matches!(refused("-1,0", 0), SparseError::List));
        let first = map(&[("major", "1"), ("realsize", "1")], b"9999999\n", 512).unwrap_err();
        assert!(matches!(first, SparseError::Read(_)));
        let mut block = b"9999999\n".to_vec();
        block.resize(BLOCK_BYTES, b'0');
        assert!(matches!(map(&[("major", "1"), ("realsize", "1")], &block, 512).unwrap_err(), SparseError::Pieces));
    }
}
