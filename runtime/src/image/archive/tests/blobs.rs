//! Layers as registries hold them: compressed, and known by two digests.

use std::io::{Read, Write};

use super::*;
use crate::image::archive::blob::{Taken, unpack_blob};
use crate::image::archive::compression::{Compression, Gzip};
use crate::image::digest::Digest;

fn take(blob: impl Read + Send, limits: Limits) -> (Stage, Result<Taken, UnpackError>) {
    let stage = Stage::new();
    let taken = unpack_blob(blob, &stage.root(), limits);
    stage.check_canary();
    (stage, taken)
}

fn gzip(archive: &[u8]) -> Vec<u8> {
    let mut gzip = Gzip::new(Vec::new());
    gzip.write_all(archive).unwrap();
    gzip.finish().unwrap()
}

#[test]
fn a_blob_is_known_by_the_sum_of_what_is_in_it() {
    // With something behind the archive's end, which belongs to the sum.
    let archive = [Archive::default().file("f", "content").end(), vec![0; 9000]].concat();
    for (blob, compression) in [(archive.clone(), Compression::None), (gzip(&archive), Compression::Gzip)] {
        let (stage, taken) = take(&blob[..], SMALL);
        let taken = taken.unwrap();
        assert_eq!((taken.compression, taken.archive_bytes), (compression, archive.len() as u64));
        assert_eq!(taken.diff_id, Digest::of(&archive));
        assert_eq!(std::fs::read_to_string(stage.path("f")).unwrap(), "content");
    }
}

#[test]
fn a_small_blob_of_gigabytes_is_refused_and_leaves_nothing() {
    let mut archive = Archive::default().file("before", "x").0;
    archive.extend_from_slice(Archive::header(EntryType::Regular, "zeros", "", 8 << 30).as_bytes());
    archive.resize(32 << 20, 0);
    let blob = gzip(&archive);
    assert!(blob.len() < 64 * 1024);
    let (stage, taken) = take(&blob[..], SMALL);
    assert!(chain(&taken.unwrap_err()).contains("more than 4194304 bytes"));
    assert_eq!(std::fs::read_dir(stage.path("")).unwrap().count(), 0);
}

#[test]
fn a_blob_cut_short_is_refused_and_leaves_nothing() {
    let archive = Archive::default().file("f", &"many words ".repeat(9000)).end();
    let blob = gzip(&archive);
    for cut in [blob.len() - 1, blob.len() / 2, 30, 5] {
        let (stage, taken) = take(&blob[..cut], SMALL);
        let told = chain(&taken.unwrap_err());
        assert!(told.contains("damaged or not what its name says"), "cut at {cut}: {told}");
        assert_eq!(std::fs::read_dir(stage.path("")).unwrap().count(), 0);
    }
}

#[test]
fn a_reader_that_fails_is_the_reason_of_the_error() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            Err(std::io::Error::other("the cable is out"))
        }
    }
    let archive = Archive::default().file("f", &"x".repeat(2000)).0;
    let (_, taken) = take((&archive[..1800]).chain(Failing), SMALL);
    assert_eq!(
        chain(&taken.unwrap_err()),
        "cannot read the archive after its beginning; it is damaged or not what its name says: the cable is out"
    );
}
