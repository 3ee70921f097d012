//! The pages about a learner as such: going on elsewhere, coming from elsewhere, being forgotten.

use askama::Template;

use super::Frame;
use crate::web::qr::Picture;

/// `GET /elsewhere`, and what comes of making a code there. The workspace shows the part `sheet` over a lesson.
#[derive(Debug, Template)]
#[template(path = "elsewhere.html")]
pub struct ElsewhereView {
    pub frame: Frame,
    /// `None` for a browser that nobody has done anything with.
    pub learner: Option<LearnerView>,
}

#[derive(Debug)]
pub struct LearnerView {
    pub handle: String,
    /// The code that was made just now. It is shown this once.
    pub code: Option<CodeView>,
    /// The code that was made before and works.
    pub open: Option<OpenCodeView>,
    pub devices: Vec<DeviceView>,
}

#[derive(Debug)]
pub struct CodeView {
    /// `K7QM4-XWD92-TF8HN`
    pub code: String,
    /// `27 December 2026`
    pub until: String,
    /// Where it is typed in: `http://192.168.1.20:8080/resume`.
    pub link: String,
    /// The link with the code, for a phone; `None` where the link leads nowhere from a phone.
    pub picture: Option<Picture>,
}

impl CodeView {
    fn groups(&self) -> impl Iterator<Item = &str> {
        self.code.split('-')
    }

    /// As it is written on a board.
    fn shown_link(&self) -> &str {
        self.link.split_once("://").map_or(&self.link, |(_, rest)| rest)
    }
}

#[derive(Debug)]
pub struct OpenCodeView {
    /// `2 hours ago`
    pub made: String,
    pub until: String,
}

#[derive(Debug)]
pub struct DeviceView {
    pub id: String,
    pub name: String,
    /// `3 days ago`
    pub seen: String,
    pub is_this: bool,
}

/// `GET /resume`, and what comes of a code that is none.
#[derive(Debug, Template)]
#[template(path = "resume.html")]
pub struct ResumeFormView {
    pub frame: Frame,
    /// What was typed before, so that it can be mended.
    pub typed: String,
    pub trouble: Option<Trouble>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    pub title: &'static str,
    pub text: String,
}

/// Whose progress a code brings, before anything is done.
#[derive(Debug, Template)]
#[template(path = "confirm.html")]
pub struct ConfirmView {
    pub frame: Frame,
    pub code: String,
    /// For an answer that is lost on its way: see [`crate::web::learners`].
    pub ticket: String,
    pub theirs: SummaryView,
    /// What this browser has already.
    pub ours: Option<OursView>,
}

#[derive(Debug)]
pub struct OursView {
    pub summary: SummaryView,
    /// This learner has other devices, which go on as they are, with their machines.
    pub elsewhere_too: bool,
}

/// A learner in a few words.
#[derive(Debug)]
pub struct SummaryView {
    pub handle: String,
    pub devices: Vec<String>,
    pub passed: usize,
    pub begun: usize,
    pub running: usize,
    /// `step 3 of 7 of Who is process number one?, 5 minutes ago`
    pub last: Option<LastView>,
}

#[derive(Debug)]
pub struct LastView {
    pub title: String,
    pub place: String,
    pub when: String,
}

impl SummaryView {
    /// Nothing was done as this learner.
    pub fn is_empty(&self) -> bool {
        self.begun == 0 && self.passed == 0
    }

    /// `2 lessons passed, 1 begun, 1 machine running`
    fn says(&self) -> String {
        let lessons = |n: usize| format!("{n} {}", if n == 1 { "lesson" } else { "lessons" });
        let mut parts = vec![format!("{} passed", lessons(self.passed))];
        if self.begun > 0 {
            parts.push(format!("{} begun", self.begun));
        }
        if self.running > 0 {
            parts.push(format!(
                "{} running",
                if self.running == 1 { "1 machine".into() } else { format!("{} machines", self.running) }
            ));
        }
        parts.join(", ")
    }
}

/// `GET /forget`: what will be gone.
#[derive(Debug, Template)]
#[template(path = "forget.html")]
pub struct ForgetView {
    pub frame: Frame,
    /// `None`: there is nothing to forget.
    pub who: Option<SummaryView>,
}
