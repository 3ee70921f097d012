//! Programs of this machine that are neither the kernel's nor started by a test: an agent, a desktop.
//!
//! While one of them runs beside a sandbox that takes all processors, a key waits for it, as the host's own programs
//! come first: which tells nothing of the sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Who ran for less between two keys has held up neither by what could be told from a key's own time.
const SHORT: Duration = Duration::from_micros(50);
/// Looked at after each key, within the pause before the next: some hundredths of a millisecond for each.
const THREADS_MAX: usize = 16;

#[derive(Debug)]
pub struct Others {
    threads: Vec<Thread>,
}

#[derive(Debug)]
struct Thread {
    schedstat: PathBuf,
    first: Duration,
    ran: Duration,
}

impl Others {
    /// Everybody who is here by now, but the caller.
    pub fn here() -> Self {
        let me = std::process::id();
        // Its other entries are the caller by another name (self), and what is no process.
        let is_other = |path: &Path| {
            path.file_name().and_then(|name| name.to_str()?.parse().ok()).is_some_and(|pid: u32| pid != me)
        };
        let processes = entries(Path::new("/proc")).filter(|path| is_other(path) && is_program(path));
        let threads = processes.flat_map(|path| entries(&path.join("task")).collect::<Vec<_>>());
        Self { threads: threads.filter_map(|path| Thread::new(path.join("schedstat"))).collect() }
    }

    /// Forgets who has hardly run until now, so that those who do can be looked at often.
    pub fn keep_busy(&mut self) {
        self.threads.iter_mut().for_each(|thread| {
            thread.look();
        });
        self.threads.sort_by_key(|thread| std::cmp::Reverse(thread.ran - thread.first));
        self.threads.retain(|thread| thread.ran - thread.first > SHORT);
        self.threads.truncate(THREADS_MAX);
    }

    /// Whether one of them has run since this was asked last.
    pub fn have_run(&mut self) -> bool {
        self.threads.iter_mut().map(Thread::look).sum::<Duration>() > SHORT
    }
}

impl Thread {
    fn new(schedstat: PathBuf) -> Option<Self> {
        let ran = has_run(&schedstat)?;
        Some(Self { schedstat, first: ran, ran })
    }

    /// How long it has run since the last look.
    fn look(&mut self) -> Duration {
        let before = self.ran;
        self.ran = has_run(&self.schedstat).unwrap_or(before).max(before);
        self.ran - before
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path())
}

/// A process with a command line: the kernel's own threads have none (proc_pid_cmdline(5)).
fn is_program(process: &Path) -> bool {
    fs::read(process.join("cmdline")).is_ok_and(|line| !line.is_empty())
}

/// The first number of /proc/PID/task/TID/schedstat, in nanoseconds (sched-stats.rst); `None`: it has ended, or this
/// kernel does not say.
fn has_run(schedstat: &Path) -> Option<Duration> {
    let text = fs::read_to_string(schedstat).ok()?;
    text.split_whitespace().next()?.parse().ok().map(Duration::from_nanos)
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};
    use std::time::Instant;

    use super::*;

    #[test]
    fn the_caller_is_none_of_them() {
        let others = Others::here();
        let mine = |thread: &&Thread| {
            thread.schedstat.starts_with("/proc/self")
                || thread.schedstat.starts_with(format!("/proc/{}", std::process::id()))
        };
        assert_eq!(others.threads.iter().find(mine).map(|thread| &thread.schedstat), None);
    }

    #[test]
    fn who_runs_is_seen_and_who_sleeps_is_not() {
        let start = |script| Command::new("sh").args(["-c", script]).stdin(Stdio::piped()).spawn().expect("a shell");
        let sleeps = start("read line");
        let mut works = start("while read line; do i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done; done");
        let mut others = Others::here();
        let of = |child: &std::process::Child| format!("/proc/{}/", child.id());
        others.threads.retain(|thread| {
            let path = thread.schedstat.to_string_lossy();
            path.starts_with(&of(&sleeps)) || path.starts_with(&of(&works))
        });
        let mut turn = || {
            use std::io::Write;
            works.stdin.as_mut().expect("piped").write_all(b"\n").expect("it reads");
            let begin = Instant::now();
            while !others.have_run() {
                assert!(begin.elapsed() < Duration::from_secs(30), "it was not seen");
            }
        };
        turn();
        turn();
        others.keep_busy();
        let kept: Vec<_> = others.threads.iter().map(|thread| thread.schedstat.clone()).collect();
        for mut child in [sleeps, works] {
            child.kill().and_then(|()| child.wait()).expect("it ends");
        }
        assert_eq!(kept.len(), 1, "{kept:?}");
        assert!(!others.have_run() || !others.have_run(), "who has ended does not run");
    }
}
