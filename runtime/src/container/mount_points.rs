//! The directories and files that are mounted over and that an image lacks, in a layer of their own.
//!
//! Docker makes them in the layer that is written and takes them away afterwards, with traces: the directory above
//! is then in the layer with a new time. Here they lie in the uppermost of the layers that are only read, so
//! the layer that is written holds what the process wrote and nothing else, also after a crash. A directory of the
//! image that has to be in this layer too, above a mount point, hides the image's own: it gets all its attributes.

use std::collections::BTreeSet;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    Gid, Mode, OFlags, Stat, Timespec, Timestamps, Uid, XattrFlags, fchmod, fchown, fgetxattr, flistxattr, fsetxattr,
    fstat, futimens, openat,
};
use rustix::io::Errno;

use super::in_root::{InRoot, Kind, Resolved};
use super::plan::{Like, Target};

/// The kernel's bounds of a list of names and of one value (xattr(7)).
const XATTR_MAX_BYTES: usize = 64 * 1024;

/// What the image has at a target makes the start impossible.
#[derive(Debug, thiserror::Error)]
enum Unfit {
    #[error("{} of the image is a symbolic link; the kernel's own file systems are mounted on directories only", .0.display())]
    Link(PathBuf),
    #[error("{} of the image is no directory", .0.display())]
    NoDirectory(PathBuf),
}

/// Makes in `layer` what `view` lacks. `kind_of` tells what a target like a mount has to be.
pub fn make(
    view: &InRoot,
    layer: &Path,
    targets: &[Target],
    kind_of: impl Fn(&Like) -> io::Result<Kind>,
) -> io::Result<()> {
    let layer = InRoot::open(layer)?;
    let mut hiding: BTreeSet<PathBuf> = BTreeSet::new();
    for target in targets {
        let Resolved { path, missing } = view.resolve(&target.at)?;
        if target.like == Like::PlainDirectory {
            check_plain(view, &target.at, &path, missing)?;
        }
        if missing > 0 {
            let above = path.ancestors().skip(missing).filter(|above| !above.as_os_str().is_empty());
            hiding.extend(above.map(PathBuf::from));
            layer.make(&path, kind_of(&target.like)?)?;
        }
    }
    // Times last: making a file in a directory changes its own.
    hiding.iter().try_for_each(|path| copy_attributes(view.find(path)?.as_fd(), layer.find(path)?.as_fd()))
}

fn check_plain(view: &InRoot, at: &Path, path: &Path, missing: usize) -> io::Result<()> {
    let unfit = |unfit| Err(io::Error::new(io::ErrorKind::InvalidInput, unfit));
    if Path::new("/").join(path) != at {
        return unfit(Unfit::Link(at.into()));
    }
    if missing == 0 && Kind::of(view.find(path)?.as_fd())? != Kind::Directory {
        return unfit(Unfit::NoDirectory(at.into()));
    }
    Ok(())
}

/// Owner, mode, extended attributes and times of one directory to another; neither is opened for more than this.
pub fn copy_attributes(from: BorrowedFd, to: BorrowedFd) -> io::Result<()> {
    let (from, to) = (readable(from)?, readable(to)?);
    let Stat { st_uid, st_gid, st_mode, .. } = fstat(&from)?;
    fchown(&to, Some(Uid::from_raw(st_uid)), Some(Gid::from_raw(st_gid)))?;
    fchmod(&to, Mode::from_raw_mode(st_mode & 0o7777))?;
    copy_xattrs(&from, &to)?;
    let stat = fstat(&from)?;
    let time = |seconds: i64, nanos: u64| Timespec { tv_sec: seconds, tv_nsec: nanos as i64 };
    let times = Timestamps {
        last_access: time(stat.st_atime, stat.st_atime_nsec),
        last_modification: time(stat.st_mtime, stat.st_mtime_nsec),
    };
    Ok(futimens(&to, &times)?)
}

/// Of those that a directory's users see: access lists, and `user.*` but overlay's own.
fn copy_xattrs(from: &OwnedFd, to: &OwnedFd) -> io::Result<()> {
    let mut names = vec![0; XATTR_MAX_BYTES];
    let length = match flistxattr(from, &mut names[..]) {
        Err(Errno::NOTSUP) => return Ok(()),
        length => length?,
    };
    let seen = |name: &&str| {
        name.starts_with("system.posix_acl_") || name.starts_with("user.") && !name.starts_with("user.overlay.")
    };
    let names = String::from_utf8_lossy(&names[..length]).into_owned();
    let mut value = vec![0; XATTR_MAX_BYTES];
    for name in names.split('\0').filter(seen) {
        let length = fgetxattr(from, name, &mut value[..])?;
        fsetxattr(to, name, &value[..length], XattrFlags::empty())?;
    }
    Ok(())
}

fn readable(directory: BorrowedFd) -> io::Result<OwnedFd> {
    Ok(openat(directory, c".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
