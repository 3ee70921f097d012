//! How far each part of a pull or push is: counted by the threads that move bytes, read by the one that reports.

use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};

use super::super::digest::Digest;

/// What becomes of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PartState {
    Waiting,
    /// Bytes move.
    Moving,
    /// It was here, or there, already.
    Present,
    Done,
}

/// One layer, or the config.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    /// As the manifest names it.
    pub digest: Digest,
    pub state: PartState,
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// The whole, and its parts from bottom to top.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    pub parts: Vec<Part>,
    /// Of the parts that have to be moved.
    pub done_bytes: u64,
    pub total_bytes: u64,
}

/// Shared by the threads.
#[derive(Debug, Default)]
pub struct Meters(Vec<Meter>);

#[derive(Debug)]
pub struct Meter {
    digest: Digest,
    total: u64,
    done: AtomicU64,
    /// A [`PartState`]'s place in [`STATES`].
    state: AtomicU8,
}

const STATES: [PartState; 4] = [PartState::Waiting, PartState::Moving, PartState::Present, PartState::Done];

impl Meters {
    pub fn new(parts: impl Iterator<Item = (Digest, u64)>) -> Self {
        let meter = |(digest, total)| Meter { digest, total, done: AtomicU64::default(), state: AtomicU8::default() };
        Self(parts.map(meter).collect())
    }

    pub fn of(&self, index: usize) -> &Meter {
        &self.0[index]
    }

    pub fn now(&self) -> Progress {
        let parts: Vec<Part> = self.0.iter().map(Meter::now).collect();
        let moved = || parts.iter().filter(|part| part.state != PartState::Present);
        let (done_bytes, total_bytes) =
            (moved().map(|part| part.done_bytes).sum(), moved().map(|part| part.total_bytes).sum());
        Progress { parts, done_bytes, total_bytes }
    }
}

impl Meter {
    pub fn turn(&self, state: PartState) {
        let place = STATES.iter().position(|known| *known == state).expect("every state stands in the list");
        self.state.store(place as u8, Ordering::Relaxed);
    }

    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    fn now(&self) -> Part {
        Part {
            digest: self.digest,
            state: STATES[usize::from(self.state.load(Ordering::Relaxed))],
            done_bytes: self.done.load(Ordering::Relaxed),
            total_bytes: self.total,
        }
    }
}
