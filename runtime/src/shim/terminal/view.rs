//! Who looks at a terminal: where each is in the output, who of them is the writer, and what they are sent.

use std::io;
use std::time::{Duration, Instant};

use super::{BURST_MAX, ROWS, Shell, Terminal};
use crate::shim::frames::Frames;
use crate::shim::picture::{Output, below, picture};
use crate::shim::wire::{ToViewer, WINDOW};

/// A viewer that cannot follow gets a picture so often at most: each is the work of some milliseconds.
const PICTURE_EVERY: Duration = Duration::from_secs(1);

/// How long a full-screen program sees a row less when somebody comes to a picture of it, so that it draws
/// itself anew: what it drew before all that is kept stands in no picture.
const NUDGE: Duration = Duration::from_millis(30);

/// A picture is sent in pieces of this size.
const SCREEN_PIECE: usize = 64 * 1024;

/// A connection's view of the terminal.
#[derive(Debug)]
pub struct View {
    pub viewer: u128,
    /// The viewer's own size, which counts while it is the writer.
    pub size: (u16, u16),
    /// It understands roles and pictures.
    pub roles: bool,
    /// What it was told last: whether it is the writer, and the screen's size.
    pub told: Option<(bool, (u16, u16))>,
    joined: u64,
    /// Offset of the next byte to send.
    pub(super) next: u64,
    pub(super) acked: u64,
    /// It has fallen behind and gets a picture then.
    picture_at: Option<Instant>,
    pictured: Option<Instant>,
}

impl View {
    pub fn deadline(&self) -> Option<Instant> {
        self.picture_at
    }
}

/// A picture of everything up to the end of the output, kept for the next who comes: making it takes up to 80 ms,
/// and a page that is loaded again and again asks for the same.
#[derive(Debug)]
pub(super) struct Drawn {
    size: (u16, u16),
    /// `None`: there is none, see [`picture`].
    picture: Option<Vec<u8>>,
}

/// What the shell's screen is made of when it is about to go: this much before a program switched to its own.
const BELOW_FROM: u64 = 64 * 1024;

/// The shell's screen below the program that switched to its own at `entered`.
#[derive(Debug)]
pub(super) struct Below {
    entered: u64,
    picture: Vec<u8>,
}

impl Terminal {
    /// A viewer comes: elect the writer, then [`Terminal::attach`] it.
    pub fn view(&mut self, viewer: u128, size: (u16, u16), roles: bool) -> View {
        self.counter += 1;
        self.unwatched_since = None;
        let joined = self.counter;
        View { viewer, size, roles, joined, told: None, next: 0, acked: 0, picture_at: None, pictured: None }
    }

    /// Chooses the writer among those that look; its size is the screen's.
    pub fn elect<'a>(&mut self, views: impl Iterator<Item = &'a View>) {
        let typed_at = |view: &View| self.typed.get(&view.viewer).map_or(0, |typed| typed.typed_at);
        let rank = |view: &&View| match typed_at(view) {
            0 => (0, u64::MAX - view.joined),
            at => (at, view.joined),
        };
        let Some(view) = views.max_by_key(rank) else { return self.writer = None };
        self.writer = Some(view.viewer);
        self.resize(view.size);
    }

    /// Whether `viewer` types here, as far as anybody has been elected.
    pub fn is_writer(&self, viewer: u128) -> bool {
        self.writer == Some(viewer)
    }

    pub fn has_writer(&self) -> bool {
        self.writer.is_some()
    }

    /// Where a viewer's stream goes on, and every press it may have missed the end of.
    pub fn attach(&mut self, view: &mut View, have: u64, now: Instant) -> Vec<ToViewer> {
        let end = self.ring.end();
        let kept = have >= self.ring.start() && have <= end && have > 0;
        let mut frames = if kept {
            (view.next, view.acked) = (have, have);
            vec![self.attached(view, end - have, 0, false)]
        } else {
            let frames = self.past(view, have, now);
            self.nudge(now);
            frames
        };
        frames.extend(self.typing.standing().map(|(id, state, code)| ToViewer::RunState { id, state, code }));
        if let Shell::Ended { status, .. } = self.shell {
            frames.push(ToViewer::Exit { status });
        }
        frames
    }

    /// The past for a viewer that has `have` bytes of it, or another terminal's: all that is kept, where that
    /// is everything; otherwise a picture of it.
    fn past(&mut self, view: &mut View, have: u64, now: Instant) -> Vec<ToViewer> {
        let (end, offset) = (self.ring.end(), self.ring.clean_start());
        // A viewer from another terminal's life has bytes that never were: it has lost nothing.
        let lost = if have <= end { offset - have.min(offset) } else { 0 };
        view.picture_at = None;
        if !view.roles || self.ring.start() == 0 {
            (view.next, view.acked) = (offset, offset);
            return vec![self.attached(view, end - offset, lost, false)];
        }
        view.pictured = Some(now);
        let (offset, screen) = match self.picture(offset) {
            Some(picture) => (end, picture),
            // Then the bytes themselves, in the modes that they began in.
            None => (offset, self.modes.at(offset).into_bytes()),
        };
        (view.next, view.acked) = (offset, offset);
        let pieces = screen.chunks(SCREEN_PIECE).map(|piece| ToViewer::Screen { bytes: piece.to_vec() });
        std::iter::once(self.attached(view, end - offset, lost, true)).chain(pieces).collect()
    }

    /// Of the output from `offset` to its end; the same until there is more of it.
    fn picture(&mut self, offset: u64) -> Option<Vec<u8>> {
        let size = self.size;
        if self.drawn.as_ref().is_none_or(|drawn| drawn.size != size) {
            let below = self.below.as_ref().filter(|below| self.modes.entered() == Some(below.entered));
            // From where the program switched on, unless that is gone too; else from the beginning.
            let (below, from) = below.map_or((&[][..], offset), |it| (&it.picture[..], it.entered.max(offset)));
            let pieces = self.ring.get(from, usize::MAX);
            let (begin, end) = (self.modes.at(from), self.modes.at_end());
            let picture = picture(Output { size, below, begin: &begin, pieces, end: &end });
            self.drawn = Some(Drawn { size, picture });
        }
        self.drawn.as_ref().and_then(|drawn| drawn.picture.clone())
    }

    /// Before the bytes that drew the shell's screen go, which a program's own covers, draws it from the last of
    /// them. `coming`: how many more bytes there will be.
    pub(super) fn keep_below(&mut self, coming: usize) {
        let Some(entered) = self.modes.entered() else { return self.below = None };
        let start = self.ring.start_after(coming);
        let goes = start > self.ring.start() && start > entered.saturating_sub(BELOW_FROM);
        let is_kept = self.below.as_ref().is_some_and(|below| below.entered == entered);
        if is_kept || !goes || entered <= self.ring.start() || entered > self.ring.end() {
            return;
        }
        let from = self.ring.clean_start();
        let pieces = self.ring.get(from, entered.saturating_sub(from) as usize);
        let output = Output { size: self.size, below: &[], begin: &self.modes.at(from), pieces, end: "" };
        // What cannot be drawn is as good as empty, and not tried again with every burst.
        self.below = Some(Below { entered, picture: below(output).unwrap_or_default() });
    }

    fn attached(&self, view: &View, replay: u64, lost: u64, screen: bool) -> ToViewer {
        let ended = matches!(self.shell, Shell::Ended { .. });
        let input = self.typed.get(&view.viewer).map_or(0, |typed| typed.written);
        ToViewer::Attached { offset: view.next, replay, lost, input, ended, screen }
    }

    /// Lets a full-screen program whose beginning is not kept draw itself again.
    fn nudge(&mut self, now: Instant) {
        let (cols, rows) = self.size;
        if self.ring.start() > 0 && self.modes.alternate() && rows > *ROWS.start() {
            self.set_pty_size(cols, rows - 1);
            self.nudged_until = Some(now + NUDGE);
        }
    }

    /// Nobody looks any more.
    pub fn unwatched(&mut self, now: Instant) {
        self.unwatched_since = Some(now);
        self.writer = None;
    }

    pub fn acked(&mut self, view: &mut View, offset: u64) {
        view.acked = offset.clamp(view.acked, view.next);
        self.seen = self.seen.max(view.acked);
    }

    /// Sends `view` what it may have; nothing while its last frame is still on its way out.
    pub fn feed(&mut self, view: &mut View, frames: &mut Frames, now: Instant) -> io::Result<()> {
        while frames.is_idle() {
            if view.next < self.ring.start() {
                let not_before = view.pictured.map_or(now, |at| at + PICTURE_EVERY);
                if view.roles && now < not_before {
                    view.picture_at = Some(not_before);
                    return Ok(());
                }
                for frame in self.past(view, view.next, now) {
                    frames.send(&frame.encode())?;
                }
                continue;
            }
            let in_flight = view.next - view.acked;
            let room = WINDOW.saturating_sub(in_flight).min(BURST_MAX as u64) as usize;
            let pieces = self.ring.get(view.next, room);
            let length = pieces[0].len() + pieces[1].len();
            if length == 0 {
                return Ok(());
            }
            frames.send_pieces(0, pieces)?;
            view.next += length as u64;
        }
        Ok(())
    }
}
