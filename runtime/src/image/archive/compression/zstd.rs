//! Zstandard (RFC 8878): frames one after another, some of them to be skipped.
//!
//! `ruzstd` decodes a frame. Ours are the frames in a row, the limit of the window, and the check of each frame's sum.

use std::io::{self, BufRead, Read};

use ruzstd::decoding::{BlockDecodingStrategy, FrameDecoder};

use super::{WINDOW_MAX_BYTES, damaged, window_error};

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];

pub struct Reader<R> {
    stream: R,
    decoder: FrameDecoder,
    in_frame: bool,
}

impl<R: BufRead> Reader<R> {
    pub fn new(stream: R) -> Self {
        Self { stream, decoder: FrameDecoder::new(), in_frame: false }
    }

    /// Begins the next frame that has content; false at the stream's end.
    fn next_frame(&mut self) -> io::Result<bool> {
        while !self.stream.fill_buf()?.is_empty() {
            let mut magic = [0; 4];
            self.stream.read_exact(&mut magic)?;
            if matches!(magic, [0x50..=0x5f, 0x2a, 0x4d, 0x18]) {
                self.skip_frame()?;
                continue;
            }
            if magic != MAGIC {
                return Err(damaged("there is something behind a zstd frame that is none"));
            }
            let header = self.header()?;
            if let Some(window) = window(&header).filter(|window| *window > WINDOW_MAX_BYTES) {
                return Err(window_error("zstd", window));
            }
            let header = [&magic[..], &header].concat();
            self.decoder.init(&header[..]).map_err(|error| damaged(error.to_string()))?;
            return Ok(true);
        }
        Ok(false)
    }

    fn skip_frame(&mut self) -> io::Result<()> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length)?;
        let length = u64::from(u32::from_le_bytes(length));
        match io::copy(&mut (&mut self.stream).take(length), &mut io::sink())? {
            skipped if skipped == length => Ok(()),
            _ => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }

    /// A frame's header behind its magic number: as many bytes as its first one says.
    fn header(&mut self) -> io::Result<Vec<u8>> {
        let mut header = vec![0];
        self.stream.read_exact(&mut header)?;
        header.resize(1 + fields_bytes(header[0]), 0);
        self.stream.read_exact(&mut header[1..])?;
        Ok(header)
    }

    fn check_sum(&self) -> io::Result<()> {
        match self.decoder.get_checksum_from_data() {
            Some(sum) if self.decoder.get_calculated_checksum() != Some(sum) => {
                Err(damaged("a zstd frame's sum is wrong"))
            }
            _ => Ok(()),
        }
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            if !self.in_frame {
                self.in_frame = self.next_frame()?;
                if !self.in_frame {
                    return Ok(0);
                }
            }
            if self.decoder.can_collect() == 0 && !self.decoder.is_finished() {
                let enough = BlockDecodingStrategy::UptoBlocks(1);
                self.decoder.decode_blocks(&mut self.stream, enough).map_err(|error| damaged(error.to_string()))?;
                continue;
            }
            let read = self.decoder.read(buffer)?;
            if read > 0 || buffer.is_empty() {
                return Ok(read);
            }
            self.check_sum()?;
            self.in_frame = false;
        }
    }
}

/// How many bytes of window, dictionary id and content size follow a frame's first byte.
fn fields_bytes(descriptor: u8) -> usize {
    let single = is_single_segment(descriptor);
    let dictionary = [0, 1, 2, 4][usize::from(descriptor & 3)];
    let content = match descriptor >> 6 {
        0 => usize::from(single),
        code => 1 << code,
    };
    usize::from(!single) + dictionary + content
}

fn is_single_segment(descriptor: u8) -> bool {
    descriptor & 0x20 != 0
}

/// How much a frame asks to be kept. A single segment is kept whole.
fn window(header: &[u8]) -> Option<u64> {
    let descriptor = *header.first()?;
    if !is_single_segment(descriptor) {
        let field = *header.get(1)?;
        let base = 1_u64 << (10 + (field >> 3));
        return Some(base + base / 8 * u64::from(field & 7));
    }
    let content = &header[header.len() - (fields_bytes(descriptor) - [0, 1, 2, 4][usize::from(descriptor & 3)])..];
    let size = content.iter().rev().fold(0_u64, |size, byte| (size << 8) | u64::from(*byte));
    // Two bytes count from 256 on: one byte says less.
    Some(if content.len() == 2 { size + 256 } else { size })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frames_header_tells_its_window() {
        // 8 MiB, the window of the usual levels: exponent 13.
        assert_eq!(window(&[0x00, 13 << 3]), Some(8 << 20));
        assert_eq!(window(&[0x04, (13 << 3) | 4]), Some(12 << 20));
        assert_eq!(window(&[0x20, 200]), Some(200));
        assert_eq!(window(&[0x60, 0, 1]), Some(512));
        assert_eq!(window(&[0xe0, 0, 0, 0, 0, 1, 0, 0, 0]), Some(1 << 32));
        assert_eq!([0x00, 0x20, 0x60, 0x23, 0xc0].map(fields_bytes), [1, 1, 2, 5, 9]);
    }
}
