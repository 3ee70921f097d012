//! Heredocs: lines below an instruction that belong to it, up to one that is the delimiter alone.

use crate::build::shell::Shell;
use crate::build::source::{Position, Problem, Span, Word};

use super::lines::{LINE_MAX_BYTES, Lines};

/// `<<NAME` as it stands in an instruction's line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    pub name: String,
    /// `<<-`: tabs before the body's lines, and before the delimiter, do not count.
    pub strips_tabs: bool,
    /// Not if any part of the delimiter was quoted.
    pub expands: bool,
}

/// A mark and what follows below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heredoc {
    pub mark: Mark,
    /// As it is in the file, tabs included. Its place is that of its first line.
    pub body: Word,
}

impl Heredoc {
    /// What the instruction gets: without leading tabs, if they do not count.
    pub fn content(&self) -> String {
        match self.mark.strips_tabs {
            true => self.body.text.split_inclusive('\n').map(|line| line.trim_start_matches('\t')).collect(),
            false => self.body.text.clone(),
        }
    }
}

impl Mark {
    /// Reads a word of an instruction; none if it is not a heredoc's mark.
    pub fn parse(word: &str) -> Option<Self> {
        let digits = word.trim_start_matches(|c: char| c.is_ascii_digit());
        let rest = digits.strip_prefix("<<")?;
        let (rest, strips_tabs) = match rest.strip_prefix('-') {
            Some(rest) => (rest, true),
            None => (rest, false),
        };
        let rest = rest.trim_start();
        if rest.is_empty() || rest.contains('<') {
            return None;
        }
        let name = single_word(rest, false)?;
        let quotes = |text: &str| text.matches(['\'', '"']).count();
        let expands = quotes(&name) == quotes(&single_word(rest, true)?);
        Some(Self { name, strips_tabs, expands })
    }
}

fn shell() -> Shell {
    // Heredocs are the shell's, so the escape character is always its own.
    Shell { keeps_unset: true, ..Shell::new('\\', LINE_MAX_BYTES) }
}

fn single_word(text: &str, keeps_quotes: bool) -> Option<String> {
    let shell = Shell { keeps_quotes, ..shell() };
    let mut words = shell.expand(text, &|_| None).ok()?.words;
    if words.len() == 1 { words.pop() } else { None }
}

/// The marks of an instruction's line, in their order. A line that no shell would understand has none.
pub fn marks(line: &str) -> Vec<Mark> {
    if !line.contains("<<") {
        return Vec::new();
    }
    let shell = Shell { keeps_quotes: true, keeps_escapes: true, max_bytes: usize::MAX, ..shell() };
    let words = shell.expand(line, &|_| None).map(|read| read.words).unwrap_or_default();
    words.iter().filter_map(|word| Mark::parse(word)).collect()
}

/// Reads the body that `mark`, somewhere in `instruction`, announces.
pub fn read(lines: &mut Lines<'_>, mark: Mark, instruction: Span) -> Result<Heredoc, Problem> {
    let mut body = String::new();
    let mut first = None;
    while let Some(line) = lines.next_line()? {
        let start = Position { line: line.number, column: 1 };
        let first = *first.get_or_insert(start);
        let delimiter = if mark.strips_tabs { line.text.trim_start_matches('\t') } else { line.text };
        if delimiter == mark.name {
            let body = Word::new(body, Span { start: first, end: start });
            return Ok(Heredoc { mark, body });
        }
        body.push_str(line.raw);
    }
    let dash = if mark.strips_tabs { "-" } else { "" };
    let message = format!("the heredoc <<{dash}{} has no end", mark.name);
    let advice = format!("a line with nothing but {} ends it", mark.name);
    Err(Problem::new(instruction, message).advise(advice))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_words_of_their_own() {
        let found = |line: &str| -> Vec<String> { marks(line).into_iter().map(|mark| mark.name).collect() };
        assert_eq!(found("RUN cat <<EOF > /x"), ["EOF"]);
        assert_eq!(found("COPY <<a <<-b /x/"), ["a", "b"]);
        assert_eq!(found("RUN 3<<EOF cat"), ["EOF"]);
        assert_eq!(found("RUN cat << EOF"), ["EOF"]);
        assert_eq!(found("RUN cat <<<EOF"), Vec::<String>::new());
        assert_eq!(found("RUN echo '<<EOF'"), Vec::<String>::new());
        assert_eq!(found("RUN echo a<<EOF"), Vec::<String>::new());
        assert_eq!(found("RUN echo \"$((1 << 4))\""), Vec::<String>::new());
        // A shell would calculate here. Docker looks for words only, and so do we.
        assert_eq!(found("RUN echo $((1 << 4))"), ["4))"]);
        assert_eq!(found("RUN echo it's <<EOF"), Vec::<String>::new());
    }

    #[test]
    fn a_quoted_delimiter_keeps_variables() {
        let expands = |word| Mark::parse(word).unwrap().expands;
        assert!(expands("<<EOF"));
        assert!(!expands("<<'EOF'"));
        assert!(!expands("<<\"EOF\""));
        assert!(!expands("<<E'O'F"));
        assert_eq!(Mark::parse("<<'E F'").unwrap().name, "E F");
    }

    #[test]
    fn the_body_ends_at_the_delimiter_and_tabs_may_not_count() {
        let body = |text: &str, mark: &str| {
            read(&mut Lines::new(text.as_bytes()), Mark::parse(mark).unwrap(), Span::default())
                .map(|heredoc| heredoc.content())
                .map_err(|problem| problem.words())
        };
        assert_eq!(body("a\n EOF\nb\nEOF\nc", "<<EOF").unwrap(), "a\n EOF\nb\n");
        assert_eq!(body("\ta\n\t\tb\n\tEOF\n", "<<-EOF").unwrap(), "a\nb\n");
        assert_eq!(body("# a\r\nEOF\r\n", "<<EOF").unwrap(), "# a\r\n");
        assert_eq!(body("EOF", "<<EOF").unwrap(), "");
        assert_eq!(
            body("a\n", "<<-EOF").unwrap_err(),
            "the heredoc <<-EOF has no end; a line with nothing but EOF ends it"
        );
    }
}
