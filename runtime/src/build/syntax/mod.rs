//! Bytes to a tree: which instructions there are, with their flags, their text and their heredocs.
//!
//! It knows three things about instructions, because without them lines could not be told apart: which may have
//! heredocs, that an array of JSON has none, and that `ONBUILD` has another instruction in it.

mod directives;
mod heredoc;
mod lines;
mod text;
pub mod words;

pub use directives::Directives;
pub use heredoc::{Heredoc, Mark};
pub use text::Text;

use super::source::{Problem, Span, Word};
use super::warning::Warning;
use lines::Lines;

/// The largest Dockerfile. The largest of the official images has 40 KB, and those who put files into heredocs have
/// better places for them.
pub const FILE_MAX_BYTES: usize = 1 << 20;

/// The most instructions. An image has at most a few hundred layers; a thousand labels may be.
pub const INSTRUCTIONS_MAX: usize = 4096;

/// The most heredocs of one instruction, which are searched for each of its words.
const HEREDOCS_MAX: usize = 64;

/// A Dockerfile, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tree {
    pub directives: Directives,
    /// Never empty.
    pub nodes: Vec<Node>,
    pub warnings: Vec<Warning>,
}

/// One instruction, its name not looked at yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// As written, in any case.
    pub keyword: Word,
    pub flags: Vec<Word>,
    /// What follows the flags, without blanks at both ends.
    pub rest: Text,
    pub heredocs: Vec<Heredoc>,
    /// All of it: lines joined, comments left out, heredocs not included.
    pub text: Text,
    /// From its first character to the end of its last line, heredocs included.
    pub at: Span,
}

impl Node {
    /// Whether it is `name`, in any case.
    pub fn is(&self, name: &str) -> bool {
        self.keyword.text.eq_ignore_ascii_case(name)
    }
}

/// Takes a Dockerfile apart.
pub fn parse(bytes: &[u8]) -> Result<Tree, Problem> {
    if bytes.len() > FILE_MAX_BYTES {
        let message = format!("a Dockerfile of {} bytes is too large: at most {FILE_MAX_BYTES}", bytes.len());
        return Err(Problem::new(Span::default(), message).advise("copy files instead of writing them here"));
    }
    let mut lines = Lines::new(bytes);
    let mut warnings = Vec::new();
    let mut nodes = Vec::new();
    while let Some(joined) = lines.next_joined(&mut warnings)? {
        if nodes.len() == INSTRUCTIONS_MAX {
            let message = format!("more than {INSTRUCTIONS_MAX} instructions");
            return Err(Problem::new(joined.whole(), message).advise("use several stages in several files"));
        }
        nodes.push(node(&mut lines, joined)?);
    }
    if nodes.is_empty() {
        return Err(Problem::new(Span::default(), "the Dockerfile has no instruction")
            .advise("it begins with FROM, and says with it what the image starts from"));
    }
    Ok(Tree { directives: lines.directives().clone(), nodes, warnings })
}

fn node(lines: &mut Lines<'_>, joined: Text) -> Result<Node, Problem> {
    let escape = lines.directives().escape();
    let mut node = split(joined, escape);
    if node.keyword.text.is_empty() {
        let problem = Problem::new(node.at, "an instruction's name is missing before the escape character");
        return Err(problem);
    }
    if may_have_heredocs(&node, escape) {
        let marks = heredoc::marks(node.text.as_str());
        if marks.len() > HEREDOCS_MAX {
            return Err(Problem::new(node.at, format!("more than {HEREDOCS_MAX} heredocs in one instruction")));
        }
        let at = node.at;
        for mark in marks {
            let heredoc = heredoc::read(lines, mark, at)?;
            node.at.end = heredoc.body.at.end;
            node.at.end.column += heredoc.mark.name.chars().count() as u32;
            node.heredocs.push(heredoc);
        }
    }
    Ok(node)
}

/// An instruction's text, taken apart; `ONBUILD` uses it again for what is behind it.
pub fn split(text: Text, escape: char) -> Node {
    let at = text.whole();
    let text = text.trimmed();
    let source = text.as_str();
    let end = source.find([' ', '\t', '\r', '\x0b', '\x0c']).unwrap_or(source.len());
    let behind = text.slice(end, source.len());
    let (flags, flags_end) = words::flags(&behind, escape);
    let rest = behind.slice(flags_end, behind.as_str().len()).trimmed();
    Node { keyword: text.word(0, end), flags, rest, heredocs: Vec::new(), text, at }
}

fn may_have_heredocs(node: &Node, escape: char) -> bool {
    let inner;
    let node = match node.is("ONBUILD") {
        true => {
            inner = split(node.rest.clone(), escape);
            &inner
        }
        false => node,
    };
    ["RUN", "COPY", "ADD"].iter().any(|name| node.is(name)) && words::array(node.rest.as_str()).is_none()
}

#[cfg(test)]
mod tests;
