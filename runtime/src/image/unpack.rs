//! A package's tar stream becomes files beneath a root.
//!
//! Every package of an image is unpacked into the same root, side by side with others, so nothing is replaced: what two
//! packages hold is an error. How a layer is unpacked, where the last entry wins, is in [`archive`](super::archive), which
//! also reads and judges the entries for both.

use std::io::{self, Read};

use super::archive::entry::{Entry, Kind, link_target, lossy};
use super::archive::limits::Limits;
use super::archive::walk::{ArchiveError, Content, walk};
use super::beneath::{Meta, Name, Root};

/// Where an entry goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    At(Name),
    /// Read past and not written.
    Nowhere,
}

/// What was unpacked.
#[derive(Debug, Default)]
pub struct Unpacked {
    /// Every name of the archive in its order, as it stands there.
    pub names: Vec<Name>,
    /// Directories with their metadata, at their places. They are dressed by the caller, last: writing into a directory
    /// changes its time, and several archives name the same one.
    pub directories: Vec<(Name, Meta)>,
    pub bytes: u64,
    /// Device nodes that were left out: a sandbox brings its own /dev and can make none.
    pub devices: Vec<Name>,
}

#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    #[error(transparent)]
    Archive(#[from] ArchiveError),
    #[error("cannot write {name}")]
    Write { name: Name, source: io::Error },
    #[error("{name} is a hard link to {target:?}, which is not in this archive before it")]
    Link { name: Name, target: String, source: io::Error },
}

/// Unpacks a whole archive; `place` says for each name where it goes.
pub fn unpack(
    mut archive: impl Read,
    root: &Root,
    limits: Limits,
    place: &dyn Fn(&Name) -> Place,
) -> Result<Unpacked, UnpackError> {
    let mut unpacked = Unpacked::default();
    walk::<UnpackError>(&mut archive, limits, &mut |entry, content| {
        let at = place(&entry.name);
        unpacked.names.push(entry.name.clone());
        let Place::At(name) = at else { return Ok(()) };
        write(root, &name, entry, content, place, &mut unpacked)
    })?;
    Ok(unpacked)
}

/// Reads the small files of an archive into memory, by name; for the control part of a package.
pub fn read_small(mut archive: impl Read, limits: Limits) -> Result<Vec<(Name, Vec<u8>)>, UnpackError> {
    let mut files = Vec::new();
    walk::<UnpackError>(&mut archive, limits, &mut |entry, content| {
        if let Kind::File = entry.kind {
            let bytes = content.bytes().map_err(|source| UnpackError::Write { name: entry.name.clone(), source })?;
            files.push((entry.name.clone(), bytes));
        }
        Ok(())
    })?;
    Ok(files)
}

fn write(
    root: &Root,
    name: &Name,
    entry: &Entry,
    content: &mut Content,
    place: &dyn Fn(&Name) -> Place,
    unpacked: &mut Unpacked,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Write { name: name.clone(), source };
    root.parents(name).map_err(failed)?;
    match &entry.kind {
        Kind::File => {
            let write = |file: &mut std::fs::File| content.write_to(file);
            unpacked.bytes += root.file_with(name, entry.meta, &entry.xattrs, write).map_err(failed)?;
        }
        Kind::Directory => {
            // Open to root until the caller dresses it, whatever its mode will be.
            root.directory(name, Meta { mode: 0o755, mtime: None, ..entry.meta }, &entry.xattrs).map_err(failed)?;
            unpacked.directories.push((name.clone(), entry.meta));
        }
        Kind::Symlink(target) => root.symlink(name, target, entry.meta).map_err(failed)?,
        Kind::HardLink(target) => hard_link(root, name, target, place)?,
        Kind::Fifo => root.fifo(name, entry.meta).map_err(failed)?,
        Kind::Device(_) => unpacked.devices.push(name.clone()),
    }
    Ok(())
}

fn hard_link(root: &Root, name: &Name, target: &[u8], place: &dyn Fn(&Name) -> Place) -> Result<(), UnpackError> {
    let existing = link_target(target).map_err(ArchiveError::Entry)?;
    let Place::At(existing) = place(&existing) else { return Ok(()) };
    root.hard_link(name, &existing).map_err(|source| UnpackError::Link {
        name: name.clone(),
        target: lossy(target),
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tar::{Builder, EntryType, Header};

    const SMALL: Limits = Limits { bytes_max: 1024 * 1024, entries_max: 100, depth_max: 20 };

    /// Unpacks into an empty folder beside a `canary`; the canary must stay as it is whatever the archive says.
    fn check(archive: Vec<u8>) -> (Result<Unpacked, UnpackError>, tempfile::TempDir) {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("image")).unwrap();
        std::fs::write(top.path().join("canary"), "alive").unwrap();
        let root = Root::open(&top.path().join("image")).unwrap();
        let result = unpack(&archive[..], &root, SMALL, &|name| Place::At(name.clone()));
        assert_eq!(std::fs::read_to_string(top.path().join("canary")).unwrap(), "alive");
        let beside: Vec<_> = std::fs::read_dir(top.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(beside.len(), 2, "something was written beside the image: {beside:?}");
        (result, top)
    }

    fn refused(archive: Vec<u8>) -> String {
        let error = check(archive).0.unwrap_err();
        let source = std::error::Error::source(&error).map(|source| format!(": {source}")).unwrap_or_default();
        format!("{error}{source}")
    }

    /// A header as an attacker writes it: the bytes of the name as they are.
    fn header(name: &str, kind: EntryType, size: u64) -> Header {
        let mut header = Header::new_gnu();
        header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(0o644);
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1);
        header.set_cksum();
        header
    }

    fn link(name: &str, kind: EntryType, target: &str) -> Header {
        let mut header = header(name, kind, 0);
        header.set_link_name_literal(target).unwrap();
        header.set_cksum();
        header
    }

    fn archive(entries: &[(Header, &[u8])]) -> Vec<u8> {
        let mut builder = Builder::new(Vec::new());
        for (header, content) in entries {
            builder.append(header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    fn file(name: &str, content: &'static str) -> (Header, &'static [u8]) {
        (header(name, EntryType::Regular, content.len() as u64), content.as_bytes())
    }

    #[test]
    fn an_ordinary_archive_keeps_modes_links_and_times() {
        use std::os::unix::fs::MetadataExt;
        let mut suid = header("./usr/bin/su", EntryType::Regular, 2);
        suid.set_mode(0o4755);
        suid.set_cksum();
        let (result, top) = check(archive(&[
            (suid, b"su"),
            (link("usr/bin/su2", EntryType::Link, "./usr/bin/su"), b""),
            (link("usr/bin/vi", EntryType::Symlink, "/etc/alternatives/vi"), b""),
            (header("usr/share/", EntryType::Directory, 0), b""),
        ]));
        let unpacked = result.unwrap();
        assert_eq!(unpacked.names.len(), 4);
        assert_eq!(unpacked.bytes, 2);
        let su = std::fs::metadata(top.path().join("image/usr/bin/su")).unwrap();
        assert_eq!((su.mode() & 0o7777, su.nlink(), su.mtime()), (0o4755, 2, 1));
        let vi = std::fs::read_link(top.path().join("image/usr/bin/vi")).unwrap();
        assert_eq!(vi, Path::new("/etc/alternatives/vi"));
    }

    #[test]
    fn names_that_lead_out_are_refused() {
        assert!(refused(archive(&[file("/canary", "dead")])).contains("begins with /"));
        assert!(refused(archive(&[file("../canary", "dead")])).contains(".."));
        assert!(refused(archive(&[file("a/../../canary", "dead")])).contains(".."));
    }

    #[test]
    fn a_link_is_never_written_through() {
        let through = archive(&[(link("way", EntryType::Symlink, ".."), b""), file("way/canary", "dead")]);
        assert!(refused(through).contains("symbolic link"));
        let onto = archive(&[(link("way", EntryType::Symlink, "../canary"), b""), file("way", "dead")]);
        assert!(refused(onto).contains("cannot write /way"));
        let directory =
            archive(&[(link("way", EntryType::Symlink, ".."), b""), (header("way/", EntryType::Directory, 0), b"")]);
        assert!(refused(directory).contains("cannot write /way"));
    }

    #[test]
    fn a_hard_link_reaches_only_files_of_the_image() {
        assert!(refused(archive(&[(link("hard", EntryType::Link, "../canary"), b"")])).contains(".."));
        assert!(refused(archive(&[(link("hard", EntryType::Link, "/canary"), b"")])).contains("begins with /"));
        let behind = archive(&[
            (link("way", EntryType::Symlink, ".."), b""),
            (link("hard", EntryType::Link, "way/canary"), b""),
        ]);
        assert!(refused(behind).contains("hard link"));
        let onto_link = archive(&[
            (link("way", EntryType::Symlink, "../canary"), b""),
            (link("hard", EntryType::Link, "way"), b""),
        ]);
        assert!(refused(onto_link).contains("no regular file"));
    }

    #[test]
    fn devices_are_left_out_and_counted() {
        let mut device = header("dev/mem", EntryType::Char, 0);
        device.set_device_major(1).unwrap();
        device.set_device_minor(1).unwrap();
        device.set_cksum();
        let (result, top) = check(archive(&[(device, b"")]));
        assert_eq!(result.unwrap().devices, [Name::of("dev/mem")]);
        assert!(!top.path().join("image/dev/mem").exists());
    }

    #[test]
    fn gigabytes_of_zeros_are_refused_before_they_are_read() {
        let mut bytes = header("zeros", EntryType::Regular, 8 << 30).as_bytes().to_vec();
        bytes.extend([0; 4096]);
        assert!(refused(bytes).contains("more than 1048576 bytes"));
    }

    #[test]
    fn a_million_entries_are_refused() {
        let entries: Vec<_> =
            (0..200).map(|number| (header(&format!("f{number}"), EntryType::Regular, 0), &b""[..])).collect();
        assert!(refused(archive(&entries)).contains("more than 100 entries"));
    }

    #[test]
    fn a_long_name_is_bounded_and_an_owner_outside_is_refused() {
        let long = header("././@LongLink", EntryType::GNULongName, 1 << 40);
        assert!(refused(long.as_bytes().to_vec()).contains("more than 1048576 bytes"));
        let mut foreign = header("f", EntryType::Regular, 0);
        foreign.set_uid(70_000);
        foreign.set_cksum();
        assert!(refused(archive(&[(foreign, b"")])).contains("id 70000"));
    }

    #[test]
    fn a_damaged_archive_says_after_which_file() {
        let mut bytes = archive(&[file("good", "x"), file("bad", "y")]);
        bytes[1024] ^= 0xff;
        assert!(refused(bytes).contains("after /good"));
    }
}
