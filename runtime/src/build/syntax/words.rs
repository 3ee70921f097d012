//! Taking the text behind an instruction's name apart: flags, words, assignments, arrays of JSON.
//!
//! Docker has three ways to find a word's end, and none is the shell's: behind flags and in `ENV`, `LABEL` and `ARG`
//! quotes count, in `COPY`, `EXPOSE` and the rest only blanks do. Quotes stay in the words; `scope` takes them away.

use serde_json::Value;

use crate::build::source::{Problem, Word};

use super::text::Text;

/// What an array of JSON was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Array {
    Strings(Vec<String>),
    /// It is an array, and something in it is no string.
    Others,
}

/// `["a", "b"]` as its strings; none if it is no array of JSON at all, and is to be read as text.
pub fn array(text: &str) -> Option<Array> {
    if !text.trim_start().starts_with('[') {
        return None;
    }
    let values: Vec<Value> = serde_json::from_str(text.trim()).ok()?;
    let string = |value| match value {
        Value::String(text) => Some(text),
        _ => None,
    };
    Some(values.into_iter().map(string).collect::<Option<_>>().map_or(Array::Others, Array::Strings))
}

/// Whether a text that is no array of JSON was probably meant to be one.
pub fn resembles_array(text: &str) -> bool {
    let inside = text.trim_start().strip_prefix('[').map(str::trim_start);
    inside.is_some_and(|inside| inside.starts_with(['"', '\'', '“']))
}

/// Words between blanks; quotes mean nothing.
pub fn blank_separated(text: &Text) -> Vec<Word> {
    let source = text.as_str();
    let mut words = Vec::new();
    let mut start = None;
    for (offset, c) in source.char_indices() {
        // Docker's set: other blanks of Unicode belong to the word.
        match (matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c'), start) {
            (true, Some(from)) => {
                words.push(text.word(from, offset));
                start = None;
            }
            (false, None) => start = Some(offset),
            _ => (),
        }
    }
    words.extend(start.map(|from| text.word(from, source.len())));
    words
}

/// Words between blanks that are not quoted; quotes and escapes stay in them.
pub fn quoted_words(text: &Text, escape: char) -> Vec<Word> {
    let mut words = Vec::new();
    let mut rest = Scanner::new(text);
    while let Some(from) = rest.skip_blanks() {
        let mut word = String::new();
        let mut quote = None;
        while let Some(c) = rest.peek() {
            if quote.is_none() && c.is_whitespace() {
                break;
            }
            rest.next();
            if c == escape && quote != Some('\'') {
                // At the end of the text it escapes nothing and is dropped.
                if let Some(next) = rest.next() {
                    word.extend([c, next]);
                }
                continue;
            }
            match quote {
                Some(open) if c == open => quote = None,
                None if matches!(c, '\'' | '"') => quote = Some(c),
                _ => (),
            }
            word.push(c);
        }
        if !word.is_empty() {
            words.push(Word::new(word, text.span(from, rest.offset)));
        }
    }
    words
}

/// `--name=value` and `--name` from the front of a text, quotes and escapes taken away, and where they end.
///
/// `--` alone ends them too, and is left out.
pub fn flags(text: &Text, escape: char) -> (Vec<Word>, usize) {
    let mut flags = Vec::new();
    let mut rest = Scanner::new(text);
    while let Some(from) = rest.skip_blanks() {
        if !text.as_str()[from..].starts_with("--") {
            return (flags, from);
        }
        let word = flag(&mut rest, escape);
        if word == "--" {
            break;
        }
        flags.push(Word::new(word, text.span(from, rest.offset)));
    }
    (flags, rest.offset)
}

fn flag(rest: &mut Scanner<'_>, escape: char) -> String {
    let mut word = String::new();
    let mut quote = None;
    while let Some(c) = rest.peek() {
        if quote.is_none() && c.is_whitespace() {
            break;
        }
        rest.next();
        match quote {
            _ if c == escape => word.extend(rest.next()),
            Some(open) if c == open => quote = None,
            None if matches!(c, '\'' | '"') => quote = Some(c),
            _ => word.push(c),
        }
    }
    word
}

/// One assignment as it is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    pub key: Word,
    pub value: Word,
    /// Without an equals sign: the value is all that follows.
    pub legacy: bool,
}

/// `key=value …`, or `key value` as it was in 2013. Which of them is decided by the first word.
pub fn assignments(text: &Text, escape: char, instruction: &str) -> Result<Vec<Assignment>, Problem> {
    let words = quoted_words(text, escape);
    match words.first() {
        None => Ok(Vec::new()),
        Some(first) if !first.text.contains('=') => legacy_assignment(text, instruction).map(|one| vec![one]),
        Some(_) => words.iter().map(|word| assignment(word, instruction)).collect(),
    }
}

fn legacy_assignment(text: &Text, instruction: &str) -> Result<Assignment, Problem> {
    let source = text.as_str();
    let is_blank = |c: char| matches!(c, ' ' | '\t' | '\r' | '\x0b' | '\x0c');
    let end = source.find(is_blank).unwrap_or(source.len());
    let start = source.len() - source[end..].trim_start_matches(is_blank).len();
    if end == source.len() {
        let message = format!("{instruction} {source} has no value");
        return Err(Problem::new(text.whole(), message).advise(format!("write {instruction} {source}=value")));
    }
    Ok(Assignment { key: text.word(0, end), value: text.word(start, source.len()), legacy: true })
}

fn assignment(word: &Word, instruction: &str) -> Result<Assignment, Problem> {
    let Some((key, value)) = word.text.split_once('=') else {
        let message = format!("{} is not of the form name=value", word.text);
        let advice = format!("if it belongs to the value before it, quote that: {instruction} name=\"a value\"");
        return Err(Problem::new(word.at, message).advise(advice));
    };
    let (key, value) = halves(word, key, value);
    Ok(Assignment { key, value, legacy: false })
}

/// Both sides of the first equals sign of `word`, with their places.
pub fn halves(word: &Word, key: &str, value: &str) -> (Word, Word) {
    let mut key_at = word.at;
    let mut value_at = word.at;
    // A word that goes over several lines has no columns of its own behind the first.
    if word.at.start.line == word.at.end.line {
        key_at.end.column = word.at.start.column + key.chars().count() as u32;
        value_at.start.column = key_at.end.column + 1;
    }
    (Word::new(key, key_at), Word::new(value, value_at))
}

struct Scanner<'a> {
    text: &'a str,
    offset: usize,
}

impl<'a> Scanner<'a> {
    fn new(text: &'a Text) -> Self {
        Self { text: text.as_str(), offset: 0 }
    }

    fn peek(&self) -> Option<char> {
        self.text[self.offset..].chars().next()
    }

    fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.offset += c.len_utf8();
        Some(c)
    }

    /// Where the next word begins.
    fn skip_blanks(&mut self) -> Option<usize> {
        while self.peek()?.is_whitespace() {
            self.next();
        }
        Some(self.offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::source::Position;

    fn text(source: &str) -> Text {
        let mut text = Text::default();
        text.push(source, Position { line: 1, column: 1 });
        text
    }

    fn strings(words: Vec<Word>) -> Vec<String> {
        words.into_iter().map(|word| word.text).collect()
    }

    #[test]
    fn an_array_is_json_or_it_is_text() {
        assert_eq!(array(r#" ["a", "b\n"] "#), Some(Array::Strings(vec!["a".into(), "b\n".into()])));
        assert_eq!(array("[]"), Some(Array::Strings(vec![])));
        assert_eq!(array(r#"["a", 1]"#), Some(Array::Others));
        assert_eq!(array("['a']"), None);
        assert_eq!(array(r#"["a"] b"#), None);
        assert_eq!(array("[ -f /x ]"), None);
        assert!(resembles_array("[ 'a' ]") && resembles_array("[\"a\""));
        assert!(!resembles_array("[ -f /x ]") && !resembles_array("\"a\""));
    }

    #[test]
    fn flags_end_at_the_first_word_that_is_none() {
        let line = text(r#"  --from=a --chown="b c" --link src --x"#);
        let (found, end) = flags(&line, '\\');
        assert_eq!(strings(found), ["--from=a", "--chown=b c", "--link"]);
        assert_eq!(&line.as_str()[end..], "src --x");
        let line = text("--a -- --b");
        let (found, end) = flags(&line, '\\');
        assert_eq!(strings(found), ["--a"]);
        assert_eq!(&line.as_str()[end..], " --b");
    }

    #[test]
    fn quotes_hold_a_word_together_and_stay_in_it() {
        let words = strings(quoted_words(&text(r#"a="b c" 'd e'f g\ h "i\"j" \"#), '\\'));
        assert_eq!(words, [r#"a="b c""#, "'d e'f", r"g\ h", r#""i\"j""#]);
        assert_eq!(strings(quoted_words(&text("'a b"), '\\')), ["'a b"]);
        assert_eq!(strings(blank_separated(&text("a 'b c'\td"))), ["a", "'b", "c'", "d"]);
    }

    #[test]
    fn the_first_word_decides_how_assignments_are_read() {
        let pairs = assignments(&text(r#"a=1 b="2 3""#), '\\', "ENV").unwrap();
        assert_eq!((pairs[1].key.as_str(), pairs[1].value.as_str(), pairs[1].legacy), ("b", r#""2 3""#, false));
        assert_eq!(pairs[1].value.at.start.column, 7);
        let pairs = assignments(&text("a  b=1 c"), '\\', "ENV").unwrap();
        assert_eq!((pairs[0].key.as_str(), pairs[0].value.as_str(), pairs[0].legacy), ("a", "b=1 c", true));
        let problem = assignments(&text("a"), '\\', "ENV").unwrap_err();
        assert_eq!(problem.words(), "ENV a has no value; write ENV a=value");
        let problem = assignments(&text("a=b c"), '\\', "ENV").unwrap_err();
        assert_eq!(problem.at.start.column, 5);
    }
}
