//! Connections: accepted, given limits, served, and ended in an orderly way.
//!
//! axum's own loop has no limit on how long headers may take, so the few lines of it are here, with ours.
//!
//! Where there is a certificate the port speaks TLS. Who comes with plain HTTP all the same, as people do who
//! type an address, is led to https by one answer; the first byte tells, as no method begins like a handshake.

use std::convert::Infallible;
use std::future::ready;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::http::{Request, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;

use super::crowd::Crowd;
use super::patience::Patient;
use super::visit::{Names, Scheme};
use crate::config::CONNECTIONS_MAX;
use crate::stop::Stopping;

/// How long the head of a request may take, and how long a kept connection may say nothing.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// What the head of a request may have; our longest links and cookies need a twentieth of it.
const HEAD_MAX: usize = 16 * 1024;
/// How long what is written may get nowhere: nobody reads at the other end. A phone in a tunnel gets as long.
const READER_PATIENCE: Duration = Duration::from_secs(60);
/// How long requests may go on once the process is asked to stop.
const STOP_PATIENCE: Duration = Duration::from_secs(5);
/// Pause when the kernel has no descriptors left; connections that end give some back.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// How long a TLS handshake may take, its first byte included.
const HANDSHAKE_PATIENCE: Duration = Duration::from_secs(10);
/// The first byte of a TLS handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;

/// Who is at the other end of the connection, the learner or a proxy, and what it speaks.
#[derive(Debug, Clone, Copy)]
pub struct Peer {
    pub address: SocketAddr,
    pub scheme: Scheme,
}

/// What stands behind the port.
#[derive(Clone)]
pub struct Door {
    pub router: Router,
    pub tls: Option<TlsAcceptor>,
    pub names: Names,
    pub crowd: Crowd,
}

/// Accepts and serves until the process stops, then lets running requests end.
pub async fn listen(listener: TcpListener, door: Door, mut stopping: Stopping) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX as usize));
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
                // Closed at once: it takes no place from others, and its page says that it tries again.
                let Some(one) = door.crowd.admit(peer.ip()) else { continue };
                let serving = welcome(stream, peer, door.clone(), told.clone());
                connections.spawn(async move {
                    serving.await;
                    drop((place, one));
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

async fn welcome(stream: TcpStream, address: SocketAddr, door: Door, stopping: Stopping) {
    // A keystroke's echo is one small packet; it must not wait for an acknowledgement.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let Door { router, tls, names, .. } = door;
    let Some(tls) = tls else {
        return serve(stream, routed(router, Peer { address, scheme: Scheme::Http }), address, stopping).await;
    };
    let greeting = async {
        let mut first = [0];
        stream.peek(&mut first).await.map(|_| first[0] == HANDSHAKE)
    };
    let shaken = match timeout(HANDSHAKE_PATIENCE, greeting).await {
        Ok(Ok(true)) => timeout(HANDSHAKE_PATIENCE, tls.accept(stream)).await,
        Ok(Ok(false)) => {
            let astray = service_fn(move |request: Request<Incoming>| ready(Ok(to_https(&request, &names))));
            return serve(stream, astray, address, stopping).await;
        }
        Ok(Err(_)) | Err(_) => return,
    };
    match shaken {
        Ok(Ok(stream)) => {
            serve(stream, routed(router, Peer { address, scheme: Scheme::Https }), address, stopping).await
        }
        Ok(Err(error)) => tracing::debug!(%error, peer = %address, "a TLS handshake failed"),
        Err(_) => tracing::debug!(peer = %address, "a TLS handshake took too long"),
    }
}

/// The routes, for a request of `peer`.
fn routed(router: Router, peer: Peer) -> impl Answering {
    let router = TowerToHyperService::new(router);
    service_fn(move |mut request: Request<Incoming>| {
        request.extensions_mut().insert(peer);
        router.call(request)
    })
}

/// What answers the requests of one connection.
trait Answering: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send {}

impl<S: Service<Request<Incoming>, Response = Response, Error = Infallible, Future: Send> + Send> Answering for S {}

/// The same page by https, at a name that is ours.
fn to_https(request: &Request<Incoming>, names: &Names) -> Response {
    let host = request.headers().get(header::HOST).and_then(|host| host.to_str().ok());
    let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
    match host.filter(|host| names.admit_host(host)) {
        // Not for ever: a browser would keep that after the certificate was taken away again.
        Some(host) => Redirect::temporary(&format!("https://{host}{path}")).into_response(),
        None => {
            (StatusCode::BAD_REQUEST, "This port speaks https: the address must begin with https://\n").into_response()
        }
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: impl Answering,
    peer: SocketAddr,
    mut stopping: Stopping,
) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_PATIENCE)
        .max_buf_size(HEAD_MAX)
        .serve_connection(TokioIo::new(Patient::new(stream, READER_PATIENCE)), service)
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
