//! Archives as strangers write them, and the stage on which they are unpacked: a folder beside a canary.
//!
//! Owners, devices and attributes need root, as everywhere where layers are made.

mod blobs;
mod hostile;
mod layers;
mod mutated;
mod peers;
mod round;

use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tar::EntryType;

use super::limits::Limits;
use super::pack::{Packed, pack};
use super::unpack::{UnpackError, Unpacked, unpack};
use crate::image::beneath::{Name, Root};

/// Limits that a test reaches in no time.
const SMALL: Limits = Limits { bytes_max: 4 * 1024 * 1024, entries_max: 1_000, depth_max: 20 };

/// An archive that is being written, byte by byte as an attacker would.
#[derive(Default)]
struct Archive(Vec<u8>);

impl Archive {
    fn header(kind: EntryType, name: &str, link: &str, size: u64) -> tar::Header {
        let mut header = tar::Header::new_gnu();
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        header.set_entry_type(kind);
        header.set_size(size);
        header.set_mode(if kind == EntryType::Directory { 0o755 } else { 0o644 });
        header.set_uid(0);
        header.set_gid(0);
        header.set_mtime(1_000_000);
        header.set_cksum();
        header
    }

    fn raw(mut self, header: &tar::Header, content: &[u8]) -> Self {
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn file(self, name: &str, content: &str) -> Self {
        let header = Self::header(EntryType::Regular, name, "", content.len() as u64);
        self.raw(&header, content.as_bytes())
    }

    fn folder(self, name: &str) -> Self {
        self.raw(&Self::header(EntryType::Directory, name, "", 0), b"")
    }

    fn symlink(self, name: &str, target: &str) -> Self {
        self.raw(&Self::header(EntryType::Symlink, name, target, 0), b"")
    }

    fn hard_link(self, name: &str, target: &str) -> Self {
        self.raw(&Self::header(EntryType::Link, name, target, 0), b"")
    }

    fn fifo(self, name: &str) -> Self {
        self.raw(&Self::header(EntryType::Fifo, name, "", 0), b"")
    }

    fn device(self, name: &str, major: u32, minor: u32) -> Self {
        let mut header = Self::header(EntryType::Char, name, "", 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        header.set_cksum();
        self.raw(&header, b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut bytes = Vec::new();
        records.iter().for_each(|(key, value)| super::pax::push(&mut bytes, key, value));
        let header = Self::header(EntryType::XHeader, "pax", "", bytes.len() as u64);
        self.raw(&header, &bytes)
    }

    fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }
}

/// A folder to unpack into, beside a canary which must stay what it is whatever an archive says.
struct Stage {
    top: tempfile::TempDir,
}

impl Stage {
    fn new() -> Self {
        let top = tempfile::tempdir().unwrap();
        std::fs::create_dir(top.path().join("layer")).unwrap();
        std::fs::write(top.path().join("canary"), "alive").unwrap();
        Self { top }
    }

    fn root(&self) -> Root {
        Root::open(&self.path("")).unwrap()
    }

    fn path(&self, name: &str) -> PathBuf {
        self.top.path().join("layer").join(name)
    }

    fn unpack(&self, archive: &mut dyn std::io::Read, limits: Limits) -> Result<Unpacked, UnpackError> {
        let result = unpack(archive, &self.root(), limits);
        self.check_canary();
        if result.is_err() {
            let left: Vec<_> = std::fs::read_dir(self.path("")).unwrap().flatten().collect();
            assert!(left.is_empty(), "a refused archive left {left:?}");
        }
        result
    }

    fn check_canary(&self) {
        let canary = self.top.path().join("canary");
        assert_eq!(std::fs::read_to_string(&canary).unwrap(), "alive");
        assert_eq!(canary.metadata().unwrap().nlink(), 1);
        let beside: Vec<_> = std::fs::read_dir(self.top.path()).unwrap().flatten().map(|it| it.file_name()).collect();
        assert_eq!(beside.len(), 2, "something was written beside the layer: {beside:?}");
    }

    fn pack(&self) -> (Packed, Vec<u8>) {
        let mut bytes = Vec::new();
        let packed = pack(&self.root(), &mut bytes).unwrap();
        (packed, bytes)
    }

    /// What the canonical archive of the layer says, one entry a line.
    fn tree(&self) -> String {
        listed(&self.pack().1)
    }
}

fn unpacked(archive: Vec<u8>) -> (Stage, Unpacked) {
    let stage = Stage::new();
    let unpacked = stage.unpack(&mut &archive[..], SMALL).unwrap();
    (stage, unpacked)
}

/// The whole chain of an error, as people see it.
fn refused(archive: Vec<u8>) -> String {
    refused_of(&mut &archive[..], SMALL)
}

fn refused_of(archive: &mut dyn std::io::Read, limits: Limits) -> String {
    let error = Stage::new().unpack(archive, limits).unwrap_err();
    chain(&error)
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text += &format!(": {cause}");
        source = cause.source();
    }
    text
}

/// An archive in words: kind, mode, owner, size, time, name and what it leads to.
fn listed(archive: &[u8]) -> String {
    use super::entry::Kind;
    let mut lines = String::new();
    super::walk::walk::<super::walk::ArchiveError>(&mut &archive[..], Limits::LAYER, &mut |entry, content| {
        let kind = match &entry.kind {
            Kind::File => format!("file {}", content.bytes().unwrap().len()),
            Kind::Directory => "folder".into(),
            Kind::Symlink(target) => format!("link to {}", String::from_utf8_lossy(target)),
            Kind::HardLink(target) => format!("same as {}", String::from_utf8_lossy(target)),
            Kind::Fifo => "pipe".into(),
            Kind::Device(device) => format!("device {} {}", device.major, device.minor),
        };
        let (meta, name) = (entry.meta, entry.name.as_path().display());
        let attributes: String = entry.xattrs.iter().map(|(name, value)| format!(" {name}={value:02x?}")).collect();
        let time = meta.mtime.unwrap();
        lines += &format!("{name}: {kind}, {:o} {}:{} {time}{attributes}\n", meta.mode, meta.uid, meta.gid);
        Ok(())
    })
    .unwrap();
    lines
}

fn name(text: &str) -> Name {
    Name::of(text)
}

fn mode(path: &Path) -> u32 {
    path.symlink_metadata().unwrap().mode() & 0o7777
}
