//! One blob goes to a registry: not at all if it is there, at once if it is small, in chunks if it is not.
//!
//! Distribution specification, "Pushing blobs". A chunk that was cut is asked after, and goes on from where it is.

use std::path::Path;
use std::thread;

use ureq::Body;
use ureq::http::header::{CONTENT_RANGE, CONTENT_TYPE, RANGE};
use ureq::http::{Method, Response};

use super::super::digest::Digest;
use super::super::oci::Descriptor;
use super::challenge::encoded;
use super::client::{Ask, Client, Content, RETRY_WAITS, header};
use super::error::RegistryError;
use super::meters::Meter;

/// What is sent in one request. After a cut so much at most is sent again, and progress is told so often.
const CHUNK_BYTES: u64 = 16 * 1024 * 1024;

const OCTETS: &str = "application/octet-stream";

/// Where a blob's bytes are.
#[derive(Debug, Clone, Copy)]
pub enum From<'a> {
    File(&'a Path),
    Bytes(&'a [u8]),
}

impl Client {
    /// Whether the repository has it already.
    pub fn has_blob(&self, digest: &Digest) -> Result<bool, RegistryError> {
        let response = self.ask(&Ask::new(Method::HEAD, self.url(&format!("blobs/{digest}"))))?;
        match response.status().as_u16() {
            200 => Ok(true),
            404 => Ok(false),
            _ => Err(self.error_of(response)),
        }
    }

    /// Sends a blob. `mount_from`: another repository there that should have it.
    pub fn upload(
        &self,
        blob: &Descriptor,
        from: From,
        mount_from: Option<&str>,
        meter: &Meter,
    ) -> Result<(), RegistryError> {
        let query = mount_from.map(|other| format!("?mount={}&from={}", blob.digest, encoded(other)));
        let begin = self.url(&format!("blobs/uploads/{}", query.unwrap_or_default()));
        let begun = self.ask_for(&Ask::new(Method::POST, begin), &[201, 202])?;
        if begun.status() == 201 {
            meter.add(blob.size);
            return Ok(());
        }
        let mut location = self.location(&begun)?;
        drop(begun);
        let is_small = blob.size <= CHUNK_BYTES;
        if !is_small {
            location = self.send_chunks(blob, from, location, meter)?;
        }
        let close = format!("{location}{}digest={}", if location.contains('?') { '&' } else { '?' }, blob.digest);
        let mut ask = Ask::new(Method::PUT, close).header(CONTENT_TYPE.as_str(), OCTETS);
        if is_small {
            ask = ask.body(content(from, 0, blob.size));
        }
        let closed = self.ask_for(&ask, &[201, 204]);
        // When only the answer was lost, the second try finds no upload, and the blob is there.
        if let Err(error) = closed
            && !self.has_blob(&blob.digest).unwrap_or(false)
        {
            return Err(error);
        }
        if is_small {
            meter.add(blob.size);
        }
        Ok(())
    }

    fn send_chunks(
        &self,
        blob: &Descriptor,
        from: From,
        location: String,
        meter: &Meter,
    ) -> Result<String, RegistryError> {
        let (mut position, mut location, mut tries) = (0, location, 0);
        while position < blob.size {
            let bytes = CHUNK_BYTES.min(blob.size - position);
            let ask = Ask::new(Method::PATCH, location.clone())
                .header(CONTENT_TYPE.as_str(), OCTETS)
                .header(CONTENT_RANGE.as_str(), format!("{position}-{}", position + bytes - 1))
                .body(content(from, position, bytes));
            let answer = match self.ask_once(&ask) {
                Ok(answer) if answer.status() == 202 || answer.status() == 204 => {
                    tries = 0;
                    answer
                }
                // It has more or less of this chunk than we think: ask which (416), or how far a cut one came.
                Ok(answer) if answer.status() != 416 => return Err(self.error_of(answer)),
                Ok(_) | Err(_) if tries < RETRY_WAITS.len() => {
                    thread::sleep(RETRY_WAITS[tries]);
                    tries += 1;
                    self.ask_for(&Ask::new(Method::GET, location.clone()), &[204])?
                }
                Ok(answer) => return Err(self.error_of(answer)),
                Err(error) => return Err(error),
            };
            let reached = self.reached(&answer)?;
            if reached > blob.size {
                return Err(self.answer("it has more of a blob than the blob has"));
            }
            meter.add(reached.saturating_sub(position));
            position = reached;
            location = self.location(&answer)?;
        }
        Ok(location)
    }

    /// How many bytes the server has: it says `Range: 0-LAST`, with `0-0` also for none.
    fn reached(&self, answer: &Response<Body>) -> Result<u64, RegistryError> {
        let range = header(answer, RANGE.as_str());
        let last = range.and_then(|range| range.trim_start_matches("bytes=").strip_prefix("0-")?.parse::<u64>().ok());
        match last {
            Some(0) => Ok(0),
            Some(last) => last.checked_add(1).ok_or_else(|| self.answer("a range without end")),
            None => Err(self.answer("an upload without a Range")),
        }
    }
}

fn content(from: From<'_>, position: u64, bytes: u64) -> Content<'_> {
    match from {
        From::File(file) => Content::Part { file, from: position, bytes },
        From::Bytes(all) => Content::Bytes(&all[position as usize..(position + bytes) as usize]),
    }
}
