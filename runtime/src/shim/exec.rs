//! Scripts without a terminal: what they print is kept up to a limit, and so is how they ended.

use std::collections::VecDeque;
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use nix::unistd::Pid;

use super::protocol::{Exec, Finished, FromShim};

/// A program that ended may have left others that hold its pipes: they are not waited for longer.
const LINGER: Duration = Duration::from_millis(200);

/// Pieces of output kept for those who attach later, at most `output_max` bytes in all.
#[derive(Debug)]
pub struct Job {
    pub exec: Exec,
    started: Instant,
    pid: Option<Pid>,
    /// Open ends of standard output (1) and error (2).
    pub pipes: Vec<(u8, OwnedFd)>,
    kept: VecDeque<(u8, Vec<u8>)>,
    kept_bytes: u64,
    dropped_bytes: u64,
    timed_out: bool,
    killed: bool,
    status: Option<(i32, Instant)>,
    pub result: Option<FromShim>,
}

impl Job {
    pub fn new(exec: Exec, pipes: Vec<(u8, OwnedFd)>, now: Instant) -> Self {
        Self {
            exec,
            started: now,
            pid: None,
            pipes,
            kept: VecDeque::new(),
            kept_bytes: 0,
            dropped_bytes: 0,
            timed_out: false,
            killed: false,
            status: None,
            result: None,
        }
    }

    pub fn running(&self) -> bool {
        self.result.is_none()
    }

    pub fn started_as(&mut self, pid: Pid) {
        self.pid = Some(pid);
        if self.killed {
            self.kill();
        }
    }

    pub fn is(&self, pid: Pid) -> bool {
        self.pid == Some(pid)
    }

    /// Takes output; returns what a listener is to be sent.
    pub fn output(&mut self, stream: u8, bytes: &[u8]) -> Option<FromShim> {
        let room = self.exec.output_max.saturating_sub(self.kept_bytes) as usize;
        let taken = &bytes[..room.min(bytes.len())];
        self.dropped_bytes += (bytes.len() - taken.len()) as u64;
        if taken.is_empty() {
            return None;
        }
        self.kept_bytes += taken.len() as u64;
        match self.kept.back_mut() {
            Some((last, kept)) if *last == stream => kept.extend_from_slice(taken),
            _ => self.kept.push_back((stream, taken.to_vec())),
        }
        Some(FromShim::Output { stream, bytes: taken.to_vec() })
    }

    /// Everything so far, for somebody who attaches.
    pub fn replay(&self) -> Vec<FromShim> {
        let output = self.kept.iter().map(|(stream, bytes)| FromShim::Output { stream: *stream, bytes: bytes.clone() });
        output.chain(self.result.clone()).collect()
    }

    /// Ends the program's whole session: it was made with setsid(2).
    pub fn kill(&mut self) {
        self.killed = true;
        if let Some(pid) = self.pid
            && self.status.is_none()
        {
            let _ = nix::sys::signal::killpg(pid, nix::sys::signal::Signal::SIGKILL);
        }
    }

    pub fn exited(&mut self, status: i32, now: Instant) {
        self.status = Some((status, now));
    }

    pub fn failed(&mut self, doing: &str, why: &str) {
        self.pipes.clear();
        self.result = Some(FromShim::Failed { message: format!("cannot {doing} in the sandbox: {why}") });
    }

    /// When [`Job::tick`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        match self.status {
            _ if self.result.is_some() => None,
            Some((_, at)) => Some(at + LINGER),
            None if self.exec.timeout_ms == 0 || self.timed_out => None,
            None => Some(self.started + Duration::from_millis(self.exec.timeout_ms)),
        }
    }

    /// Kills what is over its time, and finishes what has ended. `true`: it has just finished.
    pub fn tick(&mut self, now: Instant) -> bool {
        if self.result.is_some() {
            return false;
        }
        let overdue = self.deadline().is_some_and(|deadline| deadline <= now);
        match self.status {
            None if overdue => {
                self.timed_out = true;
                self.kill();
                false
            }
            None => false,
            Some((code, _)) if self.pipes.is_empty() || overdue => {
                self.pipes.clear();
                let duration_ms = (now - self.started).as_millis() as u64;
                let (timed_out, dropped_bytes) = (self.timed_out, self.dropped_bytes);
                self.result = Some(FromShim::Finished(Finished { code, timed_out, dropped_bytes, duration_ms }));
                true
            }
            Some(_) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::protocol::Group;
    use super::*;

    fn job(output_max: u64, timeout_ms: u64) -> (Job, Instant) {
        let now = Instant::now();
        let exec = Exec {
            name: None,
            args: vec!["true".into()],
            script_is_stdin: false,
            env: vec![],
            cwd: "/".into(),
            group: Group::Check,
            timeout_ms,
            output_max,
            stdout_path: None,
            stderr_path: None,
        };
        (Job::new(exec, vec![], now), now)
    }

    #[test]
    fn output_beyond_the_limit_is_counted_and_dropped() {
        let (mut job, now) = job(4, 0);
        assert_eq!(job.output(1, b"abc"), Some(FromShim::Output { stream: 1, bytes: b"abc".to_vec() }));
        assert_eq!(job.output(2, b"de"), Some(FromShim::Output { stream: 2, bytes: b"d".to_vec() }));
        assert_eq!(job.output(2, b"f"), None);
        job.exited(0, now);
        assert!(job.tick(now));
        let Some(FromShim::Finished(finished)) = job.result else { panic!("finished") };
        assert_eq!(finished.dropped_bytes, 2);
    }

    #[test]
    fn a_script_over_its_time_is_reported_as_such_once_it_has_ended() {
        let (mut job, now) = job(10, 1000);
        let late = now + Duration::from_secs(1);
        assert_eq!(job.deadline(), Some(late));
        assert!(!job.tick(late), "killed, not ended yet");
        assert_eq!(job.deadline(), None);
        job.exited(137, late);
        assert!(job.tick(late));
        assert!(matches!(job.result, Some(FromShim::Finished(Finished { code: 137, timed_out: true, .. }))));
    }

    #[test]
    fn who_attaches_late_hears_everything() {
        let (mut job, now) = job(10, 0);
        job.output(1, b"a");
        job.output(1, b"b");
        job.exited(3, now);
        job.tick(now);
        assert_eq!(job.replay().len(), 2);
    }
}
