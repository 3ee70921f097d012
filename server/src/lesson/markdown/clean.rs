//! HTML made safe by an allow-list, then fitted to the page.
//!
//! Ammonia parses what the author's text became and serialises only what is allowed. Its output is canonical, tags and
//! quoted attributes and nothing doubtful, so a plain walk over it can then do the rest: pictures get their addresses,
//! headings their level, bare addresses their links, ports their notes. Our own markup of actions is put in last, where
//! its tokens stand, so no author's HTML can pass for it.

use std::collections::{HashMap, HashSet};
use std::sync::LazyLock;

use super::frames;
use super::markup;
use super::ports::{PORT_START, Port};
use crate::lesson::model::Lack;

/// Ids of the author's elements get this before them, so that none is mistaken for one of the page's own.
const ID_PREFIX: &str = "lesson-";

/// The allow-list. No styles, no scripts, no forms, no frames, no handlers.
static ALLOWED: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let text = [
        "p",
        "br",
        "hr",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "blockquote",
        "pre",
        "div",
        "span",
        "center",
        "details",
        "summary",
    ];
    let inline = [
        "a", "abbr", "b", "strong", "i", "em", "u", "s", "del", "ins", "mark", "small", "sub", "sup", "kbd", "samp",
        "var", "code", "q", "cite", "img",
    ];
    let lists_and_tables = [
        "ul",
        "ol",
        "li",
        "dl",
        "dt",
        "dd",
        "table",
        "caption",
        "thead",
        "tbody",
        "tfoot",
        "tr",
        "th",
        "td",
        "figure",
        "figcaption",
    ];
    let tags: HashSet<&str> = text.into_iter().chain(inline).chain(lists_and_tables).collect();
    let attributes = HashMap::from([
        ("a", HashSet::from(["href"])),
        // A style is let in for its width alone: see `attribute_filter` below.
        ("img", HashSet::from(["src", "alt", "width", "height", "align", "style"])),
        ("details", HashSet::from(["open"])),
        ("ol", HashSet::from(["start"])),
        ("td", HashSet::from(["colspan", "rowspan", "align"])),
        ("th", HashSet::from(["colspan", "rowspan", "align", "scope"])),
        ("p", HashSet::from(["align"])),
        ("div", HashSet::from(["align"])),
    ]);
    // Classes that our own rendering gives to Markdown's elements.
    let classes = HashMap::from([
        (
            "blockquote",
            HashSet::from([
                "alert",
                "alert--note",
                "alert--tip",
                "alert--important",
                "alert--warning",
                "alert--caution",
            ]),
        ),
        ("p", HashSet::from(["alert__title"])),
        ("div", HashSet::from(["footnote-definition"])),
        ("sup", HashSet::from(["footnote-reference", "footnote-definition-label"])),
        ("span", HashSet::from(["task"])),
    ]);
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(tags)
        .tag_attributes(attributes)
        .allowed_classes(classes)
        .generic_attributes(HashSet::from(["id", "title", "lang", "dir"]))
        .clean_content_tags(HashSet::from([
            "script", "style", "iframe", "object", "noscript", "template", "svg", "math", "select", "textarea", "title",
        ]))
        .url_schemes(HashSet::from(["http", "https", "mailto"]))
        .url_relative(ammonia::UrlRelative::PassThrough)
        .set_tag_attribute_value("a", "target", "_blank")
        .link_rel(Some("noopener noreferrer"))
        .id_prefix(Some(ID_PREFIX))
        .attribute_filter(|element, attribute, value| match (element, attribute) {
            ("img", "style") => width_in(value).map(Into::into),
            _ => Some(value.into()),
        });
    builder
});

/// The width that an author's style gives a picture, as the attribute has it: `300` or `50%`.
fn width_in(style: &str) -> Option<String> {
    let width =
        style.split(';').find_map(|rule| rule.trim().strip_prefix("width")?.trim_start().strip_prefix(':'))?.trim();
    let (digits, unit) = width.split_at(width.find(|letter: char| !letter.is_ascii_digit())?);
    match (digits.len(), unit) {
        (1..=4, "px") => Some(digits.into()),
        (1..=3, "%") => Some(format!("{digits}%")),
        _ => None,
    }
}

/// What one line of text may have: a question, an answer. Nothing that can be clicked, as all of it can be.
static ALLOWED_IN_A_LINE: LazyLock<ammonia::Builder<'static>> = LazyLock::new(|| {
    let mut builder = ammonia::Builder::empty();
    builder
        .tags(HashSet::from([
            "b", "strong", "i", "em", "u", "s", "del", "sub", "sup", "kbd", "code", "var", "mark", "small",
        ]))
        .clean_content_tags(HashSet::from([
            "script", "style", "iframe", "object", "noscript", "template", "svg", "math", "title",
        ]));
    builder
});

/// One line of Markdown as safe HTML.
pub fn line(markdown: &str) -> String {
    let mut html = String::with_capacity(markdown.len() * 2);
    let options = pulldown_cmark::Options::ENABLE_STRIKETHROUGH;
    // A paragraph's worth: what begins a list or a heading at the start of a line is a letter here.
    let parser = pulldown_cmark::Parser::new_ext(markdown.trim_start_matches(['#', '>', '-', '+', ' ', '\t']), options);
    pulldown_cmark::html::push_html(&mut html, parser);
    ALLOWED_IN_A_LINE.clean(&html).to_string().trim().to_owned()
}

/// What the text around it decides.
pub trait Surroundings {
    /// The address of a picture, or what is wrong with it in words for its place.
    fn image(&mut self, source: &str) -> Result<String, Lack>;
    /// Something that is lacking was found in the text.
    fn lacks(&mut self, lack: &Lack);
    /// Our own markup of a number.
    fn fragment(&self, number: usize) -> Option<&str>;
    /// The text of a block that Markdown took for something else, so that it has no markup.
    fn block(&self, number: usize) -> Option<&str>;
}

/// Cleans `html`, and replaces `token` with a number after it by the fragment of that number.
pub fn clean(html: &str, token: &str, surroundings: &mut impl Surroundings) -> String {
    let safe = ALLOWED.clean(&frames::as_links(html)).to_string();
    let mut fitting = Fitting {
        out: String::with_capacity(safe.len() * 2),
        shift: heading_shift(&safe),
        link_depth: 0,
        code_depth: 0,
        port_link: None,
        token,
        surroundings,
    };
    for piece in pieces(&safe) {
        match piece {
            Piece::Tag(tag) => fitting.tag(tag),
            Piece::Text(text) => fitting.text(text),
        }
    }
    fitting.out
}

enum Piece<'a> {
    Tag(&'a str),
    Text(&'a str),
}

/// Canonical HTML in pieces. A `>` within a quoted attribute ends no tag.
fn pieces(html: &str) -> impl Iterator<Item = Piece<'_>> {
    let mut rest = html;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let is_tag = rest.starts_with('<');
        let length = if is_tag { tag_length(rest) } else { rest.find('<').unwrap_or(rest.len()) };
        let (piece, after) = rest.split_at(length);
        rest = after;
        Some(if is_tag { Piece::Tag(piece) } else { Piece::Text(piece) })
    })
}

fn tag_length(html: &str) -> usize {
    let mut quoted = false;
    for (index, byte) in html.bytes().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'>' if !quoted => return index + 1,
            _ => {}
        }
    }
    html.len()
}

/// How far headings move so that the first level in use becomes h2: the page's title is the h1.
fn heading_shift(html: &str) -> i8 {
    let levels = pieces(html).filter_map(|piece| match piece {
        Piece::Tag(tag) => heading_level(tag),
        Piece::Text(_) => None,
    });
    levels.min().map_or(0, |top| 2 - top)
}

/// `<h3 …>` or `</h3>`.
fn heading_level(tag: &str) -> Option<i8> {
    let digits = tag.trim_start_matches(['<', '/']).strip_prefix('h')?;
    let level = digits.bytes().next().filter(|digit| (b'1'..=b'6').contains(digit))?;
    Some((level - b'0') as i8)
}

/// An attribute of a canonical tag, decoded.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let value = attribute_span(tag, name)?;
    Some(markup::unescape(&tag[value]))
}

/// Where the attribute's value stands. Values hold no bare quote, so the name after a quote and a space is the attribute's.
fn attribute_span(tag: &str, name: &str) -> Option<std::ops::Range<usize>> {
    let mut rest = tag.find(' ')?;
    loop {
        let equals = rest + tag[rest..].find("=\"")?;
        let start = equals + 2;
        let end = start + tag[start..].find('"')?;
        if tag[rest..equals].trim() == name {
            return Some(start..end);
        }
        rest = end + 1;
    }
}

struct Fitting<'a, S> {
    out: String,
    shift: i8,
    link_depth: usize,
    code_depth: usize,
    /// Within a link to a port, which is not there: what to say at its end.
    port_link: Option<Lack>,
    token: &'a str,
    surroundings: &'a mut S,
}

impl<S: Surroundings> Fitting<'_, S> {
    fn tag(&mut self, tag: &str) {
        match tag.trim_start_matches(['<', '/']).split([' ', '>']).next().unwrap_or_default() {
            "a" => self.link(tag),
            "img" => self.image(tag),
            "code" | "pre" => self.code(tag),
            // A wide table scrolls by itself, and stays a table to who hears it.
            "table" if tag.starts_with("</") => self.out.push_str("</table></div>"),
            "table" => {
                self.out.push_str("<div class=\"scroll\">");
                self.out.push_str(tag);
            }
            _ if heading_level(tag).is_some() => self.heading(tag),
            _ => self.out.push_str(tag),
        }
    }

    fn link(&mut self, tag: &str) {
        if tag.starts_with("</") {
            self.link_depth = self.link_depth.saturating_sub(1);
            return match self.port_link.take() {
                Some(lack) => self.out.push_str(&markup::lack_end(&lack)),
                None => self.out.push_str(tag),
            };
        }
        self.link_depth += 1;
        match attribute(tag, "href").as_deref() {
            Some(href) if let Some(port) = Port::within(&decode_braces(href)) => {
                let lack = port.lack();
                self.surroundings.lacks(&lack);
                self.out.push_str(&markup::lack_start(&lack));
                self.port_link = Some(lack);
            }
            // Within the page: same window, and the prefixed id.
            Some(href) if let Some(id) = href.strip_prefix('#') => {
                self.out.push_str(&format!("<a href=\"#{ID_PREFIX}{}\">", markup::escape(id)));
            }
            Some(_) | None => self.out.push_str(tag),
        }
    }

    fn image(&mut self, tag: &str) {
        let sized = with_width(tag);
        let tag = sized.as_str();
        let source = attribute(tag, "src").unwrap_or_default();
        match self.surroundings.image(&source) {
            Ok(address) if is_remote(&address) => self.remote_picture(tag, &address),
            Ok(address) => match attribute_span(tag, "src") {
                Some(span) => self.out.push_str(&format!(
                    "{}{}{}",
                    &tag[..span.start],
                    markup::escape(&address),
                    &tag[span.end..]
                )),
                None => self.out.push_str(tag),
            },
            Err(lack) => {
                let alt = attribute(tag, "alt").filter(|alt| !alt.is_empty()).unwrap_or_else(|| "A picture".into());
                self.out.push_str(&markup::lack(&lack, &markup::escape(&alt)));
            }
        }
    }

    /// A page fetches nothing from elsewhere, so a picture that lies there is a link to it, in its author's words.
    fn remote_picture(&mut self, tag: &str, address: &str) {
        let words = attribute(tag, "alt").filter(|alt| !alt.trim().is_empty());
        let words = markup::escape(&words.unwrap_or_else(|| "A picture elsewhere".into()));
        match self.link_depth {
            0 => self.out.push_str(&format!(
                "<a href=\"{}\" target=\"_blank\" rel=\"noopener noreferrer\">{words}</a>",
                markup::escape(address)
            )),
            _ => self.out.push_str(&words),
        }
    }

    fn code(&mut self, tag: &str) {
        match tag.starts_with("</") {
            true => self.code_depth = self.code_depth.saturating_sub(1),
            false => self.code_depth += 1,
        }
        self.out.push_str(tag);
    }

    fn heading(&mut self, tag: &str) {
        let level = heading_level(tag).unwrap_or(2) + self.shift;
        let start = if tag.starts_with("</") { "</h" } else { "<h" };
        self.out.push_str(&format!("{start}{}{}", level.clamp(2, 6), &tag[start.len() + 1..]));
    }

    /// Text, in escaped form: tokens are replaced, ports explained, addresses linked. One pass, whatever stands there.
    fn text(&mut self, text: &str) {
        let starts_special = |letter: char| letter == '{' || letter == 'h' || self.token.starts_with(letter);
        let mut rest = text;
        while let Some(start) = rest.find(starts_special) {
            let (before, special) = rest.split_at(start);
            self.out.push_str(before);
            let taken = self.special(special).unwrap_or_else(|| {
                self.out.push_str(&special[..1]);
                1
            });
            rest = &special[taken..];
        }
        self.out.push_str(rest);
    }

    /// Writes the special thing that `text` starts with, and says how many bytes it took.
    fn special(&mut self, text: &str) -> Option<usize> {
        let linkable = self.code_depth == 0 && self.link_depth == 0;
        if text.starts_with(self.token) {
            self.token_at(text)
        } else if text.starts_with(PORT_START) {
            self.port_at(text)
        } else if linkable && (text.starts_with("https://") || text.starts_with("http://")) {
            self.address_at(text)
        } else {
            None
        }
    }

    fn token_at(&mut self, text: &str) -> Option<usize> {
        let number = &text[self.token.len()..];
        let digits = number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len());
        let index = number[..digits].parse().ok()?;
        let Some(fragment) = self.surroundings.fragment(index).filter(|_| number[digits..].starts_with('q')) else {
            let text = self.surroundings.block(index)?;
            self.out.push_str(&format!("\n{}", markup::escape(text)));
            return Some(self.token.len() + digits);
        };
        // One letter ends the number.
        let end = self.token.len() + digits + 1;
        let closing = &text[end..][..closing_marks(&text[end..])];
        // A line may end before and behind a button, and so begin with a comma.
        match fragment.starts_with("<button") && !closing.is_empty() {
            true => self.out.push_str(&format!("<span class=\"act-and\">{fragment}{closing}</span>")),
            false => self.out.push_str(&format!("{fragment}{closing}")),
        }
        Some(end + closing.len())
    }

    fn port_at(&mut self, text: &str) -> Option<usize> {
        let port = Port::at(text)?;
        let lack = port.lack();
        self.surroundings.lacks(&lack);
        self.out.push_str(&markup::lack(&lack, &port.name()));
        Some(port.bytes)
    }

    fn address_at(&mut self, text: &str) -> Option<usize> {
        // What stands for our own markup may follow without a space.
        let length = bare_address(text.split(self.token).next().unwrap_or_default())?;
        let address = &text[..length];
        self.out
            .push_str(&format!("<a href=\"{address}\" target=\"_blank\" rel=\"noopener noreferrer\">{address}</a>"));
        Some(length)
    }
}

/// Bytes at the beginning of `text` that belong to the word before them.
fn closing_marks(text: &str) -> usize {
    let is_closing = |letter: char| ",.;:!?)]’”…".contains(letter);
    text.find(|letter| !is_closing(letter)).unwrap_or(text.len())
}

/// A picture's tag with the width that its style gave it.
fn with_width(tag: &str) -> String {
    let Some(span) = attribute_span(tag, "style") else { return tag.to_owned() };
    let without = format!("{}{}", &tag[..span.start - " style=\"".len()], &tag[span.end + 1..]);
    match attribute(tag, "width") {
        Some(_) => without,
        None => without.replacen("<img", &format!("<img width=\"{}\"", &tag[span]), 1),
    }
}

fn is_remote(address: &str) -> bool {
    ["http://", "https://"].iter().any(|scheme| address.starts_with(scheme))
}

/// The length of the address that escaped text starts with, as GitHub finds it: without closing punctuation.
fn bare_address(text: &str) -> Option<usize> {
    let end =
        text.find(|letter: char| letter.is_whitespace() || "<\"'`{}[]“”‘’".contains(letter)).unwrap_or(text.len());
    let end =
        ["&lt;", "&gt;", "&quot;", "&nbsp;"].iter().filter_map(|entity| text[..end].find(entity)).min().unwrap_or(end);
    let mut address = &text[..end];
    while let Some(last) = address.chars().last() {
        let unopened = last == ')' && address.matches(')').count() > address.matches('(').count();
        match unopened || ".,;:!?*_~".contains(last) {
            true => address = &address[..address.len() - last.len_utf8()],
            false => break,
        }
    }
    let host = &address[address.find("://")? + 3..];
    host.starts_with(|letter: char| letter.is_alphanumeric()).then_some(address.len())
}

/// Markdown writes braces in addresses as `%7B` and `%7D`.
fn decode_braces(href: &str) -> String {
    href.replace("%7B", "{").replace("%7D", "}")
}
