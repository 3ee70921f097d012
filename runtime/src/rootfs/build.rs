//! Carries a [`Plan`](super::plan::Plan) out, in PID 1's own mount namespace.

use std::fs;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::Path;

use nix::mount::{MsFlags, mount};

use super::plan::{Flags, Prepared, Step};
use crate::sys;

/// The detached mounts that the parent passed.
pub struct PreparedMounts {
    pub layers: Vec<OwnedFd>,
    pub disk: OwnedFd,
    pub binary: OwnedFd,
    pub images: OwnedFd,
}

impl PreparedMounts {
    fn get(&self, which: Prepared) -> io::Result<&OwnedFd> {
        match which {
            Prepared::Layer(index) => self.layers.get(index).ok_or_else(|| io::ErrorKind::NotFound.into()),
            Prepared::Disk => Ok(&self.disk),
            Prepared::Binary => Ok(&self.binary),
            Prepared::Images => Ok(&self.images),
        }
    }
}

impl Step {
    /// The system call's name and what it is about, for events and messages.
    pub fn words(&self) -> (&'static str, String) {
        match self {
            Self::MakePrivate => ("mount", "make / private".into()),
            Self::MakeDirectory { path } => ("mkdir", path.display().to_string()),
            Self::Mount { fs, at, options, .. } if options.is_empty() => ("mount", format!("{fs} on {}", at.display())),
            Self::Mount { fs, at, options, .. } => ("mount", format!("{fs} on {} ({options})", at.display())),
            Self::Attach { which, at } => ("move_mount", format!("{which:?} on {}", at.display())),
            Self::Bind { from, at } => ("mount", format!("bind {} on {}", from.display(), at.display())),
            Self::Link { at, to } => ("symlink", format!("{} -> {}", at.display(), to.display())),
            Self::Pivot { root } => ("pivot_root", root.display().to_string()),
            Self::Write { path, .. } => ("write", path.display().to_string()),
        }
    }

    pub fn run(&self, prepared: &PreparedMounts) -> io::Result<()> {
        match self {
            Self::MakePrivate => {
                Ok(mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>)?)
            }
            Self::MakeDirectory { path } => make_directories(path),
            Self::Mount { fs, source, at, options, flags } => {
                make_directories(at)?;
                let options = Some(options.as_str()).filter(|options| !options.is_empty());
                Ok(mount(Some(source.as_str()), at, Some(fs.as_str()), ms_flags(*flags), options)?)
            }
            Self::Attach { which, at } => {
                make_target(at, *which == Prepared::Binary)?;
                sys::mount::attach(prepared.get(*which)?.as_fd(), at)
            }
            Self::Bind { from, at } => {
                make_target(at, !fs::metadata(from)?.is_dir())?;
                Ok(mount(Some(from), at, None::<&str>, MsFlags::MS_BIND, None::<&str>)?)
            }
            Self::Link { at, to } => symlink(to, at),
            Self::Pivot { root } => sys::mount::pivot_root_here(root),
            Self::Write { path, text, mode } => write(path, text, *mode),
        }
    }
}

fn ms_flags(flags: Flags) -> MsFlags {
    let mut ms = MsFlags::empty();
    ms.set(MsFlags::MS_NOSUID, flags.nosuid);
    ms.set(MsFlags::MS_NODEV, flags.nodev);
    ms.set(MsFlags::MS_NOEXEC, flags.noexec);
    ms
}

fn make_directories(path: &Path) -> io::Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o755).create(path)
}

fn make_target(path: &Path, is_file: bool) -> io::Result<()> {
    if !is_file {
        return make_directories(path);
    }
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    fs::OpenOptions::new().write(true).create(true).truncate(false).mode(0o644).open(path).map(drop)
}

/// Replaces whatever the image has there: an image's /etc/resolv.conf may be a link to nowhere.
fn write(path: &Path, text: &str, mode: u32) -> io::Result<()> {
    use std::io::Write;
    if let Some(parent) = path.parent() {
        make_directories(parent)?;
    }
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?.write_all(text.as_bytes())
}
