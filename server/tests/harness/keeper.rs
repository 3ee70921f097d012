//! A keeper of threads: it speaks the real protocol and starts a [`FakeShim`] for each sandbox.

use std::collections::BTreeMap;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use quayside_runtime::keeper::protocol::*;
use quayside_runtime::shim::wire::{read_frame, write_frame};
use quayside_runtime::spec::{SandboxId, SandboxSpec};

use super::shim::FakeShim;

pub struct FakeKeeper {
    sockets_dir: PathBuf,
    state: Arc<Mutex<State>>,
}

pub struct State {
    machines_dir: PathBuf,
    shims_dir: PathBuf,
    pub machines: BTreeMap<SandboxId, Machine>,
    pub images: Vec<ImageInfo>,
    /// What the next launch fails with.
    pub fail: Option<Failure>,
    pub launched: usize,
    /// What it says of the host's memory; `None`: nothing.
    pub memory_bytes: Option<u64>,
    /// Sandboxes that there were at once, at most.
    pub most: usize,
    connections: Vec<UnixStream>,
    alive: u64,
    /// The test is over.
    ended: bool,
}

pub struct Machine {
    pub spec: SandboxSpec,
    pub shim: FakeShim,
}

pub fn image(name: &str, state: ImageState) -> ImageInfo {
    ImageInfo { name: name.into(), summary: String::new(), state }
}

pub fn ready() -> ImageState {
    ImageState::Ready { size_bytes: 1 }
}

impl FakeKeeper {
    pub fn start(sockets_dir: &Path, machines_dir: &Path) -> Self {
        let shims_dir = sockets_dir.join("shims");
        std::fs::create_dir_all(&shims_dir).expect("a directory");
        let state = State {
            machines_dir: machines_dir.into(),
            shims_dir,
            machines: BTreeMap::new(),
            images: vec![image("learner", ready()), image("host", ready())],
            fail: None,
            launched: 0,
            memory_bytes: None,
            most: 0,
            connections: Vec::new(),
            alive: 0,
            ended: false,
        };
        let keeper = Self { sockets_dir: sockets_dir.into(), state: Arc::new(Mutex::new(state)) };
        keeper.revive();
        keeper
    }

    /// As after `kill -9`: every connection breaks, the sandboxes go on.
    pub fn kill(&self) {
        let mut state = self.state.lock().expect("not poisoned");
        state.alive += 1;
        let _ = std::fs::remove_file(self.sockets_dir.join("keeper.sock"));
        for connection in state.connections.drain(..) {
            let _ = connection.shutdown(std::net::Shutdown::Both);
        }
    }

    /// A new keeper finds the sandboxes of the old one.
    pub fn revive(&self) {
        let listener = UnixListener::bind(self.sockets_dir.join("keeper.sock")).expect("a socket");
        let state = self.state.clone();
        std::thread::spawn(move || {
            let alive = state.lock().expect("not poisoned").alive;
            for connection in listener.incoming().flatten() {
                let mut locked = state.lock().expect("not poisoned");
                if locked.alive != alive {
                    return;
                }
                locked.connections.push(connection.try_clone().expect("a descriptor"));
                drop(locked);
                let state = state.clone();
                std::thread::spawn(move || serve(connection, &state));
            }
        });
    }

    pub fn with<T>(&self, look: impl FnOnce(&mut State) -> T) -> T {
        look(&mut self.state.lock().expect("not poisoned"))
    }

    pub fn launched(&self) -> usize {
        self.with(|state| state.launched)
    }

    pub fn running(&self) -> usize {
        self.with(|state| state.machines.len())
    }

    /// The directory that stands for the root of the only machine.
    pub fn only_root(&self) -> PathBuf {
        self.with(|state| state.machines.values().next().expect("a machine").shim.root.clone())
    }

    /// A machine ends by itself, as when its shim is killed.
    pub fn lose_only_machine(&self, why: &str) {
        let lost = self.with(|state| state.machines.pop_first()).expect("a machine");
        lost.1.shim.stop();
        self.tell(Body::Ended { sandbox: lost.0, why: why.into() });
    }

    /// Keys come to the newest machine by a way that the web process does not see.
    pub fn newest_is_typed_into(&self) {
        self.with(|state| state.machines.last_key_value().expect("a machine").1.shim.typed());
    }

    pub fn set_image(&self, name: &str, state: ImageState) {
        let info = image(name, state);
        self.with(|keeper| {
            let known = keeper.images.iter_mut().find(|image| image.name == name);
            *known.expect("a known image") = info.clone();
        });
        self.tell(Body::Image { image: info });
    }

    fn tell(&self, body: Body) {
        let frame = serde_json::to_vec(&quayside_runtime::keeper::protocol::Answer { id: 0, body }).expect("JSON");
        self.with(|state| {
            for connection in &mut state.connections {
                let _ = write_frame(connection, &frame);
            }
        });
    }
}

impl Drop for FakeKeeper {
    fn drop(&mut self) {
        self.kill();
        self.with(|state| {
            state.ended = true;
            for machine in state.machines.values() {
                machine.shim.stop();
            }
        });
    }
}

fn serve(mut connection: UnixStream, state: &Mutex<State>) {
    let mut reader = connection.try_clone().expect("a descriptor");
    while let Ok(Some(frame)) = read_frame(&mut reader) {
        let request: Request = serde_json::from_slice(&frame).expect("a request");
        let mut state = state.lock().expect("not poisoned");
        let body = answer(&mut state, request.verb);
        let frame =
            serde_json::to_vec(&quayside_runtime::keeper::protocol::Answer { id: request.id, body }).expect("JSON");
        if write_frame(&mut connection, &frame).is_err() {
            return;
        }
    }
}

fn answer(state: &mut State, verb: Verb) -> Body {
    match verb {
        Verb::Hello { .. } => {
            Body::Hello { version: KEEPER_VERSION, build: "fake".into(), memory_bytes: state.memory_bytes }
        }
        Verb::Create { spec } => create(state, spec),
        Verb::Destroy { sandbox } => {
            if let Some(machine) = state.machines.remove(&sandbox) {
                machine.shim.stop();
            }
            Body::Done
        }
        Verb::List => {
            Body::Sandboxes { sandboxes: state.machines.values().map(|machine| info(&machine.spec)).collect() }
        }
        Verb::Images => Body::Images { images: state.images.clone() },
        Verb::PrepareImage { .. } => Body::Done,
    }
}

fn create(state: &mut State, spec: SandboxSpec) -> Body {
    if let Some(failure) = state.fail.take() {
        return Body::Failed { failure };
    }
    if state.ended {
        let message = "the keeper is stopping".into();
        return Body::Failed { failure: Failure { code: FailureCode::Internal, message } };
    }
    state.launched += 1;
    let socket = state.shims_dir.join(format!("{}.sock", spec.id));
    let shim = FakeShim::start(&socket, &state.machines_dir.join(spec.id.to_string()));
    let sandbox = info(&spec);
    state.machines.insert(spec.id, Machine { spec, shim });
    state.most = state.most.max(state.machines.len());
    Body::Created { sandbox }
}

fn info(spec: &SandboxSpec) -> SandboxInfo {
    SandboxInfo {
        id: spec.id,
        socket: format!("{}.sock", spec.id),
        image: spec.image.clone(),
        hostname: spec.hostname.clone(),
        launch_us: 1,
    }
}
