//! The lessons that come with the binary, so that one file is a whole installation.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use rust_embed::RustEmbed;

#[derive(RustEmbed)]
#[folder = "../lessons"]
struct Lessons;

/// Writes the bundled lessons to `directory`, in place of those of an older version, and names it.
pub fn unpack(directory: &Path) -> io::Result<PathBuf> {
    let unfinished = directory.with_extension("tmp");
    for old in [&unfinished, &directory.to_path_buf()] {
        match fs::remove_dir_all(old) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    for name in Lessons::iter() {
        let path = unfinished.join(name.as_ref());
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let file = Lessons::get(&name).ok_or(io::ErrorKind::NotFound)?;
        fs::write(path, file.data)?;
    }
    fs::rename(&unfinished, directory)?;
    Ok(directory.to_path_buf())
}
