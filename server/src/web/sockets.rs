//! The two WebSockets of a session: what happens, and a terminal.

use std::time::Duration;

use axum::Extension;
use axum::extract::ws::{CloseFrame, Message, WebSocket};
use axum::extract::{Path, State, WebSocketUpgrade};
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use bytes::Bytes;
use quayside_runtime::shim::protocol::TERMINALS_MAX;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout};

use super::app::App;
use super::error::WebError;
use super::messages::{self, Live};
use super::visit::Visit;
use crate::sandbox::ShimError;
use crate::session::{Found, Handle};
use crate::store::UnixMs;
use crate::terminal::{self, Goodbye, SUBPROTOCOL, Spoken};

/// How long a terminal's connection waits for a machine that is being started; then the page asks again.
const MACHINE_PATIENCE: Duration = Duration::from_secs(8);
/// How often the live connection asks whether the page is there, and how long it may be silent.
const PING_EVERY: Duration = Duration::from_secs(20);
const SILENCE_MAX: Duration = Duration::from_secs(30);
/// How long a message may wait for a page that does not read.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// `GET /api/sessions/ID/terminals/N`
pub async fn terminal(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, number)): Path<(String, u16)>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, WebError> {
    let (found, device) = app.session_by(&visit, &headers, &id).await?;
    let taken_off = app.taken_off(device);
    if !(1..=TERMINALS_MAX).contains(&number) {
        return Err(WebError::not_found());
    }
    let upgrade = match versioned(upgrade)? {
        Ok(upgrade) => upgrade,
        Err(reload) => return Ok(reload),
    };
    let token = app.socket_token();
    let mut stopping = app.stopping();
    let metrics = app.metrics().clone();
    let way = app.ticks().way();
    let span = tracing::error_span!("terminal", session = id, number);
    Ok(upgrade.on_upgrade(move |socket| {
        tracing::Instrument::instrument(
            async move {
                let _token = token;
                let _open = metrics.websocket("terminal");
                let tally = metrics.tally(found.view().id.as_u128());
                let opened = tokio::select! {
                    opened = open(&found, number) => opened,
                    () = stopping.asked() => Err(Goodbye::restarting()),
                };
                match opened {
                    Ok((link, _place)) => tokio::select! {
                        () = terminal::relay(socket, link, stopping, tally, way) => {}
                        () = taken_off => tracing::info!("its device was taken off"),
                    },
                    Err(goodbye) => terminal::refuse(socket, goodbye).await,
                }
            },
            span,
        )
    }))
}

type Place = tokio::sync::OwnedSemaphorePermit;

async fn open(found: &Found, number: u16) -> Result<(crate::sandbox::TerminalLink, Place), Goodbye> {
    let Found::Live(handle) = found else { return Err(Goodbye::over()) };
    let place = handle.connection().ok_or_else(|| Goodbye::later("this session is open in too many windows"))?;
    let sandbox = match handle.sandbox(MACHINE_PATIENCE).await {
        Some(sandbox) => sandbox,
        None if handle.view().is_over() => return Err(Goodbye::over()),
        None => return Err(Goodbye::later("the machine is still being started")),
    };
    let greeting = handle.scenario().and_then(|scenario| scenario.greeting(number));
    match sandbox.terminal(number, greeting).await {
        Ok(link) => {
            handle.opened(number).await;
            Ok((link, place))
        }
        Err(error @ ShimError::Gone(_)) => {
            tracing::warn!(%error, "cannot open a terminal");
            Err(Goodbye::machine("the machine is gone"))
        }
        Err(error) => Err(Goodbye::machine(error.to_string())),
    }
}

/// `GET /api/sessions/ID/live`
pub async fn live(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Result<Response, WebError> {
    let (found, device) = app.session_by(&visit, &headers, &id).await?;
    let taken_off = app.taken_off(device);
    let upgrade = match versioned(upgrade)? {
        Ok(upgrade) => upgrade,
        Err(reload) => return Ok(reload),
    };
    let token = app.socket_token();
    let span = tracing::error_span!("live", session = id);
    Ok(upgrade.on_upgrade(move |socket| {
        tracing::Instrument::instrument(
            async move {
                let _token = token;
                let _open = app.metrics().websocket("live");
                match found {
                    Found::Live(handle) => tokio::select! {
                        () = follow(socket, &app, &handle) => {}
                        () = taken_off => tracing::info!("its device was taken off"),
                    },
                    Found::Past(view) => {
                        let mut page = Page { socket };
                        if page.tell(messages::first(&view, UnixMs::now())).await.is_ok() {
                            page.close(Goodbye::over()).await;
                        }
                    }
                }
            },
            span,
        )
    }))
}

/// The upgrade of a page that speaks as we do; or the answer to an older page, a connection that says so.
fn versioned(upgrade: WebSocketUpgrade) -> Result<Result<WebSocketUpgrade, Response>, WebError> {
    match terminal::spoken(upgrade) {
        Spoken::Ours(upgrade) => Ok(Ok(upgrade)),
        Spoken::Another(upgrade) => Ok(Err(upgrade.on_upgrade(|socket| terminal::refuse(socket, Goodbye::reload())))),
        Spoken::Nothing => {
            let message = format!("This page speaks another version than the service ({SUBPROTOCOL}). Reload it.");
            Err(WebError::new(StatusCode::BAD_REQUEST, "version", "Reload the page", message))
        }
    }
}

/// The page is gone.
struct Gone;

/// The page's end of a live connection.
struct Page {
    socket: WebSocket,
}

impl Page {
    async fn tell(&mut self, messages: Vec<Live>) -> Result<(), Gone> {
        for message in messages {
            let text = serde_json::to_string(&message).expect("plain data serialises");
            self.send(Message::Text(text.into())).await?;
        }
        Ok(())
    }

    async fn send(&mut self, message: Message) -> Result<(), Gone> {
        match timeout(SEND_PATIENCE, self.socket.send(message)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Gone),
        }
    }

    async fn close(mut self, goodbye: Goodbye) {
        let frame = CloseFrame { code: goodbye.code, reason: goodbye.reason.into() };
        // Nobody may be there any more, which is as good.
        let _ = self.send(Message::Close(Some(frame))).await;
    }
}

/// Tells a page what changes, until the session is over or the page is gone. A slow page is told less, not
/// later: what it missed meanwhile is in the next picture.
async fn follow(socket: WebSocket, app: &App, handle: &Handle) {
    let mut page = Page { socket };
    let Some(_place) = handle.connection() else {
        return page.close(Goodbye::later("this session is open in too many windows")).await;
    };
    match attend(&mut page, app, handle).await {
        Ok(goodbye) => page.close(goodbye).await,
        Err(Gone) => tracing::debug!("the page is gone"),
    }
}

async fn attend(page: &mut Page, app: &App, handle: &Handle) -> Result<Goodbye, Gone> {
    let (mut views, mut images, mut stopping) = (handle.watch(), app.sandboxes().images(), app.stopping());
    let mut known = views.borrow_and_update().clone();
    let mut image = messages::image(&images.borrow_and_update(), &known);
    page.tell(messages::first(&known, UnixMs::now())).await?;
    page.tell(image.clone().into_iter().collect()).await?;

    let mut ping = interval(PING_EVERY);
    ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ping.reset();
    let mut heard = Instant::now();
    loop {
        if known.is_over() {
            return Ok(Goodbye::over());
        }
        tokio::select! {
            changed = views.changed() => {
                let view = views.borrow_and_update().clone();
                page.tell(messages::changes(&known, &view)).await?;
                known = view;
                // Its task is gone: over, or let go because the process stops.
                if changed.is_err() {
                    return Ok(if known.is_over() { Goodbye::over() } else { Goodbye::restarting() });
                }
            }
            Ok(()) = images.changed() => {}
            message = page.socket.recv() => match message {
                Some(Ok(Message::Close(_)) | Err(_)) | None => return Err(Gone),
                // Nothing is expected from a page here, and nothing is done with it.
                Some(Ok(_)) => heard = Instant::now(),
            },
            _ = ping.tick() => {
                if heard.elapsed() > SILENCE_MAX {
                    return Err(Gone);
                }
                page.send(Message::Ping(Bytes::new())).await?;
                // A browser whose clock was set, or that slept, counts right again.
                page.tell(messages::time(&known).into_iter().collect()).await?;
            }
            () = stopping.asked() => return Ok(Goodbye::restarting()),
        }
        let now = messages::image(&images.borrow_and_update(), &known);
        if now != image {
            page.tell(now.clone().into_iter().collect()).await?;
            image = now;
        }
    }
}
