//! Code, in blocks and in lines of text: what a click on it does.

use std::borrow::Cow;
use std::ops::Range;

use pulldown_cmark::{CodeBlockKind, Event, Tag, TagEnd};

use super::colours::{self, Language};
use super::fences::{Block, CodeBlock, FileBlock};
use super::ports::{Port, host_lack, port_lack};
use super::{ACTIONS_MAX, LACKS_MAX, Page, markup};
use crate::lesson::actions::{self, Directive};
use crate::lesson::diagnostic::nearest;
use crate::lesson::model::{Action, ActionVerb, FileTarget, Lack, WriteHow};
use crate::lesson::placeholders;

impl<'a> Page<'a> {
    pub(super) fn code_block(&mut self, kind: &CodeBlockKind<'_>, text: &str) -> Event<'a> {
        let number = match kind {
            CodeBlockKind::Fenced(info) => {
                info.strip_prefix(self.token).and_then(|number| number.parse::<usize>().ok())
            }
            CodeBlockKind::Indented => None,
        };
        let prepared = self.prepared;
        let markup = match number.and_then(|number| prepared.blocks.get(number)) {
            Some(Block::Code(block)) => self.fenced(block),
            Some(Block::File(block)) => self.file(block),
            Some(Block::Quiz(quiz)) => self.quiz(quiz),
            None => {
                let text = &self.as_it_was(text.trim_end_matches('\n'));
                markup::plain_block("", &colours::html(text, Language::certain(text), &[]))
            }
        };
        Event::Html(format!("{}\n", self.stand_in(markup)).into())
    }

    /// A text in which Markdown found code where there was a block.
    fn as_it_was<'t>(&self, text: &'t str) -> Cow<'t, str> {
        let mut parts = text.split(self.token);
        let first = parts.next().unwrap_or_default();
        let mut whole = Cow::Borrowed(first);
        for part in parts {
            let digits = part.len() - part.trim_start_matches(|letter: char| letter.is_ascii_digit()).len();
            let block = part[..digits].parse().ok().and_then(|number: usize| self.prepared.blocks.get(number));
            let text = block.map(Block::text).unwrap_or_default();
            whole.to_mut().push_str(&format!("\n{text}{}", &part[digits..]));
        }
        whole
    }

    fn fenced(&mut self, block: &CodeBlock) -> String {
        let text = block.text.trim_end_matches('\n').to_owned();
        let runs = matches!(block.directive, Some(Directive::Do(ActionVerb::Run { ctrl_seq: false, .. })));
        let language = language_of(&block.language, &text, runs);
        let code = colours::html(&text, language, &block.highlighted);
        let plain = |language: &str| markup::plain_block(language, &code);
        let Some(directive) = &block.directive else { return plain(&block.language) };
        let place = self.place_of_directive(block.directive_line);
        match self.decide(directive, &text, place) {
            Decided::Do(verb) => match self.number(verb, &text) {
                Some(number) => markup::block(number, verb, &text, &code),
                None => plain(&block.language),
            },
            Decided::Open => match self.open(&text) {
                Some(number) => markup::open_block(number, &code),
                None => plain(&block.language),
            },
            Decided::Nothing => plain(&block.language),
            Decided::Lacking(lack) => self.lacking_block(&lack, &text),
        }
    }

    pub(super) fn code_span(
        &mut self,
        text: &str,
        range: Range<usize>,
        directive: Option<Directive>,
        context: &Context,
    ) -> Event<'a> {
        let text = self.as_it_was(&self.as_written(text, &range)).into_owned();
        let code = markup::escape(&text);
        let explicit = directive.is_some();
        let decided = match &directive {
            Some(directive) => {
                let is_known = !matches!(directive, Directive::Unknown { .. });
                let place = if is_known { (0, 0) } else { self.place_at(range.end) };
                self.decide(directive, &text, place)
            }
            None => Decided::Nothing,
        };
        let unknown = matches!(directive, None | Some(Directive::Unknown { .. }));
        let verb = match decided {
            Decided::Lacking(lack) => {
                self.lack(&lack);
                let markup = markup::lack(&lack, &markup::plain_inline(&code));
                return Event::InlineHtml(self.stand_in(markup).into());
            }
            Decided::Do(verb) => Some(verb),
            Decided::Open if !context.in_interactive() && !text.trim().is_empty() => {
                let markup = match self.open(&text) {
                    Some(number) => markup::inline(number, ActionVerb::Open, &code),
                    None => markup::plain_inline(&code),
                };
                return Event::InlineHtml(self.stand_in(markup).into());
            }
            Decided::Open => None,
            // Code in a line of text is there to be copied, unless its author said otherwise.
            Decided::Nothing if unknown && !context.in_heading => Some(ActionVerb::Copy),
            Decided::Nothing => None,
        };
        let clickable = !context.in_interactive() && !text.trim().is_empty() && (explicit || !context.in_heading);
        let numbered = verb.filter(|_| clickable).and_then(|verb| Some((self.number(verb, &text)?, verb)));
        let markup = match numbered {
            Some((number, verb)) => markup::inline(number, verb, &code),
            None => markup::plain_inline(&code),
        };
        Event::InlineHtml(self.stand_in(markup).into())
    }

    /// A code span's text with its line ends, which Markdown makes spaces of: in a command they matter.
    fn as_written(&self, text: &str, range: &Range<usize>) -> String {
        let written = self.prepared.markdown.get(range.clone()).unwrap_or_default();
        if !written.contains('\n') {
            return text.to_owned();
        }
        let marks = written.len() - written.trim_start_matches('`').len();
        let inside = written.get(marks..written.len().saturating_sub(marks)).unwrap_or(text);
        // The lines that follow stand in the same quote or list item.
        let lines = inside.split('\n').enumerate().map(|(index, line)| match index {
            0 => line.trim_start(),
            _ => line.trim_start_matches(['>', ' ', '\t']),
        });
        lines.collect::<Vec<_>>().join("\n").trim().to_owned()
    }

    /// What a directive comes to for this text.
    fn decide(&mut self, directive: &Directive, text: &str, place: (u32, u32)) -> Decided {
        if let Some(lack) = unfilled_address(text) {
            return Decided::Lacking(lack);
        }
        match directive {
            Directive::Plain => Decided::Nothing,
            Directive::Do(verb) => Decided::Do(*verb),
            Directive::OpenFile => Decided::Open,
            Directive::OnHost(host) => Decided::Lacking(host_lack(*host)),
            Directive::Unknown { hint } => {
                let hint = hint.as_ref().map(|word| format!("did you mean {{{{{word}}}}}?"));
                self.warn(place, "this action is not known: the code has none".into(), hint);
                Decided::Nothing
            }
        }
    }

    /// An action's number on its page; `None` when the page is full.
    fn number(&mut self, verb: ActionVerb, text: &str) -> Option<usize> {
        self.numbered(Action { verb, text: text.to_owned(), target: None })
    }

    /// An action that opens the file called `name`.
    fn open(&mut self, name: &str) -> Option<usize> {
        let target = Some(FileTarget { path: file_path(name, self.setting.files), marker: String::new() });
        self.numbered(Action { verb: ActionVerb::Open, text: name.to_owned(), target })
    }

    fn numbered(&mut self, action: Action) -> Option<usize> {
        let number = self.setting.first_action + self.rendered.actions.len();
        if number >= ACTIONS_MAX {
            if !std::mem::replace(&mut self.said_full, true) {
                self.warn(
                    (0, 0),
                    format!("more than {ACTIONS_MAX} actions on one page: the rest have no button"),
                    None,
                );
            }
            return None;
        }
        self.rendered.actions.push(action);
        Some(number)
    }

    // What is recognised and missing

    fn lacking_block(&mut self, lack: &Lack, text: &str) -> String {
        self.lack(lack);
        let note = markup::lack(lack, "This code");
        format!("{}<p>{note}</p>", self.copyable(text))
    }

    /// Katacoda's editor block: its code is copied, or written into a file by a button.
    fn file(&mut self, block: &FileBlock) -> String {
        let how = match block.target.to_ascii_lowercase().as_str() {
            "replace" | "" => WriteHow::Replace,
            "append" => WriteHow::Append,
            "prepend" => WriteHow::Prepend,
            // Without a marker there is no place: Katacoda took the cursor's.
            "insert" if block.marker.is_empty() => WriteHow::Append,
            "insert" => WriteHow::Insert,
            "clipboard" => return self.copyable(&block.text),
            other => {
                let hint = nearest(other, ["replace", "append", "prepend", "insert", "clipboard"]);
                let hint = hint.map(|target| format!("did you mean `{target}`?"));
                self.warn((block.line, 0), format!("`{other}` is no data-target: the text can only be copied"), hint);
                return self.copyable(&block.text);
            }
        };
        if block.name.trim().is_empty() {
            let hint = Some("name it by data-filename".into());
            self.warn((block.line, 0), "this text is for a file without a name: it can only be copied".into(), hint);
            return self.copyable(&block.text);
        }
        let code = colours::html(&block.text, Language::of_file(&block.name), &[]);
        let target =
            Some(FileTarget { path: file_path(&block.name, self.setting.files), marker: block.marker.clone() });
        match self.numbered(Action { verb: ActionVerb::Write(how), text: block.text.clone(), target }) {
            Some(number) => markup::write_block(number, how, block.name.trim(), &code),
            None => markup::plain_block("", &code),
        }
    }

    fn copyable(&mut self, text: &str) -> String {
        let code = markup::escape(text);
        match self.number(ActionVerb::Copy, text) {
            Some(number) => markup::block(number, ActionVerb::Copy, text, &code),
            None => markup::plain_block("", &code),
        }
    }

    pub(super) fn lack(&mut self, lack: &Lack) {
        if self.rendered.lacks.len() < LACKS_MAX && !self.rendered.lacks.contains(lack) {
            self.rendered.lacks.push(lack.clone());
        }
    }
}

/// What comes of a directive.
enum Decided {
    Do(ActionVerb),
    Open,
    Nothing,
    Lacking(Lack),
}

/// Where in the text an event stands.
#[derive(Default)]
pub(super) struct Context {
    pub in_heading: bool,
    links: usize,
    pictures: usize,
    summaries: usize,
}

impl Context {
    pub fn follow(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Tag::Heading { .. }) => self.in_heading = true,
            Event::End(TagEnd::Heading(_)) => self.in_heading = false,
            Event::Start(Tag::Image { .. }) => self.pictures += 1,
            Event::End(TagEnd::Image) => self.pictures = self.pictures.saturating_sub(1),
            Event::Start(Tag::Link { .. }) => self.links += 1,
            Event::End(TagEnd::Link) => self.links = self.links.saturating_sub(1),
            Event::Html(html) | Event::InlineHtml(html) => self.follow_html(html),
            _ => {}
        }
    }

    fn follow_html(&mut self, html: &str) {
        let lower = html.to_ascii_lowercase();
        self.summaries =
            (self.summaries + lower.matches("<summary").count()).saturating_sub(lower.matches("</summary").count());
        self.links = (self.links + lower.matches("<a ").count()).saturating_sub(lower.matches("</a>").count());
    }

    /// What stands for a picture is words alone.
    pub fn in_picture(&self) -> bool {
        self.pictures > 0
    }

    /// A button within something that is clicked itself would be neither.
    fn in_interactive(&self) -> bool {
        self.links > 0 || self.summaries > 0
    }
}

/// A directive at the start of the text after a code span, with or without a space before it, and the rest.
pub(super) fn directive_in(after: &str) -> Option<(Directive, String)> {
    let spaces = after.len() - after.trim_start_matches(' ').len();
    let found = actions::leading(&after[spaces..]).filter(|_| spaces <= 1)?;
    Some((found.directive, after[spaces + found.bytes..].to_owned()))
}

/// A command that names an address which only a larger installation could fill in.
fn unfilled_address(text: &str) -> Option<Lack> {
    match placeholders::unknown_in(text) {
        Some(name) if name.starts_with("HOST2") => return Some(host_lack(2)),
        Some(_) => return Some(port_lack(None)),
        None => {}
    }
    Port::within(text).map(|port| port.lack())
}

/// The language of a block: as its author says, else what it certainly is; what is run is a shell's.
fn language_of(name: &str, text: &str, runs: bool) -> Option<Language> {
    match name {
        "" if runs => {
            Some(Language::certain(text).filter(|it| !matches!(it, Language::Console)).unwrap_or(Language::Shell))
        }
        "" => Language::certain(text),
        name => Language::named(name),
    }
}

/// Where a file that a lesson names lies in the machine. `home` is what other names are relative to.
pub fn file_path(name: &str, home: &str) -> String {
    let name = name.trim().trim_start_matches("./");
    match name {
        "~" => "/root".into(),
        name if name.starts_with('/') => name.into(),
        name => match name.strip_prefix("~/") {
            Some(below) => format!("/root/{below}"),
            None => format!("{}/{name}", home.trim_end_matches('/')),
        },
    }
}
