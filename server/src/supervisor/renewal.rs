//! Whether the certificate's files were replaced by others.

use std::time::{Duration, Instant, SystemTime};

use crate::telemetry::chain;
use crate::tls::{self, Pair, Stamp, TlsError};

/// How often somebody looks: two calls of stat(2).
const EVERY: Duration = Duration::from_secs(10);
/// How often a certificate that ends soon, or has ended, is said again: a service runs for longer than a certificate.
const REMIND_EVERY: Duration = Duration::from_secs(24 * 60 * 60);

/// The certificate as it was last taken, and whether there is another.
pub struct Renewal {
    files: tls::Files,
    stamp: Stamp,
    pair: Pair,
    looked: Instant,
    reminded: SystemTime,
}

impl Renewal {
    pub fn begin(files: tls::Files) -> Result<Self, TlsError> {
        let stamp = files.stamp();
        let now = SystemTime::now();
        let pair = Self::read(&files, now)?;
        Ok(Self { files, stamp, pair, looked: Instant::now(), reminded: now })
    }

    pub fn pair(&self) -> &Pair {
        &self.pair
    }

    /// When to look again.
    pub fn due(&self) -> Instant {
        self.looked + EVERY
    }

    fn read(files: &tls::Files, now: SystemTime) -> Result<Pair, TlsError> {
        let pair = files.read()?;
        if let Some(remark) = pair.check(now)?.ends_soon(now) {
            tracing::warn!("{remark}");
        }
        Ok(pair)
    }

    /// Whether there is another pair that fits. One that does not is said once, and the old one stays.
    pub fn renew(&mut self) -> bool {
        self.looked = Instant::now();
        let now = SystemTime::now();
        let stamp = self.files.stamp();
        if stamp == self.stamp {
            if let Some(reminder) = self.reminder(now) {
                tracing::warn!("{reminder}");
            }
            return false;
        }
        self.stamp = stamp;
        match Self::read(&self.files, now) {
            Ok(pair) => {
                (self.pair, self.reminded) = (pair, now);
                true
            }
            Err(error) => {
                tracing::error!(error = chain(&error), "the new certificate is not taken; the old one stays");
                false
            }
        }
    }

    /// What to say of the certificate in use, once a day, from when it ends soon until there is another.
    fn reminder(&mut self, now: SystemTime) -> Option<String> {
        let since = now.duration_since(self.reminded).unwrap_or_default();
        if since < REMIND_EVERY {
            return None;
        }
        self.reminded = now;
        match self.pair.check(now) {
            Ok(checked) => checked.ends_soon(now),
            Err(error) => Some(chain(&error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_certificate_that_nobody_renews_is_said_once_a_day_from_two_weeks_before_its_end() {
        let directory = tempfile::tempdir().expect("a directory");
        let files = tls::tests::pair(directory.path(), &["-days", "30"]);
        let mut renewal = Renewal::begin(files).expect("it fits");
        let begin = renewal.reminded;
        let mut on_day = |day: u32| renewal.reminder(begin + REMIND_EVERY * day + Duration::from_secs(60));
        assert_eq!(on_day(10), None);
        assert!(on_day(17).expect("soon").contains("renew it"));
        assert_eq!(on_day(17), None, "once a day");
        assert!(on_day(18).expect("soon").contains("renew it"));
        assert!(on_day(31).expect("late").contains("has expired"));
    }
}
