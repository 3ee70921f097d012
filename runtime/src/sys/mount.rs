//! Mounts as objects: cloned, id-mapped and passed around before they are attached anywhere.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, fsconfig_create, fsconfig_set_flag,
    fsconfig_set_string, fsmount, fsopen, move_mount, open_tree,
};

/// `struct mount_attr` of mount_setattr(2).
#[repr(C)]
#[derive(Default)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

const MOUNT_ATTR_IDMAP: u64 = 0x0010_0000;
pub const MOUNT_ATTR_RDONLY: u64 = 0x1;
pub const MOUNT_ATTR_NOSUID: u64 = 0x2;
pub const MOUNT_ATTR_NODEV: u64 = 0x4;

fn mount_setattr(mount: BorrowedFd, more_flags: i32, attr: &MountAttr) -> io::Result<()> {
    // SAFETY: the empty path and AT_EMPTY_PATH name the mount itself; `attr` is a `struct mount_attr`
    // that lives through the call, which reads as many bytes of it as it is told.
    let result = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH | more_flags,
            std::ptr::from_ref(attr),
            size_of::<MountAttr>(),
        )
    };
    Errno::result(result).map(drop).map_err(io::Error::from)
}

/// A detached copy of the mount at `path` (open_tree(2), OPEN_TREE_CLONE): in no mount table.
pub fn clone_tree(path: &Path) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_NO_AUTOMOUNT;
    Ok(open_tree(rustix::fs::CWD, path, flags)?)
}

/// A detached copy of what an open file or directory is the top of, with everything mounted below it: no path is
/// followed anew (open_tree(2), OPEN_TREE_CLONE, AT_RECURSIVE).
pub fn clone_tree_of(file: BorrowedFd) -> io::Result<OwnedFd> {
    let flags = OpenTreeFlags::OPEN_TREE_CLONE
        | OpenTreeFlags::OPEN_TREE_CLOEXEC
        | OpenTreeFlags::AT_RECURSIVE
        | OpenTreeFlags::AT_EMPTY_PATH;
    Ok(open_tree(file, c"", flags)?)
}

/// Shifts the owners of a detached mount into a user namespace (mount_setattr(2), MOUNT_ATTR_IDMAP):
/// id 0 on the disk is the namespace's root, whatever host id that is. Nothing on the disk changes.
pub fn idmap(mount: BorrowedFd, user_namespace: BorrowedFd, flags: u64) -> io::Result<()> {
    let attr = MountAttr {
        attr_set: MOUNT_ATTR_IDMAP | flags,
        userns_fd: user_namespace.as_raw_fd() as u64,
        ..MountAttr::default()
    };
    mount_setattr(mount, 0, &attr)
}

/// Adds flags (MOUNT_ATTR_…) to a detached mount.
pub fn restrict(mount: BorrowedFd, flags: u64) -> io::Result<()> {
    mount_setattr(mount, 0, &MountAttr { attr_set: flags, ..MountAttr::default() })
}

/// The same for a mount and everything mounted below it (AT_RECURSIVE).
pub fn restrict_tree(mount: BorrowedFd, flags: u64) -> io::Result<()> {
    mount_setattr(mount, libc::AT_RECURSIVE, &MountAttr { attr_set: flags, ..MountAttr::default() })
}

/// Makes a file system and a detached mount of it (fsopen(2), fsmount(2)). An option without a value
/// is a flag.
pub fn make(fs: &str, options: &[(&str, Option<&str>)], flags: MountAttrFlags) -> io::Result<OwnedFd> {
    let context = fsopen(fs, FsOpenFlags::FSOPEN_CLOEXEC)?;
    for (key, value) in options {
        match value {
            Some(value) => fsconfig_set_string(context.as_fd(), *key, *value)?,
            None => fsconfig_set_flag(context.as_fd(), *key)?,
        }
    }
    fsconfig_create(context.as_fd())?;
    Ok(fsmount(context.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, flags)?)
}

/// Attaches a detached mount at `target` (move_mount(2)).
pub fn attach(mount: BorrowedFd, target: &Path) -> io::Result<()> {
    Ok(move_mount(mount, c"", rustix::fs::CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)?)
}

/// Attaches a detached mount over an open file or directory, wherever its path may lead by now.
pub fn attach_over(mount: BorrowedFd, target: BorrowedFd) -> io::Result<()> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    Ok(move_mount(mount, c"", target, c"", flags)?)
}

/// Changes the root of the mount namespace and puts the old one away at the same place: the caller
/// then stands in the new root with the old one stacked over it, ready for umount2 (pivot_root(2), NOTES).
pub fn pivot_root_here(new_root: &Path) -> io::Result<()> {
    nix::unistd::chdir(new_root)?;
    nix::unistd::pivot_root(".", ".")?;
    nix::mount::umount2(".", nix::mount::MntFlags::MNT_DETACH)?;
    nix::unistd::chdir("/")?;
    Ok(())
}

/// A path as the kernel takes it; a NUL inside is an error, not a panic.
pub fn c_path(path: &Path) -> io::Result<CString> {
    use std::os::unix::ffi::OsStrExt;
    CString::new(path.as_os_str().as_bytes()).map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))
}
