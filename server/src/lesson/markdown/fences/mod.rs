//! Before Markdown: takes out of a text the blocks that Markdown would misread.
//!
//! A closing fence with an action after it, `` ```{{exec}} ``, is no closing fence to CommonMark, and all but a
//! handful of the lessons that use one would be misread. So the fences are found here, line by line, in lists and
//! quotes too; each block's text is put aside, and an empty fence that names its number stands in for it.
//! Katacoda's editor blocks and quizzes go the same way. The rest is prose, with the few liberties that authors
//! take put right: headings without a space, HTML glued to Markdown.

mod admonitions;
mod fence;
mod katacoda;
mod lines;
mod body;

use std::ops::RangeInclusive;

pub use self::katacoda::{Mark, RawAnswer, RawQuiz, attribute};

use self::fence::Opening;
use self::katacoda::{decode_entities, editor_block_start};
use self::lines::{
    Prefix, columns, find_ignoring_case, heading_without_space, is_break, list_mark, raw_until, starts_html,
    starts_like_markdown, without_list_marks,
};
use crate::lesson::actions::Directive;

/// Blocks of one text that are taken out; four times as many as may have a button.
const BLOCKS_MAX: usize = 2000;

/// Quotes and lists that begin in one line. Readers of Markdown take time in the square of this; nobody writes more
/// than three.
const MARKS_MAX: usize = 16;

/// Columns before the text of a line, outside code; the same for lists that nest line by line.
const INDENT_MAX: usize = 200;

/// Lists within lists that are followed for their indentation.
const LISTS_MAX: usize = 32;

/// Fences of one text whose end is guessed: each is looked for down to the end of the text.
const ENDS_FOUND_MAX: usize = 20;

/// Boxes within boxes.
const BOXES_MAX: usize = 3;

/// A text without its blocks.
#[derive(Debug)]
pub struct Prepared {
    /// Ready for a CommonMark parser.
    pub markdown: String,
    /// For each line of `markdown`, the line of the author's text that it came from.
    pub lines: Vec<u32>,
    /// Where each line of `markdown` starts.
    pub starts: Vec<usize>,
    pub blocks: Vec<Block>,
    pub remarks: Vec<Remark>,
}

/// Something to tell the author about a line.
#[derive(Debug)]
pub struct Remark {
    pub line: u32,
    /// From 1; 0: the line as a whole.
    pub column: u32,
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug)]
pub enum Block {
    Code(CodeBlock),
    /// Katacoda's `<pre class="file" data-filename="…">`.
    File(FileBlock),
    Quiz(RawQuiz),
}

impl Block {
    /// As its author wrote it, without what stood around it.
    pub fn text(&self) -> &str {
        match self {
            Self::Code(block) => &block.text,
            Self::File(block) => &block.text,
            Self::Quiz(quiz) => &quiz.source,
        }
    }

    /// The same block, `lines` further down.
    fn below(mut self, lines: u32) -> Self {
        match &mut self {
            Self::Code(block) => {
                (block.line, block.directive_line) = (block.line + lines, block.directive_line + lines)
            }
            Self::File(block) => block.line += lines,
            Self::Quiz(quiz) => quiz.below(lines),
        }
        self
    }
}

/// A text for a file of the machine.
#[derive(Debug)]
pub struct FileBlock {
    pub line: u32,
    pub name: String,
    /// `clipboard`, `replace`, `append`, `prepend` or `insert`, as written.
    pub target: String,
    /// The text whose place an inserted one takes.
    pub marker: String,
    pub text: String,
}

#[derive(Debug)]
pub struct CodeBlock {
    pub line: u32,
    /// The line in which the directive stands.
    pub directive_line: u32,
    pub language: String,
    pub highlighted: Vec<RangeInclusive<u32>>,
    pub directive: Option<Directive>,
    pub text: String,
}

/// Takes the blocks out of `text`. `token` introduces the number of a block that stood at a place; it must not
/// occur in the text.
pub fn prepare(text: &str, token: &str) -> Prepared {
    prepare_within(text, token, Place::default())
}

/// Where a text stands in another.
#[derive(Default)]
struct Place {
    /// Blocks before it.
    blocks: usize,
    /// Boxes around it.
    boxes: usize,
}

/// The same for a part of a text.
fn prepare_within(text: &str, token: &str, place: Place) -> Prepared {
    let mut scanner = Scanner {
        lines: text.lines().collect(),
        next: 0,
        token,
        lists: Vec::new(),
        after_blank: true,
        in_html: false,
        open_details: 0,
        ends_found: 0,
        place,
        prepared: Prepared {
            markdown: String::with_capacity(text.len()),
            lines: Vec::new(),
            starts: Vec::new(),
            blocks: Vec::new(),
            remarks: Vec::new(),
        },
    };
    while let Some(line) = scanner.take() {
        scanner.line(line);
    }
    scanner.finish()
}

struct Scanner<'a> {
    lines: Vec<&'a str>,
    /// Index of the next line to take; after `take`, the number of the line taken, counted from 1.
    next: usize,
    token: &'a str,
    /// For each list that is open, the column at which its item's text starts.
    lists: Vec<usize>,
    after_blank: bool,
    /// Within a block of HTML, which only a blank line ends.
    in_html: bool,
    open_details: isize,
    /// Fences whose end had to be guessed.
    ends_found: usize,
    place: Place,
    prepared: Prepared,
}

impl<'a> Scanner<'a> {
    fn take(&mut self) -> Option<&'a str> {
        let line = self.lines.get(self.next).copied()?;
        self.next += 1;
        Some(line)
    }

    fn line(&mut self, line: &'a str) {
        let prefix = Prefix::read(line);
        if prefix.marks > MARKS_MAX || prefix.indent > INDENT_MAX {
            return self.put(&line[prefix.bytes..]);
        }
        let has_room = self.place.blocks + self.prepared.blocks.len() < BLOCKS_MAX;
        if let Some(opening) = Opening::read(line).filter(|_| has_room) {
            self.fence(line, opening);
        } else if let Some(tag) = editor_block_start(line).filter(|_| has_room) {
            self.editor_block(line, tag);
        } else if let Some(end) = raw_until(line) {
            self.raw(line, end);
        } else if let Some((quiz, lines)) =
            RawQuiz::read(&self.lines[self.next - 1..], self.next as u32).filter(|_| has_room)
        {
            self.next += lines - 1;
            self.stand_in("", Block::Quiz(quiz));
        } else if let Some(admonition) =
            admonitions::read(&self.lines[self.next - 1..]).filter(|_| self.place.boxes < BOXES_MAX)
        {
            self.admonition(admonition);
        } else {
            self.prose(line);
        }
    }

    fn finish(mut self) -> Prepared {
        if self.open_details > 0 {
            self.remark(
                self.lines.len() as u32,
                0,
                "a <details> is not closed: it was closed at the end".into(),
                Some("write </details>".into()),
            );
        }
        self.prepared
    }

    // Blocks

    /// Puts a block aside and an empty fence with its number in its place.
    fn stand_in(&mut self, prefix: &str, block: Block) {
        self.end_html(prefix);
        let number = self.place.blocks + self.prepared.blocks.len();
        let opening = format!("{prefix}```{}{number}", self.token);
        self.prepared.blocks.push(block);
        self.put(&opening);
        self.put(&format!("{}```", without_list_marks(prefix)));
        self.after_blank = false;
    }

    /// What followed a closing fence in its line.
    fn trailing(&mut self, prefix: &str, rest: &str) {
        let rest = rest.trim();
        if !rest.is_empty() && !is_break(rest) {
            let prefix = without_list_marks(prefix);
            self.put(prefix.trim_end());
            self.put(&format!("{prefix}{rest}"));
        }
    }

    // Katacoda's editor blocks and quizzes

    /// `<pre class="file" …>` up to `</pre>`.
    fn editor_block(&mut self, first: &'a str, tag: &'a str) {
        let number = self.next as u32;
        self.follow_lists(first);
        let (before, inside) = first.split_at(Prefix::read(first).bytes);
        let column = self.lists.last().copied().filter(|&column| column <= Prefix::read(first).indent).unwrap_or(0);
        let mut text = String::new();
        let mut line = &inside[tag.len()..];
        let rest = loop {
            if let Some(end) = find_ignoring_case(line, "</pre>") {
                text.push_str(&line[..end]);
                break &line[end + "</pre>".len()..];
            }
            text.push_str(line);
            text.push('\n');
            match self.take() {
                Some(next) => {
                    line = &next[columns(next).min(column).min(next.len() - next.trim_start_matches(' ').len())..]
                }
                None => {
                    self.remark(
                        number,
                        before.chars().count() as u32 + 1,
                        "this <pre> is never closed".into(),
                        Some("write </pre>".into()),
                    );
                    break "";
                }
            }
        };
        let block = Block::File(FileBlock {
            line: number,
            name: attribute(tag, "data-filename").unwrap_or_default(),
            target: attribute(tag, "data-target").unwrap_or_default(),
            marker: attribute(tag, "data-marker").unwrap_or_default(),
            text: decode_entities(text.trim_matches('\n')),
        });
        let prefix = if before.trim().is_empty() { " ".repeat(column) } else { before.to_owned() };
        self.stand_in(&prefix, block);
        self.trailing(&prefix, rest);
    }

    // Boxes of other Markdowns

    /// As GitHub writes them, which is what the reader of Markdown knows.
    fn admonition(&mut self, admonition: admonitions::Admonition<'a>) {
        self.put("");
        self.put(&format!("> [!{}]", admonition.kind));
        if let Some(title) = admonition.title {
            self.put(&format!("> **{title}**"));
            self.put(">");
        }
        let first = self.next as u32;
        let after = self.next + admonition.taken - 1;
        // The box is a text of its own, a quote within this one.
        let place = Place { blocks: self.place.blocks + self.prepared.blocks.len(), boxes: self.place.boxes + 1 };
        let inner = prepare_within(&admonition.lines.join("\n"), self.token, place);
        for (line, number) in inner.markdown.lines().zip(&inner.lines) {
            self.next = (first + number) as usize;
            self.put(&format!("> {line}"));
        }
        self.prepared.blocks.extend(inner.blocks.into_iter().map(|block| block.below(first)));
        let moved = |remark: Remark| Remark { line: remark.line + first, ..remark };
        self.prepared.remarks.extend(inner.remarks.into_iter().map(moved));
        self.next = after;
        self.put("");
        self.after_blank = true;
    }

    // Prose

    /// HTML whose inside is not Markdown whatever it looks like.
    fn raw(&mut self, first: &'a str, end: &str) {
        self.after_blank = false;
        let mut next = Some(first);
        while let Some(line) = next {
            match find_ignoring_case(line, end) {
                // The reader of Markdown knows the end in small letters only.
                Some(at) => return self.put(&format!("{}{end}{}", &line[..at], &line[at + end.len()..])),
                None => self.put(line),
            }
            next = self.take();
        }
    }

    fn prose(&mut self, line: &'a str) {
        let trimmed = line.trim();
        self.follow_lists(line);
        self.count_details(trimmed);
        if self.in_html && starts_like_markdown(trimmed) {
            self.end_html("");
        }
        if trimmed.to_ascii_lowercase().starts_with("</details") {
            self.end_html("");
        }
        match heading_without_space(line) {
            Some((marks, title)) => self.put(&format!("{marks} {title}")),
            None => self.put(line),
        }
        self.follow_html(trimmed);
        self.after_blank = trimmed.is_empty();
    }

    /// HTML blocks end at a blank line only, so `<br>` and `</summary>` would swallow the Markdown below them.
    fn follow_html(&mut self, trimmed: &str) {
        let lower = trimmed.to_ascii_lowercase();
        if trimmed.is_empty() {
            self.in_html = false;
        } else if is_break(trimmed) || lower.ends_with("</summary>") || lower.ends_with("</details>") {
            self.put("");
            self.in_html = false;
        } else if starts_html(&lower) && (self.after_blank || self.in_html) {
            self.in_html = true;
        }
    }

    fn end_html(&mut self, prefix: &str) {
        if self.in_html {
            self.put(without_list_marks(prefix).trim_end());
            self.in_html = false;
        }
    }

    fn count_details(&mut self, line: &str) {
        let lower = line.to_ascii_lowercase();
        self.open_details += lower.matches("<details").count() as isize - lower.matches("</details").count() as isize;
    }

    /// Keeps the columns at which the texts of open list items start.
    fn follow_lists(&mut self, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mark = list_mark(line);
        let indent = columns(line);
        let ends_items = self.after_blank || mark.is_some();
        while ends_items && self.lists.last().is_some_and(|&column| indent < column) {
            self.lists.pop();
        }
        if let Some(width) = mark.filter(|_| self.lists.len() < LISTS_MAX) {
            self.lists.push(indent + width);
        }
    }

    fn put(&mut self, line: &str) {
        self.prepared.starts.push(self.prepared.markdown.len());
        self.prepared.markdown.push_str(line);
        self.prepared.markdown.push('\n');
        self.prepared.lines.push(self.next as u32);
    }

    fn remark(&mut self, line: u32, column: u32, message: String, hint: Option<String>) {
        self.prepared.remarks.push(Remark { line, column, message, hint });
    }
}
