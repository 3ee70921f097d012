//! How far a preparation is.

use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

/// What is done now, and how many bytes of how many are behind us. `done` only ever grows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// In words: `fetching packages`.
    pub doing: String,
    pub done: u64,
    pub total: u64,
}

/// Often enough for a bar that moves, seldom enough to cost nothing.
const REPORT_EVERY: Duration = Duration::from_millis(100);

/// Counted up by the threads that work, read by the one that reports.
#[derive(Debug, Default)]
pub struct Meter {
    done: AtomicU64,
    total: AtomicU64,
    /// Guards only the text; never held while something else is done.
    doing: Mutex<String>,
}

impl Meter {
    pub fn doing(&self, text: impl Into<String>) {
        *self.doing.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = text.into();
    }

    pub fn add(&self, bytes: u64) {
        self.done.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Relaxed)
    }

    /// So much more is to be done than was said before.
    pub fn expect(&self, bytes: u64) {
        self.total.fetch_add(bytes, Ordering::Relaxed);
    }

    pub fn now(&self) -> Progress {
        let doing = self.doing.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let done = self.done();
        Progress { doing, done, total: self.total.load(Ordering::Relaxed).max(done) }
    }
}

/// Runs `work` on a thread of its own and reports from this one, so that the caller's function need not be shared.
pub fn watched<T: Send>(meter: &Meter, report: &mut dyn FnMut(Progress), work: impl FnOnce() -> T + Send) -> T {
    watching(&|| meter.now(), report, work)
}

/// The same for whatever `now` tells of how far it is.
pub fn watching<T: Send, P: Clone + Default + PartialEq>(
    now: &dyn Fn() -> P,
    report: &mut dyn FnMut(P),
    work: impl FnOnce() -> T + Send,
) -> T {
    thread::scope(|scope| {
        let (finished, wait) = mpsc::channel::<()>();
        let worker = scope.spawn(move || {
            let result = work();
            drop(finished);
            result
        });
        let mut last = P::default();
        while let Err(mpsc::RecvTimeoutError::Timeout) = wait.recv_timeout(REPORT_EVERY) {
            let is = now();
            if is != last {
                report(is.clone());
                last = is;
            }
        }
        match worker.join() {
            Ok(result) => {
                report(now());
                result
            }
            Err(panic) => std::panic::resume_unwind(panic),
        }
    })
}

/// Does `work` for every item on a few threads, and gives the results in the items' order. The first error ends it: what
/// has begun is finished, nothing new is started.
pub fn in_parallel<T: Sync, R: Send, E: Send>(
    threads: usize,
    items: &[T],
    work: impl Fn(&T) -> Result<R, E> + Sync,
) -> Result<Vec<R>, E> {
    let next = AtomicUsize::new(0);
    let failed = AtomicBool::new(false);
    let run = || {
        let mut results = Vec::new();
        while !failed.load(Ordering::Relaxed) {
            let index = next.fetch_add(1, Ordering::Relaxed);
            let Some(item) = items.get(index) else { break };
            let result = work(item);
            failed.fetch_or(result.is_err(), Ordering::Relaxed);
            results.push((index, result));
        }
        results
    };
    let mut results: Vec<(usize, Result<R, E>)> = thread::scope(|scope| {
        let workers: Vec<_> = (0..threads.clamp(1, items.len().max(1))).map(|_| scope.spawn(run)).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            .collect()
    });
    results.sort_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_grow_and_end_with_the_whole() {
        let meter = Meter::default();
        meter.expect(30);
        let mut reports = Vec::new();
        watched(&meter, &mut |progress| reports.push(progress), || {
            for _ in 0..3 {
                meter.doing("counting");
                meter.add(10);
                thread::sleep(Duration::from_millis(120));
            }
        });
        assert!(reports.is_sorted_by_key(|progress| progress.done));
        assert_eq!(reports.last().unwrap(), &Progress { doing: "counting".into(), done: 30, total: 30 });
    }

    #[test]
    fn results_keep_their_order_and_an_error_ends_the_rest() {
        let items: Vec<u32> = (0..50).collect();
        let doubled: Result<Vec<u32>, ()> = in_parallel(4, &items, |item| Ok(item * 2));
        assert_eq!(doubled.unwrap()[49], 98);
        let begun = AtomicUsize::new(0);
        let failed: Result<Vec<()>, u32> = in_parallel(1, &items, |item| {
            begun.fetch_add(1, Ordering::Relaxed);
            if *item == 3 { Err(*item) } else { Ok(()) }
        });
        assert_eq!((failed, begun.into_inner()), (Err(3), 4));
    }
}
