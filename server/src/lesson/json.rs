//! JSON as people write it by hand: every value knows where it stood, so that a message can point at it.
//!
//! Beyond the standard it accepts, with a warning: a comma before a closing bracket, a key written twice
//! (the last one counts, as in browsers), a TAB within a string, and comments. Anything else is an error at
//! its line and column. It knows nothing of scenarios.

use super::diagnostic::{DIAGNOSTICS_MAX, SourceText};
use super::model::Diagnostic;

/// Scenarios nest five levels; a file made to exhaust the stack nests thousands.
const NESTING_MAX: usize = 64;

/// Keys of one object. Each is compared with those before it.
const MEMBERS_MAX: usize = 1000;

/// A value and the byte offset of its first character.
#[derive(Debug, Clone)]
pub struct Node {
    pub at: usize,
    pub value: Value,
}

#[derive(Debug, Clone)]
pub enum Value {
    Null,
    Bool(bool),
    /// As written.
    Number(String),
    String(String),
    Array(Vec<Node>),
    Object(Vec<Member>),
}

#[derive(Debug, Clone)]
pub struct Member {
    pub key: String,
    pub at: usize,
    pub node: Node,
}

impl Node {
    /// The member of that name; the last one, if it was written twice.
    pub fn get(&self, key: &str) -> Option<&Node> {
        self.members().iter().rev().find(|member| member.key == key).map(|member| &member.node)
    }

    /// The members of an object; none of anything else.
    pub fn members(&self) -> &[Member] {
        match &self.value {
            Value::Object(members) => members,
            _ => &[],
        }
    }

    /// The items of a list; none of anything else.
    pub fn items(&self) -> &[Node] {
        match &self.value {
            Value::Array(items) => items,
            _ => &[],
        }
    }

    /// A string, or a number or a word as its author wrote it.
    pub fn text(&self) -> Option<String> {
        match &self.value {
            Value::String(text) => Some(text.clone()),
            Value::Number(number) => Some(number.clone()),
            Value::Bool(truth) => Some(truth.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => None,
        }
    }
}

/// The value of a file, and warnings; or the one error that made it unreadable.
pub fn parse(source: &SourceText) -> Result<(Node, Vec<Diagnostic>), Box<Diagnostic>> {
    let mut parser = Parser { source, rest: 0, depth: 0, warnings: Vec::new() };
    parser.blank()?;
    let node = parser.value()?;
    parser.blank()?;
    match parser.peek() {
        None => Ok((node, parser.warnings)),
        Some(found) => parser.fail(parser.rest, format!("the file should end here, but there is {found:?}"), None),
    }
}

struct Parser<'a> {
    source: &'a SourceText,
    rest: usize,
    depth: usize,
    warnings: Vec<Diagnostic>,
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

impl Parser<'_> {
    fn value(&mut self) -> Parsed<Node> {
        let at = self.rest;
        let value = match self.peek() {
            Some('{') => self.nested(Self::object)?,
            Some('[') => self.nested(Self::array)?,
            Some('"') => Value::String(self.string()?),
            Some('-' | '0'..='9') => Value::Number(self.word()),
            Some('\'' | '“' | '”') => {
                return self.fail(at, "a text stands between two \"".into(), Some("use plain double quotes"));
            }
            Some(_) => self.literal(at)?,
            None => return self.fail(at, "the file ends where a value should be".into(), Some("is it cut off?")),
        };
        Ok(Node { at, value })
    }

    fn nested(&mut self, parse: fn(&mut Self) -> Parsed<Value>) -> Parsed<Value> {
        if self.depth == NESTING_MAX {
            return self.fail(self.rest, format!("more than {NESTING_MAX} levels of brackets"), None);
        }
        self.depth += 1;
        let value = parse(self);
        self.depth -= 1;
        value
    }

    fn object(&mut self) -> Parsed<Value> {
        let opened = self.rest;
        let mut members: Vec<Member> = Vec::new();
        self.rest += 1;
        while !self.list_ends('}', opened, !members.is_empty())? {
            if members.len() == MEMBERS_MAX {
                return self.fail(self.rest, format!("more than {MEMBERS_MAX} keys in one pair of braces"), None);
            }
            let member = self.member()?;
            if members.iter().any(|earlier| earlier.key == member.key) {
                self.warn(member.at, format!("\"{}\" is written twice here; the last one counts", member.key));
            }
            members.push(member);
        }
        Ok(Value::Object(members))
    }

    fn member(&mut self) -> Parsed<Member> {
        let at = self.rest;
        if self.peek() != Some('"') {
            return self.fail(at, "a key in double quotes should be here".into(), None);
        }
        let key = self.string()?;
        self.blank()?;
        if self.peek() != Some(':') {
            return self.fail(self.rest, format!("a colon should follow the key \"{key}\""), None);
        }
        self.rest += 1;
        self.blank()?;
        Ok(Member { key, at, node: self.value()? })
    }

    fn array(&mut self) -> Parsed<Value> {
        let opened = self.rest;
        let mut items = Vec::new();
        self.rest += 1;
        while !self.list_ends(']', opened, !items.is_empty())? {
            items.push(self.value()?);
        }
        Ok(Value::Array(items))
    }

    /// Between the items of a list: eats the comma, or the bracket that ends it.
    fn list_ends(&mut self, bracket: char, opened: usize, after_item: bool) -> Parsed<bool> {
        let item_end = self.rest;
        self.blank()?;
        let comma = self.rest;
        let has_comma = after_item && self.peek() == Some(',');
        if has_comma {
            self.rest += 1;
            self.blank()?;
        }
        match self.peek() {
            Some(found) if found == bracket => {
                if has_comma {
                    self.warn(comma, format!("a comma before `{bracket}` is not JSON; it was ignored"));
                }
                self.rest += 1;
                Ok(true)
            }
            None => self.fail(opened, format!("this bracket is never closed: `{bracket}` is missing"), None),
            Some(_) if after_item && !has_comma => {
                self.fail(item_end, "a comma is missing here".into(), Some("write `,` between two entries"))
            }
            Some(_) => Ok(false),
        }
    }

    fn string(&mut self) -> Parsed<String> {
        let opened = self.rest;
        let mut text = String::new();
        self.rest += 1;
        loop {
            let at = self.rest;
            match self.take() {
                Some('"') => return Ok(text),
                Some('\\') => text.push(self.escape(at)?),
                Some('\n') | None => {
                    return self.fail(opened, "this text is not closed in its line".into(), Some("is a \" missing?"));
                }
                Some('\t') => {
                    self.warn(at, "a TAB within a text should be written \\t".into());
                    text.push('\t');
                }
                Some(letter) => text.push(letter),
            }
        }
    }

    /// What follows a backslash.
    fn escape(&mut self, at: usize) -> Parsed<char> {
        Ok(match self.take() {
            Some('n') => '\n',
            Some('t') => '\t',
            Some('r') => '\r',
            Some('b') => '\u{8}',
            Some('f') => '\u{c}',
            Some(same @ ('"' | '\\' | '/')) => same,
            Some('u') => self.unicode(at)?,
            _ => return self.fail(at, "no such escape".into(), Some("a backslash itself is written \\\\")),
        })
    }

    /// Four hexadecimal digits, or two times four for a surrogate pair; half a pair reads as U+FFFD.
    fn unicode(&mut self, at: usize) -> Parsed<char> {
        let first = self.hex4(at)?;
        let after = self.rest;
        if (0xd800..0xdc00).contains(&first) && self.remaining().starts_with("\\u") {
            self.rest += 2;
            let second = self.hex4(after)?;
            if (0xdc00..0xe000).contains(&second) {
                let combined = 0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(combined).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.rest = after;
        }
        Ok(char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    fn hex4(&mut self, at: usize) -> Parsed<u32> {
        let digits = self.remaining().get(..4).filter(|digits| digits.bytes().all(|byte| byte.is_ascii_hexdigit()));
        match digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            Some(code) => {
                self.rest += 4;
                Ok(code)
            }
            None => self.fail(at, "four hexadecimal digits should follow \\u".into(), None),
        }
    }

    fn literal(&mut self, at: usize) -> Parsed<Value> {
        match self.word().as_str() {
            "true" => Ok(Value::Bool(true)),
            "false" => Ok(Value::Bool(false)),
            "null" => Ok(Value::Null),
            "" => self.fail(at, format!("a value should be here, not {:?}", self.peek().unwrap_or(' ')), None),
            word => self.fail(at, format!("`{word}` is no value"), Some("put texts between double quotes")),
        }
    }

    /// Letters, digits and what numbers are made of.
    fn word(&mut self) -> String {
        let belongs = |letter: char| letter.is_alphanumeric() || "+-._".contains(letter);
        let word: String = self.remaining().chars().take_while(|&letter| belongs(letter)).collect();
        self.rest += word.len();
        word
    }

    /// Skips white space and comments.
    fn blank(&mut self) -> Parsed<()> {
        loop {
            let rest = self.remaining();
            self.rest += rest.len() - rest.trim_start().len();
            let at = self.rest;
            let comment = match self.remaining() {
                rest if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
                rest if rest.starts_with("/*") => match rest.find("*/") {
                    Some(end) => end + 2,
                    None => return self.fail(at, "this comment is never closed".into(), None),
                },
                _ => return Ok(()),
            };
            self.warn(at, "comments are not JSON; it was ignored".into());
            self.rest += comment;
        }
    }

    fn remaining(&self) -> &str {
        &self.source.text[self.rest..]
    }

    fn peek(&self) -> Option<char> {
        self.remaining().chars().next()
    }

    fn take(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.rest += letter.len_utf8();
        Some(letter)
    }

    fn warn(&mut self, at: usize, message: String) {
        // Finding the line of each is work in proportion to the file: thousands would be felt.
        if self.warnings.len() < DIAGNOSTICS_MAX {
            self.warnings.push(Diagnostic::warning(self.source.at(at), message));
        }
    }

    fn fail<T>(&self, at: usize, message: String, hint: Option<&str>) -> Parsed<T> {
        let error = Diagnostic::error(self.source.at(at), message).maybe_hint(hint.map(str::to_owned));
        Err(Box::new(error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is said about a text: its error, or its warnings.
    fn said(text: &str) -> String {
        let source = SourceText { file: "index.json".into(), text: text.into() };
        match parse(&source) {
            Ok((_, warnings)) => warnings.iter().map(|warning| warning.to_string()).collect::<Vec<_>>().join("\n"),
            Err(error) => error.to_string(),
        }
    }

    fn text_of(text: &str, key: &str) -> String {
        let source = SourceText { file: "index.json".into(), text: text.into() };
        parse(&source).unwrap().0.get(key).unwrap().text().unwrap()
    }

    #[test]
    fn a_well_formed_file_reads_without_a_word() {
        assert_eq!(said("{\"a\": [1, -2.5e3, true, null], \"b\": {}}\n"), "");
        assert_eq!(text_of(r#"{"a": "x\n\u00e9\ud83d\ude00\"\/"}"#, "a"), "x\né😀\"/");
        assert_eq!(text_of(r#"{"time": 15}"#, "time"), "15");
    }

    #[test]
    fn small_slips_are_forgiven_and_said() {
        assert_eq!(
            said("{\"a\": [1,],\n}"),
            "index.json:1:9: warning: a comma before `]` is not JSON; it was ignored\n\
            index.json:1:11: warning: a comma before `}` is not JSON; it was ignored"
        );
        assert_eq!(
            said("{\"a\": 1,\n \"a\": 2}"),
            "index.json:2:2: warning: \"a\" is written twice here; the last one counts"
        );
        assert_eq!(text_of("{\"a\": 1, \"a\": 2}", "a"), "2");
        assert!(said("{ // why\n}").contains("comments are not JSON"));
    }

    #[test]
    fn what_is_broken_is_named_where_it_is() {
        let cases = [
            ("{\"a\": 1\n \"b\": 2}", "index.json:1:8: error: a comma is missing here (write `,` between two entries)"),
            ("[{\"a\": 1} {}]", "index.json:1:10: error: a comma is missing here (write `,` between two entries)"),
            ("{\"a\": ", "index.json:1:7: error: the file ends where a value should be (is it cut off?)"),
            ("{\"a\": 1", "index.json:1:1: error: this bracket is never closed: `}` is missing"),
            ("{\"a\" 1}", "index.json:1:6: error: a colon should follow the key \"a\""),
            ("{\"a\": \"x\n}", "index.json:1:7: error: this text is not closed in its line (is a \" missing?)"),
            ("{a: 1}", "index.json:1:2: error: a key in double quotes should be here"),
            ("{\"a\": yes}", "index.json:1:7: error: `yes` is no value (put texts between double quotes)"),
            ("{} x", "index.json:1:4: error: the file should end here, but there is 'x'"),
            ("", "index.json:1:1: error: the file ends where a value should be (is it cut off?)"),
        ];
        for (text, expected) in cases {
            assert_eq!(said(text), expected, "{text}");
        }
        assert!(said(&"[".repeat(100_000)).contains("more than 64 levels"));
    }
}
