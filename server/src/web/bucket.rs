//! How often an address may do a thing (start a session, try a code): a bucket of tokens each.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// Addresses remembered at once. Beyond it, those that have waited longest for nothing are forgotten first;
/// an attacker with more addresses than this has better ways.
const ADDRESSES_MAX: usize = 4096;

#[derive(Debug)]
pub struct Buckets {
    burst: f64,
    per_second: f64,
    /// Guards the levels, for the time of one look.
    levels: Mutex<HashMap<IpAddr, Level>>,
}

#[derive(Debug, Clone, Copy)]
struct Level {
    tokens: f64,
    at: Instant,
}

impl Buckets {
    pub fn new(burst: u32, per_minute: u32) -> Self {
        Self { burst: f64::from(burst), per_second: f64::from(per_minute) / 60.0, levels: Mutex::default() }
    }

    /// Takes a token. `Err`: how long until there is one.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut levels = self.levels.lock().expect("arithmetic does not panic");
        let address = household(address);
        if levels.len() >= ADDRESSES_MAX && !levels.contains_key(&address) {
            self.make_room(&mut levels, now);
        }
        let level = levels.entry(address).or_insert(Level { tokens: self.burst, at: now });
        *level = Level { tokens: self.tokens(level, now), at: now };
        if level.tokens >= 1.0 {
            level.tokens -= 1.0;
            return Ok(());
        }
        Err(Duration::try_from_secs_f64((1.0 - level.tokens) / self.per_second).unwrap_or(Duration::MAX))
    }

    /// Gives a token back: what it was taken for turned out to be harmless.
    pub fn give_back(&self, address: IpAddr) {
        let mut levels = self.levels.lock().expect("arithmetic does not panic");
        if let Some(level) = levels.get_mut(&household(address)) {
            level.tokens = (level.tokens + 1.0).min(self.burst);
        }
    }

    fn tokens(&self, level: &Level, now: Instant) -> f64 {
        let since = now.saturating_duration_since(level.at).as_secs_f64();
        (level.tokens + since * self.per_second).min(self.burst)
    }

    /// Full buckets say nothing; if none is full, the oldest one goes.
    fn make_room(&self, levels: &mut HashMap<IpAddr, Level>, now: Instant) {
        levels.retain(|_, level| self.tokens(level, now) < self.burst);
        if levels.len() >= ADDRESSES_MAX
            && let Some(oldest) = levels.iter().min_by_key(|(_, level)| level.at).map(|(address, _)| *address)
        {
            levels.remove(&oldest);
        }
    }
}

/// An IPv6 household has 2^64 addresses or more: they share one bucket.
pub fn household(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        v4 => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_may_start_at_once_and_then_waits_its_turn() {
        let buckets = Buckets::new(3, 60);
        let (now, school) = (Instant::now(), "192.0.2.1".parse().expect("an address"));
        for _ in 0..3 {
            assert_eq!(buckets.take(school, now), Ok(()));
        }
        assert_eq!(buckets.take(school, now), Err(Duration::from_secs(1)));
        assert_eq!(buckets.take("192.0.2.2".parse().expect("an address"), now), Ok(()), "another address");
        assert_eq!(buckets.take(school, now + Duration::from_secs(1)), Ok(()));
    }

    #[test]
    fn a_token_that_is_given_back_is_there_again_and_never_more_than_the_burst() {
        let buckets = Buckets::new(1, 60);
        let (now, school) = (Instant::now(), "192.0.2.1".parse().expect("an address"));
        assert!(buckets.take(school, now).is_ok());
        buckets.give_back(school);
        buckets.give_back(school);
        assert!(buckets.take(school, now).is_ok());
        assert!(buckets.take(school, now).is_err());
    }

    #[test]
    fn one_household_of_ipv6_has_one_bucket() {
        let buckets = Buckets::new(1, 60);
        let now = Instant::now();
        assert!(buckets.take("2001:db8::1".parse().expect("an address"), now).is_ok());
        assert!(buckets.take("2001:db8::2".parse().expect("an address"), now).is_err());
        assert!(buckets.take("2001:db8:0:1::1".parse().expect("an address"), now).is_ok());
    }

    #[test]
    fn no_more_addresses_are_remembered_than_the_limit() {
        let buckets = Buckets::new(1, 60);
        let now = Instant::now();
        for address in 0..2 * ADDRESSES_MAX as u32 {
            let _ = buckets.take(IpAddr::V4(address.into()), now);
        }
        assert!(buckets.levels.lock().expect("not poisoned").len() <= ADDRESSES_MAX);
    }
}
