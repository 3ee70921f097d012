//! The little of a shell that Dockerfiles have: quotes, escapes, variables and splitting into words.
//!
//! It is Docker's idea of a shell, not POSIX's: an escape character outside quotes is dropped, within double quotes it
//! only escapes `"`, `$` and itself; positional and special parameters exist and are never set; and besides the forms
//! of POSIX (`${x:-word}` and its kind, `${x#pattern}` and its kind) there is bash's `${x/pattern/replacement}`.
//!
//! Parsing uses it to find heredocs, `scope` to expand variables.

mod pattern;

use std::collections::BTreeSet;
use std::iter::Peekable;
use std::str::Chars;

use pattern::Pattern;

/// How deep `${a:-${b:-${c}}}` may nest. People nest two or three; each level costs a stack frame.
const DEPTH_MAX: usize = 50;

/// Why a text cannot be read as a shell would.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ShellError {
    #[error("a single quote is not closed")]
    SingleQuote,
    #[error("a double quote is not closed")]
    DoubleQuote,
    #[error("${{ is not closed by }}")]
    Brace,
    #[error("${{variable/pattern/replacement}} has no second slash")]
    Slash,
    #[error("${{ is not followed by a variable's name")]
    Name,
    #[error("{0} is not a form of ${{variable}} that Dockerfiles have")]
    Modifier(String),
    #[error("pattern {0} is not valid: a backslash stands before *, ? or another backslash only")]
    Pattern(String),
    #[error("{name}: {message}")]
    Required { name: String, message: String },
    #[error("variables nest deeper than {DEPTH_MAX} levels")]
    Depth,
    #[error("it becomes longer than {0} bytes")]
    Length(usize),
}

/// How a text is read.
#[derive(Debug, Clone, Copy)]
pub struct Shell {
    /// `\` or a backquote.
    pub escape: char,
    /// Quotes stay in the result.
    pub keeps_quotes: bool,
    /// Escape characters stay in the result.
    pub keeps_escapes: bool,
    /// Variables that are not set stay as they are written.
    pub keeps_unset: bool,
    /// Quotes mean nothing: the body of a heredoc.
    pub ignores_quotes: bool,
    /// The longest result. Variables can double a text with every line, so there must be an end.
    pub max_bytes: usize,
}

/// What a text becomes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Expanded {
    /// As one word, blanks kept.
    pub text: String,
    /// Split at blanks that were not quoted, those of variables' values included. Empty words vanish.
    pub words: Vec<String>,
    /// Variables that were looked for and not set.
    pub unset: BTreeSet<String>,
}

impl Shell {
    pub fn new(escape: char, max_bytes: usize) -> Self {
        Self { escape, keeps_quotes: false, keeps_escapes: false, keeps_unset: false, ignores_quotes: false, max_bytes }
    }

    /// Reads `text`; `lookup` gives the value of a variable that is set.
    pub fn expand<'v>(&self, text: &str, lookup: &dyn Fn(&str) -> Option<&'v str>) -> Result<Expanded, ShellError> {
        let mut reader = Reader {
            shell: self,
            rest: text.chars().peekable(),
            lookup,
            escapes: self.keeps_escapes,
            unset: BTreeSet::new(),
            depth: 0,
        };
        let out = reader.until(None)?;
        Ok(Expanded { text: out.text, words: out.words, unset: reader.unset })
    }
}

/// A text on its way: as one word, and split.
struct Output {
    text: String,
    words: Vec<String>,
    word: String,
    max_bytes: usize,
}

impl Output {
    fn new(max_bytes: usize) -> Self {
        Self { text: String::new(), words: Vec::new(), word: String::new(), max_bytes }
    }

    /// A character that may end a word.
    fn push(&mut self, c: char) -> Result<(), ShellError> {
        self.text.push(c);
        if !c.is_whitespace() {
            self.word.push(c);
        } else if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
        self.check()
    }

    /// A text whose blanks belong to the word.
    fn push_quoted(&mut self, text: &str) -> Result<(), ShellError> {
        self.text.push_str(text);
        self.word.push_str(text);
        self.check()
    }

    fn push_value(&mut self, value: &str) -> Result<(), ShellError> {
        value.chars().try_for_each(|c| self.push(c))
    }

    fn check(&self) -> Result<(), ShellError> {
        if self.text.len() > self.max_bytes { Err(ShellError::Length(self.max_bytes)) } else { Ok(()) }
    }

    fn finish(mut self) -> Self {
        if !self.word.is_empty() {
            self.words.push(std::mem::take(&mut self.word));
        }
        self
    }
}

struct Reader<'a, 'v> {
    shell: &'a Shell,
    rest: Peekable<Chars<'a>>,
    lookup: &'a dyn Fn(&str) -> Option<&'v str>,
    /// Whether escape characters stay in the result: always within a pattern, where they have a meaning.
    escapes: bool,
    unset: BTreeSet<String>,
    depth: usize,
}

impl Reader<'_, '_> {
    /// Reads up to `stop` and over it, or to the end.
    fn until(&mut self, stop: Option<char>) -> Result<Output, ShellError> {
        let mut out = Output::new(self.shell.max_bytes);
        while let Some(c) = self.rest.next() {
            match c {
                c if Some(c) == stop => return Ok(out.finish()),
                '$' => out.push_value(&self.variable()?)?,
                '<' => out.push_quoted(&self.less_than())?,
                '\'' if !self.shell.ignores_quotes => out.push_quoted(&self.single_quoted()?)?,
                '"' if !self.shell.ignores_quotes => out.push_quoted(&self.double_quoted()?)?,
                c if c == self.shell.escape => self.escaped(&mut out)?,
                c => out.push(c)?,
            }
        }
        match stop {
            None => Ok(out.finish()),
            Some('/') => Err(ShellError::Slash),
            Some(_) => Err(ShellError::Brace),
        }
    }

    /// The same with escape characters kept, or not.
    fn until_with(&mut self, stop: char, escapes: bool) -> Result<String, ShellError> {
        let before = std::mem::replace(&mut self.escapes, escapes);
        let read = self.until(Some(stop));
        self.escapes = before;
        Ok(read?.text)
    }

    /// Behind an escape character outside quotes: the next character loses its meaning. At the end it is dropped.
    fn escaped(&mut self, out: &mut Output) -> Result<(), ShellError> {
        if self.escapes {
            out.push_quoted(self.shell.escape.encode_utf8(&mut [0; 4]))?;
        }
        match self.rest.next() {
            Some(c) => out.push_quoted(c.encode_utf8(&mut [0; 4])),
            None => Ok(()),
        }
    }

    /// `<<` and the blanks behind it stay in one word with what follows, so that `<< EOF` is found as a heredoc.
    fn less_than(&mut self) -> String {
        let mut text = String::from("<");
        if self.rest.next_if_eq(&'<').is_some() {
            text.push('<');
            while let Some(blank) = self.rest.next_if(|c| matches!(c, ' ' | '\t' | '\r')) {
                text.push(blank);
            }
        }
        text
    }

    fn single_quoted(&mut self) -> Result<String, ShellError> {
        let mut text = String::new();
        self.keep_quote(&mut text, '\'');
        loop {
            match self.rest.next() {
                None => return Err(ShellError::SingleQuote),
                Some('\'') => break,
                Some(c) => text.push(c),
            }
        }
        self.keep_quote(&mut text, '\'');
        Ok(text)
    }

    fn double_quoted(&mut self) -> Result<String, ShellError> {
        let escape = self.shell.escape;
        let mut text = String::new();
        self.keep_quote(&mut text, '"');
        loop {
            match self.rest.next() {
                None => return Err(ShellError::DoubleQuote),
                Some('"') => break,
                Some('$') => text.push_str(&self.variable()?),
                Some(c) if c == escape => {
                    let meant = self.rest.next_if(|next| matches!(next, '"' | '$') || *next == escape);
                    if self.escapes || (meant.is_none() && self.rest.peek().is_some()) {
                        text.push(escape);
                    }
                    text.extend(meant);
                }
                Some(c) => text.push(c),
            }
            if text.len() > self.shell.max_bytes {
                return Err(ShellError::Length(self.shell.max_bytes));
            }
        }
        self.keep_quote(&mut text, '"');
        Ok(text)
    }

    fn keep_quote(&self, text: &mut String, quote: char) {
        if self.shell.keeps_quotes {
            text.push(quote);
        }
    }

    /// Behind a dollar sign.
    fn variable(&mut self) -> Result<String, ShellError> {
        if self.rest.next_if_eq(&'{').is_some() {
            self.depth += 1;
            if self.depth > DEPTH_MAX {
                return Err(ShellError::Depth);
            }
            let value = self.braced();
            self.depth -= 1;
            return value;
        }
        let name = self.name();
        if name.is_empty() {
            return Ok("$".to_owned());
        }
        Ok(match self.value(&name) {
            Some(value) => value,
            None if self.shell.keeps_unset => format!("${name}"),
            None => String::new(),
        })
    }

    /// Behind `${`.
    fn braced(&mut self) -> Result<String, ShellError> {
        match self.rest.peek() {
            None => return Err(ShellError::Brace),
            Some('{' | '}' | ':') => return Err(ShellError::Name),
            Some(_) => (),
        }
        let name = self.name();
        match self.rest.next() {
            None => Err(ShellError::Brace),
            Some('}') => match self.value(&name) {
                Some(value) => Ok(value),
                None if self.shell.keeps_unset => Ok(format!("${{{name}}}")),
                None => Ok(String::new()),
            },
            Some(':') => match self.rest.next() {
                Some(modifier @ ('-' | '+' | '?')) => self.alternative(&name, modifier, true),
                Some(other) => Err(ShellError::Modifier(format!(":{other}"))),
                None => Err(ShellError::Brace),
            },
            Some(modifier @ ('-' | '+' | '?')) => self.alternative(&name, modifier, false),
            Some(end @ ('#' | '%')) => self.trimmed(&name, end),
            Some('/') => self.replaced(&name),
            Some(other) => Err(ShellError::Modifier(other.to_string())),
        }
    }

    /// `${x-word}`, `${x+word}`, `${x?word}`; with a colon, an empty value counts as none.
    fn alternative(&mut self, name: &str, modifier: char, colon: bool) -> Result<String, ShellError> {
        let word = self.until_with('}', false)?;
        let value = self.value(name);
        if value.is_none() && self.shell.keeps_unset {
            let colon = if colon { ":" } else { "" };
            return Ok(format!("${{{name}{colon}{modifier}{word}}}"));
        }
        let is_set = value.is_some();
        let given = value.filter(|value| !colon || !value.is_empty());
        match (modifier, given) {
            ('+', given) => Ok(given.map(|_| word).unwrap_or_default()),
            (_, Some(value)) => Ok(value),
            ('-', None) => Ok(word),
            (_, None) => {
                let usual = if is_set { "is not allowed to be empty" } else { "is not allowed to be unset" };
                let message = if word.is_empty() { usual.to_owned() } else { word };
                Err(ShellError::Required { name: name.to_owned(), message })
            }
        }
    }

    /// `${x#pattern}` and `${x%pattern}`; the sign twice takes the longest match away instead of the shortest.
    fn trimmed(&mut self, name: &str, end: char) -> Result<String, ShellError> {
        let word = self.until_with('}', true)?;
        let Some(value) = self.value(name) else {
            return Ok(if self.shell.keeps_unset { format!("${{{name}{end}{word}}}") } else { String::new() });
        };
        let (pattern, longest) = match word.strip_prefix(end) {
            Some(pattern) => (pattern, true),
            None => (word.as_str(), false),
        };
        let pattern = Pattern::parse(pattern)?;
        Ok(match end {
            '#' => pattern.without_prefix(&value, longest),
            _ => pattern.without_suffix(&value, longest),
        })
    }

    /// `${x/pattern/replacement}`, and with two slashes every match.
    fn replaced(&mut self, name: &str) -> Result<String, ShellError> {
        let all = self.rest.next_if_eq(&'/').is_some();
        let pattern = self.until_with('/', true)?;
        let replacement = self.until_with('}', true)?;
        let Some(value) = self.value(name) else {
            let kept = || format!("${{{name}/{pattern}/{replacement}}}");
            return Ok(if self.shell.keeps_unset { kept() } else { String::new() });
        };
        let replaced = Pattern::parse(&pattern)?.replace(&value, &replacement, all, self.shell.max_bytes);
        replaced.ok_or(ShellError::Length(self.shell.max_bytes))
    }

    /// Letters, digits and underscores; or digits alone; or one of the special parameters, which are never set.
    fn name(&mut self) -> String {
        if let Some(special) = self.rest.next_if(|c| matches!(c, '@' | '*' | '#' | '?' | '-' | '$' | '!')) {
            return special.to_string();
        }
        let digits = self.rest.peek().is_some_and(|c| c.is_numeric());
        let belongs = |c: &char| if digits { c.is_numeric() } else { c.is_alphanumeric() || *c == '_' };
        let mut name = String::new();
        while let Some(c) = self.rest.next_if(belongs) {
            name.push(c);
        }
        name
    }

    fn value(&mut self, name: &str) -> Option<String> {
        let value = (self.lookup)(name);
        if value.is_none() {
            self.unset.insert(name.to_owned());
        }
        value.map(str::to_owned)
    }
}

#[cfg(test)]
mod tests;
