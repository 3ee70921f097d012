//! A blob as a stream that survives cut connections: what came so far is kept, and the rest asked for by Range.

use std::io::{self, Read};
use std::thread;

use sha2::{Digest as _, Sha256};
use ureq::http::Method;
use ureq::http::header::RANGE;

use super::super::digest::Digest;
use super::super::oci::Descriptor;
use super::client::{Ask, Client, RETRY_WAITS, header};
use super::error::RegistryError;
use super::meters::Meter;

/// Connections for one blob. A layer of 10 GB over a line that breaks every 200 MB still comes.
const CONNECTIONS_MAX: usize = 50;

/// The bytes of one blob, in order, each once. The last read checks that all of it is what its digest says.
pub struct Download<'a> {
    client: &'a Client,
    what: &'static str,
    descriptor: &'a Descriptor,
    meter: &'a Meter,
    body: Option<Box<dyn Read + Send>>,
    position: u64,
    hash: Sha256,
    checked: bool,
    connections: usize,
    /// Connections in a row that gave nothing.
    idle: usize,
    /// Why reading ended; whoever read it got it as text only.
    pub failed: Option<RegistryError>,
}

impl<'a> Download<'a> {
    pub fn new(client: &'a Client, what: &'static str, descriptor: &'a Descriptor, meter: &'a Meter) -> Self {
        let (body, hash) = (None, Sha256::new());
        let (position, connections, idle) = (0, 0, 0);
        Self { client, what, descriptor, meter, body, position, hash, checked: false, connections, idle, failed: None }
    }

    /// Reads what nobody wanted to read, so that all of it is checked.
    pub fn finish(&mut self) -> Result<(), RegistryError> {
        io::copy(self, &mut io::sink()).map(drop).map_err(|error| self.error(error))
    }

    /// What really went wrong, where a reader only has the I/O error.
    pub fn error(&mut self, error: io::Error) -> RegistryError {
        self.failed.take().unwrap_or_else(|| self.client.unreachable(error.to_string(), 1))
    }

    fn read_some(&mut self, buffer: &mut [u8]) -> Result<usize, RegistryError> {
        loop {
            let rest = self.descriptor.size - self.position;
            if rest == 0 {
                return self.check().map(|()| 0);
            }
            let most = buffer.len().min(usize::try_from(rest).unwrap_or(usize::MAX));
            let body = match &mut self.body {
                Some(body) => body,
                none => none.insert(self.client.blob(self.what, &self.descriptor.digest, self.position)?),
            };
            let why = match body.read(&mut buffer[..most]) {
                Ok(0) => "it ended in the middle".to_owned(),
                Ok(count) => {
                    self.position += count as u64;
                    self.hash.update(&buffer[..count]);
                    self.meter.add(count as u64);
                    self.idle = 0;
                    return Ok(count);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => error.to_string(),
            };
            self.body = None;
            self.again(why)?;
        }
    }

    /// Waits before the next connection, unless there were enough.
    fn again(&mut self, why: String) -> Result<(), RegistryError> {
        self.connections += 1;
        let wait = RETRY_WAITS.get(self.idle).filter(|_| self.connections < CONNECTIONS_MAX);
        let wait = wait.ok_or_else(|| self.client.unreachable(why, self.connections))?;
        self.idle += 1;
        thread::sleep(*wait);
        Ok(())
    }

    fn check(&mut self) -> Result<(), RegistryError> {
        if self.checked {
            return Ok(());
        }
        let found: [u8; 32] = std::mem::take(&mut self.hash).finalize().into();
        let found = Digest::from_bytes(found);
        if found != self.descriptor.digest {
            let (doing, server) = (self.client.doing(), self.client.server());
            let (what, expected) = (self.what, self.descriptor.digest);
            return Err(RegistryError::Damaged { doing, server, what, expected, found });
        }
        self.checked = true;
        Ok(())
    }
}

impl Read for Download<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        self.read_some(buffer).map_err(|error| {
            let text = io::Error::other(error.to_string());
            self.failed = Some(error);
            text
        })
    }
}

impl Client {
    /// A blob from `position` on.
    fn blob(&self, what: &'static str, digest: &Digest, position: u64) -> Result<Box<dyn Read + Send>, RegistryError> {
        let mut ask = Ask::new(Method::GET, self.url(&format!("blobs/{digest}")));
        if position > 0 {
            ask = ask.header(RANGE.as_str(), format!("bytes={position}-"));
        }
        let response = self.ask(&ask)?;
        match response.status().as_u16() {
            206 if position > 0 => {
                let begins = format!("bytes {position}-");
                if !header(&response, "content-range").is_some_and(|range| range.starts_with(&begins)) {
                    return Err(self.answer("it gave another part of a blob than was asked for"));
                }
                Ok(Box::new(response.into_body().into_reader()))
            }
            // It does not know ranges: from the beginning, then.
            200 => {
                let mut body = response.into_body().into_reader();
                let skipped = io::copy(&mut (&mut body).take(position), &mut io::sink());
                match skipped {
                    Ok(bytes) if bytes == position => Ok(Box::new(body)),
                    Ok(_) => Ok(Box::new(io::empty())),
                    Err(error) => Err(self.unreachable(error.to_string(), 1)),
                }
            }
            404 => Err(RegistryError::NoBlob { doing: self.doing(), server: self.server(), what, digest: *digest }),
            _ => Err(self.error_of(response)),
        }
    }
}
