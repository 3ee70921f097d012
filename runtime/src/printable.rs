//! Strangers' words for a terminal: what it would obey is shown instead.
//!
//! File names, instructions, an image's history and what a command prints are anybody's. Whoever prints them prints
//! them through here.

/// Ends every colour (ECMA-48, "SGR").
const NO_COLOUR: &str = "\u{1b}[0m";

/// One line without control characters. Control sequences go; colours of a command's own (`ESC [ … m`) stay where
/// `colours` says so, and end with the line: hidden text would hide what comes after it.
pub fn printable(text: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut is_coloured = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = control_sequence(rest) {
            let sequence = &rest[..length];
            if colours && sequence.ends_with('m') {
                shown.push_str(sequence);
                is_coloured = sequence != NO_COLOUR && sequence != "\u{1b}[m";
            }
            rest = &rest[length..];
            continue;
        }
        push(&mut shown, c);
        rest = &rest[c.len_utf8()..];
    }
    if is_coloured {
        shown.push_str(NO_COLOUR);
    }
    shown
}

/// A text of several lines, with all that it holds shown: for messages about names and words that are wrong.
pub fn message(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c == '\n' { shown.push(c) } else { push(&mut shown, c) }
    }
    shown
}

/// JSON, of which a terminal shows every character. What is not ASCII stands only in strings, where an escape says the
/// same; serde_json leaves control characters above U+007E as they are.
pub fn json(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\u{7f}'.. if is_obeyed(c) => shown.push_str(&format!("\\u{:04x}", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

fn push(shown: &mut String, c: char) {
    match c {
        '\t' => shown.push('\t'),
        c if is_obeyed(c) => shown.extend(c.escape_unicode()),
        c => shown.push(c),
    }
}

/// Control characters, and those that turn the order of letters round (Unicode, "Bidirectional Formatting Characters"):
/// with them a line reads as something else than it is.
fn is_obeyed(c: char) -> bool {
    c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The length of a control sequence (ECMA-48, "CSI") that a text begins with.
fn control_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c))?;
    let plain = parameters[..end].chars().all(|c| ('\u{20}'..='\u{3f}').contains(&c));
    plain.then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_a_command_writes_moves_the_cursor() {
        let hostile = "a\u{1b}[2J\u{1b}[10;10Hb\u{1b}]0;title\u{7}\u{1b}[31mred\u{1b}[0m\u{8}\u{9b}2J\r";
        let shown = "ab\\u{1b}]0;title\\u{7}red\\u{8}\\u{9b}2J\\u{d}";
        assert_eq!(printable(hostile, false), shown);
        assert_eq!(printable(hostile, true), shown.replace("red", "\u{1b}[31mred\u{1b}[0m"));
        assert_eq!(printable("\u{1b}[ä", false), "\\u{1b}[ä");
    }

    #[test]
    fn colours_and_the_order_of_letters_end_with_the_line() {
        assert_eq!(printable("\u{1b}[8mhidden", true), "\u{1b}[8mhidden\u{1b}[0m");
        assert_eq!(printable("\u{1b}[1mbold\u{1b}[m plain", true), "\u{1b}[1mbold\u{1b}[m plain");
        assert_eq!(printable("txt.\u{202e}fdp.exe", false), "txt.\\u{202e}fdp.exe");
    }

    #[test]
    fn a_message_keeps_its_lines_and_nothing_else() {
        assert_eq!(message("a\u{1b}[2Jb\n  c\td\r\u{202e}"), "a\\u{1b}[2Jb\n  c\td\\u{d}\\u{202e}");
    }

    #[test]
    fn json_says_the_same() {
        let value = serde_json::json!({ "a\u{9b}": ["\u{7f}\u{202e}ü\u{1b}"] });
        let shown = json(&value.to_string());
        assert!(!shown.chars().any(is_obeyed), "{shown}");
        assert_eq!(serde_json::from_str::<serde_json::Value>(&shown).unwrap(), value);
        // Its own lines stay.
        assert_eq!(json("{\n  \"a\": 1\n}\n"), "{\n  \"a\": 1\n}\n");
    }
}
