//! A sandbox without a keeper: for commands that need no service.
//!
//! Whoever launches one holds it: it ends with its [`Held`], however that goes out of scope.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use nix::sys::wait::waitpid;
use nix::unistd::Pid;
use quayside_runtime::launch::lease;
use quayside_runtime::launch::parent::{LaunchError, Launcher, Layers};
use quayside_runtime::launch::plan::Host;
use quayside_runtime::launch::teardown::{self, Leftovers, Record};
use quayside_runtime::spec::SandboxSpec;
use quayside_runtime::spec::data_dir::DataDir;

use super::Sandbox;

/// Launches sandboxes from this very process.
pub struct Alone {
    launcher: Launcher,
    shims_dir: File,
}

/// A sandbox that ends when this is dropped.
pub struct Held<'a> {
    pub sandbox: Sandbox,
    alone: &'a Alone,
    record: Option<Record>,
}

impl Alone {
    pub fn new(data: DataDir, host: Host) -> io::Result<Self> {
        let shims_dir = File::open(data.shims())?;
        Ok(Self { launcher: Launcher::new(data, host, lease::WEB_ID)?, shims_dir })
    }

    /// The calling process has one thread: an asynchronous runtime comes later, and goes before the next launch.
    pub fn launch(&self, spec: SandboxSpec, layers: &Layers) -> Result<Held<'_>, LaunchError> {
        let record = self.launcher.launch(spec, layers, &mut |_| ())?.record;
        // Through the directory's descriptor: the path may be longer than sun_path allows.
        let directory = Path::new("/proc/self/fd").join(self.shims_dir.as_raw_fd().to_string());
        let sandbox = Sandbox {
            id: record.id,
            image: record.image.clone(),
            hostname: record.hostname.clone(),
            socket: directory.join(teardown::socket_name(record.id)).into(),
        };
        Ok(Held { sandbox, alone: self, record: Some(record) })
    }
}

impl Held<'_> {
    /// Ends it, and says what could not be removed.
    pub fn end(mut self) -> Result<(), Leftovers> {
        self.destroy()
    }

    fn destroy(&mut self) -> Result<(), Leftovers> {
        let Some(record) = self.record.take() else { return Ok(()) };
        let destroyed = teardown::destroy(&self.alone.launcher.data, &record);
        // The shim is our child; it was killed with its groups.
        let _ = waitpid(Pid::from_raw(record.shim_pid), None);
        destroyed
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        // Nobody is left to be told; `sweep` tries again.
        let _ = self.destroy();
    }
}
