//! Blobs, whole and in parts.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;

use axum::body::{Body, Bytes};
use axum::extract::Request;
use axum::http::{Method, StatusCode, header};
use axum::response::Response;

use super::super::answer::{CONTENT_DIGEST, Refusal, empty};
use super::super::path::range;
use super::super::protocol::{Answer, Ask, Code};
use super::{Front, digest_of};

/// What is read of a blob at once.
const CHUNK_BYTES: usize = 128 * 1024;

/// What of a blob is wanted.
pub struct Wanted {
    content: bool,
    /// The Range header.
    range: Option<String>,
}

impl Wanted {
    pub fn of(request: &Request) -> Self {
        let range = request.headers().get(header::RANGE).and_then(|value| value.to_str().ok());
        Self { content: request.method() == Method::GET, range: range.map(str::to_owned) }
    }
}

impl Front {
    pub(super) async fn blob(&self, digest: &str, wanted: Wanted) -> Result<Response, Refusal> {
        let digest = digest_of(digest)?;
        let content = wanted.content;
        let (answer, fd) = self.line.ask(Ask::Blob { digest, content }, None).await?;
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
pub fn stream(file: File, bytes: u64) -> Body {
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
