//! Single lines of Markdown: what stands before their text, and what they begin.

/// What may stand before a fence in its line.
pub(super) struct Prefix {
    pub bytes: usize,
    pub quotes: usize,
    /// Quote marks and list marks.
    pub marks: usize,
    /// Columns since the last quote mark.
    pub indent: usize,
}

impl Prefix {
    pub fn read(line: &str) -> Self {
        let mut prefix = Self { bytes: 0, quotes: 0, marks: 0, indent: 0 };
        loop {
            let rest = &line[prefix.bytes..];
            let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
            prefix.indent += columns(&rest[..blank]);
            prefix.bytes += blank;
            let rest = &rest[blank..];
            if rest.starts_with('>') {
                prefix.quotes += 1;
                prefix.marks += 1;
                prefix.indent = 0;
                prefix.bytes += if rest.starts_with("> ") { 2 } else { 1 };
            } else if let Some(width) = list_mark(rest) {
                prefix.marks += 1;
                prefix.indent += width;
                prefix.bytes += width;
            } else {
                return prefix;
            }
        }
    }
}

pub(super) fn run_length(text: &str, mark: char) -> usize {
    text.len() - text.trim_start_matches(mark).len()
}

/// The width of the white space that a line starts with; a TAB leads to the next multiple of four.
pub(super) fn columns(line: &str) -> usize {
    let blank = line.chars().take_while(|letter| " \t".contains(*letter));
    blank.fold(0, |column, letter| if letter == '\t' { column / 4 * 4 + 4 } else { column + 1 })
}

/// The width of a list item's mark with the space after it: `- `, `12. `.
pub(super) fn list_mark(line: &str) -> Option<usize> {
    let text = line.trim_start_matches([' ', '\t']);
    let digits = text.len() - text.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
    let mark = match digits {
        0 => text.starts_with(['-', '*', '+']).then_some(1)?,
        1..=9 => text[digits..].starts_with(['.', ')']).then_some(digits + 1)?,
        _ => return None,
    };
    let spaces = text[mark..].len() - text[mark..].trim_start_matches(' ').len();
    // Five spaces and more: the item starts with indented code, one space after its mark.
    match spaces {
        0 => None,
        1..=4 => Some(mark + spaces),
        _ => Some(mark + 1),
    }
}

/// List marks turned into the spaces that continue their item.
pub(super) fn without_list_marks(prefix: &str) -> String {
    prefix.chars().map(|letter| if letter == '>' || letter.is_whitespace() { letter } else { ' ' }).collect()
}

pub(super) fn heading_without_space(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start_matches(' ');
    let marks = run_length(text, '#');
    let starts_title = text[marks..].chars().next().is_some_and(char::is_alphanumeric);
    let is_heading = line.len() - text.len() < 4 && (1..=6).contains(&marks) && starts_title;
    is_heading.then(|| (&text[..marks], &text[marks..]))
}

/// Nothing but `<br>`.
pub(super) fn is_break(text: &str) -> bool {
    let bare = text.to_ascii_lowercase().replace(['/', ' '], "").replace("<br>", "");
    bare.is_empty() && !text.trim().is_empty()
}

pub(super) fn starts_html(lower: &str) -> bool {
    lower
        .strip_prefix('<')
        .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/'))
}

/// Marks that nobody writes in HTML for their own sake.
pub(super) fn starts_like_markdown(text: &str) -> bool {
    let is_heading = text.starts_with('#') && text.trim_start_matches('#').starts_with(' ');
    is_heading || list_mark(text).is_some() || text.starts_with("![")
}

/// The end of HTML whose inside is raw, where a line starts such.
pub(super) fn raw_until(line: &str) -> Option<&'static str> {
    let lower = line.trim_start().get(..9).unwrap_or(line.trim_start()).to_ascii_lowercase();
    let opens =
        |name: &str| lower.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([' ', '>']));
    match () {
        () if lower.starts_with("<!--") => Some("-->"),
        () if opens("<pre") => Some("</pre>"),
        () if opens("<script") => Some("</script>"),
        () if opens("<style") => Some("</style>"),
        () => None,
    }
}

pub(super) fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(needle)
}
