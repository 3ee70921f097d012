//! HTTP: pages, the files they load, the pages' own interface and the WebSockets.
//!
//! Handlers are thin: they learn who asks, ask lessons and sessions, and fill the views of [`pages`]. What is
//! decided here is what only the edge can know: names, origins, cookies, addresses and headers.
//!
//! ```text
//!   listen ─► record ─► shield ─► dress ─► admit ─► (panic, time) ─► routes ─► handlers
//!             an id,    headers,  errors   host,
//!             the log   nonce     as pages origin
//! ```

pub mod assets;
pub mod look;
pub mod pages;
pub mod visit;
mod bucket;
mod guesses;
mod words;
mod qr;
mod cookie;
mod listen;
mod messages;
mod error;
mod app;
mod guard;
mod progress;
mod lessons;
mod learners;
mod housekeeping;
mod api;
mod sockets;
mod health;
mod routes;

use std::future::Future;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::WebConfig;
use crate::lesson::load_library;
use crate::sandbox::Sandboxes;
use crate::session::{Roster, Shelf};
use crate::stop;
use crate::store::Store;
use app::{App, Parts};

/// Serves until SIGTERM or SIGINT. Sessions, and what runs in them, go on without us.
pub async fn serve(config: WebConfig, listener: std::net::TcpListener) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let asked = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_until(config, listener, asked).await
}

/// Serves until `until` is ready.
pub async fn serve_until(
    config: WebConfig,
    listener: std::net::TcpListener,
    until: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
    let listener = tokio::net::TcpListener::from_std(listener).context("cannot use the listener")?;
    let store = Store::open(&config.store_dir).await?;
    let shelf = Shelf::new(read_lessons(&config).await?);
    let (sandboxes, keeper_task) = Sandboxes::connect(&config.sockets_dir);
    let roster =
        Roster::new(store.clone(), sandboxes.clone(), shelf.clone(), config.sessions.clone(), config.sandbox.clone());
    let (switch, stopping) = stop::switch();
    let (app, mut sockets) =
        App::new(&config, Parts { store: store.clone(), sandboxes, shelf, roster: roster.clone(), stopping });

    let following = tokio::spawn({
        let roster = roster.clone();
        async move { roster.follow_keeper().await }
    });
    let lining_up = tokio::spawn({
        let roster = roster.clone();
        async move { roster.keep_line().await }
    });
    let reloading = tokio::spawn(reload_on_hangup(app.clone(), config.clone()));
    let sweeping = tokio::spawn(housekeeping::sweep_now_and_then(store.clone(), config.keep.clone()));
    let router = routes::router(&app);
    let listening = tokio::spawn(listen::listen(listener, router, app.stopping()));
    tracing::info!(lessons = %config.lessons_dir.display(), "serving");

    until.await;
    tracing::info!("stopping; sessions go on");
    switch.stop();
    listening.await.context("the accept loop panicked")?;
    sockets.ended().await;
    reloading.abort();
    sweeping.abort();
    following.abort();
    lining_up.abort();
    roster.release().await;
    keeper_task.abort();
    store.close().await;
    Ok(())
}

async fn read_lessons(config: &WebConfig) -> anyhow::Result<crate::lesson::model::Library> {
    let root = config.lessons_dir.clone();
    std::fs::read_dir(&root).with_context(|| {
        format!(
            "cannot read the lessons' folder {}; give the web process's user access to it, or set lessons",
            root.display()
        )
    })?;
    tokio::task::spawn_blocking(move || load_library(&root)).await.context("reading the lessons panicked")
}

/// SIGHUP: the lessons were changed. Sessions keep what they began with.
async fn reload_on_hangup(app: App, config: WebConfig) {
    let Ok(mut hangup) = signal(SignalKind::hangup()) else { return };
    while hangup.recv().await.is_some() {
        match read_lessons(&config).await {
            Ok(library) => {
                tracing::info!(courses = library.courses.len(), "lessons read again");
                app.shelf().replace(library);
            }
            Err(error) => tracing::warn!(error = format!("{error:#}"), "the lessons stay as they were"),
        }
    }
}

/// Bits that nobody can guess.
fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).expect("getrandom(2) cannot fail on a running system");
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
