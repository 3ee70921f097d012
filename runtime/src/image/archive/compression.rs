//! What a blob is compressed with, told by its first bytes; never by its name or media type, which may say anything.
//!
//! Every reader here streams, and needs at most [`WINDOW_MAX_BYTES`] and some buffers, whatever the blob asks for.

mod xz;
mod zstd;

use std::io::{self, BufRead, BufReader, Read, Write};

/// How far back a compressed stream may refer, so how much of its past its reader must keep. The strongest usual setting
/// of xz (`-9`) needs just this, that of zstd (`-19`) an eighth; more is asked for only by `zstd --ultra` and `--long`.
pub const WINDOW_MAX_BYTES: u64 = 64 * 1024 * 1024;

const BUFFER_BYTES: usize = 64 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    None,
    Gzip,
    Zstd,
    Xz,
}

impl Compression {
    /// Tells by the first bytes. Zstandard may begin with a frame that is skipped (RFC 8878, section 3.1.2).
    pub fn of(first_bytes: &[u8]) -> Self {
        match first_bytes {
            [0x1f, 0x8b, ..] => Self::Gzip,
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Self::Zstd,
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Self::Xz,
            _ => Self::None,
        }
    }
}

/// A stream without its compression, and which one it had.
pub struct Plain<'a> {
    pub compression: Compression,
    reader: Box<dyn Read + Send + 'a>,
}

impl Read for Plain<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.reader.read(buffer)
    }
}

/// Takes the compression off a stream.
pub fn decompress<'a>(stream: impl Read + Send + 'a) -> io::Result<Plain<'a>> {
    let mut stream = BufReader::with_capacity(BUFFER_BYTES, stream);
    let first_bytes = peek(&mut stream)?;
    let compression = Compression::of(&first_bytes);
    // What was read to look at it stands before the rest again.
    let stream = BufReader::with_capacity(BUFFER_BYTES, io::Cursor::new(first_bytes).chain(stream));
    let reader: Box<dyn Read + Send + 'a> = match compression {
        Compression::None => Box::new(stream),
        Compression::Gzip => Box::new(flate2::bufread::MultiGzDecoder::new(stream)),
        Compression::Zstd => Box::new(zstd::Reader::new(stream)),
        Compression::Xz => Box::new(xz::Reader::new(stream)),
    };
    Ok(Plain { compression, reader })
}

/// As many first bytes as the longest mark has; fewer when the stream is shorter.
fn peek(stream: &mut impl BufRead) -> io::Result<Vec<u8>> {
    const LONGEST: u64 = 6;
    let mut bytes = Vec::new();
    stream.take(LONGEST).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// A gzip stream that says nothing of when and where it was made: the same bytes give the same bytes.
///
/// What is written is complete only after [`Gzip::finish`].
pub struct Gzip<W: Write>(flate2::write::GzEncoder<W>);

impl<W: Write> Gzip<W> {
    pub fn new(out: W) -> Self {
        // Level 6 is what everybody else pushes; 255 is "unknown system" (RFC 1952).
        Self(flate2::GzBuilder::new().mtime(0).operating_system(255).write(out, flate2::Compression::new(6)))
    }

    pub fn finish(self) -> io::Result<W> {
        self.0.finish()
    }
}

impl<W: Write> Write for Gzip<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn damaged(why: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why.into())
}

fn window_error(what: &str, asked_bytes: u64) -> io::Error {
    damaged(format!(
        "this {what} stream asks for {asked_bytes} bytes of memory, and at most {WINDOW_MAX_BYTES} are given; \
         compress it with a lower level"
    ))
}

#[cfg(test)]
mod tests;
