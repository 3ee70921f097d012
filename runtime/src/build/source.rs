//! Where something stands in a Dockerfile, and how a mistake in one is shown.
//!
//! Whatever is read from a Dockerfile remembers its place, because people read messages beside their editor: line and
//! column, the line itself, and a caret below the word that is meant.

use std::fmt;

use serde::Serialize;

/// How much of a line is quoted below a message. Longer lines are cut around the caret, so that it can be seen.
const QUOTED_MAX_CHARS: usize = 100;

/// What is kept of the line before the caret where a long line is cut.
const QUOTED_BEFORE_CHARS: usize = 40;

/// A place between two characters. Lines and columns count from 1, columns in characters.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Position {
    pub line: u32,
    pub column: u32,
}

/// From the first character to behind the last. It may reach over several lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize)]
pub struct Span {
    pub start: Position,
    pub end: Position,
}

/// A piece of a Dockerfile as it was written (quotes and variables are still in it), and its place.
///
/// Two words are equal if they say the same, wherever they stand: moving an instruction down a line is no change of it.
#[derive(Debug, Clone, Default, Eq, Serialize)]
pub struct Word {
    pub text: String,
    #[serde(skip)]
    pub at: Span,
}

impl Word {
    pub fn new(text: impl Into<String>, at: Span) -> Self {
        Self { text: text.into(), at }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }
}

impl PartialEq for Word {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl fmt::Display for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Why a Dockerfile cannot be built, where, and what to do about it.
///
/// Printed, it has two parts: one line that says it all, and the line of the Dockerfile with a caret below the place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub struct Problem {
    /// What is wrong, in lower case and without a full stop.
    pub message: String,
    /// What to do next, if there is something better to say than the message does.
    pub advice: Option<String>,
    pub at: Span,
    /// The line that `at` begins in; set by [`Source::quote`].
    line: Option<String>,
}

impl Problem {
    pub fn new(at: Span, message: impl Into<String>) -> Self {
        Self { message: message.into(), advice: None, at, line: None }
    }

    pub fn advise(mut self, advice: impl Into<String>) -> Self {
        self.advice = Some(advice.into());
        self
    }

    /// Proposes the nearest of `known`, where one is near.
    pub fn suggest<'a>(self, wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        match nearest(wrong, known) {
            Some(known) => self.advise(format!("did you mean {known}?")),
            None => self,
        }
    }

    /// The message and its advice, on one line and without the place.
    pub fn words(&self) -> String {
        match &self.advice {
            Some(advice) => format!("{}; {advice}", self.message),
            None => self.message.clone(),
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What is said of the whole file has no place in it.
        if self.at != Span::default() {
            write!(f, "line {}, column {}: ", self.at.start.line, self.at.start.column)?;
        }
        write!(f, "{}", self.words())?;
        match &self.line {
            Some(line) => write!(f, "\n{}", Quotation { line, at: self.at }),
            None => Ok(()),
        }
    }
}

/// The lines of a Dockerfile, kept for messages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Source {
    lines: Vec<String>,
}

impl Source {
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    pub fn new(bytes: &[u8]) -> Self {
        let text = String::from_utf8_lossy(bytes);
        Self { lines: text.trim_start_matches('\u{feff}').lines().map(str::to_owned).collect() }
    }

    /// Puts the line into the message that it is about.
    pub fn quote(&self, mut problem: Problem) -> Problem {
        let index = (problem.at.start.line as usize).wrapping_sub(1);
        problem.line = self.lines.get(index).cloned();
        problem
    }
}

/// A line and its caret.
struct Quotation<'a> {
    line: &'a str,
    at: Span,
}

impl fmt::Display for Quotation<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Span { start, end } = self.at;
        let chars: Vec<char> = self.line.chars().collect();
        let first = (start.column as usize).saturating_sub(1).min(chars.len());
        let last = if end.line == start.line { (end.column as usize).saturating_sub(1) } else { chars.len() };
        let cut = if chars.len() > QUOTED_MAX_CHARS { first.saturating_sub(QUOTED_BEFORE_CHARS) } else { 0 };
        let shown = &chars[cut..chars.len().min(cut + QUOTED_MAX_CHARS)];
        let carets = last.min(cut + shown.len()).saturating_sub(first).max(1);

        let number = start.line.to_string();
        let visible = |c: &char| if c.is_control() { ' ' } else { *c };
        let before = if cut > 0 { "…" } else { "" };
        let after = if cut + shown.len() < chars.len() { "…" } else { "" };
        let line: String = shown.iter().map(visible).collect();
        writeln!(f, "  {number} | {before}{}{after}", line.trim_end())?;
        let indent = first - cut + before.chars().count();
        write!(f, "  {:width$} | {:indent$}{}", "", "", "^".repeat(carets), width = number.len())
    }
}

/// The name of `known` that `wrong` is most likely a slip of, compared without regard to case.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    /// Nobody misspells a longer word of a Dockerfile, and the distance of two words costs the product of their lengths.
    const WORD_MAX_CHARS: usize = 64;
    if wrong.chars().count() > WORD_MAX_CHARS {
        return None;
    }
    let wrong = wrong.to_lowercase();
    let apart = |name: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &wrong);
    // A third of the letters may be wrong: more of them, and the proposal is a guess.
    let near = |(apart, name): &(usize, &str)| 3 * apart <= name.chars().count();
    known.into_iter().map(|name| (apart(name), name)).filter(near).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn span(line: u32, from: u32, to: u32) -> Span {
        Span { start: Position { line, column: from }, end: Position { line, column: to } }
    }

    #[test]
    fn a_problem_shows_its_line_and_a_caret() {
        let source = Source::new("FROM debian\nRUNN echo ü\n".as_bytes());
        let problem = Problem::new(span(2, 1, 5), "unknown instruction RUNN").suggest("RUNN", ["RUN", "FROM"]);
        insta::assert_snapshot!(source.quote(problem), @r"
        line 2, column 1: unknown instruction RUNN; did you mean RUN?
          2 | RUNN echo ü
            | ^^^^
        ");
    }

    #[test]
    fn a_long_line_is_cut_around_the_caret() {
        let line = format!("RUN {}X{}", "a".repeat(200), "b".repeat(200));
        let problem = Source::new(line.as_bytes()).quote(Problem::new(span(1, 205, 206), "an X"));
        insta::assert_snapshot!(problem, @r"
        line 1, column 205: an X
          1 | …aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaXbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb…
            |                                          ^
        ");
    }

    #[test]
    fn what_is_not_near_is_not_proposed() {
        assert_eq!(nearest("COPPY", ["COPY", "CMD"]), Some("COPY"));
        assert_eq!(nearest("form", ["FROM", "RUN"]), Some("FROM"));
        assert_eq!(nearest("INCLUDE", ["FROM", "RUN", "VOLUME"]), None);
        assert_eq!(nearest(&"x".repeat(100_000), ["FROM"]), None);
    }

    #[test]
    fn words_are_equal_wherever_they_stand() {
        assert_eq!(Word::new("a", span(1, 1, 2)), Word::new("a", span(7, 3, 4)));
        assert_ne!(Word::new("a", span(1, 1, 2)), Word::new("b", span(1, 1, 2)));
    }
}
