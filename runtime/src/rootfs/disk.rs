//! The session's disk: one sparse ext4 image on a loop device, so that a full disk is an error in
//! that sandbox alone.
//!
//! A template is made once for each size (mke2fs(8), 1.2 MB for 2 GiB) with the directories in it
//! that a sandbox wants, and copied sparsely for each sandbox.

use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use rustix::fs::SeekFrom;
use rustix::mount::MountAttrFlags;

use crate::sys;

/// Directories at the top of a fresh disk: the overlay's two, the nested engine's store, the lab.
const DIRECTORIES: [&str; 4] = ["upper", "work", "docker", "lab"];

/// ext4's usual block size.
const BLOCK_SIZE: u32 = 4096;

/// Where distributions put it; an ordinary user's PATH may lack half of these.
const MKE2FS_PATH: &str = "/usr/sbin:/sbin:/usr/bin:/bin";

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing} {path}: {source}")]
    Io { doing: &'static str, path: PathBuf, source: io::Error },
    #[error("cannot make the disk template {path}: mke2fs is not installed; install the package e2fsprogs")]
    NoMke2fs { path: PathBuf },
    #[error("cannot make the disk template {path}: mke2fs said: {said}")]
    Mke2fs { path: PathBuf, said: String },
}

fn failed<'a>(doing: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Error + 'a {
    move |source| Error::Io { doing, path: path.into(), source }
}

/// The template for disks of `size_bytes` in `directory`, made if it is not there.
pub fn template(directory: &Path, size_bytes: u64) -> Result<PathBuf, Error> {
    let path = directory.join(format!("template-v1-{size_bytes}.ext4"));
    if path.exists() {
        return Ok(path);
    }
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(failed("make", directory))?;
    let unfinished = directory.join(format!("template-{}.tmp", std::process::id()));
    let skeleton = directory.join(format!("skeleton-{}.tmp", std::process::id()));
    let made = make_template(&unfinished, &skeleton, size_bytes)
        .and_then(|()| fs::rename(&unfinished, &path).map_err(failed("put in place", &path)));
    let _ = fs::remove_dir_all(&skeleton);
    let _ = fs::remove_file(&unfinished);
    made.map(|()| path)
}

/// Where mke2fs is, if it is installed.
pub fn mke2fs() -> Option<PathBuf> {
    MKE2FS_PATH.split(':').map(|directory| Path::new(directory).join("mke2fs")).find(|path| path.is_file())
}

fn make_template(path: &Path, skeleton: &Path, size_bytes: u64) -> Result<(), Error> {
    for directory in DIRECTORIES {
        let directory = skeleton.join(directory);
        fs::DirBuilder::new().recursive(true).mode(0o755).create(&directory).map_err(failed("make", &directory))?;
    }
    let file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
    file.and_then(|file| file.set_len(size_bytes)).map_err(failed("make", path))?;
    let options: [&OsStr; 11] = [
        "-q",
        "-F",
        "-t",
        "ext4",
        "-m",
        "0",
        // Below 512 MiB it would choose smaller blocks than the loop device has.
        "-b",
        "4096",
        "-E",
        // Nothing is written that can be made later, and unused blocks stay holes.
        "lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=0:0",
        "-d",
    ]
    .map(OsStr::new);
    let output = Command::new("mke2fs")
        .env("PATH", MKE2FS_PATH)
        .args(options)
        .args([skeleton, path])
        .stdin(Stdio::null())
        .output();
    match output {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Error::NoMke2fs { path: path.into() }),
        Err(error) => Err(failed("run mke2fs for", path)(error)),
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).trim().to_owned();
            Err(Error::Mke2fs { path: path.into(), said })
        }
    }
}

/// A copy of `template` at `path` that has holes where the template has.
pub fn copy_sparse(template: &Path, path: &Path) -> Result<(), Error> {
    let copy = || -> io::Result<()> {
        let from = File::open(template)?;
        let to = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        let size = from.metadata()?.len();
        to.set_len(size)?;
        let mut buffer = vec![0; 128 * 1024];
        let mut at = 0;
        while let Some((start, end)) = next_data(&from, at, size)? {
            at = start;
            while at < end {
                let want = buffer.len().min((end - at) as usize);
                let got = from.read_at(&mut buffer[..want], at)?;
                if got == 0 {
                    return Err(io::ErrorKind::UnexpectedEof.into());
                }
                to.write_all_at(&buffer[..got], at)?;
                at += got as u64;
            }
        }
        Ok(())
    };
    copy().map_err(failed("copy the disk template to", path))
}

/// The next stretch of data at or behind `at`: [start, end), from lseek(2)'s SEEK_DATA and SEEK_HOLE.
fn next_data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    match rustix::fs::seek(file, SeekFrom::Data(at)) {
        Ok(start) => Ok(Some((start, rustix::fs::seek(file, SeekFrom::Hole(start))?))),
        Err(rustix::io::Errno::NXIO) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Mounts the disk, attached to nothing: the mount and its loop device are gone when the descriptor
/// and everything cloned or moved from it are.
pub fn mount_detached(path: &Path) -> Result<OwnedFd, Error> {
    let mount = || -> io::Result<OwnedFd> {
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let device = sys::loop_device::attach(file.as_fd(), BLOCK_SIZE)?;
        let source = format!("/dev/loop{}", device.number);
        // discard: deleted files give the host its space back.
        let options = [("source", Some(source.as_str())), ("discard", None), ("noinit_itable", None)];
        sys::mount::make("ext4", &options, MountAttrFlags::MOUNT_ATTR_NODEV | MountAttrFlags::MOUNT_ATTR_NOATIME)
    };
    mount().map_err(failed("mount the disk", path))
}

/// A disk that waits for its sandbox: copied and mounted, attached to nothing.
#[derive(Debug)]
pub struct ReadyDisk {
    pub size_bytes: u64,
    /// Where its file is until a sandbox takes it.
    pub path: PathBuf,
    pub mount: OwnedFd,
}

/// Makes one in `directory`, so that a launch need not wait for it.
pub fn make_ready(directory: &Path, name: &str, size_bytes: u64) -> Result<ReadyDisk, Error> {
    let template = template(directory, size_bytes)?;
    let path = directory.join(format!("{READY}{name}"));
    copy_sparse(&template, &path)?;
    match mount_detached(&path) {
        Ok(mount) => Ok(ReadyDisk { size_bytes, path, mount }),
        Err(error) => {
            let _ = fs::remove_file(&path);
            Err(error)
        }
    }
}

const READY: &str = "ready-";

/// Removes what an earlier keeper had ready: its mounts went with it.
pub fn sweep_ready(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(READY) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}
