//! The check of a step: one at a time, and everybody who asks for the same one hears the same answer.

use tokio::sync::oneshot;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::{Actor, Report};
use crate::lesson::model::{PageKind, Verify};
use crate::lesson::progress::{PassedStep, StepMark};
use crate::sandbox::Sandbox;
use crate::session::check;
use crate::session::handle::Refusal;
use crate::session::view::{Check, Outcome};
use crate::store::UnixMs;

/// Requests that wait for one check.
const WAITING_MAX: usize = 16;

pub(super) struct RunningCheck {
    step: u32,
    begun: Instant,
    job: AbortHandle,
    waiting: Vec<oneshot::Sender<Result<Check, Refusal>>>,
}

impl RunningCheck {
    /// As which it ends where the check itself does not say it.
    fn cut_short(&self, is: Outcome, words: &str) -> Check {
        Check { step: self.step, is, words: words.into(), seconds: self.begun.elapsed().as_secs_f64() }
    }
}

impl Actor {
    pub(super) fn start_check(&mut self, step: u32, reply: oneshot::Sender<Result<Check, Refusal>>) {
        if let Some(running) = &mut self.check {
            let refusal = match running {
                running if running.step != step => Refusal::Busy(running.step),
                running if running.waiting.len() >= WAITING_MAX => Refusal::Crowded,
                running => return running.waiting.push(reply),
            };
            let _ = reply.send(Err(refusal));
            return;
        }
        match self.verify(step) {
            Ok((sandbox, verify)) => {
                let job = self.spawn(|reports| async move {
                    let check = check::run(&sandbox, step, &verify).await;
                    let _ = reports.send(Report::Checked(check)).await;
                });
                self.check = Some(RunningCheck { step, begun: Instant::now(), job, waiting: vec![reply] });
                let running = Check { step, is: Outcome::Running, words: String::new(), seconds: 0.0 };
                self.change(|view| view.check = Some(running));
            }
            Err(refusal) => {
                let _ = reply.send(Err(refusal));
            }
        }
    }

    fn verify(&self, step: u32) -> Result<(Sandbox, Verify), Refusal> {
        let page = self.page(PageKind::Step(step)).ok_or(Refusal::NoPage)?;
        let verify = page.verify.clone().ok_or(Refusal::NoCheck)?;
        Ok((self.sandbox().ok_or(Refusal::NotReady)?, verify))
    }

    pub(super) fn stop_check(&mut self, step: u32) {
        let Some(running) = self.check.take_if(|running| running.step == step) else { return };
        // The connection ends with the job, and the script with the connection.
        running.job.abort();
        let stopped = running.cut_short(Outcome::Stopped, "Stopped.");
        self.tell(running, stopped);
    }

    /// The check that runs, if one does, ends without an answer.
    pub(super) fn break_check(&mut self, words: &str) {
        if let Some(running) = self.check.take() {
            running.job.abort();
            let broken = running.cut_short(Outcome::Broken, words);
            self.tell(running, broken);
        }
    }

    pub(super) async fn checked(&mut self, check: Check) {
        let Some(running) = self.check.take_if(|running| running.step == check.step) else { return };
        if check.is == Outcome::Passed {
            let (id, step) = (self.seed.row.id, self.passed_step(check.step));
            match self.seed.store.pass(id, &step, UnixMs::now()).await {
                Ok(()) => self.change(|view| {
                    if let Err(at) = view.passed.binary_search(&check.step) {
                        view.passed.insert(at, check.step);
                    }
                }),
                Err(error) => self.store_trouble(&error),
            }
        }
        self.tell(running, check);
    }

    /// What is kept of a step that has passed: enough to tell it again in another version of the lesson.
    fn passed_step(&self, step: u32) -> PassedStep {
        let mark = self.page(PageKind::Step(step)).and_then(StepMark::of).unwrap_or_default();
        let digest = self.seed.scenario.as_ref().map_or(&self.seed.row.digest, |scenario| &scenario.digest);
        PassedStep { digest: digest.clone(), step, mark }
    }

    fn tell(&mut self, running: RunningCheck, check: Check) {
        self.change(|view| view.check = Some(check.clone()));
        for reply in running.waiting {
            let _ = reply.send(Ok(check.clone()));
        }
    }
}
