//! Streams as other programs write them: `gzip`, `zstd` and `xz` where they are installed, and the crates' own writers.

use std::io::{Read, Write};

use super::*;

fn check(bytes: &[u8]) -> io::Result<(Compression, Vec<u8>)> {
    let mut plain = decompress(bytes)?;
    let mut content = Vec::new();
    plain.read_to_end(&mut content)?;
    Ok((plain.compression, content))
}

/// Text that compresses well, and noise that does not.
fn content() -> Vec<u8> {
    let mut noise = 0x2545_f491_4f6c_dd1d_u64;
    let mut bytes = b"a layer is a folder\n".repeat(20_000);
    bytes.extend((0..200_000).map(|_| {
        noise ^= noise << 13;
        noise ^= noise >> 7;
        noise ^= noise << 17;
        noise as u8
    }));
    bytes
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new(Vec::new());
    gzip.write_all(content).unwrap();
    gzip.finish().unwrap()
}

fn zstd(content: &[u8]) -> Vec<u8> {
    ruzstd::encoding::compress_to_vec(content, ruzstd::encoding::CompressionLevel::Fastest)
}

fn xz(content: &[u8], dictionary: u32) -> Vec<u8> {
    let mut options = lzma_rust2::XzOptions::with_preset(1);
    options.lzma_options.dict_size = dictionary;
    options.set_block_size(std::num::NonZeroU64::new(200_000));
    let mut writer = lzma_rust2::XzWriter::new(Vec::new(), options).unwrap();
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// Runs a compressor of this machine; `None`, and a word, when it is not installed.
fn compressed_by(program: &str, arguments: &[&str], content: &[u8]) -> Option<Vec<u8>> {
    use std::process::{Command, Stdio};
    let child = Command::new(program).args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let Ok(mut child) = child else {
        eprintln!("not compared with {program}: it is not installed");
        return None;
    };
    let mut input = child.stdin.take().unwrap();
    let content = content.to_vec();
    let feeder = std::thread::spawn(move || input.write_all(&content));
    let output = child.wait_with_output().unwrap();
    feeder.join().unwrap().unwrap();
    Some(output.stdout)
}

#[test]
fn every_compression_is_told_by_its_first_bytes_and_read() {
    let content = content();
    assert_eq!(check(&content).unwrap(), (Compression::None, content.clone()));
    assert_eq!(check(&gzip(&content)).unwrap(), (Compression::Gzip, content.clone()));
    assert_eq!(check(&zstd(&content)).unwrap(), (Compression::Zstd, content.clone()));
    assert_eq!(check(&xz(&content, 1 << 20)).unwrap(), (Compression::Xz, content));
    for nothing in [&b""[..], b"\x1f", b"tar"] {
        assert_eq!(check(nothing).unwrap(), (Compression::None, nothing.to_vec()));
    }
}

#[test]
fn what_the_usual_programs_write_is_read() {
    let content = content();
    for (program, arguments) in [
        ("gzip", &["-c"][..]),
        ("gzip", &["-9c"]),
        ("zstd", &["-qc"]),
        ("zstd", &["-qc19"]),
        ("zstd", &["-qc", "--no-check"]),
        ("xz", &["-c"]),
        ("xz", &["-c", "--check=none"]),
        ("xz", &["-c", "--check=crc32"]),
        ("xz", &["-c", "--check=sha256"]),
        ("xz", &["-cT2", "--block-size=100000"]),
    ] {
        let Some(bytes) = compressed_by(program, arguments, &content) else { continue };
        assert!(bytes.len() < content.len());
        assert_eq!(check(&bytes).unwrap().1, content, "{program} {arguments:?}");
    }
}

#[test]
fn streams_one_behind_the_other_are_one() {
    let (first, second) = (content(), b"second".to_vec());
    let both = [first.clone(), second.clone()].concat();
    assert_eq!(check(&[gzip(&first), gzip(&second)].concat()).unwrap().1, both);
    // A frame to be skipped, as tools put in to be able to jump (pzstd, eStargz's zstd).
    let skipped = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
    assert_eq!(check(&[&skipped[..], &zstd(&first), &skipped[..], &zstd(&second)].concat()).unwrap().1, both);
    assert_eq!(check(&[&xz(&first, 4096)[..], &[0; 8], &xz(&second, 4096)].concat()).unwrap().1, both);
}

#[test]
fn a_stream_that_is_cut_short_is_an_error() {
    let content = content();
    for whole in [gzip(&content), zstd(&content), xz(&content, 1 << 20)] {
        for cut in [7, 13, 20, 100, whole.len() / 2, whole.len() - 5, whole.len() - 1] {
            assert!(check(&whole[..cut]).is_err(), "{:?} of {} bytes cut at {cut}", &whole[..4], whole.len());
        }
    }
}

#[test]
fn a_stream_with_a_wrong_byte_is_an_error_or_the_same() {
    let content = content();
    for whole in [gzip(&content), xz(&content, 1 << 20)] {
        for at in (0..whole.len()).step_by(whole.len() / 50) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x10;
            let read = check(&damaged);
            // gzip's header has fields without meaning for the content.
            assert!(read.is_err() || read.unwrap().1 == content || at < 10, "byte {at}");
        }
    }
}

#[test]
fn a_stream_that_asks_for_too_much_memory_is_refused() {
    let asks = |bytes: &[u8]| check(bytes).unwrap_err().to_string();
    assert!(asks(&xz(b"small", 128 << 20)).contains("asks for 134217728 bytes of memory"));
    // Zstandard: a window of 128 MiB (exponent 17), and a single segment of 1 TiB.
    assert!(asks(b"\x28\xb5\x2f\xfd\x00\x88").contains("asks for 134217728 bytes of memory"));
    assert!(asks(b"\x28\xb5\x2f\xfd\xe0\0\0\0\0\0\x01\0\0").contains("asks for 1099511627776 bytes"));
}

#[test]
fn two_gzip_streams_of_the_same_bytes_are_the_same() {
    let made = gzip(b"content");
    assert_eq!(made[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    assert_eq!(made, gzip(b"content"));
}
