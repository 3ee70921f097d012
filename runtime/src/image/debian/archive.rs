//! A Debian package as a file (deb(5)): an `ar` archive that holds `control.tar.*` and `data.tar.*`.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use crate::image::archive::compression::decompress;

/// A package has three members; a few more are allowed by its format.
const MEMBERS_MAX: usize = 16;

const MAGIC: &[u8] = b"!<arch>\n";
const HEADER_BYTES: usize = 60;

/// A member of an `ar` archive (ar(5)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    pub name: String,
    pub offset: u64,
    pub size: u64,
}

/// The two parts of a package.
#[derive(Debug, Clone, Copy)]
pub enum Part {
    Control,
    Data,
}

/// Opens a part of a package as a plain tar stream.
pub fn open(mut package: File, part: Part) -> io::Result<Box<dyn Read>> {
    let prefix = match part {
        Part::Control => "control.tar",
        Part::Data => "data.tar",
    };
    let member = members(&mut package)?
        .into_iter()
        .find(|member| member.name.starts_with(prefix))
        .ok_or_else(|| damaged(&format!("it has no {prefix}")))?;
    package.seek(SeekFrom::Start(member.offset))?;
    // What it is compressed with is told by its first bytes, whatever its name ends in.
    Ok(Box::new(decompress(package.take(member.size))?))
}

/// Lists the members without reading them.
pub fn members(archive: &mut (impl Read + Seek)) -> io::Result<Vec<Member>> {
    let mut magic = [0; MAGIC.len()];
    archive.read_exact(&mut magic)?;
    if magic != MAGIC {
        return Err(damaged("it does not begin like one"));
    }
    let mut members = Vec::new();
    let mut offset = MAGIC.len() as u64;
    while let Some(header) = next_header(archive)? {
        let (name, size) = parse_header(&header).ok_or_else(|| damaged("a member's header does not read"))?;
        if members.len() == MEMBERS_MAX {
            return Err(damaged("it has too many members"));
        }
        offset += HEADER_BYTES as u64;
        members.push(Member { name, offset, size });
        // Members begin at even offsets.
        offset += size + size % 2;
        archive.seek(SeekFrom::Start(offset))?;
    }
    Ok(members)
}

fn next_header(archive: &mut impl Read) -> io::Result<Option<[u8; HEADER_BYTES]>> {
    let mut header = [0; HEADER_BYTES];
    match archive.read_exact(&mut header) {
        Ok(()) => Ok(Some(header)),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
        Err(error) => Err(error),
    }
}

fn parse_header(header: &[u8; HEADER_BYTES]) -> Option<(String, u64)> {
    if &header[58..] != b"`\n" {
        return None;
    }
    let name = std::str::from_utf8(&header[..16]).ok()?.trim_end().trim_end_matches('/');
    let size = std::str::from_utf8(&header[48..58]).ok()?.trim_end().parse().ok()?;
    Some((name.to_owned(), size))
}

fn damaged(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("not a Debian package: {why}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Cursor, Write};

    fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        for (name, content) in members {
            writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, 100644, content.len()).unwrap();
            bytes.extend_from_slice(content);
            bytes.extend_from_slice(&b"\n"[..content.len() % 2]);
        }
        bytes
    }

    #[test]
    fn members_are_found_at_even_offsets() {
        let bytes = ar(&[("debian-binary", b"2.0\n"), ("control.tar.xz", b"odd"), ("data.tar.zst/", b"data")]);
        let found = members(&mut Cursor::new(&bytes)).unwrap();
        let names: Vec<&str> = found.iter().map(|member| member.name.as_str()).collect();
        assert_eq!(names, ["debian-binary", "control.tar.xz", "data.tar.zst"]);
        let data = &found[2];
        assert_eq!(&bytes[data.offset as usize..(data.offset + data.size) as usize], b"data");
    }

    #[test]
    fn what_is_no_archive_is_refused() {
        assert!(members(&mut Cursor::new(b"PK\x03\x04 a zip file")).is_err());
        let many: Vec<(&str, &[u8])> = vec![("x", b""); 17];
        assert!(members(&mut Cursor::new(ar(&many))).unwrap_err().to_string().contains("too many"));
        let mut broken = ar(&[("debian-binary", b"2.0\n")]);
        broken[8 + 58] = b'?';
        assert!(members(&mut Cursor::new(broken)).is_err());
    }

    #[test]
    fn every_compression_of_packages_is_read() {
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        gzip.write_all(b"content").unwrap();
        let gzip = gzip.finish().unwrap();
        let zstd = ruzstd::encoding::compress_to_vec(&b"content"[..], ruzstd::encoding::CompressionLevel::Fastest);
        for (name, bytes) in [("data.tar", b"content".to_vec()), ("data.tar.gz", gzip), ("data.tar.zst", zstd)] {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&ar(&[("control.tar", b""), (name, &bytes)])).unwrap();
            file.rewind().unwrap();
            let mut text = String::new();
            open(file, Part::Data).unwrap().read_to_string(&mut text).unwrap();
            assert_eq!(text, "content", "{name}");
        }
    }
}
