//! Frames behind a 32-bit length, on an asynchronous socket.
//!
//! The format is [`quayside_runtime::shim::wire`]'s; that crate is synchronous, so reading without blocking
//! lives here. A frame is cut out of what was read without a copy.
//!
//! The kernel tells whoever asked for it each time that the other side has read, also where there was room all along
//! (unix(7), epoll(7)). A shim that reads a key would wake us for nothing, and on its own processor wait until we sleep
//! again. So we ask for room only while there is none.

use std::io::{self, IoSlice};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::sync::Arc;

use bytes::{Buf, Bytes, BytesMut};
use nix::errno::Errno;
use nix::sys::socket::{Shutdown, shutdown};
use nix::sys::uio::writev;
use quayside_runtime::shim::wire::FRAME_MAX;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::{Receiver, Sender};

/// A frame's payload and the few bytes before it. Longer than this is refused before it is stored.
pub const LENGTH_MAX: usize = FRAME_MAX + 64;

/// What a first read makes room for: a keystroke's echo fits, and an idle connection holds nothing.
const CHUNK_SMALL: usize = 4 * 1024;
/// Room once a read came back full: a burst is on its way.
const CHUNK_LARGE: usize = 64 * 1024;

/// Reads frames. Dropping a `next` half way loses nothing.
#[derive(Debug)]
pub struct FrameReader {
    /// A socket: tokio has a type for a descriptor that is registered for reading alone, and calls it a pipe's.
    stream: Arc<Receiver>,
    buffer: BytesMut,
    chunk: usize,
}

/// Writes frames. Dropped, it tells the other side that no more will come.
#[derive(Debug)]
pub struct FrameWriter {
    stream: Arc<Receiver>,
}

/// Both directions of one connection.
pub fn framed(stream: UnixStream) -> io::Result<(FrameReader, FrameWriter)> {
    let stream = Arc::new(Receiver::from_owned_fd_unchecked(OwnedFd::from(stream.into_std()?))?);
    let reader = FrameReader { stream: stream.clone(), buffer: BytesMut::new(), chunk: CHUNK_SMALL };
    Ok((reader, FrameWriter { stream }))
}

impl FrameReader {
    /// The next frame; `None` at a clean end.
    pub async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            if let Some(frame) = self.buffered()? {
                return Ok(Some(frame));
            }
            if !self.fill().await? {
                return if self.buffer.is_empty() { Ok(None) } else { Err(io::ErrorKind::UnexpectedEof.into()) };
            }
        }
    }

    /// A whole frame of what was read already.
    fn buffered(&mut self) -> io::Result<Option<Bytes>> {
        let Some(length) = self.buffer.first_chunk::<4>() else { return Ok(None) };
        let length = u32::from_le_bytes(*length) as usize;
        if length > LENGTH_MAX {
            let message = format!("a frame of {length} bytes is over the limit of {LENGTH_MAX}");
            return Err(io::Error::new(io::ErrorKind::InvalidData, message));
        }
        if self.buffer.len() < 4 + length {
            self.buffer.reserve(4 + length - self.buffer.len());
            return Ok(None);
        }
        self.buffer.advance(4);
        Ok(Some(self.buffer.split_to(length).freeze()))
    }

    /// Reads once; `false` at the end. Memory is taken only when there is something to read.
    async fn fill(&mut self) -> io::Result<bool> {
        if self.buffer.is_empty() {
            self.buffer = BytesMut::new();
        }
        loop {
            self.stream.readable().await?;
            self.buffer.reserve(self.chunk);
            let room = self.buffer.capacity() - self.buffer.len();
            match self.stream.try_read_buf(&mut self.buffer) {
                Ok(0) => return Ok(false),
                Ok(count) => {
                    self.chunk = if count == room { CHUNK_LARGE } else { CHUNK_SMALL };
                    return Ok(true);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
                Err(error) => return Err(error),
            }
        }
    }
}

impl FrameWriter {
    /// Writes one frame, and waits while the other side is not reading. A `write` that is dropped half way
    /// leaves the connection unusable: close it.
    pub async fn write(&mut self, frame: impl Buf) -> io::Result<()> {
        let length = u32::try_from(frame.remaining()).map_err(|_| io::ErrorKind::InvalidInput)?;
        let length = length.to_le_bytes();
        let mut whole = Buf::chain(&length[..], frame);
        while whole.has_remaining() {
            let mut parts = [IoSlice::new(&[]); 2];
            let count = whole.chunks_vectored(&mut parts);
            match writev(self.stream.as_fd(), &parts[..count]) {
                Ok(written) => whole.advance(written),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => self.room().await?,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Waits for it, by a descriptor of its own that is registered for as long.
    async fn room(&self) -> io::Result<()> {
        Sender::from_owned_fd_unchecked(self.stream.as_fd().try_clone_to_owned()?)?.writable().await
    }
}

impl Drop for FrameWriter {
    fn drop(&mut self) {
        let _ = shutdown(self.stream.as_raw_fd(), Shutdown::Write); // the other side may have gone before us
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;

    use super::*;

    #[tokio::test]
    async fn frames_arrive_whole_however_the_bytes_are_cut() {
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (mut reader, _keep) = framed(ours).expect("registered");
        let frames: Vec<Vec<u8>> =
            [0, 1, 5, 4096, 70_000, FRAME_MAX].iter().map(|&size| vec![size as u8; size]).collect();
        let sent = frames.clone();
        let writing = tokio::spawn(async move {
            let (_keep, mut writer) = framed(theirs).expect("registered");
            for frame in &sent {
                writer.write(&frame[..]).await.expect("written");
            }
        });
        for frame in &frames {
            assert_eq!(reader.next().await.expect("no error").expect("a frame"), frame);
        }
        assert!(reader.next().await.expect("a clean end").is_none());
        writing.await.expect("no panic");
    }

    #[tokio::test]
    async fn more_than_the_kernel_keeps_waits_for_a_slow_reader_and_comes_whole() {
        const FRAMES: usize = 100;
        let (ours, theirs) = UnixStream::pair().expect("a pair");
        let (mut reader, _keep) = framed(ours).expect("registered");
        let (done, mut is_done) = tokio::sync::oneshot::channel();
        let writing = tokio::spawn(async move {
            let (_keep, mut writer) = framed(theirs).expect("registered");
            for number in 0..FRAMES {
                writer.write(&vec![number as u8; FRAME_MAX][..]).await.expect("written");
            }
            let _ = done.send(());
        });
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        assert!(is_done.try_recv().is_err(), "the kernel does not keep {FRAMES} frames");
        for number in 0..FRAMES {
            let frame = reader.next().await.expect("no error").expect("a frame");
            assert!(frame.len() == FRAME_MAX && frame.iter().all(|&byte| byte == number as u8), "frame {number}");
        }
        assert!(reader.next().await.expect("a clean end").is_none());
        writing.await.expect("no panic");
    }

    #[tokio::test]
    async fn a_length_over_the_limit_is_refused_before_it_is_stored() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(&u32::MAX.to_le_bytes()).await.expect("written");
        let (mut reader, _keep) = framed(ours).expect("registered");
        let error = reader.next().await.expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
        assert!(reader.buffer.capacity() <= CHUNK_SMALL);
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_an_error() {
        let (ours, mut theirs) = UnixStream::pair().expect("a pair");
        theirs.write_all(&[5, 0, 0, 0, 1]).await.expect("written");
        drop(theirs);
        let (mut reader, _keep) = framed(ours).expect("registered");
        assert_eq!(reader.next().await.expect_err("cut off").kind(), io::ErrorKind::UnexpectedEof);
    }
}
