//! One file over HTTP, checked while it streams to disk.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::thread;
use std::time::Duration;

use sha2::{Digest, Sha256};
use ureq::Agent;

use crate::image::{hex, http};

/// Waits before the second, third and fourth try: a mirror that drops connections under load gets a rest, and a person
/// waits five seconds at most before hearing that it does not work.
const RETRY_WAITS: [Duration; 3] =
    [Duration::from_millis(200), Duration::from_millis(1000), Duration::from_millis(4000)];

const READ_BYTES: usize = 64 * 1024;

#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// The server answered that it has no such file: another mirror or another version may help, trying again not.
    #[error("{url} is not there (404)")]
    Gone { url: String },
    #[error("cannot fetch {url}: {why} (tried {tries} times); check the network, the mirror and the proxy")]
    Failed { url: String, why: String, tries: usize },
    #[error("cannot write {path}")]
    Write { path: String, source: io::Error },
    #[error("{0:?} is not a proxy's address; it must look like http://HOST:PORT")]
    Proxy(String),
}

/// What a file must be.
#[derive(Debug, Clone)]
pub struct Expected {
    pub size: u64,
    pub sha256: String,
}

pub struct Fetcher {
    agent: Agent,
}

impl Fetcher {
    /// `proxy`: where requests go instead of to the mirror itself. The environment is not asked.
    pub fn new(proxy: Option<&str>) -> Result<Self, FetchError> {
        let agent = http::agent(proxy);
        Ok(Self { agent: agent.ok_or_else(|| FetchError::Proxy(proxy.unwrap_or_default().to_owned()))? })
    }

    /// Fetches a file whose content is known. `got` is told of bytes as they come, each byte of the file once, however
    /// often it was tried.
    pub fn known(&self, url: &str, to: &Path, expected: &Expected, got: &dyn Fn(u64)) -> Result<(), FetchError> {
        let mut told = 0;
        let result = self.retrying(url, &mut || {
            let mut position = 0;
            let sum = self.once(url, to, expected.size, &mut |bytes| {
                position += bytes;
                if position > told {
                    got(position - told);
                    told = position;
                }
            })?;
            if sum != expected.sha256 {
                return Err(Trouble::Passing("what came is not what the recipe names (its SHA-256 differs)".into()));
            }
            Ok(())
        });
        if result.is_ok() {
            got(expected.size.saturating_sub(told));
        }
        result
    }

    /// Fetches a file of at most `bytes_max` bytes, whatever it holds.
    pub fn unknown(&self, url: &str, to: &Path, bytes_max: u64) -> Result<(), FetchError> {
        self.retrying(url, &mut || self.once(url, to, bytes_max, &mut |_| {}).map(|_| ()))
    }

    fn retrying(&self, url: &str, attempt: &mut dyn FnMut() -> Result<(), Trouble>) -> Result<(), FetchError> {
        let mut waits = RETRY_WAITS.iter();
        let mut tries = 0;
        loop {
            tries += 1;
            let why = match attempt() {
                Ok(()) => return Ok(()),
                Err(Trouble::Gone) => return Err(FetchError::Gone { url: url.to_owned() }),
                Err(Trouble::Write(path, source)) => return Err(FetchError::Write { path, source }),
                Err(Trouble::Lasting(why)) => return Err(FetchError::Failed { url: url.to_owned(), why, tries }),
                Err(Trouble::Passing(why)) => why,
            };
            match waits.next() {
                Some(wait) => thread::sleep(*wait),
                None => return Err(FetchError::Failed { url: url.to_owned(), why, tries }),
            }
        }
    }

    fn once(&self, url: &str, to: &Path, bytes_max: u64, got: &mut dyn FnMut(u64)) -> Result<String, Trouble> {
        let mut response = self.agent.get(url).call().map_err(|error| Trouble::Passing(error.to_string()))?;
        match response.status().as_u16() {
            200 => {}
            404 | 410 => return Err(Trouble::Gone),
            status @ (408 | 429 | 500..=599) => return Err(Trouble::Passing(format!("the server answered {status}"))),
            status => return Err(Trouble::Lasting(format!("the server answered {status}"))),
        }
        let mut file = File::create(to).map_err(|source| Trouble::write(to, source))?;
        stream(&mut response.body_mut().as_reader(), &mut file, to, bytes_max, got)
    }
}

/// Why one attempt failed, and whether another makes sense.
enum Trouble {
    Gone,
    Passing(String),
    Lasting(String),
    Write(String, io::Error),
}

impl Trouble {
    fn write(path: &Path, source: io::Error) -> Self {
        Self::Write(path.display().to_string(), source)
    }
}

/// Copies to the file and sums up on the way.
fn stream(
    from: &mut dyn Read,
    file: &mut File,
    to: &Path,
    bytes_max: u64,
    got: &mut dyn FnMut(u64),
) -> Result<String, Trouble> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let count = from.read(&mut buffer).map_err(|error| Trouble::Passing(error.to_string()))?;
        if count == 0 {
            return Ok(hex::of(&hash.finalize()));
        }
        bytes += count as u64;
        if bytes > bytes_max {
            return Err(Trouble::Passing(format!("it is larger than {bytes_max} bytes")));
        }
        hash.update(&buffer[..count]);
        file.write_all(&buffer[..count]).map_err(|source| Trouble::write(to, source))?;
        got(count as u64);
    }
}
