//! A header as it is written: ustar (POSIX.1-1988), with an extended one before it for what does not fit.

use std::io::{self, Write};

use super::BLOCK_BYTES;
use super::entry::XATTR_PREFIX;
use super::pax;
use crate::image::beneath::{Device, Xattr};

/// What ustar has room for: 100 bytes of a name or link, eleven octal digits of a number.
const NAME_BYTES: usize = 100;
const NUMBER_MAX: u64 = 0o777_7777_7777;

/// One entry. By default a regular file without content, of root and of the beginning of time.
#[derive(Debug, Clone)]
pub struct Header {
    /// The kind's digit (tar(5)).
    pub kind: u8,
    pub path: Vec<u8>,
    pub link: Vec<u8>,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    pub mtime: i64,
    pub size: u64,
    pub device: Option<Device>,
    pub xattrs: Vec<Xattr>,
}

impl Default for Header {
    fn default() -> Self {
        Self {
            kind: b'0',
            path: Vec::new(),
            link: Vec::new(),
            mode: 0,
            uid: 0,
            gid: 0,
            mtime: 0,
            size: 0,
            device: None,
            xattrs: Vec::new(),
        }
    }
}

impl Header {
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let records = self.records();
        if !records.is_empty() {
            let header =
                Header { kind: b'x', path: b"PaxHeader".to_vec(), size: records.len() as u64, ..Header::default() };
            out.write_all(&header.block())?;
            out.write_all(&records)?;
            fill_block(out, records.len() as u64)?;
        }
        out.write_all(&self.block())
    }

    /// What ustar has no room for, in one order.
    fn records(&self) -> Vec<u8> {
        let mut records = Vec::new();
        if self.path.len() > NAME_BYTES {
            pax::push(&mut records, "path", &self.path);
        }
        if self.link.len() > NAME_BYTES {
            pax::push(&mut records, "linkpath", &self.link);
        }
        if self.size > NUMBER_MAX {
            pax::push(&mut records, "size", self.size.to_string().as_bytes());
        }
        if fitting(self.mtime).is_none() {
            pax::push(&mut records, "mtime", self.mtime.to_string().as_bytes());
        }
        for (name, value) in &self.xattrs {
            pax::push(&mut records, &format!("{XATTR_PREFIX}{name}"), value);
        }
        records
    }

    fn block(&self) -> [u8; BLOCK_BYTES] {
        let mut block = [0; BLOCK_BYTES];
        let text = |block: &mut [u8], text: &[u8]| block[..text.len()].copy_from_slice(text);
        let number = |block: &mut [u8], value: u64| {
            let digits = format!("{value:0width$o}", width = block.len() - 1);
            text(block, digits.as_bytes());
        };
        // A reader that does not know extended headers finds the beginning of the name.
        text(&mut block[..100], &self.path[..self.path.len().min(NAME_BYTES)]);
        number(&mut block[100..108], u64::from(self.mode));
        number(&mut block[108..116], u64::from(self.uid));
        number(&mut block[116..124], u64::from(self.gid));
        number(&mut block[124..136], if self.size > NUMBER_MAX { 0 } else { self.size });
        number(&mut block[136..148], fitting(self.mtime).unwrap_or(0));
        block[156] = self.kind;
        text(&mut block[157..257], &self.link[..self.link.len().min(NAME_BYTES)]);
        text(&mut block[257..265], b"ustar\x0000");
        let device = self.device.unwrap_or(Device::WHITEOUT);
        number(&mut block[329..337], u64::from(device.major));
        number(&mut block[337..345], u64::from(device.minor));
        // The sum is of the header with its own field full of spaces; then it is six digits, a zero and a space.
        text(&mut block[148..156], b"        ");
        let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
        text(&mut block[148..155], format!("{sum:06o}\0").as_bytes());
        block
    }
}

/// Zeros up to a whole block, behind a content of so many bytes.
pub fn fill_block(out: &mut dyn Write, size: u64) -> io::Result<()> {
    out.write_all(&[0; BLOCK_BYTES][..super::padding(size)])
}

/// The end of an archive: two blocks of zeros.
pub fn write_end(out: &mut dyn Write) -> io::Result<()> {
    out.write_all(&[0; 2 * BLOCK_BYTES])
}

/// A time that ustar can say: it knows none before 1970.
fn fitting(mtime: i64) -> Option<u64> {
    u64::try_from(mtime).ok().filter(|seconds| *seconds <= NUMBER_MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(header: &Header) -> Vec<u8> {
        let mut bytes = Vec::new();
        header.write(&mut bytes).unwrap();
        bytes
    }

    #[test]
    fn a_small_header_is_one_block_that_others_read() {
        let header =
            Header { path: b"etc/motd".to_vec(), mode: 0o644, uid: 7, size: 12, mtime: 99, ..Header::default() };
        let bytes = written(&header);
        assert_eq!(bytes.len(), BLOCK_BYTES);
        let read = tar::Header::from_byte_slice(&bytes);
        assert_eq!(read.path_bytes().as_ref(), b"etc/motd");
        assert_eq!((read.mode().unwrap(), read.uid().unwrap(), read.size().unwrap()), (0o644, 7, 12));
        assert_eq!(read.mtime().unwrap(), 99);
        assert!(read.as_ustar().is_some());
    }

    #[test]
    fn what_does_not_fit_stands_in_an_extended_header() {
        let long = vec![b'a'; 101];
        for header in [
            Header { path: long.clone(), ..Header::default() },
            Header { link: long.clone(), kind: b'2', ..Header::default() },
            Header { mtime: -1, ..Header::default() },
            Header { size: 1 << 33, ..Header::default() },
            Header { xattrs: vec![("user.a".into(), b"\n".to_vec())], ..Header::default() },
        ] {
            assert_eq!(written(&header).len(), 3 * BLOCK_BYTES);
        }
        let exactly = Header { path: vec![b'a'; 100], size: (1 << 33) - 1, ..Header::default() };
        assert_eq!(written(&exactly).len(), BLOCK_BYTES);
    }
}
