//! A build's events as text. Nothing here prints: whoever shows the text decides where.

pub mod plain;
pub mod legacy;
pub mod tty;

use super::event::Event;
use crate::printable;

/// One JSON object a line.
pub fn json(event: &Event) -> String {
    let line = serde_json::to_string(event).expect("an event has only texts, numbers and lists");
    let mut line = printable::json(&line);
    line.push('\n');
    line
}

/// `1.2s`, from milliseconds.
fn seconds(ms: u64) -> String {
    format!("{}.{}s", ms / 1000, ms % 1000 / 100)
}

/// Behind the word for a step that was found: the image that had it, if it was not built here.
fn of_image(image: Option<&str>) -> String {
    image.map(|image| format!(" from {}", crate::printable::printable(image, false))).unwrap_or_default()
}

#[cfg(test)]
mod tests;
