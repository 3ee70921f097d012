//! One terminal: a pty, its scrollback, its viewers, and what was typed into it.
//!
//! Output: the pty is read while the *writer* has less than a window in flight; the others follow as they
//! can, and who falls behind what is kept gets a picture of the screen instead. While nobody looks, it is
//! read as far as the ring holds everything that nobody has seen, then not for a while, so that a
//! crash and a return lose nothing; then it is drained, so that a background job does not stop.
//!
//! The *writer* is the viewer that typed last of those that look, and where none of them has typed, the one
//! that has looked longest. It sets the size and the pace, and its emulator answers a program's queries.
//!
//! Input: counted for each viewer, so that what is sent again after a lost connection is taken once.

mod input;
mod view;

use std::collections::{HashMap, VecDeque};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use portable_pty::{MasterPty, PtySize};

use super::marks::{Mark, Marks};
use super::modes::Modes;
use super::ring::{RING_MAX, Ring};
use super::typing::{Effects, Typing};
use super::wire::{RunFlags, ToViewer, WINDOW};
use input::{Pending, Typed};
pub use view::View;
use view::{Below, Drawn};

/// How long a terminal that nobody looks at is held back before it is drained.
pub const HOLD_BACK: Duration = Duration::from_secs(30);

/// Sizes a program can live with; xterm.js and a wall of monitors fit.
const COLS: std::ops::RangeInclusive<u16> = 2..=500;
const ROWS: std::ops::RangeInclusive<u16> = 1..=300;

/// The size until a viewer tells its own.
const FIRST_SIZE: (u16, u16) = (80, 24);

/// Read in one go: what is there, up to this, becomes one frame.
pub const BURST_MAX: usize = 64 * 1024;

/// The shell's side, while there is one.
#[derive(Debug)]
pub enum Shell {
    /// None was asked for yet.
    None,
    /// An envoy is on its way.
    Starting,
    Running {
        pid: Pid,
        pty: Pty,
    },
    /// The program has ended but its terminal may still have something to say.
    Ended {
        status: i32,
        pty: Option<Pty>,
    },
}

/// A master behind portable-pty's trait, and the descriptor the loop watches.
pub struct Pty {
    pub master: Box<dyn MasterPty + Send>,
    pub fd: OwnedFd,
}

impl std::fmt::Debug for Pty {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        self.fd.fmt(out)
    }
}

#[derive(Debug)]
pub struct Terminal {
    pub shell: Shell,
    ring: Ring,
    marks: Marks,
    modes: Modes,
    typing: Typing,
    input: VecDeque<Pending>,
    input_len: usize,
    typed: HashMap<u128, Typed>,
    counter: u64,
    size: (u16, u16),
    writer: Option<u128>,
    /// The last picture, until there is more output.
    drawn: Option<Drawn>,
    /// The shell's screen below a program whose beginning is not kept.
    below: Option<Below>,
    /// A row is missing until then.
    nudged_until: Option<Instant>,
    /// The last byte that somebody has seen, and since when nobody looks.
    seen: u64,
    unwatched_since: Option<Instant>,
}

/// What is to be sent after something happened, to whom.
#[derive(Debug, Default)]
pub struct News {
    pub to_all: Vec<ToViewer>,
    pub to_viewer: Vec<(u128, ToViewer)>,
}

impl Terminal {
    pub fn new(now: Instant) -> Self {
        Self {
            shell: Shell::None,
            ring: Ring::default(),
            marks: Marks::default(),
            modes: Modes::default(),
            typing: Typing::new(now),
            input: VecDeque::new(),
            input_len: 0,
            typed: HashMap::new(),
            counter: 0,
            size: FIRST_SIZE,
            writer: None,
            drawn: None,
            below: None,
            nudged_until: None,
            seen: 0,
            unwatched_since: Some(now),
        }
    }

    pub fn size(&self) -> (u16, u16) {
        self.size
    }

    pub fn offset(&self) -> u64 {
        self.ring.end()
    }

    pub fn resize(&mut self, (cols, rows): (u16, u16)) {
        let size = (cols.clamp(*COLS.start(), *COLS.end()), rows.clamp(*ROWS.start(), *ROWS.end()));
        if size == self.size {
            return;
        }
        self.size = size;
        self.set_pty_size(size.0, size.1);
    }

    fn set_pty_size(&self, cols: u16, rows: u16) {
        if let Shell::Running { pty, .. } = &self.shell {
            // A terminal that is gone by now says so when it is read.
            let _ = pty.master.resize(PtySize { rows, cols, pixel_width: 0, pixel_height: 0 });
        }
    }

    pub fn run(&mut self, viewer: u128, id: u128, flags: RunFlags, text: String, now: Instant) -> News {
        let ended = matches!(self.shell, Shell::Ended { .. });
        if ended {
            let refused = ToViewer::RunState { id, state: super::wire::RunState::Refused, code: 0 };
            return News { to_all: vec![refused], ..News::default() };
        }
        self.types(viewer);
        let effects = self.typing.run(id, flags, text, now);
        self.apply(effects)
    }

    pub fn deadline(&self) -> Option<Instant> {
        let hold = self.unwatched_since.map(|since| since + HOLD_BACK).filter(|_| self.holds_back_for_now());
        [self.typing.deadline(), hold, self.nudged_until].into_iter().flatten().min()
    }

    pub fn timeout(&mut self, now: Instant) -> News {
        if self.nudged_until.is_some_and(|until| until <= now) {
            self.nudged_until = None;
            self.set_pty_size(self.size.0, self.size.1);
        }
        let effects = self.typing.timeout(now);
        self.apply(effects)
    }

    fn apply(&mut self, effects: Effects) -> News {
        if !effects.write.is_empty() {
            self.queue(None, &effects.write);
        }
        let state = |(id, state, code)| ToViewer::RunState { id, state, code };
        News { to_all: effects.news.into_iter().map(state).collect(), ..News::default() }
    }

    /// Output arrived.
    pub fn output(&mut self, bytes: &[u8], now: Instant) -> News {
        let mut heard = Vec::new();
        let begin = self.ring.end();
        self.marks.scan(bytes, |at, mark| {
            self.modes.heard(begin + at as u64, mark);
            if !matches!(mark, Mark::Mode(..) | Mark::Reset) {
                heard.push(mark);
            }
        });
        self.drawn = None;
        self.keep_below(bytes.len());
        self.ring.push(bytes);
        self.modes.begin_at(self.ring.start());
        let mut news = News::default();
        for mark in heard {
            let effects = self.typing.heard(mark, now);
            news.to_all.extend(self.apply(effects).to_all);
        }
        news
    }

    /// The shell has ended: what it said last was read, or is read before the pty goes.
    pub fn ended(&mut self, status: i32, now: Instant) -> News {
        let pty = match std::mem::replace(&mut self.shell, Shell::None) {
            Shell::Running { pty, .. } => Some(pty),
            _ => None,
        };
        self.shell = Shell::Ended { status, pty };
        let mut news = News::default();
        self.flush_input(&mut news);
        let effects = self.typing.shell_ended(now);
        news.to_all.extend(self.apply(effects).to_all);
        news
    }

    /// Whether the pty may be read now.
    pub fn wants_output<'a>(&self, mut views: impl Iterator<Item = &'a View>, now: Instant) -> bool {
        let pace = |view: &View| self.ring.end() - view.acked < WINDOW;
        let mut first = None;
        for view in views.by_ref() {
            if self.is_writer(view.viewer) {
                return pace(view);
            }
            first.get_or_insert(view);
        }
        match first {
            Some(view) => pace(view),
            None => !self.holds_back_for_now() || self.unwatched_since.is_some_and(|since| now >= since + HOLD_BACK),
        }
    }

    /// Unwatched, and one more burst would drop bytes that nobody has seen.
    fn holds_back_for_now(&self) -> bool {
        self.unwatched_since.is_some() && self.ring.end() - self.seen > (RING_MAX - 2 * BURST_MAX) as u64
    }
}

#[cfg(test)]
mod tests;
