//! The certificate of `web.tls-certificate` and its key.
//!
//! The supervisor reads the files, as nobody but root need be able to read a key; the web process gets their
//! text by [`crate::control`] and never sees the files. Both check the pair by the same code: the supervisor so
//! that a wrong one is said before anything starts, the web process because it uses what the check returns.

use std::fmt;
use std::fs;
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, RwLock};
use std::time::{Duration, SystemTime};

use nix::fcntl::OFlag;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ResolvesServerCert, ServerConfig};
use rustls::sign::CertifiedKey;
use serde::{Deserialize, Serialize};
use tokio_rustls::TlsAcceptor;

/// A chain of a dozen certificates; both texts must fit into one message to the web process.
const FILE_MAX: u64 = 24 * 1024;
/// A certificate that ends this soon is worth a warning: renewals are tried a month before.
const SOON: Duration = Duration::from_secs(14 * 24 * 60 * 60);

/// Where a pair is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

/// What changes when somebody puts another pair there, also by a link to another file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stamp([Option<(u64, u64, i64, i64)>; 2]);

/// A certificate and its key, as PEM.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pair {
    certificate: String,
    key: String,
}

/// A pair that fits, and until when.
#[derive(Debug)]
pub struct Checked {
    pub key: CertifiedKey,
    pub not_after: SystemTime,
}

#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("cannot read {setting}, {}", .path.display())]
    Unreadable { setting: &'static str, path: PathBuf, source: io::Error },
    #[error("{setting}, {}, is not a file; name the PEM file itself", .path.display())]
    NoFile { setting: &'static str, path: PathBuf },
    #[error("{setting}, {}, has more than {FILE_MAX} bytes, which no certificate or key needs", .path.display())]
    TooLong { setting: &'static str, path: PathBuf },
    #[error("web.tls-certificate has no certificate that reads; it must be PEM, with -----BEGIN CERTIFICATE-----")]
    NoCertificate,
    #[error("web.tls-key has no key that reads; it must be PEM without a password, with -----BEGIN PRIVATE KEY-----")]
    NoKey,
    #[error("web.tls-key is not the key of web.tls-certificate; give the pair that was made together")]
    Mismatch,
    #[error("web.tls-certificate has expired, on {}; renew it", day(.0))]
    Expired(SystemTime),
    #[error("web.tls-certificate is valid from {} on, not before; look at this machine's clock", day(.0))]
    NotYet(SystemTime),
    #[error("web.tls-certificate or web.tls-key cannot be used: {0}")]
    Unusable(String),
}

impl Files {
    pub fn read(&self) -> Result<Pair, TlsError> {
        Ok(Pair { certificate: text("web.tls-certificate", &self.certificate)?, key: text("web.tls-key", &self.key)? })
    }

    pub fn stamp(&self) -> Stamp {
        let stamp = |path: &Path| {
            let found = fs::metadata(path).ok()?;
            Some((found.ino(), found.size(), found.mtime(), found.mtime_nsec()))
        };
        Stamp([stamp(&self.certificate), stamp(&self.key)])
    }
}

fn text(setting: &'static str, path: &Path) -> Result<String, TlsError> {
    let unreadable = |source| TlsError::Unreadable { setting, path: path.into(), source };
    let mut text = String::new();
    // Whoever opens a pipe waits for its writer, and the supervisor must not.
    let file =
        fs::OpenOptions::new().read(true).custom_flags(OFlag::O_NONBLOCK.bits()).open(path).map_err(unreadable)?;
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err(TlsError::NoFile { setting, path: path.into() });
    }
    file.take(FILE_MAX + 1).read_to_string(&mut text).map_err(unreadable)?;
    if text.len() as u64 > FILE_MAX {
        return Err(TlsError::TooLong { setting, path: path.into() });
    }
    Ok(text)
}

impl Pair {
    /// Whether it can be used at the time `now`.
    pub fn check(&self, now: SystemTime) -> Result<Checked, TlsError> {
        let chain: Vec<CertificateDer> = CertificateDer::pem_slice_iter(self.certificate.as_bytes())
            .collect::<Result<_, _>>()
            .map_err(|_| TlsError::NoCertificate)?;
        let first = chain.first().ok_or(TlsError::NoCertificate)?;
        let (not_before, not_after) = validity(first)?;
        let key = PrivateKeyDer::from_pem_slice(self.key.as_bytes()).map_err(|_| TlsError::NoKey)?;
        if now > not_after {
            return Err(TlsError::Expired(not_after));
        }
        if now < not_before {
            return Err(TlsError::NotYet(not_before));
        }
        let provider = rustls::crypto::ring::default_provider();
        let key = CertifiedKey::from_der(chain, key, &provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => TlsError::Mismatch,
            other => TlsError::Unusable(other.to_string()),
        })?;
        Ok(Checked { key, not_after })
    }
}

/// Never the key, wherever it may be printed.
impl fmt::Debug for Pair {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        out.write_str("Pair")
    }
}

impl Checked {
    /// What to say of a certificate that ends soon.
    pub fn ends_soon(&self, now: SystemTime) -> Option<String> {
        let left = self.not_after.duration_since(now).unwrap_or_default();
        (left < SOON).then(|| format!("web.tls-certificate ends on {}; renew it", day(&self.not_after)))
    }
}

/// From when until when. webpki does not say it, but refuses a certificate before everything else when it is asked
/// about a time outside, and names the bound.
fn validity(certificate: &CertificateDer) -> Result<(SystemTime, SystemTime), TlsError> {
    let certificate = webpki::EndEntityCert::try_from(certificate)
        .map_err(|error| TlsError::Unusable(format!("the certificate does not read: {error:?}")))?;
    let refused_at = |seconds| {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        certificate.verify_for_usage(&[], &[], &[], time, webpki::KeyUsage::server_auth(), None, None).err()
    };
    /// The year 9999: X.509 knows none after it.
    const LATE: u64 = 253_402_300_799;
    let at = |time: UnixTime| SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs());
    let not_before = match refused_at(0) {
        Some(webpki::Error::CertNotValidYet { not_before, .. }) => at(not_before),
        _ => SystemTime::UNIX_EPOCH,
    };
    let not_after = match refused_at(LATE) {
        Some(webpki::Error::CertExpired { not_after, .. }) => at(not_after),
        _ => SystemTime::UNIX_EPOCH + Duration::from_secs(LATE),
    };
    Ok((not_before, not_after))
}

fn day(time: &SystemTime) -> String {
    jiff::Timestamp::try_from(*time)
        .map_or_else(|_| "an unknown day".into(), |time| time.strftime("%Y-%m-%d").to_string())
}

/// The pair that new connections get; those that are open keep theirs.
#[derive(Debug)]
pub struct Certificate {
    /// Guards the moment of a look or a replacement.
    current: RwLock<Arc<CertifiedKey>>,
}

impl Certificate {
    pub fn new(key: CertifiedKey) -> Arc<Self> {
        Arc::new(Self { current: RwLock::new(Arc::new(key)) })
    }

    pub fn replace(&self, key: CertifiedKey) {
        *self.current.write().expect("nothing panics under this lock") = Arc::new(key);
    }

    /// HTTP/1.1 alone: WebSockets need it, and nothing here would gain by another.
    pub fn acceptor(self: &Arc<Self>) -> Result<TlsAcceptor, rustls::Error> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let mut config = builder.with_no_client_auth().with_cert_resolver(self.clone());
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(TlsAcceptor::from(Arc::new(config)))
    }
}

impl ResolvesServerCert for Certificate {
    fn resolve(&self, _: ClientHello) -> Option<Arc<CertifiedKey>> {
        Some(self.current.read().expect("nothing panics under this lock").clone())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::process::Command;

    use super::*;

    /// A pair made by openssl, as operators make theirs.
    pub(crate) fn pair(directory: &Path, more: &[&str]) -> Files {
        let at = |name: &str| directory.join(name);
        let files = Files { certificate: at("certificate.pem"), key: at("key.pem") };
        let made = Command::new("openssl")
            .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"])
            .args(["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"])
            .args(more)
            .arg("-keyout")
            .arg(&files.key)
            .arg("-out")
            .arg(&files.certificate)
            .output()
            .expect("openssl runs; make test installs it");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        files
    }

    fn now() -> SystemTime {
        SystemTime::now()
    }

    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    #[test]
    fn a_pair_that_fits_is_taken_with_its_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let pair = pair(directory.path(), &["-days", "30"]).read().expect("it reads");
        let checked = pair.check(now()).expect("it fits");
        let left = checked.not_after.duration_since(now()).expect("later");
        assert!(left > 29 * DAY && left < 31 * DAY, "{left:?}");
        assert_eq!(checked.ends_soon(now()), None);
        assert!(checked.ends_soon(now() + 20 * DAY).expect("soon").contains("renew it"));
        assert_eq!(format!("{pair:?}"), "Pair", "a key is never printed");
    }

    #[test]
    fn a_pair_out_of_its_time_is_refused_with_the_day() {
        let directory = tempfile::tempdir().expect("a directory");
        let pair = pair(directory.path(), &["-days", "30"]).read().expect("it reads");
        assert!(matches!(pair.check(now() + 31 * DAY).expect_err("late"), TlsError::Expired(_)));
        let early = pair.check(now() - 2 * DAY).expect_err("early");
        assert!(early.to_string().contains("clock"), "{early}");
    }

    #[test]
    fn what_does_not_fit_is_told_apart() {
        let (one, other) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        let (one, other) = (pair(one.path(), &["-days", "9"]), pair(other.path(), &["-days", "9"]));
        let mixed = |certificate: &Path, key: &Path| {
            let files = Files { certificate: certificate.into(), key: key.into() };
            files.read().and_then(|pair| pair.check(now())).expect_err("wrong")
        };
        assert!(matches!(mixed(&one.certificate, &other.key), TlsError::Mismatch));
        assert!(matches!(mixed(&one.certificate, &one.certificate), TlsError::NoKey));
        assert!(matches!(mixed(&one.key, &one.key), TlsError::NoCertificate));
        let missing = mixed(Path::new("/nowhere/c.pem"), &one.key);
        assert_eq!(missing.to_string(), "cannot read web.tls-certificate, /nowhere/c.pem");
        let long = one.key.with_file_name("long.pem");
        fs::write(&long, vec![b'x'; FILE_MAX as usize + 1]).expect("a file");
        assert!(matches!(mixed(&long, &one.key), TlsError::TooLong { .. }));
        let pipe = one.key.with_file_name("pipe");
        nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
        assert!(matches!(mixed(&pipe, &one.key), TlsError::NoFile { .. }), "and nobody waits for its writer");
        assert!(matches!(mixed(Path::new("/dev/zero"), &one.key), TlsError::NoFile { .. }));
    }

    #[test]
    fn another_pair_at_the_same_place_has_another_stamp() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = pair(directory.path(), &["-days", "9"]);
        let before = files.stamp();
        assert_eq!(files.stamp(), before);
        pair(directory.path(), &["-days", "9"]);
        assert_ne!(files.stamp(), before);
    }
}
