//! Saying what is wrong with a lesson's file: where, with the lines around it, and what to do.
//!
//! It knows texts and places in them, and nothing of what the files mean.

use super::model::{Diagnostic, Level};

/// A folder full of broken files must not fill the memory or the author's page.
pub const DIAGNOSTICS_MAX: usize = 200;

/// Lines shown before and after the one that is meant.
const EXCERPT_AROUND: u32 = 1;

/// A minified file has its whole text in one line; nobody reads more of it than this.
const EXCERPT_CHARS_MAX: usize = 160;

/// A file as it was read, for pointing into it.
#[derive(Debug, Clone)]
pub struct SourceText {
    /// Relative to the lessons' folder.
    pub file: String,
    /// Without a byte-order mark; lines end with `\n`.
    pub text: String,
}

/// Where something is: a file, a line of it, or one character.
#[derive(Debug, Clone, Default)]
pub struct Place {
    file: String,
    line: u32,
    column: u32,
    excerpt: Vec<(u32, String)>,
}

impl Place {
    /// The file as a whole.
    pub fn file(file: impl Into<String>) -> Self {
        Self { file: file.into(), ..Self::default() }
    }
}

impl SourceText {
    pub fn whole(&self) -> Place {
        Place::file(&self.file)
    }

    /// The character at a byte offset.
    pub fn at(&self, offset: usize) -> Place {
        let before = self.text.get(..offset).unwrap_or(&self.text);
        let line = before.matches('\n').count() as u32 + 1;
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let column = before[start..].chars().count() as u32 + 1;
        Place { column, ..self.line(line) }
    }

    /// A line, counted from 1.
    pub fn line(&self, line: u32) -> Place {
        Place { file: self.file.clone(), line, column: 0, excerpt: self.excerpt(line) }
    }

    /// A line and a column, each counted from 1.
    pub fn character(&self, line: u32, column: u32) -> Place {
        Place { column, ..self.line(line) }
    }

    fn excerpt(&self, line: u32) -> Vec<(u32, String)> {
        let first = line.saturating_sub(EXCERPT_AROUND).max(1);
        let last = line.saturating_add(EXCERPT_AROUND);
        let numbered = (1u32..).zip(self.text.lines());
        let around = numbered.skip_while(|(number, _)| *number < first).take_while(|(number, _)| *number <= last);
        around.map(|(number, text)| (number, text.chars().take(EXCERPT_CHARS_MAX).collect())).collect()
    }
}

impl Diagnostic {
    pub fn warning(place: Place, message: impl Into<String>) -> Self {
        Self::new(Level::Warning, place, message.into())
    }

    pub fn error(place: Place, message: impl Into<String>) -> Self {
        Self::new(Level::Error, place, message.into())
    }

    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }

    /// For a guess that may not have succeeded.
    #[must_use]
    pub fn maybe_hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }

    fn new(level: Level, place: Place, message: String) -> Self {
        let Place { file, line, column, excerpt } = place;
        Self { level, file, line, column, message, hint: None, excerpt }
    }
}

/// `file:line:column: message (hint)`, leaving out what is not known.
impl std::fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let level = match self.level {
            Level::Warning => "warning",
            Level::Error => "error",
        };
        write!(f, "{}", self.file)?;
        if self.line > 0 {
            write!(f, ":{}", self.line)?;
        }
        if self.column > 0 {
            write!(f, ":{}", self.column)?;
        }
        write!(f, ": {level}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// The diagnostics of one scenario or course, bounded.
#[derive(Debug, Clone, Default)]
pub struct Report {
    kept: Vec<Diagnostic>,
}

impl Report {
    pub fn push(&mut self, diagnostic: Diagnostic) {
        // A text that several steps show is read for each of them.
        if self.kept.contains(&diagnostic) {
            return;
        }
        if self.kept.len() < DIAGNOSTICS_MAX {
            self.kept.push(diagnostic);
        } else if self.kept.len() == DIAGNOSTICS_MAX {
            let place = Place::file(diagnostic.file);
            self.kept.push(Diagnostic::warning(
                place,
                format!("more than {DIAGNOSTICS_MAX} things to say: the rest is left out"),
            ));
        }
    }

    pub fn extend(&mut self, diagnostics: impl IntoIterator<Item = Diagnostic>) {
        diagnostics.into_iter().for_each(|diagnostic| self.push(diagnostic));
    }

    pub fn into_vec(self) -> Vec<Diagnostic> {
        self.kept
    }
}

/// The candidate that was probably meant: other letters' case first, then a small slip of the fingers.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = 1 + word.chars().count() / 5;
    let word = word.to_lowercase();
    let scored = candidates.into_iter().map(|candidate| (edits(&word, &candidate.to_lowercase()), candidate));
    scored
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour
/// (the restricted Damerau-Levenshtein distance).
fn edits(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut two_above: Vec<usize> = Vec::new();
    let mut above: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substitution = above[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substitution.min(above[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(two_above[j - 2] + 1);
            }
            row.push(best);
        }
        two_above = std::mem::replace(&mut above, row);
    }
    above[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_of_the_fingers_is_recognised_and_another_word_is_not() {
        let files = ["verify.sh", "step1.md", "finish.md"];
        assert_eq!(nearest("Verify.sh", files), Some("verify.sh"));
        assert_eq!(nearest("stpe1.md", files), Some("step1.md"));
        assert_eq!(nearest("intro.md", files), None);
    }

    #[test]
    fn a_place_counts_lines_and_characters_from_one_and_shows_its_neighbours() {
        let text = SourceText { file: "a.json".into(), text: "{\n  \"é\": x\n}".into() };
        let shown = Diagnostic::error(text.at(text.text.find('x').unwrap()), "unknown word").hint("write null");
        assert_eq!(shown.to_string(), "a.json:2:8: error: unknown word (write null)");
        assert_eq!(shown.excerpt.len(), 3);
    }
}
