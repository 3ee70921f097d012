//! Any bytes as a layer: compressed or not, an archive or none. Nothing may be written beside the folder that it is
//! unpacked into, a refused one leaves the folder empty, and what was unpacked can be packed.
//!
//! Run as root, or as the root of a user namespace: `cargo +nightly fuzz run layer_archive`.

#![no_main]

use std::fs;

use libfuzzer_sys::fuzz_target;
use quayside_runtime::image::archive::compression::decompress;
use quayside_runtime::image::archive::limits::Limits;
use quayside_runtime::image::archive::pack::pack;
use quayside_runtime::image::archive::unpack::unpack;
use quayside_runtime::image::beneath::Root;

/// Small, so that a run of the fuzzer is fast.
const LIMITS: Limits = Limits { bytes_max: 1024 * 1024, entries_max: 100, depth_max: 20 };

fuzz_target!(|archive: &[u8]| {
    let top = tempfile::tempdir().unwrap();
    let (layer, canary) = (top.path().join("layer"), top.path().join("canary"));
    fs::create_dir(&layer).unwrap();
    fs::write(&canary, "alive").unwrap();
    let root = Root::open(&layer).unwrap();
    if let Ok(mut plain) = decompress(archive) {
        match unpack(&mut plain, &root, LIMITS) {
            Ok(_) => drop(pack(&root, &mut std::io::sink())),
            Err(_) => assert_eq!(fs::read_dir(&layer).unwrap().count(), 0),
        }
    }
    assert_eq!(fs::read_to_string(&canary).unwrap(), "alive");
    assert_eq!(fs::read_dir(top.path()).unwrap().count(), 2);
});
