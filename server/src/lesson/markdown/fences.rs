//! Before Markdown: takes out of a text the blocks that Markdown would misread.
//!
//! A closing fence with an action after it, `` ```{{exec}} ``, is no closing fence to CommonMark, and all but a
//! handful of the lessons that use one would be misread. So the fences are found here, line by line, in lists and
//! quotes too; each block's text is put aside, and an empty fence that names its number stands in for it.
//! Katacoda's editor blocks and quizzes go the same way. The rest is prose, with the few liberties that authors
//! take put right: headings without a space, HTML glued to Markdown.

use std::ops::RangeInclusive;

use crate::lesson::actions::{self, Directive, Found};

/// Blocks of one text that are taken out; four times as many as may have a button.
const BLOCKS_MAX: usize = 2000;

/// Quotes and lists that begin in one line. Readers of Markdown take time in the square of this; nobody writes more
/// than three.
const MARKS_MAX: usize = 16;

/// Columns before the text of a line, outside code; the same for lists that nest line by line.
const INDENT_MAX: usize = 200;

/// Lists within lists that are followed for their indentation.
const LISTS_MAX: usize = 32;

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
    pub message: String,
    pub hint: Option<String>,
}

#[derive(Debug)]
pub enum Block {
    Code(CodeBlock),
    /// Katacoda's `<pre class="file" data-filename="…">`.
    File {
        name: String,
        target: String,
        text: String,
    },
    Quiz {
        question: String,
        choices: Vec<String>,
    },
}

#[derive(Debug)]
pub struct CodeBlock {
    pub line: u32,
    pub language: String,
    pub highlighted: Vec<RangeInclusive<u32>>,
    pub directive: Option<Directive>,
    pub text: String,
}

/// Takes the blocks out of `text`. `token` introduces the number of a block that stood at a place; it must not
/// occur in the text.
pub fn prepare(text: &str, token: &str) -> Prepared {
    let mut scanner = Scanner {
        lines: text.lines().collect(),
        next: 0,
        token,
        lists: Vec::new(),
        after_blank: true,
        in_html: false,
        open_details: 0,
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
        let has_room = self.prepared.blocks.len() < BLOCKS_MAX;
        if let Some(opening) = Opening::read(line).filter(|_| has_room) {
            self.fence(line, opening);
        } else if let Some(tag) = editor_block_start(line).filter(|_| has_room) {
            self.editor_block(line, tag);
        } else if let Some(end) = raw_until(line) {
            self.raw(line, end);
        } else if let Some(question) = quiz_question(line).filter(|_| has_room) {
            self.quiz(question);
        } else {
            self.prose(line);
        }
    }

    fn finish(mut self) -> Prepared {
        if self.open_details > 0 {
            self.remark(
                self.lines.len() as u32,
                "a <details> is not closed: it was closed at the end".into(),
                Some("write </details>".into()),
            );
        }
        self.prepared
    }

    // Fences

    fn fence(&mut self, line: &'a str, opening: Opening<'a>) {
        self.follow_lists(line);
        let number = self.next as u32;
        let info = Info::read(opening.info);
        let mut block = CodeBlock {
            line: number,
            language: info.language,
            highlighted: info.highlighted,
            directive: info.directive,
            text: String::new(),
        };
        let rest = match &opening.one_line {
            Some(one_line) => {
                block.text = one_line.code.trim().to_owned();
                block.language.clear();
                block.directive = Some(one_line.found.clone());
                one_line.rest
            }
            None => {
                let body = self.body(&opening, number);
                block.text = body.lines.join("\n");
                block.directive = body.directive.or(block.directive);
                body.rest
            }
        };
        let prefix = self.prefix(&opening);
        self.stand_in(&prefix, Block::Code(block));
        self.trailing(&prefix, rest);
    }

    /// The lines of a fence, up to whatever closes it.
    fn body(&mut self, opening: &Opening<'a>, number: u32) -> Body<'a> {
        let mut body = Body::default();
        while let Some(line) = self.take() {
            let Some(inner) = opening.inside(line) else {
                // The quote that the fence stood in has ended.
                self.next -= 1;
                return body;
            };
            if let Some(closing) = opening.closing(inner) {
                body.directive = closing.found;
                body.rest = closing.rest;
                self.action_on_next_line(&mut body);
                return body;
            }
            let text = opening.without_indent(inner);
            if let Some((code, closing)) = opening.glued_closing(text) {
                body.lines.push(code);
                body.directive = closing.found;
                body.rest = closing.rest;
                return body;
            }
            body.lines.push(text);
        }
        self.remark(
            number,
            "this code block is never closed: the rest of the text is in it".into(),
            Some("close it with the same three backticks".into()),
        );
        body
    }

    /// Some authors put the action below the closing fence.
    fn action_on_next_line(&mut self, body: &mut Body<'a>) {
        let Some(line) = self.lines.get(self.next).filter(|_| body.directive.is_none() && body.rest.is_empty()) else {
            return;
        };
        let below = actions::leading(line.trim()).filter(|found| found.bytes == line.trim().len());
        if let Some(Found { directive, .. }) =
            below.filter(|found| !matches!(found.directive, Directive::Unknown { .. }))
        {
            body.directive = Some(directive);
            self.next += 1;
        }
    }

    /// What stands before a fence: itself where it holds quote or list marks, else as much indentation as keeps it in
    /// its list and out of indented code.
    fn prefix(&self, opening: &Opening<'_>) -> String {
        if !opening.prefix.trim().is_empty() {
            return opening.prefix.to_owned();
        }
        let indent = self.lists.iter().rev().find(|&&column| column <= opening.indent).copied().unwrap_or(0);
        let further = (opening.indent - indent).min(3);
        " ".repeat(if opening.indent - indent > 3 { indent } else { indent + further })
    }

    /// Puts a block aside and an empty fence with its number in its place.
    fn stand_in(&mut self, prefix: &str, block: Block) {
        self.end_html(prefix);
        let opening = format!("{prefix}```{}{}", self.token, self.prepared.blocks.len());
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
        let indent = first.len() - first.trim_start().len();
        let mut text = String::new();
        let mut line = &first.trim_start()[tag.len()..];
        let rest = loop {
            if let Some(end) = find_ignoring_case(line, "</pre>") {
                text.push_str(&line[..end]);
                break &line[end + "</pre>".len()..];
            }
            text.push_str(line);
            text.push('\n');
            match self.take() {
                Some(next) => line = next,
                None => {
                    self.remark(number, "this <pre> is never closed".into(), Some("write </pre>".into()));
                    break "";
                }
            }
        };
        let block = Block::File {
            name: attribute(tag, "data-filename").unwrap_or_default(),
            target: attribute(tag, "data-target").unwrap_or_default(),
            text: decode_entities(text.trim_matches('\n')),
        };
        let prefix = " ".repeat(self.lists.last().copied().filter(|&column| column <= indent).unwrap_or(0));
        self.stand_in(&prefix, block);
        self.trailing(&prefix, rest);
    }

    /// `>>Q1: question<<`, and the lines of answers below it.
    fn quiz(&mut self, question: &'a str) {
        let mut choices = Vec::new();
        while let Some(line) = self.lines.get(self.next) {
            let line = line.trim();
            let choice = ["(*)", "( )", "()", "[*]", "[ ]", "[]"].iter().find_map(|mark| line.strip_prefix(mark));
            match choice {
                Some(choice) => choices.push(choice.trim().to_owned()),
                // The exact answer, which is not for showing.
                None if line.starts_with("===") || line.starts_with("=~=") => {}
                None => break,
            }
            self.next += 1;
        }
        self.stand_in("", Block::Quiz { question: question.to_owned(), choices });
    }

    // Prose

    /// HTML whose inside is not Markdown whatever it looks like.
    fn raw(&mut self, first: &'a str, end: &str) {
        self.put(first);
        self.after_blank = false;
        let opened = find_ignoring_case(first, "<").unwrap_or(0);
        if find_ignoring_case(&first[opened..], end).is_some() {
            return;
        }
        while let Some(line) = self.take() {
            self.put(line);
            if find_ignoring_case(line, end).is_some() {
                return;
            }
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

    fn remark(&mut self, line: u32, message: String, hint: Option<String>) {
        self.prepared.remarks.push(Remark { line, message, hint });
    }
}

#[derive(Default)]
struct Body<'a> {
    lines: Vec<&'a str>,
    directive: Option<Directive>,
    /// What follows in the closing line.
    rest: &'a str,
}

/// The line that opens a fence.
struct Opening<'a> {
    /// Indentation, quote marks and list marks.
    prefix: &'a str,
    /// How many `>` stand in the prefix.
    quotes: usize,
    /// The column at which the fence starts, within the innermost quote.
    indent: usize,
    mark: char,
    length: usize,
    info: &'a str,
    one_line: Option<OneLine<'a>>,
}

/// `` ```command```{{exec}} ``, a whole block in one line.
struct OneLine<'a> {
    code: &'a str,
    found: Directive,
    rest: &'a str,
}

struct Closing<'a> {
    found: Option<Directive>,
    rest: &'a str,
}

impl<'a> Opening<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let Prefix { bytes, quotes, indent, .. } = Prefix::read(line);
        let (prefix, fence) = line.split_at(bytes);
        let mark = fence.chars().next().filter(|mark| "`~".contains(*mark))?;
        let length = run_length(fence, mark);
        let info = &fence[length..];
        let opening = Self { prefix, quotes, indent, mark, length, info, one_line: None };
        match (length, mark == '`' && info.contains('`')) {
            (..3, _) => None,
            (_, false) => Some(opening),
            // Backticks after backticks: code within a line, unless it is the whole line and has an action.
            (_, true) => opening.one_line(info).map(|one_line| Self { one_line: Some(one_line), info: "", ..opening }),
        }
    }

    fn one_line(&self, info: &'a str) -> Option<OneLine<'a>> {
        let end = info.find("```")?;
        let after = info[end..].trim_start_matches('`').trim_start();
        let found = actions::leading(after)?;
        let rest = &after[found.bytes..];
        // More code in the same line: a sentence, not a block.
        (!info[..end].trim().is_empty() && !rest.contains('`')).then_some(OneLine {
            code: &info[..end],
            found: found.directive,
            rest,
        })
    }

    /// A line of the body without the quote marks that the fence has; `None` after the end of its quote.
    fn inside(&self, line: &'a str) -> Option<&'a str> {
        let mut rest = line;
        for _ in 0..self.quotes {
            rest = rest.trim_start().strip_prefix('>')?;
            rest = rest.strip_prefix(' ').unwrap_or(rest);
        }
        Some(rest)
    }

    /// A line of the body without the indentation of its fence.
    fn without_indent(&self, line: &'a str) -> &'a str {
        let mut column = 0;
        let mut rest = line;
        while column < self.indent {
            match rest.chars().next() {
                Some(' ') => column += 1,
                Some('\t') => column = column / 4 * 4 + 4,
                _ => break,
            }
            rest = &rest[1..];
        }
        rest
    }

    /// The line closes the fence, with or without an action.
    fn closing(&self, line: &'a str) -> Option<Closing<'a>> {
        let fence = line.trim_start();
        let length = run_length(fence, self.mark);
        let after = fence[length..].trim();
        if length < self.length {
            return None;
        }
        match actions::leading(after) {
            Some(Found { directive, bytes }) => Some(Closing { found: Some(directive), rest: &after[bytes..] }),
            None => ((after.is_empty() || is_break(after)) && columns(line) <= self.indent + 3)
                .then_some(Closing { found: None, rest: "" }),
        }
    }

    /// The last line of code and the closing fence in one: `` cmd```{{exec}} ``.
    fn glued_closing(&self, line: &'a str) -> Option<(&'a str, Closing<'a>)> {
        let fence = self.mark.to_string().repeat(self.length);
        let start = line.rfind(&fence)?;
        let code = line[..start].trim_end_matches(self.mark);
        let after = line[start + fence.len()..].trim_start();
        let found = actions::leading(after).filter(|found| !matches!(found.directive, Directive::Unknown { .. }))?;
        (!code.trim().is_empty())
            .then_some((code, Closing { found: Some(found.directive), rest: &after[found.bytes..] }))
    }
}

/// What may stand before a fence in its line.
struct Prefix {
    bytes: usize,
    quotes: usize,
    /// Quote marks and list marks.
    marks: usize,
    /// Columns since the last quote mark.
    indent: usize,
}

impl Prefix {
    fn read(line: &str) -> Self {
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

/// What stands after an opening fence: `yaml {2,5-6} {{copy}}`.
#[derive(Default)]
struct Info {
    language: String,
    highlighted: Vec<RangeInclusive<u32>>,
    directive: Option<Directive>,
}

impl Info {
    fn read(text: &str) -> Self {
        let mut info = Self::default();
        let mut rest = text.trim();
        while let Some(brace) = rest.find('{') {
            info.add_language(&rest[..brace]);
            rest = &rest[brace..];
            if let Some(Found { directive, bytes }) = actions::leading(rest) {
                info.directive = Some(directive);
                rest = &rest[bytes..];
            } else if let Some(end) = rest.find('}') {
                info.highlighted.extend(rest[1..end].split(',').filter_map(line_range));
                rest = &rest[end + 1..];
            } else {
                break;
            }
        }
        info.add_language(rest);
        info
    }

    /// The first word there is.
    fn add_language(&mut self, words: &str) {
        if let Some(word) = words.split_whitespace().next().filter(|_| self.language.is_empty()) {
            self.language =
                word.chars().filter(|letter| letter.is_alphanumeric() || "+-_.#".contains(*letter)).take(32).collect();
        }
    }
}

/// `5` or `5-6`.
fn line_range(text: &str) -> Option<RangeInclusive<u32>> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    Some(first.trim().parse().ok()?..=last.trim().parse().ok()?)
}

fn run_length(text: &str, mark: char) -> usize {
    text.len() - text.trim_start_matches(mark).len()
}

/// The width of the white space that a line starts with; a TAB leads to the next multiple of four.
fn columns(line: &str) -> usize {
    let blank = line.chars().take_while(|letter| " \t".contains(*letter));
    blank.fold(0, |column, letter| if letter == '\t' { column / 4 * 4 + 4 } else { column + 1 })
}

/// The width of a list item's mark with the space after it: `- `, `12. `.
fn list_mark(line: &str) -> Option<usize> {
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
fn without_list_marks(prefix: &str) -> String {
    prefix.chars().map(|letter| if letter == '>' || letter.is_whitespace() { letter } else { ' ' }).collect()
}

fn heading_without_space(line: &str) -> Option<(&str, &str)> {
    let text = line.trim_start_matches(' ');
    let marks = run_length(text, '#');
    let starts_title = text[marks..].chars().next().is_some_and(char::is_alphanumeric);
    let is_heading = line.len() - text.len() < 4 && (1..=6).contains(&marks) && starts_title;
    is_heading.then(|| (&text[..marks], &text[marks..]))
}

/// Nothing but `<br>`.
fn is_break(text: &str) -> bool {
    let bare = text.to_ascii_lowercase().replace(['/', ' '], "").replace("<br>", "");
    bare.is_empty() && !text.trim().is_empty()
}

fn starts_html(lower: &str) -> bool {
    lower
        .strip_prefix('<')
        .is_some_and(|rest| rest.starts_with(|letter: char| letter.is_ascii_alphabetic() || letter == '/'))
}

/// Marks that nobody writes in HTML for their own sake.
fn starts_like_markdown(text: &str) -> bool {
    let is_heading = text.starts_with('#') && text.trim_start_matches('#').starts_with(' ');
    is_heading || list_mark(text).is_some() || text.starts_with("![")
}

/// The end of HTML whose inside is raw, where a line starts such.
fn raw_until(line: &str) -> Option<&'static str> {
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

/// The opening tag of a Katacoda editor block.
fn editor_block_start(line: &str) -> Option<&str> {
    let text = line.trim_start();
    let tag = &text[..=text.find('>')?];
    let is_pre = tag.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("<pre "));
    (is_pre && (attribute(tag, "data-filename").is_some() || attribute(tag, "data-target").is_some())).then_some(tag)
}

/// The question of a Katacoda quiz.
fn quiz_question(line: &str) -> Option<&str> {
    line.trim().strip_prefix(">>")?.strip_suffix("<<").map(str::trim).filter(|question| !question.is_empty())
}

/// An attribute's value, in either kind of quotes.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = tag.find(&format!(" {name}="))? + name.len() + 2;
    let quote = tag[start..].chars().next().filter(|quote| "\"'".contains(*quote))?;
    let value = &tag[start + 1..];
    Some(decode_entities(&value[..value.find(quote)?]))
}

/// The entities that code in HTML is written with; once.
fn decode_entities(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

fn find_ignoring_case(text: &str, needle: &str) -> Option<usize> {
    text.to_ascii_lowercase().find(needle)
}
