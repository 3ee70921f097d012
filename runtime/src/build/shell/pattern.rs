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

    /// Replaces the first of the longest matches, or all of them; none if the result exceeds `max_bytes`.
    pub fn replace(&self, value: &str, replacement: &str, all: bool, max_bytes: usize) -> Option<String> {
        let chars: Vec<char> = value.chars().collect();
        let mut out = String::new();
        let mut at = 0;
        let mut matched_before = false;
        let mut done = false;
        while at <= chars.len() {
            let matched = if done { None } else { lengths(&self.tokens, &chars[at..], true) };
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

/// How many characters from the beginning of `chars` match: the least or the most. None, if no number does.
///
/// It keeps, for every length, whether the tokens so far can match exactly it: time is the product of both lengths,
/// whatever the pattern.
fn lengths(tokens: &[Token], chars: &[char], longest: bool) -> Option<usize> {
    let mut can = vec![false; chars.len() + 1];
    can[0] = true;
    for token in tokens {
        match token {
            Token::Many => {
                for at in 0..chars.len() {
                    can[at + 1] |= can[at] && chars[at] != '\n';
                }
            }
            Token::One | Token::Char(_) => {
                for at in (0..chars.len()).rev() {
                    let fits = match token {
                        Token::Char(c) => chars[at] == *c,
                        _ => chars[at] != '\n',
                    };
                    can[at + 1] = can[at] && fits;
                }
                can[0] = false;
            }
        }
    }
    if longest { can.iter().rposition(|can| *can) } else { can.iter().position(|can| *can) }
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
    fn a_backslash_before_anything_else_is_refused() {
        assert!(Pattern::parse(r"\a").is_err());
        assert!(Pattern::parse("\\").is_err());
    }
}
