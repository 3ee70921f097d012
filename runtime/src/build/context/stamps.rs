//! Digests of files that have been read before, and how one knows that they still hold.
//!
//! A file whose size, times and inode are as they were has its old content. That is true only if a change would have
//! changed the times, and clocks of file systems tick: a file that is written, read by us and written again within one
//! tick looks the same before and after. git calls such an entry racy. So a digest is remembered only if the inode's
//! change time (which no program can set) was clearly over when the reading began; others are read again next time.

use std::collections::HashMap;
use std::fs;
use std::io::{self, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::Stat;

use crate::image::Digest;
use crate::image::beneath::Name;

/// Longer than a tick of the kernel's clock for files (10 ms at the slowest, CONFIG_HZ=100), with room for file systems
/// that keep coarser times (ext3 and some network ones: 1 s; FAT: 2 s).
const RACY_NS: i64 = 2_000_000_000;

/// The first line; another one is of another version, and everything is read again.
const HEADING: &[u8] = b"quayside context 1\0";

/// Some 120 bytes a file, so this is room for more than a context may have.
const FILE_MAX_BYTES: u64 = 256 * 1024 * 1024;

/// What an inode looks like while its content stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub size: u64,
    /// Nanoseconds since 1970.
    pub mtime_ns: i64,
    pub ctime_ns: i64,
    pub inode: u64,
}

/// Digests by name, with the stamps that they were read at.
#[derive(Debug, Default)]
pub struct Stamps {
    pub(super) known: HashMap<Vec<u8>, (Stamp, Digest)>,
    changed: bool,
}

impl Stamp {
    pub fn of(stat: &Stat) -> Self {
        let nanoseconds = |seconds: i64, rest: u64| seconds.saturating_mul(1_000_000_000).saturating_add(rest as i64);
        Self {
            size: stat.st_size as u64,
            mtime_ns: nanoseconds(stat.st_mtime, stat.st_mtime_nsec),
            ctime_ns: nanoseconds(stat.st_ctime, stat.st_ctime_nsec),
            inode: stat.st_ino,
        }
    }
}

impl Stamps {
    /// Reads what an earlier build remembered; nothing if there is no file, or none that we understand.
    pub fn load(path: &Path) -> Self {
        let small = fs::metadata(path).is_ok_and(|meta| meta.len() <= FILE_MAX_BYTES);
        let bytes = if small { fs::read(path).unwrap_or_default() } else { Vec::new() };
        let records = bytes.strip_prefix(HEADING).unwrap_or_default();
        Self { known: records.split(|byte| *byte == 0).filter_map(parse).collect(), changed: false }
    }

    /// Writes them if there is anything new, whole or not at all.
    pub fn save(&self, path: &Path) -> io::Result<()> {
        if !self.changed {
            return Ok(());
        }
        let mut bytes = HEADING.to_vec();
        for (name, (stamp, digest)) in &self.known {
            let Stamp { size, mtime_ns, ctime_ns, inode } = stamp;
            write!(bytes, "{} {size} {mtime_ns} {ctime_ns} {inode} ", digest.hex())?;
            bytes.extend_from_slice(name);
            bytes.push(0);
        }
        let new = PathBuf::from(format!("{}.{}", path.display(), uuid::Uuid::new_v4().simple()));
        fs::write(&new, bytes)?;
        fs::rename(&new, path).inspect_err(|_| {
            let _ = fs::remove_file(&new);
        })
    }

    pub fn digest(&self, name: &Name, stamp: &Stamp) -> Option<Digest> {
        let (known, digest) = self.known.get(name.as_path().as_os_str().as_bytes())?;
        (known == stamp).then_some(*digest)
    }

    /// Remembers a digest whose reading began at `began_ns`, unless it could change unseen.
    pub fn remember(&mut self, name: &Name, stamp: Stamp, digest: Digest, began_ns: i64) {
        let name = name.as_path().as_os_str().as_bytes();
        self.changed = true;
        match stamp.ctime_ns < began_ns - RACY_NS {
            true => self.known.insert(name.to_vec(), (stamp, digest)),
            false => self.known.remove(name),
        };
    }
}

/// Nanoseconds since 1970.
pub fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// `HEX SIZE MTIME CTIME INODE NAME`, where the name may hold blanks.
fn parse(record: &[u8]) -> Option<(Vec<u8>, (Stamp, Digest))> {
    let mut fields = record.splitn(6, |byte| *byte == b' ');
    let mut text = || std::str::from_utf8(fields.next()?).ok();
    let digest = Digest::from_hex(text()?)?;
    let stamp = Stamp {
        size: text()?.parse().ok()?,
        mtime_ns: text()?.parse().ok()?,
        ctime_ns: text()?.parse().ok()?,
        inode: text()?.parse().ok()?,
    };
    Some((fields.next()?.to_vec(), (stamp, digest)))
}
