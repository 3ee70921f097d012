//! What a learner did, beside the lessons as they are now.

use std::collections::HashMap;

use super::app::App;
use super::error::WebError;
use super::pages::{FlagState, FlagView, FlagsView, MARKS};
use crate::lesson::model::{Item, Library, Page, PageKind, Scenario};
use crate::lesson::progress::{PassedStep, passed_steps};
use crate::store::{LearnerId, SessionRow, SessionState};

/// By course and scenario.
type Place = (String, String);

/// What is passed of one scenario as it is now.
struct Standing {
    passed: Vec<u32>,
    checks: usize,
}

#[derive(Default)]
pub struct Progress {
    /// One session of each scenario, newest first.
    pub rows: Vec<SessionRow>,
    at: HashMap<Place, usize>,
    /// Of the scenarios of which anything is passed.
    standings: HashMap<Place, Standing>,
}

impl Progress {
    pub async fn of(app: &App, learner: LearnerId) -> Result<Self, WebError> {
        let mut passed: HashMap<Place, Vec<PassedStep>> = HashMap::new();
        for it in app.store().passed_by(learner).await? {
            passed.entry((it.course, it.scenario)).or_default().push(it.step);
        }
        let standing = |scenario: &Scenario| {
            let place = place(scenario);
            let passed = passed_steps(scenario, passed.get(&place)?);
            Some((place, Standing { passed, checks: checks(scenario) }))
        };
        let standings = scenarios(&app.shelf().library()).filter_map(standing).collect();
        let rows = app.store().sessions_of(learner).await?;
        let at = rows.iter().enumerate().map(|(at, row)| ((row.course.clone(), row.scenario.clone()), at)).collect();
        Ok(Self { rows, at, standings })
    }

    pub fn row(&self, scenario: &Scenario) -> Option<&SessionRow> {
        Some(&self.rows[*self.at.get(&place(scenario))?])
    }

    /// How many of the scenario's steps are passed, of how many that can be.
    fn count(&self, scenario: &Scenario) -> (usize, usize) {
        self.standings
            .get(&place(scenario))
            .map_or_else(|| (0, checks(scenario)), |standing| (standing.passed.len(), standing.checks))
    }

    /// Every check has passed; of a lesson without checks, the last page was reached.
    pub fn has_passed(&self, scenario: &Scenario) -> bool {
        let (passed, checks) = self.count(scenario);
        if checks > 0 {
            return passed == checks;
        }
        let last = scenario.pages.last().map(|page| page.kind.slug());
        self.row(scenario).is_some_and(|row| Some(&row.page) == last.as_ref())
    }

    /// How far the learner is, where something has begun: `3 of 7 passed`, or the page.
    pub fn so_far(&self, scenario: &Scenario) -> Option<String> {
        let (passed, checks) = self.count(scenario);
        match self.row(scenario) {
            _ if passed > 0 => Some(format!("{passed} of {checks} passed")),
            Some(row) => Some(page_name(scenario, &row.page)),
            None => None,
        }
    }

    /// The first step whose check is open.
    pub fn first_open<'a>(&self, scenario: &'a Scenario) -> Option<&'a Page> {
        let standing = self.standings.get(&place(scenario));
        let has_passed = |number: &u32| standing.is_some_and(|standing| standing.passed.contains(number));
        let is_open = |page: &&Page| {
            matches!(page.kind, PageKind::Step(number) if !has_passed(&number)) && is_checked(page) && !page.hidden
        };
        scenario.pages.iter().find(is_open)
    }

    pub fn flag(&self, scenario: &Scenario) -> FlagState {
        match self.row(scenario) {
            _ if self.has_passed(scenario) => FlagState::Hoisted,
            _ if self.count(scenario).0 > 0 => FlagState::Going,
            Some(_) => FlagState::Going,
            None => FlagState::Down,
        }
    }

    /// The marks that have a lesson, in their order, each with the best of its lessons.
    pub fn flags<'a>(&self, scenarios: impl Iterator<Item = &'a Scenario> + Clone) -> Option<FlagsView> {
        let of = |ns: &str| {
            let here = scenarios.clone().filter(|scenario| scenario.namespace.as_deref() == Some(ns));
            here.map(|scenario| self.flag(scenario)).max()
        };
        let flags: Vec<FlagView> =
            MARKS.iter().filter_map(|mark| Some(FlagView { ns: mark.ns, state: of(mark.ns)? })).collect();
        (!flags.is_empty()).then_some(FlagsView { flags })
    }

    /// Lessons of the library that are passed.
    pub fn lessons_passed(&self, library: &Library) -> usize {
        scenarios(library).filter(|scenario| self.has_passed(scenario)).count()
    }

    /// Scenarios in which a machine runs.
    pub fn running(&self) -> usize {
        self.rows.iter().filter(|row| row.state == SessionState::Live).count()
    }
}

/// How many steps can be passed.
fn checks(scenario: &Scenario) -> usize {
    scenario.pages.iter().filter(|page| is_checked(page)).count()
}

fn is_checked(page: &Page) -> bool {
    matches!(page.kind, PageKind::Step(_)) && page.verify.is_some()
}

fn place(scenario: &Scenario) -> Place {
    (scenario.course.clone(), scenario.slug.clone())
}

/// Every scenario that can be read.
pub fn scenarios(library: &Library) -> impl Iterator<Item = &Scenario> + Clone {
    let items = library.courses.iter().flat_map(|course| &course.items);
    items.filter_map(|item| match item {
        Item::Scenario(scenario) => Some(&**scenario),
        Item::Broken { .. } => None,
    })
}

/// `step 3 of 7`, `the introduction`, `the end`.
pub fn page_name(scenario: &Scenario, page: &str) -> String {
    let steps = scenario.pages.iter().filter(|page| matches!(page.kind, PageKind::Step(_))).count();
    match page {
        "intro" => "the introduction".into(),
        "finish" => "the end".into(),
        number => format!("step {number} of {steps}"),
    }
}
