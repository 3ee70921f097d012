//! The front: speaks HTTP, as nobody, and asks the holder for everything.

mod line;
mod lists;
mod blobs;
mod manifests;
mod uploads;

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, header};
use axum::response::{IntoResponse, Response};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quayside_runtime::image::Digest;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::time::sleep;

use super::answer::{API_VERSION, Refusal};
use super::path::Path;
use super::protocol::Code;
use blobs::Wanted;
use line::Line;
use uploads::Upload;

/// Connections at once: a class that pulls, each client with some layers in parallel, waits in the backlog beyond it.
const CONNECTIONS_MAX: usize = 128;
/// A client that has not sent its request's head by then is none.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// Silence in the middle of an upload.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// After a failed accept(2), which fails again at once when descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Serves until the holder ends.
pub async fn serve(listener: std::net::TcpListener, line: OwnedFd) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let front = Arc::new(Front { line: Line::new(line), uploads: Mutex::default() });
    let router = Router::new().fallback(handle).with_state(front);
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let place = room.clone().acquire_owned().await.expect("the semaphore is never closed");
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD_PATIENCE)
                .serve_connection(TokioIo::new(stream), service);
            if let Err(error) = connection.await {
                tracing::debug!(%error, "a connection ended badly");
            }
            drop(place);
        });
    }
}

struct Front {
    line: Line,
    /// Uploads that no request works on right now; one that a request has is not in here.
    uploads: Mutex<BTreeMap<u64, Upload>>,
}

async fn handle(State(front): State<Arc<Front>>, request: Request) -> Response {
    match front.answer(request).await {
        Ok(response) => response,
        Err(refusal) => refusal.into_response(),
    }
}

impl Front {
    async fn answer(&self, request: Request) -> Result<Response, Refusal> {
        check_origin(request.headers())?;
        let path = Path::parse(request.uri().path());
        let path = path.ok_or_else(|| Refusal::new(404, Code::NameUnknown, "there is no such address in this API"))?;
        let method = request.method().clone();
        let is_read = method == Method::GET || method == Method::HEAD;
        match path {
            Path::Base if is_read => Ok(([API_VERSION], axum::Json(json!({}))).into_response()),
            Path::Catalog if is_read => self.catalog(request.uri()).await,
            Path::Tags { repository } if is_read => self.tags(repository, request.uri()).await,
            Path::Manifest { repository, reference } if is_read => {
                self.manifest(repository, reference, method == Method::HEAD).await
            }
            Path::Manifest { repository, reference } if method == Method::PUT => {
                self.put_manifest(repository, reference, request).await
            }
            Path::Manifest { repository, reference } if method == Method::DELETE => {
                self.delete_manifest(repository, reference).await
            }
            Path::Blob { digest, .. } if is_read => self.blob(&digest, Wanted::of(&request)).await,
            Path::Uploads { repository } if method == Method::POST => self.begin(repository, request).await,
            Path::Upload { repository, id } => self.upload(&repository, &id, request).await,
            // Blobs go when no image has them any more (`quayside image prune`).
            _ => Err(Refusal::new(405, Code::Unsupported, "this registry does not do that")),
        }
    }
}

/// A page in a browser must not use this registry behind its reader's back: what a browser sends has an Origin, or, by a
/// name that an attacker made lead here, a Host that is not this machine.
fn check_origin(headers: &HeaderMap) -> Result<(), Refusal> {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = match host.rsplit_once(':') {
        Some((name, port)) if !port.contains(']') => name,
        _ => host,
    };
    let name = name.trim_start_matches('[').trim_end_matches(']');
    let is_here = name == "localhost" || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match is_here && !headers.contains_key(header::ORIGIN) {
        true => Ok(()),
        false => Err(Refusal::new(403, Code::Denied, "this registry is for programs of this machine, as localhost")),
    }
}

fn digest_of(text: &str) -> Result<Digest, Refusal> {
    text.parse().map_err(|error| Refusal::new(400, Code::DigestInvalid, format!("{error}")))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_in_browsers_and_names_that_only_lead_here_are_refused() {
        let headers = |host: &str, origin: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::HOST, host.parse().unwrap());
            origin.map(|origin| headers.insert(header::ORIGIN, origin.parse().unwrap()));
            check_origin(&headers).is_ok()
        };
        for host in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"] {
            assert!(headers(host, None), "{host}");
        }
        assert!(!headers("registry.example.org:5000", None));
        assert!(!headers("localhost:5000", Some("https://example.org")));
    }
}
