//! Debian's one text format: paragraphs of `Field: value`, with folded lines (deb822(5)).
//!
//! The package index, a package's control file, the release file, apt's newer source lists and dpkg's status are all of it.

use std::io::{self, BufRead};

/// The longest paragraph that is read. The longest of Debian's index has 60 KiB.
const PARAGRAPH_MAX_BYTES: usize = 4 * 1024 * 1024;

/// One paragraph, fields in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Paragraph {
    fields: Vec<(String, String)>,
}

impl Paragraph {
    /// The value of a field, whatever its case; folded lines are joined by line feeds without their first blank.
    pub fn get(&self, field: &str) -> Option<&str> {
        self.fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(field)).map(|(_, value)| value.as_str())
    }

    fn add(&mut self, line: &str) {
        if let Some(rest) = line.strip_prefix([' ', '\t']) {
            if let Some((_, value)) = self.fields.last_mut() {
                value.push('\n');
                value.push_str(rest);
            }
        } else if let Some((name, value)) = line.split_once(':') {
            self.fields.push((name.trim().to_owned(), value.trim().to_owned()));
        }
    }
}

/// Reads paragraph after paragraph, so that an index of 50 MB never stands in memory.
pub struct Paragraphs<R> {
    lines: io::Lines<R>,
}

impl<R: BufRead> Paragraphs<R> {
    pub fn new(reader: R) -> Self {
        Self { lines: reader.lines() }
    }
}

impl<R: BufRead> Iterator for Paragraphs<R> {
    type Item = io::Result<Paragraph>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut paragraph = Paragraph::default();
        let mut bytes = 0;
        for line in self.lines.by_ref() {
            let line = match line {
                Ok(line) => line,
                Err(error) => return Some(Err(error)),
            };
            bytes += line.len();
            if bytes > PARAGRAPH_MAX_BYTES {
                return Some(Err(io::Error::new(io::ErrorKind::InvalidData, "a paragraph without end")));
            }
            if line.starts_with('#') {
                continue;
            }
            if !line.trim().is_empty() {
                paragraph.add(&line);
            } else if !paragraph.fields.is_empty() {
                return Some(Ok(paragraph));
            }
        }
        (!paragraph.fields.is_empty()).then_some(Ok(paragraph))
    }
}

/// All paragraphs of a short text.
pub fn parse(text: &str) -> Vec<Paragraph> {
    Paragraphs::new(text.as_bytes()).map_while(Result::ok).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_fold_and_paragraphs_end_at_an_empty_line() {
        let text =
            "# a comment\nPackage: bash\nDescription: a shell\n for people\n .\n and scripts\n\n\npackage: dash\n";
        let paragraphs = parse(text);
        assert_eq!(paragraphs.len(), 2);
        assert_eq!(paragraphs[0].get("description"), Some("a shell\nfor people\n.\nand scripts"));
        assert_eq!(paragraphs[1].get("Package"), Some("dash"));
        assert_eq!(paragraphs[1].get("Version"), None);
    }

    #[test]
    fn a_paragraph_without_end_is_an_error() {
        let text = format!("Package: x\n{}", " y\n".repeat(3 * 1024 * 1024));
        assert!(Paragraphs::new(text.as_bytes()).next().unwrap().is_err());
    }
}
