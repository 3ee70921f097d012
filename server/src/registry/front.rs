//! The front: speaks HTTP, as nobody, and asks the holder for everything.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::IpAddr;
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use quayside_runtime::image::Digest;
use quayside_runtime::image::oci::MANIFEST_MAX_BYTES;
use quayside_runtime::sys::{memfd::sealed_bytes, message};
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{sleep, timeout};

use super::UPLOAD_MAX_BYTES;
use super::answer::{API_VERSION, CONTENT_DIGEST, Refusal, UPLOAD_ID, empty};
use super::path::{Path, chunk_start, query, range};
use super::protocol::{Answer, Ask, Code, Question, Reply};

/// Connections at once: a class that pulls, each client with some layers in parallel, waits in the backlog beyond it.
const CONNECTIONS_MAX: usize = 128;
/// Uploads at once; the holder has its own limit.
const UPLOADS_MAX: usize = 40;
/// A client that has not sent its request's head by then is none.
const HEAD_PATIENCE: Duration = Duration::from_secs(20);
/// Silence in the middle of an upload.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// After a failed accept(2), which fails again at once when descriptors are short.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The longest question: preparing an image, and unpacking the layers of a large one.
const HOLDER_PATIENCE: Duration = Duration::from_secs(600);
/// What is read of a blob at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// Serves until the holder ends.
pub async fn serve(listener: std::net::TcpListener, line: OwnedFd) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let listener = TcpListener::from_std(listener)?;
    let front = Arc::new(Front { holder: Holder::new(line), uploads: Mutex::default() });
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
    holder: Holder,
    /// Uploads that no request works on right now; one that a request has is not in here.
    uploads: Mutex<BTreeMap<u64, Upload>>,
}

struct Upload {
    repository: String,
    file: File,
    bytes: u64,
}

/// What of a blob is wanted.
struct Wanted {
    content: bool,
    /// The Range header.
    range: Option<String>,
}

impl Wanted {
    fn of(request: &Request) -> Self {
        let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
        Self { content: request.method() == Method::GET, range: range.map(str::to_owned) }
    }
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
        let is_read = request.method() == Method::GET || request.method() == Method::HEAD;
        match path {
            Path::Base if is_read => Ok(json_of(&json!({}))),
            Path::Catalog if is_read => {
                let names = self.names(Ask::Catalog).await?;
                Ok(json_of(&json!({ "repositories": names })))
            }
            Path::Tags { repository } if is_read => {
                let tags = self.names(Ask::Tags { repository: repository.clone() }).await?;
                Ok(json_of(&json!({ "name": repository, "tags": tags })))
            }
            Path::Manifest { repository, reference } if is_read => {
                self.manifest(repository, reference, request.method() == Method::HEAD).await
            }
            Path::Manifest { repository, reference } if request.method() == Method::PUT => {
                self.put_manifest(repository, reference, request).await
            }
            Path::Blob { digest, .. } if is_read => self.blob(&digest, Wanted::of(&request)).await,
            Path::Uploads { repository } if request.method() == Method::POST => self.begin(repository, request).await,
            Path::Upload { repository, id } => self.upload(&repository, &id, request).await,
            _ => Err(Refusal::new(405, Code::Unsupported, "this registry does not do that")),
        }
    }

    async fn names(&self, ask: Ask) -> Result<Vec<String>, Refusal> {
        match self.holder.ask(ask, None).await? {
            (Answer::Names { names }, _) => Ok(names),
            _ => Err(Refusal::holder()),
        }
    }

    async fn manifest(&self, repository: String, reference: String, head: bool) -> Result<Response, Refusal> {
        let (answer, fd) = self.holder.ask(Ask::Manifest { repository, reference }, None).await?;
        let (Answer::Manifest { digest, media_type, bytes }, Some(fd)) = (answer, fd) else {
            return Err(Refusal::holder());
        };
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_LENGTH, bytes.to_string()),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        let mut response = empty(StatusCode::OK, &headers);
        if !head {
            *response.body_mut() = stream(File::from(fd), bytes);
        }
        Ok(response)
    }

    async fn blob(&self, digest: &str, wanted: Wanted) -> Result<Response, Refusal> {
        let digest = digest_of(digest)?;
        let content = wanted.content;
        let (answer, fd) = self.holder.ask(Ask::Blob { digest, content }, None).await?;
        let Answer::Blob { bytes, is_file } = answer else { return Err(Refusal::holder()) };
        let wanted = if content { range(wanted.range.as_deref(), bytes) } else { None };
        let (status, part) = match wanted {
            Some(Ok(part)) => (StatusCode::PARTIAL_CONTENT, part),
            Some(Err(())) => return Err(Refusal::new(416, Code::SizeInvalid, format!("the blob has {bytes} bytes"))),
            None => (StatusCode::OK, 0..bytes),
        };
        let mut headers = vec![
            (header::CONTENT_TYPE, "application/octet-stream".to_owned()),
            (header::CONTENT_LENGTH, (part.end - part.start).to_string()),
            (header::ACCEPT_RANGES, "bytes".to_owned()),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        if status == StatusCode::PARTIAL_CONTENT {
            headers.push((header::CONTENT_RANGE, format!("bytes {}-{}/{bytes}", part.start, part.end - 1)));
        }
        let mut response = empty(status, &headers);
        if content {
            let file = File::from(fd.ok_or_else(Refusal::holder)?);
            *response.body_mut() = part_of(file, is_file, part).await?;
        }
        Ok(response)
    }

    async fn begin(&self, repository: String, request: Request) -> Result<Response, Refusal> {
        if let Some(mount) = query(request.uri().query(), "mount") {
            // All repositories are one store: what one has, all have.
            let digest = digest_of(&mount)?;
            if self.holder.ask(Ask::Blob { digest, content: false }, None).await.is_ok() {
                return Ok(created(&repository, &digest));
            }
        }
        let (answer, fd) = self.holder.ask(Ask::Begin, None).await?;
        let (Answer::Begun { upload: number }, Some(fd)) = (answer, fd) else { return Err(Refusal::holder()) };
        let upload = Upload { repository: repository.clone(), file: File::from(fd), bytes: 0 };
        if let Some(digest) = query(request.uri().query(), "digest") {
            let digest = digest_of(&digest)?;
            self.receive(upload, number, request.into_body()).await?;
            return self.end(&repository, number, digest).await;
        }
        let response = moved_on(StatusCode::ACCEPTED, &repository, number, 0);
        self.put_back(number, upload)?;
        Ok(response)
    }

    async fn upload(&self, repository: &str, id: &str, request: Request) -> Result<Response, Refusal> {
        let unknown =
            || Refusal::new(404, Code::BlobUploadUnknown, "there is no such upload, or another request has it");
        let number: u64 = id.parse().map_err(|_| unknown())?;
        let upload = lock(&self.uploads).remove(&number).filter(|upload| upload.repository == repository);
        let upload = upload.ok_or_else(unknown)?;
        if request.method() == Method::DELETE {
            self.holder.ask(Ask::Cancel { upload: number }, None).await?;
            return Ok(empty(StatusCode::NO_CONTENT, &[]));
        }
        if request.method() == Method::GET {
            let response = moved_on(StatusCode::NO_CONTENT, repository, number, upload.bytes);
            self.put_back(number, upload)?;
            return Ok(response);
        }
        let begins = request.headers().get(header::CONTENT_RANGE).and_then(|value| chunk_start(value.to_str().ok()?));
        if begins.is_some_and(|begins| begins != upload.bytes) {
            let response = moved_on(StatusCode::RANGE_NOT_SATISFIABLE, repository, number, upload.bytes);
            self.put_back(number, upload)?;
            return Ok(response);
        }
        if request.method() == Method::PATCH {
            let upload = self.receive(upload, number, request.into_body()).await?;
            let response = moved_on(StatusCode::ACCEPTED, repository, number, upload.bytes);
            self.put_back(number, upload)?;
            return Ok(response);
        }
        if request.method() == Method::PUT {
            let digest = query(request.uri().query(), "digest");
            let digest =
                digest.ok_or_else(|| Refusal::new(400, Code::DigestInvalid, "an upload ends with its digest"))?;
            let digest = digest_of(&digest)?;
            self.receive(upload, number, request.into_body()).await?;
            return self.end(repository, number, digest).await;
        }
        self.put_back(number, upload)?;
        Err(Refusal::new(405, Code::Unsupported, "uploads know GET, PATCH, PUT and DELETE"))
    }

    /// Writes a request's body behind what is there. What was cut stays as far as it came.
    async fn receive(&self, mut upload: Upload, number: u64, body: Body) -> Result<Upload, Refusal> {
        let mut body = body.into_data_stream();
        loop {
            let next = timeout(SILENCE_MAX, body.next()).await;
            let bytes: Bytes = match next {
                Ok(None) => return Ok(upload),
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(_))) | Err(_) => {
                    self.put_back(number, upload)?;
                    return Err(Refusal::new(400, Code::BlobUploadInvalid, "the upload was cut"));
                }
            };
            if upload.bytes + bytes.len() as u64 > UPLOAD_MAX_BYTES {
                return Err(Refusal::new(
                    413,
                    Code::SizeInvalid,
                    format!("a blob has {UPLOAD_MAX_BYTES} bytes at most"),
                ));
            }
            let write = move || {
                upload.file.seek(SeekFrom::Start(upload.bytes))?;
                upload.file.write_all(&bytes)?;
                upload.bytes += bytes.len() as u64;
                Ok::<Upload, io::Error>(upload)
            };
            let written = tokio::task::spawn_blocking(write).await.map_err(|_| Refusal::holder())?;
            upload = written
                .map_err(|error| Refusal::new(500, Code::Unknown, format!("cannot write the upload: {error}")))?;
        }
    }

    async fn end(&self, repository: &str, number: u64, digest: Digest) -> Result<Response, Refusal> {
        self.holder.ask(Ask::End { upload: number, digest }, None).await?;
        Ok(created(repository, &digest))
    }

    fn put_back(&self, number: u64, upload: Upload) -> Result<(), Refusal> {
        let mut uploads = lock(&self.uploads);
        // Those that nobody came back for; the holder has let go of them too, or will.
        while uploads.len() >= UPLOADS_MAX {
            uploads.pop_first();
        }
        uploads.insert(number, upload);
        Ok(())
    }

    async fn put_manifest(&self, repository: String, reference: String, request: Request) -> Result<Response, Refusal> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        let large = || Refusal::new(413, Code::ManifestInvalid, "the manifest is larger than 4 MiB");
        let read = axum::body::to_bytes(request.into_body(), MANIFEST_MAX_BYTES as usize);
        let bytes = timeout(SILENCE_MAX, read).await.map_err(|_| large())?.map_err(|_| large())?;
        let fd = sealed_bytes(&bytes).map_err(|_| Refusal::holder())?;
        let ask = Ask::Put { repository: repository.clone(), reference: reference.clone(), media_type };
        let (Answer::Done { digest: Some(digest) }, _) = self.holder.ask(ask, Some(fd)).await? else {
            return Err(Refusal::holder());
        };
        let location = format!("/v2/{repository}/manifests/{reference}");
        Ok(empty(StatusCode::CREATED, &[(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())]))
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

fn json_of(value: &serde_json::Value) -> Response {
    ([API_VERSION], axum::Json(value)).into_response()
}

fn created(repository: &str, digest: &Digest) -> Response {
    let location = format!("/v2/{repository}/blobs/{digest}");
    empty(StatusCode::CREATED, &[(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())])
}

/// Where an upload goes on, and how far it is.
fn moved_on(status: StatusCode, repository: &str, number: u64, bytes: u64) -> Response {
    let headers = [
        (header::LOCATION, format!("/v2/{repository}/blobs/uploads/{number}")),
        (header::RANGE, format!("0-{}", bytes.saturating_sub(1))),
        (UPLOAD_ID, number.to_string()),
    ];
    empty(status, &headers)
}

async fn part_of(mut file: File, is_file: bool, part: Range<u64>) -> Result<Body, Refusal> {
    let Range { start, end } = part;
    let begin = move || {
        if is_file {
            file.seek(SeekFrom::Start(start))?;
        } else {
            io::copy(&mut (&mut file).take(start), &mut io::sink())?;
        }
        Ok::<File, io::Error>(file)
    };
    let begun = tokio::task::spawn_blocking(begin).await.map_err(|_| Refusal::holder())?;
    Ok(stream(begun.map_err(|_| Refusal::holder())?, end - start))
}

/// So many bytes of a file or pipe; one that ends earlier breaks the connection, so that the client sees it.
fn stream(file: File, bytes: u64) -> Body {
    let chunks = futures_util::stream::try_unfold((file, bytes), |(mut file, rest)| async move {
        if rest == 0 {
            return Ok(None);
        }
        let read = move || {
            let mut buffer = vec![0; CHUNK_BYTES.min(usize::try_from(rest).unwrap_or(usize::MAX))];
            let count = file.read(&mut buffer)?;
            buffer.truncate(count);
            Ok::<_, io::Error>((file, buffer))
        };
        let (file, buffer) = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
        if buffer.is_empty() {
            return Err(io::Error::from(io::ErrorKind::UnexpectedEof));
        }
        let rest = rest - buffer.len() as u64;
        Ok(Some((Bytes::from(buffer), (file, rest))))
    });
    Body::from_stream(chunks)
}

/// The way to the holder.
struct Holder {
    line: Arc<OwnedFd>,
    next: AtomicU64,
    /// Who waits for which answer.
    waiting: Arc<Mutex<Waiting>>,
}

type Waiting = BTreeMap<u64, oneshot::Sender<(Answer, Option<OwnedFd>)>>;

impl Holder {
    fn new(line: OwnedFd) -> Self {
        let (line, waiting) = (Arc::new(line), Arc::<Mutex<Waiting>>::default());
        let (heard, asked) = (line.clone(), waiting.clone());
        std::thread::spawn(move || {
            while let Ok(Some((bytes, fds))) = message::receive(heard.as_fd()) {
                let Ok(Reply { number, answer }) = serde_json::from_slice(&bytes) else { continue };
                if let Some(who) = lock(&asked).remove(&number) {
                    // Its client may have gone.
                    let _ = who.send((answer, fds.into_iter().next()));
                }
            }
            // The holder has ended, and without it there is nothing to do.
            std::process::exit(0);
        });
        Self { line, next: AtomicU64::new(1), waiting }
    }

    async fn ask(&self, ask: Ask, fd: Option<OwnedFd>) -> Result<(Answer, Option<OwnedFd>), Refusal> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let bytes = serde_json::to_vec(&Question { number, ask }).expect("plain data serialises");
        let line = self.line.clone();
        // It waits while the holder has as many questions as it takes.
        let send = move || message::send(line.as_fd(), &bytes, &fd.iter().map(AsFd::as_fd).collect::<Vec<_>>());
        let sent = tokio::task::spawn_blocking(send).await.is_ok_and(|sent| sent.is_ok());
        let answer = if sent { timeout(HOLDER_PATIENCE, answer).await.ok().and_then(Result::ok) } else { None };
        lock(&self.waiting).remove(&number);
        match answer.ok_or_else(Refusal::holder)? {
            (Answer::Refused { status, code, message }, _) => Err(Refusal { status, code, message }),
            answer => Ok(answer),
        }
    }
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
