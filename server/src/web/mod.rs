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
mod certificate;
mod patience;
mod crowd;
mod listen;
mod messages;
mod error;
mod health;
mod app;
mod guard;
mod questions;
mod progress;
mod standing;
mod lessons;
mod learners;
mod housekeeping;
mod api;
mod files;
mod sockets;
mod watch;
mod routes;

use std::future::Future;
use std::net::TcpListener;
use std::os::fd::OwnedFd;

use anyhow::Context;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;

use crate::config::WebConfig;
use crate::control::SupervisorLine;
use crate::lesson::load_library_with;
use crate::metrics::Metrics;
use crate::sandbox::Sandboxes;
use crate::session::{Roster, Shelf};
use crate::stop;
use crate::store::Store;
use crate::terminal::ticks::Ticks;
use app::{App, Parts};
use crowd::Crowd;
use listen::Door;

/// What the process is started with.
#[derive(Debug)]
pub struct Inherited {
    pub listener: TcpListener,
    /// To the supervisor, if one has started us.
    pub supervisor: Option<OwnedFd>,
    pub metrics: Option<TcpListener>,
}

impl From<TcpListener> for Inherited {
    fn from(listener: TcpListener) -> Self {
        Self { listener, supervisor: None, metrics: None }
    }
}

/// Serves until SIGTERM or SIGINT. Sessions, and what runs in them, go on without us.
pub async fn serve(config: WebConfig, inherited: Inherited) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let asked = async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    serve_until(config, inherited, asked).await
}

/// Serves until `until` is ready.
pub async fn serve_until(
    config: WebConfig,
    inherited: impl Into<Inherited>,
    until: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let Inherited { listener, supervisor, metrics } = inherited.into();
    let listener = asynchronous(listener)?;
    let supervisor = supervisor.map(SupervisorLine::new).transpose().context("cannot hear the supervisor")?;
    let tls = match (&supervisor, config.tls) {
        (Some(supervisor), true) => Some(certificate::first(supervisor).await?),
        _ => None,
    };
    let measured = Metrics::new();
    let ticks = Ticks::start().context("cannot start the threads that wake processors while a key is on its way")?;
    let store = Store::open(&config.store_dir).await?;
    let shelf = Shelf::new(read_lessons(&config).await?);
    let (sandboxes, keeper_task) = Sandboxes::connect(&config.sockets_dir, measured.clone());
    let roster =
        Roster::new(store.clone(), sandboxes.clone(), shelf.clone(), config.sessions.clone(), config.sandbox.clone());
    let (switch, stopping) = stop::switch();
    let (app, mut sockets) = App::new(
        &config,
        Parts { store: store.clone(), sandboxes, shelf, roster: roster.clone(), metrics: measured, ticks, stopping },
    );

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
    let crowd = Crowd::new(config.connections_per_address, &config.trusted_proxies);
    let door = Door {
        router,
        tls: tls.as_ref().map(|tls| tls.acceptor.clone()),
        names: app.names().clone(),
        crowd: crowd.clone(),
    };
    let listening = tokio::spawn(listen::listen(listener, door, app.stopping()));
    tracing::info!(lessons = %config.lessons_from.display(), "serving");
    let watched = metrics.map(asynchronous).transpose()?.map(|listener| {
        let door = Door { router: watch::router(&app), tls: None, names: app.names().clone(), crowd };
        tokio::spawn(listen::listen(listener, door, app.stopping()))
    });
    let supervised = supervisor.map(|supervisor| {
        let connected = app.sandboxes().clone();
        tokio::spawn(certificate::follow(supervisor, connected, tls.map(|tls| tls.certificate)))
    });

    until.await;
    tracing::info!("stopping; sessions go on");
    switch.stop();
    listening.await.context("the accept loop panicked")?;
    sockets.ended().await;
    reloading.abort();
    supervised.inspect(JoinHandle::abort);
    watched.inspect(JoinHandle::abort);
    sweeping.abort();
    following.abort();
    lining_up.abort();
    roster.release().await;
    keeper_task.abort();
    store.close().await;
    Ok(())
}

fn asynchronous(listener: TcpListener) -> anyhow::Result<tokio::net::TcpListener> {
    listener.set_nonblocking(true).context("cannot make the listener non-blocking")?;
    tokio::net::TcpListener::from_std(listener).context("cannot use the listener")
}

async fn read_lessons(config: &WebConfig) -> anyhow::Result<crate::lesson::model::Library> {
    let root = config.lessons_dir.clone();
    std::fs::read_dir(&root).with_context(|| {
        format!(
            "cannot read the lessons' folder {}; give the web process's user access to it, or set lessons",
            config.lessons_from.display()
        )
    })?;
    let machines = config.machines.clone();
    let library = tokio::task::spawn_blocking(move || load_library_with(&root, &machines))
        .await
        .context("reading the lessons panicked")?;
    if library.courses.iter().all(|course| course.items.is_empty()) {
        let lessons = config.lessons_from.display();
        tracing::warn!(%lessons, "no lesson is in this folder: each is a folder with an index.json; see docs/AUTHORING.md");
    }
    Ok(library)
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
