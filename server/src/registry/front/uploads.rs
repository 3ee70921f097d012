//! Uploads: begun, written in chunks or at once, ended with a digest or given up.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;
use futures_util::StreamExt;
use quayside_runtime::image::Digest;
use tokio::time::timeout;

use super::super::UPLOAD_MAX_BYTES;
use super::super::answer::{CONTENT_DIGEST, Refusal, UPLOAD_ID, empty};
use super::super::path::{chunk_start, query};
use super::super::protocol::{Answer, Ask, Code};
use super::{Front, SILENCE_MAX, digest_of, lock};

/// Uploads at once; the holder has its own limit.
const UPLOADS_MAX: usize = 40;

/// One that no request works on right now.
pub struct Upload {
    repository: String,
    file: File,
    bytes: u64,
}

impl Front {
    pub(super) async fn begin(&self, repository: String, request: Request) -> Result<Response, Refusal> {
        if let Some(mount) = query(request.uri().query(), "mount") {
            // All repositories are one store: what one has, all have.
            let digest = digest_of(&mount)?;
            if self.line.ask(Ask::Blob { digest, content: false }, None).await.is_ok() {
                return Ok(created(&repository, &digest));
            }
        }
        let whole = query(request.uri().query(), "digest").map(|digest| digest_of(&digest)).transpose()?;
        let (answer, fd) = self.line.ask(Ask::Begin, None).await?;
        let (Answer::Begun { upload: number }, Some(fd)) = (answer, fd) else { return Err(Refusal::holder()) };
        let upload = Upload { repository: repository.clone(), file: File::from(fd), bytes: 0 };
        if let Some(digest) = whole {
            self.receive(upload, number, request.into_body()).await?;
            return self.end(&repository, number, digest).await;
        }
        let response = moved_on(StatusCode::ACCEPTED, &repository, number, 0);
        self.put_back(number, upload)?;
        Ok(response)
    }

    pub(super) async fn upload(&self, repository: &str, id: &str, request: Request) -> Result<Response, Refusal> {
        let unknown =
            || Refusal::new(404, Code::BlobUploadUnknown, "there is no such upload, or another request has it");
        let number: u64 = id.parse().map_err(|_| unknown())?;
        // Before the upload is taken, which a request that means nothing must not cost.
        let digest = match request.method() == Method::PUT {
            true => Some(digest_asked(&request)?),
            false => None,
        };
        let upload = self.take(repository, number).ok_or_else(unknown)?;
        if request.method() == Method::DELETE {
            self.line.ask(Ask::Cancel { upload: number }, None).await?;
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
        if let Some(digest) = digest {
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
        self.line.ask(Ask::End { upload: number, digest }, None).await?;
        Ok(created(repository, &digest))
    }

    /// An upload of this repository, for one request alone.
    fn take(&self, repository: &str, number: u64) -> Option<Upload> {
        let mut uploads = lock(&self.uploads);
        uploads.get(&number).filter(|upload| upload.repository == repository)?;
        uploads.remove(&number)
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
}

fn digest_asked(request: &Request) -> Result<Digest, Refusal> {
    let digest = query(request.uri().query(), "digest");
    digest_of(&digest.ok_or_else(|| Refusal::new(400, Code::DigestInvalid, "an upload ends with its digest"))?)
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
