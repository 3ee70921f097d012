//! What a lesson is once it has been read: plain data, shared and never changed.
//!
//! A [`Library`] is a snapshot of the lessons' folder; a session keeps the `Arc<Scenario>` that it
//! started with, so an author who saves a file changes nothing under a learner's hands.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

/// Every course of an installation, in the order in which the catalogue shows them.
#[derive(Debug, Clone, Default)]
pub struct Library {
    pub courses: Vec<Course>,
    /// Scenarios that were broken while people could play them: these go on, as they were before.
    pub faults: Vec<Fault>,
    /// When their files were looked at.
    pub read_at: Option<SystemTime>,
    /// Images of the operator's own catalogue that scenarios may ask for.
    pub machines: Vec<String>,
}

/// What is wrong with the new version of a scenario that is played in its last good one.
#[derive(Debug, Clone)]
pub struct Fault {
    pub course: String,
    pub slug: String,
    pub diagnostics: Vec<Diagnostic>,
}

impl Library {
    pub fn course(&self, slug: &str) -> Option<&Course> {
        self.courses.iter().find(|course| course.slug == slug)
    }

    /// This library, with the last good version of each scenario that was good in `before` and is broken now.
    #[must_use]
    pub fn keeping_the_good_of(mut self, before: &Self) -> Self {
        let mut faults = Vec::new();
        for course in &mut self.courses {
            for item in &mut course.items {
                let Item::Broken { slug, diagnostics, .. } = &*item else { continue };
                let Some(good @ Item::Scenario(_)) = before.item(&course.slug, slug) else { continue };
                faults.push(Fault {
                    course: course.slug.clone(),
                    slug: slug.clone(),
                    diagnostics: diagnostics.clone(),
                });
                *item = good.clone();
            }
        }
        Self { faults, ..self }
    }

    /// What is wrong with the newest version of a scenario that is played in an older one.
    pub fn fault(&self, course: &str, slug: &str) -> Option<&Fault> {
        self.faults.iter().find(|fault| fault.course == course && fault.slug == slug)
    }

    /// The scenario at `/COURSE/SCENARIO`, broken or not.
    pub fn item(&self, course: &str, slug: &str) -> Option<&Item> {
        self.course(course)?.items.iter().find(|item| item.slug() == slug)
    }
}

/// A list of scenarios: a folder, and its `structure.json` where it has one.
#[derive(Debug, Clone)]
pub struct Course {
    /// One URL segment: `[a-z0-9][a-z0-9._-]*`, from the folder's name.
    pub slug: String,
    pub title: String,
    pub description: String,
    pub items: Vec<Item>,
    /// What is wrong with the course's own files.
    pub diagnostics: Vec<Diagnostic>,
}

#[derive(Debug, Clone)]
pub enum Item {
    Scenario(Arc<Scenario>),
    /// A scenario that cannot be played: shown to everybody with what is wrong, and harms nobody else.
    Broken {
        slug: String,
        title: String,
        dir: PathBuf,
        diagnostics: Vec<Diagnostic>,
    },
}

impl Item {
    pub fn slug(&self) -> &str {
        match self {
            Self::Scenario(scenario) => &scenario.slug,
            Self::Broken { slug, .. } => slug,
        }
    }

    /// The folder that it lies in.
    pub fn dir(&self) -> &Path {
        match self {
            Self::Scenario(scenario) => &scenario.dir,
            Self::Broken { dir, .. } => dir,
        }
    }

    pub fn title(&self) -> &str {
        match self {
            Self::Scenario(scenario) => &scenario.title,
            Self::Broken { title, .. } => title,
        }
    }
}

#[derive(Debug, Clone)]
pub struct Scenario {
    pub course: String,
    /// One URL segment, from the folder's name; unique in its course.
    pub slug: String,
    pub dir: PathBuf,
    /// The repository that the scenario came with: images may lie anywhere beneath it.
    pub root: PathBuf,
    /// sha256 (hex) over every file that the scenario uses: its version.
    pub digest: String,
    /// Those files, relative to `root`.
    pub files: Vec<String>,
    pub title: String,
    pub description: String,
    /// As written: `Beginner`, `beginner`, `Débutant`, `4 level`.
    pub difficulty: Option<String>,
    /// As written: `15 minutes`.
    pub time: Option<String>,
    /// The namespace this lesson is about (`pid`, `net`, `ipc`, `mnt`, `uts`, `user`, `time`, `cgroup`),
    /// from our own `index.json` key `namespace`.
    pub namespace: Option<String>,
    /// `backend.imageid` as written.
    pub imageid: Option<String>,
    /// What that means here.
    pub environment: Environment,
    /// Intro (if any), steps, finish (if any), in order. Never empty.
    pub pages: Vec<Page>,
    /// For host 1, resolved and in order: later ones win.
    pub assets: Vec<Asset>,
    /// Everything that its author should know. An error here is a file that is missing at one place,
    /// where the page says so; a scenario that cannot be played at all is [`Item::Broken`].
    pub diagnostics: Vec<Diagnostic>,
    /// What this scenario asks for that this installation does not have, each named before the start.
    pub lacks: Vec<Lack>,
    /// The language of its texts (BCP 47), where it names one or lies in a folder for one: `de`, `pt-BR`.
    pub language: Option<String>,
    /// Terminals that are open from the start besides the first.
    pub terminals: Vec<OpenTerminal>,
    /// Shown in terminal 1, and in terminal 2, before the first prompt: text and colours, no other escape sequence.
    pub greetings: [Option<String>; 2],
}

/// A terminal as a scenario wants to find it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenTerminal {
    pub number: u16,
    /// What its tab is called.
    pub name: String,
    /// Typed into it at the start.
    pub command: Option<String>,
}

impl Scenario {
    /// The page that a link without a page leads to.
    pub fn first_page(&self) -> &Page {
        self.pages.iter().find(|page| !page.hidden).unwrap_or(&self.pages[0])
    }

    /// What is shown in terminal `number` before its first prompt.
    pub fn greeting(&self, number: u16) -> Option<&str> {
        let at = usize::from(number).checked_sub(1)?;
        self.greetings.get(at)?.as_deref()
    }

    pub fn page(&self, kind: PageKind) -> Option<&Page> {
        self.pages.iter().find(|page| page.kind == kind)
    }

    /// Why it cannot be played here, if it cannot.
    pub fn refusal(&self) -> Option<&Lack> {
        self.lacks.iter().find(|lack| lack.fatal)
    }
}

/// What an `imageid` means here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Environment {
    /// The catalogue's name of the image.
    pub image: String,
    pub hostname: String,
    /// For PS1: bash expands it.
    pub prompt: String,
    /// A program of the image that is run once before anything of the lesson: what such a machine has running.
    pub starts: Option<String>,
    /// Said to the learner before the start, where the machine is not quite what was asked for.
    pub note: Option<String>,
}

#[derive(Debug, Clone)]
pub struct Page {
    pub kind: PageKind,
    pub title: String,
    /// Its scripts run, and nobody is shown it: Katacoda's `hideintro`.
    pub hidden: bool,
    /// Cleaned HTML of the text, with the markup of actions (see `markdown`).
    pub html: String,
    /// The actions of `html`, then of the hint, then of the solution; `data-action` is the index.
    pub actions: Vec<Action>,
    /// How many of `actions` stand in `html`: the first ones.
    pub text_actions: usize,
    /// The questions of `html`, of the hint and of the solution, in order; their places are marked (see `quiz`).
    pub quizzes: Vec<Quiz>,
    pub foreground: Option<Script>,
    pub background: Option<Script>,
    pub verify: Option<Verify>,
    /// Cleaned HTML.
    pub hint: Option<String>,
    pub solution: Option<Solution>,
    pub lacks: Vec<Lack>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PageKind {
    Intro,
    /// Counted from 1.
    Step(u32),
    Finish,
}

impl PageKind {
    /// The last segment of the page's URL: `intro`, `1`, `2`, …, `finish`.
    pub fn slug(self) -> String {
        match self {
            Self::Intro => "intro".into(),
            Self::Step(number) => number.to_string(),
            Self::Finish => "finish".into(),
        }
    }

    pub fn from_slug(slug: &str) -> Option<Self> {
        match slug {
            "intro" => Some(Self::Intro),
            "finish" => Some(Self::Finish),
            number => number.parse().ok().filter(|&number| number > 0).map(Self::Step),
        }
    }
}

/// A script file of the scenario, read when the scenario was.
#[derive(Debug, Clone)]
pub struct Script {
    /// Relative to the scenario's folder, for messages.
    pub path: String,
    pub bytes: Vec<u8>,
}

#[derive(Debug, Clone)]
pub struct Verify {
    pub script: Script,
    /// Besides exit code 0, `done` must be printed: Katacoda's rule, for scripts that `echo done` and
    /// never say `exit` or `set -e`.
    pub wants_done: bool,
}

#[derive(Debug, Clone)]
pub struct Solution {
    /// Cleaned HTML that the learner may open.
    pub html: String,
    /// What `quayside lesson test` runs: the file itself where it is a script, else the text's run actions.
    pub script: Option<Script>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Action {
    pub verb: ActionVerb,
    /// The text to type, copy or write, exactly; of a file to open, its name.
    pub text: String,
    /// What is opened or written.
    pub target: Option<FileTarget>,
}

/// The file that an action opens or writes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileTarget {
    /// Absolute, inside the sandbox.
    pub path: String,
    /// The text whose place the new text takes; for [`WriteHow::Insert`].
    pub marker: String,
}

/// A question with its answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quiz {
    /// Short, made of the question's own source: another question has another, and so has a changed one.
    pub key: String,
    /// Cleaned HTML of one line.
    pub question: String,
    pub answers: Answers,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// Exactly one is right.
    One(Vec<Choice>),
    /// All that are right, and no other.
    Several(Vec<Choice>),
    /// A text that the learner types.
    Text {
        accepted: Vec<Accepted>,
        /// Said to whatever else was typed.
        otherwise: Vec<Piece>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Choice {
    /// Cleaned HTML of one line.
    pub html: String,
    pub right: bool,
    /// Why it is right, or wrong: empty where its author does not say.
    pub why: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    pub text: String,
    /// Anywhere in what was typed; otherwise it is the whole of it.
    pub within: bool,
    pub why: Vec<Piece>,
}

/// A part of a sentence: words, or code.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Piece {
    pub text: String,
    pub code: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActionVerb {
    Copy,
    /// Shows a file of the machine.
    Open,
    /// Writes a file of the machine.
    Write(WriteHow),
    Run {
        terminal: Terminal,
        /// Ctrl-C first.
        interrupt: bool,
        /// Typed, and left for the learner to finish.
        no_newline: bool,
        /// The text names keys, `^C` or `^ESC`: those are pressed, not typed, and no Enter follows.
        ctrl_seq: bool,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WriteHow {
    Replace,
    Append,
    Prepend,
    /// In the place of a marker.
    Insert,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Terminal {
    /// The one in front.
    Active,
    /// T1 to T9.
    Number(u16),
}

/// A file that is placed in the sandbox before any script runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asset {
    pub source: PathBuf,
    /// Absolute, inside the sandbox.
    pub target: String,
    /// As written; handed to chmod(1), whose failure is ignored.
    pub chmod: Option<String>,
}

/// Something asked for that is not here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lack {
    /// A word for programs: `kubernetes`, `docker`, `systemd`, `editor`, `host2`, `port`, `quiz`, …
    pub what: String,
    /// One sentence for the learner, said before the start (scenario) or at its place (page).
    pub says: String,
    /// The scenario cannot be played without it.
    pub fatal: bool,
}

/// What is wrong with a file, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Diagnostic {
    pub level: Level,
    /// Relative to the lessons' folder.
    pub file: String,
    /// From 1; 0: the file as a whole.
    pub line: u32,
    /// From 1, in characters; 0: the line as a whole.
    pub column: u32,
    pub message: String,
    /// What to write instead, where that can be guessed.
    pub hint: Option<String>,
    /// The lines of the source around it, as (number, text), for the author's page.
    pub excerpt: Vec<(u32, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    Warning,
    Error,
}
