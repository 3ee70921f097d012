//! The scrollback: the last bytes of a terminal's output, numbered from 0.

use std::collections::VecDeque;

/// Bytes kept of each terminal: some 10,000 lines, and more than a screen of any size.
pub const RING_MAX: usize = 1024 * 1024;

/// Grows by this much at a time, so that an idle terminal costs what it printed.
const GROWTH: usize = 16 * 1024;

#[derive(Debug, Default)]
pub struct Ring {
    bytes: VecDeque<u8>,
    end: u64,
}

impl Ring {
    /// Offset of the oldest byte that is kept.
    pub fn start(&self) -> u64 {
        self.end - self.bytes.len() as u64
    }

    /// Offset of the next byte to come.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Where it begins once `coming` more bytes are in it.
    pub fn start_after(&self, coming: usize) -> u64 {
        self.start().max((self.end + coming as u64).saturating_sub(RING_MAX as u64))
    }

    pub fn push(&mut self, bytes: &[u8]) {
        self.end += bytes.len() as u64;
        let bytes = &bytes[bytes.len().saturating_sub(RING_MAX)..];
        let too_many = (self.bytes.len() + bytes.len()).saturating_sub(RING_MAX);
        self.bytes.drain(..too_many);
        let needed = self.bytes.len() + bytes.len();
        if needed > self.bytes.capacity() {
            // Doubling near the limit would take more than it can ever use.
            let wanted = (needed + GROWTH).max(needed * 3 / 2).min(RING_MAX);
            self.bytes.reserve_exact(wanted - self.bytes.len());
        }
        self.bytes.extend(bytes);
    }

    /// Up to `max` bytes from `offset` on, in at most two pieces. `offset` is not before `start`.
    pub fn get(&self, offset: u64, max: usize) -> [&[u8]; 2] {
        let skip = (offset - self.start()) as usize;
        let (first, second) = self.bytes.as_slices();
        let first_part = &first[skip.min(first.len())..];
        let first_part = &first_part[..max.min(first_part.len())];
        let second_part = &second[skip.saturating_sub(first.len()).min(second.len())..];
        let second_part = &second_part[..(max - first_part.len()).min(second_part.len())];
        [first_part, second_part]
    }

    /// Where a viewer that has nothing starts: where the oldest bytes were dropped, behind a line's end or
    /// before an escape sequence, so that the screen does not begin in the middle of one.
    pub fn clean_start(&self) -> u64 {
        if self.start() == 0 {
            return 0;
        }
        const LOOK: usize = 8 * 1024;
        let mut bytes = self.bytes.iter().take(LOOK).enumerate();
        let clean = bytes.find_map(|(at, &byte)| match byte {
            b'\n' => Some(at + 1),
            0x1b => Some(at),
            _ => None,
        });
        self.start() + clean.unwrap_or(0) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(ring: &Ring, from: u64) -> Vec<u8> {
        ring.get(from, usize::MAX).concat()
    }

    #[test]
    fn it_keeps_the_last_mebibyte_and_the_numbers() {
        let mut ring = Ring::default();
        for block in 0..300u32 {
            ring.push(&[block as u8; 4096]);
        }
        assert_eq!(ring.end(), 300 * 4096);
        assert_eq!(ring.start(), 300 * 4096 - RING_MAX as u64);
        assert_eq!(all(&ring, ring.end() - 4096), [299u32 as u8; 4096]);
    }

    #[test]
    fn a_push_larger_than_the_ring_keeps_its_end() {
        let mut ring = Ring::default();
        let mut bytes = vec![1; RING_MAX];
        bytes.extend([2, 3]);
        ring.push(&bytes);
        assert_eq!(ring.start(), 2);
        assert_eq!(all(&ring, ring.end() - 2), [2, 3]);
    }

    #[test]
    fn what_was_dropped_ends_at_a_line() {
        let mut ring = Ring::default();
        ring.push(&b"0123456789abcde\n".repeat(RING_MAX / 16));
        ring.push(b"more");
        assert_eq!(ring.clean_start(), 16);
        ring.push(b"\n");
        ring.push(&b"\x1b[31mred".repeat(RING_MAX / 8));
        assert_eq!(ring.clean_start(), ring.start(), "a sequence is a good beginning");
        ring.push(b"more");
        assert_eq!(ring.clean_start(), ring.start() + 4, "the half of one is not");
    }

    proptest! {
        #[test]
        fn any_offset_gives_the_bytes_that_were_pushed(blocks in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5000), 1..40), at in 0.0f64..1.0) {
            let mut ring = Ring::default();
            for block in &blocks {
                ring.push(block);
            }
            let whole: Vec<u8> = blocks.concat();
            let offset = (whole.len() as f64 * at) as u64;
            prop_assert_eq!(all(&ring, offset), &whole[offset as usize..]);
        }
    }
}
