//! From the line that opens a fence to whatever ends it.

use super::fence::{Info, Opening};
use super::lines::columns;
use super::{Block, CodeBlock, ENDS_FOUND_MAX, Scanner};
use crate::lesson::actions::{self, Directive, Found};

#[derive(Default)]
struct Body<'a> {
    lines: Vec<&'a str>,
    directive: Option<Directive>,
    /// What follows in the closing line.
    rest: &'a str,
}

impl<'a> Scanner<'a> {
    pub(super) fn fence(&mut self, line: &'a str, opening: Opening<'a>) {
        self.follow_lists(line);
        let number = self.next as u32;
        let info = Info::read(opening.info);
        let mut block = CodeBlock {
            line: number,
            directive_line: number,
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
                if body.directive.is_some() {
                    block.directive = body.directive;
                    block.directive_line = self.next as u32;
                }
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
        self.unclosed(opening, number, body)
    }

    /// A fence that runs to the end of the text: perhaps its author closed it in another way, and then the text goes on there.
    fn unclosed(&mut self, opening: &Opening<'a>, number: u32, mut body: Body<'a>) -> Body<'a> {
        let column = opening.prefix.chars().count() as u32 + 1;
        let hint = Some(format!("close it with {}, in a line of their own", opening.fence()));
        let mut lines = (0..).zip(&body.lines).filter(|_| self.ends_found < ENDS_FOUND_MAX);
        let meant = lines.find_map(|(index, line)| Some((index, opening.meant_closing(line)?)));
        let Some((index, (code, closing))) = meant else {
            self.remark(number, column, "this code block is never closed: the rest of the text is in it".into(), hint);
            return body;
        };
        self.ends_found += 1;
        // The lines of the body are those of the text below the opening one.
        self.next = number as usize + index + 1;
        self.remark(
            number,
            column,
            format!("this code block is not closed as it was opened: it was ended at line {}", self.next),
            hint,
        );
        body.lines.truncate(index);
        body.lines.extend((!code.trim().is_empty()).then_some(code));
        body.directive = closing.found;
        body.rest = closing.rest;
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
            return self.list_prefix(opening.prefix);
        }
        let indent = self.lists.iter().rev().find(|&&column| column <= opening.indent).copied().unwrap_or(0);
        let further = (opening.indent - indent).min(3);
        " ".repeat(if opening.indent - indent > 3 { indent } else { indent + further })
    }

    /// Marks with no more space before and after them than keeps them marks, and not code.
    fn list_prefix(&self, prefix: &str) -> String {
        let leading = columns(prefix);
        let outer = self.lists.iter().rev().find(|&&column| column <= leading).copied().unwrap_or(0);
        let marks = prefix.trim();
        let before = match leading - outer {
            0..=3 => &prefix[..prefix.len() - prefix.trim_start().len()],
            _ => &" ".repeat(outer),
        };
        let after = &prefix[prefix.trim_end().len()..];
        format!("{before}{marks}{}", if columns(after) > 4 { " " } else { after })
    }
}
