//! The page's assets are embedded in the binary, so they must have been built first.

use std::path::Path;

fn main() {
    let manifest = Path::new("../web/dist/manifest.json");
    println!("cargo::rerun-if-changed={}", manifest.display());
    if !manifest.exists() {
        println!("cargo::error=cannot embed the page: web/dist is not built");
        println!("cargo::error=run: npm --prefix web ci && npm --prefix web run build");
    }
}
