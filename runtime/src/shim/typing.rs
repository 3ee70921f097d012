//! How a lesson's command is typed, and when it has ended.
//!
//! ```text
//! Queued ──prompt──▶ Running ──prompt──▶ Done | Failed      typed at our own prompt
//!    └──no prompt in time, or something else runs──▶ Sent   typed, and nobody will know how it ends
//! ```
//!
//! An id is typed once, ever: the page sends a press again after a lost connection.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::marks::Mark;
use super::wire::{RunFlags, RunState};

/// Presses that wait for a prompt. Nobody presses more often than this before a shell starts.
const QUEUE_MAX: usize = 32;
/// Presses remembered, so that a repeat is known. A lesson has at most some hundred actions.
const REMEMBERED_MAX: usize = 1024;
/// A shell that has shown no prompt of ours by then has none: sh, or an image without bash.
const FIRST_PROMPT: Duration = Duration::from_secs(10);
/// After Ctrl-C the prompt is back, or the program does not care.
const AFTER_INTERRUPT: Duration = Duration::from_secs(2);

const CTRL_C: u8 = 0x03;

#[derive(Debug)]
struct Run {
    id: u128,
    flags: RunFlags,
    text: String,
}

/// What the shell does, as far as its output tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shell {
    /// No prompt seen yet.
    Starting,
    AtPrompt,
    /// A command runs, or something that shows no prompt of ours.
    Busy,
}

#[derive(Debug)]
pub struct Typing {
    shell: Shell,
    bracketed: bool,
    alternate: bool,
    /// How the command before the coming prompt ended. A prompt without such news is only drawn again: readline
    /// does so when it takes a paste of several lines, on Ctrl-L and after a resize.
    ended: Option<i32>,
    queue: VecDeque<Run>,
    /// When the head of the queue is typed whether or not a prompt came.
    deadline: Option<Instant>,
    /// Typed at the prompt, not back yet.
    active: Option<u128>,
    remembered: VecDeque<(u128, RunState, i32)>,
    started: Instant,
}

/// What is to be done about it: bytes for the pty, and news for the viewers.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Effects {
    pub write: Vec<u8>,
    pub news: Vec<(u128, RunState, i32)>,
}

impl Typing {
    pub fn new(now: Instant) -> Self {
        Self {
            shell: Shell::Starting,
            bracketed: false,
            alternate: false,
            ended: None,
            queue: VecDeque::new(),
            deadline: None,
            active: None,
            remembered: VecDeque::new(),
            started: now,
        }
    }

    /// A new shell in the same terminal: what waited or ran has no shell any more.
    pub fn shell_ended(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        let queued: Vec<u128> = self.queue.drain(..).map(|run| run.id).collect();
        for id in queued {
            self.tell(id, RunState::Refused, 0, &mut effects);
        }
        if let Some(id) = self.active.take() {
            self.tell(id, RunState::Sent, 0, &mut effects);
        }
        let remembered = std::mem::take(&mut self.remembered);
        *self = Self { remembered, ..Self::new(now) };
        effects
    }

    /// A press. A repeat is answered with where the first one stands.
    pub fn run(&mut self, id: u128, flags: RunFlags, text: String, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if let Some(&(_, state, code)) = self.remembered.iter().find(|(known, ..)| *known == id) {
            effects.news.push((id, state, code));
            return effects;
        }
        if self.queue.len() == QUEUE_MAX {
            self.tell(id, RunState::Refused, 0, &mut effects);
            return effects;
        }
        let first = self.queue.is_empty();
        self.queue.push_back(Run { id, flags, text });
        self.tell(id, RunState::Queued, 0, &mut effects);
        if first {
            self.begin_head(now, &mut effects);
        }
        effects
    }

    /// What the output said.
    pub fn heard(&mut self, mark: Mark, now: Instant) -> Effects {
        let mut effects = Effects::default();
        match mark {
            Mark::CommandStart => self.shell = Shell::Busy,
            Mark::CommandEnd(code) => self.ended = Some(code),
            Mark::BracketedPaste(on) => self.bracketed = on,
            Mark::AlternateScreen(on) => self.alternate = on,
            Mark::Mode(..) | Mark::Reset => {}
            Mark::Prompt => {
                let Some(code) = self.ended.take().or((self.shell == Shell::Starting).then_some(0)) else {
                    return effects;
                };
                self.shell = Shell::AtPrompt;
                if let Some(id) = self.active.take() {
                    let state = if code == 0 { RunState::Done } else { RunState::Failed };
                    self.tell(id, state, code, &mut effects);
                }
                self.deadline = None;
                self.type_head(now, &mut effects);
            }
        }
        effects
    }

    /// When [`Typing::timeout`] wants to be called.
    pub fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    pub fn timeout(&mut self, now: Instant) -> Effects {
        let mut effects = Effects::default();
        if self.deadline.is_some_and(|deadline| deadline <= now) {
            self.deadline = None;
            if self.shell == Shell::Starting {
                self.shell = Shell::Busy;
            }
            self.type_head(now, &mut effects);
        }
        effects
    }

    /// The head of the queue has just become it.
    fn begin_head(&mut self, now: Instant, effects: &mut Effects) {
        let Some(head) = self.queue.front() else { return };
        if self.shell == Shell::Starting && now < self.started + FIRST_PROMPT {
            self.deadline = Some(self.started + FIRST_PROMPT);
        } else if head.flags.interrupt {
            effects.write.push(CTRL_C);
            self.shell = Shell::Busy;
            self.deadline = Some(now + AFTER_INTERRUPT);
        } else {
            self.type_head(now, effects);
        }
    }

    fn type_head(&mut self, now: Instant, effects: &mut Effects) {
        let Some(run) = self.queue.pop_front() else { return };
        effects.write.extend(keystrokes(&run, self.bracketed));
        if self.shell == Shell::AtPrompt && !run.flags.no_newline {
            // Busy from the keystroke on: the mark that says so comes later than the next press may.
            self.shell = Shell::Busy;
            self.active = Some(run.id);
            self.tell(run.id, RunState::Running, 0, effects);
        } else {
            self.tell(run.id, RunState::Sent, 0, effects);
        }
        if self.shell == Shell::AtPrompt || !self.queue.is_empty() {
            self.begin_head(now, effects);
        }
    }

    fn tell(&mut self, id: u128, state: RunState, code: i32, effects: &mut Effects) {
        match self.remembered.iter_mut().find(|(known, ..)| *known == id) {
            Some(entry) => *entry = (id, state, code),
            None => {
                if self.remembered.len() == REMEMBERED_MAX {
                    self.remembered.pop_front();
                }
                self.remembered.push_back((id, state, code));
            }
        }
        effects.news.push((id, state, code));
    }

    /// Every press that is not over, for a viewer that comes back.
    pub fn standing(&self) -> impl Iterator<Item = (u128, RunState, i32)> {
        self.remembered.iter().copied()
    }
}

/// The bytes of a run: as a bracketed paste where the shell takes one, so that a tab does not
/// complete and a line's end does not run half of it; then Enter.
fn keystrokes(run: &Run, bracketed: bool) -> Vec<u8> {
    let control = |c: char| c.is_control() && c != '\n' && c != '\t';
    let only_control = !run.text.is_empty() && run.text.chars().all(|c| c.is_control() && c != '\n');
    if only_control {
        return run.text.clone().into_bytes();
    }
    // An escape inside would end the paste early, and the rest would be typed.
    let text: String = run.text.replace("\r\n", "\n").chars().filter(|&c| !control(c)).collect();
    let text = text.trim_end_matches('\n');
    let mut bytes = Vec::with_capacity(text.len() + 16);
    if bracketed && (text.contains('\n') || text.contains('\t')) {
        bytes.extend(b"\x1b[200~");
        bytes.extend(text.as_bytes());
        bytes.extend(b"\x1b[201~");
    } else {
        bytes.extend(text.replace('\n', "\r").as_bytes());
    }
    if !run.flags.no_newline {
        bytes.push(b'\r');
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_prompt() -> (Typing, Instant) {
        let now = Instant::now();
        let mut typing = Typing::new(now);
        typing.heard(Mark::BracketedPaste(true), now);
        typing.heard(Mark::Prompt, now);
        (typing, now)
    }

    fn run(typing: &mut Typing, id: u128, text: &str, now: Instant) -> Effects {
        typing.run(id, RunFlags::default(), text.into(), now)
    }

    #[test]
    fn a_press_at_the_prompt_runs_and_ends_with_the_code() {
        let (mut typing, now) = at_prompt();
        let effects = run(&mut typing, 7, "false", now);
        assert_eq!(effects.write, b"false\r");
        assert_eq!(effects.news, [(7, RunState::Queued, 0), (7, RunState::Running, 0)]);
        typing.heard(Mark::CommandStart, now);
        typing.heard(Mark::CommandEnd(1), now);
        assert_eq!(typing.heard(Mark::Prompt, now).news, [(7, RunState::Failed, 1)]);
    }

    #[test]
    fn a_prompt_that_is_only_drawn_again_ends_nothing() {
        let (mut typing, now) = at_prompt();
        typing.heard(Mark::CommandEnd(130), now);
        typing.heard(Mark::Prompt, now);
        run(&mut typing, 7, "cd /tmp\nfalse", now);
        // readline takes the highlight off the pasted lines.
        assert_eq!(typing.heard(Mark::Prompt, now), Effects::default());
        for mark in [Mark::CommandStart, Mark::CommandStart, Mark::CommandEnd(1)] {
            typing.heard(mark, now);
        }
        assert_eq!(typing.heard(Mark::Prompt, now).news, [(7, RunState::Failed, 1)]);
    }

    #[test]
    fn the_same_press_twice_is_typed_once() {
        let (mut typing, now) = at_prompt();
        run(&mut typing, 7, "date", now);
        let again = run(&mut typing, 7, "date", now);
        assert_eq!(again, Effects { write: vec![], news: vec![(7, RunState::Running, 0)] });
    }

    #[test]
    fn a_press_before_the_first_prompt_waits_for_it() {
        let now = Instant::now();
        let mut typing = Typing::new(now);
        assert!(run(&mut typing, 1, "a", now).write.is_empty());
        assert!(run(&mut typing, 2, "b", now).write.is_empty());
        let effects = typing.heard(Mark::Prompt, now);
        assert_eq!(effects.write, b"a\rb\r", "the second is typed ahead");
        assert_eq!(effects.news, [(1, RunState::Running, 0), (2, RunState::Sent, 0)]);
    }

    #[test]
    fn a_shell_without_marks_gets_its_keys_in_the_end() {
        let now = Instant::now();
        let mut typing = Typing::new(now);
        run(&mut typing, 1, "a", now);
        let later = now + FIRST_PROMPT;
        assert_eq!(typing.deadline(), Some(later));
        let effects = typing.timeout(later);
        assert_eq!((effects.write.as_slice(), effects.news.as_slice()), (&b"a\r"[..], &[(1, RunState::Sent, 0)][..]));
    }

    #[test]
    fn while_something_runs_a_press_is_only_sent() {
        let (mut typing, now) = at_prompt();
        run(&mut typing, 1, "python3", now);
        typing.heard(Mark::CommandStart, now);
        assert_eq!(run(&mut typing, 2, "print(1)", now).news.last(), Some(&(2, RunState::Sent, 0)));
    }

    #[test]
    fn an_interrupt_waits_for_the_prompt_that_follows_it() {
        let (mut typing, now) = at_prompt();
        run(&mut typing, 1, "sleep 100", now);
        typing.heard(Mark::CommandStart, now);
        let flags = RunFlags { interrupt: true, ..RunFlags::default() };
        let effects = typing.run(2, flags, "date".into(), now);
        assert_eq!(effects.write, [CTRL_C]);
        typing.heard(Mark::CommandEnd(130), now);
        let effects = typing.heard(Mark::Prompt, now);
        assert_eq!(effects.write, b"date\r");
        assert_eq!(effects.news, [(1, RunState::Failed, 130), (2, RunState::Running, 0)]);
    }

    #[test]
    fn several_lines_are_one_paste_and_cannot_leave_it() {
        let (mut typing, now) = at_prompt();
        let effects = run(&mut typing, 1, "cat <<E\n\tx\x1b[201~\nE\n", now);
        assert_eq!(effects.write, b"\x1b[200~cat <<E\n\tx[201~\nE\x1b[201~\r");
    }

    #[test]
    fn a_control_key_goes_as_it_is() {
        let (mut typing, now) = at_prompt();
        let flags = RunFlags { no_newline: true, ..RunFlags::default() };
        assert_eq!(typing.run(1, flags, "\x03".into(), now).write, [CTRL_C]);
    }

    #[test]
    fn a_shell_that_ends_leaves_no_press_waiting() {
        let (mut typing, now) = at_prompt();
        run(&mut typing, 1, "exit", now);
        assert_eq!(typing.shell_ended(now).news, [(1, RunState::Sent, 0)]);
        assert!(run(&mut typing, 2, "date", now).write.is_empty(), "a new shell has shown no prompt");
    }
}
