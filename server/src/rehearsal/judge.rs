//! What a scenario's files tell without a machine, and what a check's outcome means. No effects.

use super::{Verdict, Way, Wish};
use crate::lesson::model::{Diagnostic, Item, Level, Page, PageKind, Scenario};
use crate::lesson::needs;
use crate::session::view::{Check, Outcome};

/// Everything that is known before a sandbox runs. A scenario that is well made so far says nothing.
pub fn at_rest(item: &Item, wish: Wish, say: &mut dyn FnMut(String, Verdict)) {
    let scenario = match item {
        Item::Broken { .. } => {
            return say(String::new(), Verdict::Failed("it cannot be played: its files are broken".into()));
        }
        Item::Scenario(scenario) => scenario,
    };
    if let Some(words) = trouble_with(&scenario.diagnostics, wish) {
        say(String::new(), Verdict::Failed(words));
    }
    if let Some(refusal) = scenario.refusal() {
        return say(String::new(), Verdict::Skipped(refusal.says.clone()));
    }
    let steps = || scenario.pages.iter().filter(|page| matches!(page.kind, PageKind::Step(_)));
    if steps().next().is_none() {
        let words = "it has no steps".to_owned();
        say(String::new(), if wish.strict { Verdict::Failed(words) } else { Verdict::Skipped(words) });
    }
    for page in steps() {
        let missing = missing(page);
        if missing.is_empty() {
            continue;
        }
        let words = format!("it has no {}", missing.join(", no "));
        let verdict = if wish.strict { Verdict::Failed(words) } else { Verdict::Skipped(words) };
        // Without solutions and strictness the steps are played all the same where the text is typed.
        if wish.strict || missing.contains(&"check") || (missing.contains(&"solution") && !wish.typing) {
            say(place(page.kind), verdict);
        }
    }
}

/// How a scenario is played, in this order.
pub fn ways(scenario: &Scenario, wish: Wish) -> Vec<Way> {
    let has_solution = scenario.pages.iter().any(|page| solution_of(page).is_some());
    let solution = (has_solution || !wish.typing).then_some(Way::Solution);
    let typing = wish.typing.then_some(Way::Typing);
    solution.into_iter().chain(typing).collect()
}

pub fn solution_of(page: &Page) -> Option<&crate::lesson::model::Script> {
    page.solution.as_ref()?.script.as_ref()
}

/// What is wrong with a check that ran before the step's work was done.
pub fn before(check: &Check) -> Option<String> {
    match check.is {
        Outcome::Failed => None,
        Outcome::Passed => Some(disagreement(
            "the check passes before anything was done",
            "a check that fails",
            &format!("it passed: {}", check.words),
        )),
        _ => Some(could_not_run(check)),
    }
}

/// Whether a check that passed too early does at least pass when the step's work is done.
pub fn and_then(check: &Check, way: Way) -> String {
    let found = match check.is {
        Outcome::Passed => "it passes",
        Outcome::Failed => "it fails",
        _ => "it does not run to its end",
    };
    format!("\nthen:     {found} after {}", done(way))
}

/// What learners are told about a step before they start, where it may be why they cannot pass.
pub fn said_before(page: &Page) -> String {
    let lacks = page.lacks.iter().filter(|lack| needs::is_of_the_machine(&lack.what));
    lacks.map(|lack| format!("\nsaid before the start: {}", lack.says)).collect()
}

/// What is wrong with a check that ran when the step's work was done.
pub fn after(check: &Check, way: Way) -> Option<String> {
    let done = done(way);
    match check.is {
        Outcome::Passed => None,
        Outcome::Failed => Some(disagreement(
            &format!("the check fails after {done}"),
            "a check that passes",
            &format!("it failed: {}", check.words),
        )),
        _ => Some(could_not_run(check)),
    }
}

fn done(way: Way) -> &'static str {
    match way {
        Way::Solution => "the solution was run",
        Way::Typing => "the text was typed",
    }
}

fn could_not_run(check: &Check) -> String {
    disagreement("the check did not run to its end", "a check that passes or fails", &check.words)
}

fn disagreement(what: &str, expected: &str, found: &str) -> String {
    let found = found.replace('\n', "\n          ");
    format!("{what}\nexpected: {expected}\nfound:    {found}")
}

/// What our own lessons have at every step, and this one has not.
fn missing(page: &Page) -> Vec<&'static str> {
    let has =
        [("check", page.verify.is_some()), ("hint", page.hint.is_some()), ("solution", solution_of(page).is_some())];
    has.into_iter().filter(|(_, there)| !there).map(|(what, _)| what).collect()
}

fn trouble_with(diagnostics: &[Diagnostic], wish: Wish) -> Option<String> {
    let errors = diagnostics.iter().filter(|diagnostic| diagnostic.level == Level::Error).count();
    let warnings = diagnostics.len() - errors;
    let counted = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    match (errors, warnings) {
        (0, 0) => None,
        (0, _) if !wish.strict => None,
        (0, warnings) => Some(format!("{} about its files, see above", counted(warnings, "warning"))),
        (errors, _) => Some(format!("{} in its files, see above", counted(errors, "error"))),
    }
}

/// A page as findings name it.
pub fn place(kind: PageKind) -> String {
    match kind {
        PageKind::Intro => "intro".into(),
        PageKind::Step(number) => format!("step {number}"),
        PageKind::Finish => "finish".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(is: Outcome) -> Check {
        Check { step: 1, is, words: "Looked for a file.\nFound none.".into(), seconds: 0.1 }
    }

    #[test]
    fn a_check_must_fail_first_and_pass_then() {
        assert_eq!(before(&check(Outcome::Failed)), None);
        assert_eq!(after(&check(Outcome::Passed), Way::Solution), None);
        let too_early = before(&check(Outcome::Passed)).expect("a finding");
        assert!(
            too_early.contains("before anything was done\nexpected: a check that fails\nfound:    it passed: Looked")
        );
        assert_eq!(and_then(&check(Outcome::Passed), Way::Typing), "\nthen:     it passes after the text was typed");
        let too_late = after(&check(Outcome::Failed), Way::Typing).expect("a finding");
        assert!(too_late.ends_with("after the text was typed\nexpected: a check that passes\nfound:    it failed: Looked for a file.\n          Found none."), "{too_late}");
    }

    #[test]
    fn a_check_that_cannot_run_is_wrong_at_any_time() {
        for found in [before(&check(Outcome::Broken)), after(&check(Outcome::Broken), Way::Solution)] {
            assert!(found.expect("a finding").starts_with("the check did not run to its end"));
        }
    }
}
