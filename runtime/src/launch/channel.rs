//! What the processes of one launch tell each other.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::event::Event;
use super::plan::LaunchPlan;
use crate::sys::message;

/// One message; descriptors travel beside it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// Parent to shim, the first.
    Plan(Box<LaunchPlan>, StartedAt),
    /// Launcher to parent, with its user namespace: write my maps.
    UserNamespace {
        pid: i32,
    },
    /// Parent to launcher, with the exec pipe, disk, binary, the images, and the layers.
    Mounts,
    /// Launcher to parent: this is PID 1.
    Pid1 {
        pid: i32,
    },
    /// PID 1 to parent, with its devpts and the gateway's network namespace: all is mounted.
    Mounted,
    /// Shim to parent: the launcher has left `payload`.
    LauncherGone,
    /// Parent to shim, with the user namespace, devpts and gateway: it runs, keep it.
    Keep {
        pid1: i32,
    },
    /// Shim to parent: owns it from here.
    Kept,
    Event(Event),
    /// From a child that ends now; the event before it says where.
    Failed {
        doing: String,
        why: String,
    },
}

/// When the launch began, as [`super::event::now`] in nanoseconds.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct StartedAt(pub u64);

/// One end of the channel.
pub struct Channel {
    socket: OwnedFd,
}

impl Channel {
    pub fn new(socket: OwnedFd) -> Self {
        Self { socket }
    }

    pub fn send(&self, message: &Message, fds: &[BorrowedFd]) -> io::Result<()> {
        let bytes = serde_json::to_vec(message).expect("plain data serialises");
        message::send(self.socket.as_fd(), &bytes, fds)
    }

    /// The next message; `None` when nobody holds the other end any more.
    pub fn receive(&self) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
        let Some((bytes, fds)) = message::receive(self.socket.as_fd())? else { return Ok(None) };
        let message = serde_json::from_slice(&bytes)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("a launch message: {error}")))?;
        Ok(Some((message, fds)))
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
