//! The .xz format (tukaani.org, "The .xz File Format"): streams of blocks, each with a sum, and an index at the end.
//!
//! `lzma-rust2` decodes what is in a block. The frame around it is read here, because every block says anew how large a
//! dictionary it wants, up to 4 GiB, and only who reads its header can refuse.

use std::io::{self, BufRead, Read};

use flate2::Crc;
use lzma_rust2::Lzma2Reader;
use sha2::{Digest as _, Sha256};

use super::{WINDOW_MAX_BYTES, damaged, window_error};

const MAGIC: &[u8] = b"\xfd7zXZ\0";
const END_MAGIC: &[u8] = b"YZ";
/// The only filter that archives use; the others make programs smaller by a little.
const LZMA2: u8 = 0x21;

pub struct Reader<R: BufRead> {
    state: State<R>,
    sum: Sum,
    /// Blocks of this stream so far, which its index must have too.
    blocks: u64,
}

enum State<R: BufRead> {
    /// A stream begins here, or the file ends.
    Between {
        input: R,
        first: bool,
    },
    /// A block or the index begins here.
    InStream(R),
    InBlock(Box<Lzma2Reader<Counted<R>>>),
    /// After an error, or at the end.
    Done,
}

impl<R: BufRead> Reader<R> {
    pub fn new(input: R) -> Self {
        Self { state: State::Between { input, first: true }, sum: Sum::None, blocks: 0 }
    }

    /// Goes on to the next block; the state is `Done` where there is none.
    fn step(&mut self) -> io::Result<()> {
        self.state = match std::mem::replace(&mut self.state, State::Done) {
            State::Between { mut input, first } => match self.begin_stream(&mut input, first)? {
                true => State::InStream(input),
                false => State::Done,
            },
            State::InStream(input) => self.begin_block(input)?,
            State::InBlock(block) => {
                let counted = block.into_inner();
                let (mut input, count) = (counted.input, counted.count);
                expect_zeros(&mut input, (count.wrapping_neg() % 4) as usize)?;
                self.sum.check(&mut input)?;
                State::InStream(input)
            }
            State::Done => State::Done,
        };
        Ok(())
    }

    fn begin_stream(&mut self, input: &mut R, first: bool) -> io::Result<bool> {
        // Streams may be filled up with zeros, four at a time; and nothing may be left.
        while !first && input.fill_buf()?.first() == Some(&0) {
            expect_zeros(input, 4)?;
        }
        if !first && input.fill_buf()?.is_empty() {
            return Ok(false);
        }
        let header: [u8; 12] = array(input)?;
        if header[..6] != *MAGIC || header[6] != 0 || !has_crc32(&header[6..8], &header[8..]) {
            return Err(damaged("the header of an xz stream is damaged"));
        }
        self.sum = Sum::of(header[7])?;
        self.blocks = 0;
        Ok(true)
    }

    fn begin_block(&mut self, mut input: R) -> io::Result<State<R>> {
        let [size] = array(&mut input)?;
        if size == 0 {
            self.end_stream(&mut input)?;
            return Ok(State::Between { input, first: false });
        }
        let mut header = vec![0; (usize::from(size) + 1) * 4];
        header[0] = size;
        input.read_exact(&mut header[1..])?;
        let (header, crc) = header.split_at(header.len() - 4);
        if !has_crc32(header, crc) {
            return Err(damaged("the header of an xz block is damaged"));
        }
        let dictionary = dictionary_bytes(&header[1..])?;
        if dictionary > WINDOW_MAX_BYTES {
            return Err(window_error("xz", dictionary));
        }
        self.sum.begin();
        self.blocks += 1;
        let counted = Counted { input, count: 0 };
        Ok(State::InBlock(Box::new(Lzma2Reader::new(counted, dictionary as u32, None))))
    }

    /// The index repeats the sizes of the blocks, for readers that jump. It is read past; its sum and its number of
    /// blocks must fit.
    fn end_stream(&mut self, input: &mut R) -> io::Result<()> {
        let mut index = Summed { input, crc: Crc::new(), count: 0 };
        index.crc.update(&[0]);
        index.count = 1;
        let records = variable(&mut index)?;
        if records != self.blocks {
            return Err(damaged("the index of an xz stream has another number of blocks"));
        }
        for _ in 0..records {
            variable(&mut index)?;
            variable(&mut index)?;
        }
        let fill = (index.count.wrapping_neg() % 4) as usize;
        expect_zeros(&mut index, fill)?;
        let sum = index.crc.sum();
        if u32::from_le_bytes(array(input)?) != sum {
            return Err(damaged("the index of an xz stream is damaged"));
        }
        let footer: [u8; 12] = array(input)?;
        if footer[10..] != *END_MAGIC || !has_crc32(&footer[4..10], &footer[..4]) || footer[9] != self.sum.kind() {
            return Err(damaged("the end of an xz stream is damaged"));
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            if let State::Done = self.state {
                return Ok(0);
            }
            if let State::InBlock(block) = &mut self.state {
                let read = block.read(buffer)?;
                if read > 0 {
                    self.sum.update(&buffer[..read]);
                    return Ok(read);
                }
            }
            self.step()?;
        }
    }
}

/// How large a dictionary a block wants, from its header without the size and the sum.
fn dictionary_bytes(header: &[u8]) -> io::Result<u64> {
    let (flags, mut rest) = header.split_first().ok_or(io::ErrorKind::UnexpectedEof)?;
    if flags & 0x3f != 0 {
        return Err(damaged("this xz stream uses a filter beside LZMA2, which is not supported"));
    }
    // Sizes that the block may say of itself; its content is counted anyway.
    for flag in [0x40, 0x80] {
        if flags & flag != 0 {
            variable(&mut rest)?;
        }
    }
    match rest {
        [LZMA2, 1, bits, fill @ ..] if *bits <= 40 && fill.iter().all(|byte| *byte == 0) => Ok(match bits {
            40 => u64::from(u32::MAX),
            bits => (2 | u64::from(bits & 1)) << (bits / 2 + 11),
        }),
        [LZMA2, ..] => Err(damaged("the header of an xz block does not read")),
        _ => Err(damaged("this xz stream uses a filter other than LZMA2, which is not supported")),
    }
}

/// A number of seven bits a byte, at most nine of them.
fn variable(input: &mut impl Read) -> io::Result<u64> {
    let mut value = 0;
    for place in 0..9 {
        let [byte] = array(input)?;
        value |= u64::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
    Err(damaged("a number in an xz stream is too long"))
}

fn array<const N: usize>(input: &mut impl Read) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    input.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn expect_zeros(input: &mut impl Read, count: usize) -> io::Result<()> {
    let mut zeros = [0; 4];
    input.read_exact(&mut zeros[..count])?;
    if zeros == [0; 4] { Ok(()) } else { Err(damaged("an xz stream is filled up with something else than zeros")) }
}

fn has_crc32(bytes: &[u8], sum: &[u8]) -> bool {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum().to_le_bytes() == sum
}

/// Counts what a block takes, for it is filled up to four bytes.
struct Counted<R> {
    input: R,
    count: u64,
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.count += read as u64;
        Ok(read)
    }
}

struct Summed<'a, R> {
    input: &'a mut R,
    crc: Crc,
    count: u64,
}

impl<R: Read> Read for Summed<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.input.read(buffer)?;
        self.crc.update(&buffer[..read]);
        self.count += read as u64;
        Ok(read)
    }
}

/// The sum of a block's content, as the stream's header chose it.
enum Sum {
    None,
    Crc32(Crc),
    Crc64(u64),
    Sha256(Box<Sha256>),
}

impl Sum {
    fn of(kind: u8) -> io::Result<Self> {
        match kind {
            0x00 => Ok(Self::None),
            0x01 => Ok(Self::Crc32(Crc::new())),
            0x04 => Ok(Self::Crc64(!0)),
            0x0a => Ok(Self::Sha256(Box::default())),
            _ => Err(damaged("this xz stream has a sum of a kind that is not supported")),
        }
    }

    fn kind(&self) -> u8 {
        match self {
            Self::None => 0x00,
            Self::Crc32(_) => 0x01,
            Self::Crc64(_) => 0x04,
            Self::Sha256(_) => 0x0a,
        }
    }

    fn begin(&mut self) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.reset(),
            Self::Crc64(crc) => *crc = !0,
            Self::Sha256(hash) => hash.reset(),
        }
    }

    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::None => {}
            Self::Crc32(crc) => crc.update(bytes),
            Self::Crc64(crc) => {
                *crc = bytes.iter().fold(*crc, |crc, byte| CRC64[usize::from(crc as u8 ^ byte)] ^ (crc >> 8));
            }
            Self::Sha256(hash) => hash.update(bytes),
        }
    }

    fn check(&mut self, input: &mut impl Read) -> io::Result<()> {
        let fits = match self {
            Self::None => true,
            Self::Crc32(crc) => u32::from_le_bytes(array(input)?) == crc.sum(),
            Self::Crc64(crc) => u64::from_le_bytes(array(input)?) == !*crc,
            Self::Sha256(hash) => array::<32>(input)?[..] == hash.finalize_reset()[..],
        };
        if fits { Ok(()) } else { Err(damaged("the sum of an xz block is wrong")) }
    }
}

/// CRC-64 as xz has it: ECMA-182's polynomial with its bits the other way round.
static CRC64: [u64; 256] = {
    let mut table = [0; 256];
    let mut byte = 0;
    while byte < 256 {
        let mut crc = byte as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { (crc >> 1) ^ 0xc96c_5795_d787_0f42 } else { crc >> 1 };
            bit += 1;
        }
        table[byte] = crc;
        byte += 1;
    }
    table
};
