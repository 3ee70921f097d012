//! Parser directives: comments at the very top that say how the rest is read.
//!
//! `# escape`, `# syntax` and `# check` are all there are. The first line that is none of them ends them, even an empty
//! one or a comment; from then on they are comments like any other.

use crate::build::source::{Position, Problem, Span, Word};

use super::lines::Line;

/// What the directives say.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Directives {
    /// A front end for BuildKit; it changes nothing here.
    pub syntax: Option<Word>,
    /// Which checks are skipped, in BuildKit's notation.
    pub check: Option<Word>,
    escape: Option<char>,
}

impl Directives {
    pub fn escape(&self) -> char {
        self.escape.unwrap_or('\\')
    }
}

/// Reads directives until they end.
#[derive(Default)]
pub struct Reader {
    found: Directives,
    ended: bool,
}

impl Reader {
    pub fn found(&self) -> &Directives {
        &self.found
    }

    /// Whether `line` is a directive.
    pub fn read(&mut self, line: &Line<'_>) -> Result<bool, Problem> {
        if self.ended {
            return Ok(false);
        }
        let Some((name, value)) = split(line) else {
            self.ended = true;
            return Ok(false);
        };
        let again = |known: bool| match known {
            true => Err(Problem::new(line.whole(), format!("the directive {} stands here twice", name.text))),
            false => Ok(()),
        };
        match name.text.to_ascii_lowercase().as_str() {
            "escape" => {
                again(self.found.escape.is_some())?;
                self.found.escape = Some(escape_of(&value)?);
            }
            "syntax" => {
                again(self.found.syntax.is_some())?;
                self.found.syntax = Some(value);
            }
            "check" => {
                again(self.found.check.is_some())?;
                self.found.check = Some(value);
            }
            _ => self.ended = true,
        }
        Ok(!self.ended)
    }
}

fn escape_of(value: &Word) -> Result<char, Problem> {
    match value.as_str() {
        "\\" => Ok('\\'),
        "`" => Ok('`'),
        other => {
            Err(Problem::new(value.at, format!("the escape character cannot be {other}"))
                .advise("it is \\ or a backquote"))
        }
    }
}

/// Name and value of `# name = value`.
fn split(line: &Line<'_>) -> Option<(Word, Word)> {
    let comment = line.text.trim_start().strip_prefix('#')?;
    let (name, value) = comment.split_once('=')?;
    let (name, value) = (name.trim(), value.trim());
    let is_name =
        name.starts_with(|c: char| c.is_ascii_alphabetic()) && name.bytes().all(|b| b.is_ascii_alphanumeric());
    (is_name && !value.is_empty()).then(|| (word(line, name), word(line, value)))
}

/// `part` is a part of the line's own text.
fn word(line: &Line<'_>, part: &str) -> Word {
    let offset = part.as_ptr() as usize - line.text.as_ptr() as usize;
    let column = 1 + line.text[..offset].chars().count() as u32;
    let at = |column| Position { line: line.number, column };
    Word::new(part, Span { start: at(column), end: at(column + part.chars().count() as u32) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Directives, String> {
        let mut reader = Reader::default();
        for (index, text) in text.lines().enumerate() {
            let line = Line { number: index as u32 + 1, text, raw: text };
            reader.read(&line).map_err(|problem| problem.to_string())?;
        }
        Ok(reader.found)
    }

    #[test]
    fn directives_stand_at_the_top_only() {
        let found = read("#syntax=docker/dockerfile:1\n# ESCAPE = `\n").unwrap();
        assert_eq!(found.syntax.unwrap().text, "docker/dockerfile:1");
        assert_eq!(found.escape, Some('`'));
        assert_eq!(read("# a comment\n# escape=`").unwrap().escape(), '\\');
        assert_eq!(read("\n# escape=`").unwrap().escape(), '\\');
        assert_eq!(read("# unknown=1\n# escape=`").unwrap().escape(), '\\');
        assert_eq!(read("# escape=").unwrap().escape(), '\\');
        assert_eq!(read("# check=skip=all;error=true").unwrap().check.unwrap().text, "skip=all;error=true");
    }

    #[test]
    fn a_directive_cannot_be_repeated_and_escape_is_one_of_two() {
        assert_eq!(
            read("# escape=\\\n# escape=`").unwrap_err(),
            "line 2, column 1: the directive escape stands here twice"
        );
        assert_eq!(
            read("# escape=x").unwrap_err(),
            "line 1, column 10: the escape character cannot be x; it is \\ or a backquote"
        );
    }
}
