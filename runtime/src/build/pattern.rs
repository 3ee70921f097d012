//! Patterns for paths: Go's `filepath.Match`, which `COPY a*/b?.txt` has, and Docker's `**` on top of it, which
//! `.dockerignore`, `--exclude` and `--parents` have.
//!
//! | pattern | matches |
//! |---|---|
//! | `*` | any characters but `/` |
//! | `?` | one character but `/` |
//! | `[a-z]`, `[^a-z]` | one character that is, or is not, in the class |
//! | `\x` | `x` itself |
//! | `**/x` | `x` here and in every folder below |
//! | `x/**` | everything below `x`, but not `x` |
//!
//! A pattern is a small automaton: time is the product of both lengths, whatever they are, and it can be asked whether
//! what was read so far is the beginning of a match.

/// The longest pattern. Paths are no longer (PATH_MAX, path_resolution(7)).
const PATTERN_MAX_BYTES: usize = 4096;

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    #[error("a [ has no ], or what is between them is no class")]
    Class,
    #[error("nothing follows the \\ at its end")]
    Escape,
    #[error("it is longer than {PATTERN_MAX_BYTES} bytes")]
    Length,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    Char(char),
    /// `?`
    One,
    /// `*`
    Many,
    /// `[…]`: first and last of each range.
    Class {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
    /// `**` at the end: anything, `/` too.
    Anything,
    /// `**/`: no folders, or any number of them.
    Folders,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    tokens: Vec<Token>,
}

/// Whether a text has to be read as a pattern: `COPY` takes a file that is called like one if it is there.
pub fn has_wildcards(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '*' | '?' | '[' => return true,
            '\\' => drop(chars.next()),
            _ => (),
        }
    }
    false
}

impl Pattern {
    /// As `filepath.Match` reads it: `**` is no more than `*`.
    pub fn glob(text: &str) -> Result<Self, PatternError> {
        Self::read(text, false)
    }

    /// With `**`.
    pub fn deep(text: &str) -> Result<Self, PatternError> {
        Self::read(text, true)
    }

    fn read(text: &str, deep: bool) -> Result<Self, PatternError> {
        if text.len() > PATTERN_MAX_BYTES {
            return Err(PatternError::Length);
        }
        let mut tokens = Vec::new();
        let mut rest = text;
        while let Some(c) = rest.chars().next() {
            let behind = &rest[c.len_utf8()..];
            let (token, behind) = match c {
                '*' if deep && behind.starts_with('*') => {
                    let behind = &behind[1..];
                    deep_token(behind, tokens.is_empty())
                }
                '*' => (Token::Many, behind),
                '?' => (Token::One, behind),
                '[' => class(behind)?,
                '\\' => {
                    let escaped = behind.chars().next().ok_or(PatternError::Escape)?;
                    (Token::Char(escaped), &behind[escaped.len_utf8()..])
                }
                c => (Token::Char(c), behind),
            };
            tokens.push(token);
            rest = behind;
        }
        Ok(Self { tokens })
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        let mut states = States::new(&self.tokens);
        path.chars().all(|c| states.step(&self.tokens, c)) && states.at[self.tokens.len()]
    }

    /// Whether something that begins with `start` could match.
    pub fn could_match_below(&self, start: &str) -> bool {
        let mut states = States::new(&self.tokens);
        start.chars().all(|c| states.step(&self.tokens, c))
    }
}

/// What two stars mean, and what is behind them and the slash that belongs to them.
fn deep_token(behind: &str, is_first: bool) -> (Token, &str) {
    let without_slash = behind.strip_prefix('/').unwrap_or(behind);
    // Docker compares the ends of `**.go` and path, and treats it as `**/.go` only if there is another wildcard.
    let is_suffix = is_first && without_slash == behind && !behind.contains(['*', '?', '[', ']', '\\']);
    match without_slash.is_empty() || is_suffix {
        true => (Token::Anything, without_slash),
        false => (Token::Folders, without_slash),
    }
}

/// Behind `[`.
fn class(text: &str) -> Result<(Token, &str), PatternError> {
    let (negated, mut rest) = match text.strip_prefix('^') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut ranges = Vec::new();
    loop {
        if let Some(behind) = rest.strip_prefix(']').filter(|_| !ranges.is_empty()) {
            return Ok((Token::Class { negated, ranges }, behind));
        }
        let (first, behind) = class_char(rest)?;
        let (last, behind) = match behind.strip_prefix('-') {
            Some(behind) => class_char(behind)?,
            None => (first, behind),
        };
        ranges.push((first, last));
        rest = behind;
    }
}

fn class_char(text: &str) -> Result<(char, &str), PatternError> {
    let mut chars = text.chars();
    let c = match chars.next() {
        None | Some('-' | ']') => return Err(PatternError::Class),
        Some('\\') => chars.next().ok_or(PatternError::Class)?,
        Some(c) => c,
    };
    Ok((c, chars.as_str()))
}

/// Which tokens may come next, after what has been read.
struct States {
    /// `at[n]`: token `n` begins here; at the very end, everything has matched.
    at: Vec<bool>,
    /// `inside[n]`: token `n` is `**/`, and some of its characters have been read.
    inside: Vec<bool>,
}

impl States {
    fn new(tokens: &[Token]) -> Self {
        let mut states = Self { at: vec![false; tokens.len() + 1], inside: vec![false; tokens.len() + 1] };
        states.at[0] = true;
        states.pass_empty(tokens);
        states
    }

    /// Stars may stand for nothing.
    fn pass_empty(&mut self, tokens: &[Token]) {
        for (index, token) in tokens.iter().enumerate() {
            if self.at[index] && matches!(token, Token::Many | Token::Anything | Token::Folders) {
                self.at[index + 1] = true;
            }
        }
    }

    /// Reads one character, and says whether anything can still match.
    fn step(&mut self, tokens: &[Token], c: char) -> bool {
        let mut next = Self { at: vec![false; tokens.len() + 1], inside: vec![false; tokens.len() + 1] };
        for (index, token) in tokens.iter().enumerate() {
            let begins = self.at[index];
            match token {
                Token::Many => next.at[index] |= begins && c != '/',
                Token::Anything => next.at[index] |= begins,
                Token::Folders => {
                    let reads = begins || self.inside[index];
                    next.inside[index] |= reads;
                    next.at[index + 1] |= reads && c == '/';
                }
                single => next.at[index + 1] |= begins && single.is(c),
            }
        }
        next.pass_empty(tokens);
        *self = next;
        self.at.iter().chain(&self.inside).any(|state| *state)
    }
}

impl Token {
    fn is(&self, c: char) -> bool {
        match self {
            Self::Char(own) => *own == c,
            Self::One => c != '/',
            Self::Class { negated, ranges } => {
                ranges.iter().any(|(first, last)| (*first..=*last).contains(&c)) != *negated
            }
            Self::Many | Self::Anything | Self::Folders => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_are_go_s() {
        let rows = [
            ("abc", "abc", true),
            ("*c", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*b*c", "axbxbxc", true),
            ("a?c", "a/c", false),
            ("ab[c-e]", "abd", true),
            ("ab[^e-g]", "abc", true),
            ("[^a]", "/", true),
            ("a[\\-x]", "a-", true),
            ("a\\*b", "a*b", true),
            ("[ä-ü]", "ö", true),
            ("a/**/b", "a/x/b", true),
            ("a/**/b", "a/b", false),
            ("", "", true),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(Pattern::glob(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
        for bad in ["[", "[]a]", "[-x]", "[x-]", "[a-", "a[", "\\", "[\\"] {
            assert!(Pattern::glob(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_stars_reach_over_folders() {
        let rows = [
            ("**", "a/b", true),
            ("**/x", "x", true),
            ("**/x", "a/b/x", true),
            ("**/x", "ax", false),
            ("a/**", "a/b/c", true),
            ("a/**", "a", false),
            ("a/**/b", "a/b", true),
            ("a/**/b", "a/x/y/b", true),
            ("a/**/b", "ab", false),
            ("**.go", "a/b.go", true),
            ("**x", "a/yx", true),
            ("**x?", "a/xy", true),
            ("**x?", "a/yxy", false),
            ("a**b", "a/x/b", true),
            ("a**b", "axb", false),
        ];
        for (pattern, path, expected) in rows {
            assert_eq!(Pattern::deep(pattern).unwrap().matches(path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn it_is_known_where_a_match_could_still_begin() {
        let below = |pattern, folder| Pattern::deep(pattern).unwrap().could_match_below(folder);
        assert!(below("a/b/c", "a/"));
        assert!(below("a/b/c", "a/b/"));
        assert!(!below("a/b/c", "b/"));
        assert!(below("*/c", "x/"));
        assert!(!below("*", "x/"));
        assert!(below("**/c", "x/y/"));
    }

    #[test]
    fn what_has_wildcards_is_known() {
        assert!(has_wildcards("a*") && has_wildcards("[x]") && has_wildcards("?"));
        assert!(!has_wildcards("a/b") && !has_wildcards("a\\*b"));
    }

    proptest! {
        #[test]
        fn a_path_matches_itself_and_its_beginnings_could(path in "[a-c]{1,3}(/[a-c]{1,3}){0,3}") {
            let pattern = Pattern::deep(&path).unwrap();
            prop_assert!(pattern.matches(&path));
            for (end, _) in path.match_indices('/') {
                prop_assert!(pattern.could_match_below(&path[..=end]));
            }
        }

        #[test]
        fn any_pattern_is_read_or_refused(pattern in "[*?\\[\\]\\\\a-c/^-]{0,20}", path in "[a-c/]{0,12}") {
            for pattern in [Pattern::glob(&pattern), Pattern::deep(&pattern)].into_iter().flatten() {
                let matches = pattern.matches(&path);
                prop_assert!(!matches || pattern.could_match_below(&path));
            }
        }
    }
}
