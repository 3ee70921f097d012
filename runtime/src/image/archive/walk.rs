//! The one walk over the entries of a tar stream, for layers and packages alike.
//!
//! The `tar` crate reads single headers for us; every name, size, owner and link is judged here before anything is done.
//! Memory is one header, one extended header and one buffer, whatever the archive holds.

use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;

use tar::{EntryType, Header};

use super::entry::{Entry, EntryError, Extension, lossy};
use super::limits::{EXTENSION_MAX_BYTES, Limits, TRAILER_MAX_BYTES};
use super::sparse::{self, Piece, SparseError};
use super::{BLOCK_BYTES, padding};

/// What is copied at once: large enough that the system calls do not count, small enough for a few threads.
const COPY_BYTES: usize = 64 * 1024;

/// Why an archive is not read to its end.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    #[error("cannot read the archive after {after}; it is damaged or not what its name says")]
    Read { after: String, source: io::Error },
    #[error(transparent)]
    Entry(#[from] EntryError),
    #[error("cannot read the file with holes {name}")]
    Sparse { name: String, source: SparseError },
    #[error("it holds more than {max} bytes; nothing of this size is an image's part")]
    Bytes { max: u64 },
    #[error("it holds more than {max} entries; nothing of this size is an image's part")]
    Entries { max: u64 },
    #[error("{name} is more than {max} folders deep")]
    Depth { name: String, max: usize },
    #[error("an extended header of {size} bytes is longer than {EXTENSION_MAX_BYTES}")]
    Extension { size: u64 },
    #[error("an extended header stands at its end, without the entry that it describes")]
    Widowed,
    #[error("it goes on for more than {TRAILER_MAX_BYTES} bytes after its end")]
    Trailer,
}

/// Calls `visit` for every entry in its order, then reads what follows the archive's end, so that who counts or sums up
/// the stream has had all of it.
pub fn walk<E: From<ArchiveError>>(
    archive: &mut dyn Read,
    limits: Limits,
    visit: &mut dyn FnMut(&Entry, &mut Content) -> Result<(), E>,
) -> Result<(), E> {
    let mut stream = Stream { archive, failed: None };
    let mut budget = Budget { limits, bytes: 0, entries: 0 };
    let mut last = String::from("its beginning");
    let mut extension = None;
    while let Some(header) = stream.header().map_err(|source| read_error(&last, source))? {
        budget.entry()?;
        if describes_others(header.entry_type()) {
            absorb(&header, &mut extension, &mut stream, &mut budget, &last)?;
            continue;
        }
        let (entry, mut content) = content_of(&header, extension.take().unwrap_or_default(), &mut stream, &last)?;
        budget.bytes(content.size.max(content.left))?;
        budget.depth(&entry)?;
        let visited = visit(&entry, &mut content);
        let skipped = if visited.is_ok() { content.skip() } else { Ok(()) };
        // When the stream failed, that is the reason, whatever the visitor made of it.
        if let Some(source) = stream.failed.take() {
            return Err(read_error(&last, source).into());
        }
        visited?;
        skipped.map_err(|source| read_error(&last, source))?;
        last = entry.name.to_string();
    }
    if extension.is_some() {
        return Err(ArchiveError::Widowed.into());
    }
    Ok(stream.trailer(&last)?)
}

fn describes_others(kind: EntryType) -> bool {
    kind.is_gnu_longname()
        || kind.is_gnu_longlink()
        || kind.is_pax_local_extensions()
        || kind.is_pax_global_extensions()
}

/// Takes in a header that only describes the next entry.
fn absorb(
    header: &Header,
    extension: &mut Option<Extension>,
    stream: &mut Stream,
    budget: &mut Budget,
    last: &str,
) -> Result<(), ArchiveError> {
    let size = header.entry_size().map_err(|source| read_error(last, source))?;
    budget.bytes(size)?;
    if header.entry_type().is_pax_global_extensions() {
        // It carries comments (git's commit id): nothing about a file.
        if size > EXTENSION_MAX_BYTES {
            return Err(ArchiveError::Extension { size });
        }
        return stream.small(size).map(drop).map_err(|source| read_error(last, source));
    }
    let extension = extension.get_or_insert_default();
    // All that stand before one entry count together, for they are kept together.
    extension.bytes = extension.bytes.saturating_add(size);
    if extension.bytes > EXTENSION_MAX_BYTES {
        return Err(ArchiveError::Extension { size: extension.bytes });
    }
    let bytes = stream.small(size).map_err(|source| read_error(last, source))?;
    match header.entry_type() {
        EntryType::GNULongName => extension.absorb_long_name(bytes),
        EntryType::GNULongLink => extension.absorb_long_link(bytes),
        _ => extension.absorb_pax(&bytes)?,
    }
    Ok(())
}

fn content_of<'a, 'b>(
    header: &Header,
    mut extension: Extension,
    stream: &'a mut Stream<'b>,
    last: &str,
) -> Result<(Entry, Content<'a, 'b>), ArchiveError> {
    let mut stored = extension.stored_bytes(header)?;
    let padding = padding(stored);
    let records = std::mem::take(&mut extension.sparse);
    let entry = extension.judge(header)?;
    let map = match header.entry_type() {
        EntryType::GNUSparse => sparse::of_old_header(header, stream, stored).map(Some),
        EntryType::Regular => records.map(stream, &mut stored),
        _ => Ok(None),
    };
    if let Some(source) = stream.failed.take() {
        return Err(read_error(last, source));
    }
    let map = map.map_err(|source| ArchiveError::Sparse { name: entry.name.to_string(), source })?;
    let size = map.as_ref().map_or(stored, |map| map.size);
    Ok((entry, Content { stream, left: stored, padding, pieces: map.map(|map| map.pieces), size }))
}

/// What an entry holds. What the visitor leaves is read past.
pub struct Content<'a, 'b> {
    stream: &'a mut Stream<'b>,
    /// Bytes of it that are still in the archive.
    left: u64,
    /// Zeros behind it, up to a whole block.
    padding: usize,
    pieces: Option<Vec<Piece>>,
    /// The size of the file, with its holes.
    size: u64,
}

impl Content<'_, '_> {
    /// Writes it into a new file, with the holes that it had. Gives the file's size.
    pub fn write_to(&mut self, file: &mut (impl Write + Seek + SetSize)) -> io::Result<u64> {
        let Some(pieces) = self.pieces.take() else {
            self.copy(self.left, file)?;
            return Ok(self.size);
        };
        for piece in pieces {
            file.seek(SeekFrom::Start(piece.offset))?;
            self.copy(piece.length, file)?;
        }
        file.set_size(self.size)?;
        Ok(self.size)
    }

    /// Reads all of a small file; the limits say how small.
    pub fn bytes(&mut self) -> io::Result<Vec<u8>> {
        let mut bytes = io::Cursor::new(Vec::new());
        self.write_to(&mut bytes)?;
        Ok(bytes.into_inner())
    }

    /// The size of the file, with its holes.
    pub fn size(&self) -> u64 {
        self.size
    }

    /// Whether the archive holds it from its first byte to its last, without holes.
    pub fn is_whole(&self) -> bool {
        self.pieces.is_none()
    }

    fn copy(&mut self, count: u64, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = [0; COPY_BYTES];
        let mut left = count;
        while left > 0 {
            let part = &mut buffer[..left.min(COPY_BYTES as u64) as usize];
            let read = self.stream.read(part)?;
            if read == 0 {
                return Err(self.stream.fail(ends_within()));
            }
            out.write_all(&part[..read])?;
            left -= read as u64;
            self.left -= read as u64;
        }
        Ok(())
    }

    fn skip(&mut self) -> io::Result<()> {
        self.copy(self.left, &mut io::sink())?;
        let padding = std::mem::take(&mut self.padding);
        self.stream.exact(&mut [0; BLOCK_BYTES][..padding])
    }
}

/// What can be given a size without being written.
pub trait SetSize {
    fn set_size(&mut self, size: u64) -> io::Result<()>;
}

impl SetSize for std::fs::File {
    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.set_len(size)
    }
}

impl SetSize for io::Cursor<Vec<u8>> {
    fn set_size(&mut self, size: u64) -> io::Result<()> {
        self.get_mut().resize(usize::try_from(size).map_err(io::Error::other)?, 0);
        Ok(())
    }
}

/// The archive's bytes, and the first error that reading them gave: it comes back through a file's writer, and is told
/// apart from the writer's own only by this.
struct Stream<'b> {
    archive: &'b mut dyn Read,
    failed: Option<io::Error>,
}

impl Stream<'_> {
    /// The next header; `None` at the archive's end: a block of zeros, or the stream's end, as some writers leave out the
    /// zeros. Within a block the stream may not end.
    fn header(&mut self) -> io::Result<Option<Header>> {
        let mut header = Header::new_old();
        let block = header.as_mut_bytes();
        let first = self.read(block)?;
        if first == 0 {
            return Ok(None);
        }
        self.exact(&mut block[first..])?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        match is_intact(&header) {
            true => Ok(Some(header)),
            false => Err(io::Error::new(io::ErrorKind::InvalidData, "a header's sum is wrong")),
        }
    }

    /// The whole of an extended header, with the zeros behind it.
    fn small(&mut self, size: u64) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        if (&mut *self).take(size).read_to_end(&mut bytes)? < size as usize {
            return Err(ends_within());
        }
        self.exact(&mut [0; BLOCK_BYTES][..padding(size)])?;
        Ok(bytes)
    }

    fn exact(&mut self, buffer: &mut [u8]) -> io::Result<()> {
        self.read_exact(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => ends_within(),
            _ => error,
        })
    }

    fn trailer(&mut self, last: &str) -> Result<(), ArchiveError> {
        let mut left = (&mut *self).take(TRAILER_MAX_BYTES + 1);
        let read = io::copy(&mut left, &mut io::sink()).map_err(|source| read_error(last, source))?;
        if read > TRAILER_MAX_BYTES { Err(ArchiveError::Trailer) } else { Ok(()) }
    }

    /// Keeps an error, and gives one of the same kind to whoever is reading.
    fn fail(&mut self, error: io::Error) -> io::Error {
        let told = io::Error::from(error.kind());
        self.failed.get_or_insert(error);
        told
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.archive.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.fail(error)),
                read => return read,
            }
        }
    }
}

/// The sum of a header's bytes, its own field taken as spaces; some old writers added them up as signed numbers.
fn is_intact(header: &Header) -> bool {
    let bytes = header.as_bytes();
    let others = || bytes[..148].iter().chain(&bytes[156..]);
    let unsigned: u32 = others().map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
    let signed: i32 = others().map(|byte| i32::from(*byte as i8)).sum::<i32>() + 8 * 32;
    header.cksum().is_ok_and(|sum| sum == unsigned || i64::from(sum) == i64::from(signed))
}

struct Budget {
    limits: Limits,
    bytes: u64,
    entries: u64,
}

impl Budget {
    fn entry(&mut self) -> Result<(), ArchiveError> {
        self.entries += 1;
        let max = self.limits.entries_max;
        if self.entries > max { Err(ArchiveError::Entries { max }) } else { Ok(()) }
    }

    /// Counts what the headers *say*, before any of it is read: ten gigabytes of zeros are refused at once.
    fn bytes(&mut self, count: u64) -> Result<(), ArchiveError> {
        self.bytes = self.bytes.saturating_add(count);
        let max = self.limits.bytes_max;
        if self.bytes > max { Err(ArchiveError::Bytes { max }) } else { Ok(()) }
    }

    fn depth(&self, entry: &Entry) -> Result<(), ArchiveError> {
        let max = self.limits.depth_max;
        if entry.name.depth() <= max {
            return Ok(());
        }
        Err(ArchiveError::Depth { name: lossy(entry.name.as_path().as_os_str().as_bytes()), max })
    }
}

fn read_error(after: &str, source: io::Error) -> ArchiveError {
    ArchiveError::Read { after: after.to_owned(), source }
}

fn ends_within() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it ends in the middle of an entry")
}
