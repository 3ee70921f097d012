//! One reader for every language that is made of words, strings and comments; what differs is data.

use super::{Part, Parts};

/// What a language looks like on the surface.
#[derive(Debug)]
pub struct Grammar {
    /// What a comment up to the end of its line starts with.
    pub line_comments: &'static [&'static str],
    pub block_comment: Option<(&'static str, &'static str)>,
    /// What strings start and end with; the longer first.
    pub quotes: &'static [Quote],
    pub words: &'static [&'static str],
    pub any_case: bool,
    /// `$NAME` and `${…}`.
    pub variables: bool,
    /// The first word of a command is a name, a `#` in a word no comment, and `<<WORD` begins a text.
    pub shell: bool,
    /// A string before a colon is a key.
    pub keys: bool,
    /// `#include` and the like, at the start of a line.
    pub directives: bool,
}

#[derive(Debug)]
pub struct Quote {
    pub mark: &'static str,
    /// A backslash takes the meaning off what follows.
    pub escapes: bool,
    pub over_lines: bool,
}

/// Columns before a directive.
const INDENT_MAX: usize = 40;

/// The parts of `text`, moved by `offset`.
pub fn parts(grammar: &Grammar, text: &str, offset: usize) -> Parts {
    let mut reader = Reader { grammar, text, at: 0, parts: Vec::new(), expects_command: true, texts: Vec::new() };
    while reader.at < text.len() {
        reader.step();
    }
    let moved = reader.parts.into_iter().map(|(part, range)| (part, range.start + offset..range.end + offset));
    moved.collect()
}

struct Reader<'a> {
    grammar: &'a Grammar,
    text: &'a str,
    at: usize,
    parts: Parts,
    expects_command: bool,
    /// Ends of the here-documents that begin with the next line.
    texts: Vec<String>,
}

impl Reader<'_> {
    fn step(&mut self) {
        let rest = &self.text[self.at..];
        let letter = rest.chars().next().expect("there is a rest");
        if letter == '\n' {
            self.at += 1;
            self.expects_command = true;
            return self.here_documents();
        }
        if self.comment(rest) || self.quoted(rest) || (self.grammar.variables && self.variable(rest)) {
            return;
        }
        if self.grammar.directives && letter == '#' && self.is_first_of_line() {
            let length = 1 + word_length(&rest[1..], "");
            return self.mark(Part::Word, length);
        }
        if letter.is_ascii_digit() {
            let length = word_length(rest, ".");
            // A shell's words may start with digits: 10.0.0.1, 8080:80.
            return if rest[length..].starts_with([':', '/', '-', '@']) && self.grammar.shell {
                self.skip(length)
            } else {
                self.mark(Part::Number, length)
            };
        }
        if letter.is_alphabetic() || letter == '_' || (self.grammar.shell && "./~-+".contains(letter)) {
            return self.word(rest);
        }
        self.punctuation(letter);
    }

    fn comment(&mut self, rest: &str) -> bool {
        if let Some((start, end)) = self.grammar.block_comment
            && rest.starts_with(start)
        {
            let length = rest[start.len()..].find(end).map_or(rest.len(), |at| start.len() + at + end.len());
            self.mark(Part::Comment, length);
            return true;
        }
        let starts = self.grammar.line_comments.iter().any(|start| rest.starts_with(start));
        let within_word = self.grammar.shell && !self.after_blank();
        if !starts || within_word {
            return false;
        }
        self.mark(Part::Comment, rest.find('\n').unwrap_or(rest.len()));
        true
    }

    fn quoted(&mut self, rest: &str) -> bool {
        let Some(quote) = self.grammar.quotes.iter().find(|quote| rest.starts_with(quote.mark)) else { return false };
        let length = quote.length(rest);
        let is_key = self.grammar.keys && rest[length..].trim_start().starts_with(':');
        self.mark(if is_key { Part::Key } else { Part::Text }, length);
        self.expects_command = false;
        true
    }

    fn variable(&mut self, rest: &str) -> bool {
        let Some(name) = rest.strip_prefix('$') else { return false };
        let length = match name.chars().next() {
            Some('{') => name.find(['}', '\n']).map_or(name.len(), |at| at + 1),
            Some(letter) if letter.is_alphabetic() || letter == '_' => word_length(name, ""),
            Some(letter) if letter.is_ascii_digit() || "?!#@*$-".contains(letter) => 1,
            _ => return false,
        };
        self.mark(Part::Variable, 1 + length);
        self.expects_command = false;
        true
    }

    fn word(&mut self, rest: &str) {
        let length = word_length(rest, if self.grammar.shell { "./~-+:@%" } else { "" }).max(1);
        let word = &rest[..length];
        let known = match self.grammar.any_case {
            true => self.grammar.words.iter().any(|known| known.eq_ignore_ascii_case(word)),
            false => self.grammar.words.contains(&word),
        };
        if known && (!self.grammar.shell || self.expects_command || word == "in") {
            self.mark(Part::Word, length);
            self.expects_command = word != "in" && word != "for" && word != "case";
        } else if self.grammar.shell {
            self.shell_word(rest, length);
        } else if rest[length..].starts_with('(') {
            self.mark(Part::Name, length);
        } else {
            self.skip(length);
        }
    }

    fn shell_word(&mut self, rest: &str, length: usize) {
        let word = &rest[..length];
        if self.expects_command && rest[length..].starts_with('=') {
            self.mark(Part::Variable, length);
            self.at += 1;
            // What follows is its value, and after that still a command may come.
            let value = rest[length + 1..].find(|letter: char| letter.is_whitespace() || "'\"$;&|`(".contains(letter));
            self.at += value.unwrap_or(rest.len() - length - 1);
        } else if self.expects_command && word.chars().any(char::is_alphanumeric) && !word.starts_with(['-', '+']) {
            self.mark(Part::Name, length);
            // Those run another command.
            self.expects_command = matches!(word, "sudo" | "time" | "exec" | "nohup" | "env" | "xargs");
        } else {
            self.skip(length);
        }
    }

    fn punctuation(&mut self, letter: char) {
        if self.grammar.shell {
            let rest = &self.text[self.at..];
            if let Some(end) = rest.strip_prefix("<<").filter(|rest| !rest.starts_with('<')) {
                self.here_document(end);
            }
            match letter {
                '|' | ';' | '&' | '(' | '`' => self.expects_command = true,
                '\\' => {
                    let next = rest[1..].chars().next().map_or(0, char::len_utf8);
                    return self.skip(1 + next);
                }
                letter if letter.is_whitespace() => {}
                '{' | '!' => {}
                _ => self.expects_command = false,
            }
            // Only the mark itself: what it begins with is looked at later.
            if rest.starts_with("<<") {
                return self.skip(2);
            }
        }
        self.skip(letter.len_utf8());
    }

    /// `<<EOF`, `<<-'EOF'`: what follows in the next lines is a text.
    fn here_document(&mut self, after: &str) {
        let name = after.trim_start_matches('-').trim_start_matches([' ', '\'', '"', '\\']);
        let name = &name[..word_length(name, "")];
        if !name.is_empty() && self.texts.len() < 8 {
            self.texts.push(name.to_owned());
        }
    }

    fn here_documents(&mut self) {
        for end in std::mem::take(&mut self.texts) {
            let start = self.at;
            while self.at < self.text.len() {
                let line = self.text[self.at..].split('\n').next().unwrap_or_default();
                let is_end = line.trim() == end;
                if is_end && self.at > start {
                    self.parts.push((Part::Text, start..self.at - 1));
                }
                self.at = (self.at + line.len() + 1).min(self.text.len());
                if is_end {
                    break;
                }
                if self.at == self.text.len() {
                    self.parts.push((Part::Text, start..self.at));
                }
            }
        }
    }

    fn is_first_of_line(&self) -> bool {
        // Looked for no further than an indentation goes.
        let before = self.text.as_bytes()[..self.at].iter().rev().take(INDENT_MAX);
        before.copied().find(|byte| !b" \t".contains(byte)).is_none_or(|byte| byte == b'\n')
    }

    fn after_blank(&self) -> bool {
        self.text[..self.at].chars().next_back().is_none_or(|before| before.is_whitespace() || ";&|(".contains(before))
    }

    fn mark(&mut self, part: Part, length: usize) {
        self.parts.push((part, self.at..self.at + length));
        self.at += length;
    }

    fn skip(&mut self, length: usize) {
        self.at += length;
    }
}

impl Quote {
    /// The length of the string that `rest` starts with; one that is not closed ends with its line, or with the text.
    fn length(&self, rest: &str) -> usize {
        let mut at = self.mark.len();
        while at < rest.len() {
            let here = &rest[at..];
            if here.starts_with(self.mark) {
                return at + self.mark.len();
            }
            let letter = here.chars().next().expect("there is a rest");
            if letter == '\n' && !self.over_lines {
                return at;
            }
            at += letter.len_utf8();
            if letter == '\\' && self.escapes {
                at += rest[at..].chars().next().map_or(0, char::len_utf8);
            }
        }
        rest.len()
    }
}

/// Letters, digits, underscores, and `more`.
fn word_length(text: &str, more: &str) -> usize {
    text.find(|letter: char| !(letter.is_alphanumeric() || letter == '_' || more.contains(letter)))
        .unwrap_or(text.len())
}
