//! The only code that speaks to the keeper and to shims.
//!
//! [`Sandboxes`] creates, finds and ends them; a [`Sandbox`] is one that runs, and opens terminals, runs
//! scripts and takes files. Nothing above this module may assume that a sandbox is on this machine: it
//! sees names, frames and outcomes, never a path or a socket.

mod frame;
mod keeper;
mod shim;
pub mod alone;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::keeper::protocol::{Body, FailureCode, ImageInfo, SandboxInfo, Verb};
use quayside_runtime::spec::{SandboxId, SandboxSpec};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinHandle;

pub use frame::{FrameReader, FrameWriter};
pub use keeper::{Event, HostInfo, KeeperError};
pub use shim::{ExecEvent, ExecRun, Put, PutSource, ShimError, TerminalLink, in_home};

use keeper::Keeper;

/// How long a launch may take: milliseconds as a rule, seconds when a class starts together.
const CREATE_PATIENCE: Duration = Duration::from_secs(60);
/// How long a tear-down may take; it waits until nothing is left.
const DESTROY_PATIENCE: Duration = Duration::from_secs(30);
/// How long a question may take that the keeper answers from memory.
const ASK_PATIENCE: Duration = Duration::from_secs(10);

/// The sandboxes of this installation.
#[derive(Debug, Clone)]
pub struct Sandboxes {
    keeper: Keeper,
    shims_dir: Arc<Path>,
}

/// One that runs; a name to reach it by, cheap to clone.
#[derive(Debug, Clone)]
pub struct Sandbox {
    pub id: SandboxId,
    pub image: String,
    pub hostname: String,
    socket: Arc<Path>,
}

impl Sandboxes {
    /// Begins to look for the keeper below `sockets_dir`. The task ends when the last clone is gone.
    pub fn connect(sockets_dir: &Path) -> (Self, JoinHandle<()>) {
        let (keeper, task) = Keeper::start(sockets_dir.join("keeper.sock"));
        (Self { keeper, shims_dir: sockets_dir.join("shims").into() }, task)
    }

    /// Whether the keeper is there now.
    pub fn reachable(&self) -> bool {
        self.keeper.connected()
    }

    pub fn events(&self) -> broadcast::Receiver<Event> {
        self.keeper.events()
    }

    /// Every image of the catalogue, and how near it is.
    pub fn images(&self) -> watch::Receiver<Arc<Vec<ImageInfo>>> {
        self.keeper.images()
    }

    /// What the keeper says of the host; `None` until it was there once.
    pub fn host(&self) -> watch::Receiver<Option<HostInfo>> {
        self.keeper.host()
    }

    /// Starts preparing an image; progress is seen in [`Sandboxes::images`].
    pub async fn prepare_image(&self, name: &str) -> Result<(), KeeperError> {
        let verb = Verb::PrepareImage { name: name.into() };
        self.keeper.call(verb, ASK_PATIENCE).await.and_then(done)
    }

    /// Launches a sandbox. If the keeper is lost meanwhile, it is asked for the sandbox again by its id, so
    /// that there is never a second one.
    pub async fn create(&self, spec: &SandboxSpec) -> Result<Sandbox, KeeperError> {
        let create = || Verb::Create { spec: spec.clone() };
        let mut answer = self.keeper.call(create(), CREATE_PATIENCE).await;
        if matches!(answer, Err(KeeperError::Lost)) {
            if let Some(sandbox) = self.find(spec.id).await? {
                return Ok(sandbox);
            }
            answer = self.keeper.call(create(), CREATE_PATIENCE).await;
        }
        match answer? {
            Body::Created { sandbox } => self.named(sandbox),
            other => Err(KeeperError::unexpected(&other)),
        }
    }

    /// Ends a sandbox and waits until nothing of it is left. One that is not there is ended already.
    pub async fn destroy(&self, sandbox: SandboxId) -> Result<(), KeeperError> {
        self.keeper.repeat(Verb::Destroy { sandbox }, DESTROY_PATIENCE).await.and_then(done)
    }

    pub async fn list(&self) -> Result<Vec<Sandbox>, KeeperError> {
        match self.keeper.repeat(Verb::List, ASK_PATIENCE).await? {
            Body::Sandboxes { sandboxes } => sandboxes.into_iter().map(|info| self.named(info)).collect(),
            other => Err(KeeperError::unexpected(&other)),
        }
    }

    pub async fn find(&self, id: SandboxId) -> Result<Option<Sandbox>, KeeperError> {
        Ok(self.list().await?.into_iter().find(|sandbox| sandbox.id == id))
    }

    /// The socket's name comes from another process: it must be a name, not a path.
    fn named(&self, info: SandboxInfo) -> Result<Sandbox, KeeperError> {
        let name = PathBuf::from(&info.socket);
        if name.file_name() != Some(name.as_os_str()) {
            return Err(KeeperError::Protocol(format!("the socket's name {:?} is a path", info.socket)));
        }
        let socket = self.shims_dir.join(name).into();
        Ok(Sandbox { id: info.id, image: info.image, hostname: info.hostname, socket })
    }
}

fn done(body: Body) -> Result<(), KeeperError> {
    match body {
        Body::Done => Ok(()),
        other => Err(KeeperError::unexpected(&other)),
    }
}

impl KeeperError {
    /// The keeper has no room now.
    pub fn is_full(&self) -> bool {
        matches!(self, Self::Refused(failure) if failure.code == FailureCode::Full)
    }
}
