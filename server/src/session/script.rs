//! The scripts of a page: the background one runs beside the terminal, the foreground one is typed into it.
//!
//! Both happen once, however often this process dies in between: the shim keeps a background script by its
//! name, and drops a run action whose id it has seen. So both are simply asked for again after a restart.

use std::time::{Duration, Instant};

use quayside_runtime::shim::protocol::{Exec, Group};
use quayside_runtime::shim::wire::{FromViewer, RUN_TEXT_MAX, RunFlags, RunState, ToViewer};
use sha2::{Digest, Sha256};

use super::check::plain;
use super::place::LOG_DIR;
use super::view::{ScriptKind, ScriptRun, ScriptState};
use crate::lesson::model::{PageKind, Script};
use crate::sandbox::{Sandbox, ShimError, in_home};
use crate::store::SessionId;

/// The end of a failed script's output that its message shows.
const TAIL_MAX: u64 = 4 * 1024;
/// How long a solution may take: a learner does the same by hand.
const SOLUTION_MAX: Duration = Duration::from_secs(60);
/// How long reading that end may take.
const TAIL_PATIENCE: Duration = Duration::from_secs(10);

/// Runs a page's background script, or finds it running or finished, and waits for its end.
pub async fn background(sandbox: &Sandbox, page: PageKind, script: &Script) -> ScriptRun {
    let begun = Instant::now();
    let [stdout, stderr] = ["stdout", "stderr"].map(|stream| format!("{LOG_DIR}/background{}_{stream}.log", nth(page)));
    // Without a time limit: lessons start servers this way. It ends with the machine at the latest.
    let exec = Exec {
        name: Some(format!("{}:background", page.slug())),
        stdout_path: Some(stdout.clone()),
        stderr_path: Some(stderr.clone()),
        ..in_home(["bash", "{script}"], Group::Payload)
    };
    let running = async { sandbox.exec(exec, &script.bytes).await?.finish(|_, _| ()).await };
    let (is, seconds, output) = match running.await {
        Ok(finished) if finished.code == 0 => (ScriptState::Done, finished.duration_ms as f64 / 1000.0, None),
        Ok(finished) => {
            let end = tail(sandbox, [&stdout, &stderr]).await;
            let said = if end.is_empty() { "It printed nothing.".to_owned() } else { end };
            let output = format!("{} ended with exit code {}.\n{said}", script.path, finished.code);
            (ScriptState::Failed, finished.duration_ms as f64 / 1000.0, Some(output))
        }
        Err(error) => {
            let output = format!("{} could not run: {error}", script.path);
            (ScriptState::Failed, begun.elapsed().as_secs_f64(), Some(output))
        }
    };
    ScriptRun { page: page.slug(), script: ScriptKind::Background, is, seconds, output }
}

/// `background0` is the intro's, as scenarios expect it.
fn nth(page: PageKind) -> String {
    match page {
        PageKind::Intro => "0".into(),
        PageKind::Step(number) => number.to_string(),
        PageKind::Finish => "_finish".into(),
    }
}

/// Runs a step's solution as its author wrote it, beside the terminal, and waits for its end.
///
/// `Err`: what it printed at the end, or why it could not run.
pub async fn solution(sandbox: &Sandbox, script: &Script) -> Result<(), String> {
    let exec = Exec {
        timeout_ms: SOLUTION_MAX.as_millis() as u64,
        output_max: TAIL_MAX,
        ..in_home(["bash", "{script}"], Group::Payload)
    };
    let mut said = Vec::new();
    let running =
        async { sandbox.exec(exec, &script.bytes).await?.finish(|_, bytes| said.extend_from_slice(bytes)).await };
    let end = match running.await {
        Ok(finished) if finished.timed_out => format!("did not end within {} s", SOLUTION_MAX.as_secs()),
        Ok(finished) if finished.code != 0 => format!("ended with exit code {}", finished.code),
        Ok(_) => return Ok(()),
        Err(error) => format!("could not run: {error}"),
    };
    let said = plain(&String::from_utf8_lossy(&said));
    Err(format!("{} {end}\n{}", script.path, said.trim()).trim_end().to_owned())
}

/// The end of both logs. The learner's root may have replaced them by anything: they are read inside, with
/// a limit, as the learner could.
async fn tail(sandbox: &Sandbox, paths: [&str; 2]) -> String {
    let mut said = Vec::new();
    for path in paths {
        let exec = Exec {
            timeout_ms: TAIL_PATIENCE.as_millis() as u64,
            output_max: TAIL_MAX / 2,
            ..in_home(["tail", "-c", "2048", path], Group::Payload)
        };
        let reading = async {
            let keep = |stream, bytes: &[u8]| {
                if stream == 1 {
                    said.extend_from_slice(bytes);
                }
            };
            sandbox.exec(exec, b"").await?.finish(keep).await
        };
        // A log that cannot be read is as good as an empty one; the failure itself is told anyway.
        let _ = tokio::time::timeout(TAIL_PATIENCE, reading).await;
    }
    plain(&String::from_utf8_lossy(&said)).trim().to_owned()
}

/// A foreground script as the learner's keyboard would give it.
///
/// The whole text is *one* run action: loops and here-documents span lines, and the shell itself knows best
/// where a command ends, so the shim types it all behind one prompt, and what the shell starts reads the rest,
/// as in the original. A first `#!` line would be a comment on the learner's screen; empty lines at the end
/// would press Enter for nothing. Both go.
///
/// `Err`: why it cannot be typed.
pub fn typed(script: &Script) -> Result<Option<String>, String> {
    let text = String::from_utf8_lossy(&script.bytes).replace("\r\n", "\n");
    let text = match text.split_once('\n') {
        Some((first, rest)) if first.starts_with("#!") => rest,
        None if text.starts_with("#!") => "",
        _ => &text,
    };
    let text = text.trim_end().trim_start_matches('\n');
    if text.len() > RUN_TEXT_MAX {
        return Err(format!(
            "{} is too long to be typed: {} bytes, of at most {RUN_TEXT_MAX}",
            script.path,
            text.len()
        ));
    }
    Ok((!text.is_empty()).then(|| text.to_owned()))
}

/// For what a script is typed once: for each machine of a session.
#[derive(Debug, Clone, Copy)]
pub struct Once {
    pub session: SessionId,
    /// Which of the session's machines, from 1.
    pub generation: u32,
}

/// What is typed for a learner by the lesson itself.
#[derive(Debug)]
pub struct Typed {
    pub terminal: u16,
    /// Different for everything that the lesson types into one machine: it is typed once there.
    pub what: String,
    pub text: String,
    /// What the terminal says first, if it is made for this.
    pub greeting: Option<String>,
}

impl Typed {
    /// A page's foreground script, into terminal 1.
    pub fn foreground(page: PageKind, text: String, greeting: Option<&str>) -> Self {
        let what = format!("{}:foreground", page.slug());
        Self { terminal: 1, what, text, greeting: greeting.map(str::to_owned) }
    }

    /// The command of a terminal that the scenario wants open.
    pub fn command(terminal: u16, text: String, greeting: Option<&str>) -> Self {
        Self { terminal, what: format!("terminal {terminal}"), text, greeting: greeting.map(str::to_owned) }
    }
}

/// Types it, and returns once the keys are pressed.
pub async fn type_into(sandbox: &Sandbox, once: Once, typed: Typed) -> Result<(), ShimError> {
    let Typed { terminal, what, text, greeting } = typed;
    let run = once.id(&what);
    let mut link = sandbox.terminal(terminal, greeting.as_deref()).await?;
    let attach = FromViewer::Attach {
        viewer: once.id("lesson"),
        // Without a size a viewer only types: it has no screen, and is not waited for.
        have: u64::MAX,
        cols: 0,
        rows: 0,
        restart: false,
        roles: false,
    };
    link.writer.write(&attach.encode()[..]).await?;
    link.writer.write(&FromViewer::Run { id: run, flags: RunFlags::default(), text }.encode()[..]).await?;
    while let Some(frame) = link.reader.next().await? {
        match ToViewer::decode(&frame).map_err(|error| ShimError::Protocol(error.to_string()))? {
            ToViewer::RunState { id, state: RunState::Refused, .. } if id == run => {
                return Err(ShimError::Failed("no shell took it".into()));
            }
            ToViewer::RunState { id, state, .. } if id == run && state != RunState::Queued => return Ok(()),
            _ => {}
        }
    }
    Err(ShimError::Gone(std::io::ErrorKind::UnexpectedEof.into()))
}

impl Once {
    /// An id that is the same in every life of this process, and different for everything else. That of a
    /// session's first machine does not name the generation: machines that run while the service is upgraded
    /// know it so.
    fn id(self, what: &str) -> u128 {
        let mut digest = Sha256::new().chain_update(self.session.as_u128().to_be_bytes()).chain_update(what);
        if self.generation > 1 {
            digest.update(format!("/{}", self.generation));
        }
        let first: [u8; 16] = digest.finalize()[..16].try_into().expect("sha256 has 32 bytes");
        u128::from_be_bytes(first)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(text: &str) -> Script {
        Script { path: "fg.sh".into(), bytes: text.into() }
    }

    #[test]
    fn a_foreground_script_is_typed_without_shebang_and_empty_ends() {
        let typed = |text| typed(&script(text)).expect("not too long");
        assert_eq!(typed("#!/bin/bash\r\ncd /tmp\r\n\r\n").as_deref(), Some("cd /tmp"));
        assert_eq!(typed("for i in 1 2; do\n  echo $i\ndone\n").as_deref(), Some("for i in 1 2; do\n  echo $i\ndone"));
        assert_eq!(typed("#!/bin/sh"), None);
        assert_eq!(typed("\n\n"), None);
    }

    #[test]
    fn a_foreground_script_that_cannot_be_typed_says_so() {
        assert!(typed(&script(&"x".repeat(RUN_TEXT_MAX + 1))).expect_err("too long").contains("fg.sh"));
    }

    #[test]
    fn ids_are_the_same_after_a_restart_and_differ_by_session_machine_and_page() {
        let session = SessionId::random();
        let first = Once { session, generation: 1 };
        assert_eq!(first.id("intro:foreground"), first.id("intro:foreground"));
        assert_ne!(first.id("intro:foreground"), first.id("1:foreground"));
        assert_ne!(first.id("lesson"), Once { session: SessionId::random(), ..first }.id("lesson"));
        assert_ne!(first.id("intro:foreground"), Once { generation: 2, ..first }.id("intro:foreground"));
    }
}
