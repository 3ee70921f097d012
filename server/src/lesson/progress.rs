//! Which steps of a scenario a learner has passed, also after its author has changed it.
//!
//! A step has no name that its author gives it, and its number changes when another is put before it. So three
//! things are kept of a step that was passed, and they are believed in this order:
//!
//! 1. its number, in the very version in which it was passed;
//! 2. its check script: what was proved is proved, wherever the step stands now;
//! 3. its title: a check that was mended asks nobody to do the step again.
//!
//! What matches nothing is not counted and not forgotten: a lesson that is changed back has it again.

use sha2::{Digest, Sha256};

use super::model::{Page, PageKind, Scenario};

/// A step that was passed once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PassedStep {
    /// The scenario's version then.
    pub digest: String,
    /// Its number in that version.
    pub step: u32,
    /// What tells it again; empty where the step was passed before this was kept.
    pub mark: StepMark,
}

/// What tells a step again in another version of its scenario.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StepMark {
    pub title: String,
    /// Of the check script.
    pub script: String,
}

impl StepMark {
    /// Half of a sha256 in hex: these are told apart from a scenario's other steps, and from nothing else.
    const SCRIPT_DIGITS: usize = 32;

    /// `None` for a page without a check, which cannot be passed.
    pub fn of(page: &Page) -> Option<Self> {
        let verify = page.verify.as_ref()?;
        let digest = Sha256::digest(&verify.script.bytes);
        let mut script: String = digest.iter().map(|byte| format!("{byte:02x}")).collect();
        script.truncate(Self::SCRIPT_DIGITS);
        Some(Self { title: page.title.trim().into(), script })
    }

    /// The title is more than a number, so that it can tell a step.
    fn is_named(&self) -> bool {
        let word = self.title.to_lowercase();
        let rest = word.strip_prefix("step").unwrap_or(&word);
        rest.chars().any(char::is_alphabetic)
    }
}

/// The numbers of the steps of `scenario` that `passed` speaks of, ascending.
pub fn passed_steps(scenario: &Scenario, passed: &[PassedStep]) -> Vec<u32> {
    tell(&scenario.digest, &checked_steps(scenario), passed)
}

fn tell(digest: &str, steps: &[(u32, StepMark)], passed: &[PassedStep]) -> Vec<u32> {
    let steps_with = |test: &dyn Fn(&StepMark) -> bool| steps.iter().filter(|(_, mark)| test(mark)).count();
    let tells = |was: &PassedStep, number: u32, mark: &StepMark| {
        if was.digest == digest {
            return was.step == number;
        }
        let (script, title) = (was.mark.script == mark.script, was.mark.title == mark.title);
        let one_script = || steps_with(&|other| other.script == mark.script) == 1;
        let one_title = || steps_with(&|other| other.title == mark.title) == 1;
        (script && (title || one_script())) || (title && mark.is_named() && one_title())
    };
    let told = |number: u32, mark: &StepMark| passed.iter().any(|was| tells(was, number, mark));
    steps.iter().filter(|(number, mark)| told(*number, mark)).map(|(number, _)| *number).collect()
}

/// The steps that have a check.
pub fn checked_steps(scenario: &Scenario) -> Vec<(u32, StepMark)> {
    let step = |page: &Page| match page.kind {
        PageKind::Step(number) => Some((number, StepMark::of(page)?)),
        PageKind::Intro | PageKind::Finish => None,
    };
    scenario.pages.iter().filter_map(step).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A version of a scenario: its digest, and the title and check script of each step.
    struct Version(&'static str, Vec<(u32, StepMark)>);

    fn version(digest: &'static str, steps: &[(&str, &str)]) -> Version {
        let mark = |(title, script): &(&str, &str)| StepMark { title: (*title).into(), script: (*script).into() };
        Version(digest, (1..).zip(steps.iter().map(mark)).collect())
    }

    impl Version {
        /// Every step of it, passed.
        fn all(&self) -> Vec<PassedStep> {
            let step =
                |(step, mark): &(u32, StepMark)| PassedStep { digest: self.0.into(), step: *step, mark: mark.clone() };
            self.1.iter().map(step).collect()
        }

        fn told(&self, passed: &[PassedStep]) -> Vec<u32> {
            tell(self.0, &self.1, passed)
        }
    }

    #[test]
    fn in_the_same_version_the_number_tells() {
        let lesson = version("1", &[("Step 1", "true"), ("Step 2", "true")]);
        assert_eq!(lesson.told(&lesson.all()[1..]), [2]);
    }

    #[test]
    fn a_step_that_moved_is_told_by_its_check() {
        let was = version("1", &[("Step 1", "test -f a"), ("Step 2", "test -f b")]);
        let now = version("2", &[("Step 1", "test -f new"), ("Step 2", "test -f a"), ("Step 3", "test -f b")]);
        assert_eq!(now.told(&was.all()), [2, 3], "the new one is to be done");
    }

    #[test]
    fn a_check_that_was_mended_is_told_by_its_title() {
        let was = version("1", &[("Make a file", "test -f a"), ("Step 2", "test -f b")]);
        let now = version("2", &[("Make a file", "test -e a"), ("Step 2", "test -e b")]);
        assert_eq!(now.told(&was.all()), [1], "a number tells nothing in another version");
    }

    #[test]
    fn what_two_steps_share_tells_neither() {
        let was = version("1", &[("Look", "true"), ("Listen", "true"), ("Look", "false")]);
        let now = version("2", &[("Go", "true"), ("Listen", "true"), ("Look", "test 1"), ("Look", "test 2")]);
        assert_eq!(now.told(&was.all()), [2]);
    }

    #[test]
    fn what_was_kept_before_there_were_marks_holds_for_its_version() {
        let lesson = version("1", &[("One", "a"), ("Two", "b")]);
        let old = [PassedStep { digest: "1".into(), step: 1, mark: StepMark::default() }];
        assert_eq!(lesson.told(&old), [1]);
        assert_eq!(version("2", &[("One", "a")]).told(&old), Vec::<u32>::new());
    }
}
