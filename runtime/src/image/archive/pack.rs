//! A layer's directory becomes its canonical archive: the same tree gives the same bytes, on every host and every time.
//!
//! So a layer of ours need not be kept as an archive beside its files: its diff id is known, and the archive that has
//! this digest can be made again whenever somebody wants it. What makes it canonical:
//!
//! - names sorted by their bytes, a directory before what is in it, its opaque mark first;
//! - times in whole seconds, no names of owners, nothing of the file system but what [`unpack`](super::unpack) would
//!   write again;
//! - of a file with several names the first holds the content, the others are hard links to it;
//! - ustar headers, and an extended one before them only for what does not fit;
//! - no entry for the layer's own top folder: a container has its own;
//! - two blocks of zeros at the end, and nothing behind them.

use std::collections::HashMap;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Stat};
use sha2::{Digest as _, Sha256};

use super::entry::{ID_MAX, is_kept_attribute};
use super::header::{Header, fill_block, write_end};
use super::limits::DEPTH_MAX;
use super::unpack::is_whiteout;
use super::whiteout::{self, OPAQUE, OPAQUE_XATTR};
use crate::image::beneath::{self, Device, Folder, Name, Root, Xattr};
use crate::image::digest;

const COPY_BYTES: usize = 64 * 1024;

/// What was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// SHA-256 of the archive, in hexadecimal digits.
    pub diff_id: String,
    /// Bytes of the archive.
    pub size_bytes: u64,
    pub entries: u64,
}

/// Why a layer was not packed.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    #[error("cannot read {name} of the layer")]
    Read { name: Name, source: io::Error },
    #[error("cannot write the archive at {name}")]
    Write { name: Name, source: io::Error },
    #[error("{name} cannot be in a layer: names that begin with .wh. mean deletions there")]
    Mark { name: Name },
    #[error("{name} belongs to id {id}; only 0 to {ID_MAX} exist in a sandbox")]
    Owner { name: Name, id: u32 },
    #[error("{name} is more than {DEPTH_MAX} folders deep")]
    Depth { name: Name },
    #[error("{name} is an overlay's reference to another layer ({xattr}); its content is not here")]
    Redirect { name: Name, xattr: &'static str },
    #[error("{name} became shorter while it was packed")]
    Shrunk { name: Name },
}

/// Writes the canonical archive of a layer.
pub fn pack(layer: &Root, out: &mut dyn Write) -> Result<Packed, PackError> {
    let hashed = BufWriter::with_capacity(COPY_BYTES, Hashing { out, hash: Sha256::new(), bytes: 0 });
    let mut packing = Packing { out: hashed, first_names: HashMap::new(), entries: 0 };
    let top = Name::root();
    let folder = layer.folder(&top).map_err(|source| PackError::Read { name: top.clone(), source })?;
    packing.directory(&top, &folder)?;
    packing.finish().map_err(|source| PackError::Write { name: top, source })
}

/// Passes bytes on, and knows their digest and how many they were.
struct Hashing<'a> {
    out: &'a mut dyn Write,
    hash: Sha256,
    bytes: u64,
}

impl Write for Hashing<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.bytes += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

struct Packing<'a> {
    out: BufWriter<Hashing<'a>>,
    /// Of every file with several names, by device and inode: the name that has its content.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    entries: u64,
}

impl Packing<'_> {
    /// What is in a directory. It goes as deep as [`DEPTH_MAX`].
    fn directory(&mut self, name: &Name, folder: &Folder) -> Result<(), PackError> {
        let read = |source| PackError::Read { name: name.clone(), source };
        if name.depth() >= DEPTH_MAX {
            return Err(PackError::Depth { name: name.clone() });
        }
        if folder.xattr(OPAQUE_XATTR).map_err(read)?.as_deref() == Some(b"y") {
            self.mark(name, joined(name, OPAQUE.as_bytes()))?;
        }
        for last in folder.list().map_err(read)? {
            let entry = name.join(&last);
            let failed = |source| PackError::Read { name: entry.clone(), source };
            // What was removed since is not there: who packs a tree that changes gets one of its states.
            let Some(stat) = folder.find(&last).map_err(failed)? else { continue };
            self.entry(&entry, folder, &last, &stat)?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &Name, folder: &Folder, last: &OsStr, stat: &Stat) -> Result<(), PackError> {
        if whiteout::is_mark(last) {
            return Err(PackError::Mark { name: name.clone() });
        }
        if is_whiteout(stat) {
            let parent = name.parent().unwrap_or_else(Name::root);
            return self.mark(name, joined(&parent, &whiteout::written(last)));
        }
        if let Some(id) = [stat.st_uid, stat.st_gid].into_iter().find(|id| u64::from(*id) > ID_MAX) {
            return Err(PackError::Owner { name: name.clone(), id });
        }
        let kind = FileType::from_raw_mode(stat.st_mode);
        let mut header = Header {
            path: path_of(name),
            mode: stat.st_mode & 0o7777,
            uid: stat.st_uid,
            gid: stat.st_gid,
            mtime: stat.st_mtime,
            ..Header::default()
        };
        if kind != FileType::Directory && stat.st_nlink > 1 && kind != FileType::Socket {
            let inode = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.first_names.get(&inode) {
                let header = Header { kind: b'1', link: first.clone(), ..header };
                return self.header(name, &header);
            }
            self.first_names.insert(inode, header.path.clone());
        }
        let failed = |source| PackError::Read { name: name.clone(), source };
        match kind {
            FileType::Directory => {
                header.kind = b'5';
                header.path.push(b'/');
                let directory = folder.enter(last).map_err(failed)?;
                header.xattrs = attributes(name, &folder.read(last).map_err(failed)?)?;
                self.header(name, &header)?;
                self.directory(name, &directory)
            }
            FileType::RegularFile => {
                let file = folder.read(last).map_err(failed)?;
                header.size = stat.st_size as u64;
                header.xattrs = attributes(name, &file)?;
                self.header(name, &header)?;
                self.content(name, file, header.size)
            }
            FileType::Symlink => {
                header.kind = b'2';
                header.link = folder.read_link(last).map_err(failed)?;
                self.header(name, &header)
            }
            FileType::Fifo => self.header(name, &Header { kind: b'6', ..header }),
            FileType::CharacterDevice => self.header(name, &Header { kind: b'3', device: Device::of(stat), ..header }),
            FileType::BlockDevice => self.header(name, &Header { kind: b'4', device: Device::of(stat), ..header }),
            // A socket without the process that listens is nothing.
            _ => Ok(()),
        }
    }

    /// A deletion: an empty file of a name that means one.
    fn mark(&mut self, name: &Name, path: Vec<u8>) -> Result<(), PackError> {
        self.header(name, &Header { path, ..Header::default() })
    }

    fn header(&mut self, name: &Name, header: &Header) -> Result<(), PackError> {
        self.entries += 1;
        header.write(&mut self.out).map_err(|source| PackError::Write { name: name.clone(), source })
    }

    fn content(&mut self, name: &Name, mut file: File, size: u64) -> Result<(), PackError> {
        let mut buffer = [0; COPY_BYTES];
        let mut left = size;
        while left > 0 {
            let part = &mut buffer[..left.min(COPY_BYTES as u64) as usize];
            let read = match file.read(part) {
                Ok(0) => return Err(PackError::Shrunk { name: name.clone() }),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(PackError::Read { name: name.clone(), source }),
            };
            self.out.write_all(&part[..read]).map_err(|source| PackError::Write { name: name.clone(), source })?;
            left -= read as u64;
        }
        fill_block(&mut self.out, size).map_err(|source| PackError::Write { name: name.clone(), source })
    }

    fn finish(mut self) -> io::Result<Packed> {
        write_end(&mut self.out)?;
        self.out.flush()?;
        let hashing = self.out.into_inner().map_err(|error| error.into_error())?;
        let diff_id = digest::hex(&hashing.hash.finalize());
        Ok(Packed { diff_id, size_bytes: hashing.bytes, entries: self.entries })
    }
}

/// Attributes that a layer keeps, sorted by name.
fn attributes(name: &Name, file: &File) -> Result<Vec<Xattr>, PackError> {
    let failed = |source: io::Error| PackError::Read { name: name.clone(), source };
    let mut kept = Vec::new();
    for (xattr, value) in beneath::attributes(file).map_err(failed)? {
        for reference in ["user.overlay.redirect", "user.overlay.metacopy"] {
            if xattr == reference {
                return Err(PackError::Redirect { name: name.clone(), xattr: reference });
            }
        }
        if is_kept_attribute(&xattr, &value) {
            kept.push((xattr, value));
        }
    }
    kept.sort();
    Ok(kept)
}

fn path_of(name: &Name) -> Vec<u8> {
    name.as_path().as_os_str().as_bytes().to_vec()
}

fn joined(parent: &Name, last: &[u8]) -> Vec<u8> {
    path_of(&parent.join(OsStr::from_bytes(last)))
}
