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
//! A pattern is a small automaton: time is at most the product of both lengths, whatever they are, and it can be asked
//! whether what was read so far is the beginning of a match.

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
    /// How many tokens stand for exactly one character: no shorter path matches.
    singles: usize,
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
        let singles = tokens.iter().filter(|token| token.is_single()).count();
        Ok(Self { tokens, singles })
    }

    /// How many tokens each character of a path may have to be compared with: those from the first star on. Before it,
    /// one.
    pub fn width(&self) -> usize {
        let before = self.tokens.iter().take_while(|token| token.is_single()).count();
        self.tokens.len() - before
    }

    /// Whether the whole path matches.
    pub fn matches(&self, path: &str) -> bool {
        if path.len() < self.singles {
            return false;
        }
        let mut states = States::new(&self.tokens);
        path.chars().all(|c| states.step(c)) && states.has_matched()
    }

    /// Whether something that begins with `start` could match.
    pub fn could_match_below(&self, start: &str) -> bool {
        let mut states = States::new(&self.tokens);
        start.chars().all(|c| states.step(c))
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
struct States<'a> {
    tokens: &'a [Token],
    now: Vec<State>,
    /// What is being worked out, kept so that a character costs no allocation.
    next: Vec<State>,
    /// For each state, the step in which it was last entered.
    entered: Vec<[usize; 2]>,
    steps: usize,
    /// For each token, the first one from which on nothing before it takes a slash.
    part: Vec<usize>,
}

/// A token begins here, or (a `**/`) some of its characters have been read. At the very end, everything has matched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct State {
    token: usize,
    inside: bool,
}

impl<'a> States<'a> {
    fn new(tokens: &'a [Token]) -> Self {
        let mut part = vec![0; tokens.len() + 1];
        for (index, token) in tokens.iter().enumerate() {
            part[index + 1] = if token.takes_slash() { index + 1 } else { part[index] };
        }
        let entered = vec![[0; 2]; tokens.len() + 1];
        let mut states = Self { tokens, now: Vec::new(), next: Vec::new(), entered, steps: 1, part };
        states.begin(0);
        states.turn();
        states
    }

    /// Reads one character, and says whether anything can still match.
    fn step(&mut self, c: char) -> bool {
        self.steps += 1;
        let now = std::mem::take(&mut self.now);
        for State { token, .. } in &now {
            match self.tokens.get(*token) {
                None => {}
                Some(Token::Many) if c == '/' => {}
                Some(Token::Many | Token::Anything) => self.begin(*token),
                Some(Token::Folders) => {
                    self.enter(State { token: *token, inside: true });
                    if c == '/' {
                        self.begin(*token + 1);
                    }
                }
                Some(single) if single.is(c) => self.begin(*token + 1),
                Some(_) => {}
            }
        }
        self.now = now;
        self.turn();
        !self.now.is_empty()
    }

    fn has_matched(&self) -> bool {
        self.now.iter().any(|state| state.token == self.tokens.len())
    }

    /// Stars may stand for nothing.
    fn begin(&mut self, token: usize) {
        let stars = self.tokens[token..].iter().take_while(|token| !token.is_single()).count();
        for token in token..=token + stars {
            if !self.enter(State { token, inside: false }) {
                return;
            }
        }
    }

    /// False if it was entered in this step before, with all that follows from it.
    fn enter(&mut self, state: State) -> bool {
        let entered = &mut self.entered[state.token][usize::from(state.inside)];
        let is_new = *entered != self.steps;
        *entered = self.steps;
        if is_new {
            self.next.push(state);
        }
        is_new
    }

    /// Makes what was worked out the present, without what stands before a `*` that is reached in the same part of a
    /// path: whatever could still match from there passes this star, which can take the characters itself. So a row of
    /// stars costs what its last one costs.
    fn turn(&mut self) {
        self.next.sort_unstable();
        self.now.clear();
        let mut covered = 0..0;
        for state in self.next.drain(..).rev() {
            if covered.contains(&state.token) {
                continue;
            }
            if self.tokens.get(state.token) == Some(&Token::Many) {
                covered = self.part[state.token]..state.token;
            }
            self.now.push(state);
        }
    }
}

impl Token {
    /// Stands for one character, always.
    fn is_single(&self) -> bool {
        !matches!(self, Self::Many | Self::Anything | Self::Folders)
    }

    fn takes_slash(&self) -> bool {
        matches!(self, Self::Anything | Self::Folders) || self.is('/')
    }

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
    fn a_hundred_stars_cost_what_a_few_cost() {
        let path = "a".repeat(240);
        let time = |stars: usize| {
            let pattern = Pattern::deep(&format!("**/{}*z", "*a".repeat(stars))).unwrap();
            let begin = std::time::Instant::now();
            (0..50).for_each(|_| assert!(!pattern.matches(&path)));
            begin.elapsed().as_secs_f64()
        };
        // Each star with all before it would cost thirty times as much.
        let ratio = (0..5).map(|_| time(110) / time(2)).fold(f64::MAX, f64::min);
        assert!(ratio < 12.0, "{ratio}");
        // What is longer than a path costs nothing.
        assert!(time(2000) < time(110));
    }

    #[test]
    fn what_has_wildcards_is_known() {
        assert!(has_wildcards("a*") && has_wildcards("[x]") && has_wildcards("?"));
        assert!(!has_wildcards("a/b") && !has_wildcards("a\\*b"));
    }

    /// The same, tried in every way that there is.
    fn matches_in_any_way(tokens: &[Token], path: &[char]) -> bool {
        let Some((token, rest)) = tokens.split_first() else { return path.is_empty() };
        let ends = 0..=path.len();
        match token {
            Token::Many => {
                ends.into_iter().any(|end| !path[..end].contains(&'/') && matches_in_any_way(rest, &path[end..]))
            }
            Token::Anything => ends.into_iter().any(|end| matches_in_any_way(rest, &path[end..])),
            Token::Folders => {
                ends.into_iter().any(|end| (end == 0 || path[end - 1] == '/') && matches_in_any_way(rest, &path[end..]))
            }
            single => path.first().is_some_and(|c| single.is(*c)) && matches_in_any_way(rest, &path[1..]),
        }
    }

    proptest! {
        #[test]
        fn the_automaton_finds_what_trying_everything_finds(
            text in "([ab]|\\*|\\*\\*|\\?|/|\\*\\*/|\\[\\^a\\]){0,8}",
            path in "[ab/]{0,10}",
        ) {
            let pattern = Pattern::deep(&text).unwrap();
            let chars: Vec<char> = path.chars().collect();
            prop_assert_eq!(pattern.matches(&path), matches_in_any_way(&pattern.tokens, &chars), "{} {}", text, path);
        }

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
