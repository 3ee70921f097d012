//! A layer as it comes: a compressed stream becomes a directory, and is summed up on the way.
//!
//! Taking the compression off and writing files take about as long as each other, so they go side by side: one thread
//! reads, decompresses and sums up, and is at most [`AHEAD_BUFFERS`] buffers ahead of the one that writes.

use std::io::{self, Read};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use super::compression::{Compression, decompress};
use super::limits::Limits;
use super::unpack::{UnpackError, Unpacked, unpack};
use super::walk::ArchiveError;
use crate::image::beneath::Root;
use crate::image::digest::{Digest, Hashing};

/// Buffers between the two: 2 MiB in all, some files' worth.
const AHEAD_BUFFERS: usize = 8;
const BUFFER_BYTES: usize = 256 * 1024;

/// What a stream was.
#[derive(Debug, PartialEq, Eq)]
pub struct Taken {
    pub compression: Compression,
    /// The digest of the archive without its compression: what a layer is known by.
    pub diff_id: Digest,
    /// Bytes of that archive.
    pub archive_bytes: u64,
    pub unpacked: Unpacked,
}

/// Unpacks a layer's blob into an empty directory. When it is refused the directory is empty again.
pub fn unpack_blob(blob: impl Read + Send, root: &Root, limits: Limits) -> Result<Taken, UnpackError> {
    let failed = |source| ArchiveError::Read { after: "its beginning".into(), source };
    let plain = decompress(blob).map_err(failed)?;
    let compression = plain.compression;
    let mut hashing = Hashing::new(plain);
    let unpacked = read_ahead(&mut hashing, |archive| unpack(archive, root, limits))?;
    let (diff_id, archive_bytes, _) = hashing.finish();
    Ok(Taken { compression, diff_id, archive_bytes, unpacked })
}

/// Reads a stream in a thread of its own, which ends when the stream does or `consume` has had enough.
fn read_ahead<T>(stream: impl Read + Send, consume: impl FnOnce(&mut dyn Read) -> T) -> T {
    std::thread::scope(|scope| {
        let (filled, buffers) = sync_channel(AHEAD_BUFFERS);
        scope.spawn(move || fill(stream, &filled));
        // Dropped before the scope waits for the thread, so that one which is still sending is told to end.
        consume(&mut Ahead { buffers, buffer: Vec::new(), at: 0 })
    })
}

fn fill(mut stream: impl Read, filled: &SyncSender<io::Result<Vec<u8>>>) {
    loop {
        let mut buffer = Vec::with_capacity(BUFFER_BYTES);
        let read = (&mut stream).take(BUFFER_BYTES as u64).read_to_end(&mut buffer);
        let is_last = buffer.is_empty();
        // What came before an error is given first.
        let sent = is_last || filled.send(Ok(buffer)).is_ok();
        if let Err(error) = read {
            // Nobody is left to hear of it when the reader has had enough.
            let _ = filled.send(Err(error));
            return;
        }
        if is_last || !sent {
            return;
        }
    }
}

struct Ahead {
    buffers: Receiver<io::Result<Vec<u8>>>,
    buffer: Vec<u8>,
    at: usize,
}

impl Read for Ahead {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.at == self.buffer.len() {
            // The thread is gone: it has sent everything.
            let Ok(buffer) = self.buffers.recv() else { return Ok(0) };
            self.buffer = buffer?;
            self.at = 0;
        }
        let count = out.len().min(self.buffer.len() - self.at);
        out[..count].copy_from_slice(&self.buffer[self.at..self.at + count]);
        self.at += count;
        Ok(count)
    }
}
