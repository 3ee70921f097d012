//! `quayside run`: one sandbox on the plain host, from launch to the end of its command.

use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use anyhow::{Context, bail, ensure};
use clap::Args;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::sys::termios;
use quayside_runtime::cgroup::tree::sweep_parents;
use quayside_runtime::image::{Sources, catalogue};
use quayside_runtime::launch::event::Event;
use quayside_runtime::launch::parent::{Launcher, Layers, Running};
use quayside_runtime::launch::{lease, teardown};
use quayside_runtime::shim::client::{self, NotRun, Viewer};
use quayside_runtime::shim::protocol::{Exec, Group, SCRIPT_MAX};
use quayside_runtime::shim::wire::{FromViewer, ToViewer};
use quayside_runtime::spec::data_dir::DataDir;
use quayside_runtime::spec::{SandboxId, SandboxSpec};

use super::Data;

/// The exit code of a command that could not be run, as shells give it.
const NOT_RUN: i32 = 127;

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    data: Data,
    /// Give standard input to the command (without -t: all of it, up to 1 MiB)
    #[arg(short)]
    interactive: bool,
    /// Run it in a terminal of the sandbox
    #[arg(short)]
    tty: bool,
    /// Print what would be done, as JSON, and do nothing
    #[arg(long)]
    plan: bool,
    /// Print every step of the launch with its system call and time
    #[arg(long)]
    trace: bool,
    /// Host name inside
    #[arg(long, default_value = "quayside")]
    hostname: String,
    /// A name of the catalogue (`quayside image ls`), or the path of a root file system
    image: String,
    /// What to run instead of a shell
    #[arg(last = true)]
    command: Vec<String>,
}

impl Run {
    pub fn main(self) -> anyhow::Result<i32> {
        let settings = self.data.settings()?;
        let data = super::open(&settings)?;
        if self.command.is_empty()
            && let Some(why) = no_machine(&self.image)
        {
            bail!(why);
        }
        let layers = layers(&data, &self.image, &super::sources(&settings.images)?)?;
        let launcher = Launcher::new(data, self.data.host()?, lease::WEB_ID)?;
        let spec = SandboxSpec {
            id: SandboxId::random(),
            image: self.image.clone(),
            hostname: self.hostname.clone(),
            prompt: r"\u@\h:\w\$ ".into(),
            limits: Default::default(),
            egress: Default::default(),
        };
        if self.plan {
            serde_json::to_writer_pretty(io::stdout(), &launcher.plan(spec, &layers)?)?;
            println!();
            return Ok(0);
        }
        let mut trace = |event: &Event| {
            if self.trace {
                eprintln!("{event}");
            }
        };
        // What a killed run has left; nobody else may come for it.
        let (_, left) = teardown::sweep(&launcher.data).context("cannot look for what has ended")?;
        left.iter().for_each(|left| eprintln!("quayside: {left}"));
        // From here on whoever is told to end has a sandbox to end; what is started gets a mask of its own.
        told_by().thread_block()?;
        let launched = launcher.launch(spec, &layers, &mut trace);
        let sweep = || sweep_parents(&launcher.host.cgroups, &launcher.host.cgroup_parent);
        let running = launched.inspect_err(|_| sweep())?;
        if self.trace {
            eprintln!("{:>9.3} ms in all", running.record.launch_us as f64 / 1000.0);
        }
        let told = end_when_told(&running);
        let socket = launcher.data.shims().join(teardown::socket_name(running.record.id));
        let result = match &told {
            Ok(_) if self.tty => self.in_terminal(&socket),
            Ok(_) => self.with_pipes(&socket),
            Err(_) => Ok(0),
        };
        let ended = end(&launcher.data, &running);
        sweep();
        let code = match told?.get() {
            Some(signal) => 128 + *signal as i32,
            None => result?,
        };
        ended?;
        Ok(code)
    }

    fn with_pipes(&self, socket: &Path) -> anyhow::Result<i32> {
        let mut input = Vec::new();
        if self.interactive {
            io::stdin().take(SCRIPT_MAX as u64 + 1).read_to_end(&mut input).context("cannot read standard input")?;
            ensure!(input.len() <= SCRIPT_MAX, "standard input has more than {SCRIPT_MAX} bytes; use -it, or a file");
        }
        let args = if self.command.is_empty() { vec!["bash".into()] } else { self.command.clone() };
        let exec = Exec {
            name: None,
            args,
            script_is_stdin: self.interactive,
            env: vec![],
            cwd: "/root".into(),
            group: Group::Payload,
            timeout_ms: 0,
            output_max: u64::MAX,
            stdout_path: None,
            stderr_path: None,
        };
        let finished = client::exec(socket, exec, &input, |stream, bytes| {
            // Who has closed our output does not want the rest.
            let _ = if stream == 1 { io::stdout().write_all(bytes) } else { io::stderr().write_all(bytes) };
            let _ = io::stdout().flush();
        });
        match finished {
            Ok(finished) => Ok(finished.code),
            Err(error) if error.get_ref().is_some_and(|inner| inner.is::<NotRun>()) => {
                eprintln!("quayside: {error}");
                Ok(NOT_RUN)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn in_terminal(&self, socket: &Path) -> anyhow::Result<i32> {
        let mut viewer = Viewer::open(socket, 1, self.command.clone())?;
        let raw = RawMode::enter();
        let mut winch = SigSet::empty();
        winch.add(Signal::SIGWINCH);
        winch.thread_block()?;
        let resized = SignalFd::with_flags(&winch, SfdFlags::SFD_CLOEXEC)?;
        let (cols, rows) = window_size();
        viewer.send(&FromViewer::Attach { viewer: 1, have: 0, cols, rows, restart: false, roles: false })?;
        let code = relay(&mut viewer, &resized);
        drop(raw);
        code
    }
}

/// Standard input to the terminal, its screen to standard output, until its program ends.
fn relay(viewer: &mut Viewer, resized: &SignalFd) -> anyhow::Result<i32> {
    let (mut typed, mut drawn) = (0u64, 0u64);
    let mut input_open = true;
    let mut buffer = [0; 4096];
    loop {
        let stdin = io::stdin();
        let mut fds = vec![
            PollFd::new(viewer.stream.as_fd(), PollFlags::POLLIN),
            PollFd::new(resized.as_fd(), PollFlags::POLLIN),
        ];
        if input_open {
            fds.push(PollFd::new(stdin.as_fd(), PollFlags::POLLIN));
        }
        poll(&mut fds, PollTimeout::NONE)?;
        let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
        drop(fds);
        if ready[1] {
            resized.read_signal()?;
            let (cols, rows) = window_size();
            viewer.send(&FromViewer::Resize { cols, rows })?;
        }
        if ready.get(2) == Some(&true) {
            let length = io::stdin().read(&mut buffer)?;
            input_open = length > 0;
            // A terminal's end of input is a key; a pipe's end is its end.
            let bytes = if input_open { buffer[..length].to_vec() } else { vec![0x04] };
            let number = typed;
            typed += bytes.len() as u64;
            viewer.send(&FromViewer::Input { number, bytes })?;
        }
        if ready[0] {
            match viewer.receive()? {
                Some(ToViewer::Output { bytes }) => {
                    io::stdout().write_all(&bytes)?;
                    io::stdout().flush()?;
                    drawn += bytes.len() as u64;
                    viewer.send(&FromViewer::Ack { offset: drawn })?;
                }
                Some(ToViewer::Attached { offset, .. }) => drawn = offset,
                Some(ToViewer::Exit { status }) => return Ok(status),
                Some(ToViewer::Notice { text, .. }) => eprintln!("{text}\r"),
                Some(_) => {}
                None => anyhow::bail!("the sandbox has ended"),
            }
        }
    }
}

/// Our own terminal without line discipline, as it was before when this is dropped.
struct RawMode(Option<termios::Termios>);

impl RawMode {
    fn enter() -> Self {
        let before = termios::tcgetattr(io::stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            termios::cfmakeraw(&mut raw);
            let _ = termios::tcsetattr(io::stdin(), termios::SetArg::TCSANOW, &raw);
        }
        Self(before)
    }
}

impl Drop for RawMode {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = termios::tcsetattr(io::stdin(), termios::SetArg::TCSANOW, before);
        }
    }
}

/// Of our own terminal; a usual one where there is none.
fn window_size() -> (u16, u16) {
    quayside_runtime::sys::window_size(io::stdout().as_fd()).unwrap_or((80, 24))
}

/// Why nobody can log in to an image, if that is so; said before anything is prepared. What is made for one service, or
/// to be built upon, has no shell of the kind that a machine has.
fn no_machine(image: &str) -> Option<String> {
    let offer = catalogue::answering(&image.parse().ok()?)?;
    let machines = catalogue::CATALOGUE.iter().filter(|it| it.is_machine).map(|it| it.name).collect::<Vec<_>>();
    (!offer.is_machine && !image.contains('/')).then(|| {
        format!(
            "{image} is no machine to log in to: it is there for Dockerfiles, and for commands of its own; run one (quayside run {image} -- COMMAND), or log in to {}",
            machines.join(", ")
        )
    })
}

/// A path with a slash is a root file system; anything else a name of the catalogue, prepared on demand.
fn layers(data: &DataDir, image: &str, sources: &Sources) -> anyhow::Result<Layers> {
    if image.contains('/') {
        let path = Path::new(image);
        ensure!(path.is_dir(), "there is no directory {image} to take as a root file system");
        return Ok(Layers { bottom_to_top: vec![PathBuf::from(path)], env: Vec::new() });
    }
    let image = super::image::prepare(data, image, sources)?;
    Ok(Layers { bottom_to_top: image.layer_paths(), env: image.env() })
}

/// What tells this to end.
fn told_by() -> SigSet {
    SigSet::from_iter([Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP])
}

/// From now on a signal that would end this process ends the sandbox first; `main` then goes on as
/// after any other end. Not before the launch, which wants one thread. Returns which signal it was.
fn end_when_told(running: &Running) -> anyhow::Result<Arc<OnceLock<Signal>>> {
    let shim = running.shim.try_clone()?;
    let told = Arc::new(OnceLock::new());
    let tell = Arc::clone(&told);
    let wait = move || {
        if let Ok(signal) = told_by().wait() {
            let _ = tell.set(signal);
            teardown::ask_to_end(shim.as_fd());
        }
    };
    std::thread::Builder::new().spawn(wait).context("cannot start a thread that waits for signals")?;
    Ok(told)
}

/// SIGTERM to the shim, which ends everything inside in order; then whatever is left.
fn end(data: &DataDir, running: &Running) -> anyhow::Result<()> {
    teardown::ask_to_end(running.shim.as_fd());
    let destroyed = teardown::destroy(data, &running.record).context("cannot remove the sandbox");
    let _ = nix::sys::wait::waitpid(nix::unistd::Pid::from_raw(running.record.shim_pid), None);
    destroyed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_machines_are_logged_in_to_and_who_asks_for_another_hears_what_to_do() {
        for image in ["host", "learner", "learner-docker", "/srv/root", "somebodys-own"] {
            assert_eq!(no_machine(image), None, "{image}");
        }
        let words = no_machine("nginx:1.25").expect("nginx is a service");
        assert!(words.contains("quayside run nginx:1.25 -- COMMAND") && words.contains("learner"), "{words}");
    }
}
