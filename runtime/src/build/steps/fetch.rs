//! One URL of an `ADD`, into a file of the step's work.
//!
//! The environment is not asked for a proxy; a redirect is followed, a few times.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use ureq::Agent;
use ureq::tls::{RootCerts, TlsConfig, TlsProvider};

use super::error::StepError;
use crate::image::Digest;
use crate::image::digest::Hashing;

/// Larger than the toolchains that people add (1 GB), and small enough to end before a disk is full.
const BYTES_MAX: u64 = 4 * 1024 * 1024 * 1024;

/// A server that does not answer within this is not there.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Silence in the middle. A slow network sends something; a dead one does not.
const SILENCE_TIMEOUT: Duration = Duration::from_secs(60);

const READ_BYTES: usize = 64 * 1024;

/// A validator is a few dozen characters; a longer one is not kept.
const VALIDATOR_MAX_CHARS: usize = 1024;

/// What a server says of a file beside its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    pub digest: Digest,
    /// Seconds since 1970.
    pub modified: Option<i64>,
    pub validators: Validators,
}

/// What a server tells one state of a file from another by (RFC 9110, section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Validators {
    pub etag: Option<String>,
    pub last_modified: Option<String>,
}

/// What a server answers who has the file already.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answer {
    Unchanged,
    Fetched(Fetched),
}

/// Fetches a URL, and refuses what is not `checksum` (`sha256:…`).
pub fn fetch(url: &str, checksum: Option<&str>, to: &Path) -> Result<Fetched, StepError> {
    let failed = |why: String| StepError::Fetch { url: url.to_owned(), why };
    let expected = match checksum {
        None => None,
        Some(text) => Some(text.parse::<Digest>().map_err(|error| failed(format!("--checksum={text}: {error}")))?),
    };
    match (fetch_if_changed(url, &Validators::default(), to)?, expected) {
        (Answer::Unchanged, _) => Err(failed("the server answered 304 to who has nothing yet".into())),
        (Answer::Fetched(Fetched { digest, .. }), Some(expected)) if digest != expected => {
            Err(failed(format!("it is {digest}, and --checksum says {expected}")))
        }
        (Answer::Fetched(fetched), _) => Ok(fetched),
    }
}

/// The same, but for a file that is still the one with these validators.
pub fn fetch_if_changed(url: &str, known: &Validators, to: &Path) -> Result<Answer, StepError> {
    let failed = |why: String| StepError::Fetch { url: url.to_owned(), why };
    let mut request = agent().get(url);
    // A server looks at the second only if there is no first (RFC 9110, section 13.1.3).
    for (header, value) in [("if-none-match", &known.etag), ("if-modified-since", &known.last_modified)] {
        request = value.iter().fold(request, |request, value| request.header(header, value));
    }
    let mut response = request.call().map_err(|error| failed(error.to_string()))?;
    match response.status().as_u16() {
        200 => {}
        304 if *known != Validators::default() => return Ok(Answer::Unchanged),
        status => return Err(failed(format!("the server answered {status}"))),
    }
    let header = |name: &str| {
        let text = response.headers().get(name)?.to_str().ok()?;
        (text.len() <= VALIDATOR_MAX_CHARS).then(|| text.to_owned())
    };
    let validators = Validators { etag: header("etag"), last_modified: header("last-modified") };
    let modified = validators.last_modified.as_deref().and_then(http_date);
    let file = File::create(to).map_err(|error| failed(format!("cannot write {}: {error}", to.display())))?;
    let mut hashing = Hashing::new(file);
    let body = response.body_mut().as_reader();
    copy(body, &mut hashing).map_err(|error| failed(error.to_string()))?;
    let (digest, _, _) = hashing.finish();
    Ok(Answer::Fetched(Fetched { digest, modified, validators }))
}

fn agent() -> Agent {
    let tls = TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .root_certs(RootCerts::PlatformVerifier)
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    Agent::config_builder()
        .proxy(None)
        .tls_config(tls)
        .http_status_as_error(false)
        .user_agent("quayside")
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .timeout_recv_response(Some(SILENCE_TIMEOUT))
        .timeout_per_read(Some(SILENCE_TIMEOUT))
        .build()
        .into()
}

fn copy(mut from: impl Read, to: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; READ_BYTES];
    let mut bytes = 0;
    loop {
        let count = from.read(&mut buffer)?;
        if count == 0 {
            return Ok(());
        }
        bytes += count as u64;
        if bytes > BYTES_MAX {
            return Err(io::Error::other(format!("it is larger than {BYTES_MAX} bytes")));
        }
        to.write_all(&buffer[..count])?;
    }
}

/// `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
fn http_date(text: &str) -> Option<i64> {
    jiff::fmt::rfc2822::parse(text).ok().map(|time| time.timestamp().as_second())
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::net::TcpListener;

    use super::*;

    /// A server that gives one answer; its address.
    fn serve(answer: &'static str) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = format!("http://{}/f.txt", listener.local_addr().unwrap());
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            let _request: Vec<String> = lines.map_while(Result::ok).take_while(|line| !line.is_empty()).collect();
            stream.write_all(answer.as_bytes()).unwrap();
        });
        address
    }

    const ANSWER: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nLast-Modified: Sun, 06 Nov 1994 08:49:37 GMT\r\n\r\nhello";

    #[test]
    fn a_file_comes_with_its_time_and_its_sum_is_checked() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        let validators = Validators { etag: None, last_modified: Some("Sun, 06 Nov 1994 08:49:37 GMT".into()) };
        let expected = Fetched { digest: Digest::of(b"hello"), modified: Some(784_111_777), validators };
        assert_eq!(fetch(&serve(ANSWER), None, &to).unwrap(), expected);
        assert_eq!(std::fs::read(&to).unwrap(), b"hello");
        let right = Digest::of(b"hello").to_string();
        fetch(&serve(ANSWER), Some(&right), &to).unwrap();
        let wrong = Digest::of(b"other").to_string();
        let error = fetch(&serve(ANSWER), Some(&wrong), &to).unwrap_err().to_string();
        assert!(error.contains(&right) && error.contains(&wrong), "{error}");
    }

    #[test]
    fn a_server_is_asked_whether_a_known_file_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let to = folder.path().join("to");
        let known = Validators { etag: Some("\"one\"".into()), last_modified: None };
        let unchanged = serve("HTTP/1.1 304 Not Modified\r\n\r\n");
        assert_eq!(fetch_if_changed(&unchanged, &known, &to).unwrap(), Answer::Unchanged);
        assert!(!to.exists());
        assert!(matches!(fetch_if_changed(&serve(ANSWER), &known, &to).unwrap(), Answer::Fetched(_)));
        fetch(&serve("HTTP/1.1 304 Not Modified\r\n\r\n"), None, &to).unwrap_err();
    }

    #[test]
    fn an_answer_that_is_no_file_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let url = serve("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
        let error = fetch(&url, None, &folder.path().join("to")).unwrap_err().to_string();
        assert_eq!(error, format!("cannot fetch {url}: the server answered 404"));
    }
}
