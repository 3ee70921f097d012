//! Boxes as other Markdowns write them: MkDocs' `!!! note "Title"` and Docusaurus' `:::tip Title`.

/// Lines of one box; a `:::` that nobody closes must not swallow a page.
const LINES_MAX: usize = 200;

/// A box, with its text as lines of Markdown.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Admonition<'a> {
    /// One of GitHub's five.
    pub kind: &'static str,
    pub title: Option<&'a str>,
    pub lines: Vec<&'a str>,
    /// How many lines it takes, with those that mark it.
    pub taken: usize,
}

/// The box that `lines` begin with.
pub(super) fn read<'a>(lines: &[&'a str]) -> Option<Admonition<'a>> {
    let first = lines.first()?;
    if let Some(rest) = first.strip_prefix(":::") {
        let end = lines.iter().take(LINES_MAX).skip(1).position(|line| line.trim() == ":::")? + 1;
        return box_of(rest, lines[1..end].to_vec(), end + 1);
    }
    let rest =
        first.strip_prefix("!!! ").or_else(|| first.strip_prefix("???+ ")).or_else(|| first.strip_prefix("??? "))?;
    let within =
        lines[1..].iter().take(LINES_MAX).take_while(|line| line.trim().is_empty() || indented(line).is_some());
    let mut text: Vec<&str> = within.map(|line| indented(line).unwrap_or_default()).collect();
    while text.last().is_some_and(|line| line.trim().is_empty()) {
        text.pop();
    }
    let taken = text.len() + 1;
    box_of(rest, text, taken)
}

/// `note "Title"`, `note Title`, `note[Title]`.
fn box_of<'a>(words: &'a str, lines: Vec<&'a str>, taken: usize) -> Option<Admonition<'a>> {
    let words = words.trim();
    let end = words.find(|letter: char| !letter.is_ascii_alphabetic()).unwrap_or(words.len());
    let (kind, title) = words.split_at(end);
    let title = title.trim().trim_matches(['"', '[', ']', '{', '}']).trim();
    let kind = match kind.to_ascii_lowercase().as_str() {
        "note" | "info" | "abstract" | "summary" | "question" | "quote" | "example" => "NOTE",
        "tip" | "hint" | "success" => "TIP",
        "important" => "IMPORTANT",
        "warning" | "attention" => "WARNING",
        "caution" | "danger" | "error" | "failure" | "bug" => "CAUTION",
        _ => return None,
    };
    Some(Admonition { kind, title: (!title.is_empty()).then_some(title), lines, taken })
}

fn indented(line: &str) -> Option<&str> {
    line.strip_prefix("    ").or_else(|| line.strip_prefix('\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ways_of_writing_a_box_are_read_and_a_stray_mark_is_text() {
        let mkdocs = read(&["!!! danger \"Sharp\"", "    one", "", "    two", "after"]).unwrap();
        assert_eq!(
            (mkdocs.kind, mkdocs.title, mkdocs.lines, mkdocs.taken),
            ("CAUTION", Some("Sharp"), vec!["one", "", "two"], 4)
        );
        let docusaurus = read(&[":::tip", "one", ":::", "after"]).unwrap();
        assert_eq!(
            (docusaurus.kind, docusaurus.title, docusaurus.lines, docusaurus.taken),
            ("TIP", None, vec!["one"], 3)
        );
        assert_eq!(read(&[":::tip", "never closed"]), None);
        assert_eq!(read(&["!!! wow"]), None);
        assert_eq!(read(&["!!! note"]).unwrap().taken, 1);
    }
}
