//! Languages in which the line decides: what it starts with says what the rest is.

use super::grammar::{self, Grammar};
use super::{Part, Parts, words};

/// Lines with their offsets, without their ends.
fn numbered(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.split('\n').scan(0, |start, line| {
        let at = *start;
        *start += line.len() + 1;
        Some((at, line))
    })
}

/// `$ command`, and below it what it printed.
pub fn console(text: &str) -> Parts {
    let mut parts = Parts::new();
    let mut continues = false;
    for (at, line) in numbered(text) {
        let prompt = if continues { Some(0) } else { prompt_length(line) };
        match prompt {
            Some(length) => {
                if length > 0 {
                    parts.push((Part::Prompt, at..at + line[..length].trim_end().len()));
                }
                parts.extend(grammar::parts(&words::SHELL, &line[length..], at + length));
            }
            None if !line.is_empty() => parts.push((Part::Output, at..at + line.len())),
            None => {}
        }
        continues = prompt.is_some() && line.ends_with('\\');
    }
    parts
}

/// `$ `, `# `, `> `, `root@host:~# `, `ubuntu $ `.
fn prompt_length(line: &str) -> Option<usize> {
    if line.starts_with("$ ") || line.starts_with("# ") || line.starts_with("> ") {
        return Some(2);
    }
    let end = ["$ ", "# "].iter().filter_map(|mark| line.find(mark)).min()?;
    let before = line[..end].trim_end();
    let is_prompt = !before.is_empty()
        && before.len() <= 60
        && (before.contains('@') || before == "ubuntu")
        && !before.contains(' ');
    is_prompt.then_some(end + 2)
}

pub fn dockerfile(text: &str) -> Parts {
    let mut parts = Parts::new();
    let mut continued: Option<&'static Grammar> = None;
    for (at, line) in numbered(text) {
        let indent = line.len() - line.trim_start().len();
        let trimmed = &line[indent..];
        if trimmed.starts_with('#') {
            parts.push((Part::Comment, at + indent..at + line.len()));
            continue;
        }
        let (grammar, start) = match continued {
            Some(grammar) => (grammar, indent),
            None => {
                let end = trimmed.find(char::is_whitespace).unwrap_or(trimmed.len());
                let word = &trimmed[..end];
                if words::INSTRUCTIONS.iter().any(|known| known.eq_ignore_ascii_case(word)) {
                    parts.push((Part::Word, at + indent..at + indent + end));
                }
                let runs = ["RUN", "CMD", "ENTRYPOINT"].iter().any(|known| known.eq_ignore_ascii_case(word));
                (
                    if runs && !trimmed[end..].trim_start().starts_with('[') { &words::SHELL } else { &words::PLAIN },
                    indent + end,
                )
            }
        };
        parts.extend(grammar::parts(grammar, &line[start..], at + start));
        continued = line.trim_end().ends_with('\\').then_some(grammar);
    }
    parts
}

pub fn yaml(text: &str) -> Parts {
    let mut parts = Parts::new();
    // The indentation of the key whose value is a block of text.
    let mut block: Option<usize> = None;
    for (at, line) in numbered(text) {
        let indent = line.len() - line.trim_start().len();
        if let Some(outer) = block {
            if line.trim().is_empty() {
                continue;
            }
            if indent > outer {
                parts.push((Part::Text, at..at + line.len()));
                continue;
            }
            block = None;
        }
        let mut start = indent;
        while line[start..].starts_with("- ") {
            start += 2 + line[start + 2..].len() - line[start + 2..].trim_start().len();
        }
        let rest = &line[start..];
        if let Some(length) = key_length(rest) {
            parts.push((Part::Key, at + start..at + start + length));
            start += length;
        }
        let value = &line[start..];
        if [": |", ": >"].iter().any(|mark| value.trim_end().trim_end_matches(['+', '-']).ends_with(mark)) {
            block = Some(indent);
        }
        parts.extend(grammar::parts(&words::YAML, value, at + start));
    }
    parts
}

/// The key that a line starts with, up to its colon.
fn key_length(line: &str) -> Option<usize> {
    if line.starts_with(['#', '[', '{', '|', '>', '&', '*']) {
        return None;
    }
    let colon = line.find(": ").or_else(|| line.trim_end().strip_suffix(':').map(str::len))?;
    // A colon in a comment or behind a string is none of a key's.
    (!line[..colon].contains(" #") && !line[..colon].is_empty()).then_some(colon)
}

/// INI, TOML, systemd's units.
pub fn ini(text: &str) -> Parts {
    let mut parts = Parts::new();
    for (at, line) in numbered(text) {
        let indent = line.len() - line.trim_start().len();
        let trimmed = line.trim();
        let end = at + indent + trimmed.len();
        if trimmed.starts_with(['#', ';']) {
            parts.push((Part::Comment, at + indent..end));
        } else if trimmed.starts_with('[') && trimmed.ends_with(']') {
            parts.push((Part::Word, at + indent..end));
        } else if let Some(equals) = line.find('=') {
            let key = line[indent..equals.max(indent)].trim_end();
            if !key.is_empty() {
                parts.push((Part::Key, at + indent..at + indent + key.len()));
            }
            parts.extend(grammar::parts(&words::YAML, &line[equals + 1..], at + equals + 1));
        }
    }
    parts
}
