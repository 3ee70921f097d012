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

use std::collections::{HashMap, VecDeque};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::unistd::Pid;
use portable_pty::{MasterPty, PtySize};

use super::frames::Frames;
use super::marks::{Mark, Marks};
use super::modes::Modes;
use super::picture::picture;
use super::pty;
use super::ring::{RING_MAX, Ring};
use super::typing::{Effects, Typing};
use super::wire::{INPUT_MAX, RunFlags, ToViewer, WINDOW};

/// How long a terminal that nobody looks at is held back before it is drained.
pub const HOLD_BACK: Duration = Duration::from_secs(30);

/// Sizes a program can live with; xterm.js and a wall of monitors fit.
const COLS: std::ops::RangeInclusive<u16> = 2..=500;
const ROWS: std::ops::RangeInclusive<u16> = 1..=300;

/// The size until a viewer tells its own.
const FIRST_SIZE: (u16, u16) = (80, 24);

/// Bytes that wait for the pty, from all viewers: each may have one window of input under way.
const INPUT_QUEUE_MAX: usize = 2 * INPUT_MAX as usize;

/// Viewers whose counts are remembered: tabs of one learner, over a session's hours.
const VIEWERS_MAX: usize = 256;

/// Read in one go: what is there, up to this, becomes one frame.
pub const BURST_MAX: usize = 64 * 1024;

/// A viewer that cannot follow gets a picture so often at most: each is the work of some milliseconds.
const PICTURE_EVERY: Duration = Duration::from_secs(1);

/// How long a full-screen program sees a row less when somebody comes to a picture of it, so that it draws
/// itself anew: what it drew before all that is kept stands in no picture.
const NUDGE: Duration = Duration::from_millis(30);

/// A picture is sent in pieces of this size.
const SCREEN_PIECE: usize = 64 * 1024;

/// Keys that a terminal itself answers by dropping what was typed ahead (termios(3): ISIG).
const FLUSHING_KEYS: [u8; 3] = [0x03, 0x1c, 0x1a];

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
    next: u64,
    acked: u64,
    /// It has fallen behind and gets a picture then.
    picture_at: Option<Instant>,
    pictured: Option<Instant>,
}

impl View {
    pub fn deadline(&self) -> Option<Instant> {
        self.picture_at
    }
}

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

/// What one viewer has typed.
#[derive(Debug, Default)]
struct Typed {
    /// Taken into the queue.
    taken: u64,
    /// Given to the pty.
    written: u64,
    /// When it was last heard of, and when it last typed, in the order of such things; 0: never.
    last: u64,
    typed_at: u64,
}

#[derive(Debug)]
struct Pending {
    viewer: Option<u128>,
    bytes: VecDeque<u8>,
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
    fn past(&self, view: &mut View, have: u64, now: Instant) -> Vec<ToViewer> {
        let (end, offset) = (self.ring.end(), self.ring.clean_start());
        // A viewer from another terminal's life has bytes that never were: it has lost nothing.
        let lost = if have <= end { offset - have.min(offset) } else { 0 };
        view.picture_at = None;
        if !view.roles || self.ring.start() == 0 {
            (view.next, view.acked) = (offset, offset);
            return vec![self.attached(view, end - offset, lost, false)];
        }
        view.pictured = Some(now);
        let pieces = self.ring.get(offset, usize::MAX);
        let (offset, screen) = match picture(self.size, &self.modes, pieces) {
            Some(picture) => (end, picture),
            // Then the bytes themselves, in the modes that they began in.
            None => (offset, self.modes.at_start().into_bytes()),
        };
        (view.next, view.acked) = (offset, offset);
        let pieces = screen.chunks(SCREEN_PIECE).map(|piece| ToViewer::Screen { bytes: piece.to_vec() });
        std::iter::once(self.attached(view, end - offset, lost, true)).chain(pieces).collect()
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
    fn flush_input(&mut self, news: &mut News) {
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

    fn queue(&mut self, viewer: Option<u128>, bytes: &[u8]) {
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
    fn types(&mut self, viewer: u128) {
        let typed = self.typed(viewer);
        typed.typed_at = typed.last;
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

    /// Sends `view` what it may have; nothing while its last frame is still on its way out.
    pub fn feed(&self, view: &mut View, frames: &mut Frames, now: Instant) -> io::Result<()> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn running() -> Terminal {
        let mut terminal = Terminal::new(Instant::now());
        terminal.shell = Shell::Starting;
        terminal
    }

    fn view(terminal: &mut Terminal, viewer: u128, have: u64) -> (View, Vec<ToViewer>) {
        let mut view = terminal.view(viewer, FIRST_SIZE, true);
        let frames = terminal.attach(&mut view, have, Instant::now());
        (view, frames)
    }

    fn queued(terminal: &Terminal) -> Vec<u8> {
        terminal.input.iter().flat_map(|pending| pending.bytes.iter().copied()).collect()
    }

    #[test]
    fn input_that_is_sent_again_is_taken_once() {
        let mut terminal = running();
        let mut news = News::default();
        assert!(terminal.typed_bytes(1, 0, b"abc", &mut news));
        assert!(terminal.typed_bytes(1, 0, b"abcde", &mut news));
        assert!(terminal.typed_bytes(2, 0, b"X", &mut news), "another viewer counts for itself");
        assert_eq!(queued(&terminal), b"abcdeX");
    }

    #[test]
    fn a_viewer_that_counts_past_the_end_ends_nobody() {
        let mut terminal = running();
        let mut news = News::default();
        assert!(terminal.typed_bytes(1, u64::MAX, b"abc", &mut news));
        assert!(terminal.typed_bytes(1, u64::MAX, &[3], &mut news));
        assert!(terminal.typed_bytes(2, 0, b"X", &mut news), "another viewer types on");
        assert!(queued(&terminal).ends_with(b"X"));
    }

    #[test]
    fn a_full_queue_takes_nothing_but_the_key_that_interrupts() {
        let mut terminal = running();
        let mut news = News::default();
        let block = vec![b'x'; INPUT_QUEUE_MAX];
        assert!(terminal.typed_bytes(1, 0, &block, &mut news));
        assert!(!terminal.typed_bytes(1, block.len() as u64, b"more", &mut news));
        assert!(terminal.typed_bytes(1, block.len() as u64, &[3], &mut news));
        assert_eq!(queued(&terminal), [3]);
        let acked = ToViewer::InputAcked { number: block.len() as u64 };
        assert_eq!(news.to_viewer, [(1, acked)], "what was given up is acknowledged too");
    }

    #[test]
    fn a_viewer_goes_on_where_it_was_and_is_told_what_is_gone() {
        let mut terminal = running();
        let now = Instant::now();
        terminal.output(b"hello\n", now);
        let (attached, frames) = view(&mut terminal, 1, 3);
        assert_eq!(attached.next, 3);
        let expected = ToViewer::Attached { offset: 3, replay: 3, lost: 0, input: 0, ended: false, screen: false };
        assert_eq!(frames[0], expected);
        terminal.output(&b"0123456789abcd\r\n".repeat(RING_MAX / 16), now);
        let (_, frames) = view(&mut terminal, 1, 5);
        let end = terminal.ring.end();
        let start = terminal.ring.clean_start();
        let lost = start - 5;
        let expected = ToViewer::Attached { offset: end, replay: 0, lost, input: 0, ended: false, screen: true };
        assert_eq!(frames[0], expected, "a picture stands for all that is kept");
        assert!(matches!(&frames[1], ToViewer::Screen { bytes } if bytes.starts_with(b"\x1b[m0123456789abcd\r\n")));
        let (_, frames) = view(&mut terminal, 1, u64::MAX);
        let ToViewer::Attached { lost, .. } = frames[0] else { panic!("attached first") };
        assert_eq!(lost, 0);
    }

    #[test]
    fn who_knows_no_pictures_gets_the_bytes_that_are_kept() {
        let mut terminal = running();
        terminal.output(&b"0123456789abcde\n".repeat(RING_MAX / 16 + 1), Instant::now());
        let mut old = terminal.view(1, FIRST_SIZE, false);
        let frames = terminal.attach(&mut old, 0, Instant::now());
        let replay = RING_MAX as u64 - 16;
        let expected = ToViewer::Attached { offset: 32, replay, lost: 32, input: 0, ended: false, screen: false };
        assert_eq!(frames, [expected]);
    }

    #[test]
    fn the_writer_is_who_typed_last_and_before_that_who_looked_first() {
        let mut terminal = running();
        let first = terminal.view(1, (100, 30), true);
        let second = terminal.view(2, (60, 20), true);
        terminal.elect([&first, &second].into_iter());
        assert!(terminal.is_writer(1));
        assert_eq!(terminal.size(), (100, 30));
        terminal.typed_bytes(2, 0, b"x", &mut News::default());
        terminal.elect([&first, &second].into_iter());
        assert!(terminal.is_writer(2));
        assert_eq!(terminal.size(), (60, 20));
        terminal.elect([&first].into_iter());
        assert!(terminal.is_writer(1), "the other has gone");
        let again = terminal.view(2, (70, 20), true);
        terminal.elect([&first, &again].into_iter());
        assert!(terminal.is_writer(2), "and is back, after a reload");
        assert_eq!(terminal.size(), (70, 20));
        terminal.run(1, 7, RunFlags::default(), "date".into(), Instant::now());
        terminal.elect([&first, &again].into_iter());
        assert!(terminal.is_writer(1), "a lesson's command is typing too");
    }

    #[test]
    fn a_viewer_that_cannot_follow_gets_a_picture_a_second_at_most() {
        use std::os::unix::net::UnixStream;
        let mut terminal = running();
        let now = Instant::now();
        let (mut slow, _) = view(&mut terminal, 1, 0);
        let line = b"0123456789abcde\n".repeat(RING_MAX / 16 + 1);
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let mut frames = Frames::new(ours).expect("frames");
        terminal.output(&line, now);
        terminal.feed(&mut slow, &mut frames, now).expect("fed");
        assert_eq!(slow.next, terminal.ring.end());
        terminal.output(&line, now);
        let (ours, _theirs) = UnixStream::pair().expect("a pair");
        let mut frames = Frames::new(ours).expect("frames");
        terminal.feed(&mut slow, &mut frames, now).expect("fed");
        assert!(slow.next < terminal.ring.start(), "not again yet");
        let then = slow.deadline().expect("later");
        terminal.feed(&mut slow, &mut frames, then).expect("fed");
        assert_eq!((slow.next, slow.deadline()), (terminal.ring.end(), None));
    }

    #[test]
    fn the_viewer_that_typed_last_paces_and_the_others_do_not_hold_it_up() {
        let mut terminal = running();
        let now = Instant::now();
        let (mut quick, _) = view(&mut terminal, 1, 0);
        let (slow, _) = view(&mut terminal, 2, 0);
        terminal.typed_bytes(1, 0, b"x", &mut News::default());
        terminal.elect([&quick, &slow].into_iter());
        terminal.output(&vec![b'x'; WINDOW as usize], now);
        assert!(!terminal.wants_output([&quick, &slow].into_iter(), now));
        quick.next = WINDOW;
        terminal.acked(&mut quick, WINDOW);
        assert!(terminal.wants_output([&quick, &slow].into_iter(), now));
    }

    #[test]
    fn unwatched_output_is_held_back_and_then_drained() {
        let mut terminal = running();
        let now = Instant::now();
        terminal.unwatched(now);
        assert!(terminal.wants_output([].into_iter(), now), "the ring holds what nobody has seen");
        terminal.output(&vec![b'x'; RING_MAX - BURST_MAX], now);
        assert!(!terminal.wants_output([].into_iter(), now));
        assert_eq!(terminal.deadline(), Some(now + HOLD_BACK));
        assert!(terminal.wants_output([].into_iter(), now + HOLD_BACK));
    }

    #[test]
    fn sizes_are_clamped() {
        let mut terminal = running();
        terminal.resize((0, 0));
        assert_eq!(terminal.size(), (2, 1));
        terminal.resize((u16::MAX, u16::MAX));
        assert_eq!(terminal.size(), (500, 300));
    }
}
