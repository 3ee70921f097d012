//! Pages and their scripts: what runs when the learner comes to a page, once in each machine, in order.

use std::time::Duration;

use tokio::time::sleep;

use super::{Actor, Report};
use crate::lesson::model::{PageKind, Script};
use crate::sandbox::Sandbox;
use crate::session::handle::Refusal;
use crate::session::script;
use crate::session::view::{NoticeLevel, ScriptKind, ScriptRun, ScriptState, Stage};
use crate::store::UnixMs;

/// How long the first scripts may keep a learner waiting; afterwards they go on beside the terminal.
pub const PREPARING_MAX: Duration = Duration::from_secs(60);

impl Actor {
    /// Scripts may run now: those that ran before (the shim knows, and does nothing twice), and those of the
    /// pages up to where the learner is.
    pub(super) async fn resume(&mut self) {
        self.placed = true;
        match self.seed.store.entered(self.seed.row.id).await {
            Ok(entered) => {
                for page in entered.iter().filter_map(|slug| PageKind::from_slug(slug)) {
                    if self.page(page).is_some() {
                        self.start_scripts(page).await;
                    }
                }
            }
            Err(error) => self.store_trouble(&error),
        }
        let wanted = self.wanted.take().filter(|&wanted| self.page(wanted).is_some());
        match wanted.or(self.pages().first().map(|page| page.kind)) {
            Some(page) => self.catch_up(page).await,
            None => self.turn(Stage::Ready, None, None),
        }
    }

    pub(super) async fn enter(&mut self, page: PageKind) -> Result<(), Refusal> {
        if self.page(page).is_none() {
            return Err(Refusal::NoPage);
        }
        let slug = page.slug();
        if self.view.borrow().page != slug {
            self.seed.store.turn_page(self.seed.row.id, &slug).await.map_err(|error| self.refused(&error))?;
            self.change(|view| view.page = slug);
        }
        if self.placed {
            self.catch_up(page).await;
        } else {
            let further = self.position(page) > self.wanted.map_or(0, |wanted| self.position(wanted));
            if further || self.wanted.is_none() {
                self.wanted = Some(page);
            }
        }
        Ok(())
    }

    /// Starts the scripts of every page up to `page` that were not started yet. Of several, each waits for
    /// the one before; one alone starts beside whatever runs, as a learner who walks on expects.
    async fn catch_up(&mut self, page: PageKind) {
        let last = self.position(page);
        let missing: Vec<PageKind> = self.pages()[..=last]
            .iter()
            .map(|page| page.kind)
            .filter(|kind| !self.started.contains(kind) && !self.queue.contains(kind))
            .collect();
        if missing.len() == 1 && self.leading.is_none() {
            self.start_scripts(missing[0]).await;
            return;
        }
        self.queue.extend(missing);
        if self.leading.is_none() {
            self.lead_next().await;
        }
    }

    async fn lead_next(&mut self) {
        self.leading = self.queue.pop_front();
        if let Some(page) = self.leading {
            self.start_scripts(page).await;
        }
    }

    async fn start_scripts(&mut self, kind: PageKind) {
        if self.started.contains(&kind) {
            return;
        }
        self.started.push(kind);
        // Noted before they run: after a crash in between they are asked for again, and run once all the same.
        if let Err(error) = self.seed.store.enter(self.seed.row.id, &kind.slug(), UnixMs::now()).await {
            self.store_trouble(&error);
        }
        let (Some(sandbox), Some(page)) = (self.sandbox(), self.page(kind).cloned()) else { return };
        if let Some(script) = page.foreground {
            match script::typed(&script) {
                Ok(Some(text)) => self.spawn_foreground(sandbox.clone(), kind, text),
                Ok(None) => {}
                Err(why) => self.remark(NoticeLevel::Warn, format!("The lesson's script could not be typed: {why}.")),
            }
        }
        match page.background {
            Some(script) => self.spawn_background(sandbox, kind, script),
            None => self.report_settled(kind),
        }
    }

    fn spawn_foreground(&mut self, sandbox: Sandbox, page: PageKind, text: String) {
        let once = script::Once { session: self.seed.row.id, generation: self.view.borrow().generation };
        self.spawn(|reports| async move {
            if let Err(error) = script::foreground(&sandbox, once, page, text).await {
                let remark = format!("The lesson's script could not be typed into terminal 1: {error}.");
                let _ = reports.send(Report::Remark(remark)).await;
            }
        });
    }

    fn spawn_background(&mut self, sandbox: Sandbox, page: PageKind, script: Script) {
        let running = ScriptRun {
            page: page.slug(),
            script: ScriptKind::Background,
            is: ScriptState::Running,
            seconds: 0.0,
            output: None,
        };
        self.note_script(running);
        self.spawn(|reports| async move {
            let mut running = std::pin::pin!(script::background(&sandbox, page, &script));
            let ended = tokio::select! {
                ended = &mut running => ended,
                () = sleep(PREPARING_MAX) => {
                    let _ = reports.send(Report::Settled(page)).await;
                    running.await
                }
            };
            let _ = reports.send(Report::Script(ended)).await;
            let _ = reports.send(Report::Settled(page)).await;
        });
    }

    fn report_settled(&mut self, page: PageKind) {
        self.spawn(|reports| async move {
            let _ = reports.send(Report::Settled(page)).await;
        });
    }

    pub(super) async fn settled(&mut self, page: PageKind) {
        let first = self.pages().first().map(|page| page.kind);
        if first == Some(page) && self.view.borrow().phase.is == Stage::Preparing {
            self.turn(Stage::Ready, None, None);
        }
        if self.leading == Some(page) {
            self.lead_next().await;
        }
    }

    pub(super) fn note_script(&mut self, run: ScriptRun) {
        self.change(|view| {
            match view.scripts.iter_mut().find(|known| known.page == run.page && known.script == run.script) {
                Some(known) => *known = run,
                None => view.scripts.push(run),
            }
        });
    }
}
