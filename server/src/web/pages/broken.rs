//! A scenario with something wrong, for its author.

use askama::Template;

use super::Frame;

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
pub(super) struct Part<'a> {
    pub(super) code: bool,
    pub(super) text: &'a str,
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
    pub(super) fn place(&self) -> String {
        match (self.line, self.column) {
            (0, _) => self.file.clone(),
            (line, 0) => format!("{}:{line}", self.file),
            (line, column) => format!("{}:{line}:{column}", self.file),
        }
    }

    pub(super) fn is_error(&self) -> bool {
        self.level == LevelView::Error
    }

    pub(super) fn what(&self) -> Vec<Part<'_>> {
        parts(&self.message)
    }

    pub(super) fn fix(&self) -> Vec<Part<'_>> {
        self.hint.as_deref().map(parts).unwrap_or_default()
    }

    /// What stands before the caret's line: spaces up to the column, with the line's own tabs.
    pub(super) fn caret(&self, line: &str) -> Option<String> {
        let before = self.column.checked_sub(1)? as usize;
        let indent: String = line.chars().take(before).map(|c| if c == '\t' { '\t' } else { ' ' }).collect();
        let word = line.chars().skip(before).take_while(|c| !c.is_whitespace() && !matches!(c, ',' | ';')).count();
        Some(format!("{indent}{}", "^".repeat(word.max(1))))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::frame;
    use super::*;

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
}
