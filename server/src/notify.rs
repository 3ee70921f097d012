//! What a service manager is told, by systemd's protocol: one datagram to the socket that it named
//! (sd_notify(3)). It is a few lines, so there is no crate for it here.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Somebody who wants to hear how the service is; or nobody.
#[derive(Debug, Default)]
pub struct Manager(Option<SocketAddr>);

impl Manager {
    /// `socket` is a path, or a name in the abstract namespace behind an `@`.
    pub fn at(socket: Option<&OsStr>) -> io::Result<Self> {
        let address = socket.map(|socket| match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name),
            _ => SocketAddr::from_pathname(socket),
        });
        Ok(Self(address.transpose()?))
    }

    /// Learners can be served.
    pub fn ready(&self, status: &str) {
        self.tell(&format!("READY=1\nSTATUS={status}"));
    }

    pub fn status(&self, status: &str) {
        self.tell(&format!("STATUS={status}"));
    }

    pub fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// A manager that does not listen changes nothing for learners.
    fn tell(&self, words: &str) {
        let Some(address) = &self.0 else { return };
        let sent = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            socket.send_to_addr(words.as_bytes(), address)
        });
        if let Err(error) = sent {
            tracing::warn!(%error, "cannot tell the service manager");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn heard(socket: &UnixDatagram) -> String {
        let mut bytes = [0; 256];
        let length = socket.recv(&mut bytes).expect("a datagram");
        String::from_utf8_lossy(&bytes[..length]).into_owned()
    }

    #[test]
    fn a_manager_is_told_by_a_path_and_by_an_abstract_name() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("notify");
        let by_path = UnixDatagram::bind(&path).expect("a socket");
        let manager = Manager::at(Some(path.as_os_str())).expect("a manager");
        manager.ready("serving");
        assert_eq!(heard(&by_path), "READY=1\nSTATUS=serving");
        let name = format!("quayside-test-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a name");
        let abstract_one = UnixDatagram::bind_addr(&address).expect("a socket");
        Manager::at(Some(OsStr::new(&format!("@{name}")))).expect("a manager").stopping();
        assert_eq!(heard(&abstract_one), "STOPPING=1");
    }

    #[test]
    fn without_a_manager_nothing_happens() {
        Manager::at(None).expect("nobody").ready("serving");
        Manager::at(Some(OsStr::new("/nowhere/at/all"))).expect("an address").ready("serving");
    }
}
