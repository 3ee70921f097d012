//! A lesson's text: Markdown with actions, to HTML that is safe to show.
//!
//! In order: [`fences`] takes out the blocks that CommonMark would misread; pulldown-cmark reads the rest, and code
//! spans with an action are taken out of its events; [`clean`] lets only allowed HTML through and puts the markup of the
//! actions in. What is taken out is stood in for by a token made from the text's own digest, which no author can have
//! written into that text.
//!
//! It opens no file: pictures are resolved by the caller. What runs when a button is pressed is the page's business.

mod clean;
mod code;
mod colours;
mod depth;
mod frames;
mod fences;
mod gfm;
pub mod markup;
mod ports;
mod questions;

use pulldown_cmark::{CowStr, Event, Options, Parser, Tag, TagEnd, TextMergeWithOffset, html};
use sha2::{Digest, Sha256};
use std::collections::HashMap;
use std::ops::Range;

use self::code::{Context, directive_in};
use self::depth::Depth;
use self::fences::Prepared;
use super::diagnostic::{DIAGNOSTICS_MAX, SourceText};
use super::model::{Action, Diagnostic, Lack, Quiz};
use super::placeholders;

pub use self::code::file_path;

/// Buttons on one page; the fullest of the public scenarios that the loader was tried on has 185 on all its pages.
pub const ACTIONS_MAX: usize = 500;

/// Different pictures in one text: each is looked for, and read, so that it counts for the lesson's version.
const PICTURES_MAX: usize = 500;

/// Kinds of things said to be missing on one page.
const LACKS_MAX: usize = 50;

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
    pub quizzes: Vec<Quiz>,
    pub lacks: Vec<Lack>,
    pub diagnostics: Vec<Diagnostic>,
}

/// What a text is a part of.
#[derive(Debug, Clone, Copy)]
pub struct Setting<'a> {
    /// Actions and questions of the page before this text: its own are numbered from there.
    pub first_action: usize,
    pub first_quiz: usize,
    /// The directory that names of files are relative to.
    pub files: &'a str,
}

impl Default for Setting<'_> {
    fn default() -> Self {
        Self { first_action: 0, first_quiz: 0, files: "/root" }
    }
}

/// Renders a text. `images` turns a picture's source, as written, into its address.
pub fn render(source: &SourceText, setting: Setting<'_>, images: &mut dyn FnMut(&str) -> Image) -> Rendered {
    let token = token_for(&source.text);
    let prepared = fences::prepare(&placeholders::in_text(&source.text), &token);
    let mut page = Page {
        source,
        lines: source.text.lines().collect(),
        prepared: &prepared,
        images,
        token: &token,
        setting,
        fragments: Vec::new(),
        image_places: HashMap::new(),
        pictures: HashMap::new(),
        rendered: Rendered::default(),
        said_full: false,
    };
    page.remarks();
    page.placeholders();
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

/// A text on its way to HTML.
struct Page<'a> {
    source: &'a SourceText,
    /// Of the source: looked up for each place that is named, and counting to it each time would take for ever.
    lines: Vec<&'a str>,
    prepared: &'a Prepared,
    images: &'a mut dyn FnMut(&str) -> Image,
    token: &'a str,
    setting: Setting<'a>,
    /// Our own markup, put in after the cleaning.
    fragments: Vec<String>,
    /// Where in the prepared text a picture was first named.
    image_places: HashMap<String, usize>,
    /// Pictures that were looked for.
    pictures: HashMap<String, Image>,
    rendered: Rendered,
    /// It was said that the page has no room for more actions.
    said_full: bool,
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
                    kept.push(match context.in_picture() {
                        true => Event::Text(text),
                        false => self.code_span(&text, range, directive, &context),
                    });
                }
                Event::Start(Tag::MetadataBlock(_)) => {
                    events.by_ref().find(|(event, _)| matches!(event, Event::End(TagEnd::MetadataBlock(_))));
                }
                Event::Start(Tag::Image { dest_url, .. }) if !self.image_places.contains_key(dest_url.as_ref()) => {
                    self.image_places.insert(dest_url.to_string(), range.start);
                    kept.push(Event::Start(Tag::Image {
                        link_type: pulldown_cmark::LinkType::Inline,
                        dest_url,
                        title: CowStr::from(""),
                        id: CowStr::from(""),
                    }));
                }
                Event::Html(html) | Event::InlineHtml(html) if !depth.allows(&html) => {
                    self.warn(
                        self.place_at(range.start),
                        "HTML is nested too deeply: the rest is shown as text".into(),
                        None,
                    );
                    kept.push(Event::Text(html));
                }
                Event::Start(Tag::BlockQuote(Some(kind))) => kept.push(Event::Html(gfm::alert(kind).into())),
                Event::TaskListMarker(done) => kept.push(Event::InlineHtml(gfm::task(done).into())),
                Event::Text(text) => kept.push(Event::Text(gfm::with_emoji(&text).map_or(text, CowStr::from))),
                event => kept.push(event),
            }
        }
        gfm::give_headings_ids(kept)
    }

    // Words for the author

    fn remarks(&mut self) {
        for remark in &self.prepared.remarks {
            self.warn((remark.line, remark.column), remark.message.clone(), remark.hint.clone());
        }
    }

    /// Names of Katacoda's that stay in the text: nobody fills them in.
    fn placeholders(&mut self) {
        let lines = self.lines.clone();
        for (number, line) in (1..).zip(lines).filter(|(_, line)| line.contains("[[")) {
            if let Some(name) = placeholders::unknown_in(&placeholders::in_text(line)) {
                let column = line.find(name).map_or(0, |at| line[..at].chars().count() as u32 - 1);
                let message =
                    format!("nothing here fills in `[[{name}]]`: it is the address of a port or of another machine");
                self.warn((number, column), message, None);
            }
        }
    }

    /// `line` and column, from 1; 0 where they are not known.
    fn warn(&mut self, (line, column): (u32, u32), message: String, hint: Option<String>) {
        if self.has_said_all() {
            return;
        }
        let place = match (line, column) {
            (0, _) => self.source.whole(),
            (line, 0) => self.source.line(line),
            (line, column) => self.source.character(line, column),
        };
        self.rendered.diagnostics.push(Diagnostic::warning(place, message).maybe_hint(hint));
    }

    /// No more is said about this text, so no place is worth a search.
    fn has_said_all(&self) -> bool {
        self.rendered.diagnostics.len() >= DIAGNOSTICS_MAX
    }

    /// The author's line and column at an offset of the prepared text.
    fn place_at(&self, offset: usize) -> (u32, u32) {
        if self.has_said_all() {
            return (0, 0);
        }
        let line = self.line_of(offset);
        let index = self.prepared.starts.partition_point(|&start| start <= offset);
        let start = index.checked_sub(1).map_or(0, |index| self.prepared.starts[index]);
        let before = self.prepared.markdown.get(start..offset).unwrap_or_default();
        let written = self.written(line);
        // What was put right before Markdown saw it stands elsewhere.
        let column = if written.starts_with(before) { before.chars().count() as u32 + 1 } else { 0 };
        (line, column)
    }

    /// Where HTML names a picture.
    fn place_of_source(&self, source: &str) -> (u32, u32) {
        if source.is_empty() || self.has_said_all() {
            return (0, 0);
        }
        let lines = (1..).zip(&self.lines);
        let mut found =
            lines.filter_map(|(number, line)| Some((number, line[..line.find(source)?].chars().count() as u32 + 1)));
        found.next().unwrap_or((0, 0))
    }

    /// Where in a line its last action stands.
    fn place_of_directive(&self, line: u32) -> (u32, u32) {
        let written = self.written(line);
        (line, written.rfind("{{").map_or(0, |at| written[..at].chars().count() as u32 + 1))
    }

    /// A line of the source, from 1.
    fn written(&self, line: u32) -> &'a str {
        self.lines.get(line.saturating_sub(1) as usize).copied().unwrap_or_default()
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
        let found = match self.pictures.get(source) {
            Some(found) => found.clone(),
            None if self.pictures.len() >= PICTURES_MAX => Err(MissingImage {
                message: format!("more than {PICTURES_MAX} pictures in one text: `{source}` is not shown"),
                hint: None,
            }),
            None => {
                let found = (self.images)(source);
                self.pictures.insert(source.to_owned(), found.clone());
                found
            }
        };
        found.map_err(|missing| {
            let place = match self.image_places.get(source) {
                Some(&offset) => self.place_at(offset),
                None => self.place_of_source(source),
            };
            self.warn(place, missing.message.clone(), missing.hint);
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

    fn block(&self, number: usize) -> Option<&str> {
        self.prepared.blocks.get(number).map(fences::Block::text)
    }

    fn fragment(&self, number: usize) -> Option<&str> {
        self.fragments.get(number).map(String::as_str)
    }
}

#[cfg(test)]
mod attacks;
#[cfg(test)]
mod tests;
