//! Children: envoys and what they report, shells and scripts that end, PID 1.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use super::{END_GRACE, Ending, For, Shim, Source};
use crate::shim::enter::{self, Program, Report};
use crate::shim::pty::SandboxPty;
use crate::shim::terminal::{BURST_MAX, News, Pty, Shell, Terminal};
use crate::shim::wire::ToViewer;
use crate::sys::message;

impl Shim {
    /// `false`: the sandbox has ended.
    pub(super) fn signalled(&mut self) -> io::Result<bool> {
        while let Some(info) = self.signals.read_signal()? {
            if info.ssi_signo != Signal::SIGCHLD as u32 && self.ending.is_none() {
                // In order: init ends everybody inside, then itself, then this ends.
                self.ending = Some(Ending::InOrder(Instant::now() + END_GRACE));
                let _ = rustix::process::pidfd_send_signal(&self.sandbox.pid1_fd, rustix::process::Signal::TERM);
            }
        }
        Ok(self.reap())
    }

    /// `false`: PID 1 was among them.
    pub(super) fn reap(&mut self) -> bool {
        loop {
            let (pid, status) = match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
                Ok(WaitStatus::Exited(pid, code)) => (pid, code),
                Ok(WaitStatus::Signaled(pid, signal, _)) => (pid, 128 + signal as i32),
                Ok(WaitStatus::StillAlive) | Err(_) => return true,
                Ok(_) => continue,
            };
            if pid == self.sandbox.pid1 {
                return false;
            }
            self.exited(pid, status);
        }
    }

    pub(super) fn exited(&mut self, pid: Pid, status: i32) {
        let now = Instant::now();
        if let Some(job) = self.jobs.values_mut().find(|job| job.is(pid)) {
            job.exited(status, now);
            return;
        }
        let is_shell =
            |terminal: &Terminal| matches!(terminal.shell, Shell::Running { pid: shell, .. } if shell == pid);
        match self.terminals.iter().find(|(_, terminal)| is_shell(terminal)).map(|(&number, _)| number) {
            Some(number) => self.shell_exited(number, status),
            None if !self.envoys.is_empty() => drop(self.unclaimed.insert(pid, status)),
            None => self.unclaimed.clear(),
        }
    }

    pub(super) fn shell_exited(&mut self, number: u16, status: i32) {
        let now = Instant::now();
        // What it printed last is in the pty still.
        let mut buffer = vec![0; BURST_MAX];
        while self.read_pty(number, &mut buffer) > 0 {}
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        let news = terminal.ended(status, now);
        self.unwatch(Source::Pty(number));
        if let Some(Terminal { shell: Shell::Ended { pty, .. }, .. }) = self.terminals.get_mut(&number) {
            *pty = None; // hangs up whoever the shell left behind
        }
        self.tell(number, news);
        self.exits_are_told_behind_output(number, status);
    }

    /// Viewers hear of the end after the last byte; those who lag see it in `Attached`.
    pub(super) fn exits_are_told_behind_output(&mut self, number: u16, status: i32) {
        self.feed_viewers();
        let exit = News { to_all: vec![ToViewer::Exit { status }], ..News::default() };
        self.tell(number, exit);
    }

    /// Takes all reports that are there: a program that could not be run reports why and ends, and its end
    /// must not be taken for the program's.
    pub(super) fn report_ready(&mut self, id: u32) {
        while let Some((whom, socket)) = self.envoys.get(&id) {
            let whom = *whom;
            match message::receive(socket.as_fd()) {
                Ok(Some((bytes, mut fds))) => match enter::decode(&bytes) {
                    Ok(Report::Started { pid }) => self.started(whom, Pid::from_raw(pid), fds.pop()),
                    Ok(Report::Failed { doing, why }) => self.failed(whom, &doing, &why),
                    Err(error) => self.failed(whom, "understand its own child", &error.to_string()),
                },
                Ok(None) => {
                    self.unwatch(Source::Report(id));
                    self.envoys.remove(&id);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
                Err(error) => {
                    self.unwatch(Source::Report(id));
                    self.envoys.remove(&id);
                    self.failed(whom, "hear from its own child", &error.to_string());
                }
            }
        }
    }

    pub(super) fn started(&mut self, whom: For, pid: Pid, master: Option<OwnedFd>) {
        match (whom, master) {
            (For::Terminal(number), Some(master)) => {
                let Some(terminal) = self.terminals.get_mut(&number) else { return };
                let pty = master.try_clone().and_then(|fd| Ok(Pty { master: Box::new(SandboxPty::new(master)?), fd }));
                match pty {
                    Ok(pty) => {
                        terminal.shell = Shell::Running { pid, pty };
                        let (cols, rows) = terminal.size();
                        terminal.resize((cols.saturating_add(1), rows));
                        terminal.resize((cols, rows));
                    }
                    Err(error) => self.failed(whom, "use its terminal", &error.to_string()),
                }
            }
            (For::Job(id), _) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.started_as(pid);
                }
            }
            (For::Terminal(_), None) => self.failed(whom, "open a terminal", "none came"),
        }
        if let Some(status) = self.unclaimed.remove(&pid) {
            self.exited(pid, status);
        }
    }

    pub(super) fn failed(&mut self, whom: For, doing: &str, why: &str) {
        match whom {
            For::Job(id) => {
                if let Some(job) = self.jobs.get_mut(&id) {
                    job.failed(doing, why);
                    self.job_finished(id);
                }
            }
            For::Terminal(number) => {
                let text = format!("cannot start a shell in the sandbox: {doing}: {why}");
                let notice = ToViewer::Notice { code: "no-shell".into(), text };
                let news = News { to_all: vec![notice], ..News::default() };
                self.tell(number, news);
                if let Some(terminal) = self.terminals.get_mut(&number)
                    && matches!(terminal.shell, Shell::Starting)
                {
                    let news = terminal.ended(126, Instant::now());
                    self.tell(number, news);
                    self.exits_are_told_behind_output(number, 126);
                }
            }
        }
    }

    pub(super) fn send_envoy(&mut self, whom: For, program: Program) {
        match enter::enter(&self.sandbox, program) {
            Ok(socket) => {
                let id = self.new_id();
                self.envoys.insert(id, (whom, socket));
            }
            Err(error) => self.failed(whom, "fork", &error.to_string()),
        }
    }
}
