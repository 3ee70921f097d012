//! Connections: who connects, for what, and what viewers say.

use std::time::Instant;

use rustix::event::epoll;

use super::{Connection, Role, Shim, Source};
use crate::shim::files;
use crate::shim::frames::{Frames, Peer};
use crate::shim::protocol::{
    CONNECTIONS_MAX, FromShim, Open, Purpose, SCRIPT_MAX, SHIM_VERSION, State, TERMINALS_MAX, TerminalState, ToShim,
};
use crate::shim::terminal::{News, Shell, Terminal};
use crate::shim::wire::{FromViewer, ToViewer};

impl Shim {
    pub(super) fn accept(&mut self) {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.connections.len() >= CONNECTIONS_MAX {
                continue; // closed at once: the other side says that too many are open
            }
            if let Ok(frames) = Frames::new(stream) {
                let id = self.new_id();
                let connection = Connection { frames, role: Role::New, stalled: None, closing: false };
                self.connections.insert(id, connection);
            }
        }
    }

    pub(super) fn connection_ready(&mut self, id: u32, flags: epoll::EventFlags) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        if flags.contains(epoll::EventFlags::OUT) && connection.frames.flush().is_err() {
            return self.close(id);
        }
        if !flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            return;
        }
        let peer = connection.frames.fill();
        loop {
            let Some(connection) = self.connections.get_mut(&id) else { return };
            if connection.stalled.is_some() || connection.closing {
                break;
            }
            match connection.frames.next_frame() {
                Ok(Some(frame)) => {
                    if let Err(why) = self.frame(id, &frame) {
                        return self.refuse(id, &why);
                    }
                }
                Ok(None) => break,
                Err(error) => return self.refuse(id, &error.to_string()),
            }
        }
        if !matches!(peer, Ok(Peer::Open)) {
            self.close(id);
        }
    }

    /// Says why, then closes.
    pub(super) fn refuse(&mut self, id: u32, why: &str) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let frame = match connection.role {
            Role::Viewer { .. } => ToViewer::Notice { code: "refused".into(), text: why.into() }.encode(),
            _ => FromShim::Failed { message: why.into() }.encode(),
        };
        let _ = connection.frames.send(&frame);
        self.close(id);
    }

    pub(super) fn close(&mut self, id: u32) {
        self.unwatch(Source::Connection(id));
        let Some(connection) = self.connections.remove(&id) else { return };
        match connection.role {
            Role::Viewer { terminal, view: Some(_), .. } => {
                let watched = self.connections.values().any(
                    |other| matches!(&other.role, Role::Viewer { terminal: of, view: Some(_), .. } if *of == terminal),
                );
                if watched {
                    self.settle(terminal);
                } else if let Some(terminal) = self.terminals.get_mut(&terminal) {
                    terminal.unwatched(Instant::now());
                }
            }
            Role::Listener { job } => {
                // A script without a name belongs to its connection.
                if let Some(owned) = self.jobs.get_mut(&job)
                    && owned.exec.name.is_none()
                {
                    owned.kill();
                    if !owned.running() {
                        self.jobs.remove(&job);
                    }
                }
            }
            _ => {}
        }
    }

    pub(super) fn frame(&mut self, id: u32, frame: &[u8]) -> Result<(), String> {
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        match &mut connection.role {
            Role::New => self.open(id, frame),
            Role::Viewer { .. } => {
                let frame = FromViewer::decode(frame).map_err(|error| error.to_string())?;
                self.viewer_says(id, frame)
            }
            Role::ExecHead { script, .. } => match ToShim::decode(frame).map_err(|error| error.to_string())? {
                ToShim::Data(bytes) if script.len() + bytes.len() <= SCRIPT_MAX => {
                    script.extend(bytes);
                    Ok(())
                }
                ToShim::Data(_) => Err(format!("a script of more than {SCRIPT_MAX} bytes; put the rest into a file")),
                ToShim::End => self.start_job(id),
                ToShim::File(_) => Err("a file on a connection that runs a script".into()),
            },
            Role::Listener { .. } => Err("bytes behind a script's end".into()),
        }
    }

    pub(super) fn open(&mut self, id: u32, frame: &[u8]) -> Result<(), String> {
        let open = Open::decode(frame).map_err(|error| error.to_string())?;
        if open.version != SHIM_VERSION {
            return Err(format!("this sandbox speaks version {SHIM_VERSION}, not {}", open.version));
        }
        match open.purpose {
            Purpose::Terminal { number, command } if (1..=TERMINALS_MAX).contains(&number) => {
                self.set_role(id, Role::Viewer { terminal: number, viewer: 0, view: None });
                if !command.is_empty() && !self.terminals.contains_key(&number) {
                    self.commands.insert(number, command);
                }
            }
            Purpose::Terminal { number, .. } => {
                return Err(format!("terminal {number} of {TERMINALS_MAX}: close one first"));
            }
            // One that is there already is found behind its script: closed before, the other side could
            // not finish what it sends.
            Purpose::Exec(exec) => self.set_role(id, Role::ExecHead { exec, script: Vec::new() }),
            Purpose::Files => return self.take_files(id),
            Purpose::State => {
                let state = self.state();
                self.answer(id, &FromShim::State(state));
                self.close(id);
            }
        }
        Ok(())
    }

    pub(super) fn set_role(&mut self, id: u32, role: Role) {
        if let Some(connection) = self.connections.get_mut(&id) {
            connection.role = role;
        }
    }

    pub(super) fn state(&self) -> State {
        let viewers = |number| {
            let looks = |connection: &&Connection| matches!(&connection.role, Role::Viewer { terminal, view: Some(_), .. } if *terminal == number);
            self.connections.values().filter(looks).count() as u32
        };
        let terminals = self.terminals.iter().map(|(&number, terminal)| TerminalState {
            number,
            running: matches!(terminal.shell, Shell::Running { .. } | Shell::Starting),
            offset: terminal.offset(),
            viewers: viewers(number),
        });
        let named = self.jobs.values().filter_map(|job| Some((job.exec.name.clone()?, job.running())));
        State {
            version: SHIM_VERSION,
            terminals: terminals.collect(),
            named: named.collect(),
            input_ms_ago: self.input_at.map(|at| u64::try_from(at.elapsed().as_millis()).unwrap_or(u64::MAX)),
        }
    }

    pub(super) fn take_files(&mut self, id: u32) -> Result<(), String> {
        self.unwatch(Source::Connection(id));
        let Some(connection) = self.connections.remove(&id) else { return Ok(()) };
        let (stream, first) = connection.frames.into_parts();
        files::receive(&self.sandbox, stream, first).map_err(|error| error.to_string())
    }

    pub(super) fn viewer_says(&mut self, id: u32, frame: FromViewer) -> Result<(), String> {
        let now = Instant::now();
        if matches!(frame, FromViewer::Input { .. } | FromViewer::Run { .. }) {
            self.input_at = Some(now);
        }
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Role::Viewer { terminal: number, viewer, view } = &mut connection.role else { return Ok(()) };
        let number = *number;
        match frame {
            FromViewer::Attach { viewer: name, have, cols, rows, restart, roles } => {
                *viewer = name;
                self.attach(id, number, Looker { name, have, size: (cols, rows), restart, roles })
            }
            FromViewer::Ack { offset } => {
                if let (Some(terminal), Some(view)) = (self.terminals.get_mut(&number), view.as_mut()) {
                    terminal.acked(view, offset);
                }
                Ok(())
            }
            FromViewer::Ping { payload } => {
                connection.frames.send(&ToViewer::Pong { payload }.encode()).map_err(|error| error.to_string())
            }
            FromViewer::Resize { cols, rows } => {
                if let Some(view) = view {
                    view.size = (cols, rows);
                    self.settle(number);
                }
                Ok(())
            }
            FromViewer::Input { number: offset, bytes } => {
                let viewer = *viewer;
                let mut news = News::default();
                if let Some(terminal) = self.terminals.get_mut(&number)
                    && !terminal.typed_bytes(viewer, offset, &bytes, &mut news)
                {
                    connection.stalled = Some((offset, bytes));
                }
                self.tell(number, news);
                self.write_input(number);
                self.settle_typed(number, viewer);
                Ok(())
            }
            FromViewer::Run { id: run, flags, text } => {
                let viewer = *viewer;
                let Some(terminal) = self.terminals.get_mut(&number) else { return Err("attach first".into()) };
                let news = terminal.run(viewer, run, flags, text, now);
                self.tell(number, news);
                self.write_input(number);
                self.settle_typed(number, viewer);
                Ok(())
            }
        }
    }

    /// A viewer has typed. The keys of who typed before as well change nothing.
    fn settle_typed(&mut self, number: u16, viewer: u128) {
        if self.terminals.get(&number).is_some_and(|terminal| !terminal.is_writer(viewer)) {
            self.settle(number);
        }
    }

    fn attach(&mut self, id: u32, number: u16, looker: Looker) -> Result<(), String> {
        let Looker { name, have, size, restart, roles } = looker;
        let only_types = size == (0, 0);
        let fresh = !self.terminals.contains_key(&number);
        let terminal = self.terminals.entry(number).or_insert_with(|| Terminal::new(Instant::now()));
        if !only_types && !terminal.has_writer() {
            terminal.resize(size);
        }
        if fresh || (restart && matches!(terminal.shell, Shell::Ended { .. })) {
            self.start_shell(number);
        }
        if only_types {
            return Ok(());
        }
        let Some(terminal) = self.terminals.get_mut(&number) else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Role::Viewer { view, .. } = &mut connection.role else { return Ok(()) };
        *view = Some(terminal.view(name, size, roles));
        // The size first: a picture is drawn in it.
        self.settle(number);
        let Some(terminal) = self.terminals.get_mut(&number) else { return Ok(()) };
        let Some(connection) = self.connections.get_mut(&id) else { return Ok(()) };
        let Role::Viewer { view: Some(view), .. } = &mut connection.role else { return Ok(()) };
        for frame in terminal.attach(view, have, Instant::now()) {
            connection.frames.send(&frame.encode()).map_err(|error| error.to_string())?;
        }
        Ok(())
    }
}

/// Who attaches, and to what they come back.
struct Looker {
    name: u128,
    have: u64,
    size: (u16, u16),
    restart: bool,
    roles: bool,
}
