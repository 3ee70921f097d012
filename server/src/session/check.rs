//! A check: a step's verify script, run inside, and what its end means.

use std::time::Duration;

use quayside_runtime::shim::protocol::{Exec, Finished, Group};

use super::view::{Check, Outcome};
use crate::lesson::model::Verify;
use crate::sandbox::{Sandbox, ShimError, in_home};

/// How long a check may run: authors are told to stay below five seconds.
pub const CHECK_MAX: Duration = Duration::from_secs(30);
/// What a check may print; the rest is counted.
const OUTPUT_MAX: u64 = 64 * 1024;
/// The shim keeps the time limit; this is for a shim that does not.
const GRACE: Duration = Duration::from_secs(10);

/// Runs the check of `step` to its end.
pub async fn run(sandbox: &Sandbox, step: u32, verify: &Verify) -> Check {
    let mut printed = Printed::default();
    let begun = std::time::Instant::now();
    let end = tokio::time::timeout(CHECK_MAX + GRACE, execute(sandbox, verify, &mut printed)).await;
    let seconds = begun.elapsed().as_secs_f64();
    let (is, words) = match end {
        Ok(Ok(finished)) => judge(verify, &finished, &printed),
        Ok(Err(error)) => (Outcome::Broken, broken(&error)),
        Err(_) => (Outcome::Broken, broken(&ShimError::Slow)),
    };
    Check { step, is, words, seconds }
}

async fn execute(sandbox: &Sandbox, verify: &Verify, printed: &mut Printed) -> Result<Finished, ShimError> {
    let exec = Exec {
        timeout_ms: CHECK_MAX.as_millis() as u64,
        output_max: OUTPUT_MAX,
        ..in_home(["bash", "{script}"], Group::Check)
    };
    sandbox.exec(exec, &verify.script.bytes).await?.finish(|stream, bytes| printed.add(stream, bytes)).await
}

/// What a script printed: both streams as they came, and standard output alone.
#[derive(Debug, Default)]
struct Printed {
    both: Vec<u8>,
    stdout: Vec<u8>,
}

impl Printed {
    fn add(&mut self, stream: u8, bytes: &[u8]) {
        // The shim keeps the limit; a second fence costs one comparison.
        let room = (OUTPUT_MAX as usize).saturating_sub(self.both.len());
        let bytes = &bytes[..bytes.len().min(room)];
        self.both.extend_from_slice(bytes);
        if stream == 1 {
            self.stdout.extend_from_slice(bytes);
        }
    }

    /// Without what only a terminal understands.
    fn words(&self) -> String {
        plain(&String::from_utf8_lossy(&self.both)).trim().to_owned()
    }

    fn says_done(&self) -> bool {
        plain(&String::from_utf8_lossy(&self.stdout)).split_whitespace().any(|word| word == "done")
    }
}

/// Exit code 0 is a pass; a script that speaks only by `echo done` must also have said it.
fn judge(verify: &Verify, finished: &Finished, printed: &Printed) -> (Outcome, String) {
    let words = printed.words();
    if finished.timed_out {
        let limit = CHECK_MAX.as_secs();
        let said = if words.is_empty() { String::new() } else { format!("\n\nIt had printed:\n{words}") };
        let text = format!(
            "The check did not finish within {limit} seconds and was ended. Either the machine is very busy, or the \
             lesson's check waits for something that does not come.{said}"
        );
        return (Outcome::Broken, text);
    }
    let passed = finished.code == 0 && (!verify.wants_done || printed.says_done());
    let words = match finished.dropped_bytes {
        0 => words,
        dropped => format!("{words}\n({dropped} more bytes are not shown)"),
    };
    match (passed, words.is_empty()) {
        // The word is meant for a program; a learner who sees only "done" learns nothing.
        (true, false) if words == "done" => (Outcome::Passed, PASSED.into()),
        (true, true) => (Outcome::Passed, PASSED.into()),
        (true, false) => (Outcome::Passed, words),
        (false, false) => (Outcome::Failed, words),
        (false, true) => (Outcome::Failed, FAILED.into()),
    }
}

const PASSED: &str = "That is right.";
const FAILED: &str = "Not yet. The check does not say what is missing; compare with what the step asks for.";

fn broken(error: &ShimError) -> String {
    match error {
        ShimError::Gone(_) => "The check could not run: the machine is gone.".into(),
        ShimError::Slow => "The check could not run: the machine does not answer.".into(),
        ShimError::Failed(message) => format!("The check could not run. The machine says: {message}"),
        error => format!("The check could not run, and that is not your doing: {error}."),
    }
}

/// Text without escape sequences and control characters: what a learner would have read in a terminal.
///
/// `ESC [ … letter` (CSI), `ESC ] … BEL` or `ESC \` (OSC, and the other strings), and any other `ESC` with the
/// character behind it go. So does everything before a carriage return that redraws its line.
pub fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\u{1b}' => skip_sequence(&mut chars),
            '\r' if chars.peek() == Some(&'\n') => {}
            '\r' => out.truncate(out.rfind('\n').map_or(0, |at| at + 1)),
            '\u{8}' => {
                if !out.ends_with('\n') {
                    out.pop();
                }
            }
            '\n' | '\t' => out.push(c),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

fn skip_sequence(chars: &mut std::iter::Peekable<std::str::Chars>) {
    match chars.next() {
        Some('[') => while chars.next().is_some_and(|c| !('\u{40}'..='\u{7e}').contains(&c)) {},
        Some(']' | 'P' | 'X' | '^' | '_') => {
            while let Some(c) = chars.next() {
                if c == '\u{7}' || (c == '\u{1b}' && chars.next_if_eq(&'\\').is_some()) {
                    return;
                }
            }
        }
        // `ESC ( B` and the like: intermediate bytes, then a final one.
        Some(c) if ('\u{20}'..='\u{2f}').contains(&c) => {
            while chars.next().is_some_and(|c| ('\u{20}'..='\u{2f}').contains(&c)) {}
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::model::Script;

    fn verify(wants_done: bool) -> Verify {
        Verify { script: Script { path: "verify.sh".into(), bytes: Vec::new() }, wants_done }
    }

    fn ended(code: i32) -> Finished {
        Finished { code, timed_out: false, dropped_bytes: 0, duration_ms: 1 }
    }

    fn judged(wants_done: bool, code: i32, out: &str, err: &str) -> (Outcome, String) {
        let mut printed = Printed::default();
        printed.add(1, out.as_bytes());
        printed.add(2, err.as_bytes());
        judge(&verify(wants_done), &ended(code), &printed)
    }

    #[test]
    fn the_exit_code_decides_and_the_scripts_own_words_are_shown() {
        assert_eq!(judged(false, 0, "", ""), (Outcome::Passed, PASSED.into()));
        assert_eq!(judged(false, 1, "", ""), (Outcome::Failed, FAILED.into()));
        assert_eq!(judged(false, 1, "", "no file\n"), (Outcome::Failed, "no file".into()));
        assert_eq!(judged(false, 0, "well done\n", ""), (Outcome::Passed, "well done".into()));
    }

    #[test]
    fn a_script_that_speaks_by_done_alone_must_have_said_it() {
        assert_eq!(judged(true, 0, "done\n", ""), (Outcome::Passed, PASSED.into()));
        assert_eq!(judged(true, 0, "", "").0, Outcome::Failed);
        assert_eq!(judged(true, 0, "", "done").0, Outcome::Failed, "on standard output");
        assert_eq!(judged(true, 0, "undone", "").0, Outcome::Failed);
        assert_eq!(judged(true, 1, "done", "").0, Outcome::Failed);
    }

    #[test]
    fn a_check_that_runs_too_long_is_nobodys_failure() {
        let mut printed = Printed::default();
        printed.add(1, b"waiting for the port");
        let finished = Finished { timed_out: true, code: 137, ..ended(137) };
        let (outcome, words) = judge(&verify(false), &finished, &printed);
        assert_eq!(outcome, Outcome::Broken);
        assert!(words.contains("30 seconds") && words.ends_with("waiting for the port"), "{words}");
    }

    #[test]
    fn what_only_a_terminal_understands_is_not_shown() {
        for (printed, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("\u{1b}]0;title\u{7}text", "text"),
            ("\u{1b}]8;;http://x\u{1b}\\link\u{1b}]8;;\u{1b}\\", "link"),
            ("\u{1b}(Bplain", "plain"),
            ("10%\r20%\r100%\nok", "100%\nok"),
            ("a\r\nb", "a\nb"),
            ("ab\u{8}c", "ac"),
            ("\u{1b}", ""),
            ("\u{1b}[", ""),
            ("a\u{0}b\u{9b}c", "abc"),
        ] {
            assert_eq!(plain(printed), shown, "{printed:?}");
        }
    }
}
