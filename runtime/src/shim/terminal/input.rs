//! What was typed into a terminal, by whom, and how far the pty has taken it.

use std::collections::VecDeque;
use std::io;
use std::os::fd::AsFd;

use super::{News, Shell, Terminal};
use crate::shim::pty;
use crate::shim::wire::{INPUT_MAX, ToViewer};

/// Bytes that wait for the pty, from all viewers: each may have one window of input under way.
pub(super) const INPUT_QUEUE_MAX: usize = 2 * INPUT_MAX as usize;

/// Viewers whose counts are remembered: tabs of one learner, over a session's hours.
const VIEWERS_MAX: usize = 256;

/// Keys that a terminal itself answers by dropping what was typed ahead (termios(3): ISIG).
const FLUSHING_KEYS: [u8; 3] = [0x03, 0x1c, 0x1a];

/// What one viewer has typed.
#[derive(Debug, Default)]
pub(super) struct Typed {
    /// Taken into the queue.
    taken: u64,
    /// Given to the pty.
    pub(super) written: u64,
    /// When it was last heard of, and when it last typed, in the order of such things; 0: never.
    last: u64,
    pub(super) typed_at: u64,
}

#[derive(Debug)]
pub(super) struct Pending {
    viewer: Option<u128>,
    pub(super) bytes: VecDeque<u8>,
}

impl Terminal {
    /// Takes typed bytes, each once. `false`: no room now, offer the same frame again later.
    pub fn typed_bytes(&mut self, viewer: u128, number: u64, bytes: &[u8], news: &mut News) -> bool {
        self.types(viewer);
        let typed = self.typed(viewer);
        let known = typed.taken.saturating_sub(number).min(bytes.len() as u64) as usize;
        let fresh = &bytes[known..];
        if fresh.is_empty() {
            let written = typed.written;
            news.to_viewer.push((viewer, ToViewer::InputAcked { number: written }));
            return true;
        }
        let flushes = fresh.len() == 1 && FLUSHING_KEYS.contains(&fresh[0]);
        if flushes {
            if let Shell::Running { pty, .. } = &self.shell {
                // A key that cannot be dropped ahead is one that waits: no harm.
                let _ = pty::flush_ahead_of_signal(pty.fd.as_fd());
            }
            self.flush_input(news);
        } else if self.input_len + fresh.len() > INPUT_QUEUE_MAX {
            return false;
        }
        // A viewer may say any number: one that counts past the end has nothing more to type.
        let end = number.saturating_add(bytes.len() as u64);
        self.typed(viewer).taken = end;
        if matches!(self.shell, Shell::Ended { .. } | Shell::None) {
            self.typed(viewer).written = end;
            news.to_viewer.push((viewer, ToViewer::InputAcked { number: end }));
            return true;
        }
        self.queue(Some(viewer), fresh);
        true
    }

    /// What a program does not read is given up for the key that interrupts it.
    pub(super) fn flush_input(&mut self, news: &mut News) {
        for pending in std::mem::take(&mut self.input) {
            if let Some(viewer) = pending.viewer {
                let typed = self.typed(viewer);
                typed.written = typed.taken;
                let number = typed.written;
                news.to_viewer.push((viewer, ToViewer::InputAcked { number }));
            }
        }
        self.input_len = 0;
    }

    pub(super) fn queue(&mut self, viewer: Option<u128>, bytes: &[u8]) {
        self.input_len += bytes.len();
        match self.input.back_mut() {
            Some(last) if last.viewer == viewer => last.bytes.extend(bytes),
            _ => self.input.push_back(Pending { viewer, bytes: bytes.iter().copied().collect() }),
        }
    }

    fn typed(&mut self, viewer: u128) -> &mut Typed {
        if self.typed.len() >= VIEWERS_MAX && !self.typed.contains_key(&viewer) {
            let oldest = self.typed.iter().min_by_key(|(_, typed)| typed.last).map(|(&viewer, _)| viewer);
            oldest.and_then(|viewer| self.typed.remove(&viewer));
        }
        self.counter += 1;
        let typed = self.typed.entry(viewer).or_default();
        typed.last = self.counter;
        typed
    }

    /// A viewer types: it is the writer from now on, if it looks as well.
    pub(super) fn types(&mut self, viewer: u128) {
        let typed = self.typed(viewer);
        typed.typed_at = typed.last;
    }

    /// Something waits to be written.
    pub fn wants_input(&self) -> bool {
        self.input_len > 0
    }

    /// Writes what the pty takes.
    pub fn write_input(&mut self, news: &mut News) -> io::Result<()> {
        let Shell::Running { pty, .. } = &self.shell else { return Ok(()) };
        let mut written_by: Vec<(u128, u64)> = Vec::new();
        while let Some(pending) = self.input.front_mut() {
            let (first, _) = pending.bytes.as_slices();
            let written = match rustix::io::write(&pty.fd, first) {
                Ok(written) => written,
                Err(rustix::io::Errno::AGAIN) => break,
                Err(rustix::io::Errno::INTR) => continue,
                Err(error) => return Err(error.into()),
            };
            pending.bytes.drain(..written);
            self.input_len -= written;
            if let Some(viewer) = pending.viewer {
                written_by.push((viewer, written as u64));
            }
            if pending.bytes.is_empty() {
                self.input.pop_front();
            }
        }
        for (viewer, written) in written_by {
            let typed = self.typed(viewer);
            typed.written = typed.written.saturating_add(written);
            let number = typed.written;
            news.to_viewer.retain(|(other, frame)| *other != viewer || !matches!(frame, ToViewer::InputAcked { .. }));
            news.to_viewer.push((viewer, ToViewer::InputAcked { number }));
        }
        Ok(())
    }
}
