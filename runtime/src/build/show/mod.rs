//! A build's events as text. Nothing here prints: whoever shows the text decides where.

pub mod plain;
pub mod legacy;
pub mod tty;

use super::event::Event;

/// One JSON object a line.
pub fn json(event: &Event) -> String {
    let mut line = serde_json::to_string(event).expect("an event has only texts, numbers and lists");
    line.push('\n');
    line
}

/// `1.2s`, from milliseconds.
fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

/// What a terminal would obey is shown instead: texts of a Dockerfile and of commands are anybody's. Colours of a
/// command's own (`ESC [ … m`) stay where `colours` says so.
fn printable(text: &str, colours: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        if let Some(length) = escape_sequence(rest) {
            if colours && rest[..length].ends_with('m') && rest.as_bytes().get(1) == Some(&b'[') {
                shown.push_str(&rest[..length]);
            }
            rest = &rest[length..];
            continue;
        }
        match c {
            '\t' => shown.push('\t'),
            c if c.is_control() => shown.extend(c.escape_default()),
            c => shown.push(c),
        }
        rest = &rest[c.len_utf8()..];
    }
    shown
}

/// The length of a control sequence (ECMA-48, "CSI") that a text begins with.
fn escape_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| ('\u{40}'..='\u{7e}').contains(&c))?;
    let plain = parameters[..end].chars().all(|c| ('\u{20}'..='\u{3f}').contains(&c));
    plain.then_some(2 + end + 1)
}

#[cfg(test)]
mod tests;
