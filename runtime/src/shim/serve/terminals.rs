//! Terminals: shells started, ptys read and written, viewers told and fed.

use std::time::Instant;

use rustix::event::epoll;

use super::{Connection, For, Role, Shim};
use crate::shim::enter::{Program, Stdio};
use crate::shim::protocol::Group;
use crate::shim::terminal::{News, Shell, Terminal};
use crate::shim::wire::ToViewer;

impl Shim {
    pub(super) fn start_shell(&mut self, number: u16) {
        let terminal = self.terminals.entry(number).or_insert_with(|| Terminal::new(Instant::now()));
        terminal.shell = Shell::Starting;
        let (cols, rows) = terminal.size();
        let program = Program {
            args: self.commands.get(&number).cloned().unwrap_or_else(|| vec!["bash".into()]),
            env: self.sandbox.plan.env.clone(),
            cwd: "/root".into(),
            group: Group::Payload,
            script: None,
            script_is_stdin: false,
            stdio: Stdio::Terminal { cols, rows },
        };
        self.send_envoy(For::Terminal(number), program);
    }

    pub(super) fn pty_ready(&mut self, number: u16, flags: epoll::EventFlags, buffer: &mut [u8]) {
        if flags.contains(epoll::EventFlags::OUT) {
            self.write_input(number);
        }
        if flags.intersects(epoll::EventFlags::IN | epoll::EventFlags::HUP | epoll::EventFlags::ERR) {
            self.read_pty(number, buffer);
        }
    }

    /// Reads what is there, up to a burst, as one piece of output. Returns its length.
    pub(super) fn read_pty(&mut self, number: u16, buffer: &mut [u8]) -> usize {
        let Some(terminal) = self.terminals.get_mut(&number) else { return 0 };
        let Shell::Running { pty, .. } = &terminal.shell else { return 0 };
        let mut length = 0;
        while length < buffer.len() {
            match rustix::io::read(&pty.fd, &mut buffer[length..]) {
                Ok(0) => break,
                Ok(read) => length += read,
                Err(rustix::io::Errno::INTR) => {}
                // EIO: nobody holds the other side at the moment. The shell's exit ends the terminal.
                Err(_) => break,
            }
        }
        if length > 0 {
            let news = terminal.output(&buffer[..length], Instant::now());
            self.tell(number, news);
            self.write_input(number);
        }
        length
    }

    pub(super) fn write_input(&mut self, number: u16) {
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        if !terminal.wants_input() {
            return;
        }
        let mut news = News::default();
        // A pty that takes nothing any more ends with its shell.
        let _ = terminal.write_input(&mut news);
        self.tell(number, news);
        self.retry_stalled(number);
    }

    pub(super) fn retry_stalled(&mut self, number: u16) {
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        let mut news = News::default();
        for connection in self.connections.values_mut() {
            let Role::Viewer { terminal: of, viewer, .. } = connection.role else { continue };
            if of != number {
                continue;
            }
            if let Some((offset, bytes)) = connection.stalled.take()
                && !terminal.typed_bytes(viewer, offset, &bytes, &mut news)
            {
                connection.stalled = Some((offset, bytes));
            }
        }
        self.tell(number, news);
    }

    /// Sends news to the connections of a terminal; one that does not read is closed.
    pub(super) fn tell(&mut self, number: u16, news: News) {
        if news.to_all.is_empty() && news.to_viewer.is_empty() {
            return;
        }
        let mut gone = Vec::new();
        for (&id, connection) in &mut self.connections {
            let Role::Viewer { terminal, viewer, .. } = connection.role else { continue };
            if terminal != number {
                continue;
            }
            let mine = news.to_viewer.iter().filter(|(whose, _)| *whose == viewer).map(|(_, frame)| frame);
            for frame in news.to_all.iter().chain(mine) {
                if connection.frames.send(&frame.encode()).is_err() {
                    gone.push(id);
                    break;
                }
            }
        }
        gone.into_iter().for_each(|id| self.close(id));
    }

    /// After somebody came, went, typed or has another size: who the writer is, and who must be told.
    pub(super) fn settle(&mut self, number: u16) {
        let Some(terminal) = self.terminals.get_mut(&number) else { return };
        let looks =
            |connection: &Connection| matches!(connection.role, Role::Viewer { terminal, .. } if terminal == number);
        terminal.elect(self.connections.values().filter(|it| looks(it)).filter_map(|it| it.role.view()));
        let mut gone = Vec::new();
        for (&id, connection) in &mut self.connections {
            let Role::Viewer { terminal: of, view: Some(view), .. } = &mut connection.role else { continue };
            let role = (terminal.is_writer(view.viewer), terminal.size());
            if *of != number || !view.roles || view.told == Some(role) {
                continue;
            }
            view.told = Some(role);
            let (writer, (cols, rows)) = role;
            if connection.frames.send(&ToViewer::Role { writer, cols, rows }.encode()).is_err() {
                gone.push(id);
            }
        }
        gone.into_iter().for_each(|id| self.close(id));
    }

    pub(super) fn feed_viewers(&mut self) {
        let now = Instant::now();
        let mut gone = Vec::new();
        for (&id, connection) in &mut self.connections {
            if let Role::Viewer { terminal, view: Some(view), .. } = &mut connection.role
                && let Some(terminal) = self.terminals.get_mut(terminal)
                && terminal.feed(view, &mut connection.frames, now).is_err()
            {
                gone.push(id);
            }
        }
        gone.into_iter().for_each(|id| self.close(id));
    }
}
