//! What GitHub's Markdown has beside CommonMark's: alerts, tasks, ids of headings, emoji by their names.

use std::collections::HashMap;

use pulldown_cmark::{BlockQuoteKind, Event, Tag, TagEnd};

pub(super) fn alert(kind: BlockQuoteKind) -> String {
    let (class, title) = match kind {
        BlockQuoteKind::Note => ("note", "Note"),
        BlockQuoteKind::Tip => ("tip", "Tip"),
        BlockQuoteKind::Important => ("important", "Important"),
        BlockQuoteKind::Warning => ("warning", "Warning"),
        BlockQuoteKind::Caution => ("caution", "Caution"),
    };
    format!("<blockquote class=\"alert alert--{class}\">\n<p class=\"alert__title\">{title}</p>\n")
}

pub(super) fn task(done: bool) -> String {
    let (mark, word) = if done { ("☑", "Done") } else { ("☐", "To do") };
    format!("<span class=\"task\" title=\"{word}\">{mark}</span> ")
}

/// Gives every heading an id made of its words, so that a text can link to its own parts.
pub(super) fn give_headings_ids(mut events: Vec<Event<'_>>) -> Vec<Event<'_>> {
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

/// `:name:` is no longer than this.
const SHORTCODE_MAX: usize = 40;

/// `:rocket:` and its like as what they mean. What is no name of an emoji stays as it is.
pub(super) fn with_emoji(text: &str) -> Option<String> {
    let mut out = String::new();
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find(':') {
        let after = &rest[start + 1..];
        let length = after
            .bytes()
            .take(SHORTCODE_MAX)
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_+-".contains(byte))
            .count();
        let emoji = (length > 0 && after[length..].starts_with(':'))
            .then(|| emojis::get_by_shortcode(&after[..length]))
            .flatten();
        match emoji {
            Some(emoji) => {
                out.push_str(&rest[..start]);
                out.push_str(emoji.as_str());
                rest = &after[length + 1..];
                found = true;
            }
            None => {
                out.push_str(&rest[..start + 1]);
                rest = after;
            }
        }
    }
    found.then(|| out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emoji_have_names_and_times_have_none() {
        assert_eq!(with_emoji("go :rocket: now :+1:").as_deref(), Some("go 🚀 now 👍"));
        assert_eq!(with_emoji("at 10:30:00, a::b, :nothing-like-it:"), None);
    }
}
