//! The files of a list of layers as one tree, to read and to write to, without a mount that anybody sees.
//!
//! An overlay (Documentation/filesystems/overlayfs.rst) is made as a detached mount: fsopen(2) and fsmount(2) give a
//! descriptor, and it is in no mount table, of no namespace; when the descriptor is closed it is gone, also after kill -9.
//! Everything in it is reached by openat2(2) with RESOLVE_IN_ROOT on this descriptor, so a link that an image has leads
//! where it would lead in a container: `COPY x /bin/x` follows `/bin → usr/bin` in the image, and nothing leads out.

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::io::Errno;
use rustix::mount::MountAttrFlags;

use crate::container::in_root::InRoot;
use crate::sys::mount;

/// A value of fsconfig(2) is at most this long, so this much of a list fits into one on kernels that cannot take layers
/// one by one.
const VALUE_MAX_BYTES: usize = 255;

/// A tree of files that is open.
#[derive(Debug)]
pub struct Merged {
    pub root: InRoot,
}

/// Where an overlay writes.
#[derive(Debug, Clone, Copy)]
pub struct Written<'a> {
    /// What is written, in overlay form.
    pub upper: &'a Path,
    /// An empty directory on the same file system, for overlay's own work.
    pub work: &'a Path,
}

impl Merged {
    /// These layers, bottom to top, to be read. `empty` is an empty directory that becomes the lowest layer, because the
    /// kernel wants two where nothing is written.
    pub fn read(layers: &[PathBuf], empty: &Path) -> io::Result<Self> {
        let lower: Vec<&Path> = [empty].into_iter().chain(layers.iter().map(PathBuf::as_path)).collect();
        match lower.len() {
            1 => Self::plain(empty),
            _ => overlay(&lower, None),
        }
    }

    /// The same, and what is written to it goes to `written`.
    pub fn write(layers: &[PathBuf], empty: &Path, written: Written) -> io::Result<Self> {
        let lower: Vec<&Path> = match layers {
            [] => vec![empty],
            layers => layers.iter().map(PathBuf::as_path).collect(),
        };
        overlay(&lower, Some(written))
    }

    /// One directory of the host, as it is: a build context, or a layer that does not depend on those below it.
    pub fn plain(directory: &Path) -> io::Result<Self> {
        Ok(Self { root: InRoot::open(directory)? })
    }
}

/// Always `userxattr`, so that opaque directories have one form whether a user namespace is around or not. `volatile`:
/// whoever keeps the layer waits for the disk once for all of them; overlay would at each unmount.
fn overlay(lower: &[&Path], written: Option<Written>) -> io::Result<Merged> {
    // Layers are named by descriptors: long paths would not fit, and colons in them would have a meaning.
    let lower = lower.iter().rev().map(|path| open(path)).collect::<io::Result<Vec<_>>>()?;
    let names: Vec<String> = lower.iter().map(name).collect();
    let written = written.map(|it| Ok::<_, io::Error>((open(it.upper)?, open(it.work)?))).transpose()?;
    let (upper, work) = written.as_ref().map(|(upper, work)| (name(upper), name(work))).unzip();
    let mut own = vec![("userxattr", None), ("index", Some("off"))];
    if let (Some(upper), Some(work)) = (&upper, &work) {
        own.extend([("upperdir", Some(upper.as_str())), ("workdir", Some(work.as_str())), ("volatile", None)]);
    }
    let mut flags = MountAttrFlags::MOUNT_ATTR_NODEV;
    flags.set(MountAttrFlags::MOUNT_ATTR_RDONLY, upper.is_none());
    let one_by_one = names.iter().map(|name| ("lowerdir+", Some(name.as_str())));
    let made = match mount::make("overlay", &one_by_one.chain(own.iter().copied()).collect::<Vec<_>>(), flags) {
        // Linux before 6.5 does not know `lowerdir+`.
        Err(error) if error.raw_os_error() == Some(Errno::INVAL.raw_os_error()) => {
            let all = names.join(":");
            if all.len() > VALUE_MAX_BYTES {
                return Err(error);
            }
            let options: Vec<_> = [("lowerdir", Some(all.as_str()))].into_iter().chain(own).collect();
            mount::make("overlay", &options, flags)?
        }
        made => made?,
    };
    Ok(Merged { root: InRoot::of(made) })
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    openat(CWD, path, flags, Mode::empty())
        .map_err(|error| io::Error::new(io::Error::from(error).kind(), format!("{}: {error}", path.display())))
}

fn name(fd: &OwnedFd) -> String {
    format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd())
}

#[cfg(test)]
mod tests {
    //! Overlays need root, or to be root of a user namespace.

    use std::fs;
    use std::os::unix::fs::symlink;

    use super::*;
    use crate::container::in_root::Kind;

    fn layer(yard: &Path, name: &str, file: &str, text: &str) -> PathBuf {
        let layer = yard.join(name);
        let file = layer.join(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, text).unwrap();
        layer
    }

    #[test]
    fn a_hundred_and_twenty_layers_are_one_tree_that_no_mount_table_shows() {
        let yard = tempfile::tempdir().unwrap();
        let empty = yard.path().join("empty");
        fs::create_dir(&empty).unwrap();
        let layers: Vec<PathBuf> = (0..120)
            .map(|number| layer(yard.path(), &format!("layer,{number}:"), &format!("d/{number}"), "x"))
            .collect();
        let before = fs::read_to_string("/proc/self/mountinfo").unwrap();
        let merged = Merged::read(&layers, &empty).unwrap();
        let folder = crate::image::beneath::Folder::new(merged.root.find_directory(Path::new("/d")).unwrap());
        assert_eq!(folder.list().unwrap().len(), 120);
        assert_eq!(fs::read_to_string("/proc/self/mountinfo").unwrap(), before);
        assert!(merged.root.make(Path::new("/new"), Kind::File).is_err(), "it is read-only");
    }

    #[test]
    fn links_lead_inside_and_what_is_written_is_in_the_upper_directory_alone() {
        let yard = tempfile::tempdir().unwrap();
        let [empty, upper, work] = ["empty", "upper", "work"].map(|name| yard.path().join(name));
        [&empty, &upper, &work].into_iter().for_each(|path| fs::create_dir(path).unwrap());
        let lower = layer(yard.path(), "lower", "usr/bin/sh", "x");
        symlink("usr/bin", lower.join("bin")).unwrap();
        symlink(yard.path(), lower.join("out")).unwrap();
        let written = Written { upper: &upper, work: &work };
        let merged = Merged::write(std::slice::from_ref(&lower), &empty, written).unwrap();
        merged.root.make(Path::new("/bin/x"), Kind::File).unwrap();
        merged.root.make(Path::new("/out/y"), Kind::File).unwrap();
        drop(merged);
        assert!(upper.join("usr/bin/x").is_file());
        assert!(!lower.join("usr/bin/x").exists());
        assert!(!yard.path().join("y").exists(), "a link led out");
    }
}
