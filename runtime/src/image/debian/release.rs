//! The index of the mirror, and whether to believe it.
//!
//! A mirror is not trusted; Debian's signature is. `InRelease` lists the SHA-256 of every index and carries a signature
//! (one file, so that a mirror in the middle of an update cannot serve two that do not fit). We part the text from the
//! signature, the host's own `gpgv` or `sqv` checks the two with the host's own Debian keyring, and only that text is
//! read. On a host without either, the index is taken unsigned, and the result says so. Pinned packages do not depend on
//! this: their sums are in the lock.

use std::fs::{self, File};
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::deb822;
use super::fetch::{Expected, FetchError, Fetcher};
use super::index::Index;
use super::lock::Archive;
use super::sets::Suite;
use super::sources::Mirrors;

/// `Release` of Debian 12 has 150 KB, its compressed index 9 MB.
const RELEASE_MAX_BYTES: u64 = 4 * 1024 * 1024;
const PACKAGES_MAX_BYTES: u64 = 128 * 1024 * 1024;

const VERIFIERS: &[&str] = &["/usr/bin/gpgv", "/usr/bin/sqv"];
const KEYRINGS: &[&str] =
    &["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/debian-archive-keyring.pgp"];

#[derive(Debug, thiserror::Error)]
pub enum IndexError {
    #[error("cannot fetch the index of packages")]
    Fetch(#[from] FetchError),
    #[error("cannot read the index of {suite}")]
    Read { suite: &'static str, source: std::io::Error },
    #[error("the mirror's index of {suite} does not read: it has no entry for {wanted}")]
    NoEntry { suite: &'static str, wanted: String },
    #[error("the signature on the mirror's index of {suite} is not Debian's ({why}); use another mirror")]
    Signature { suite: &'static str, why: String },
    #[error("cannot run {verifier} to check the index's signature")]
    Verifier { verifier: String, source: std::io::Error },
}

/// An index, and what is to be said about it.
#[derive(Debug)]
pub struct Fetched {
    pub index: Index,
    pub notices: Vec<String>,
}

/// How signatures are checked on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trust {
    Signed {
        verifier: PathBuf,
        keyring: PathBuf,
    },
    /// Sums only; the reason in words.
    Unsigned(&'static str),
}

impl Trust {
    pub fn of_this_host() -> Self {
        let first = |paths: &[&str]| paths.iter().map(PathBuf::from).find(|path| path.is_file());
        match (first(VERIFIERS), first(KEYRINGS)) {
            (Some(verifier), Some(keyring)) => Self::Signed { verifier, keyring },
            (None, _) => Self::Unsigned("this host has neither gpgv nor sqv"),
            (_, None) => Self::Unsigned("this host has no Debian keyring (package debian-archive-keyring)"),
        }
    }
}

/// Fetches the suites' indices into `work` and reads them. Security may be missing: then main is all there is.
pub fn fetch(
    fetcher: &Fetcher,
    mirrors: &Mirrors,
    suites: &[Suite],
    architecture: &str,
    trust: &Trust,
    work: &Path,
) -> Result<Fetched, IndexError> {
    let mut fetched = Fetched { index: Index::default(), notices: Vec::new() };
    if let Trust::Unsigned(why) = trust {
        fetched.notices.push(format!("the package index was taken without checking its signature: {why}"));
    }
    for &suite in suites {
        let bases = mirrors.of(suite.archive);
        match first_that_has(bases, |base| fetch_one(fetcher, base, suite.name, architecture, trust, work)) {
            Some(Ok(path)) => add(&mut fetched.index, suite, &path)?,
            Some(Err(error)) if suite.archive == Archive::Main => return Err(error),
            Some(Err(IndexError::Fetch(error))) => fetched.notices.push(format!("no security updates: {error}")),
            Some(Err(error)) => return Err(error),
            None => fetched.notices.push("no security updates: no mirror of them is known".to_owned()),
        }
    }
    Ok(fetched)
}

/// Asks one mirror after another; the first success, or the last failure.
fn first_that_has<T>(
    bases: &[String],
    mut ask: impl FnMut(&str) -> Result<T, IndexError>,
) -> Option<Result<T, IndexError>> {
    let mut last = None;
    for base in bases {
        let result = ask(base);
        let done = result.is_ok();
        last = Some(result);
        if done {
            break;
        }
    }
    last
}

fn fetch_one(
    fetcher: &Fetcher,
    base: &str,
    suite: &'static str,
    architecture: &str,
    trust: &Trust,
    work: &Path,
) -> Result<PathBuf, IndexError> {
    let path = |name: &str| work.join(format!("{suite}-{name}"));
    let signed = path("InRelease");
    fetcher.unknown(&format!("{base}/dists/{suite}/InRelease"), &signed, RELEASE_MAX_BYTES)?;
    let signed = fs::read_to_string(&signed).map_err(|source| IndexError::Read { suite, source })?;
    let wanted = format!("main/binary-{architecture}/Packages.xz");
    let parts = part(&signed).ok_or_else(|| IndexError::NoEntry { suite, wanted: wanted.clone() })?;
    if let Trust::Signed { verifier, keyring } = trust {
        let (text, signature) = (path("Release"), path("Release.gpg"));
        fs::write(&text, &parts.text)
            .and_then(|()| fs::write(&signature, &parts.signature))
            .map_err(|source| IndexError::Read { suite, source })?;
        verify(verifier, keyring, &signature, &text, suite)?;
    }
    let expected = sum_of(&parts.text, &wanted).ok_or_else(|| IndexError::NoEntry { suite, wanted: wanted.clone() })?;
    let packages = path("Packages.xz");
    // By its sum first: that name stays right while the mirror is being updated.
    let by_hash = format!("{base}/dists/{suite}/main/binary-{architecture}/by-hash/SHA256/{}", expected.sha256);
    match fetcher.known(&by_hash, &packages, &expected, &|_| {}) {
        Err(FetchError::Gone { .. }) => {
            fetcher.known(&format!("{base}/dists/{suite}/{wanted}"), &packages, &expected, &|_| {})?
        }
        result => result?,
    }
    Ok(packages)
}

/// A clear-signed text, parted (RFC 9580, section 7).
struct Parts {
    text: String,
    signature: String,
}

/// A text without a signature is taken whole: whether that will do is for the caller's [`Trust`] to say.
fn part(signed: &str) -> Option<Parts> {
    const MESSAGE: &str = "-----BEGIN PGP SIGNED MESSAGE-----\n";
    const SIGNATURE: &str = "-----BEGIN PGP SIGNATURE-----\n";
    let Some(rest) = signed.strip_prefix(MESSAGE) else {
        return Some(Parts { text: signed.to_owned(), signature: String::new() });
    };
    let (_headers, rest) = rest.split_once("\n\n")?;
    let (text, signature) = rest.split_once(&format!("\n{SIGNATURE}"))?;
    let lines: Vec<&str> = text.lines().map(|line| line.strip_prefix("- ").unwrap_or(line)).collect();
    // The line feed before the signature belongs to it, not to the text.
    Some(Parts { text: lines.join("\n"), signature: format!("{SIGNATURE}{signature}") })
}

fn verify(
    verifier: &Path,
    keyring: &Path,
    signature: &Path,
    signed: &Path,
    suite: &'static str,
) -> Result<(), IndexError> {
    let output = Command::new(verifier)
        .arg("--keyring")
        .args([keyring, signature, signed])
        .env_clear()
        .stdin(Stdio::null())
        .output()
        .map_err(|source| IndexError::Verifier { verifier: verifier.display().to_string(), source })?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    let why = text.lines().last().unwrap_or("it said nothing").to_owned();
    Err(IndexError::Signature { suite, why })
}

/// `SHA256:` of a release file: lines of sum, size and path.
fn sum_of(release: &str, path: &str) -> Option<Expected> {
    let release = deb822::parse(release).into_iter().next()?;
    release.get("SHA256")?.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        let (sha256, size, name) = (words.next()?, words.next()?.parse().ok()?, words.next()?);
        (name == path && size <= PACKAGES_MAX_BYTES).then(|| Expected { size, sha256: sha256.to_owned() })
    })
}

fn add(index: &mut Index, suite: Suite, path: &Path) -> Result<(), IndexError> {
    let read = || {
        let file = BufReader::new(File::open(path)?);
        index.add(suite.archive, BufReader::with_capacity(64 * 1024, lzma_rust2::XzReader::new(file, true)))
    };
    let mut read = read;
    read().map_err(|source| IndexError::Read { suite: suite.name, source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clear_signed_text_is_parted_from_its_signature() {
        let signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSuite: x\n- -dash\n-----BEGIN PGP SIGNATURE-----\n\nAAAA\n";
        let parts = part(signed).unwrap();
        assert_eq!(parts.text, "Suite: x\n-dash");
        assert_eq!(parts.signature, "-----BEGIN PGP SIGNATURE-----\n\nAAAA\n");
        assert_eq!(part("Suite: x\n").unwrap().signature, "");
        assert!(part("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\nSuite: x\n").is_none());
    }

    #[test]
    fn the_sum_of_an_index_is_found_in_the_release_file() {
        let text = "Suite: oldstable\nMD5Sum:\n aa 3 main/binary-amd64/Packages.xz\nSHA256:\n bb 3 main/x\n cc 12 main/binary-amd64/Packages.xz\n";
        let expected = sum_of(text, "main/binary-amd64/Packages.xz").unwrap();
        assert_eq!((expected.size, expected.sha256.as_str()), (12, "cc"));
        assert!(sum_of(text, "main/binary-arm64/Packages.xz").is_none());
    }
}
