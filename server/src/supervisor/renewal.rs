//! Whether the certificate's files were replaced by others.

use std::time::{Duration, Instant, SystemTime};

use crate::telemetry::chain;
use crate::tls::{self, Pair, Stamp, TlsError};

/// How often somebody looks: two calls of stat(2).
const EVERY: Duration = Duration::from_secs(10);

/// The certificate as it was last taken, and whether there is another.
pub struct Renewal {
    files: tls::Files,
    stamp: Stamp,
    pair: Pair,
    looked: Instant,
}

impl Renewal {
    pub fn begin(files: tls::Files) -> Result<Self, TlsError> {
        let stamp = files.stamp();
        let pair = Self::read(&files)?;
        Ok(Self { files, stamp, pair, looked: Instant::now() })
    }

    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// When to look again.
    pub fn due(&self) -> Instant {
        self.looked + EVERY
    }

    fn read(files: &tls::Files) -> Result<Pair, TlsError> {
        let pair = files.read()?;
        let now = SystemTime::now();
        if let Some(remark) = pair.check(now)?.ends_soon(now) {
            tracing::warn!("{remark}");
        }
        Ok(pair)
    }

    /// Whether there is another pair that fits. One that does not is said once, and the old one stays.
    pub fn renew(&mut self) -> bool {
        self.looked = Instant::now();
        let stamp = self.files.stamp();
        if stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        match Self::read(&self.files) {
            Ok(pair) => {
                self.pair = pair;
                true
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the new certificate is not taken; the old one stays");
                false
            }
        }
    }
}
