//! The renderer against `testdata/attacks.txt`: whatever an author writes, only what is allowed reaches a page.
//!
//! The same file is shown to a real browser by `tests/browser/suites/format.test.mjs`.

use std::fs;
use std::path::Path;

use super::markup;
use super::tests::rendered;
use crate::lesson::load_library;
use crate::lesson::model::{Answers, Item, Page};
use crate::lesson::quiz::{self, Given};

/// Elements that a page of a lesson may have: the author's allowed ones, and those of our own markup.
const ELEMENTS: &[&str] = &[
    "a",
    "abbr",
    "article",
    "b",
    "blockquote",
    "br",
    "button",
    "caption",
    "center",
    "cite",
    "code",
    "dd",
    "del",
    "details",
    "div",
    "dl",
    "dt",
    "em",
    "fieldset",
    "figcaption",
    "figure",
    "form",
    "h2",
    "h3",
    "h4",
    "h5",
    "h6",
    "hr",
    "i",
    "img",
    "input",
    "ins",
    "kbd",
    "label",
    "legend",
    "li",
    "mark",
    "ol",
    "p",
    "pre",
    "q",
    "s",
    "samp",
    "small",
    "span",
    "strong",
    "sub",
    "summary",
    "sup",
    "table",
    "tbody",
    "td",
    "tfoot",
    "th",
    "thead",
    "tr",
    "u",
    "ul",
];

/// Attributes of those.
const ATTRIBUTES: &[&str] = &[
    "action",
    "align",
    "alt",
    "aria-hidden",
    "aria-label",
    "autocapitalize",
    "autocomplete",
    "checked",
    "class",
    "colspan",
    "data-action",
    "data-ctrl-seq",
    "data-do",
    "data-interrupt",
    "data-is",
    "data-lack",
    "data-lang",
    "data-no-newline",
    "data-terminal",
    "dir",
    "height",
    "href",
    "id",
    "lang",
    "maxlength",
    "method",
    "name",
    "open",
    "rel",
    "role",
    "rowspan",
    "scope",
    "spellcheck",
    "src",
    "start",
    "target",
    "title",
    "type",
    "value",
    "width",
    "tabindex",
];

fn attacks() -> Vec<String> {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/attacks.txt");
    let text = fs::read_to_string(file).expect("the corpus is there");
    text.split("\n%%\n").skip(1).map(|attack| attack.trim_end_matches('\n').to_owned()).collect()
}

#[test]
fn there_are_a_hundred_ways_and_more() {
    assert!(attacks().len() >= 150, "{}", attacks().len());
}

#[test]
fn nothing_that_runs_survives() {
    for attack in attacks() {
        for text in [
            attack.clone(),
            format!("text {attack} text"),
            format!("- {attack}\n"),
            format!("> {attack}\n"),
            format!("| {attack} |\n|---|\n"),
            format!("<div>\n{attack}\n</div>"),
            format!("<details><summary>{attack}</summary>\n\n{attack}\n"),
            format!("## {attack}\n"),
            format!("[{attack}](https://example.com)"),
            format!("<pre class=\"file\" data-filename='{attack}'>{attack}</pre>"),
            format!("`{attack}`{{{{exec}}}} `{attack}`{{{{open}}}}"),
            format!(">>{attack}<<\n(*) {attack} <!-- why: {attack} -->\n( ) {attack}\n<!-- otherwise: {attack} -->\n"),
            format!(">>{attack}<<\n=== {attack}\n<!-- otherwise: {attack} -->\n"),
            format!("!!! note \"{attack}\"\n    {attack}\n"),
        ] {
            assert_harmless(&text);
        }
    }
}

/// Strings of `index.json` and names of files reach a page too.
#[test]
fn nothing_that_runs_survives_from_the_index_or_a_files_name() {
    for attack in attacks() {
        let home = tempfile::tempdir().expect("a directory");
        let index = serde_json::json!({
            "title": attack, "description": attack, "difficulty": attack, "time": attack, "language": attack,
            "credits": attack, "files": [attack, "a.txt"],
            "details": { "intro": { "title": attack, "text": "i.md", "credits": attack },
                         "steps": [{ "title": attack, "text": attack, "hint": format!("{attack} hint"), "verify": attack }],
                         "assets": { "host01": [{ "file": attack, "target": attack, "chmod": attack }] } },
            "backend": { "imageid": attack, "port": attack },
            "environment": { "uilayout": attack, "uieditorpath": attack, "dashboards": [{ "name": attack, "port": attack }],
                             "terminals": [{ "name": attack, "target": attack, "command": attack }] },
        });
        fs::write(home.path().join("index.json"), index.to_string()).expect("written");
        fs::write(home.path().join("i.md"), "Text.").expect("written");
        let library = load_library(home.path());
        let Item::Scenario(scenario) = &library.courses[0].items[0] else { panic!("it should load: {attack}") };
        for page in &scenario.pages {
            assert_page_harmless(page, &attack);
        }
    }
}

/// Everything that a page shows of a text, with each question answered in every way.
pub fn assert_harmless(text: &str) {
    let rendered = rendered(text.as_bytes());
    assert_html_harmless(&rendered.html, text);
    for given in [Some(Given::Chosen(vec![0])), Some(Given::Chosen(vec![1])), Some(Given::Typed(text.to_owned())), None]
    {
        let fits = |quiz: &crate::lesson::model::Quiz| match (&quiz.answers, &given) {
            (Answers::Text { .. }, Some(Given::Typed(_)))
            | (Answers::One(_) | Answers::Several(_), Some(Given::Chosen(_))) => given.clone(),
            _ => None,
        };
        if !rendered.quizzes.is_empty() {
            assert_html_harmless(&quiz::fill(&rendered.html, &rendered.quizzes, "1", &fits), text);
        }
    }
}

fn assert_page_harmless(page: &Page, text: &str) {
    let solution = page.solution.as_ref().map(|solution| solution.html.as_str());
    for html in [Some(page.html.as_str()), page.hint.as_deref(), solution].into_iter().flatten() {
        assert_html_harmless(html, text);
    }
}

/// Walks the tags of the output as a browser would and looks at every element and every attribute.
fn assert_html_harmless(html: &str, text: &str) {
    for tag in tags(html) {
        if tag.starts_with("!--question ") {
            continue;
        }
        let name = tag.trim_start_matches('/').split([' ', '>']).next().unwrap_or_default();
        assert!(ELEMENTS.contains(&name), "<{name}>: {text}\n{html}");
        let attributes = attributes(tag);
        let value =
            |wanted: &str| attributes.iter().find_map(|attribute| attribute.strip_prefix(wanted)?.strip_prefix('='));
        let closes = tag.starts_with('/');
        // Only our own markup has these, and they lead nowhere but to us.
        assert!(
            name != "button"
                || closes
                || value("type") == Some("\"button\"")
                || value("class") == Some("\"btn btn--small\""),
            "{text}\n{html}"
        );
        assert!(
            name != "form" || closes || value("action").is_some_and(|action| action.starts_with("\"1/questions/")),
            "{text}\n{html}"
        );
        assert!(name != "input" || value("name") == Some("\"answer\""), "{text}\n{html}");
        for attribute in &attributes {
            let (name, value) = attribute.split_once('=').unwrap_or((attribute, ""));
            assert!(ATTRIBUTES.contains(&name), "{name}: {text}\n{html}");
            let value = markup::unescape(value.trim_matches('"')).to_lowercase();
            let address = ["href", "src", "action"].contains(&name);
            let schemes = ["javascript:", "data:", "vbscript:", "blob:", "file:", "filesystem:", "intent:"];
            assert!(
                !address || !schemes.iter().any(|scheme| value.trim_start().starts_with(scheme)),
                "{value}: {text}\n{html}"
            );
            // A link may lead elsewhere, once somebody follows it; nothing is fetched from there.
            assert!(name != "src" || !value.contains("//"), "{value}: {text}\n{html}");
            assert!(
                name != "id" || value.starts_with("lesson-") || value.starts_with("question-"),
                "{value}: {text}\n{html}"
            );
        }
    }
}

fn tags(html: &str) -> Vec<&str> {
    let mut found = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        let mut quoted = false;
        let end = rest[start..].find(|letter| {
            quoted ^= letter == '"';
            letter == '>' && !quoted
        });
        let end = start + end.expect("every tag is closed");
        found.push(&rest[start + 1..end]);
        rest = &rest[end..];
    }
    found
}

fn attributes(tag: &str) -> Vec<&str> {
    let mut quoted = false;
    let parts = tag.split(move |letter| {
        quoted ^= letter == '"';
        letter == ' ' && !quoted
    });
    parts.skip(1).filter(|part| !part.is_empty()).collect()
}
