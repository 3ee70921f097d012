//! Programs of this machine that are neither the kernel's nor started by a test: an agent, a desktop.
//!
//! While one of them runs beside a sandbox that takes all processors, a key waits for it, as the host's own programs
//! come first: which tells nothing of the sandbox.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::census::entries;

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
        let processes = entries(Path::new("/proc")).into_iter().filter(|path| is_other(path) && is_program(path));
        let threads = processes.flat_map(|path| entries(&path.join("task")));
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
    use std::io::{Read, Write};
    use std::process::{Child, Command, Stdio};
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

    /// Says when it waits for a line, and works for some milliseconds for each.
    const WORKS: &str = "echo; while read line; do i=0; while [ $i -lt 30000 ]; do i=$((i + 1)); done; echo; done";

    /// Until it has said so and sleeps.
    fn wait_for(shell: &mut Child) {
        shell.stdout.as_mut().expect("piped").read_exact(&mut [0]).expect("it speaks");
        let begin = Instant::now();
        while !fs::read_to_string(format!("/proc/{}/stat", shell.id())).expect("it is there").contains(") S ") {
            assert!(begin.elapsed() < Duration::from_secs(30), "it does not sleep");
        }
    }

    #[test]
    fn who_runs_is_seen_and_who_sleeps_is_not() {
        let [mut sleeps, mut works] = [(); 2].map(|()| {
            let mut shell = Command::new("sh");
            shell.args(["-c", WORKS]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a shell")
        });
        wait_for(&mut sleeps);
        wait_for(&mut works);
        let path_of = |child: &Child| PathBuf::from(format!("/proc/{0}/task/{0}/schedstat", child.id()));
        let paths = [path_of(&sleeps), path_of(&works)];
        let mut others = Others::here();
        others.threads.retain(|thread| paths.contains(&thread.schedstat));
        assert!(!others.have_run(), "both sleep");
        works.stdin.as_mut().expect("piped").write_all(b"\n").expect("it reads");
        wait_for(&mut works);
        assert!(others.have_run(), "one has run");
        others.keep_busy();
        let kept: Vec<_> = others.threads.iter().map(|thread| thread.schedstat.clone()).collect();
        assert_eq!(kept, paths[1..], "only that one is looked at");
        for mut child in [sleeps, works] {
            child.kill().and_then(|()| child.wait()).expect("it ends");
        }
        assert!(!others.have_run(), "who has ended does not run");
    }
}
