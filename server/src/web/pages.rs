//! The pages: plain data in, HTML out.
//!
//! A view holds what its template in `web/templates/` shows, as strings and lists, and knows nothing of
//! where they came from. Links to other pages of a lesson are relative, links to the rest start with
//! [`Frame::base`].

use askama::Template;
use axum::http::StatusCode;
use axum::response::{Html, IntoResponse, Response};
use serde::Serialize;

use super::assets;
use super::look::Look;

pub mod learner;

/// Renders a view as the answer to a request; the headers of [`content_security_policy`] come on top.
pub fn page(status: StatusCode, view: &impl Template) -> Response {
    let html = view.render().expect("a template over plain strings cannot fail to write to a string");
    (status, Html(html)).into_response()
}

/// What a page with this nonce may load and do. xterm.js sets styles through the CSSOM, which no
/// directive forbids, and makes `<style>` elements, to which `terminal.ts` gives the nonce; a chunk that
/// a script imports inherits the nonce of that script.
pub fn content_security_policy(nonce: &str) -> String {
    format!(
        "default-src 'none'; script-src 'nonce-{nonce}'; style-src-elem 'self' 'nonce-{nonce}'; style-src-attr 'none'; \
         img-src 'self' data:; font-src 'self'; connect-src 'self'; frame-ancestors 'none'; form-action 'self'; \
         base-uri 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )
}

/// What every page needs to know about its surroundings.
#[derive(Debug, Clone)]
pub struct Frame {
    /// Where the service is mounted, with a slash at both ends: `/`, `/quayside/`.
    pub base: String,
    /// New for every answer, the same as in its content security policy.
    pub nonce: String,
    pub look: Look,
}

impl Frame {
    /// The address of an asset by its plain name.
    fn asset(&self, name: &str) -> String {
        format!("{}{}", self.base, assets::path(name))
    }

    /// The addresses of the chunks that a script imports at once.
    fn chunks(&self, name: &str) -> Vec<String> {
        assets::imports(name).iter().map(|path| format!("{}{path}", self.base)).collect()
    }
}

/// `GET /`: every course with its lessons.
#[derive(Debug, Template)]
#[template(path = "catalogue.html")]
pub struct CatalogueView {
    pub frame: Frame,
    /// Who was here before.
    pub back: Option<BackView>,
    /// The lesson that the learner left off, most recent first.
    pub resume: Option<ResumeView>,
    pub aside: Vec<AsideView>,
    /// The flags of all courses.
    pub flags: Option<FlagsView>,
    pub courses: Vec<CourseView>,
}

impl CatalogueView {
    /// The first lesson that can be played: where the yellow button leads.
    fn first_lesson(&self) -> Option<&LessonRow> {
        let lessons = self.courses.iter().flat_map(|course| &course.lessons);
        lessons.into_iter().find(|lesson| !matches!(lesson.state, LessonState::Broken | LessonState::Unplayable))
    }

    /// The first lesson that is not passed.
    fn next_lesson(&self) -> Option<&LessonRow> {
        let lessons = self.courses.iter().flat_map(|course| &course.lessons);
        lessons.into_iter().find(|lesson| matches!(lesson.state, LessonState::New | LessonState::UnderWay(_)))
    }

    /// The eight marks with their lessons and states, drawn once each of them has a lesson.
    fn hoist(&self) -> Option<Vec<(&'static Mark, &LessonRow, FlagState)>> {
        let lessons = || self.courses.iter().flat_map(|course| &course.lessons);
        let flags = &self.flags.as_ref()?.flags;
        MARKS
            .iter()
            .map(|mark| {
                let row = lessons().find(|row| row.namespace.as_deref() == Some(mark.ns))?;
                Some((mark, row, flags.iter().find(|flag| flag.ns == mark.ns)?.state))
            })
            .collect()
    }
}

/// A learner who was here before.
#[derive(Debug, Clone)]
pub struct BackView {
    pub handle: String,
    /// Lessons that are passed, and those that can be.
    pub passed: usize,
    pub lessons: usize,
}

impl BackView {
    fn has_passed_all(&self) -> bool {
        self.passed >= self.lessons && self.lessons > 0
    }
}

/// A machine that runs while another of the same lesson is in front.
#[derive(Debug, Clone)]
pub struct AsideView {
    pub id: String,
    pub title: String,
    pub place: String,
    /// `5 minutes ago`.
    pub since: String,
}

/// The flags of some lessons, in the marks' order.
#[derive(Debug, Clone)]
pub struct FlagsView {
    pub flags: Vec<FlagView>,
}

impl FlagsView {
    fn hoisted(&self) -> usize {
        self.flags.iter().filter(|flag| flag.state == FlagState::Hoisted).count()
    }

    pub fn has_begun(&self) -> bool {
        self.flags.iter().any(|flag| flag.state != FlagState::Down)
    }

    /// `Your third flag of eight.`
    fn nth(&self) -> String {
        const NUMBERS: [(&str, &str); 8] = [
            ("one", "first"),
            ("two", "second"),
            ("three", "third"),
            ("four", "fourth"),
            ("five", "fifth"),
            ("six", "sixth"),
            ("seven", "seventh"),
            ("eight", "eighth"),
        ];
        let (hoisted, all) = (self.hoisted(), self.flags.len());
        match (hoisted.checked_sub(1).and_then(|at| NUMBERS.get(at)), all.checked_sub(1).and_then(|at| NUMBERS.get(at)))
        {
            (Some(_), Some((all, _))) if hoisted == self.flags.len() && hoisted > 1 => {
                format!("All {all} flags are hoisted.")
            }
            (Some((_, nth)), Some((all, _))) => format!("Your {nth} flag of {all}."),
            _ => String::new(),
        }
    }
}

#[derive(Debug, Clone)]
pub struct FlagView {
    pub ns: &'static str,
    pub state: FlagState,
}

/// In ascending order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FlagState {
    Down,
    Going,
    Hoisted,
}

impl FlagState {
    /// The class that draws it, besides `flag`.
    fn class(self) -> &'static str {
        match self {
            Self::Down => " flag--down",
            Self::Going => " flag--going",
            Self::Hoisted => "",
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Down => "not yet",
            Self::Going => "under way",
            Self::Hoisted => "passed",
        }
    }
}

#[derive(Debug, Clone)]
pub struct ResumeView {
    pub title: String,
    pub namespace: Option<String>,
    /// `/COURSE/SCENARIO/PAGE` below the base path, without a leading slash.
    pub href: String,
    /// `step 3 of 7`, `the introduction`, `the end`.
    pub place: String,
    /// The title of that page.
    pub page_title: String,
    /// The machine is still running.
    pub running: bool,
}

#[derive(Debug, Clone)]
pub struct CourseView {
    pub slug: String,
    pub title: String,
    pub description: String,
    pub lessons: Vec<LessonRow>,
    /// The flags of its lessons, once one has begun.
    pub flags: Option<FlagsView>,
    /// What is wrong with the course's own files, for whoever writes it.
    pub diagnostics: Vec<DiagnosticView>,
}

impl CourseView {
    /// `1 lesson`, `8 lessons`.
    fn count(&self) -> String {
        let n = self.lessons.len();
        format!("{n} {}", if n == 1 { "lesson" } else { "lessons" })
    }

    /// `2 passed`, where flags do not say it.
    fn passed(&self) -> usize {
        self.lessons.iter().filter(|lesson| lesson.state == LessonState::Passed).count()
    }
}

#[derive(Debug, Clone)]
pub struct LessonRow {
    /// `COURSE/SCENARIO`, below the base path.
    pub href: String,
    pub title: String,
    pub description: String,
    /// `pid`, `net`, …: its mark stands before the title.
    pub namespace: Option<String>,
    /// As written by the author; see [`Difficulty`].
    pub difficulty: Option<String>,
    /// As written: `15 minutes`.
    pub time: Option<String>,
    pub state: LessonState,
    /// What it asks for and does not get here, a sentence each.
    pub lacks: Vec<String>,
}

impl LessonRow {
    fn depth(&self) -> Option<Difficulty> {
        self.difficulty.as_deref().map(Difficulty::of)
    }

    /// `15 min` for `15 minutes`: the column is narrow.
    fn short_time(&self) -> Option<String> {
        Some(self.time.as_ref()?.replace("minutes", "min").replace("minute", "min"))
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LessonState {
    New,
    /// How far the learner is: `3 of 7 passed`, `step 1 of 7`.
    UnderWay(String),
    Passed,
    /// It needs something that is not here.
    Unplayable,
    /// It cannot be read; its page says why.
    Broken,
}

/// A difficulty in an author's words, and as a number of waterlines.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Difficulty {
    word: String,
    /// 1 to 3; 0 where the word is not known.
    depth: u8,
}

impl Difficulty {
    fn of(word: &str) -> Self {
        let depth = match word.trim().to_ascii_lowercase().as_str() {
            "beginner" | "easy" | "basic" => 1,
            "intermediate" | "medium" => 2,
            "advanced" | "hard" | "expert" | "difficult" => 3,
            _ => 0,
        };
        let mut letters = word.trim().chars();
        let word = letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default();
        Self { word, depth }
    }
}

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

/// A scenario that cannot be read: what is wrong, for its author, and that nobody else is harmed.
#[derive(Debug, Template)]
#[template(path = "broken.html")]
pub struct BrokenView {
    pub frame: Frame,
    pub course_title: String,
    pub title: String,
    /// The command that says the same in a terminal.
    pub command: Option<String>,
    pub plays: Plays,
    /// `COURSE/SCENARIO`, below the base path.
    pub href: String,
    pub diagnostics: Vec<DiagnosticView>,
}

/// What learners have of a scenario with something wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plays {
    Not,
    /// Its last good version.
    AsItWas,
    AsItIs,
}

impl BrokenView {
    /// `one error, two warnings`.
    fn count(&self) -> String {
        let errors = self.diagnostics.iter().filter(|it| it.level == LevelView::Error).count();
        let counted = |n: usize, noun: &str| match n {
            0 => None,
            1 => Some(format!("one {noun}")),
            _ => Some(format!("{n} {noun}s")),
        };
        let parts = [counted(errors, "error"), counted(self.diagnostics.len() - errors, "warning")];
        parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
    }
}

#[derive(Debug, Clone)]
pub struct DiagnosticView {
    pub level: LevelView,
    /// Relative to the lessons' folder.
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0: the line as a whole.
    pub column: u32,
    pub message: String,
    pub hint: Option<String>,
    /// Lines of the source around it, with their numbers.
    pub excerpt: Vec<(u32, String)>,
}

/// A part of a message, which marks code by backticks for who reads it in a terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Part<'a> {
    code: bool,
    text: &'a str,
}

/// A backtick without its other one is an author's own: then all is text.
fn parts(message: &str) -> Vec<Part<'_>> {
    if message.matches('`').count() % 2 == 1 {
        return vec![Part { code: false, text: message }];
    }
    let parts = message.split('`').enumerate().map(|(n, text)| Part { code: n % 2 == 1, text });
    parts.filter(|part| !part.text.is_empty()).collect()
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LevelView {
    Warning,
    Error,
}

impl DiagnosticView {
    /// `step1/text.md:27:18`, without what is not known.
    fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) => self.file.clone(),
            (line, 0) => format!("{}:{line}", self.file),
            (line, column) => format!("{}:{line}:{column}", self.file),
        }
    }

    fn is_error(&self) -> bool {
        self.level == LevelView::Error
    }

    fn what(&self) -> Vec<Part<'_>> {
        parts(&self.message)
    }

    fn fix(&self) -> Vec<Part<'_>> {
        self.hint.as_deref().map(parts).unwrap_or_default()
    }

    /// What stands before the caret's line: spaces up to the column, with the line's own tabs.
    fn caret(&self, line: &str) -> Option<String> {
        let before = self.column.checked_sub(1)? as usize;
        let indent: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let word = line.chars().skip(before).take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ';')).count();
        Some(format!("{indent}{}", "^".repeat(word.max(1))))
    }
}

/// Anything else that went wrong: not found, not allowed, our fault.
#[derive(Debug, Template)]
#[template(path = "error.html")]
pub struct ErrorView {
    pub frame: Frame,
    /// `404`
    pub status: u16,
    /// `There is no such lesson`
    pub title: String,
    /// What happened and what to do, in a sentence or two.
    pub message: String,
}

/// A namespace's mark: its pattern and colour come from the style sheet, its words from here.
#[derive(Debug)]
pub struct Mark {
    pub ns: &'static str,
    name: &'static str,
    about: &'static str,
}

pub const MARKS: [Mark; 8] = [
    Mark { ns: "pid", name: "PID", about: "who is number one?" },
    Mark { ns: "net", name: "NET", about: "a network of one’s own" },
    Mark { ns: "ipc", name: "IPC", about: "private shared memory" },
    Mark { ns: "mnt", name: "MNT", about: "another tree of files" },
    Mark { ns: "uts", name: "UTS", about: "a host name to change" },
    Mark { ns: "user", name: "USER", about: "root, but only here" },
    Mark { ns: "time", name: "TIME", about: "a clock that starts at zero" },
    Mark { ns: "cgroup", name: "CGROUP", about: "its place among the limits" },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn frame() -> Frame {
        Frame { base: "/quay/".into(), nonce: "n0nce".into(), look: Look::default() }
    }

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
            after: None,
            flags: None,
        }
    }

    fn diagnostic(column: u32) -> DiagnosticView {
        DiagnosticView {
            level: LevelView::Error,
            file: "pid/index.json".into(),
            line: 21,
            column,
            message: "names a check that does not exist".into(),
            hint: None,
            excerpt: vec![(21, "\t\"verify\": \"verfy.sh\",".into())],
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
    fn the_last_page_hoists_the_flag_when_every_check_has_passed() {
        let mut view = workspace("finish");
        assert!(view.render().unwrap().contains("2 steps, 1 of 2 checks passed."));
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

    #[test]
    fn a_caret_stands_under_the_word_also_behind_tabs() {
        assert_eq!(diagnostic(12).caret("\t\"verify\": \"verfy.sh\","), Some("\t          ^^^^^^^^^^".into()));
        assert_eq!(diagnostic(0).caret("x"), None);
        assert_eq!(diagnostic(12).place(), "pid/index.json:21:12");
        assert_eq!(diagnostic(0).place(), "pid/index.json:21");
    }

    #[test]
    fn a_broken_lesson_shows_the_line_and_counts_what_is_wrong() {
        let warning = DiagnosticView { level: LevelView::Warning, ..diagnostic(0) };
        let view = BrokenView {
            frame: frame(),
            course_title: "Eight namespaces".into(),
            title: "pid".into(),
            command: None,
            plays: Plays::Not,
            href: "c/pid".into(),
            diagnostics: vec![diagnostic(12), warning.clone(), warning],
        };
        let html = view.render().unwrap();
        assert!(html.contains("one error, 2 warnings"));
        assert!(html.contains("<span data-n=\"21\" class=\"at\">"));
    }

    #[test]
    fn a_message_shows_as_code_what_it_marks_as_code() {
        let part = |code, text| Part { code, text };
        assert_eq!(parts("write `,` here"), [part(false, "write "), part(true, ","), part(false, " here")]);
        assert_eq!(parts("`a` is not known"), [part(true, "a"), part(false, " is not known")]);
        assert_eq!(parts("a lone ` is kept"), [part(false, "a lone ` is kept")]);
    }

    #[test]
    fn the_first_lesson_is_one_that_can_be_played() {
        let row = |title: &str, state| LessonRow {
            href: format!("c/{title}"),
            title: title.into(),
            description: String::new(),
            namespace: None,
            difficulty: Some("beginner".into()),
            time: Some("15 minutes".into()),
            state,
            lacks: Vec::new(),
        };
        let course = CourseView {
            slug: "c".into(),
            title: "Course".into(),
            description: String::new(),
            lessons: vec![row("broken", LessonState::Broken), row("fine", LessonState::New)],
            flags: None,
            diagnostics: Vec::new(),
        };
        let view = CatalogueView {
            frame: frame(),
            back: None,
            resume: None,
            aside: Vec::new(),
            flags: None,
            courses: vec![course],
        };
        let html = view.render().unwrap();
        assert!(html.contains("href=\"/quay/c/fine\">Start the first lesson"));
        assert!(html.contains("15 min<") && html.contains("Beginner"));
    }
}
