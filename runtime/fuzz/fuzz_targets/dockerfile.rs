//! Any bytes as a Dockerfile, from its text to the keys of its steps. What must hold is in [`dockerfile`].
//!
//! `cargo +nightly fuzz run dockerfile`

#![no_main]

use libfuzzer_sys::fuzz_target;
use quayside_runtime::build::fuzz::dockerfile;

fuzz_target!(|bytes: &[u8]| {
    dockerfile(bytes);
});
