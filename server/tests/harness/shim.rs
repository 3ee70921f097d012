//! A shim of threads: real bash on real ptys and real scripts, in a directory that stands for the root of a
//! container. It does what `shim::wire` and `shim::protocol` promise, without their economy.

use std::collections::{BTreeMap, HashMap};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use portable_pty::{CommandBuilder, PtySize, native_pty_system};
use quayside_runtime::shim::protocol::*;
use quayside_runtime::shim::wire::{FromViewer, RunState, ToViewer, read_frame, write_frame};

pub struct FakeShim {
    pub root: PathBuf,
    socket: PathBuf,
    inner: Arc<Inner>,
}

struct Inner {
    root: PathBuf,
    terminals: Mutex<BTreeMap<u16, Arc<Pty>>>,
    named: Mutex<HashMap<String, Arc<Outcome>>>,
    connections: Mutex<Vec<UnixStream>>,
    input_at: Mutex<Option<Instant>>,
}

impl FakeShim {
    pub fn start(socket: &Path, root: &Path) -> Self {
        std::fs::create_dir_all(root.join("root")).expect("a home");
        let listener = UnixListener::bind(socket).expect("a socket");
        let inner = Arc::new(Inner {
            root: root.into(),
            terminals: Mutex::default(),
            named: Mutex::default(),
            connections: Mutex::default(),
            input_at: Mutex::default(),
        });
        let accepting = inner.clone();
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                let kept = connection.try_clone().expect("a descriptor");
                accepting.connections.lock().expect("not poisoned").push(kept);
                let inner = accepting.clone();
                std::thread::spawn(move || serve(connection, &inner));
            }
        });
        Self { root: root.into(), socket: socket.into(), inner }
    }

    /// Somebody types.
    pub fn typed(&self) {
        *self.inner.input_at.lock().expect("not poisoned") = Some(Instant::now());
    }

    /// Everything of it ends.
    pub fn stop(&self) {
        let _ = std::fs::remove_file(&self.socket);
        for connection in self.inner.connections.lock().expect("not poisoned").drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
        for pty in self.inner.terminals.lock().expect("not poisoned").values() {
            pty.kill();
        }
    }
}

fn serve(mut connection: UnixStream, inner: &Arc<Inner>) {
    let Ok(Some(frame)) = read_frame(&mut connection) else { return };
    match Open::decode(&frame).expect("an open").purpose {
        Purpose::Terminal { number, command } => terminal(connection, inner, number, &command),
        Purpose::Exec(exec) => execute(connection, inner, exec),
        Purpose::Files => files(connection, inner),
        Purpose::State => {
            let input_ms_ago = inner.input_at.lock().expect("not poisoned").map(|at| at.elapsed().as_millis() as u64);
            let terminals = inner.terminals.lock().expect("not poisoned");
            let terminals =
                terminals.keys().map(|&number| TerminalState { number, running: true, offset: 0, viewers: 0 });
            let state =
                State { version: SHIM_VERSION, terminals: terminals.collect(), named: Vec::new(), input_ms_ago };
            let _ = write_frame(&mut connection, &FromShim::State(state).encode());
        }
    }
}

/// One terminal: a shell, everything it printed, and what each viewer typed.
struct Pty {
    screen: Mutex<Screen>,
    grown: Condvar,
    keys: Mutex<Keys>,
    killer: Mutex<Box<dyn portable_pty::ChildKiller + Send + Sync>>,
    master: Mutex<Box<dyn portable_pty::MasterPty + Send>>,
}

#[derive(Default)]
struct Screen {
    bytes: Vec<u8>,
    ended: bool,
}

struct Keys {
    writer: Box<dyn Write + Send>,
    taken: HashMap<u128, u64>,
    runs: Vec<u128>,
}

impl Pty {
    fn start(home: &Path, instead: &[String]) -> Arc<Self> {
        let pair = native_pty_system().openpty(PtySize::default()).expect("a pty");
        let mut command = CommandBuilder::new("bash");
        match instead {
            [] => command.args(["--norc", "--noprofile"]),
            [_, args @ ..] => command.args(args),
        }
        command.cwd(home);
        command.env("PS1", "$ ");
        command.env("HOME", home);
        let child = pair.slave.spawn_command(command).expect("a shell");
        let mut reader = pair.master.try_clone_reader().expect("a reader");
        let keys =
            Keys { writer: pair.master.take_writer().expect("a writer"), taken: HashMap::new(), runs: Vec::new() };
        let pty = Arc::new(Self {
            screen: Mutex::default(),
            grown: Condvar::new(),
            keys: Mutex::new(keys),
            killer: Mutex::new(child.clone_killer()),
            master: Mutex::new(pair.master),
        });
        let reading = pty.clone();
        std::thread::spawn(move || {
            let _child = child;
            let mut chunk = [0; 65536];
            loop {
                let count = reader.read(&mut chunk).unwrap_or(0);
                let mut screen = reading.screen.lock().expect("not poisoned");
                screen.bytes.extend_from_slice(&chunk[..count]);
                screen.ended = count == 0;
                reading.grown.notify_all();
                if count == 0 {
                    return;
                }
            }
        });
        pty
    }

    fn kill(&self) {
        let _ = self.killer.lock().expect("not poisoned").kill();
    }
}

fn terminal(mut connection: UnixStream, inner: &Arc<Inner>, number: u16, command: &[String]) {
    let pty = {
        let mut terminals = inner.terminals.lock().expect("not poisoned");
        terminals.entry(number).or_insert_with(|| Pty::start(&inner.root.join("root"), command)).clone()
    };
    let Ok(Some(frame)) = read_frame(&mut connection) else { return };
    let FromViewer::Attach { viewer, have, cols, rows, .. } = FromViewer::decode(&frame).expect("checked by the web")
    else {
        panic!("the web lets only an attach through first");
    };
    let out = Arc::new(Mutex::new(connection.try_clone().expect("a descriptor")));
    resize(&pty, cols, rows);
    let taken = *pty.keys.lock().expect("not poisoned").taken.entry(viewer).or_default();
    let past = pty.screen.lock().expect("not poisoned").bytes.len() as u64;
    let offset = have.min(past);
    let attached =
        ToViewer::Attached { offset, replay: past - offset, lost: 0, input: taken, ended: false, screen: false };
    // Without a size a viewer only types.
    if cols > 0 {
        send(&out, &attached);
        let (drawing, printing) = (pty.clone(), out.clone());
        std::thread::spawn(move || draw(&drawing, &printing, offset as usize));
    }
    while let Ok(Some(frame)) = read_frame(&mut connection) {
        let frame = FromViewer::decode(&frame).expect("checked by the web");
        if matches!(frame, FromViewer::Input { .. } | FromViewer::Run { .. }) {
            *inner.input_at.lock().expect("not poisoned") = Some(Instant::now());
        }
        match frame {
            FromViewer::Input { number, bytes } => {
                let mut keys = pty.keys.lock().expect("not poisoned");
                let taken = *keys.taken.entry(viewer).or_default();
                let old = taken.saturating_sub(number).min(bytes.len() as u64) as usize;
                let _ = keys.writer.write_all(&bytes[old..]);
                let taken = taken.max(number + bytes.len() as u64);
                keys.taken.insert(viewer, taken);
                drop(keys);
                send(&out, &ToViewer::InputAcked { number: taken });
            }
            FromViewer::Run { id, text, .. } => {
                let mut keys = pty.keys.lock().expect("not poisoned");
                if !keys.runs.contains(&id) {
                    keys.runs.push(id);
                    let _ = keys.writer.write_all(format!("{text}\n").as_bytes());
                }
                drop(keys);
                send(&out, &ToViewer::RunState { id, state: RunState::Sent, code: 0 });
            }
            FromViewer::Ping { payload } => send(&out, &ToViewer::Pong { payload }),
            FromViewer::Resize { cols, rows } => resize(&pty, cols, rows),
            FromViewer::Ack { .. } | FromViewer::Attach { .. } => {}
        }
    }
}

fn resize(pty: &Pty, cols: u16, rows: u16) {
    if cols > 0 && rows > 0 {
        let size = PtySize { rows, cols, pixel_width: 0, pixel_height: 0 };
        let _ = pty.master.lock().expect("not poisoned").resize(size);
    }
}

fn draw(pty: &Pty, out: &Mutex<UnixStream>, mut offset: usize) {
    loop {
        let mut screen = pty.screen.lock().expect("not poisoned");
        while screen.bytes.len() == offset && !screen.ended {
            screen = pty.grown.wait(screen).expect("not poisoned");
        }
        let until = screen.bytes.len().min(offset + 65536);
        let bytes = screen.bytes[offset..until].to_vec();
        let ended = screen.ended;
        drop(screen);
        if bytes.is_empty() && ended {
            send(out, &ToViewer::Exit { status: 0 });
            return;
        }
        offset = until;
        if write_frame(&mut *out.lock().expect("not poisoned"), &ToViewer::Output { bytes }.encode()).is_err() {
            return;
        }
    }
}

fn send(out: &Mutex<UnixStream>, frame: &ToViewer) {
    let _ = write_frame(&mut *out.lock().expect("not poisoned"), &frame.encode());
}

/// How a script ended, for whoever asks for it by its name.
#[derive(Default)]
struct Outcome {
    end: Mutex<Option<Finished>>,
    known: Condvar,
}

fn execute(mut connection: UnixStream, inner: &Arc<Inner>, exec: Exec) {
    let mut script = Vec::new();
    while let Ok(Some(frame)) = read_frame(&mut connection) {
        match ToShim::decode(&frame).expect("a message") {
            ToShim::Data(bytes) => script.extend(bytes),
            _ => break,
        }
    }
    let Some(name) = exec.name.clone() else {
        let finished = run(inner, &exec, &script, Some(&connection));
        let _ = write_frame(&mut connection, &FromShim::Finished(finished).encode());
        return;
    };
    let (outcome, new) = {
        let mut named = inner.named.lock().expect("not poisoned");
        let new = !named.contains_key(&name);
        (named.entry(name).or_default().clone(), new)
    };
    if new {
        let (running, inner) = (outcome.clone(), inner.clone());
        std::thread::spawn(move || {
            let finished = run(&inner, &exec, &script, None);
            *running.end.lock().expect("not poisoned") = Some(finished);
            running.known.notify_all();
        });
    }
    let mut end = outcome.end.lock().expect("not poisoned");
    while end.is_none() {
        end = outcome.known.wait(end).expect("not poisoned");
    }
    let finished = end.clone().expect("it has ended");
    let _ = write_frame(&mut connection, &FromShim::Finished(finished).encode());
}

/// Runs it, and ends it early when `watched` is closed by the other side.
fn run(inner: &Inner, exec: &Exec, script: &[u8], watched: Option<&UnixStream>) -> Finished {
    let begun = Instant::now();
    let file = inner.root.join(format!("script-{}", uuid::Uuid::now_v7()));
    std::fs::write(&file, script).expect("written");
    let inside = |path: &str| inner.root.join(path.trim_start_matches('/'));
    let args = exec.args.iter().map(|arg| match arg.as_str() {
        "{script}" => file.clone().into_os_string(),
        path if path.starts_with('/') => inside(path).into_os_string(),
        other => other.into(),
    });
    let args: Vec<_> = args.collect();
    let to = |path: &Option<String>| match path {
        Some(path) => std::fs::File::create(inside(path)).map(Stdio::from).expect("a log"),
        None => Stdio::piped(),
    };
    let mut child = Command::new(&args[0])
        .args(&args[1..])
        .current_dir(inside(&exec.cwd))
        .env("HOME", inner.root.join("root"))
        .stdin(match exec.script_is_stdin {
            true => std::fs::File::open(&file).map(Stdio::from).expect("the script"),
            false => Stdio::null(),
        })
        .stdout(to(&exec.stdout_path))
        .stderr(to(&exec.stderr_path))
        .spawn()
        .expect("it starts");
    let (out, err) = (child.stdout.take(), child.stderr.take());
    let streams: Vec<_> =
        [(1, out.map(|out| Box::new(out) as Box<dyn Read + Send>)), (2, err.map(|err| Box::new(err) as _))]
            .into_iter()
            .filter_map(|(stream, pipe)| pipe.map(|pipe| (stream, pipe)))
            .map(|(stream, mut pipe)| {
                let mut connection = watched.map(|watched| watched.try_clone().expect("a descriptor"));
                std::thread::spawn(move || {
                    let mut chunk = [0; 4096];
                    while let Ok(count @ 1..) = pipe.read(&mut chunk) {
                        if let Some(connection) = &mut connection {
                            let message = FromShim::Output { stream, bytes: chunk[..count].to_vec() };
                            let _ = write_frame(connection, &message.encode());
                        }
                    }
                })
            })
            .collect();
    let limit = (exec.timeout_ms > 0).then(|| Duration::from_millis(exec.timeout_ms));
    let mut timed_out = false;
    let status = loop {
        if let Some(status) = child.try_wait().expect("a child") {
            break status;
        }
        timed_out = limit.is_some_and(|limit| begun.elapsed() > limit);
        if timed_out || watched.is_some_and(closed) {
            let _ = child.kill();
        }
        std::thread::sleep(Duration::from_millis(5));
    };
    if status.code().is_some() {
        for stream in streams {
            let _ = stream.join();
        }
    }
    Finished {
        code: status.code().unwrap_or(137),
        timed_out,
        dropped_bytes: 0,
        duration_ms: begun.elapsed().as_millis() as u64,
    }
}

fn closed(connection: &UnixStream) -> bool {
    connection.set_nonblocking(true).expect("a socket");
    let mut connection_ref = connection;
    let end = matches!(connection_ref.read(&mut [0; 1]), Ok(0));
    connection.set_nonblocking(false).expect("a socket");
    end
}

fn files(mut connection: UnixStream, inner: &Inner) {
    let mut open: Option<(std::fs::File, u64)> = None;
    while let Ok(Some(frame)) = read_frame(&mut connection) {
        match ToShim::decode(&frame).expect("a message") {
            ToShim::File(head) => {
                assert!(open.as_ref().is_none_or(|(_, left)| *left == 0), "the file before is whole");
                let path = inner.root.join(head.path.trim_start_matches('/'));
                std::fs::create_dir_all(path.parent().expect("a parent")).expect("a directory");
                open = Some((std::fs::File::create(path).expect("a file"), head.size));
            }
            ToShim::Data(bytes) => {
                let (file, left) = open.as_mut().expect("a head first");
                *left -= bytes.len() as u64;
                file.write_all(&bytes).expect("written");
            }
            ToShim::End => {
                let finished = Finished { code: 0, timed_out: false, dropped_bytes: 0, duration_ms: 1 };
                let _ = write_frame(&mut connection, &FromShim::Finished(finished).encode());
                return;
            }
        }
    }
}
