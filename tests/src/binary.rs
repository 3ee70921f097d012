//! The program under test.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Names another binary to test: a release, say.
const OTHER: &str = "QUAYSIDE_BIN";

/// `$QUAYSIDE_BIN`, or the debug build of this workspace, brought up to date first.
pub fn quayside() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os(OTHER) {
        Some(path) => path.into(),
        None => build(),
    })
}

/// The directory of the tests themselves is target/[TARGET/]debug/deps; the program is one above.
fn build() -> PathBuf {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["build", "--quiet", "-p", "quayside"]).current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    assert!(cargo.status().expect("cargo runs: it has built this test").success(), "quayside does not build");
    let test = std::env::current_exe().expect("a test knows its own path");
    let directory = test.ancestors().nth(2).expect("a test lies in debug/deps");
    let binary = directory.join("quayside");
    assert!(binary.is_file(), "there is no {}; name one in {OTHER}", binary.display());
    binary
}
