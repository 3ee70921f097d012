//! Any bytes as a layer: compressed or not, an archive or none. What must hold is in [`layer`].
//!
//! Run as root, or as the root of a user namespace: `cargo +nightly fuzz run layer_archive`.

#![no_main]

use libfuzzer_sys::fuzz_target;
use quayside_runtime::image::archive::fuzz::layer;

fuzz_target!(|archive: &[u8]| {
    let top = tempfile::tempdir().expect("there is a temporary directory");
    layer(archive, top.path());
});
