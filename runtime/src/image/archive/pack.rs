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
use std::collections::hash_map::Entry;
use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::os::unix::ffi::OsStrExt;

use rustix::fs::{FileType, Stat};

use super::entry::{ID_MAX, is_kept_attribute};
use super::header::{Header, fill_block, write_end};
use super::limits::DEPTH_MAX;
use super::unpack::is_whiteout;
use super::whiteout::{self, OPAQUE, OPAQUE_XATTR};
use crate::image::beneath::{self, Device, Folder, Name, Root, Xattr};
use crate::image::digest::{Digest, Hashing};

const COPY_BYTES: usize = 64 * 1024;

/// What was packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The digest of the archive.
    pub diff_id: Digest,
    /// Bytes of the archive.
    pub archive_bytes: u64,
    /// Bytes of the files' content, a file with several names counted once.
    pub bytes: u64,
    /// Files with a content of their own.
    pub files: u64,
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
    let mut packing = Packing::new(out);
    let top = Name::root();
    let folder = layer.folder(&top).map_err(|source| PackError::Read { name: top.clone(), source })?;
    directory(&mut packing, &top, &folder)?;
    packing.finish()
}

/// What is in a directory. It goes as deep as [`DEPTH_MAX`].
fn directory(packing: &mut Packing, name: &Name, folder: &Folder) -> Result<(), PackError> {
    let read = |source| PackError::Read { name: name.clone(), source };
    if name.depth() >= DEPTH_MAX {
        return Err(PackError::Depth { name: name.clone() });
    }
    if folder.xattr(OPAQUE_XATTR).map_err(read)?.as_deref() == Some(b"y") {
        packing.mark(name, OPAQUE.as_bytes())?;
    }
    for last in folder.list().map_err(read)? {
        let below = name.join(&last);
        let failed = |source| PackError::Read { name: below.clone(), source };
        // What was removed since is not there: who packs a tree that changes gets one of its states.
        let Some(stat) = folder.find(&last).map_err(failed)? else { continue };
        if is_whiteout(&stat) {
            packing.mark(name, &whiteout::written(&last))?;
        } else if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
            packing.directory_entry(&below, folder, &last, &stat)?;
            directory(packing, &below, &folder.enter(&last).map_err(failed)?)?;
        } else {
            packing.file_entry(&below, folder, &last, &stat)?;
        }
    }
    Ok(())
}

/// An archive that is being written.
pub(super) struct Packing<'a> {
    out: BufWriter<Hashing<&'a mut dyn Write>>,
    /// Of every file with several names, by device and inode: the name that has its content.
    first_names: HashMap<(u64, u64), Vec<u8>>,
    bytes: u64,
    files: u64,
    entries: u64,
}

impl<'a> Packing<'a> {
    pub(super) fn new(out: &'a mut dyn Write) -> Self {
        let out = BufWriter::with_capacity(COPY_BYTES, Hashing::new(out));
        Self { out, first_names: HashMap::new(), bytes: 0, files: 0, entries: 0 }
    }

    pub(super) fn finish(mut self) -> Result<Packed, PackError> {
        let failed = |source| PackError::Write { name: Name::root(), source };
        write_end(&mut self.out).and_then(|()| self.out.flush()).map_err(failed)?;
        let hashing = self.out.into_inner().map_err(|error| failed(error.into_error()))?;
        let (diff_id, archive_bytes, _) = hashing.finish();
        Ok(Packed { diff_id, archive_bytes, bytes: self.bytes, files: self.files, entries: self.entries })
    }

    /// A directory itself, without what is in it.
    pub(super) fn directory_entry(
        &mut self,
        name: &Name,
        folder: &Folder,
        last: &OsStr,
        stat: &Stat,
    ) -> Result<(), PackError> {
        let mut header = header_of(name, last, stat)?;
        header.kind = b'5';
        header.path.push(b'/');
        let opened = folder.read(last).map_err(|source| PackError::Read { name: name.clone(), source })?;
        header.xattrs = attributes(name, &opened)?;
        self.header(name, &header)
    }

    /// Anything but a directory or a whiteout.
    pub(super) fn file_entry(
        &mut self,
        name: &Name,
        folder: &Folder,
        last: &OsStr,
        stat: &Stat,
    ) -> Result<(), PackError> {
        let failed = |source| PackError::Read { name: name.clone(), source };
        let mut header = header_of(name, last, stat)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Socket {
            // Without the process that listens it is nothing.
            return Ok(());
        }
        if let Some(first) = self.first_name(&header, stat) {
            return self.header(name, &Header { kind: b'1', link: first, ..header });
        }
        match kind {
            FileType::RegularFile => {
                let file = folder.read(last).map_err(failed)?;
                header.size = stat.st_size as u64;
                header.xattrs = attributes(name, &file)?;
                self.header(name, &header)?;
                return self.content(name, file, header.size);
            }
            FileType::Symlink => {
                header.kind = b'2';
                header.link = folder.read_link(last).map_err(failed)?;
            }
            FileType::CharacterDevice => header.kind = b'3',
            FileType::BlockDevice => header.kind = b'4',
            _ => header.kind = b'6',
        }
        header.device = Device::of(stat);
        self.header(name, &header)
    }

    /// A deletion in the directory `parent`: an empty file of a name that means one.
    fn mark(&mut self, parent: &Name, last: &[u8]) -> Result<(), PackError> {
        let name = parent.join(OsStr::from_bytes(last));
        self.header(&name, &Header { path: path_of(&name), ..Header::default() })
    }

    /// Under which name a file with several is in the archive already.
    fn first_name(&mut self, header: &Header, stat: &Stat) -> Option<Vec<u8>> {
        if stat.st_nlink < 2 {
            return None;
        }
        match self.first_names.entry((stat.st_dev, stat.st_ino)) {
            Entry::Occupied(first) => Some(first.get().clone()),
            Entry::Vacant(vacant) => {
                vacant.insert(header.path.clone());
                None
            }
        }
    }

    fn header(&mut self, name: &Name, header: &Header) -> Result<(), PackError> {
        self.entries += 1;
        header.write(&mut self.out).map_err(|source| PackError::Write { name: name.clone(), source })
    }

    fn content(&mut self, name: &Name, mut file: File, size: u64) -> Result<(), PackError> {
        self.files += 1;
        self.bytes += size;
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
}

fn header_of(name: &Name, last: &OsStr, stat: &Stat) -> Result<Header, PackError> {
    if whiteout::is_mark(last) {
        return Err(PackError::Mark { name: name.clone() });
    }
    if let Some(id) = [stat.st_uid, stat.st_gid].into_iter().find(|id| u64::from(*id) > ID_MAX) {
        return Err(PackError::Owner { name: name.clone(), id });
    }
    Ok(Header {
        path: path_of(name),
        mode: stat.st_mode & 0o7777,
        uid: stat.st_uid,
        gid: stat.st_gid,
        mtime: stat.st_mtime,
        ..Header::default()
    })
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
