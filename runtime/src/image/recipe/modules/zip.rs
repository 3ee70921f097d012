//! A zip archive as Go's module proxies serve them (APPNOTE.TXT): names and contents, nothing else.
//!
//! No times, no owners, no modes: Go reads none of them, and without them the same files always give the same archive.
//! Entries are small enough for the format's first version: 32-bit sizes and 16-bit counts.

use std::io::{self, Write};

use flate2::{Compression, Crc, write::DeflateEncoder};

/// 1 January 1980, the first day that the format knows, in its own packing.
const FIRST_DAY: u16 = 1 << 5 | 1;
const VERSION: u16 = 20;
const DEFLATE: u16 = 8;
/// Names are UTF-8.
const UTF8: u16 = 1 << 11;

/// The format's own limit, without its extension for more.
const ENTRIES_MAX: usize = u16::MAX as usize;

pub struct ZipWriter<W> {
    to: W,
    at: u64,
    /// One record for each entry, to be written at the end.
    directory: Vec<u8>,
    entries: usize,
}

impl<W: Write> ZipWriter<W> {
    pub fn new(to: W) -> Self {
        Self { to, at: 0, directory: Vec::new(), entries: 0 }
    }

    /// Adds a file with its whole content, which is a source file and in memory.
    pub fn file(&mut self, name: &str, content: &[u8]) -> io::Result<()> {
        if self.entries == ENTRIES_MAX {
            return Err(io::Error::other(format!("the module has more than {ENTRIES_MAX} files")));
        }
        let mut crc = Crc::new();
        crc.update(content);
        let mut packer = DeflateEncoder::new(Vec::new(), Compression::best());
        packer.write_all(content)?;
        let packed = packer.finish()?;
        let mut middle = Vec::new();
        for half in [VERSION, UTF8, DEFLATE, 0, FIRST_DAY] {
            middle.extend(half.to_le_bytes());
        }
        for word in [u64::from(crc.sum()), packed.len() as u64, content.len() as u64] {
            middle.extend(small(word)?.to_le_bytes());
        }
        middle.extend((u16::try_from(name.len()).map_err(io::Error::other)?).to_le_bytes());
        middle.extend(0_u16.to_le_bytes());

        self.directory.extend(b"PK\x01\x02");
        self.directory.extend(VERSION.to_le_bytes());
        self.directory.extend_from_slice(&middle);
        // No comment, first disk, no attributes.
        self.directory.extend([0; 10]);
        self.directory.extend(small(self.at)?.to_le_bytes());
        self.directory.extend(name.as_bytes());
        self.entries += 1;
        for part in [b"PK\x03\x04", middle.as_slice(), name.as_bytes(), &packed] {
            self.put(part)?;
        }
        Ok(())
    }

    pub fn finish(mut self) -> io::Result<W> {
        let (start, length) = (small(self.at)?, small(self.directory.len() as u64)?);
        let entries = (self.entries as u16).to_le_bytes();
        let mut end = b"PK\x05\x06\0\0\0\0".to_vec();
        end.extend([entries, entries].concat());
        end.extend(length.to_le_bytes());
        end.extend(start.to_le_bytes());
        end.extend([0; 2]);
        let directory = std::mem::take(&mut self.directory);
        self.put(&directory)?;
        self.put(&end)?;
        Ok(self.to)
    }

    fn put(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.at += bytes.len() as u64;
        self.to.write_all(bytes)
    }
}

fn small(number: u64) -> io::Result<u32> {
    u32::try_from(number).map_err(|_| io::Error::other("the module has more than 4 GB"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    fn archive() -> Vec<u8> {
        let mut zip = ZipWriter::new(Vec::new());
        zip.file("m@v1.0.0/go.mod", b"module m\n").unwrap();
        zip.file("m@v1.0.0/a/empty.go", b"").unwrap();
        zip.file("m@v1.0.0/long.go", "line\n".repeat(1000).as_bytes()).unwrap();
        zip.finish().unwrap()
    }

    #[test]
    fn the_same_files_give_the_same_archive() {
        assert_eq!(archive(), archive());
    }

    #[test]
    fn another_reader_finds_every_file_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("m.zip");
        std::fs::write(&path, archive()).unwrap();
        let script = "import sys,zipfile; z=zipfile.ZipFile(sys.argv[1]); assert z.testzip() is None; \
                      print([(i.filename, i.file_size) for i in z.infolist()])";
        let Ok(output) = Command::new("python3").args(["-c", script]).arg(&path).output() else {
            return eprintln!("skipped: needs python3, to read the archive with somebody else's code");
        };
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(
            text.trim(),
            "[('m@v1.0.0/go.mod', 9), ('m@v1.0.0/a/empty.go', 0), ('m@v1.0.0/long.go', 5000)]",
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
