//! The file that becomes init in every sandbox, under a name that nobody replaces.
//!
//! An upgrade renames a new file over the program's, and the one that runs has no name any more. It can be executed
//! still, but not mounted: the kernel attaches no mount whose root has been unlinked (ENOENT), however early the mount
//! was cloned. So who launches for long keeps another name of the file in the data directory.

use std::fs::{self, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use nix::fcntl::AtFlags;
use nix::unistd::linkat;

use crate::spec::data_dir::DataDir;

/// Anybody's to read and to execute: in a sandbox its owner is nobody.
const MODE: u32 = 0o755;

/// The running program's file, by the name that it had when it was started.
pub fn running() -> io::Result<File> {
    File::open("/proc/self/exe")
}

/// The same under a name in the data directory, in place of the one that an earlier keeper left there.
pub fn kept(data: &DataDir) -> io::Result<File> {
    let at = data.program();
    match fs::remove_file(&at) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let running = running()?;
    // A second name takes no room. There is none on another file system, nor for what has lost its first already.
    if link(&running, &at).is_err() {
        copy(&running, &at)?;
    }
    File::open(&at)
}

fn link(file: &File, at: &Path) -> io::Result<()> {
    Ok(linkat(nix::fcntl::AT_FDCWD, &path_of(file), nix::fcntl::AT_FDCWD, at, AtFlags::AT_SYMLINK_FOLLOW)?)
}

fn copy(file: &File, at: &Path) -> io::Result<()> {
    let mut to = File::create_new(at)?;
    io::copy(&mut &*file, &mut to)?;
    to.set_permissions(Permissions::from_mode(MODE))
}

/// A path that leads to an open file, whatever its name is by now (proc_pid_fd(5)).
pub fn path_of(file: &File) -> PathBuf {
    Path::new("/proc/self/fd").join(file.as_raw_fd().to_string())
}
