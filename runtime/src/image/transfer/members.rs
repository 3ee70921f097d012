//! The files of an archive of images: in a folder, or in a tar file where each is found by its offset.
//!
//! An archive may have its table of contents at its end, and names its parts in any order. So a stream that cannot be
//! read twice is first written to a file of the store's own.

use std::cell::Cell;
use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;

use super::super::archive::compression::{Compression, decompress};
use super::super::archive::entry::Kind;
use super::super::archive::limits::{DEPTH_MAX, Limits};
use super::super::archive::walk::{ArchiveError, walk};
use super::super::beneath::{Name, Root};
use super::super::store::{ImageError, Work};
use super::TransferError;

/// Files of one archive: three for each layer and one for each image, for some hundred images.
const MEMBERS_MAX: usize = 20_000;

/// An archive of all images of a class has some gigabytes; this is what fits on no disk that it is unpacked to.
const LIMITS: Limits = Limits { bytes_max: 256 * 1024 * 1024 * 1024, entries_max: 100_000, depth_max: DEPTH_MAX };

/// How many links in a row lead to a file. Docker's old archives have one.
const LINKS_MAX: usize = 4;

pub enum Members {
    Folder(Root),
    Tar { file: File, members: HashMap<Name, Member> },
}

/// Where in a tar file a member lies, or which other it is the same as.
pub enum Member {
    At { offset: u64, size: u64 },
    SameAs(Name),
}

impl Members {
    /// A file that may be read anywhere; compressed as a whole it is first written to `work` without that.
    pub fn of_file(mut file: File, work: &Work) -> Result<Self, TransferError> {
        let read = |source| TransferError::Read { source };
        if !file.metadata().map_err(read)?.is_file() {
            return Self::of_stream(file, work);
        }
        file.seek(SeekFrom::Start(0)).map_err(read)?;
        let mut first_bytes = [0; 6];
        let count = file.read_at(&mut first_bytes, 0).map_err(read)?;
        match Compression::of(&first_bytes[..count]) {
            Compression::None => Self::of_tar(file),
            _ => Self::of_stream(file, work),
        }
    }

    /// A stream that can be read once.
    pub fn of_stream(stream: impl Read + Send, work: &Work) -> Result<Self, TransferError> {
        let path = work.file();
        let failed = ImageError::store("write the archive to", &path);
        let copy = || {
            let mut file = File::options().create_new(true).read(true).write(true).open(&path)?;
            let copied = io::copy(&mut decompress(stream)?.take(LIMITS.bytes_max + 1), &mut file)?;
            if copied > LIMITS.bytes_max {
                return Err(io::Error::other(format!("it has more than {} bytes", LIMITS.bytes_max)));
            }
            file.flush()?;
            Ok(file)
        };
        Self::of_tar(copy().map_err(failed)?)
    }

    fn of_tar(mut file: File) -> Result<Self, TransferError> {
        file.seek(SeekFrom::Start(0)).map_err(|source| TransferError::Read { source })?;
        let at = Cell::new(0);
        let mut members = HashMap::new();
        let mut counted = Counted { inner: BufReader::with_capacity(1 << 20, &file), at: &at };
        walk::<Listing>(&mut counted, LIMITS, &mut |entry, content| {
            let beside = |target: &[u8]| beside(&entry.name, target);
            let member = match &entry.kind {
                Kind::File if content.is_whole() => Some(Member::At { offset: at.get(), size: content.size() }),
                Kind::Symlink(target) => beside(target).map(Member::SameAs),
                Kind::HardLink(target) => Name::parse(target).ok().map(Member::SameAs),
                _ => None,
            };
            if let Some(member) = member {
                members.insert(entry.name.clone(), member);
            }
            if members.len() > MEMBERS_MAX { Err(Listing::TooMany) } else { Ok(()) }
        })?;
        Ok(Self::Tar { file, members })
    }

    pub fn has(&self, member: &str) -> bool {
        self.open(member).is_ok()
    }

    /// Opens a member for reading, and says how long it is. Its name is the archive's and may say anything.
    pub fn open(&self, member: &str) -> Result<(Box<dyn Read + Send + '_>, u64), TransferError> {
        let missing = || TransferError::Missing { member: member.chars().take(200).collect() };
        let mut name = Name::parse(member.as_bytes()).map_err(|_| missing())?;
        match self {
            Self::Folder(root) => {
                let file = root.read(&name).map_err(|_| missing())?;
                let size = file.metadata().map_err(|source| TransferError::Read { source })?.len();
                Ok((Box::new(file), size))
            }
            Self::Tar { file, members } => {
                for _ in 0..LINKS_MAX {
                    match members.get(&name).ok_or_else(missing)? {
                        Member::At { offset, size } => {
                            return Ok((Box::new(Part { file, at: *offset, left: *size }), *size));
                        }
                        Member::SameAs(other) => name = other.clone(),
                    }
                }
                Err(missing())
            }
        }
    }

    /// A document, whole.
    pub fn read(&self, member: &str, max: u64) -> Result<Vec<u8>, TransferError> {
        let (content, size) = self.open(member)?;
        if size > max {
            return Err(TransferError::TooLong { member: member.to_owned(), max });
        }
        let mut bytes = Vec::new();
        content.take(max).read_to_end(&mut bytes).map_err(|source| TransferError::Read { source })?;
        Ok(bytes)
    }

    pub fn read_json<T: serde::de::DeserializeOwned>(&self, member: &str, max: u64) -> Result<T, TransferError> {
        let bytes = self.read(member, max)?;
        serde_json::from_slice(&bytes)
            .map_err(|source| TransferError::NotUnderstood { member: member.to_owned(), source })
    }
}

/// Where a symbolic link in an archive leads, as a name of the archive; `None` when it leads out.
fn beside(name: &Name, target: &[u8]) -> Option<Name> {
    let mut parts: Vec<&[u8]> = Vec::new();
    let parent = name.parent()?;
    let parent = parent.as_path().as_os_str().as_encoded_bytes();
    for part in parent.split(|byte| *byte == b'/').chain(target.split(|byte| *byte == b'/')) {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    if target.first() == Some(&b'/') { None } else { Name::parse(&parts.join(&b'/')).ok() }
}

/// Knows how far it has been read.
struct Counted<'a, R> {
    inner: R,
    at: &'a Cell<u64>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        self.at.set(self.at.get() + read as u64);
        Ok(read)
    }
}

/// A part of a file, by pread(2): several may be read at once.
struct Part<'a> {
    file: &'a File,
    at: u64,
    left: u64,
}

impl Read for Part<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = buffer.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        let read = self.file.read_at(&mut buffer[..count], self.at)?;
        self.at += read as u64;
        self.left -= read as u64;
        Ok(read)
    }
}

/// Why an archive was not listed.
enum Listing {
    Archive(ArchiveError),
    TooMany,
}

impl From<ArchiveError> for Listing {
    fn from(error: ArchiveError) -> Self {
        Self::Archive(error)
    }
}

impl From<Listing> for TransferError {
    fn from(listing: Listing) -> Self {
        match listing {
            Listing::Archive(source) => Self::Archive { source },
            Listing::TooMany => Self::Members { max: MEMBERS_MAX },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_leads_to_a_member_or_nowhere() {
        let of = |name: &str, target: &str| beside(&Name::of(name), target.as_bytes());
        assert_eq!(of("a/layer.tar", "../b/layer.tar"), Some(Name::of("b/layer.tar")));
        assert_eq!(of("a/layer.tar", "../b.tar"), Some(Name::of("b.tar")));
        assert_eq!(of("layer.tar", "b.tar"), Some(Name::of("b.tar")));
        assert_eq!(of("a/layer.tar", "../../etc/passwd"), None);
        assert_eq!(of("a/layer.tar", "/etc/passwd"), None);
    }
}
