//! A connection as frames, never blocking: what came in so far, what has to go out.

use std::collections::VecDeque;
use std::io::{self, IoSlice, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;

use super::wire::FRAME_MAX;

/// A frame's length before it.
const HEADER: usize = 4;

/// Bytes that wait for the peer to read. The shim gives no viewer more output while any wait, so
/// only small frames add up here; a peer that lets this fill has stopped reading and is dropped.
const OUT_MAX: usize = 1024 * 1024;

/// Read at most so much from one connection before others get their turn.
const TURN_MAX: usize = 256 * 1024;

/// What reading said about the peer.
#[derive(Debug, PartialEq, Eq)]
pub enum Peer {
    Open,
    Closed,
}

#[derive(Debug)]
pub struct Frames {
    stream: UnixStream,
    input: Vec<u8>,
    output: VecDeque<u8>,
}

impl Frames {
    pub fn new(stream: UnixStream) -> io::Result<Self> {
        stream.set_nonblocking(true)?;
        Ok(Self { stream, input: Vec::new(), output: VecDeque::new() })
    }

    /// Reads what is there.
    pub fn fill(&mut self) -> io::Result<Peer> {
        let mut buffer = [0; 16 * 1024];
        let mut taken = 0;
        while taken < TURN_MAX && self.input.len() < FRAME_MAX + HEADER {
            match self.stream.read(&mut buffer) {
                Ok(0) => return Ok(Peer::Closed),
                Ok(length) => {
                    self.input.extend_from_slice(&buffer[..length]);
                    taken += length;
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Peer::Open)
    }

    /// The next whole frame, if it has arrived. Too long a one is an error.
    pub fn next_frame(&mut self) -> io::Result<Option<Vec<u8>>> {
        let Some(length) = self.input.first_chunk::<HEADER>().map(|bytes| u32::from_le_bytes(*bytes) as usize) else {
            return Ok(None);
        };
        if length > FRAME_MAX + 64 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, format!("a frame of {length} bytes")));
        }
        if self.input.len() < HEADER + length {
            return Ok(None);
        }
        let frame = self.input[HEADER..HEADER + length].to_vec();
        self.input.drain(..HEADER + length);
        if self.input.is_empty() {
            self.input = Vec::new(); // an idle connection keeps no buffer
        }
        Ok(Some(frame))
    }

    /// Queues a small frame and sends what goes.
    pub fn send(&mut self, frame: &[u8]) -> io::Result<()> {
        if self.output.len() + frame.len() > OUT_MAX {
            return Err(io::Error::new(io::ErrorKind::OutOfMemory, "the peer does not read"));
        }
        self.output.extend((frame.len() as u32).to_le_bytes());
        self.output.extend(frame);
        self.flush()
    }

    /// Sends a frame of an opcode and two pieces without copying what the socket takes at once.
    /// Only when nothing waits ([`Frames::is_idle`]).
    pub fn send_pieces(&mut self, opcode: u8, pieces: [&[u8]; 2]) -> io::Result<()> {
        let length = 1 + pieces[0].len() + pieces[1].len();
        let mut header = [0; HEADER + 1];
        header[..HEADER].copy_from_slice(&(length as u32).to_le_bytes());
        header[HEADER] = opcode;
        let parts = [&header[..], pieces[0], pieces[1]];
        let mut sent = match (&self.stream).write_vectored(&parts.map(IoSlice::new)) {
            Ok(sent) => sent,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
            Err(error) => return Err(error),
        };
        for part in parts {
            let skip = sent.min(part.len());
            self.output.extend(&part[skip..]);
            sent -= skip;
        }
        Ok(())
    }

    /// Nothing waits to be sent.
    pub fn is_idle(&self) -> bool {
        self.output.is_empty()
    }

    pub fn flush(&mut self) -> io::Result<()> {
        while !self.output.is_empty() {
            let (first, second) = self.output.as_slices();
            match (&self.stream).write_vectored(&[IoSlice::new(first), IoSlice::new(second)]) {
                Ok(sent) => drop(self.output.drain(..sent)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        self.output = VecDeque::new();
        Ok(())
    }

    /// The stream, and bytes read from it that no frame was made of yet.
    pub fn into_parts(self) -> (UnixStream, Vec<u8>) {
        (self.stream, self.input)
    }
}

impl AsFd for Frames {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.stream.as_fd()
    }
}
