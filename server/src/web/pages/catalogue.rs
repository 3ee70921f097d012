//! The first page: courses, their lessons, and what a learner left off.

use askama::Template;

use super::Frame;
use super::broken::DiagnosticView;
use super::marks::{FlagState, FlagsView, MARKS, Mark};

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

#[cfg(test)]
mod tests {
    use super::super::tests::frame;
    use super::*;

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
