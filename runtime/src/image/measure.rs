//! One number for a whole tree: SHA-256 over every name, owner, mode, time, link and content, in sorted order.
//!
//! Tests compare trees by it. It knows nothing of archives, so that what they lose is seen.

use std::collections::HashMap;
use std::io::{self, Read};

use rustix::fs::{FileType, Stat};
use sha2::{Digest as _, Sha256};

use super::beneath::{Name, Root};
use super::hex;

const READ_BYTES: usize = 64 * 1024;

/// Digest and size of a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Measured {
    pub sha256: String,
    /// Bytes of content, a file with several names counted once.
    pub bytes: u64,
    pub files: u64,
}

pub fn tree(root: &Root) -> io::Result<Measured> {
    let mut walk = Walk { root, hash: Sha256::new(), seen: HashMap::new(), bytes: 0, files: 0 };
    walk.directory(&Name::root())?;
    Ok(Measured { sha256: hex::of(&walk.hash.finalize()), bytes: walk.bytes, files: walk.files })
}

struct Walk<'a> {
    root: &'a Root,
    hash: Sha256,
    /// First name of every file that has more than one.
    seen: HashMap<u64, Name>,
    bytes: u64,
    files: u64,
}

impl Walk<'_> {
    fn directory(&mut self, name: &Name) -> io::Result<()> {
        let stat = self.root.stat(name)?;
        self.head(name, "directory", &stat);
        for part in self.root.list(name)? {
            self.entry(&name.join(&part))?;
        }
        Ok(())
    }

    fn entry(&mut self, name: &Name) -> io::Result<()> {
        let stat = self.root.stat(name)?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::Directory => return self.directory(name),
            FileType::RegularFile => self.file(name, &stat)?,
            FileType::Symlink => {
                self.head(name, "link", &stat);
                self.part(&self.root.read_link(name)?);
            }
            _ => self.head(name, "other", &stat),
        }
        Ok(())
    }

    fn file(&mut self, name: &Name, stat: &Stat) -> io::Result<()> {
        if stat.st_nlink > 1 {
            if let Some(first) = self.seen.get(&stat.st_ino).cloned() {
                self.head(name, "same", stat);
                self.part(first.to_string().as_bytes());
                return Ok(());
            }
            self.seen.insert(stat.st_ino, name.clone());
        }
        self.head(name, "file", stat);
        let file = self.root.read(name)?;
        self.part(&capability(&file)?);
        self.content(file)?;
        self.files += 1;
        Ok(())
    }

    fn content(&mut self, mut file: impl Read) -> io::Result<()> {
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match file.read(&mut buffer)? {
                0 => return Ok(()),
                count => {
                    self.hash.update(&buffer[..count]);
                    self.bytes += count as u64;
                }
            }
        }
    }

    fn head(&mut self, name: &Name, kind: &str, stat: &Stat) {
        self.part(name.to_string().as_bytes());
        let size = if kind == "file" { stat.st_size } else { 0 };
        let text =
            format!("{kind} {:o} {} {} {} {size}", stat.st_mode & 0o7777, stat.st_uid, stat.st_gid, stat.st_mtime);
        self.part(text.as_bytes());
    }

    /// Each part with its length before it, so that no two trees read alike.
    fn part(&mut self, bytes: &[u8]) {
        self.hash.update((bytes.len() as u64).to_le_bytes());
        self.hash.update(bytes);
    }
}

fn capability(file: &std::fs::File) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 64];
    match rustix::fs::fgetxattr(file, "security.capability", &mut value[..]) {
        Ok(length) => {
            value.truncate(length);
            Ok(value)
        }
        Err(rustix::io::Errno::NODATA | rustix::io::Errno::OPNOTSUPP) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}
