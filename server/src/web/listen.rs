//! Connections: accepted, given limits, served, and ended in an orderly way.
//!
//! axum's own loop has no limit on how long headers may take, so the few lines of it are here, with ours.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::stop::Stopping;

/// Connections at once: a hundred learners with every terminal open. More wait in the kernel's queue.
const CONNECTIONS_MAX: usize = 4096;
/// How long the head of a request may take, and how long a kept connection may say nothing.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// What the head of a request may have; our longest links and cookies need a twentieth of it.
const HEAD_MAX: usize = 16 * 1024;
/// How long requests may go on once the process is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Pause when the kernel has no descriptors left; connections that end give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Who is at the other end of the connection: the learner, or a proxy.
#[derive(Debug, Clone, Copy)]
pub struct Peer(pub SocketAddr);

/// Accepts and serves until the process stops, then lets running requests end.
pub async fn listen(listener: TcpListener, router: Router, mut stopping: Stopping) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    let told = stopping.clone();
    let mut asked = std::pin::pin!(stopping.asked());
    loop {
        let accepted = async {
            let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = &mut asked => break,
        };
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, peer)) => {
                let serving = serve(stream, peer, router.clone(), told.clone());
                connections.spawn(async move {
                    serving.await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
    drop(listener);
    let all = async { while connections.join_next().await.is_some() {} };
    if timeout(STOP_PATIENCE, all).await.is_err() {
        tracing::info!(left = connections.len(), "some requests did not end in time");
    }
}

async fn serve(stream: TcpStream, peer: SocketAddr, router: Router, mut stopping: Stopping) {
    // A keystroke's echo is one small packet; it must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let router = TowerToHyperService::new(router);
    let service = service_fn(move |mut request: hyper::Request<hyper::body::Incoming>| {
        request.extensions_mut().insert(Peer(peer));
        router.call(request)
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades();
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stopping.asked() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%error, %peer, "a connection ended badly");
    }
}
