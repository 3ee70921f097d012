//! Frames, in which authors show films: a page shows nothing from elsewhere, so each becomes a link to what it held.

use std::borrow::Cow;

use super::fences::attribute;
use super::markup;

const END: &str = "</iframe>";

/// HTML, not cleaned yet, with its frames as links.
pub fn as_links(html: &str) -> Cow<'_, str> {
    // Letters of ASCII keep their places.
    let lower = html.to_ascii_lowercase();
    if !lower.contains("<iframe") {
        return Cow::Borrowed(html);
    }
    let mut out = String::with_capacity(html.len());
    // Behind the last of them none is looked for, which would be to the end of the text for every frame.
    let last = lower.rfind(END).unwrap_or(0);
    let mut done = 0;
    while let Some(start) = lower[done..].find("<iframe").map(|at| done + at) {
        let Some(end) = end_of_tag(&lower[start..]).map(|length| start + length) else { break };
        out.push_str(&html[done..start]);
        out.push_str(&link(&html[start..end]).unwrap_or_default());
        // What stands within is for browsers without frames.
        let closed = if end <= last { lower[end..].find(END) } else { None };
        done = closed.map_or(end, |at| end + at + END.len());
    }
    out.push_str(&html[done..]);
    Cow::Owned(out)
}

/// A `>` within quotes ends nothing.
fn end_of_tag(html: &str) -> Option<usize> {
    let mut quote = None;
    for (index, byte) in html.bytes().enumerate() {
        match (byte, quote) {
            (b'>', None) => return Some(index + 1),
            (b'"' | b'\'', None) => quote = Some(byte),
            (byte, Some(opened)) if byte == opened => quote = None,
            _ => {}
        }
    }
    None
}

fn link(tag: &str) -> Option<String> {
    let source = attribute(tag, "src").filter(|source| !source.trim().is_empty())?;
    let title = attribute(tag, "title").filter(|title| !title.trim().is_empty());
    let words = title.unwrap_or_else(|| "A page or film elsewhere".into());
    Some(format!("<a href=\"{}\">{}</a>", markup::escape(source.trim()), markup::escape(&words)))
}

#[cfg(test)]
mod tests {
    use super::as_links;

    #[test]
    fn a_frame_is_a_link_with_its_title_and_nothing_else_is_touched() {
        assert_eq!(as_links("<p>Größe</p>"), "<p>Größe</p>");
        assert_eq!(
            as_links("É <IFRAME width=\"5\" src='https://a.b/?c&d' title=\"A <film>\">old</iframe> x"),
            "É <a href=\"https://a.b/?c&amp;d\">A &lt;film&gt;</a> x"
        );
        assert_eq!(as_links("<iframe srcdoc=\"x\"></iframe>."), ".");
        assert_eq!(as_links("<iframe src=\"x"), "<iframe src=\"x");
    }
}
