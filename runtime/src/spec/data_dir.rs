//! Where things are below the data directory, in one place.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};

use super::SandboxId;

/// The default of `--data`.
pub const DEFAULT: &str = "/var/lib/quayside";

/// The data directory: root's, 0700, but for `web` (the store) and `run` (sockets).
#[derive(Debug, Clone)]
pub struct DataDir {
    root: PathBuf,
}

impl DataDir {
    /// Makes what is missing.
    pub fn open(root: &Path) -> io::Result<Self> {
        let make = |path: &Path, mode| {
            fs::DirBuilder::new().recursive(true).mode(mode).create(path)?;
            fs::set_permissions(path, fs::Permissions::from_mode(mode))
        };
        fs::DirBuilder::new().recursive(true).mode(0o755).create(root)?;
        let this = Self { root: fs::canonicalize(root)? };
        for (directory, mode) in [
            (this.images(), 0o700),
            (this.images().join("content"), 0o700),
            (this.disks(), 0o700),
            (this.sandboxes(), 0o700),
            (this.leases(), 0o700),
            (this.run(), 0o755),
            (this.shims(), 0o755),
        ] {
            make(&directory, mode)?;
        }
        Ok(this)
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    pub fn images(&self) -> PathBuf {
        self.root.join("images")
    }

    /// Templates of session disks.
    pub fn disks(&self) -> PathBuf {
        self.root.join("disks")
    }

    pub fn sandboxes(&self) -> PathBuf {
        self.root.join("sandboxes")
    }

    pub fn sandbox(&self, id: SandboxId) -> PathBuf {
        self.sandboxes().join(id.to_string())
    }

    pub fn leases(&self) -> PathBuf {
        self.root.join("leases")
    }

    /// Sockets: `keeper.sock` and `shims/ID.sock`.
    pub fn run(&self) -> PathBuf {
        self.root.join("run")
    }

    pub fn shims(&self) -> PathBuf {
        self.run().join("shims")
    }

    /// A name of the program that the keeper runs from, for as long as that one lives.
    pub fn program(&self) -> PathBuf {
        self.root.join("program")
    }

    /// The store: the web process's own, and the only part that it may write.
    pub fn web(&self) -> PathBuf {
        self.root.join("web")
    }
}
