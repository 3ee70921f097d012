//! A fence: the line that opens it, the lines within, and whatever its author closes it with.

use std::ops::RangeInclusive;

use super::lines::{Prefix, columns, is_break, run_length};
use crate::lesson::actions::{self, Directive, Found};

/// Fewer marks are no fence.
const FENCE_MIN: usize = 3;

/// The line that opens a fence.
pub(super) struct Opening<'a> {
    /// Indentation, quote marks and list marks.
    pub prefix: &'a str,
    /// How many `>` stand in the prefix.
    quotes: usize,
    /// The column at which the fence starts, within the innermost quote.
    pub indent: usize,
    mark: char,
    length: usize,
    pub info: &'a str,
    pub one_line: Option<OneLine<'a>>,
}

/// `` ```command```{{exec}} ``, a whole block in one line.
pub(super) struct OneLine<'a> {
    pub code: &'a str,
    pub found: Directive,
    pub rest: &'a str,
}

pub(super) struct Closing<'a> {
    pub found: Option<Directive>,
    pub rest: &'a str,
}

impl<'a> Opening<'a> {
    pub fn read(line: &'a str) -> Option<Self> {
        let Prefix { bytes, quotes, indent, .. } = Prefix::read(line);
        let (prefix, fence) = line.split_at(bytes);
        let mark = fence.chars().next().filter(|mark| "`~".contains(*mark))?;
        let length = run_length(fence, mark);
        let info = &fence[length..];
        let opening = Self { prefix, quotes, indent, mark, length, info, one_line: None };
        match (length, mark == '`' && info.contains('`')) {
            (..FENCE_MIN, _) => None,
            (_, false) => Some(opening),
            // Backticks after backticks: code within a line, unless it is the whole line and has an action.
            (_, true) => opening.one_line(info).map(|one_line| Self { one_line: Some(one_line), info: "", ..opening }),
        }
    }

    fn one_line(&self, info: &'a str) -> Option<OneLine<'a>> {
        let end = info.find("```")?;
        let after = info[end..].trim_start_matches('`').trim_start();
        let found = actions::leading(after)?;
        let rest = &after[found.bytes..];
        // More code in the same line: a sentence, not a block.
        (!info[..end].trim().is_empty() && !rest.contains('`')).then_some(OneLine {
            code: &info[..end],
            found: found.directive,
            rest,
        })
    }

    /// A line of the body without the quote marks that the fence has; `None` after the end of its quote.
    pub fn inside(&self, line: &'a str) -> Option<&'a str> {
        let mut rest = line;
        for _ in 0..self.quotes {
            rest = rest.trim_start().strip_prefix('>')?;
            rest = rest.strip_prefix(' ').unwrap_or(rest);
        }
        Some(rest)
    }

    /// A line of the body without the indentation of its fence.
    pub fn without_indent(&self, line: &'a str) -> &'a str {
        let mut column = 0;
        let mut rest = line;
        while column < self.indent {
            match rest.chars().next() {
                Some(' ') => column += 1,
                Some('\t') => column = column / 4 * 4 + 4,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest
    }

    /// The line closes the fence, with or without an action.
    pub fn closing(&self, line: &'a str) -> Option<Closing<'a>> {
        let fence = line.trim_start();
        let length = run_length(fence, self.mark);
        let after = fence[length..].trim();
        if length < self.length {
            return None;
        }
        match actions::leading(after) {
            Some(Found { directive, bytes }) => Some(Closing { found: Some(directive), rest: &after[bytes..] }),
            None => ((after.is_empty() || is_break(after)) && columns(line) <= self.indent + 3)
                .then_some(Closing { found: None, rest: "" }),
        }
    }

    /// The last line of code and the closing fence in one: `` cmd```{{exec}} ``.
    pub fn glued_closing(&self, line: &'a str) -> Option<(&'a str, Closing<'a>)> {
        let fence = self.mark.to_string().repeat(self.length);
        let start = line.rfind(&fence)?;
        let code = line[..start].trim_end_matches(self.mark);
        let after = line[start + fence.len()..].trim_start();
        let found = actions::leading(after).filter(|found| !matches!(found.directive, Directive::Unknown { .. }))?;
        (!code.trim().is_empty())
            .then_some((code, Closing { found: Some(found.directive), rest: &after[found.bytes..] }))
    }

    /// A line that looks like the end of a fence which nothing else ends: too few marks, or marks behind the last line of code.
    pub fn meant_closing(&self, line: &'a str) -> Option<(&'a str, Closing<'a>)> {
        let start = line.rfind(&self.mark.to_string().repeat(FENCE_MIN))?;
        let code = line[..start].trim_end_matches(self.mark);
        let after = line[start + FENCE_MIN..].trim();
        let closing = match actions::leading(after) {
            Some(Found { directive, bytes }) if !matches!(directive, Directive::Unknown { .. }) => {
                Closing { found: Some(directive), rest: &after[bytes..] }
            }
            None if after.is_empty() => Closing { found: None, rest: "" },
            _ => return None,
        };
        (!code.contains(self.mark)).then_some((code, closing))
    }

    /// What it takes to close it, in words.
    pub fn fence(&self) -> String {
        format!("the same {} {}", self.length, if self.mark == '`' { "backticks" } else { "tildes" })
    }
}

/// What stands after an opening fence: `yaml {2,5-6} {{copy}}`.
#[derive(Default)]
pub(super) struct Info {
    pub language: String,
    pub highlighted: Vec<RangeInclusive<u32>>,
    pub directive: Option<Directive>,
}

impl Info {
    pub fn read(text: &str) -> Self {
        let mut info = Self::default();
        let mut rest = text.trim();
        while let Some(brace) = rest.find('{') {
            info.add_language(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(Found { directive, bytes }) = actions::leading(rest) {
                info.directive = Some(directive);
                rest = &rest[bytes..];
            } else if let Some(end) = rest.find('}') {
                info.highlighted.extend(rest[1..end].split(',').filter_map(line_range));
                rest = &rest[end + 1..];
            } else {
                break;
            }
        }
        info.add_language(rest);
        info
    }

    /// The first word there is.
    fn add_language(&mut self, words: &str) {
        if let Some(word) = words.split_whitespace().next().filter(|_| self.language.is_empty()) {
            self.language =
                word.chars().filter(|letter| letter.is_alphanumeric() || "+-_.#".contains(*letter)).take(32).collect();
        }
    }
}

/// `5` or `5-6`.
pub(super) fn line_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}
