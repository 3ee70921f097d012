//! Mounting layers over each other (Documentation/filesystems/overlayfs.rst).

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::mount::{MntFlags, MsFlags, mount, umount2};
use rustix::fs::{CWD, Mode, OFlags, openat};

use super::in_root::InRoot;

/// A path about which an error is.
#[derive(Debug, thiserror::Error)]
#[error("{}", .path.display())]
struct Of {
    path: PathBuf,
    source: io::Error,
}

pub fn of(path: &Path) -> impl FnOnce(io::Error) -> io::Error + '_ {
    move |source| io::Error::new(source.kind(), Of { path: path.into(), source })
}

/// Mounts `lower`, from the bottom, on a directory; `written` is the upper and the work directory.
///
/// Layers are named by descriptors: mount(2) takes a page of options, into which 120 long paths would not fit, and
/// gives colons and commas in them a meaning. Always `userxattr`, so that opaque directories have one form whether a
/// user namespace is around or not; and `nodev`, so that no node that an image or a process makes can be opened.
pub fn mount_on(on: &Path, lower: &[PathBuf], written: Option<(&Path, &Path)>) -> io::Result<()> {
    let open = |path: &Path| -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        openat(CWD, path, flags, Mode::empty()).map_err(io::Error::from).map_err(of(path))
    };
    let name = |fd: &OwnedFd| format!("/proc/self/fd/{}", fd.as_raw_fd());
    // overlayfs wants the uppermost first.
    let lower = lower.iter().rev().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    let names: Vec<String> = lower.iter().map(name).collect();
    let mut options = format!("userxattr,index=off,lowerdir={}", names.join(":"));
    let written = written.map(|(upper, work)| Ok::<_, io::Error>((open(upper)?, open(work)?))).transpose()?;
    if let Some((upper, work)) = &written {
        options += &format!(",upperdir={},workdir={}", name(upper), name(work));
    }
    Ok(mount(Some("overlay"), on, Some("overlay"), MsFlags::MS_NODEV, Some(options.as_str()))?)
}

/// The same for as long as the result is held, and read-only. `stage` is a directory to mount it on for a moment;
/// `empty` one to be the lowest layer, since the kernel wants two.
pub fn view(layers: &[PathBuf], empty: &Path, stage: &Path) -> io::Result<InRoot> {
    if layers.is_empty() {
        return InRoot::open(empty);
    }
    let lower: Vec<PathBuf> = [empty.to_owned()].into_iter().chain(layers.iter().cloned()).collect();
    mount_on(stage, &lower, None)?;
    let view = InRoot::open(stage);
    umount2(stage, MntFlags::MNT_DETACH)?;
    view
}

/// A detached mount of what `path` leads to in layers.
pub fn part(
    layers: &[PathBuf],
    path: &Path,
    written: Option<(&Path, &Path)>,
    empty: &Path,
    stage: &Path,
) -> io::Result<OwnedFd> {
    let lower: Vec<PathBuf> = [empty.to_owned()].into_iter().chain(layers.iter().cloned()).collect();
    mount_on(stage, &lower, written)?;
    // Cloned while it is mounted: the kernel clones nothing that hangs nowhere.
    let part = InRoot::open(stage).and_then(|root| root.find(path)).and_then(|file| {
        use std::os::fd::AsFd;
        crate::sys::mount::clone_tree_of(file.as_fd())
    });
    umount2(stage, MntFlags::MNT_DETACH)?;
    part
}
