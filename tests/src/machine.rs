//! A data directory, sandboxes in it, and a learner at a terminal of one.

use std::cell::RefCell;
use std::fs;
use std::net::Shutdown;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::LazyLock;
use std::time::{Duration, Instant};

use quayside_runtime::shim::client::{self, Viewer};
use quayside_runtime::shim::protocol::{Exec, Finished, Group};
use quayside_runtime::shim::wire::{FromViewer, RunFlags, ToViewer};
use tempfile::TempDir;

use crate::{binary, census, needs};

/// Longer than anything here takes, on a machine that is busy with something else; so many times that, where
/// `QUAYSIDE_TEST_PATIENCE` says so: on an emulated processor, say.
pub static PATIENCE: LazyLock<Duration> = LazyLock::new(|| {
    let times = std::env::var("QUAYSIDE_TEST_PATIENCE").ok().and_then(|times| times.parse().ok());
    Duration::from_secs(30) * times.unwrap_or(1)
});

/// A host of our own: what happens in one test's data directory is no business of another's.
pub struct Machine {
    data: TempDir,
    /// Of every sandbox that was heard of.
    ids: RefCell<Vec<String>>,
}

impl Machine {
    #[expect(clippy::new_without_default, reason = "it fails where a requirement is missing")]
    pub fn new() -> Self {
        needs::sandboxes();
        let data = tempfile::Builder::new().prefix("quayside-test-").tempdir().expect("a temporary directory");
        Self { data, ids: RefCell::default() }
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// `quayside run --data … ARGS`, not started yet.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new(binary::quayside());
        command.args(["run", "--data"]).arg(self.data()).args(args).stdin(Stdio::null());
        command
    }

    /// The same, until it has ended.
    pub fn run(&self, args: &[&str]) -> Output {
        self.command(args).output().expect("the binary starts")
    }

    /// A sandbox that stays until it is ended.
    pub fn sandbox(&self) -> Sandbox {
        self.sandbox_of(&["host", "--", "sleep", "infinity"])
    }

    pub fn sandbox_of(&self, args: &[&str]) -> Sandbox {
        let before = self.records();
        let mut child = self.command(args).spawn().expect("the binary starts");
        let begin = Instant::now();
        let (id, record) = loop {
            let new = self.records().into_iter().find(|(id, _)| !before.iter().any(|(known, _)| known == id));
            if let Some((id, record)) = new.filter(|(_, record)| record["shim_pid"] != 0) {
                break (id, record);
            }
            let ended = child.try_wait().expect("it is our child");
            assert!(ended.is_none() && begin.elapsed() < *PATIENCE, "no sandbox starts; quayside run: {ended:?}");
            std::thread::sleep(Duration::from_millis(5));
        };
        self.ids.borrow_mut().push(id.clone());
        Sandbox { socket: self.data().join("run/shims").join(format!("{id}.sock")), id, record, child }
    }

    /// `sandbox.json` of every sandbox.
    pub fn records(&self) -> Vec<(String, serde_json::Value)> {
        let entries = fs::read_dir(self.data().join("sandboxes")).into_iter().flatten().flatten();
        let records = entries.filter_map(|entry| {
            let record = fs::read(entry.path().join("sandbox.json")).ok()?;
            Some((entry.file_name().into_string().ok()?, serde_json::from_slice(&record).ok()?))
        });
        records.collect()
    }

    /// Counts a sandbox that only a message names.
    pub fn heard_of(&self, message: &str) {
        let words = message.split(|c: char| !c.is_ascii_hexdigit()).filter(|word| word.len() == 32);
        self.ids.borrow_mut().extend(words.map(String::from));
    }

    /// Everything that was launched here is gone from the machine.
    pub fn assert_clean(&self) {
        census::assert_nothing_left(self.data(), &self.ids.borrow());
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.assert_clean();
        }
    }
}

/// A sandbox that runs, and the `quayside run` that owns it.
pub struct Sandbox {
    pub id: String,
    pub socket: PathBuf,
    pub record: serde_json::Value,
    pub child: Child,
}

/// What a script wrote, and how it ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
    pub finished: Finished,
}

/// A script as the harness runs it; tests change what they are about.
pub fn script(text: &str) -> Exec {
    Exec {
        name: None,
        args: ["bash", "-c", text].map(String::from).into(),
        script_is_stdin: false,
        env: vec![],
        cwd: "/root".into(),
        group: Group::Payload,
        timeout_ms: PATIENCE.as_millis() as u64,
        output_max: 1024 * 1024,
        stdout_path: None,
        stderr_path: None,
    }
}

impl Sandbox {
    pub fn exec(&self, exec: Exec) -> Ran {
        let (mut out, mut err) = (Vec::new(), Vec::new());
        let finished =
            client::exec(
                &self.socket,
                exec,
                b"",
                |stream, bytes| {
                    if stream == 1 { out.extend(bytes) } else { err.extend(bytes) }
                },
            );
        let finished = finished.expect("the shim runs scripts");
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        Ran { code: finished.code, out: text(out), err: text(err), finished }
    }

    /// Runs a script, however it ends.
    pub fn try_sh(&self, text: &str) -> Ran {
        self.exec(script(text))
    }

    /// Runs a script that succeeds; its output.
    pub fn sh(&self, text: &str) -> String {
        let ran = self.try_sh(text);
        assert_eq!(ran.code, 0, "{text}: {ran:?}");
        ran.out
    }

    /// Runs a script that is refused; what it says.
    pub fn refused(&self, text: &str) -> String {
        let ran = self.try_sh(text);
        assert_ne!(ran.code, 0, "this was not refused: {text}: {ran:?}");
        assert!(!ran.finished.timed_out, "this hangs: {text}");
        ran.err
    }

    pub fn terminal(&self, number: u16) -> Terminal {
        self.terminal_of(number, &[])
    }

    /// A terminal with a program of its own instead of a shell.
    pub fn terminal_of(&self, number: u16, command: &[&str]) -> Terminal {
        Terminal::open(&self.socket, number, command, 1)
    }

    pub fn shim_pid(&self) -> i32 {
        self.record["shim_pid"].as_i64().expect("a running sandbox's record has it") as i32
    }

    /// As the host counts: its shim's first child.
    pub fn pid_1(&self) -> i32 {
        let parent = |pid: i32| {
            let status = fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
            status.lines().find_map(|line| line.strip_prefix("PPid:"))?.trim().parse().ok()
        };
        let entries = fs::read_dir("/proc").expect("every machine has /proc").flatten();
        let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
        pids.filter(|&pid| parent(pid) == Some(self.shim_pid())).min().expect("a sandbox that runs has a PID 1")
    }

    /// Ends it in order, as its owner's user would.
    pub fn end(mut self) -> i32 {
        signal("TERM", self.child.id() as i32);
        self.wait()
    }

    /// Until its `quayside run` has ended by itself.
    pub fn wait(&mut self) -> i32 {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().expect("it is our child") {
                return std::os::unix::process::ExitStatusExt::signal(&status)
                    .map_or(status.code().unwrap_or(-1), |n| 128 + n);
            }
            assert!(begin.elapsed() < *PATIENCE, "quayside run does not end");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Sandbox {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            signal("TERM", self.child.id() as i32);
            self.wait();
        }
    }
}

pub fn signal(name: &str, pid: i32) {
    let status = Command::new("kill").args(["-s", name, &pid.to_string()]).status();
    assert!(status.expect("every host has kill").success(), "cannot send SIG{name} to {pid}");
}

/// A learner at a terminal.
pub struct Terminal {
    pub viewer: Viewer,
    id: u128,
    /// Everything shown since it was opened.
    pub screen: Vec<u8>,
    /// The first answer: where the stream goes on.
    pub offset: u64,
    pub replay: u64,
    pub lost: u64,
    drawn: u64,
    pub typed: u64,
    pub taken: u64,
    /// The states that run actions were in, in order.
    pub runs: Vec<(u128, quayside_runtime::shim::wire::RunState, i32)>,
    pub exit: Option<i32>,
    /// What the shim had to say about it.
    pub notices: Vec<String>,
    /// Whether it is the writer, and the screen's size; who does not ask is not told.
    pub role: Option<(bool, u16, u16)>,
    /// The picture that it was given instead of the past.
    pub picture: Vec<u8>,
    acks: bool,
    attached: bool,
}

impl Terminal {
    /// A page that knows roles and pictures, of a size of its own.
    pub fn look(socket: &Path, number: u16, id: u128, (cols, rows): (u16, u16)) -> Self {
        let mut viewer = Viewer::open(socket, number, Vec::new()).expect("the shim accepts viewers");
        viewer.stream.set_read_timeout(Some(*PATIENCE)).expect("a socket has timeouts");
        let attach = FromViewer::Attach { viewer: id, have: 0, cols, rows, restart: false, roles: true };
        viewer.send(&attach).expect("the shim listens");
        let mut terminal = Self::new(viewer, id);
        terminal.until(|this| this.role.is_some() && this.attached);
        terminal
    }

    /// Reads no more, and says nothing about it.
    pub fn stops_reading(&mut self) {
        self.acks = false;
    }

    pub fn acks_again(&mut self) {
        self.acks = true;
        let offset = self.drawn;
        self.send(&FromViewer::Ack { offset });
    }

    fn new(viewer: Viewer, id: u128) -> Self {
        Self {
            viewer,
            id,
            screen: Vec::new(),
            offset: 0,
            replay: 0,
            lost: 0,
            drawn: 0,
            typed: 0,
            taken: 0,
            runs: Vec::new(),
            exit: None,
            notices: Vec::new(),
            role: None,
            picture: Vec::new(),
            acks: true,
            attached: false,
        }
    }

    pub fn open(socket: &Path, number: u16, command: &[&str], id: u128) -> Self {
        let command = command.iter().map(|word| word.to_string()).collect();
        let mut viewer = Viewer::open(socket, number, command).expect("the shim accepts viewers");
        viewer.stream.set_read_timeout(Some(*PATIENCE)).expect("a socket has timeouts");
        let attach = FromViewer::Attach { viewer: id, have: 0, cols: 80, rows: 24, restart: false, roles: false };
        viewer.send(&attach).expect("the shim listens");
        let mut terminal = Self::new(viewer, id);
        terminal.pump();
        assert!(terminal.attached, "the first frame is Attached");
        terminal
    }

    pub fn type_bytes(&mut self, bytes: &[u8]) {
        let number = self.typed;
        self.typed += bytes.len() as u64;
        self.send(&FromViewer::Input { number, bytes: bytes.into() });
    }

    pub fn type_text(&mut self, text: &str) {
        self.type_bytes(text.as_bytes());
    }

    pub fn press(&mut self, id: u128, text: &str) {
        self.send(&FromViewer::Run { id, flags: RunFlags::default(), text: text.into() });
    }

    pub fn send(&mut self, frame: &FromViewer) {
        self.viewer.send(frame).expect("the shim listens");
    }

    /// Takes one frame.
    pub fn pump(&mut self) {
        let frame = self.viewer.receive().unwrap_or_else(|error| panic!("{error}; the screen: {}", self.text()));
        match frame.unwrap_or_else(|| panic!("the shim has ended; the screen: {}", self.text())) {
            ToViewer::Output { bytes } => {
                self.drawn += bytes.len() as u64;
                self.screen.extend(bytes);
                let offset = self.drawn;
                if self.acks {
                    self.send(&FromViewer::Ack { offset });
                }
            }
            ToViewer::Attached { offset, replay, lost, input, .. } => {
                (self.offset, self.replay, self.lost, self.drawn) = (offset, replay, lost, offset);
                (self.typed, self.taken, self.attached) = (input, input, true);
                self.picture.clear();
            }
            ToViewer::Role { writer, cols, rows } => self.role = Some((writer, cols, rows)),
            ToViewer::Screen { bytes } => self.picture.extend(bytes),
            ToViewer::InputAcked { number } => self.taken = number,
            ToViewer::RunState { id, state, code } => self.runs.push((id, state, code)),
            ToViewer::Exit { status } => self.exit = Some(status),
            ToViewer::Notice { text, .. } => self.notices.push(text),
            _ => {}
        }
    }

    pub fn until(&mut self, mut done: impl FnMut(&Self) -> bool) {
        let begin = Instant::now();
        while !done(self) {
            assert!(begin.elapsed() < *PATIENCE, "nothing of what was waited for; the screen: {}", self.text());
            self.pump();
        }
    }

    /// Until the screen has shown `text`.
    pub fn shows(&mut self, text: &str) {
        self.until(|this| this.text().contains(text));
    }

    /// Until its program has ended; how.
    pub fn ends(&mut self) -> i32 {
        self.until(|this| this.exit.is_some());
        self.exit.expect("just waited for")
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.screen).into_owned()
    }

    /// The connection breaks, and the same tab comes back to it.
    pub fn reconnect(self, socket: &Path, number: u16) -> Self {
        let _ = self.viewer.stream.shutdown(Shutdown::Both);
        Self::open(socket, number, &[], self.id)
    }
}
