//! An entry of an archive, judged: a name that stays below, an owner that exists, a kind that we know.
//!
//! Everything here is decided from the headers alone; nothing is read or written.

use tar::{EntryType, Header};

use super::pax::{self, PaxError};
use super::sparse::{Records, SparseError};
use crate::image::beneath::{Device, Meta, Name, NameError, Xattr};

/// Ids above are not in any sandbox's range, so a file of such an owner would belong to nobody.
pub const ID_MAX: u64 = 65_535;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    pub name: Name,
    pub kind: Kind,
    pub meta: Meta,
    pub xattrs: Vec<Xattr>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    File,
    Directory,
    Symlink(Vec<u8>),
    /// The name of an earlier entry, as it stands in the archive.
    HardLink(Vec<u8>),
    Fifo,
    Device(Device),
}

/// Why an entry is refused.
#[derive(Debug, thiserror::Error)]
pub enum EntryError {
    #[error("the name {name:?} is refused: {why}")]
    Name { name: String, why: NameError },
    #[error("{name} belongs to id {id}; only 0 to {ID_MAX} exist in a sandbox")]
    Owner { name: Name, id: u64 },
    #[error("{name:?} is of kind {kind:?}, which is not supported")]
    Kind { name: String, kind: EntryType },
    #[error("{name:?} has no {field} that can be read")]
    Field { name: String, field: &'static str },
    #[error("an extended header does not read")]
    Pax(#[from] PaxError),
    #[error("an extended header describes a file with holes in a way that does not read")]
    Sparse(#[from] SparseError),
}

/// What the headers before an entry say about it: GNU's `L` and `K`, POSIX's `x` (tar(5)).
#[derive(Debug, Default)]
pub struct Extension {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    uid: Option<Vec<u8>>,
    gid: Option<Vec<u8>>,
    mtime: Option<Vec<u8>>,
    size: Option<Vec<u8>>,
    xattrs: Vec<Xattr>,
    pub sparse: Records,
    /// How long these headers are together.
    pub bytes: u64,
}

impl Extension {
    pub fn absorb_long_name(&mut self, bytes: Vec<u8>) {
        self.path = Some(until_zero(bytes));
    }

    pub fn absorb_long_link(&mut self, bytes: Vec<u8>) {
        self.link = Some(until_zero(bytes));
    }

    pub fn absorb_pax(&mut self, bytes: &[u8]) -> Result<(), EntryError> {
        for record in pax::parse(bytes) {
            let (key, value) = record?;
            // An empty value takes an earlier one back.
            let text = Some(value.to_vec()).filter(|value| !value.is_empty());
            match key {
                "path" | "GNU.sparse.name" => self.path = text,
                "linkpath" => self.link = text,
                "uid" => self.uid = text,
                "gid" => self.gid = text,
                "mtime" => self.mtime = text,
                "size" => self.size = text,
                _ => match key.strip_prefix("GNU.sparse.") {
                    Some(key) => self.sparse.absorb(key, value)?,
                    None => self.xattrs.extend(kept_record(key, value)),
                },
            }
        }
        Ok(())
    }

    /// How many bytes follow the header in the archive. A link or a device has none, whatever its header says: some
    /// writers put the size of the file there that it leads to.
    pub fn stored_bytes(&self, header: &Header) -> Result<u64, EntryError> {
        let field =
            |value: Option<u64>| value.ok_or_else(|| EntryError::Field { name: self.shown(header), field: "size" });
        match header.entry_type() {
            EntryType::Link
            | EntryType::Symlink
            | EntryType::Char
            | EntryType::Block
            | EntryType::Directory
            | EntryType::Fifo => Ok(0),
            _ => field(match &self.size {
                Some(size) => decimal(size),
                None => header.entry_size().ok(),
            }),
        }
    }

    /// The entry that a header and those before it describe.
    pub fn judge(self, header: &Header) -> Result<Entry, EntryError> {
        let shown = self.shown(header);
        let path = self.path.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = match is_root(&path) {
            true => Name::root(),
            false => Name::parse(&path).map_err(|why| EntryError::Name { name: shown.clone(), why })?,
        };
        let field = |field| move || EntryError::Field { name: shown.clone(), field };
        let id = |record: Option<Vec<u8>>, header: std::io::Result<u64>| match record {
            Some(record) => decimal(&record),
            None => header.ok(),
        };
        let uid = id(self.uid, header.uid()).ok_or_else(field.clone()("owner"))?;
        let gid = id(self.gid, header.gid()).ok_or_else(field.clone()("group"))?;
        if let Some(id) = [uid, gid].into_iter().find(|id| *id > ID_MAX) {
            return Err(EntryError::Owner { name, id });
        }
        let mtime = match &self.mtime {
            Some(record) => whole_seconds(record),
            // Negative ones are in GNU's binary form, which is two's complement.
            None => header.mtime().ok().map(|time| time as i64),
        };
        let mtime = mtime.ok_or_else(field.clone()("time"))?;
        let mode = header.mode().ok().ok_or_else(field.clone()("mode"))? & 0o7777;
        let link = self.link.or_else(|| header.link_name_bytes().map(|bytes| bytes.into_owned()));
        let kind = kind_of(header, link, &path)?;
        let meta = Meta { mode, uid: uid as u32, gid: gid as u32, mtime: Some(mtime) };
        Ok(Entry { name, kind, meta, xattrs: self.xattrs })
    }

    fn shown(&self, header: &Header) -> String {
        match &self.path {
            Some(path) => lossy(path),
            None => lossy(&header.path_bytes()),
        }
    }
}

/// `/`, as umoci calls a layer's own folder; `.` and `./`, as GNU tar does, are names like others. Of any other name that
/// begins with a slash those tools, and Docker, drop the slash. No layer that we know has one, and where it comes it is
/// as likely a mistake as an attempt: it is refused.
fn is_root(path: &[u8]) -> bool {
    path.first() == Some(&b'/') && path.split(|byte| *byte == b'/').all(|part| part.is_empty() || part == b".")
}

fn kind_of(header: &Header, link: Option<Vec<u8>>, path: &[u8]) -> Result<Kind, EntryError> {
    Ok(match header.entry_type() {
        // In archives of the oldest kind a directory is a file whose name ends in a slash.
        EntryType::Regular | EntryType::Continuous if path.ends_with(b"/") => Kind::Directory,
        EntryType::Regular | EntryType::Continuous | EntryType::GNUSparse => Kind::File,
        EntryType::Directory => Kind::Directory,
        EntryType::Symlink => Kind::Symlink(link.unwrap_or_default()),
        EntryType::Link => Kind::HardLink(link.unwrap_or_default()),
        EntryType::Fifo => Kind::Fifo,
        kind @ (EntryType::Char | EntryType::Block) => {
            let number = |field: std::io::Result<Option<u32>>| field.ok().map(Option::unwrap_or_default);
            let (major, minor) = (number(header.device_major()), number(header.device_minor()));
            let (Some(major), Some(minor)) = (major, minor) else {
                return Err(EntryError::Field { name: lossy(path), field: "device number" });
            };
            Kind::Device(Device { block: kind == EntryType::Block, major, minor })
        }
        kind => return Err(EntryError::Kind { name: lossy(path), kind }),
    })
}

/// The prefix of extended attributes in extended headers: star's, which everybody took over.
pub const XATTR_PREFIX: &str = "SCHILY.xattr.";

fn kept_record(key: &str, value: &[u8]) -> Option<Xattr> {
    let name = key.strip_prefix(XATTR_PREFIX)?;
    is_kept_attribute(name, value).then(|| (name.to_owned(), value.to_vec()))
}

/// Attributes that mean something in an image. Overlay's own (`trusted.overlay.*`, `user.overlay.*`) would let an archive
/// redirect names in the mounted image, and labels of security modules belong to the host they were written on.
pub fn is_kept_attribute(name: &str, value: &[u8]) -> bool {
    match name {
        "security.capability" => true,
        "system.posix_acl_access" | "system.posix_acl_default" => is_acl_of_a_sandbox(value),
        _ => name.starts_with("user.") && !name.starts_with("user.overlay."),
    }
}

/// An access control list as the kernel takes it (acl(5), linux/posix_acl_xattr.h): a version, then entries of a tag, a
/// permission and an id, which is all ones where the tag says who.
fn is_acl_of_a_sandbox(value: &[u8]) -> bool {
    let Some((version, entries)) = value.split_first_chunk::<4>() else { return false };
    let id = |entry: &[u8]| u32::from_le_bytes([entry[4], entry[5], entry[6], entry[7]]);
    let exists = |entry: &[u8]| id(entry) == u32::MAX || u64::from(id(entry)) <= ID_MAX;
    *version == 2_u32.to_le_bytes() && entries.len() % 8 == 0 && entries.chunks_exact(8).all(exists)
}

/// The name that a hard link of an archive leads to.
pub fn link_target(target: &[u8]) -> Result<Name, EntryError> {
    Name::parse(target).map_err(|why| EntryError::Name { name: lossy(target), why })
}

pub fn lossy(bytes: &[u8]) -> String {
    /// An error is read by people: the beginning of a name of thousands of bytes tells which it is.
    const SHOWN_BYTES: usize = 300;
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN_BYTES)]).into_owned();
    if bytes.len() > SHOWN_BYTES {
        text.push('…');
    }
    text
}

fn until_zero(mut bytes: Vec<u8>) -> Vec<u8> {
    if let Some(end) = bytes.iter().position(|byte| *byte == 0) {
        bytes.truncate(end);
    }
    bytes
}

fn decimal(value: &[u8]) -> Option<u64> {
    std::str::from_utf8(value).ok()?.parse().ok()
}

/// Seconds with a fraction, rounded down: half a second before 1970 is in the second -1.
fn whole_seconds(value: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(value).ok()?;
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    if !fraction.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let seconds: i64 = whole.parse().ok()?;
    let rounds_down = whole.starts_with('-') && fraction.bytes().any(|byte| byte != b'0');
    seconds.checked_sub(i64::from(rounds_down))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(kind: EntryType) -> Header {
        let mut header = Header::new_gnu();
        header.set_path("short").unwrap();
        header.set_entry_type(kind);
        header.set_mode(0o100_644);
        header.set_uid(1);
        header.set_gid(2);
        header.set_mtime(3);
        header.set_size(4);
        header
    }

    fn pax(records: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = Vec::new();
        records.iter().for_each(|(key, value)| pax::push(&mut bytes, key, value));
        bytes
    }

    fn check(records: &[(&str, &[u8])]) -> Result<Entry, EntryError> {
        let mut extension = Extension::default();
        extension.absorb_pax(&pax(records))?;
        extension.judge(&header(EntryType::Regular))
    }

    #[test]
    fn an_extended_header_wins_over_the_plain_one() {
        let plain = check(&[]).unwrap();
        assert_eq!(plain.name, Name::of("short"));
        assert_eq!(plain.meta, Meta { mode: 0o644, uid: 1, gid: 2, mtime: Some(3) });
        let records: [(&str, &[u8]); 5] =
            [("path", b"long/name"), ("uid", b"100"), ("gid", b"200"), ("mtime", b"1700000000.987"), ("comment", b"x")];
        let entry = check(&records).unwrap();
        assert_eq!(entry.name, Name::of("long/name"));
        assert_eq!(entry.meta, Meta { mode: 0o644, uid: 100, gid: 200, mtime: Some(1_700_000_000) });
        assert_eq!(check(&[("path", b"other"), ("path", b"")]).unwrap().name, Name::of("short"));
    }

    #[test]
    fn times_before_1970_are_rounded_down_and_others_are_refused() {
        let mtime = |text: &str| check(&[("mtime", text.as_bytes())]).map(|entry| entry.meta.mtime.unwrap());
        assert_eq!(mtime("-1").unwrap(), -1);
        assert_eq!(mtime("-0.5").unwrap(), -1);
        assert_eq!(mtime("-1.0").unwrap(), -1);
        for nonsense in ["now", "1e9", "1.x", "99999999999999999999"] {
            assert_eq!(mtime(nonsense).unwrap_err().to_string(), "\"short\" has no time that can be read");
        }
    }

    #[test]
    fn an_owner_outside_a_sandbox_is_refused() {
        let error = check(&[("uid", b"70000")]).unwrap_err();
        assert_eq!(error.to_string(), "/short belongs to id 70000; only 0 to 65535 exist in a sandbox");
        assert!(check(&[("gid", b"-1")]).unwrap_err().to_string().contains("no group"));
    }

    #[test]
    fn a_link_has_no_content_whatever_its_header_says() {
        let extension = Extension::default();
        assert_eq!(extension.stored_bytes(&header(EntryType::Link)).unwrap(), 0);
        assert_eq!(extension.stored_bytes(&header(EntryType::Regular)).unwrap(), 4);
        let mut large = Extension::default();
        large.absorb_pax(&pax(&[("size", b"9000000000")])).unwrap();
        assert_eq!(large.stored_bytes(&header(EntryType::Regular)).unwrap(), 9_000_000_000);
    }

    #[test]
    fn attributes_that_steer_an_overlay_or_belong_to_a_host_are_dropped() {
        assert!(!is_kept_attribute("user.overlay.redirect", b"/etc"));
        assert!(!is_kept_attribute("trusted.overlay.opaque", b"y"));
        assert!(!is_kept_attribute("trusted.anything", b"y"));
        assert!(!is_kept_attribute("security.selinux", b"system_u"));
        assert!(is_kept_attribute("security.capability", b"x"));
        assert!(is_kept_attribute("user.comment", b"x"));
    }

    #[test]
    fn an_access_control_list_is_kept_when_its_ids_exist_in_a_sandbox() {
        let list = |ids: &[u32]| {
            let mut value = 2_u32.to_le_bytes().to_vec();
            for id in ids {
                value.extend([2, 0, 7, 0]);
                value.extend(id.to_le_bytes());
            }
            value
        };
        assert!(is_kept_attribute("system.posix_acl_access", &list(&[1000, u32::MAX])));
        assert!(!is_kept_attribute("system.posix_acl_access", &list(&[100_000])));
        assert!(!is_kept_attribute("system.posix_acl_access", b"\x02\0\0\0abc"));
        assert!(!is_kept_attribute("system.posix_acl_access", b""));
    }
}
