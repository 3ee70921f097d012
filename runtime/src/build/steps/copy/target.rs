//! Where what is copied goes: folders of the image, opened or made.

use std::ffi::OsStr;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{FileType, Stat, Timespec, Timestamps};

use crate::container::in_root::InRoot;
use crate::image::beneath::{Folder, Meta, Name};

/// A target as it was written, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Absolute, without `.`; `..` is followed when it is resolved.
    pub path: PathBuf,
    pub must_be_folder: bool,
}

impl Target {
    /// `/` or `/.` at its end make a folder of it; so does being the working directory itself.
    pub fn new(target: &str, workdir: &str) -> Self {
        let must_be_folder = target.is_empty() || target == "." || target.ends_with("/") || target.ends_with("/.");
        Self { path: Path::new("/").join(workdir).join(target), must_be_folder }
    }
}

/// An open folder of the image that is written to. Its times are put back when it is left: what a folder had before is
/// no change of the step's.
#[derive(Debug)]
pub struct Opened {
    pub folder: Folder,
    /// Without links.
    pub name: Name,
    before: Stat,
}

impl Opened {
    pub fn new(folder: Folder, name: Name) -> io::Result<Self> {
        let before = folder.stat()?;
        Ok(Self { folder, name, before })
    }

    pub fn leave(self) -> io::Result<()> {
        let now = self.folder.stat()?;
        // Setting times would bring an unchanged folder into the layer.
        let changed = (now.st_mtime, now.st_mtime_nsec) != (self.before.st_mtime, self.before.st_mtime_nsec);
        if changed { self.folder.restore_times(&times(&self.before)) } else { Ok(()) }
    }
}

/// Opens the folder at a path, links followed inside; what is missing is made with `meta`.
pub fn open_or_make(root: &InRoot, path: &Path, meta: Meta) -> io::Result<Opened> {
    let resolved = root.resolve(path)?;
    let parts: Vec<&OsStr> = resolved.path.iter().collect();
    let (there, missing) = parts.split_at(parts.len() - resolved.missing);
    let mut name = there.iter().fold(Name::root(), |name, part| name.join(part));
    let mut folder = root.find_directory(name.as_path()).map(Folder::new)?;
    for part in missing {
        let parent = Opened::new(folder, name)?;
        parent.folder.directory(part, meta, &[])?;
        folder = parent.folder.enter(part)?;
        name = parent.name.join(part);
        parent.leave()?;
    }
    Opened::new(folder, name)
}

/// What is at a path, links followed inside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum There {
    Nothing,
    Folder,
    /// Anything else, and its name without links.
    File(Name),
}

pub fn there(root: &InRoot, path: &Path) -> io::Result<There> {
    let resolved = root.resolve(path)?;
    if resolved.missing > 0 {
        return Ok(There::Nothing);
    }
    let name = Name::parse(resolved.path.as_os_str().as_bytes()).map_err(io::Error::other)?;
    let (Some(parent), Some(last)) = (name.parent(), name.last()) else { return Ok(There::Folder) };
    let found = root.find_directory(parent.as_path()).map(Folder::new)?.find(last)?;
    Ok(match found.map(|stat| FileType::from_raw_mode(stat.st_mode)) {
        None => There::Nothing,
        Some(FileType::Directory) => There::Folder,
        Some(_) => There::File(name),
    })
}

pub fn times(stat: &Stat) -> Timestamps {
    let time = |seconds: i64, nanoseconds: u64| Timespec { tv_sec: seconds, tv_nsec: nanoseconds as i64 };
    Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    }
}

/// Whole seconds, as a layer's archive has them.
pub fn time_of(seconds: i64) -> Timestamps {
    let time = Timespec { tv_sec: seconds, tv_nsec: 0 };
    Timestamps { last_access: time, last_modification: time }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slash_a_dot_or_nothing_make_a_folder_of_a_target() {
        let check = |target: &str, path: &str, must_be_folder: bool| {
            let expected = Target { path: path.into(), must_be_folder };
            let found = Target::new(target, "/app");
            assert_eq!(found.path.components().collect::<PathBuf>(), expected.path, "{target}");
            assert_eq!(found.must_be_folder, must_be_folder, "{target}");
        };
        check("x", "/app/x", false);
        check("x/", "/app/x", true);
        check("x/.", "/app/x", true);
        check("/x", "/x", false);
        check(".", "/app", true);
        check("./", "/app", true);
        check("", "/app", true);
        check("/", "/", true);
        check("x.", "/app/x.", false);
    }
}
