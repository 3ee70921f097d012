//! What caller, monitor and PID 1 of one container tell each other.

use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};

use serde::{Deserialize, Serialize};

use super::spec::Exit;
use crate::launch::event::Event;
use crate::sys::message;

/// One message; descriptors travel beside it.
#[derive(Debug, Serialize, Deserialize)]
pub enum Message {
    /// Caller to monitor, the first, with the plan (a file, as it may be long) and standard input.
    Start {
        /// As [`crate::launch::event::now`] in nanoseconds.
        at: u64,
    },
    /// Caller to monitor: kill it.
    End,
    /// Monitor to caller, with a pidfd of PID 1.
    Forked,
    Event(Event),
    /// A step that failed; `code` where it is the program's or the user's fault.
    Failed {
        event: Event,
        why: String,
        code: Option<i32>,
    },
    /// Monitor to caller, the last: nothing runs any more.
    Ended(Exit),
}

pub fn send(socket: BorrowedFd, message: &Message, fds: &[BorrowedFd]) -> io::Result<()> {
    let bytes = serde_json::to_vec(message).expect("plain data serialises");
    message::send(socket, &bytes, fds)
}

/// The next message; `None` when nobody holds the other end any more.
pub fn receive(socket: BorrowedFd) -> io::Result<Option<(Message, Vec<OwnedFd>)>> {
    let received = match message::receive(socket) {
        // Gone without having read everything (unix(7)).
        Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
        received => received?,
    };
    let Some((bytes, fds)) = received else { return Ok(None) };
    let message = serde_json::from_slice(&bytes)
        .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, format!("a container's message: {error}")))?;
    Ok(Some((message, fds)))
}
