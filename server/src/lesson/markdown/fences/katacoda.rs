//! Katacoda's blocks that no other Markdown has: texts for an editor, and questions.
//!
//! A question is `>>Q1: text<<` and the answers below it. Our one addition stands in comments, which every other player
//! leaves out: `<!-- why: … -->` after an answer, and `<!-- otherwise: … -->` for what nobody foresaw.

use super::lines::{Prefix, find_ignoring_case};

/// Answers to one question.
const ANSWERS_MAX: usize = 50;

/// Lines over which one comment may run.
const COMMENT_LINES_MAX: usize = 20;

/// A question as it is written.
#[derive(Debug, Default)]
pub struct RawQuiz {
    /// Where the question stands.
    pub line: u32,
    /// Everything that it is made of.
    pub source: String,
    pub question: String,
    pub answers: Vec<RawAnswer>,
    pub otherwise: Option<String>,
}

#[derive(Debug)]
pub struct RawAnswer {
    pub line: u32,
    pub mark: Mark,
    pub text: String,
    pub why: Option<String>,
}

/// What stands before an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mark {
    /// `(*)` or `( )`: one of them is right.
    One { right: bool },
    /// `[*]` or `[ ]`: several may be.
    Several { right: bool },
    /// `=== text`
    Exact,
    /// `=~= text`
    Within,
}

const MARKS: [(&str, Mark); 14] = [
    ("(*)", Mark::One { right: true }),
    ("(x)", Mark::One { right: true }),
    ("(X)", Mark::One { right: true }),
    ("( )", Mark::One { right: false }),
    ("()", Mark::One { right: false }),
    ("[*]", Mark::Several { right: true }),
    ("[x]", Mark::Several { right: true }),
    ("[X]", Mark::Several { right: true }),
    ("[ ]", Mark::Several { right: false }),
    ("[]", Mark::Several { right: false }),
    ("- [ ]", Mark::Several { right: false }),
    ("- [x]", Mark::Several { right: true }),
    ("===", Mark::Exact),
    ("=~=", Mark::Within),
];

impl RawQuiz {
    /// The question that `lines` begin with, and how many lines it takes. `first` is the number of the first.
    pub fn read(lines: &[&str], first: u32) -> Option<(Self, usize)> {
        let question = question(lines.first()?)?;
        let mut quiz = Self { line: first, question: question.to_owned(), ..Self::default() };
        let mut taken = 1;
        let mut next = 1;
        while let Some(line) = lines.get(next) {
            let text = line.trim();
            let (text, comment, length) = with_comment(text, &lines[next..]);
            let answer = MARKS.iter().find_map(|(mark, kind)| Some((*kind, text.strip_prefix(mark)?)));
            match (answer, &comment) {
                (Some((mark, text)), _) if quiz.answers.len() < ANSWERS_MAX => {
                    let line = first + next as u32;
                    let text = text.trim().to_owned();
                    quiz.answers.push(RawAnswer { line, mark, text, why: None });
                    comment.into_iter().for_each(|comment| quiz.note(&comment));
                }
                (None, Some(comment)) if text.is_empty() => quiz.note(comment),
                // Authors put empty lines between a question and its answers, and between answers.
                (None, None) if text.is_empty() => {
                    next += 1;
                    continue;
                }
                _ => break,
            }
            next += length;
            taken = next;
        }
        quiz.source = lines[..taken].join("\n");
        Some((quiz, taken))
    }

    /// The same question, `lines` further down.
    pub fn below(&mut self, lines: u32) {
        self.line += lines;
        self.answers.iter_mut().for_each(|answer| answer.line += lines);
    }

    /// Our own words in a comment; others' are left out, as comments are.
    fn note(&mut self, comment: &str) {
        let said = |name: &str| Some(comment.trim().strip_prefix(name)?.trim().to_owned());
        if let Some(otherwise) = said("otherwise:") {
            self.otherwise = Some(otherwise);
        } else if let (Some(why), Some(answer)) = (said("why:"), self.answers.last_mut()) {
            answer.why = Some(why);
        }
    }
}

/// A line without the comment at its end, the comment, and how many lines the two take.
fn with_comment<'a>(line: &'a str, lines: &[&str]) -> (&'a str, Option<String>, usize) {
    let Some((before, mut comment)) =
        line.split_once("<!--").map(|(before, after)| (before.trim_end(), after.to_owned()))
    else {
        return (line, None, 1);
    };
    for length in 1..=COMMENT_LINES_MAX {
        if let Some((inside, _)) = comment.split_once("-->") {
            return (before, Some(inside.split_whitespace().collect::<Vec<_>>().join(" ")), length);
        }
        match lines.get(length) {
            Some(more) => comment = format!("{comment} {more}"),
            None => break,
        }
    }
    (line, None, 1)
}

/// `>>Q1: text<<`; the number is its author's own.
fn question(line: &str) -> Option<&str> {
    let text = line.trim().strip_prefix(">>")?.strip_suffix("<<")?.trim();
    let numbered =
        text.strip_prefix(['Q', 'q']).map(|rest| rest.trim_start_matches(|letter: char| letter.is_ascii_digit()));
    let text = numbered.and_then(|rest| rest.trim_start().strip_prefix(':')).unwrap_or(text).trim();
    (!text.is_empty()).then_some(text)
}

/// The opening tag of a Katacoda editor block.
pub(super) fn editor_block_start(line: &str) -> Option<&str> {
    let prefix = Prefix::read(line);
    let text = line.get(prefix.bytes..).filter(|_| prefix.quotes == 0)?;
    let tag = &text[..=text.find('>')?];
    let is_pre = tag.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("<pre "));
    (is_pre && (attribute(tag, "data-filename").is_some() || attribute(tag, "data-target").is_some())).then_some(tag)
}

/// An attribute's value, in either kind of quotes.
pub fn attribute(tag: &str, name: &str) -> Option<String> {
    let start = find_ignoring_case(tag, &format!(" {name}="))? + name.len() + 2;
    let quote = tag[start..].chars().next().filter(|quote| "\"'".contains(*quote))?;
    let value = &tag[start + 1..];
    Some(decode_entities(&value[..value.find(quote)?]))
}

/// The entities that code in HTML is written with; once.
pub(super) fn decode_entities(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}
