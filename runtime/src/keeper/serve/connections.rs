//! Who speaks to the keeper: the web process and operators' commands, their requests and their answers.

use std::fs;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::chown;
use std::os::unix::net::UnixListener;
use std::path::Path;

use nix::sys::socket::{getsockopt, sockopt};

use super::sandboxes::info;
use super::{Caller, Config, Keeper, Sandbox, failed};
use crate::keeper::protocol::{Answer, Body, FailureCode, KEEPER_VERSION, Request, Verb};
use crate::launch::parent::Launcher;
use crate::shim::frames::{Frames, Peer};

/// The web process, its successor while it is replaced, and an operator's command or two.
const CONNECTIONS_MAX: usize = 8;

/// `keeper.sock`, for root and the web process. Through the directory's descriptor: the path may be
/// longer than an address of a socket allows.
pub(super) fn bind(launcher: &Launcher) -> io::Result<UnixListener> {
    let directory = fs::File::open(launcher.data.run())?;
    let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join("keeper.sock");
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let old = nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o177));
    let listener = UnixListener::bind(&path);
    nix::sys::stat::umask(old);
    let listener = listener?;
    chown(&path, Some(launcher.web_id), Some(launcher.web_id))?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

impl Keeper<'_> {
    pub(super) fn accept(&mut self) {
        let Ok((stream, _)) = self.listener.accept() else { return };
        // The socket's mode lets in only those two already; nobody has to trust that it stays so.
        let trusted = getsockopt(&stream, sockopt::PeerCredentials)
            .is_ok_and(|peer| peer.uid() == 0 || peer.uid() == self.launcher.web_id);
        if !trusted || self.connections.len() >= CONNECTIONS_MAX {
            return;
        }
        if let Ok(frames) = Frames::new(stream) {
            let id = self.new_id();
            self.connections.insert(id, frames);
        }
    }

    pub(super) fn connection_ready(&mut self, id: u32) {
        let Some(frames) = self.connections.get_mut(&id) else { return };
        if frames.flush().is_err() {
            self.connections.remove(&id);
            return;
        }
        let peer = frames.fill();
        loop {
            let Some(frames) = self.connections.get_mut(&id) else { return };
            match frames.next_frame() {
                Ok(Some(frame)) => self.frame(id, &frame),
                Ok(None) => break,
                Err(_) => {
                    self.connections.remove(&id);
                    return;
                }
            }
        }
        if !matches!(peer, Ok(Peer::Open)) {
            self.connections.remove(&id);
        }
    }

    fn frame(&mut self, connection: u32, frame: &[u8]) {
        match serde_json::from_slice::<Request>(frame) {
            Ok(Request { id: request, verb }) => self.verb(Caller { connection, request }, verb),
            Err(error) => {
                // The id is what an answer needs; a request that is broken otherwise may still have one.
                #[derive(serde::Deserialize)]
                struct OnlyId {
                    id: u64,
                }
                let request = serde_json::from_slice::<OnlyId>(frame).map_or(0, |only| only.id);
                let message = format!("cannot read the request: {error}");
                self.answer(Caller { connection, request }, failed(FailureCode::Invalid, message));
            }
        }
    }

    fn verb(&mut self, caller: Caller, verb: Verb) {
        match verb {
            Verb::Hello { version: KEEPER_VERSION } => {
                let Config { build, memory_bytes, .. } = &self.config;
                let body = Body::Hello { version: KEEPER_VERSION, build: build.clone(), memory_bytes: *memory_bytes };
                self.answer(caller, body);
            }
            Verb::Hello { version } => {
                let message =
                    format!("this keeper speaks version {KEEPER_VERSION}, not {version}; restart the older side");
                self.answer(caller, failed(FailureCode::Version, message));
            }
            Verb::Create { spec } => self.create(caller, spec),
            Verb::Destroy { sandbox } => self.destroy(sandbox, Some(caller)),
            Verb::List => {
                let running = self.sandboxes.values().filter_map(|sandbox| match sandbox {
                    Sandbox::Running { record, .. } => Some(info(record)),
                    _ => None,
                });
                let sandboxes = running.collect();
                self.answer(caller, Body::Sandboxes { sandboxes });
            }
            Verb::Images => {
                let images = self.images();
                self.answer(caller, Body::Images { images });
            }
            Verb::PrepareImage { name } => self.prepare_on_demand(caller, name),
        }
    }

    pub(super) fn answer(&mut self, Caller { connection, request }: Caller, body: Body) {
        let Some(frames) = self.connections.get_mut(&connection) else { return };
        let bytes = serde_json::to_vec(&Answer { id: request, body }).expect("plain data serialises");
        if frames.send(&bytes).is_err() {
            self.connections.remove(&connection);
        }
    }

    pub(super) fn tell_all(&mut self, body: &Body) {
        let connections: Vec<u32> = self.connections.keys().copied().collect();
        for connection in connections {
            self.answer(Caller { connection, request: 0 }, body.clone());
        }
    }
}
