//! A learner's fingers and eyes: presses a text's run actions in their terminals, and sees what the terminals show.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::shim::wire::{FromViewer, RunFlags, RunState, ToViewer};
use tokio::sync::{Mutex, watch};
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use uuid::Uuid;

use crate::lesson::actions::keys;
use crate::lesson::model::{Action, ActionVerb, Page, Terminal};
use crate::sandbox::{FrameReader, FrameWriter, Sandbox, ShimError};
use crate::session::check::plain;
use crate::session::files;

/// A command that has said nothing for so long is taken for one that stays, as a server does. Lessons wait with
/// `sleep 1` at most, in their own words or in what they run.
const QUIET: Duration = Duration::from_millis(1500);
/// What was typed into a program of which nobody knows when it is done gets this long to say something more.
const QUIET_SENT: Duration = Duration::from_millis(500);
/// From one terminal to another a learner takes a moment, in which what a command did to the other one is seen.
const WANDER: Duration = Duration::from_millis(300);
/// However much a command goes on saying, the next one comes then, as a learner who has seen enough.
const PRESS_MAX: Duration = Duration::from_secs(20);
/// How long a check waits for commands that still run, before it has its last word.
const FINISH_MAX: Duration = Duration::from_secs(20);
/// The end of what a terminal showed that is kept for a finding.
const TAIL_MAX: usize = 4096;
/// Lines of it that a finding quotes.
const TAIL_LINES: usize = 6;
/// Letters of a command that a finding quotes.
const TEXT_CHARS: usize = 60;

/// The size of a terminal that nobody has dragged.
const SIZE: (u16, u16) = (100, 30);

pub struct Typist {
    sandbox: Sandbox,
    desks: BTreeMap<u16, Desk>,
    /// The terminal in front: the last one that something was typed into.
    front: u16,
}

/// One terminal, and the task that reads it.
struct Desk {
    writer: Arc<Mutex<FrameWriter>>,
    screen: watch::Receiver<Screen>,
    reading: AbortHandle,
}

/// What is known of a terminal.
#[derive(Debug, Default)]
struct Screen {
    runs: HashMap<u128, (RunState, i32)>,
    tail: Vec<u8>,
    over: bool,
}

/// An action that was pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pressed {
    text: String,
    terminal: u16,
    /// Where it stood when the next one was pressed; `None`: it never reached the terminal.
    state: Option<(RunState, i32)>,
}

impl Typist {
    /// Opens terminal 1.
    pub async fn sit_down(sandbox: &Sandbox) -> Result<Self, ShimError> {
        let mut typist = Self { sandbox: sandbox.clone(), desks: BTreeMap::new(), front: 1 };
        typist.desk(1).await?;
        Ok(typist)
    }

    /// Presses every run action of a page's text, and every one that writes a file, in order, each when the one before has had its time.
    pub async fn press_all(&mut self, page: &Page) -> Vec<Pressed> {
        let mut pressed = Vec::new();
        for action in &page.actions[..page.text_actions] {
            if let ActionVerb::Run { terminal, interrupt, no_newline, ctrl_seq } = action.verb {
                let number = match terminal {
                    Terminal::Active => self.front,
                    Terminal::Number(number) => number,
                };
                let flags = RunFlags { interrupt, no_newline: no_newline || ctrl_seq };
                pressed.push(self.press(number, flags, action, ctrl_seq).await);
            } else if let (ActionVerb::Write(how), Some(target)) = (action.verb, &action.target)
                && let Err(error) = files::write(&self.sandbox, target, how, &action.text).await
            {
                pressed.push(Pressed { text: format!("{}: {error}", target.path), terminal: self.front, state: None });
            }
        }
        pressed
    }

    async fn press(&mut self, terminal: u16, flags: RunFlags, action: &Action, ctrl_seq: bool) -> Pressed {
        if std::mem::replace(&mut self.front, terminal) != terminal {
            sleep(WANDER).await;
        }
        let pieces = if ctrl_seq { keys(&action.text) } else { vec![action.text.clone()] };
        let mut state = None;
        for text in pieces {
            state = match self.desk(terminal).await {
                Ok(desk) => desk.press(flags, text).await,
                Err(_) => None,
            };
        }
        Pressed { text: action.text.clone(), terminal, state }
    }

    /// Until no terminal has anything under way that still says something.
    pub async fn settle(&self) {
        for desk in self.desks.values() {
            let under_way: Vec<u128> = desk.under_way();
            for id in under_way {
                desk.await_press(id).await;
            }
        }
    }

    /// Waits, within bounds, for what still runs. Whether anything ended meanwhile.
    pub async fn finish(&self) -> bool {
        let deadline = Instant::now() + FINISH_MAX;
        let mut ended = false;
        for desk in self.desks.values() {
            let before = desk.under_way();
            let mut screen = desk.screen.clone();
            let all_over = screen.wait_for(|screen| before.iter().all(|id| !is_under_way(screen.runs.get(id))));
            let _ = timeout_at(deadline, all_over).await;
            ended |= desk.under_way().len() < before.len();
        }
        ended
    }

    /// What the terminals show at last, for a finding.
    pub fn last_lines(&self) -> String {
        let mut said = String::new();
        for (number, desk) in &self.desks {
            let shown = plain(&String::from_utf8_lossy(&desk.screen.borrow().tail));
            let lines: Vec<&str> = shown.lines().filter(|line| !line.trim().is_empty()).collect();
            said += &format!("\nterminal {number} shows:");
            lines[lines.len().saturating_sub(TAIL_LINES)..].iter().for_each(|line| said += &format!("\n  {line}"));
        }
        said
    }

    async fn desk(&mut self, number: u16) -> Result<&Desk, ShimError> {
        if !self.desks.contains_key(&number) {
            let desk = Desk::open(&self.sandbox, number).await?;
            self.desks.insert(number, desk);
        }
        Ok(&self.desks[&number])
    }
}

impl Desk {
    async fn open(sandbox: &Sandbox, number: u16) -> Result<Self, ShimError> {
        let mut link = sandbox.terminal(number, None).await?;
        let (cols, rows) = SIZE;
        let attach =
            FromViewer::Attach { viewer: Uuid::new_v4().as_u128(), have: 0, cols, rows, restart: false, roles: false };
        link.writer.write(&attach.encode()[..]).await?;
        let writer = Arc::new(Mutex::new(link.writer));
        let (seen, screen) = watch::channel(Screen::default());
        let reading = tokio::spawn(read(link.reader, writer.clone(), seen)).abort_handle();
        Ok(Self { writer, screen, reading })
    }

    /// `None`: it did not reach the terminal.
    async fn press(&self, flags: RunFlags, text: String) -> Option<(RunState, i32)> {
        let id = Uuid::new_v4().as_u128();
        let run = FromViewer::Run { id, flags, text };
        // The lock is gone behind this line: whoever reads needs it to acknowledge.
        let sent = self.writer.lock().await.write(&run.encode()[..]).await;
        sent.ok()?;
        self.await_press(id).await
    }

    fn under_way(&self) -> Vec<u128> {
        let screen = self.screen.borrow();
        screen.runs.keys().copied().filter(|id| is_under_way(screen.runs.get(id))).collect()
    }

    /// Until a press is over, or its command seems to stay.
    async fn await_press(&self, id: u128) -> Option<(RunState, i32)> {
        let mut screen = self.screen.clone();
        let _ = timeout(PRESS_MAX, async {
            loop {
                let state = {
                    let screen = screen.borrow_and_update();
                    if screen.over { None } else { Some(screen.runs.get(&id).map(|(state, _)| *state)) }
                };
                let quiet = match state {
                    Some(None | Some(RunState::Queued)) => PRESS_MAX,
                    Some(Some(RunState::Running)) => QUIET,
                    Some(Some(RunState::Sent)) => QUIET_SENT,
                    Some(Some(RunState::Done | RunState::Failed | RunState::Refused)) | None => return,
                };
                tokio::select! {
                    changed = screen.changed() => if changed.is_err() { return },
                    () = sleep(quiet) => return,
                }
            }
        })
        .await;
        self.screen.borrow().runs.get(&id).copied()
    }
}

impl Drop for Desk {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

fn is_under_way(run: Option<&(RunState, i32)>) -> bool {
    matches!(run, Some((RunState::Queued | RunState::Running, _)))
}

/// Reads a terminal and acknowledges, so that the machine goes on.
async fn read(mut reader: FrameReader, writer: Arc<Mutex<FrameWriter>>, seen: watch::Sender<Screen>) {
    let mut drawn = 0;
    while let Ok(Some(frame)) = reader.next().await {
        match ToViewer::decode(&frame) {
            Ok(ToViewer::Attached { offset, .. }) => drawn = offset,
            Ok(ToViewer::Output { bytes }) => {
                drawn += bytes.len() as u64;
                let ack = FromViewer::Ack { offset: drawn }.encode();
                if writer.lock().await.write(&ack[..]).await.is_err() {
                    break;
                }
                seen.send_modify(|screen| screen.show(&bytes));
            }
            Ok(ToViewer::RunState { id, state, code }) => {
                seen.send_modify(|screen| {
                    screen.runs.insert(id, (state, code));
                });
            }
            Ok(ToViewer::Exit { .. }) | Err(_) => break,
            Ok(_) => {}
        }
    }
    seen.send_modify(|screen| screen.over = true);
}

impl Screen {
    fn show(&mut self, bytes: &[u8]) {
        self.tail.extend_from_slice(bytes);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL_MAX));
    }
}

/// `pressed in terminal 2: ls: exit code 1`.
impl fmt::Display for Pressed {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let first = self.text.lines().next().unwrap_or_default();
        let mut text: String = first.chars().take(TEXT_CHARS).collect();
        if text.len() < self.text.trim_end().len() {
            text.push('…');
        }
        let end = match self.state {
            None => "it could not be typed".into(),
            Some((RunState::Queued, _)) => "it still waits for a prompt".into(),
            Some((RunState::Sent, _)) => "typed into what ran there".into(),
            Some((RunState::Running, _)) => "it goes on running".into(),
            Some((RunState::Done, _)) => "done".into(),
            Some((RunState::Failed, code)) => format!("exit code {code}"),
            Some((RunState::Refused, _)) => "no shell took it".into(),
        };
        write!(out, "pressed in terminal {}: {text}: {end}", self.terminal)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_press_is_told_in_one_short_line() {
        let press = |text: &str, state| Pressed { text: text.into(), terminal: 2, state }.to_string();
        assert_eq!(press("ls", Some((RunState::Failed, 2))), "pressed in terminal 2: ls: exit code 2");
        assert_eq!(press("for\ndone", Some((RunState::Done, 0))), "pressed in terminal 2: for…: done");
        assert_eq!(press("ls\n", None), "pressed in terminal 2: ls: it could not be typed");
    }
}
