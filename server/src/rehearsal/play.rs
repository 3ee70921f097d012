//! One scenario, one sandbox, from the intro to the finish.

use quayside_runtime::spec::{Egress, Limits, SandboxId, SandboxSpec};

use super::typist::{Pressed, Typist};
use super::{Stage, Stopped, Verdict, Way, judge};
use crate::lesson::model::{Page, PageKind, Scenario, Verify};
use crate::sandbox::Sandbox;
use crate::session::script::Typed;
use crate::session::view::{Check, Outcome, ScriptState};
use crate::session::{PREPARING_MAX, check, place, script};
use crate::stop::Signals;
use crate::store::SessionId;

type Say<'a> = dyn FnMut(String, Verdict) + 'a;

/// Launches, plays, and ends the sandbox whatever happened.
pub fn play(scenario: &Scenario, way: Way, stage: Stage, signals: &Signals, say: &mut Say) -> Result<(), Stopped> {
    if signals.heard() {
        return Err(Stopped);
    }
    let held = match stage.alone.launch(spec(scenario, stage.image), stage.layers) {
        Ok(held) => held,
        Err(error) => {
            say(way.to_string(), Verdict::Failed(error.to_string()));
            return Ok(());
        }
    };
    let played = match asynchronously() {
        Ok(runtime) => runtime.block_on(async {
            tokio::select! {
                () = signals.come() => Err(Stopped),
                () = Play { scenario, way, sandbox: &held.sandbox, session: SessionId::random(), say }.through() => Ok(()),
            }
        }),
        Err(error) => {
            say(way.to_string(), Verdict::Failed(format!("cannot wait for a sandbox: {error}")));
            Ok(())
        }
    };
    if let Err(left) = held.end() {
        say(way.to_string(), Verdict::Failed(format!("something of its sandbox is left: {left}")));
    }
    played
}

/// On this thread only, and gone before the next launch: a launch forks.
fn asynchronously() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

fn spec(scenario: &Scenario, image: &str) -> SandboxSpec {
    SandboxSpec {
        id: SandboxId::random(),
        image: image.into(),
        hostname: scenario.environment.hostname.clone(),
        prompt: scenario.environment.prompt.clone(),
        limits: Limits::default(),
        egress: Egress::None,
    }
}

struct Play<'a, 'b> {
    scenario: &'a Scenario,
    way: Way,
    sandbox: &'a Sandbox,
    session: SessionId,
    say: &'a mut Say<'b>,
}

impl Play<'_, '_> {
    async fn through(mut self) {
        // Terminal 1 is there from the start, as on a page.
        let mut typist = match Typist::sit_down(self.sandbox).await {
            Ok(typist) => typist,
            Err(error) => return self.failed("terminal 1", format!("it does not open: {error}")),
        };
        self.place_files().await;
        for page in &self.scenario.pages {
            self.enter(page, &mut typist).await;
            match (page.kind, &page.verify) {
                (PageKind::Step(step), Some(verify)) => {
                    let verdict = self.step(page, step, verify, &mut typist).await;
                    if let Some(verdict) = verdict {
                        self.tell(&judge::place(page.kind), verdict);
                    }
                }
                _ if self.way == Way::Typing => drop(typist.press_all(page).await),
                _ => {}
            }
        }
    }

    async fn place_files(&mut self) {
        let placement = place::plan(self.scenario);
        let mut wrong = placement.remarks.clone();
        match place::carry_out(self.sandbox, &placement).await {
            Ok(remarks) => wrong.extend(remarks),
            Err(error) => wrong.push(error.to_string()),
        }
        if !wrong.is_empty() {
            self.failed("files", wrong.join("\n"));
        }
    }

    /// What happens when a learner comes to a page: its scripts.
    async fn enter(&mut self, page: &Page, typist: &mut Typist) {
        let place = judge::place(page.kind);
        let once = script::Once { session: self.session, generation: 1 };
        if let Some(script) = &page.foreground {
            let typing = match script::typed(script) {
                Ok(Some(text)) => script::type_into(self.sandbox, once, Typed::foreground(page.kind, text, None))
                    .await
                    .map_err(|error| format!("{} could not be typed: {error}", script.path)),
                Ok(None) => Ok(()),
                Err(why) => Err(why),
            };
            if let Err(why) = typing {
                self.failed(&place, why);
            }
        }
        if let Some(script) = &page.background {
            let running = script::background(self.sandbox, page.kind, script);
            // One that lasts is a server; the lesson goes on beside it.
            let ended = tokio::time::timeout(PREPARING_MAX, running).await;
            if let Ok(run) = ended
                && run.is == ScriptState::Failed
            {
                self.failed(&place, run.output.unwrap_or_default());
            }
        }
        if page.foreground.is_some() {
            typist.settle().await;
        }
    }

    /// `None`: there is nothing to prove this way.
    async fn step(&mut self, page: &Page, step: u32, verify: &Verify, typist: &mut Typist) -> Option<Verdict> {
        if let Some(wrong) = judge::before(&check::run(self.sandbox, step, verify).await) {
            // What follows builds on this step's work, whatever its check is worth.
            let done = matches!(self.work(page, typist).await, Ok(Some(_)));
            let words = match done {
                true => judge::and_then(&self.check_when_done(step, verify, typist).await, self.way),
                false => String::new(),
            };
            return Some(Verdict::Failed(wrong + &words));
        }
        let pressed = match self.work(page, typist).await {
            Ok(Some(pressed)) if pressed.is_empty() && self.way == Way::Typing => {
                return Some(Verdict::Skipped("its text has nothing to press: the work is left to the learner".into()));
            }
            Ok(Some(pressed)) => pressed,
            Ok(None) => return None,
            Err(wrong) => return Some(Verdict::Failed(wrong)),
        };
        let outcome = self.check_when_done(step, verify, typist).await;
        Some(self.verdict(page, &outcome, &pressed, typist))
    }

    async fn check_when_done(&self, step: u32, verify: &Verify, typist: &Typist) -> Check {
        let outcome = check::run(self.sandbox, step, verify).await;
        if outcome.is == Outcome::Failed && typist.finish().await {
            // A command was still at it; a learner would have waited for its prompt.
            return check::run(self.sandbox, step, verify).await;
        }
        outcome
    }

    fn verdict(&self, page: &Page, outcome: &Check, pressed: &[Pressed], typist: &Typist) -> Verdict {
        let Some(mut wrong) = judge::after(outcome, self.way) else { return Verdict::Passed };
        wrong += &judge::said_before(page);
        for press in pressed {
            wrong += &format!("\n{press}");
        }
        if !pressed.is_empty() {
            wrong += &typist.last_lines();
        }
        Verdict::Failed(wrong)
    }

    /// Does the step's work. `None`: there is no work to do this way.
    async fn work(&mut self, page: &Page, typist: &mut Typist) -> Result<Option<Vec<Pressed>>, String> {
        match self.way {
            Way::Typing => Ok(Some(typist.press_all(page).await)),
            Way::Solution => match judge::solution_of(page) {
                Some(solution) => script::solution(self.sandbox, solution).await.map(|()| Some(Vec::new())),
                None => Ok(None),
            },
        }
    }

    fn failed(&mut self, place: &str, words: String) {
        self.tell(place, Verdict::Failed(words));
    }

    fn tell(&mut self, place: &str, verdict: Verdict) {
        (self.say)(format!("{place}, {}", self.way), verdict);
    }
}
