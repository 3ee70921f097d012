//! The lesson beside the terminal.

use askama::Template;
use serde::Serialize;

use super::Frame;
use super::marks::{FlagsView, MARKS, Mark};

/// `GET /COURSE/SCENARIO/PAGE`: the lesson beside the terminal.
#[derive(Debug, Template)]
#[template(path = "workspace.html")]
pub struct WorkspaceView {
    pub frame: Frame,
    /// Course and scenario as in the link.
    pub course: String,
    pub scenario: String,
    pub course_title: String,
    pub title: String,
    pub namespace: Option<String>,
    pub steps: Vec<StepView>,
    /// The language of its texts, where the scenario names one.
    pub language: Option<String>,
    /// Numbers and names of terminals that have one.
    pub terminals: Vec<(u16, String)>,
    pub page: PageView,
    /// The page before and the page after this one.
    pub back: Option<PageLink>,
    pub next: Option<PageLink>,
    /// What the scenario asks for that is not here: shown on its first page.
    pub lacks: Vec<LackView>,
    /// The learner's session of this scenario as in `GET /api/sessions/ID`, if there is one.
    pub session: Option<serde_json::Value>,
    /// What stands where the terminal will be, as far as the server knows; a script says it anew.
    pub standing: Option<Standing>,
    /// What comes after the last page.
    pub after: Option<AfterView>,
    /// On the last page of a lesson with a mark: what is hoisted by now.
    pub flags: Option<FlagsView>,
}

impl WorkspaceView {
    /// The scenario can be played: nothing that it cannot do without is missing.
    fn playable(&self) -> bool {
        !self.lacks.iter().any(|lack| lack.fatal)
    }

    fn is_finish(&self) -> bool {
        self.page.slug == "finish"
    }

    /// `Introduction`, `Step 3 of 7`, `The end`.
    fn place(&self) -> String {
        match self.page.slug.as_str() {
            "intro" => "introduction".into(),
            "finish" => "the end".into(),
            number => format!("step {number} of {}", self.steps.len()),
        }
    }

    fn mark(&self) -> Option<&'static Mark> {
        MARKS.iter().find(|mark| Some(mark.ns) == self.namespace.as_deref())
    }

    fn passed(&self) -> usize {
        self.steps.iter().filter(|step| step.passed).count()
    }

    /// The words under the title of the finished page.
    fn tally(&self) -> String {
        let (passed, checks) = (self.passed(), self.steps.iter().filter(|step| step.has_check).count());
        let steps = format!("{} {}", self.steps.len(), if self.steps.len() == 1 { "step" } else { "steps" });
        match checks {
            0 => format!("{steps}, and nothing to check."),
            _ if passed >= checks => {
                let flag = self.flags.as_ref().map(FlagsView::nth).unwrap_or_default();
                format!("{steps}, every check passed. {flag}").trim_end().into()
            }
            _ => format!("{steps}, {passed} of {checks} checks passed."),
        }
    }

    /// Steps have checks and every one passed.
    fn complete(&self) -> bool {
        self.steps.iter().all(|step| step.passed || !step.has_check)
    }

    /// What the script starts from, as JSON that no `</script>` can end.
    fn boot(&self) -> String {
        #[derive(Serialize)]
        struct Boot<'a> {
            base: &'a str,
            course: &'a str,
            scenario: &'a str,
            page: &'a str,
            check: bool,
            passed: bool,
            playable: bool,
            questions: usize,
            terminals: &'a [(u16, String)],
            session: &'a Option<serde_json::Value>,
        }
        let boot = Boot {
            base: &self.frame.base,
            course: &self.course,
            scenario: &self.scenario,
            page: &self.page.slug,
            check: self.page.has_check,
            passed: self.page.passed,
            playable: self.playable(),
            questions: self.page.open_questions,
            terminals: &self.terminals,
            session: &self.session,
        };
        serde_json::to_string(&boot).expect("strings and a JSON value serialise").replace('<', "\\u003c")
    }
}

/// How it stands with the learner's machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    pub title: String,
    pub text: String,
    /// In line for a machine: nothing can be started, and who has no script looks again.
    pub waits: bool,
}

/// One number in the bar.
#[derive(Debug, Clone)]
pub struct StepView {
    /// The page's slug, which is its relative link too: `3`.
    pub slug: String,
    pub title: String,
    pub has_check: bool,
    pub passed: bool,
}

/// The page that is open.
#[derive(Debug, Clone)]
pub struct PageView {
    /// `intro`, `1`, `2`, …, `finish`.
    pub slug: String,
    pub title: String,
    /// Cleaned HTML with the markup of actions.
    pub html: String,
    pub hint: Option<String>,
    pub solution: Option<String>,
    pub has_check: bool,
    pub passed: bool,
    /// Questions that are not answered right yet.
    pub open_questions: usize,
    /// What this page asks for and does not get, where no place in its text says so.
    pub lacks: Vec<String>,
}

#[derive(Debug, Clone)]
pub struct PageLink {
    pub slug: String,
    pub title: String,
}

/// Something that a scenario asks for and does not get here.
#[derive(Debug, Clone)]
pub struct LackView {
    /// Of which kind; of each kind the whole lesson's names are said before the start, and not again on its first page.
    pub what: String,
    pub says: String,
    pub fatal: bool,
}

/// The lesson that follows in the course.
#[derive(Debug, Clone)]
pub struct AfterView {
    /// `COURSE/SCENARIO`, below the base path.
    pub href: String,
    pub title: String,
    pub namespace: Option<String>,
    pub time: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::super::marks::{FlagState, FlagView};
    use super::super::tests::frame;
    use super::*;
    use crate::web::look::Look;

    fn workspace(slug: &str) -> WorkspaceView {
        let step = |number: u32| StepView {
            slug: number.to_string(),
            title: format!("Step {number}"),
            has_check: true,
            passed: number == 1,
        };
        WorkspaceView {
            frame: frame(),
            course: "namespaces".into(),
            scenario: "pid".into(),
            course_title: "Eight namespaces".into(),
            title: "Who is process number one?".into(),
            namespace: Some("pid".into()),
            steps: vec![step(1), step(2)],
            language: None,
            terminals: Vec::new(),
            page: PageView {
                slug: slug.into(),
                title: "Try <it>".into(),
                html: "<p>text</p>".into(),
                hint: None,
                solution: None,
                has_check: slug != "finish",
                passed: false,
                open_questions: 0,
                lacks: Vec::new(),
            },
            back: Some(PageLink { slug: "1".into(), title: "Step 1".into() }),
            next: None,
            lacks: Vec::new(),
            session: None,
            standing: None,
            after: None,
            flags: None,
        }
    }

    #[test]
    fn what_was_chosen_is_in_the_first_frame_and_what_was_not_is_not() {
        let mut view = workspace("1");
        assert!(view.render().unwrap().contains("<html lang=\"en\">"));
        view.frame.look = Look::from_cookies("theme=dark; water=day");
        let html = view.render().unwrap();
        assert!(html.contains("<html lang=\"en\" data-theme=\"dark\" data-water=\"day\">"));
        assert!(html.contains("name=\"water\" value=\"day\" aria-pressed=\"true\""));
    }

    #[test]
    fn every_script_and_style_of_a_page_has_the_nonce_and_no_element_has_a_style() {
        let mut view = workspace("2");
        view.frame.look.edge = Some(42);
        let html = view.render().unwrap();
        for tag in ["<script", "<style"] {
            assert!(
                html.match_indices(tag).all(|(at, _)| html[at..]
                    .split('>')
                    .next()
                    .unwrap()
                    .contains("nonce=\"n0nce\""))
            );
        }
        assert!(html.contains("--lesson: 42%"));
        assert!(!html.contains(" style=") && !html.contains(" onclick="));
    }

    #[test]
    fn a_lesson_can_be_read_and_started_without_a_script() {
        let html = workspace("2").render().unwrap();
        assert!(html.contains("<h1 id=\"heading\" tabindex=\"-1\">Try &#60;it&#62;</h1><p>text</p>"));
        assert!(html.contains("<form method=\"post\" action=\"start\""));
        assert!(html.contains("href=\"1\" data-page=\"1\""));
        assert!(html.contains("step 2 of 2"));
    }

    #[test]
    fn a_fatal_lack_replaces_the_start_on_every_page() {
        let mut view = workspace("2");
        view.lacks = vec![LackView { what: "kubernetes".into(), says: "It needs Kubernetes.".into(), fatal: true }];
        let html = view.render().unwrap();
        assert!(!html.contains("action=\"start\""));
        assert!(html.contains("It needs Kubernetes."));
        assert!(html.contains("\"playable\":false"));
    }

    #[test]
    fn a_lack_that_is_not_fatal_is_said_on_the_first_page_only() {
        let mut view = workspace("2");
        view.lacks = vec![LackView { what: "editor".into(), says: "It opens an editor.".into(), fatal: false }];
        assert!(!view.render().unwrap().contains("It opens an editor."));
        view.back = None;
        assert!(view.render().unwrap().contains("It opens an editor."));
    }

    #[test]
    fn boot_data_cannot_end_its_script_element() {
        let mut view = workspace("1");
        view.session = Some(serde_json::json!({ "id": "</script><script>" }));
        assert!(!view.boot().contains('<'));
    }

    #[test]
    fn who_has_no_script_reads_how_it_stands_with_their_machine() {
        let mut view = workspace("1");
        assert!(view.render().unwrap().contains("<button class=\"btn btn--main btn--big\">Start the machine"));
        view.standing = Some(Standing { title: "You are third".into(), text: "It takes long.".into(), waits: true });
        let html = view.render().unwrap();
        assert!(html.contains("You are third") && html.contains("It takes long."), "{html}");
        assert!(html.contains("<a class=\"btn\" href=\"1\">Look again</a>"));
        assert!(html.contains("id=\"start\" hidden"), "the script has it, and nobody else");
    }

    #[test]
    fn the_last_page_hoists_the_flag_when_every_check_has_passed() {
        let mut view = workspace("finish");
        view.page.title = "PID is hoisted".into();
        let html = view.render().unwrap();
        assert!(html.contains("2 steps, 1 of 2 checks passed.") && html.contains(">PID is not hoisted yet</h1>"));
        view.steps.iter_mut().for_each(|step| step.passed = true);
        let html = view.render().unwrap();
        assert!(html.contains("PID is hoisted") && html.contains("2 steps, every check passed."));
    }

    #[test]
    fn the_last_page_counts_the_flags() {
        let mut view = workspace("finish");
        view.steps.iter_mut().for_each(|step| step.passed = true);
        let flag = |(ns, state)| FlagView { ns, state };
        let some = [("pid", FlagState::Hoisted), ("net", FlagState::Down), ("uts", FlagState::Hoisted)];
        view.flags = Some(FlagsView { flags: some.map(flag).into() });
        let html = view.render().unwrap();
        assert!(html.contains("2 steps, every check passed. Your second flag of three."), "{html}");
        assert!(html.contains("<span class=\"flag flag--down\" data-ns=\"net\""));
        view.flags =
            Some(FlagsView { flags: [("pid", FlagState::Hoisted), ("net", FlagState::Hoisted)].map(flag).into() });
        assert!(view.render().unwrap().contains("All two flags are hoisted."));
    }
}
