//! Durations, and what is said of them.

use std::time::Duration;

#[derive(Debug, Default)]
pub struct Figures {
    taken: Vec<Duration>,
}

impl Figures {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn add(&mut self, duration: Duration) {
        self.taken.push(duration);
    }

    pub fn extend(&mut self, others: Self) {
        self.taken.extend(others.taken);
    }

    pub fn count(&self) -> usize {
        self.taken.len()
    }

    /// The duration that `share` of all stay below.
    pub fn at(&self, share: f64) -> Duration {
        let mut sorted = self.taken.clone();
        sorted.sort_unstable();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    pub fn print(&self, what: &str) {
        let (p50, p99, max) = (self.at(0.5), self.at(0.99), self.at(1.0));
        println!("{what}: p50 {}, p99 {}, max {} ({} times)", ms(p50), ms(p99), ms(max), self.taken.len());
    }
}

pub fn ms(duration: Duration) -> String {
    format!("{:.2} ms", duration.as_secs_f64() * 1000.0)
}
