//! A scenario's greeting for the terminal: its text and its colours, and nothing else that a terminal understands.

/// What is shown of a greeting; it should leave room for the prompt.
const GREETING_BYTES_MAX: usize = 4 << 10;

/// The greeting with line ends and colours (`ESC [ … m`) only, and both switched off at its end. `None`: nothing is left.
pub fn clean(text: &str) -> Option<String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    let (mut coloured, mut says) = (false, false);
    while let Some(letter) = rest.chars().next() {
        let length = match letter {
            '\u{1b}' => {
                let sequence = sequence(rest);
                if is_colour(sequence) && out.len() + sequence.len() <= GREETING_BYTES_MAX {
                    out.push_str(sequence);
                    coloured = true;
                }
                sequence.len()
            }
            letter => {
                let shown = matches!(letter, '\n' | '\t') || !letter.is_control();
                if shown && out.len() + letter.len_utf8() <= GREETING_BYTES_MAX {
                    out.push(letter);
                    says |= !letter.is_whitespace();
                }
                letter.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    let text = out.trim_end_matches(['\n', ' ', '\t']);
    let off = if coloured { "\u{1b}[0m" } else { "" };
    says.then(|| format!("{text}{off}\n"))
}

/// The escape sequence that `text` starts with.
fn sequence(text: &str) -> &str {
    let rest = &text[1..];
    let length = match rest.chars().next() {
        Some('[') => {
            rest[1..].find(|letter: char| ('\u{40}'..='\u{7e}').contains(&letter)).map_or(text.len(), |at| at + 3)
        }
        // Strings for the terminal itself: titles, the clipboard, pictures.
        Some(']' | 'P' | 'X' | '^' | '_') => {
            let end = rest.find(['\u{7}', '\u{1b}']).map(|at| at + 1);
            end.map_or(text.len(), |at| {
                if text[at..].starts_with("\u{1b}\\") {
                    at + 2
                } else if text[at..].starts_with('\u{7}') {
                    at + 1
                } else {
                    at
                }
            })
        }
        Some(other) => 1 + other.len_utf8(),
        None => 1,
    };
    &text[..length.min(text.len())]
}

/// `ESC [ 1;32 m`, and no other letter at the end.
fn is_colour(sequence: &str) -> bool {
    let inside = sequence.strip_prefix("\u{1b}[").and_then(|rest| rest.strip_suffix('m'));
    inside.is_some_and(|inside| inside.bytes().all(|byte| byte.is_ascii_digit() || byte == b';' || byte == b':'))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn colours_stay_and_everything_else_that_steers_a_terminal_goes() {
        assert_eq!(
            clean("\u{1b}[32mYour Terminal.\u{1b}[m\r\n").as_deref(),
            Some("\u{1b}[32mYour Terminal.\u{1b}[m\u{1b}[0m\n")
        );
        assert_eq!(
            clean("a\u{1b}[2Jb\u{1b}]0;title\u{7}c\u{1b}]52;c;aGk=\u{1b}\\d\u{1b}ce\u{8}\u{9b}f").as_deref(),
            Some("abcdef\n")
        );
        assert_eq!(clean("\u{1b}[31m \r\n"), None);
        assert_eq!(clean("open\u{1b}]0;never closed"), Some("open\n".into()));
        assert!(clean(&"x".repeat(1 << 20)).unwrap().len() <= GREETING_BYTES_MAX + 8);
    }

    proptest! {
        #[test]
        fn whatever_comes_only_colours_are_left(text in "[\u{1b}\\[\\]0-9;mJ\u{7}\\\\\n\u{9b}é ]{0,60}") {
            let cleaned = clean(&text).unwrap_or_default();
            let mut rest = cleaned.as_str();
            while let Some(start) = rest.find('\u{1b}') {
                let sequence = sequence(&rest[start..]);
                prop_assert!(is_colour(sequence), "left in: {:?}", sequence);
                rest = &rest[start + sequence.len()..];
            }
            let shown = |letter: char| matches!(letter, '\u{1b}' | '\n' | '\t') || !letter.is_control();
            prop_assert!(cleaned.chars().all(shown));
        }
    }
}
