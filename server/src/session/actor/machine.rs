//! The session's machine: launched or found again, filled, replaced by a fresh one, lost.

use quayside_runtime::spec::SandboxId;

use super::{Actor, Next, Report};
use crate::lesson::model::PageKind;
use crate::sandbox::Sandbox;
use crate::session::handle::Refusal;
use crate::session::launch::{self, LaunchFailure, Launched, Outlook, STAND_IN_NOTE};
use crate::session::place;
use crate::session::view::{NoticeLevel, Stage};
use crate::store::{SandboxState, SessionState};

/// Ends of sandboxes that are remembered while a launch is under way: ours may be among them.
const EARLY_MAX: usize = 32;

impl Actor {
    /// `fresh`: another machine than the one that there was.
    pub(super) fn spawn_launch(&mut self, fresh: bool) {
        let request = launch::Request {
            session: self.seed.row.id,
            wanted: self.seed.scenario.as_ref().map(|scenario| scenario.environment.clone()),
            limits: self.seed.limits.clone(),
            fresh,
        };
        let (store, sandboxes) = (self.seed.store.clone(), self.seed.sandboxes.clone());
        self.spawn(|reports| async move {
            let launched = launch::launch(&store, &sandboxes, &request).await;
            let _ = reports.send(Report::Launched(launched)).await;
        });
    }

    pub(super) async fn launched(&mut self, Launched { sandbox, generation, prepared }: Launched) {
        if let Some(why) = self.ended_early(&sandbox) {
            return self.lose_machine(why).await;
        }
        self.start_clock().await;
        self.machine_is_there(sandbox, generation);
        if prepared {
            self.spawn_listing();
            self.resume().await;
        } else {
            self.spawn_placing();
        }
    }

    pub(super) async fn launch_failed(&mut self, failure: LaunchFailure) -> Next {
        let had_one = self.view.borrow().time.is_some();
        let state = match failure.outlook {
            Outlook::Over => SessionState::Ended,
            Outlook::Retry if !had_one => SessionState::Failed,
            Outlook::Retry | Outlook::Lost => {
                // Place, progress and time stay, and another try is one click.
                tracing::info!(why = failure.message, output = failure.output, "no machine");
                self.turn(Stage::Lost, Some(failure.message), failure.output);
                return Next::On;
            }
        };
        self.end(state, &failure.message, failure.output).await;
        Next::Stop
    }

    /// The keeper says that a sandbox ended. Its word may come before the launch's own answer: then it is kept.
    pub(super) async fn machine_ended(&mut self, id: SandboxId, why: String) {
        match self.sandbox() {
            Some(ours) if ours.id == id => self.lose_machine(why).await,
            Some(_) => {}
            None => {
                if self.early.len() == EARLY_MAX {
                    self.early.remove(0);
                }
                self.early.push((id, why));
            }
        }
    }

    fn ended_early(&mut self, sandbox: &Sandbox) -> Option<String> {
        let early = std::mem::take(&mut self.early);
        early.into_iter().find(|(id, _)| *id == sandbox.id).map(|(_, why)| why)
    }

    async fn lose_machine(&mut self, why: String) {
        tracing::info!(why, "the machine ended by itself");
        self.drop_jobs("The check was cut short: the machine ended.").await;
        self.destroy().await;
        self.forget_machine();
        let message = "What was in it is gone. Your progress and your time stay, and a fresh machine can be started.";
        self.turn(Stage::Lost, Some(message.into()), Some(why));
    }

    /// Ends the machine that there is, and starts another, which has all that the lesson has done so far.
    pub(super) async fn restart(&mut self) -> Result<(), Refusal> {
        match self.stage() {
            Stage::Preparing | Stage::Ready | Stage::Lost => {}
            Stage::Waiting | Stage::Starting => return Err(Refusal::NotReady),
            Stage::Failed | Stage::Ended => return Err(Refusal::Over),
        }
        tracing::info!("a fresh machine is asked for");
        self.drop_jobs("The check was cut short: the machine is replaced by a fresh one.").await;
        self.forget_machine();
        let page = self.view.borrow().page.clone();
        self.wanted = PageKind::from_slug(&page);
        // From here on pages know that what they show is of another machine.
        self.change(|view| view.generation += u32::from(view.generation > 0));
        self.turn(Stage::Starting, None, None);
        self.spawn_launch(true);
        Ok(())
    }

    /// Everything that was true of the machine alone.
    fn forget_machine(&mut self) {
        self.placed = false;
        self.started.clear();
        self.queue.clear();
        self.leading = None;
        self.change(|view| {
            view.sandbox = None;
            view.terminals.clear();
            view.scripts.clear();
            view.check = None;
        });
    }

    fn machine_is_there(&mut self, sandbox: Sandbox, generation: u32) {
        let wanted_note = self.seed.scenario.as_ref().and_then(|scenario| scenario.environment.note.clone());
        let wanted = self.seed.scenario.as_ref().map(|scenario| scenario.terminals.clone()).unwrap_or_default();
        let terminals = wanted.iter().map(|terminal| terminal.number);
        self.change(|view| {
            let environment = &mut view.environment;
            let stand_in = (sandbox.image != environment.wanted).then_some(STAND_IN_NOTE);
            let notes: Vec<&str> = [wanted_note.as_deref(), stand_in].into_iter().flatten().collect();
            environment.note = (!notes.is_empty()).then(|| notes.join(" "));
            environment.image = sandbox.image.clone();
            environment.hostname = sandbox.hostname.clone();
            view.sandbox = Some(sandbox);
            view.generation = generation;
            view.terminals = vec![1];
            view.terminals.extend(terminals);
        });
        self.turn(Stage::Preparing, None, None);
    }

    fn spawn_placing(&mut self) {
        let (Some(sandbox), Some(scenario)) = (self.sandbox(), self.seed.scenario.clone()) else { return };
        self.spawn(|reports| async move {
            // Looking at the files blocks; there are at most a few hundred.
            let plan = tokio::task::spawn_blocking(move || place::plan(&scenario)).await;
            let Ok(plan) = plan else { return };
            let mut remarks = plan.remarks.clone();
            let failed = match place::carry_out(&sandbox, &plan).await {
                Ok(more) => {
                    remarks.extend(more);
                    None
                }
                Err(error) => Some(error.to_string()),
            };
            let _ = reports.send(Report::Placed { remarks, failed }).await;
        });
    }

    pub(super) async fn files_are_there(&mut self, remarks: Vec<String>, failed: Option<String>) {
        for remark in remarks {
            self.remark(NoticeLevel::Warn, remark);
        }
        if let Some(why) = failed {
            tracing::warn!(%why, "cannot place the scenario's files");
            self.remark(NoticeLevel::Warn, format!("The lesson's files could not be placed in the machine: {why}."));
        } else if let Some(sandbox) = self.sandbox()
            && let Err(error) = self.seed.store.mark_sandbox(sandbox.id, SandboxState::Prepared).await
        {
            self.store_trouble(&error);
        }
        self.resume().await;
    }

    fn spawn_listing(&mut self) {
        let Some(sandbox) = self.sandbox() else { return };
        self.spawn(|reports| async move {
            match sandbox.state().await {
                Ok(state) => {
                    let numbers = state.terminals.iter().map(|terminal| terminal.number).collect();
                    let _ = reports.send(Report::Terminals(numbers)).await;
                }
                Err(error) => tracing::warn!(%error, "cannot ask the shim for its terminals"),
            }
        });
    }
}
