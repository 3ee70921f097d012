//! How often a wrong resume code may be tried, by an address and by everybody together.
//!
//! Seventy bits need no limit against guessing: these keep a guesser from making the log and the store busy, and
//! hold even if codes became shorter one day. A typo is found by the code's check letter, before it gets here.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use super::bucket::Buckets;

/// Wrong codes that one address may try at once: a class sits behind one, and some copy last week's code.
const BURST: u32 = 20;
/// Wrong codes that an address gets back each minute.
const PER_MINUTE: u32 = 6;
/// The same of everybody together: an attacker may have many addresses.
const ALL_BURST: u32 = 200;
const ALL_PER_MINUTE: u32 = 60;

/// The bucket that everybody shares; no request comes from this address.
const EVERYBODY: IpAddr = IpAddr::V4(Ipv4Addr::UNSPECIFIED);

pub struct Guesses {
    each: Buckets,
    all: Buckets,
}

impl Guesses {
    pub fn new() -> Self {
        Self { each: Buckets::new(BURST, PER_MINUTE), all: Buckets::new(ALL_BURST, ALL_PER_MINUTE) }
    }

    /// Before a code is looked up. `Err`: how long until another may be tried.
    pub fn take(&self, address: IpAddr, now: Instant) -> Result<(), Duration> {
        self.each.take(address, now)?;
        self.all.take(EVERYBODY, now).inspect_err(|_| self.each.give_back(address))
    }

    /// The code was one that we made: it was no guess.
    pub fn was_none(&self, address: IpAddr) {
        self.each.give_back(address);
        self.all.give_back(EVERYBODY);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(number: u32) -> IpAddr {
        IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + number))
    }

    #[test]
    fn an_address_is_held_up_after_its_burst_and_another_is_not() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        for _ in 0..BURST {
            assert_eq!(guesses.take(from(1), now), Ok(()));
        }
        assert_eq!(guesses.take(from(1), now), Err(Duration::from_secs(10)));
        assert_eq!(guesses.take(from(2), now), Ok(()));
        assert_eq!(guesses.take(from(1), now + Duration::from_secs(10)), Ok(()));
    }

    #[test]
    fn many_addresses_together_are_held_up_too() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        let tried = (0..2 * ALL_BURST).filter(|&number| guesses.take(from(number), now).is_ok()).count();
        assert_eq!(tried, ALL_BURST as usize);
    }

    #[test]
    fn codes_that_are_ours_are_not_counted() {
        let (guesses, now) = (Guesses::new(), Instant::now());
        for _ in 0..10 * ALL_BURST {
            guesses.take(from(1), now).expect("no guess yet");
            guesses.was_none(from(1));
        }
    }
}
