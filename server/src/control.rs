//! What supervisor and web process say to each other, over a pair of SOCK_SEQPACKET sockets: JSON, one message a
//! datagram. There is little of it: the web process is told its certificate, and says when it serves.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use quayside_runtime::sys::message;
use serde::{Deserialize, Serialize};
use tokio::net::UnixDatagram;

use crate::tls::Pair;

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ToWeb {
    /// For connections from now on.
    Certificate(Pair),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FromWeb {
    /// Requests are answered, and the keeper is there: sessions can be started.
    Serving,
}

/// The supervisor's end.
#[derive(Debug)]
pub struct WebLine(OwnedFd);

/// The web process's end, not yet in its runtime.
pub type SupervisorFd = OwnedFd;

/// Both ends. The supervisor never waits for the web process.
pub fn pair() -> io::Result<(WebLine, SupervisorFd)> {
    let (ours, theirs) = message::pair()?;
    message::never_wait(ours.as_fd())?;
    Ok((WebLine(ours), theirs))
}

impl WebLine {
    pub fn tell(&self, words: &ToWeb) -> io::Result<()> {
        message::send(self.0.as_fd(), &serde_json::to_vec(words).expect("plain data serialises"), &[])
    }

    /// What was said by now; `Err(WouldBlock)`: nothing. `None`: the web process has ended.
    pub fn hear(&self) -> io::Result<Option<FromWeb>> {
        match message::receive(self.0.as_fd())? {
            Some((bytes, _)) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
            None => Ok(None),
        }
    }
}

impl AsFd for WebLine {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The web process's end. tokio has no type for such sockets; a datagram's asks the same of the kernel.
#[derive(Debug)]
pub struct SupervisorLine(UnixDatagram);

impl SupervisorLine {
    /// Within the runtime.
    pub fn new(fd: SupervisorFd) -> io::Result<Self> {
        message::never_wait(fd.as_fd())?;
        Ok(Self(UnixDatagram::from_std(fd.into())?))
    }

    pub async fn tell(&self, words: FromWeb) -> io::Result<()> {
        self.0.send(&serde_json::to_vec(&words).expect("plain data serialises")).await.map(drop)
    }

    /// The next word; `None`: the supervisor has ended.
    pub async fn hear(&self) -> io::Result<Option<ToWeb>> {
        let mut bytes = vec![0; message::DATAGRAM_MAX];
        match self.0.recv(&mut bytes).await? {
            0 => Ok(None),
            length => serde_json::from_slice(&bytes[..length]).map(Some).map_err(io::Error::other),
        }
    }
}
