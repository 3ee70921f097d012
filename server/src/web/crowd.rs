//! How many connections one address holds at once, so that none takes them all.
//!
//! The limit is generous: a class behind one address is one address here. Who holds as many as that is let in again
//! as soon as one of them ends.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::bucket::household;
use crate::config::Network;

/// Said so often at most: who is turned away tries again at once.
const SAY_EVERY: Duration = Duration::from_secs(60);

/// A handle; clones count together.
#[derive(Debug, Clone)]
pub struct Crowd {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// 0: no limit.
    each_max: u32,
    /// Everybody comes from their address: they count for themselves.
    proxies: Vec<Network>,
    /// Guards the counts, for the time of one look. One entry for each address that is there, so never more than
    /// there are connections.
    held: Mutex<Held>,
}

#[derive(Debug, Default)]
struct Held {
    by: HashMap<IpAddr, u32>,
    said: Option<Instant>,
}

/// A connection that is counted until it is dropped.
#[derive(Debug)]
pub struct One {
    crowd: Crowd,
    address: IpAddr,
}

impl Crowd {
    pub fn new(each_max: u32, proxies: &[Network]) -> Self {
        Self { inner: Arc::new(Inner { each_max, proxies: proxies.to_vec(), held: Mutex::default() }) }
    }

    /// `None`: the address holds as many as it may.
    pub fn admit(&self, address: IpAddr) -> Option<One> {
        let each_max = self.inner.each_max;
        let unbounded = each_max == 0 || self.inner.proxies.iter().any(|proxy| proxy.contains(address));
        let address = household(address);
        let mut held = self.held();
        let count = held.by.entry(address).or_default();
        if *count < each_max || unbounded {
            *count += 1;
            return Some(One { crowd: self.clone(), address });
        }
        if held.said.is_none_or(|said| said.elapsed() >= SAY_EVERY) {
            held.said = Some(Instant::now());
            tracing::warn!(%address, max = each_max, "an address holds all connections that it may; web.connections-per-address says how many");
        }
        None
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.inner.held.lock().expect("counting does not panic")
    }
}

impl Drop for One {
    fn drop(&mut self) {
        let mut held = self.crowd.held();
        if let Some(count) = held.by.get_mut(&self.address) {
            *count -= 1;
            if *count == 0 {
                held.by.remove(&self.address);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    #[test]
    fn an_address_that_holds_all_it_may_waits_for_one_to_end_and_others_do_not() {
        let crowd = Crowd::new(2, &[]);
        let (one, _two) = (crowd.admit(address("192.0.2.1")), crowd.admit(address("192.0.2.1")));
        assert!(crowd.admit(address("192.0.2.1")).is_none());
        assert!(crowd.admit(address("192.0.2.2")).is_some());
        drop(one);
        assert!(crowd.admit(address("192.0.2.1")).is_some());
    }

    #[test]
    fn a_household_of_ipv6_is_one_and_an_address_written_as_ipv6_is_itself() {
        let crowd = Crowd::new(1, &[]);
        let _one = crowd.admit(address("2001:db8::1")).expect("the first");
        assert!(crowd.admit(address("2001:db8::2")).is_none());
        let _four = crowd.admit(address("::ffff:192.0.2.1")).expect("the first");
        assert!(crowd.admit(address("192.0.2.1")).is_none());
    }

    #[test]
    fn a_trusted_proxy_brings_everybody() {
        let crowd = Crowd::new(1, &["192.0.2.0/24".parse().expect("a network")]);
        let all: Vec<_> = (0..5).map(|_| crowd.admit(address("192.0.2.9")).expect("trusted")).collect();
        drop(all);
        assert!(crowd.held().by.is_empty(), "nothing is kept of those who left");
    }
}
