//! What the fuzz target of `runtime/fuzz` does, for the gate: some thousand archives with a few wrong bytes each, the
//! same on every host. None may leave the layer's folder, and none may end in a panic.

use super::*;
use crate::image::archive::compression::{Gzip, decompress};
use crate::image::archive::fuzz::layer;
use crate::numbers::Numbers;

/// Enough to touch every field of every header some times, and few enough for every run of the tests.
const ROUNDS: u64 = 3_000;

/// One of everything.
fn seed() -> Vec<u8> {
    Archive::default()
        .folder("d")
        .file("d/f", "content")
        .hard_link("d/h", "d/f")
        .symlink("way", "..")
        .fifo("p")
        .device("null", 1, 3)
        .file("d/.wh.gone", "")
        .file("d/.wh..wh..opq", "")
        .pax(&[("path", b"long/name"), ("SCHILY.xattr.user.a", b"b"), ("mtime", b"12.5"), ("uid", b"7")])
        .file("short", "x")
        .pax(&[("GNU.sparse.name", b"s"), ("GNU.sparse.size", b"9000"), ("GNU.sparse.map", b"0,2,8000,1")])
        .file("s", "abc")
        .raw(&Archive::header(EntryType::GNULongName, "././@LongLink", "", 9), b"../canary")
        .file("f", "dead")
        .end()
}

/// Wrong bytes, pieces swapped, repeated and cut off; and mostly with headers whose sums are right again, as an attacker's
/// would be.
fn mutate(archive: &mut Vec<u8>, numbers: &mut Numbers) {
    const VALUES: [u8; 8] = [0, b'/', b'.', b'7', b'5', b'1', 0x80, 0xff];
    for _ in 0..=numbers.below(4) {
        let at = numbers.below(archive.len());
        match numbers.below(6) {
            0 => archive[at] = VALUES[numbers.below(VALUES.len())],
            1 => archive[at] ^= 1 << numbers.below(8),
            2 => archive[at] = numbers.below(256) as u8,
            3 => {
                let (from, to) = (at / 512 * 512, numbers.below(archive.len()) / 512 * 512);
                archive.copy_within(from..from + 512, to);
            }
            4 => {
                let block = at / 512 * 512;
                archive.drain(block..block + 512);
            }
            _ => archive[at / 512 * 512 + 156] = b"01234567SLKxgV"[numbers.below(14)],
        }
        if archive.len() <= 512 {
            return;
        }
    }
    if numbers.below(8) != 0 {
        for block in archive.chunks_exact_mut(512).filter(|block| block[257..262] == *b"ustar") {
            block[148..156].fill(b' ');
            let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
            block[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
        }
    }
    if numbers.below(16) == 0 {
        archive.truncate(numbers.below(archive.len()) + 1);
    }
}

#[test]
fn archives_with_wrong_bytes_stay_inside_and_never_panic() {
    let (seed, top) = (seed(), tempfile::tempdir().unwrap());
    let mut numbers = Numbers(20_261_127);
    let (mut whole, mut refused) = (0, 0);
    for _ in 0..ROUNDS {
        let mut archive = seed.clone();
        mutate(&mut archive, &mut numbers);
        match layer(&archive, top.path()) {
            true => whole += 1,
            false => refused += 1,
        }
    }
    // The seed itself is refused for its last name; a mutation may cure it. Both ends are reached.
    assert!(whole > 50 && refused > 500, "{whole} unpacked, {refused} refused");
}

#[test]
fn compressed_streams_with_wrong_bytes_never_panic() {
    use std::io::{Read, Write};
    let content = seed();
    let mut gzip = Gzip::new(Vec::new());
    gzip.write_all(&content).unwrap();
    let mut xz = lzma_rust2::XzWriter::new(Vec::new(), lzma_rust2::XzOptions::with_preset(0)).unwrap();
    xz.write_all(&content).unwrap();
    let zstd = ruzstd::encoding::compress_to_vec(&content[..], ruzstd::encoding::CompressionLevel::Fastest);
    let mut numbers = Numbers(1_127);
    for seed in [gzip.finish().unwrap(), xz.finish().unwrap(), zstd] {
        for _ in 0..ROUNDS / 3 {
            let mut stream = seed.clone();
            for _ in 0..=numbers.below(3) {
                let at = numbers.below(stream.len());
                stream[at] = numbers.below(256) as u8;
            }
            stream.truncate(1 + numbers.below(2 * stream.len()));
            if let Ok(plain) = decompress(&stream[..]) {
                let _ = std::io::copy(&mut plain.take(64 << 20), &mut std::io::sink());
            }
        }
    }
}
