//! Speaking to a shim without a server: for `quayside run`, the benchmark and tests. Blocking.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::protocol::{Exec, FileHead, FromShim, Open, Purpose, State, ToShim};
use super::wire::{FromViewer, ToViewer, read_frame, write_frame};

/// A script is sent in pieces of this size, well below a frame's limit.
const PIECE: usize = 64 * 1024;

fn connect(socket: &Path, purpose: Purpose) -> io::Result<UnixStream> {
    // Through the directory's descriptor: the path may be longer than sun_path allows.
    let directory = std::fs::File::open(socket.parent().unwrap_or(Path::new(".")))?;
    let name = socket.file_name().ok_or(io::ErrorKind::InvalidInput)?;
    let fd = std::os::fd::AsRawFd::as_raw_fd(&directory).to_string();
    let mut stream = UnixStream::connect(Path::new("/proc/self/fd").join(fd).join(name))?;
    write_frame(&mut stream, &Open::new(purpose).encode())?;
    Ok(stream)
}

fn next(stream: &mut UnixStream) -> io::Result<FromShim> {
    let frame = read_frame(stream)?.ok_or(io::ErrorKind::UnexpectedEof)?;
    FromShim::decode(&frame).map_err(io::Error::other)
}

/// A viewer of one terminal.
#[derive(Debug)]
pub struct Viewer {
    pub stream: UnixStream,
}

impl Viewer {
    /// `command` is what runs in it instead of a shell, if this makes it.
    pub fn open(socket: &Path, number: u16, command: Vec<String>) -> io::Result<Self> {
        Ok(Self { stream: connect(socket, Purpose::Terminal { number, command })? })
    }

    pub fn send(&mut self, frame: &FromViewer) -> io::Result<()> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, &frame.encode())?;
        self.stream.write_all(&bytes)
    }

    /// `None`: the shim has ended.
    pub fn receive(&mut self) -> io::Result<Option<ToViewer>> {
        let frame = read_frame(&mut self.stream)?;
        frame.map(|frame| ToViewer::decode(&frame).map_err(io::Error::other)).transpose()
    }
}

/// The shim could not run what it was asked to: no such program, most often.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotRun(pub String);

/// Runs a script and hands every piece of output to `output`; returns how it ended.
pub fn exec(
    socket: &Path,
    exec: Exec,
    script: &[u8],
    mut output: impl FnMut(u8, &[u8]),
) -> io::Result<super::protocol::Finished> {
    let mut stream = connect(socket, Purpose::Exec(exec))?;
    for piece in script.chunks(PIECE) {
        write_frame(&mut stream, &ToShim::Data(piece.to_vec()).encode())?;
    }
    write_frame(&mut stream, &ToShim::End.encode())?;
    loop {
        match next(&mut stream)? {
            FromShim::Output { stream, bytes } => output(stream, &bytes),
            FromShim::Finished(finished) => return Ok(finished),
            FromShim::Failed { message } => return Err(io::Error::other(NotRun(message))),
            FromShim::State(_) => return Err(io::Error::other("a state on a script's connection")),
        }
    }
}

/// Places files: path, mode, bytes.
pub fn put_files(socket: &Path, files: &[(&str, u32, &[u8])]) -> io::Result<()> {
    let mut stream = connect(socket, Purpose::Files)?;
    for (path, mode, bytes) in files {
        let head = FileHead { path: (*path).into(), mode: *mode, size: bytes.len() as u64 };
        write_frame(&mut stream, &ToShim::File(head).encode())?;
        for piece in bytes.chunks(PIECE) {
            write_frame(&mut stream, &ToShim::Data(piece.to_vec()).encode())?;
        }
    }
    write_frame(&mut stream, &ToShim::End.encode())?;
    match next(&mut stream)? {
        FromShim::Finished(_) => Ok(()),
        FromShim::Failed { message } => Err(io::Error::other(message)),
        other => Err(io::Error::other(format!("instead of an end: {other:?}"))),
    }
}

pub fn state(socket: &Path) -> io::Result<State> {
    match next(&mut connect(socket, Purpose::State)?)? {
        FromShim::State(state) => Ok(state),
        other => Err(io::Error::other(format!("instead of a state: {other:?}"))),
    }
}
