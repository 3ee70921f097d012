//! A tar stream becomes files beneath a root.
//!
//! The `tar` crate only reads headers here; every name, size, owner and link is judged by us and every write goes through
//! [`Root`]. Entries are read in raw form, so that the long names and attributes which precede an entry are bounded too.

use std::io::{self, Read};

use tar::{Archive, EntryType, Header};

use super::beneath::{Meta, Name, NameError, Root, Xattr};

/// Ids above are not in any sandbox's range, so a file of such an owner would belong to nobody.
const ID_MAX: u64 = 65_535;

/// One extended header (long name, attributes). GNU and PAX names fit in PATH_MAX; the largest attribute is 64 KiB.
const EXTENSION_MAX_BYTES: u64 = 1024 * 1024;

/// How much one archive may hold. Over it, unpacking stops: a small archive can hold gigabytes of zeros.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    pub bytes_max: u64,
    pub entries_max: u64,
}

impl Limits {
    /// A package. The largest that a lesson needs (a Go toolchain) has 500 MB in 15,000 files.
    pub const PACKAGE: Limits = Limits { bytes_max: 2 * 1024 * 1024 * 1024, entries_max: 200_000 };

    /// The control part of a package, which is read into memory: names, sums and scripts.
    pub const CONTROL: Limits = Limits { bytes_max: 16 * 1024 * 1024, entries_max: 100 };
}

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
    #[error("cannot read the archive after {after}; it is damaged or not what its name says")]
    Read { after: String, source: io::Error },
    #[error("the name {name:?} is refused: {why}")]
    Name { name: String, why: NameError },
    #[error("cannot write {name}")]
    Write { name: Name, source: io::Error },
    #[error("{name} is a hard link to {target:?}, which is not in this archive before it")]
    Link { name: Name, target: String, source: io::Error },
    #[error("it holds more than {max} bytes; nothing of this size is an image's part")]
    Bytes { max: u64 },
    #[error("it holds more than {max} entries; nothing of this size is an image's part")]
    Entries { max: u64 },
    #[error("{name} belongs to id {id}; only 0 to {ID_MAX} exist in a sandbox")]
    Owner { name: Name, id: u64 },
    #[error("{name} is of kind {kind:?}, which is not supported")]
    Kind { name: String, kind: EntryType },
    #[error("an extended header of {size} bytes is longer than {EXTENSION_MAX_BYTES}")]
    Extension { size: u64 },
}

/// Unpacks a whole archive; `place` says for each name where it goes.
pub fn unpack(
    archive: impl Read,
    root: &Root,
    limits: Limits,
    place: &dyn Fn(&Name) -> Place,
) -> Result<Unpacked, UnpackError> {
    let mut unpacked = Unpacked::default();
    walk(archive, limits, &mut |entry, content| {
        let at = place(&entry.name);
        unpacked.names.push(entry.name.clone());
        let Place::At(name) = at else { return Ok(()) };
        write(root, &name, entry, content, place, &mut unpacked)
    })?;
    Ok(unpacked)
}

/// Reads the small files of an archive into memory, by name; for the control part of a package.
pub fn read_small(archive: impl Read, limits: Limits) -> Result<Vec<(Name, Vec<u8>)>, UnpackError> {
    let mut files = Vec::new();
    walk(archive, limits, &mut |entry, content| {
        if let Kind::File = entry.kind {
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(|source| read_error(&entry.name.to_string(), source))?;
            files.push((entry.name.clone(), bytes));
        }
        Ok(())
    })?;
    Ok(files)
}

/// An entry, judged.
struct Entry {
    name: Name,
    kind: Kind,
    meta: Meta,
    xattrs: Vec<Xattr>,
}

enum Kind {
    File,
    Directory,
    Symlink(Vec<u8>),
    HardLink(Vec<u8>),
    Fifo,
    Device,
}

type Visit<'a> = dyn FnMut(&Entry, &mut dyn Read) -> Result<(), UnpackError> + 'a;

fn walk(archive: impl Read, limits: Limits, visit: &mut Visit) -> Result<(), UnpackError> {
    let mut archive = Archive::new(archive);
    let mut budget = Budget { limits, bytes: 0, entries: 0 };
    let mut extension = Extension::default();
    let mut last = String::from("its beginning");
    for entry in archive.entries().map_err(|source| read_error(&last, source))?.raw(true) {
        let mut entry = entry.map_err(|source| read_error(&last, source))?;
        let size = entry.header().entry_size().map_err(|source| read_error(&last, source))?;
        budget.take(size)?;
        if extension.absorb(entry.header().entry_type(), size, &mut entry)? {
            continue;
        }
        let judged = judge(entry.header(), std::mem::take(&mut extension))?;
        visit(&judged, &mut entry)?;
        last = judged.name.to_string();
    }
    Ok(())
}

struct Budget {
    limits: Limits,
    bytes: u64,
    entries: u64,
}

impl Budget {
    /// Counts what the header *says*, before any of it is read: ten gigabytes of zeros are refused at once.
    fn take(&mut self, size: u64) -> Result<(), UnpackError> {
        self.entries += 1;
        self.bytes = self.bytes.saturating_add(size);
        if self.entries > self.limits.entries_max {
            return Err(UnpackError::Entries { max: self.limits.entries_max });
        }
        if self.bytes > self.limits.bytes_max {
            return Err(UnpackError::Bytes { max: self.limits.bytes_max });
        }
        Ok(())
    }
}

/// What the headers before an entry say about it: GNU's `L` and `K`, POSIX's `x` (tar(5)).
#[derive(Default)]
struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: Vec<Xattr>,
}

impl Extension {
    /// Takes in an entry that only describes the next one; false when it is a real one.
    fn absorb(&mut self, kind: EntryType, size: u64, content: &mut dyn Read) -> Result<bool, UnpackError> {
        if !(kind.is_gnu_longname() || kind.is_gnu_longlink() || kind.is_pax_local_extensions()) {
            // Global headers carry comments (git's commit id): nothing about a file.
            return Ok(kind.is_pax_global_extensions());
        }
        if size > EXTENSION_MAX_BYTES {
            return Err(UnpackError::Extension { size });
        }
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes).map_err(|source| read_error("an extended header", source))?;
        if kind.is_gnu_longname() {
            self.path = Some(until_zero(bytes));
        } else if kind.is_gnu_longlink() {
            self.link = Some(until_zero(bytes));
        } else {
            self.absorb_pax(&bytes)?;
        }
        Ok(true)
    }

    fn absorb_pax(&mut self, bytes: &[u8]) -> Result<(), UnpackError> {
        for record in tar::PaxExtensions::new(bytes) {
            let record = record.map_err(|source| read_error("an extended header", source))?;
            let Ok(key) = record.key() else { continue };
            let value = record.value_bytes();
            let number = || std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
            match key {
                "path" => self.path = Some(value.to_vec()),
                "linkpath" => self.link = Some(value.to_vec()),
                "uid" => self.uid = number(),
                "gid" => self.gid = number(),
                "mtime" => self.mtime = number_before_point(value),
                // Only needed above 8 GiB, which is over every limit; the header's own size is the one that is counted.
                "size" => {}
                _ => self.xattrs.extend(kept_attribute(key, value)),
            }
        }
        Ok(())
    }
}

/// Attributes that mean something in an image. Overlay's own (`trusted.overlay.*`, `user.overlay.*`) would let an archive
/// redirect names in the mounted image, and labels of security modules belong to the host they were written on.
fn kept_attribute(key: &str, value: &[u8]) -> Option<Xattr> {
    let name = key.strip_prefix("SCHILY.xattr.")?;
    let kept = name == "security.capability" || (name.starts_with("user.") && !name.starts_with("user.overlay."));
    kept.then(|| (name.to_owned(), value.to_vec()))
}

fn judge(header: &Header, extension: Extension) -> Result<Entry, UnpackError> {
    let path = extension.path.unwrap_or_else(|| header.path_bytes().into_owned());
    let name = Name::parse(&path).map_err(|why| UnpackError::Name { name: lossy(&path), why })?;
    let number = |read: io::Result<u64>| read.map_err(|source| read_error(&name.to_string(), source));
    let uid = extension.uid.map_or_else(|| number(header.uid()), Ok)?;
    let gid = extension.gid.map_or_else(|| number(header.gid()), Ok)?;
    if let Some(id) = [uid, gid].into_iter().find(|id| *id > ID_MAX) {
        return Err(UnpackError::Owner { name, id });
    }
    let mtime = extension.mtime.map_or_else(|| number(header.mtime()).map(|time| time as i64), Ok)?;
    let mode = header.mode().map_err(|source| read_error(&name.to_string(), source))? & 0o7777;
    let meta = Meta { mode, uid: uid as u32, gid: gid as u32, mtime: Some(mtime) };
    let link = extension.link.or_else(|| header.link_name_bytes().map(|bytes| bytes.into_owned()));
    let kind = kind_of(header.entry_type(), link, &path)?;
    Ok(Entry { name, kind, meta, xattrs: extension.xattrs })
}

fn kind_of(kind: EntryType, link: Option<Vec<u8>>, path: &[u8]) -> Result<Kind, UnpackError> {
    Ok(match kind {
        // In archives of the oldest kind a directory is a file whose name ends in a slash.
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link.unwrap_or_default()),
        EntryType::Link => Kind::HardLink(link.unwrap_or_default()),
        EntryType::Fifo => Kind::Fifo,
        EntryType::Char | EntryType::Block => Kind::Device,
        other => return Err(UnpackError::Kind { name: lossy(path), kind: other }),
    })
}

fn write(
    root: &Root,
    name: &Name,
    entry: &Entry,
    content: &mut dyn Read,
    place: &dyn Fn(&Name) -> Place,
    unpacked: &mut Unpacked,
) -> Result<(), UnpackError> {
    let failed = |source| UnpackError::Write { name: name.clone(), source };
    root.parents(name).map_err(failed)?;
    match &entry.kind {
        Kind::File => unpacked.bytes += root.file(name, entry.meta, &entry.xattrs, content).map_err(failed)?,
        Kind::Directory => {
            // Open to root until the caller dresses it, whatever its mode will be.
            root.directory(name, Meta { mode: 0o755, mtime: None, ..entry.meta }, &entry.xattrs).map_err(failed)?;
            unpacked.directories.push((name.clone(), entry.meta));
        }
        Kind::Symlink(target) => root.symlink(name, target, entry.meta).map_err(failed)?,
        Kind::HardLink(target) => hard_link(root, name, target, place)?,
        Kind::Fifo => root.fifo(name, entry.meta).map_err(failed)?,
        Kind::Device => unpacked.devices.push(name.clone()),
    }
    Ok(())
}

fn hard_link(root: &Root, name: &Name, target: &[u8], place: &dyn Fn(&Name) -> Place) -> Result<(), UnpackError> {
    let existing = Name::parse(target).map_err(|why| UnpackError::Name { name: lossy(target), why })?;
    let Place::At(existing) = place(&existing) else { return Ok(()) };
    root.hard_link(name, &existing).map_err(|source| UnpackError::Link {
        name: name.clone(),
        target: lossy(target),
        source,
    })
}

fn read_error(after: &str, source: io::Error) -> UnpackError {
    UnpackError::Read { after: after.to_owned(), source }
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn number_before_point(value: &[u8]) -> Option<i64> {
    std::str::from_utf8(value).ok()?.split('.').next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;
    use tar::Builder;

    const SMALL: Limits = Limits { bytes_max: 1024 * 1024, entries_max: 100 };

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

    #[test]
    fn attributes_that_steer_an_overlay_are_dropped() {
        assert!(kept_attribute("SCHILY.xattr.user.overlay.redirect", b"/etc").is_none());
        assert!(kept_attribute("SCHILY.xattr.trusted.overlay.opaque", b"y").is_none());
        assert!(kept_attribute("SCHILY.xattr.security.capability", b"x").is_some());
    }
}
