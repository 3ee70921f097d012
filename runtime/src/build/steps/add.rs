//! What `ADD` does and `COPY` does not: archives are unpacked, and URLs fetched.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Seek};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::FileType;

use super::copy::Copied;
use super::copy::target::{Opened, open_or_make};
use super::error::StepError;
use super::owner::Owner;
use crate::container::in_root::InRoot;
use crate::image::archive::compression::decompress;
use crate::image::archive::entry::{Entry, Kind};
use crate::image::archive::limits::Limits;
use crate::image::archive::walk::{ArchiveError, Content, walk};
use crate::image::beneath::{Device, Folder, Meta, Name};

/// A tar header (tar(5)).
pub const HEADER_BYTES: usize = 512;

/// Whether a file is an archive that is unpacked. Told by its content, never by its name: by a first header whose sum is
/// right, as Docker does it.
pub fn is_archive(file: &mut File, path: &str) -> Result<bool, StepError> {
    let failed = |source: io::Error| StepError::Unpack { path: path.to_owned(), source: source.into() };
    file.rewind().map_err(failed)?;
    let mut first = [0; 10];
    let count = file.read(&mut first).map_err(failed)?;
    refuse_bzip2(&first[..count], path)?;
    file.rewind().map_err(failed)?;
    let mut header = Vec::new();
    let read = decompress(&mut *file).and_then(|plain| plain.take(HEADER_BYTES as u64).read_to_end(&mut header));
    file.rewind().map_err(failed)?;
    // What does not decompress is no archive, and is copied.
    Ok(read.is_ok() && is_header(&header))
}

/// Whether these bytes are a header whose sum is right.
pub fn is_header(bytes: &[u8]) -> bool {
    let is_one = bytes.len() == HEADER_BYTES && bytes.iter().any(|byte| *byte != 0);
    is_one && {
        let others = bytes[..148].iter().chain(&bytes[156..]).map(|byte| u32::from(*byte)).sum::<u32>() + 8 * 32;
        tar::Header::from_byte_slice(bytes).cksum().is_ok_and(|sum| sum == others)
    }
}

/// What Docker would unpack and we cannot is an error, not a file of another kind.
pub fn refuse_bzip2(first: &[u8], path: &str) -> Result<(), StepError> {
    // A block of bzip2 begins with the digits of pi.
    if first.starts_with(b"BZh") && first.get(4..10) == Some(b"1AY&SY") {
        let why = format!(
            "cannot unpack {path:?}: it is compressed with bzip2, which is not supported; compress it with gzip, xz or \
             zstd, or take it as it is with COPY"
        );
        return Err(StepError::Refused(why));
    }
    Ok(())
}

/// How an archive is unpacked.
pub struct Unpacking {
    /// Of everything, instead of the archive's own.
    pub owner: Option<Owner>,
    /// Of folders that no entry describes.
    pub implied: Meta,
    pub epoch: Option<i64>,
    pub limits: Limits,
}

#[derive(Debug, thiserror::Error)]
enum UnpackError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("cannot write {name}")]
    Write { name: Name, source: io::Error },
    #[error("{name} is a hard link to {target:?}, which is not there")]
    LinkTarget { name: Name, target: String },
}

/// Unpacks an archive into a folder of the image. That folder is `/` for every link that the archive or the image has in
/// it, so nothing is written elsewhere.
pub fn unpack(
    archive: impl Read + Send,
    path: &str,
    folder: &Opened,
    root: &InRoot,
    how: &Unpacking,
    copied: &mut Copied,
) -> Result<(), StepError> {
    let failed = |error: UnpackError| StepError::Unpack { path: path.to_owned(), source: error.into() };
    let unread = |source| StepError::Unpack { path: path.to_owned(), source: Box::<io::Error>::new(source) };
    let mut plain = decompress(archive).map_err(unread)?;
    let inside = InRoot::of(root.find_directory(folder.name.as_path()).map_err(unread)?);
    let mut target = Target { root: &inside, how, turned_to: None, copied };
    walk(&mut plain, how.limits, &mut |entry, content| target.entry(entry, content)).map_err(failed)?;
    target.turn_from().map_err(unread)
}

struct Target<'a> {
    root: &'a InRoot,
    how: &'a Unpacking,
    /// The folder that was written into last, by the name that the archive has for it.
    turned_to: Option<(Name, Opened)>,
    copied: &'a mut Copied,
}

impl Target<'_> {
    fn entry(&mut self, entry: &Entry, content: &mut Content) -> Result<(), UnpackError> {
        let name = &entry.name;
        let failed = |source| UnpackError::Write { name: name.clone(), source };
        // The folder itself is as it is.
        let (Some(parent), Some(last)) = (name.parent(), name.last()) else { return Ok(()) };
        let meta = self.meta(entry.meta);
        if let Kind::HardLink(target) = &entry.kind {
            let missing =
                || UnpackError::LinkTarget { name: name.clone(), target: String::from_utf8_lossy(target).into() };
            let existing = Name::parse(target).map_err(|_| missing())?;
            let (Some(from), Some(from_last)) = (existing.parent(), existing.last()) else { return Err(missing()) };
            if existing == *name {
                return Ok(());
            }
            let from = self.root.find_directory(from.as_path()).map(Folder::new).map_err(|_| missing())?;
            from.find(from_last).map_err(failed)?.ok_or_else(missing)?;
            let to = self.turn_to(parent).map_err(failed)?;
            return to.remove(last).and_then(|()| to.hard_link(last, &from, from_last)).map_err(failed);
        }
        self.copied.entries += 1;
        let to = self.turn_to(parent).map_err(failed)?;
        let is_folder = |folder: &Folder| -> io::Result<bool> {
            Ok(folder.find(last)?.is_some_and(|it| FileType::from_raw_mode(it.st_mode) == FileType::Directory))
        };
        let mut bytes = 0;
        let mut write = || -> io::Result<bool> {
            if !(entry.kind == Kind::Directory && is_folder(to)?) {
                to.remove(last)?;
            }
            match &entry.kind {
                Kind::File => bytes = to.file(last, meta, &entry.xattrs, |file| content.write_to(file))?,
                Kind::Directory => to.directory(last, meta, &entry.xattrs)?,
                Kind::Symlink(target) => to.symlink(last, target, meta)?,
                Kind::Fifo => to.fifo(last, meta)?,
                // It would be a deletion in disguise.
                Kind::Device(Device::WHITEOUT) => return Ok(false),
                Kind::Device(device) => match to.device(last, *device, meta) {
                    // A user namespace allows none.
                    Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Ok(false),
                    made => made?,
                },
                Kind::HardLink(_) => {}
            }
            Ok(true)
        };
        let written = write().map_err(failed)?;
        self.copied.bytes += bytes;
        if !written {
            self.copied.left_out += 1;
            self.copied.left_out_first.push(name.as_path().display().to_string());
            self.copied.left_out_first.truncate(20);
        }
        Ok(())
    }

    /// Folders on the way are made, links followed inside.
    fn turn_to(&mut self, parent: Name) -> io::Result<&Folder> {
        if self.turned_to.as_ref().is_none_or(|(name, _)| *name != parent) {
            self.turn_from()?;
            let opened = open_or_make(self.root, &Path::new("/").join(parent.as_path()), self.how.implied)?;
            self.turned_to = Some((parent, opened));
        }
        Ok(&self.turned_to.as_ref().expect("it was turned to above").1.folder)
    }

    fn turn_from(&mut self) -> io::Result<()> {
        self.turned_to.take().map_or(Ok(()), |(_, opened)| opened.leave())
    }

    fn meta(&self, meta: Meta) -> Meta {
        let Owner { uid, gid } = self.how.owner.unwrap_or(Owner { uid: meta.uid, gid: meta.gid });
        let mtime = match (meta.mtime, self.how.epoch) {
            (Some(time), Some(epoch)) => Some(time.min(epoch)),
            (time, _) => time,
        };
        Meta { uid, gid, mtime, ..meta }
    }
}

/// What a fetched file is called: the last part of the URL's path, as Docker has it.
pub fn name_of(url: &str) -> &OsStr {
    let path = url.split(['?', '#']).next().unwrap_or(url);
    let path = path.split_once("://").map_or(path, |(_, rest)| rest.split_once('/').map_or("", |(_, path)| path));
    let name = path.trim_end_matches('/').rsplit('/').next().unwrap_or_default();
    OsStr::from_bytes(if name.is_empty() || name == "." || name == ".." { b"__unnamed__" } else { name.as_bytes() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetched_file_is_called_as_the_end_of_its_path() {
        for (url, name) in [
            ("https://example.com/a/b.tar.gz", "b.tar.gz"),
            ("https://example.com/a/?x=/y", "a"),
            ("https://example.com", "__unnamed__"),
            ("https://example.com/", "__unnamed__"),
            ("http://example.com/a/..#z", "__unnamed__"),
        ] {
            assert_eq!(name_of(url), OsStr::new(name), "{url}");
        }
    }
}
