//! A lesson's text: Markdown with actions, to HTML that is safe to show.
//!
//! In order: [`fences`] takes out the blocks that CommonMark would misread; pulldown-cmark reads the rest, and code
//! spans with an action are taken out of its events; [`clean`] lets only allowed HTML through and puts the markup of the
//! actions in. What is taken out is stood in for by a token made from the text's own digest, which no author can have
//! written into that text.
//!
//! It opens no file: pictures are resolved by the caller. What runs when a button is pressed is the page's business.

mod clean;
mod depth;
mod fences;
pub mod markup;

use pulldown_cmark::{
    BlockQuoteKind, CodeBlockKind, CowStr, Event, Options, Parser, Tag, TagEnd, TextMergeWithOffset, html,
};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;

use self::depth::Depth;
use self::fences::{Block, CodeBlock, Prepared};
use super::actions::{self, Directive};
use super::diagnostic::{DIAGNOSTICS_MAX, SourceText};
use super::model::{Action, ActionVerb, Diagnostic, Lack};

/// Buttons on one page; the fullest of the public scenarios that the loader was tried on has 185 on all its pages.
pub const ACTIONS_MAX: usize = 500;

/// Kinds of things said to be missing on one page.
const LACKS_MAX: usize = 50;

/// The address of the machine in its own network, for Katacoda's `[[HOST_IP]]`.
const HOST_ADDRESS: &str = "172.30.1.2";

/// Where a picture is, or in words why it is not to be had.
pub type Image = Result<String, MissingImage>;

#[derive(Debug, Clone)]
pub struct MissingImage {
    pub message: String,
    pub hint: Option<String>,
}

/// A text as HTML, and what was found in it.
#[derive(Debug, Default)]
pub struct Rendered {
    pub html: String,
    pub actions: Vec<Action>,
    pub lacks: Vec<Lack>,
    pub diagnostics: Vec<Diagnostic>,
}

/// Renders a text. `images` turns a picture's source, as written, into its address; actions are numbered from
/// `first_action`.
pub fn render(source: &SourceText, first_action: usize, images: &mut dyn FnMut(&str) -> Image) -> Rendered {
    let token = token_for(&source.text);
    let prepared = fences::prepare(&name_ports(&source.text), &token);
    let mut page = Page {
        source,
        prepared: &prepared,
        images,
        token: &token,
        first_action,
        fragments: Vec::new(),
        image_lines: HashMap::new(),
        rendered: Rendered::default(),
    };
    page.remarks();
    let html = page.html();
    let html = clean::clean(&html, &token, &mut page);
    Rendered { html, ..page.rendered }
}

/// Starts with a letter and ends with one, so that Markdown sees a word.
fn token_for(text: &str) -> String {
    let digest = Sha256::digest(text.as_bytes());
    let hex: String = digest.iter().take(16).map(|byte| format!("{byte:02x}")).collect();
    format!("q{hex}q")
}

/// Katacoda's addresses of ports in Killercoda's words, and the machine's own address filled in.
fn name_ports(text: &str) -> String {
    let text = text.replace("[[HOST_IP]]", HOST_ADDRESS).replace("[[HOST1_IP]]", HOST_ADDRESS);
    let mut named = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find("[[") {
        let Some((length, port)) = katacoda_address(&rest[start..]) else {
            named.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        let before = rest[..start]
            .strip_suffix("https://")
            .or_else(|| rest[..start].strip_suffix("http://"))
            .unwrap_or(&rest[..start]);
        named.push_str(before);
        named.push_str(&format!("{{{{TRAFFIC_HOST1_{port}}}}}"));
        rest = &rest[start + length..];
    }
    named.push_str(rest);
    named
}

/// `[[HOST_SUBDOMAIN]]-8080-[[KATACODA_HOST]].environments.katacoda.com`: its length and its port.
fn katacoda_address(text: &str) -> Option<(usize, u16)> {
    let subdomain = ["[[HOST_SUBDOMAIN]]-", "[[HOST1_SUBDOMAIN]]-", "[[CLIENT_SUBDOMAIN]]-"]
        .iter()
        .find(|name| text.starts_with(**name))?;
    let rest = &text[subdomain.len()..];
    let (port, rest) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
    let rest = ["-[[KATACODA_HOST]]", "-[[KATACODA_DOMAIN]]"].iter().find_map(|host| rest.strip_prefix(host))?;
    let rest = rest.strip_prefix(".environments.katacoda.com").unwrap_or(rest);
    Some((text.len() - rest.len(), port.parse().ok()?))
}

/// A text on its way to HTML.
struct Page<'a> {
    source: &'a SourceText,
    prepared: &'a Prepared,
    images: &'a mut dyn FnMut(&str) -> Image,
    token: &'a str,
    first_action: usize,
    /// Our own markup, put in after the cleaning.
    fragments: Vec<String>,
    /// The line at which a picture was first named.
    image_lines: HashMap<String, u32>,
    rendered: Rendered,
}

/// Events with their places in the prepared text.
type Events<'a> = Vec<(Event<'a>, Range<usize>)>;

impl<'a> Page<'a> {
    /// Everything that Markdown decides.
    fn html(&mut self) -> String {
        let options = Options::ENABLE_TABLES
            | Options::ENABLE_FOOTNOTES
            | Options::ENABLE_STRIKETHROUGH
            | Options::ENABLE_TASKLISTS
            | Options::ENABLE_GFM
            | Options::ENABLE_YAML_STYLE_METADATA_BLOCKS;
        let markdown = self.prepared.markdown.as_str();
        let events: Events<'a> =
            TextMergeWithOffset::new(Parser::new_ext(markdown, options).into_offset_iter()).collect();
        let events = self.take_out(events);
        let mut html = String::with_capacity(markdown.len() * 2);
        html::push_html(&mut html, events.into_iter());
        html
    }

    /// The events with everything of ours stood in for.
    fn take_out(&mut self, events: Events<'a>) -> Vec<Event<'a>> {
        let mut kept = Vec::with_capacity(events.len());
        let mut context = Context::default();
        let mut depth = Depth::default();
        let mut events = events.into_iter().peekable();
        while let Some((event, range)) = events.next() {
            context.follow(&event);
            match event {
                Event::Start(Tag::CodeBlock(kind)) => {
                    let mut text = String::new();
                    for (event, _) in events.by_ref() {
                        match event {
                            Event::Text(part) => text.push_str(&part),
                            Event::End(TagEnd::CodeBlock) => break,
                            _ => {}
                        }
                    }
                    kept.push(self.code_block(&kind, &text));
                }
                Event::Code(text) => {
                    let mut directive = None;
                    if let Some((Event::Text(after), _)) = events.peek_mut()
                        && let Some((found, rest)) = directive_in(after)
                    {
                        *after = CowStr::from(rest);
                        directive = Some(found);
                    }
                    kept.push(self.code_span(&text, range, directive, &context));
                }
                Event::Start(Tag::MetadataBlock(_)) => {
                    events.by_ref().find(|(event, _)| matches!(event, Event::End(TagEnd::MetadataBlock(_))));
                }
                Event::Start(Tag::Image { dest_url, .. }) if !self.image_lines.contains_key(dest_url.as_ref()) => {
                    self.image_lines.insert(dest_url.to_string(), self.line_of(range.start));
                    kept.push(Event::Start(Tag::Image {
                        link_type: pulldown_cmark::LinkType::Inline,
                        dest_url,
                        title: CowStr::from(""),
                        id: CowStr::from(""),
                    }));
                }
                Event::Html(html) | Event::InlineHtml(html) if !depth.allows(&html) => {
                    self.warn(
                        self.line_of(range.start),
                        "HTML is nested too deeply: the rest is shown as text".into(),
                        None,
                    );
                    kept.push(Event::Text(html));
                }
                Event::Start(Tag::BlockQuote(Some(kind))) => kept.push(Event::Html(alert(kind).into())),
                Event::TaskListMarker(done) => kept.push(Event::InlineHtml(task(done).into())),
                event => kept.push(event),
            }
        }
        give_headings_ids(kept)
    }

    // Code

    fn code_block(&mut self, kind: &CodeBlockKind<'_>, text: &str) -> Event<'a> {
        let number = match kind {
            CodeBlockKind::Fenced(info) => {
                info.strip_prefix(self.token).and_then(|number| number.parse::<usize>().ok())
            }
            CodeBlockKind::Indented => None,
        };
        let prepared = self.prepared;
        let markup = match number.and_then(|number| prepared.blocks.get(number)) {
            Some(Block::Code(block)) => self.fenced(block),
            Some(Block::File { name, target, text }) => self.file(name, target, text),
            Some(Block::Quiz { question, choices }) => self.quiz(question, choices),
            None => markup::plain_block("", &markup::escape(text.trim_end_matches('\n'))),
        };
        Event::Html(format!("{}\n", self.stand_in(markup)).into())
    }

    fn fenced(&mut self, block: &CodeBlock) -> String {
        let text = block.text.trim_end_matches('\n').to_owned();
        let code = markup::code(&text, &block.highlighted);
        let plain = |language: &str| markup::plain_block(language, &code);
        let Some(directive) = &block.directive else { return plain(&block.language) };
        match self.decide(directive, &text, block.line) {
            Decided::Do(verb) => match self.number(verb, &text) {
                Some(number) => markup::block(number, verb, &code),
                None => plain(&block.language),
            },
            Decided::Nothing => plain(&block.language),
            Decided::Lacking(lack) => self.lacking_block(&lack, &text),
        }
    }

    fn code_span(
        &mut self,
        text: &str,
        range: Range<usize>,
        directive: Option<Directive>,
        context: &Context,
    ) -> Event<'a> {
        let text = self.as_written(text, &range);
        let code = markup::escape(&text);
        let explicit = directive.is_some();
        let decided = match &directive {
            Some(directive) => self.decide(directive, &text, self.line_of(range.start)),
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
    fn decide(&mut self, directive: &Directive, text: &str, line: u32) -> Decided {
        if let Some(lack) = unfilled_address(text) {
            return Decided::Lacking(lack);
        }
        match directive {
            Directive::Plain => Decided::Nothing,
            Directive::Do(verb) => Decided::Do(*verb),
            Directive::OpenFile => Decided::Lacking(editor_lack(text)),
            Directive::OnHost(host) => Decided::Lacking(host_lack(*host)),
            Directive::Unknown { hint } => {
                let hint = hint.as_ref().map(|word| format!("did you mean {{{{{word}}}}}?"));
                self.warn(line, "this action is not known: the code has none".into(), hint);
                Decided::Nothing
            }
        }
    }

    /// An action's number on its page; `None` when the page is full.
    fn number(&mut self, verb: ActionVerb, text: &str) -> Option<usize> {
        let number = self.first_action + self.rendered.actions.len();
        if number >= ACTIONS_MAX {
            if number == ACTIONS_MAX {
                self.warn(0, format!("more than {ACTIONS_MAX} actions on one page: the rest have no button"), None);
            }
            return None;
        }
        self.rendered.actions.push(Action { verb, text: text.to_owned() });
        Some(number)
    }

    // What is recognised and missing

    fn lacking_block(&mut self, lack: &Lack, text: &str) -> String {
        self.lack(lack);
        let note = markup::lack(lack, "This code");
        format!("{}<p>{note}</p>", self.copyable(text))
    }

    /// Katacoda's editor block: its code can be copied, if no more.
    fn file(&mut self, name: &str, target: &str, text: &str) -> String {
        if target.eq_ignore_ascii_case("clipboard") {
            return self.copyable(text);
        }
        let lack = editor_lack(name);
        self.lack(&lack);
        let name = if name.is_empty() { "a file" } else { name };
        let note = markup::lack(&lack, &format!("<code>{}</code>", markup::escape(name)));
        format!("<p>{note}</p>{}", self.copyable(text))
    }

    fn copyable(&mut self, text: &str) -> String {
        let code = markup::escape(text);
        match self.number(ActionVerb::Copy, text) {
            Some(number) => markup::block(number, ActionVerb::Copy, &code),
            None => markup::plain_block("", &code),
        }
    }

    fn quiz(&mut self, question: &str, choices: &[String]) -> String {
        let lack = Lack {
            what: "quiz".into(),
            says: "questions cannot be answered on the page yet. Answer it for yourself and go on.".into(),
            fatal: false,
        };
        self.lack(&lack);
        let choices: String = choices.iter().map(|choice| format!("<li>{}</li>", markup::escape(choice))).collect();
        let list = if choices.is_empty() { String::new() } else { format!("<ul>{choices}</ul>") };
        format!("<p>{}</p>{list}", markup::lack(&lack, &markup::escape(question)))
    }

    fn lack(&mut self, lack: &Lack) {
        if self.rendered.lacks.len() < LACKS_MAX && !self.rendered.lacks.contains(lack) {
            self.rendered.lacks.push(lack.clone());
        }
    }

    // Words for the author

    fn remarks(&mut self) {
        for remark in &self.prepared.remarks {
            self.warn(remark.line, remark.message.clone(), remark.hint.clone());
        }
    }

    fn warn(&mut self, line: u32, message: String, hint: Option<String>) {
        if self.rendered.diagnostics.len() >= DIAGNOSTICS_MAX {
            return;
        }
        let place = if line == 0 { self.source.whole() } else { self.source.line(line) };
        self.rendered.diagnostics.push(Diagnostic::warning(place, message).maybe_hint(hint));
    }

    /// The author's line at an offset of the prepared text.
    fn line_of(&self, offset: usize) -> u32 {
        let index = self.prepared.starts.partition_point(|&start| start <= offset);
        self.prepared.lines.get(index.saturating_sub(1)).copied().unwrap_or(0)
    }

    /// A token that our markup will replace. The last letter ends the number.
    fn stand_in(&mut self, markup: String) -> String {
        self.fragments.push(markup);
        format!("{}{}q", self.token, self.fragments.len() - 1)
    }
}

impl clean::Surroundings for Page<'_> {
    fn image(&mut self, source: &str) -> Result<String, Lack> {
        (self.images)(source).map_err(|missing| {
            let line = self.image_lines.get(source).copied().unwrap_or(0);
            self.warn(line, missing.message.clone(), missing.hint);
            let says = if source.is_empty() {
                "the picture has no address.".into()
            } else {
                format!("the picture {source} is missing.")
            };
            Lack { what: "image".into(), says, fatal: false }
        })
    }

    fn lacks(&mut self, lack: &Lack) {
        self.lack(lack);
    }

    fn fragment(&self, number: usize) -> Option<&str> {
        self.fragments.get(number).map(String::as_str)
    }
}

/// What comes of a directive.
enum Decided {
    Do(ActionVerb),
    Nothing,
    Lacking(Lack),
}

/// Where in the text an event stands.
#[derive(Default)]
struct Context {
    in_heading: bool,
    links: usize,
    summaries: usize,
}

impl Context {
    fn follow(&mut self, event: &Event<'_>) {
        match event {
            Event::Start(Tag::Heading { .. }) => self.in_heading = true,
            Event::End(TagEnd::Heading(_)) => self.in_heading = false,
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

    /// A button within something that is clicked itself would be neither.
    fn in_interactive(&self) -> bool {
        self.links > 0 || self.summaries > 0
    }
}

/// A directive at the start of the text after a code span, with or without a space before it, and the rest.
fn directive_in(after: &str) -> Option<(Directive, String)> {
    let spaces = after.len() - after.trim_start_matches(' ').len();
    let found = actions::leading(&after[spaces..]).filter(|_| spaces <= 1)?;
    Some((found.directive, after[spaces + found.bytes..].to_owned()))
}

/// A command that names an address which only a larger installation could fill in.
fn unfilled_address(text: &str) -> Option<Lack> {
    if text.contains("[[HOST2_") {
        return Some(host_lack(2));
    }
    let (_, inside) = text.split_once("{{TRAFFIC_")?;
    let (words, _) = inside.split_once("}}")?;
    Some(clean::port_lack(words.rsplit('_').next().and_then(|port| port.parse().ok())))
}

fn editor_lack(file: &str) -> Lack {
    let file = if file.trim().is_empty() { "the file".into() } else { format!("the file {}", file.trim()) };
    Lack {
        what: "editor".into(),
        says: format!("there is no editor beside the terminal yet. Use nano or vi for {file}."),
        fatal: false,
    }
}

fn host_lack(host: u16) -> Lack {
    Lack {
        what: format!("host{host}"),
        says: format!("there is one machine, and this is for machine {host}."),
        fatal: false,
    }
}

fn alert(kind: BlockQuoteKind) -> String {
    let (class, title) = match kind {
        BlockQuoteKind::Note => ("note", "Note"),
        BlockQuoteKind::Tip => ("tip", "Tip"),
        BlockQuoteKind::Important => ("important", "Important"),
        BlockQuoteKind::Warning => ("warning", "Warning"),
        BlockQuoteKind::Caution => ("caution", "Caution"),
    };
    format!("<blockquote class=\"alert alert--{class}\">\n<p class=\"alert__title\">{title}</p>\n")
}

fn task(done: bool) -> String {
    let (mark, word) = if done { ("☑", "Done") } else { ("☐", "To do") };
    format!("<span class=\"task\" title=\"{word}\">{mark}</span> ")
}

/// Gives every heading an id made of its words, so that a text can link to its own parts.
fn give_headings_ids(mut events: Vec<Event<'_>>) -> Vec<Event<'_>> {
    let mut used: HashMap<String, usize> = HashMap::new();
    for start in 0..events.len() {
        if !matches!(events[start], Event::Start(Tag::Heading { .. })) {
            continue;
        }
        let words = events[start + 1..].iter().take_while(|event| !matches!(event, Event::End(TagEnd::Heading(_))));
        let slug = slug(
            &words
                .filter_map(|event| if let Event::Text(text) = event { Some(text.as_ref()) } else { None })
                .collect::<String>(),
        );
        let count = used.entry(slug.clone()).and_modify(|count| *count += 1).or_insert(0);
        let unique = if *count == 0 { slug } else { format!("{slug}-{count}") };
        if let Event::Start(Tag::Heading { id, .. }) = &mut events[start] {
            *id = Some(unique.into());
        }
    }
    events
}

/// As GitHub makes them: lower case, spaces to hyphens, punctuation gone.
fn slug(text: &str) -> String {
    let kept = text.trim().chars().filter(|letter| letter.is_alphanumeric() || " -_".contains(*letter));
    let slug: String =
        kept.flat_map(char::to_lowercase).map(|letter| if letter == ' ' { '-' } else { letter }).collect();
    if slug.is_empty() { "part".into() } else { slug }
}

#[cfg(test)]
mod tests;
