//! The relay between a browser's WebSocket and a terminal's shim.
//!
//! It moves frames and keeps nothing: numbers, scrollback and acknowledgements are the shim's and the page's
//! business ([`quayside_runtime::shim::wire`]). What it adds is the edge's: it looks at every frame that
//! comes from outside, stops reading the side that the other cannot follow, and notices when nobody is there.
//!
//! ```text
//!   WebSocket ──► checked ──► shim      while the shim's socket is full, the WebSocket is not read
//!   WebSocket ◄────────────── shim      while the WebSocket is full, the shim's socket is not read
//! ```
//!
//! The two directions never wait for each other: a paste into a program that does not read leaves its output
//! flowing, and the other way round.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::extract::WebSocketUpgrade;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use bytes::Bytes;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt, StreamExt};
use prometheus_client::metrics::counter::Counter;
use quayside_runtime::shim::wire::{FRAME_MAX, FromViewer, ToViewer, WireError};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};
use tokio_tungstenite::tungstenite;

use crate::metrics::Tally;
use crate::sandbox::{FrameReader, FrameWriter, TerminalLink};
use crate::stop::Stopping;

pub mod ticks;

use ticks::Way;

/// The name of the protocol in the WebSocket's handshake, and what is common to the names of all its versions.
/// 2: roles and pictures.
pub const SUBPROTOCOL: &str = "quayside.2";
const SUBPROTOCOL_FAMILY: &str = "quayside.";

/// The longest message from a page: a frame and the few bytes before its payload.
const MESSAGE_MAX: usize = FRAME_MAX + 64;
/// Each connection keeps this much to read into; axum's own default is 128 KiB, for every idle terminal.
const READ_BUFFER: usize = 4096;
/// How often we ask whether somebody is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// Who says nothing for this long is gone; the shim learns it by the end of its connection.
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a page may take to say who looks.
const ATTACH_PATIENCE: Duration = Duration::from_secs(10);
/// How long the last frame may take on its way out.
const CLOSE_PATIENCE: Duration = Duration::from_secs(2);

/// Why a connection ends, as the page is told. Codes from 4000 are ours: with them a page does not come back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Goodbye {
    pub code: u16,
    /// At most 123 bytes, as RFC 6455 has it.
    pub reason: String,
}

impl Goodbye {
    fn new(code: u16, reason: impl Into<String>) -> Self {
        let mut reason = reason.into();
        reason.truncate(reason.floor_char_boundary(123));
        Self { code, reason }
    }

    /// The service restarts: the page comes back at once, and finds everything as it was.
    pub fn restarting() -> Self {
        Self::new(1012, "the service restarts")
    }

    /// Come back in a moment.
    pub fn later(reason: &str) -> Self {
        Self::new(1013, reason)
    }

    /// The session is over, so there is nothing to come back to.
    pub fn over() -> Self {
        Self::new(4410, "the session is over")
    }

    /// The machine closed the terminal, or does not open it.
    pub fn machine(reason: impl Into<String>) -> Self {
        Self::new(1011, reason)
    }

    /// The page is of another version than this service: it must be loaded again.
    pub fn reload() -> Self {
        Self::new(4426, "this page is of another version; reload it")
    }

    fn malformed(error: &WireError) -> Self {
        match error {
            WireError::Version(_) => Self::reload(),
            error => Self::new(1007, error.to_string()),
        }
    }
}

/// What a page asks to speak.
pub enum Spoken {
    /// What we speak.
    Ours(WebSocketUpgrade),
    /// Another version of it: a page from before an upgrade. Only a connection can tell it to reload, as a
    /// browser's script does not see why a handshake failed.
    Another(WebSocketUpgrade),
    Nothing,
}

/// The limits of every WebSocket here, and the version that it speaks.
pub fn spoken(upgrade: WebSocketUpgrade) -> Spoken {
    let asked: Vec<String> =
        upgrade.requested_protocols().filter_map(|it| Some(it.to_str().ok()?.to_owned())).collect();
    let limited = |upgrade: WebSocketUpgrade, protocol: String| {
        upgrade
            .protocols([protocol])
            .read_buffer_size(READ_BUFFER)
            // Every frame is written at once: a keystroke's echo should not wait for company.
            .write_buffer_size(0)
            .max_message_size(MESSAGE_MAX)
            .max_frame_size(MESSAGE_MAX)
    };
    if asked.iter().any(|it| it == SUBPROTOCOL) {
        return Spoken::Ours(limited(upgrade, SUBPROTOCOL.into()));
    }
    match asked.into_iter().find(|it| it.starts_with(SUBPROTOCOL_FAMILY)) {
        Some(other) => Spoken::Another(limited(upgrade, other)),
        None => Spoken::Nothing,
    }
}

/// Relays until one side ends, the process stops, or somebody breaks the rules.
pub async fn relay(socket: WebSocket, link: TerminalLink, mut stopping: Stopping, mut tally: Tally, way: Way) {
    let (mut to_page, from_page) = socket.split();
    let heard = Heard::new();
    let goodbye = tokio::select! {
        goodbye = upstream(from_page, link.writer, &heard, &way, tally.counter_to_machine()) => goodbye,
        goodbye = downstream(link.reader, &mut to_page, &heard, &way, &mut tally) => goodbye,
        () = stopping.asked() => Some(Goodbye::restarting()),
    };
    // The shim's connection is closed by now: for it, this viewer is gone.
    if let Some(goodbye) = goodbye {
        tracing::debug!(code = goodbye.code, reason = goodbye.reason, "closing a terminal's connection");
        say(&mut to_page, goodbye).await;
    }
}

/// Closes a connection that never was a terminal's.
pub async fn refuse(mut socket: WebSocket, goodbye: Goodbye) {
    say(&mut socket, goodbye).await;
}

async fn say(to_page: &mut (impl SinkExt<Message, Error = axum::Error> + Unpin), goodbye: Goodbye) {
    let frame = CloseFrame { code: goodbye.code, reason: goodbye.reason.into() };
    // Nobody may be there any more, which is as good.
    let _ = timeout(CLOSE_PATIENCE, to_page.send(Message::Close(Some(frame)))).await;
}

/// Page to shim. `None`: the page is gone, and there is nobody to say goodbye to.
async fn upstream(
    mut page: SplitStream<WebSocket>,
    mut shim: FrameWriter,
    heard: &Heard,
    way: &Way,
    count: Counter,
) -> Option<Goodbye> {
    let first = match timeout(ATTACH_PATIENCE, next_frame(&mut page, heard)).await {
        Ok(Ok(frame)) => frame,
        Ok(Err(end)) => return end,
        Err(_) => return Some(Goodbye::new(1007, "nobody said who looks")),
    };
    if !matches!(first.1, FromViewer::Attach { .. }) {
        return Some(Goodbye::new(1007, "the first frame must say who looks"));
    }
    let (mut frame, mut understood) = first;
    loop {
        // While the shim does not read, the page is not read either, so its silence means nothing.
        heard.suspend();
        count.inc_by(frame.len() as u64);
        let written = shim.write(frame).await;
        heard.now();
        if written.is_err() {
            return Some(Goodbye::machine("the machine closed the terminal"));
        }
        if matches!(understood, FromViewer::Input { .. }) {
            way.key();
        }
        (frame, understood) = match next_frame(&mut page, heard).await {
            Ok(next) => next,
            Err(end) => return end,
        };
    }
}

/// The next frame that reads, as it came and as it was understood.
async fn next_frame(page: &mut SplitStream<WebSocket>, heard: &Heard) -> Result<(Bytes, FromViewer), Option<Goodbye>> {
    loop {
        let message = page.next().await;
        heard.now();
        match message {
            Some(Ok(Message::Binary(frame))) => {
                return match FromViewer::decode(&frame) {
                    Ok(understood) => Ok((frame, understood)),
                    Err(error) => Err(Some(Goodbye::malformed(&error))),
                };
            }
            Some(Ok(Message::Text(_))) => return Err(Some(Goodbye::new(1003, "frames are binary"))),
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
            Some(Ok(Message::Close(_))) | None => return Err(None),
            Some(Err(error)) => return Err(broken(&error)),
        }
    }
}

fn broken(error: &axum::Error) -> Option<Goodbye> {
    use tungstenite::Error;
    let cause = std::error::Error::source(error).and_then(|cause| cause.downcast_ref::<Error>());
    match cause {
        Some(Error::Capacity(_)) => Some(Goodbye::new(1009, format!("a message may have {MESSAGE_MAX} bytes"))),
        Some(Error::Utf8(_)) => Some(Goodbye::new(1003, "frames are binary")),
        Some(Error::Protocol(violation)) => Some(Goodbye::new(1002, violation.to_string())),
        _ => None,
    }
}

/// Shim to page, and the question whether the page is there.
async fn downstream(
    mut shim: FrameReader,
    page: &mut SplitSink<WebSocket, Message>,
    heard: &Heard,
    way: &Way,
    tally: &mut Tally,
) -> Option<Goodbye> {
    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut silence = std::pin::pin!(heard.silence());
    loop {
        let message = tokio::select! {
            frame = shim.next() => match frame {
                Ok(Some(frame)) => {
                    let output = ToViewer::is_output(&frame);
                    if output {
                        way.echo();
                    }
                    tally.to_learner(&frame, output);
                    Message::Binary(frame)
                }
                Ok(None) => return Some(Goodbye::machine("the machine closed the terminal")),
                Err(error) => return Some(Goodbye::machine(error.to_string())),
            },
            _ = ping.tick() => Message::Ping(Bytes::new()),
            () = &mut silence => return None,
        };
        tokio::select! {
            sent = page.send(message) => if sent.is_err() { return None },
            () = &mut silence => return None,
        }
    }
}

/// When the page was last heard, for the half that waits for it.
struct Heard {
    begun: Instant,
    /// Milliseconds after `begun`; [`Heard::SUSPENDED`] while we do not listen.
    at: AtomicU64,
}

impl Heard {
    const SUSPENDED: u64 = u64::MAX;

    fn new() -> Self {
        Self { begun: Instant::now(), at: AtomicU64::new(0) }
    }

    fn now(&self) {
        let elapsed = self.begun.elapsed().as_millis();
        self.at.store(u64::try_from(elapsed).unwrap_or(0), Ordering::Relaxed);
    }

    fn suspend(&self) {
        self.at.store(Self::SUSPENDED, Ordering::Relaxed);
    }

    /// Ends when nothing was heard for [`SILENCE_MAX`].
    async fn silence(&self) {
        loop {
            let left = match self.at.load(Ordering::Relaxed) {
                Self::SUSPENDED => SILENCE_MAX,
                at => (self.begun + Duration::from_millis(at) + SILENCE_MAX).saturating_duration_since(Instant::now()),
            };
            if left.is_zero() {
                return;
            }
            sleep(left).await;
        }
    }
}
