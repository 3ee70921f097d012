//! Patterns of `${x#pattern}` and `${x/pattern/replacement}`: `*` is any text, `?` any character, a backslash makes
//! either one itself. Neither matches a line feed, as in Docker.

use super::ShellError;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Many,
}

pub struct Pattern {
    tokens: Vec<Token>,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, ShellError> {
        let mut tokens = Vec::new();
        let mut chars = text.chars();
        while let Some(c) = chars.next() {
            let token = match c {
                '*' => Token::Many,
                '?' => Token::One,
                '\\' => match chars.next() {
                    // `}` and `/` would have ended the pattern.
                    Some(c @ ('*' | '?' | '\\' | '}' | '/')) => Token::Char(c),
                    _ => return Err(ShellError::Pattern(text.to_owned())),
                },
                c => Token::Char(c),
            };
            // Two stars match what one does, and each costs a pass over the value.
            if token != Token::Many || tokens.last() != Some(&Token::Many) {
                tokens.push(token);
            }
        }
        Ok(Self { tokens })
    }

    pub fn without_prefix(&self, value: &str, longest: bool) -> String {
        let chars: Vec<char> = value.chars().collect();
        let matched = lengths(&self.tokens, &chars, longest).unwrap_or(0);
        chars[matched..].iter().collect()
    }

    /// The same from behind, both turned around.
    pub fn without_suffix(&self, value: &str, longest: bool) -> String {
        let tokens: Vec<Token> = self.tokens.iter().rev().copied().collect();
        let chars: Vec<char> = value.chars().rev().collect();
        let matched = lengths(&tokens, &chars, longest).unwrap_or(0);
        chars[matched..].iter().rev().collect()
    }

    /// Replaces the first of the longest matches, or all of them; none if the result exceeds `max_bytes`. Time is the
    /// product of both lengths here, too.
    pub fn replace(&self, value: &str, replacement: &str, all: bool, max_bytes: usize) -> Option<String> {
        let chars: Vec<char> = value.chars().collect();
        let mut search = Search { tokens: &self.tokens, chars: &chars, no_more_before: 0 };
        let mut out = String::new();
        let mut at = 0;
        let mut matched_before = false;
        let mut done = false;
        while at <= chars.len() {
            let matched = if done { None } else { search.longest_at(at) };
            match matched {
                // Nothing, directly behind a match, is not another match.
                Some(length) if length > 0 || !matched_before => {
                    out.push_str(replacement);
                    done = !all;
                    matched_before = length > 0;
                    at += length;
                    if length > 0 {
                        continue;
                    }
                }
                _ => (),
            }
            matched_before = false;
            out.extend(chars.get(at));
            at += 1;
            if out.len() > max_bytes {
                return None;
            }
        }
        (out.len() <= max_bytes).then_some(out)
    }
}

/// Looks for matches from left to right.
struct Search<'a> {
    tokens: &'a [Token],
    chars: &'a [char],
    /// Where the first star of a match has to begin: one that began earlier and on the same line found nothing.
    no_more_before: usize,
}

impl Search<'_> {
    fn longest_at(&mut self, at: usize) -> Option<usize> {
        let head = self.tokens.iter().position(|token| *token == Token::Many).unwrap_or(self.tokens.len());
        let there = self.chars.get(at..at + head)?;
        if !self.tokens[..head].iter().zip(there).all(|(token, c)| token.fits(*c)) {
            return None;
        }
        let star = at + head;
        if head == self.tokens.len() {
            return Some(head);
        }
        if star < self.no_more_before {
            return None;
        }
        let matched = lengths(self.tokens, &self.chars[at..], true);
        if matched.is_none() {
            let line = self.chars[star..].iter().position(|c| *c == '\n').unwrap_or(self.chars.len() - star);
            self.no_more_before = star + line + 1;
        }
        matched
    }
}

impl Token {
    /// Of a token for one character.
    fn fits(self, c: char) -> bool {
        match self {
            Self::Char(own) => own == c,
            Self::One | Self::Many => c != '\n',
        }
    }
}

/// How many characters from the beginning of `chars` match: the least or the most. None, if no number does.
///
/// It keeps, for every length that is still possible, whether the tokens so far can match exactly it: time is the
/// product of both lengths, whatever the pattern.
fn lengths(tokens: &[Token], chars: &[char], longest: bool) -> Option<usize> {
    // Of `least` and the lengths after it.
    let mut can = vec![true];
    let mut least = 0;
    for token in tokens {
        if *token == Token::Many {
            let mut at = 0;
            while let Some(c) = chars.get(least + at) {
                let goes_on = can[at] && token.fits(*c);
                match can.get_mut(at + 1) {
                    Some(next) => *next |= goes_on,
                    None if goes_on => can.push(true),
                    None => break,
                }
                at += 1;
            }
            continue;
        }
        let next = |at: usize| chars.get(least + at).is_some_and(|c| token.fits(*c));
        can.iter_mut().enumerate().for_each(|(at, can)| *can = *can && next(at));
        let first = can.iter().position(|can| *can)?;
        can.truncate(can.iter().rposition(|can| *can)? + 1);
        can.drain(..first);
        least += first + 1;
    }
    let which = if longest { can.iter().rposition(|can| *can) } else { can.iter().position(|can| *can) };
    which.map(|which| least + which)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pattern(text: &str) -> Pattern {
        Pattern::parse(text).unwrap()
    }

    #[test]
    fn prefix_and_suffix_are_taken_away_shortest_or_longest() {
        assert_eq!(pattern("*/").without_prefix("usr/local/bin", false), "local/bin");
        assert_eq!(pattern("*/").without_prefix("usr/local/bin", true), "bin");
        assert_eq!(pattern("/*").without_suffix("usr/local/bin", false), "usr/local");
        assert_eq!(pattern("/*").without_suffix("usr/local/bin", true), "usr");
        assert_eq!(pattern("?s?").without_prefix("usr/local", false), "/local");
        assert_eq!(pattern("x").without_prefix("usr", true), "usr");
        assert_eq!(pattern(r"\*").without_prefix("*a", true), "a");
        assert_eq!(pattern("*").without_prefix("a\nb", true), "\nb");
    }

    #[test]
    fn matches_are_replaced_once_or_everywhere() {
        assert_eq!(pattern("a").replace("banana", "o", false, 99).unwrap(), "bonana");
        assert_eq!(pattern("a").replace("banana", "o", true, 99).unwrap(), "bonono");
        assert_eq!(pattern("*").replace("banana", "o", true, 99).unwrap(), "o");
        assert_eq!(pattern("").replace("ab", "-", true, 99).unwrap(), "-a-b-");
        assert_eq!(pattern("").replace("ab", "-", false, 99).unwrap(), "-ab");
        assert_eq!(pattern("a*n").replace("banana", "", false, 99).unwrap(), "ba");
        assert_eq!(pattern("b").replace("", "x", true, 99).unwrap(), "");
        assert_eq!(pattern("a").replace("aaaa", "aaaa", true, 8), None);
    }

    #[test]
    fn a_star_ends_with_its_line_and_the_next_line_is_looked_at_anew() {
        assert_eq!(pattern("a*c").replace("ab\nabc abc\nac", "-", true, 99).unwrap(), "ab\n-\n-");
        assert_eq!(pattern("*c").replace("ab\nabc\n", "-", true, 99).unwrap(), "ab\n-\n");
        assert_eq!(pattern("b*a").replace("abab", "-", true, 99).unwrap(), "a-b");
        assert_eq!(pattern("b*a?").replace("abab\nba\nbab", "-", true, 99).unwrap(), "a-\nba\n-");
    }

    /// Every text of up to `length` letters.
    fn texts(letters: &[char], length: usize) -> Vec<String> {
        let mut all = vec![String::new()];
        let mut last = all.clone();
        for _ in 0..length {
            last = last.iter().flat_map(|text| letters.iter().map(move |c| format!("{text}{c}"))).collect();
            all.extend_from_slice(&last);
        }
        all
    }

    #[test]
    fn every_short_pattern_finds_in_every_short_text_what_trying_everything_finds() {
        fn most(pattern: &[char], text: &[char]) -> Option<usize> {
            let fits = |c: &char| pattern[0] == *c || (pattern[0] == '?' && *c != '\n');
            match pattern.first() {
                None => Some(0),
                Some('*') => {
                    let line = text.iter().position(|c| *c == '\n').unwrap_or(text.len());
                    (0..=line).filter_map(|taken| Some(taken + most(&pattern[1..], &text[taken..])?)).max()
                }
                Some(_) => text.first().filter(|c| fits(c)).and_then(|_| Some(1 + most(&pattern[1..], &text[1..])?)),
            }
        }
        let texts_of = texts(&['a', 'b', '\n'], 5);
        for shape in texts(&['a', 'b', '?', '*', '\n'], 3) {
            let (own, shape): (_, Vec<char>) = (pattern(&shape), shape.chars().collect());
            for text in &texts_of {
                let chars: Vec<char> = text.chars().collect();
                let mut search = Search { tokens: &own.tokens, chars: &chars, no_more_before: 0 };
                for at in 0..=chars.len() {
                    assert_eq!(search.longest_at(at), most(&shape, &chars[at..]), "{shape:?} in {text:?} at {at}");
                }
            }
        }
    }

    #[test]
    fn a_hostile_pattern_takes_no_longer_than_the_product_of_both_lengths() {
        let begin = std::time::Instant::now();
        let value = "a*".repeat(5000);
        let worst = "*a".repeat(100);
        assert_eq!(pattern(&format!("{worst}b")).replace(&value, "c", true, 99_999).unwrap(), value);
        assert_eq!(pattern(&format!("a{worst}b")).replace(&value, "c", true, 99_999).unwrap(), value);
        assert_eq!(pattern("a").replace(&"b".repeat(100_000), "c", true, 200_000).unwrap(), "b".repeat(100_000));
        let lines = "a\n".repeat(20_000);
        assert_eq!(pattern("a*b").replace(&lines, "c", true, 200_000).unwrap(), lines);
        // A tenth of it on a machine that does nothing else; an hour if every place were tried against all that follows.
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "{:?}", begin.elapsed());
    }

    #[test]
    fn a_backslash_before_anything_else_is_refused() {
        assert!(Pattern::parse(r"\a").is_err());
        assert!(Pattern::parse("\\").is_err());
    }
}
