//! The renderer against one file for every rule, against attackers, and against noise.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::attacks::assert_harmless;
use super::{Image, MissingImage, PICTURES_MAX, Rendered, Setting, markup, render};
use crate::lesson::diagnostic::DIAGNOSTICS_MAX;
use crate::lesson::model::ActionVerb;
use crate::lesson::source::{TEXT_BYTES_MAX, decode};

/// Pictures whose name holds `here` exist.
fn image(source: &str) -> Image {
    match source.contains("here") {
        true => Ok(format!("file/{}", source.trim_start_matches("./"))),
        false => Err(MissingImage { message: format!("the picture `{source}` does not exist"), hint: None }),
    }
}

pub fn rendered(bytes: &[u8]) -> Rendered {
    let (source, _) = decode("text.md".into(), bytes);
    render(&source, Setting::default(), &mut image)
}

fn html(text: &str) -> String {
    rendered(text.as_bytes()).html
}

fn describe(rendered: &Rendered) -> String {
    let actions = rendered
        .actions
        .iter()
        .enumerate()
        .map(|(number, action)| format!("{number}: {:?} {:?}", action.verb, action.text));
    let targets = rendered.actions.iter().filter_map(|action| action.target.as_ref());
    let targets = targets.map(|target| format!("   in {:?} {:?}", target.path, target.marker));
    let quizzes = rendered.quizzes.iter().map(|quiz| format!("{quiz:#?}"));
    let lacks = rendered.lacks.iter().map(|lack| format!("lacks {}", lack.what));
    let diagnostics = rendered.diagnostics.iter().map(ToString::to_string);
    let about: Vec<String> = actions.chain(targets).chain(quizzes).chain(lacks).chain(diagnostics).collect();
    format!("{}\n-----\n{}", rendered.html.trim_end(), about.join("\n"))
}

#[test]
fn every_rule_renders_as_its_snapshot_says() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lessons/markdown");
    let mut files: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files.iter().filter(|file| file.extension().is_some_and(|extension| extension == "md")) {
        let name = file.file_stem().unwrap().to_string_lossy().into_owned();
        insta::with_settings!({ snapshot_path => &folder, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!(name, describe(&rendered(&fs::read(file).unwrap())));
        });
    }
}

#[test]
fn a_picture_elsewhere_becomes_a_link_in_its_authors_words() {
    let address = "https://example.com/here.png";
    let mut as_it_is = |source: &str| Ok(source.to_owned());
    let mut of = |text: &str| {
        let (source, _) = decode("text.md".into(), text.as_bytes());
        render(&source, Setting::default(), &mut as_it_is).html
    };
    let link = format!("<a href=\"{address}\" target=\"_blank\" rel=\"noopener noreferrer\">A &lt;map&gt;</a>");
    assert_eq!(of(&format!("![A <map>]({address})")).trim(), format!("<p>{link}</p>"));
    assert!(of(&format!("![]({address})")).contains(">A picture elsewhere</a>"));
    let within = of(&format!("[![badge]({address})](https://example.com/)"));
    assert!(within.contains(">badge</a>") && !within.contains("<img"), "{within}");
}

#[test]
fn an_authors_button_is_not_one_of_ours() {
    let rendered = rendered(b"<button data-action=\"0\" data-do=\"run\">x</button> `ls`{{exec}}");
    assert_eq!(rendered.html.matches("data-action").count(), 1);
    assert_eq!(rendered.actions.len(), 1);
}

#[test]
fn the_texts_of_many_actions_stay_with_their_numbers() {
    let text: String = (0..600).map(|number| format!("`echo {number}`{{{{exec}}}}\n\n")).collect();
    let rendered = rendered(text.as_bytes());
    assert_eq!(rendered.actions.len(), super::ACTIONS_MAX);
    assert_eq!(rendered.diagnostics.len(), 1, "said once");
    for (number, action) in rendered.actions.iter().enumerate() {
        assert_eq!(action.text, format!("echo {number}"));
    }
}

const SLOW_BYTES: usize = 60_000;

/// Unoptimised, and on a busy machine. What is quadratic takes far longer.
const SLOW: Duration = Duration::from_secs(5);

/// Texts in which a careless reader would look at everything for each thing.
#[test]
fn what_is_made_to_be_slow_is_not() {
    let pieces = [
        "> ",
        "- ",
        "<div>",
        "[",
        "`",
        "```{{exec}}\n",
        "````a\n```\n",
        "<iframe ",
        "<iframe src=x>",
        "{{TRAFFIC_",
        "[[HOST_SUBDOMAIN]]-",
        "`a`{{",
        "`a`{{exex}} ",
        "http://a.b ",
        "<pre class=\"file\" data-filename=\"a\">\n",
        "<script>\n",
        "<div>\n\n",
        ">>a<<\n",
        ">>a<<\n(*) b <!--\n",
        "(*) a\n",
        "!!! note\n",
        ":::tip\n",
        ":::\n",
        ":a",
        ":rocket:",
        "[[",
        "<img style='width:1px'>",
        "<!-- ",
        "<details>\n",
        "![a](b.png)\n",
        "`a` {{TRAFFIC_HOST1_80}} ",
        "# a\n",
        "| a ",
        "<a ",
        "&lt;",
        "*a ",
        "1. a\n   ",
        "1. ",
        "+ ",
        "**a ",
        "~~a _b ",
        "<b>",
        "<b><p>",
        "<table>",
        "<a><b>",
        "<svg>",
        "<i>*",
        "<li>",
        "<p>",
        "<font>",
        "[a](",
        "![",
        "[^1]",
        "<div></x>",
    ];
    let nested: String = (0..300).map(|level| format!("{}- a\n", "  ".repeat(level))).collect();
    let repeated = pieces.iter().map(|piece| piece.repeat(SLOW_BYTES / piece.len()));
    for text in repeated.chain([nested]) {
        let started = Instant::now();
        html(&text);
        let start: String = text.chars().take(40).collect();
        assert!(started.elapsed() < SLOW, "{start:?} took {:?}", started.elapsed());
    }
}

/// What is said about a thing names its place: of very many things, in the longest text that is read.
#[test]
fn places_in_a_long_text_are_found_at_once() {
    let longest = TEXT_BYTES_MAX as usize;
    let tags = "<div>\n\n".repeat(longest / "<div>\n\n".len());
    let pictures = |form: &str| (0..longest / 16).map(|number| form.replace('N', &format!("{number}.png"))).collect();
    let texts: [String; 4] = [tags, pictures("![](N)\n\n"), pictures("![](N)"), pictures("<img src=N>\n")];
    for text in texts {
        let started = Instant::now();
        let rendered = rendered(text.as_bytes());
        let start: String = text.chars().take(40).collect();
        assert!(started.elapsed() < 2 * SLOW, "{start:?} took {:?}", started.elapsed());
        assert_eq!(rendered.diagnostics.len(), DIAGNOSTICS_MAX, "{start:?}");
        assert!(rendered.diagnostics.iter().all(|it| it.line > 0), "{start:?}");
    }
}

#[test]
fn each_picture_is_looked_for_once_and_no_more_of_them_than_the_limit() {
    let text: String = (0..2 * PICTURES_MAX).map(|number| format!("![](here{number}.png) ![](here0.png)\n")).collect();
    let (source, _) = decode("text.md".into(), text.as_bytes());
    let mut looked = 0;
    let rendered = render(&source, Setting::default(), &mut |source| {
        looked += 1;
        Ok(source.to_owned())
    });
    assert_eq!(looked, PICTURES_MAX);
    assert_eq!(rendered.html.matches("<img").count(), 3 * PICTURES_MAX);
    assert!(rendered.diagnostics[0].message.contains("more than 500 pictures"));
}

/// The text content of the `<code>` of action `number`.
fn code_of(html: &str, number: usize) -> String {
    let from = html.find(&format!("data-action=\"{number}\"")).expect("the action is on the page");
    let start = from + html[from..].find("<code>").unwrap() + "<code>".len();
    let end = start + html[start..].find("</code>").unwrap();
    markup::unescape(&without_tags(&html[start..end]))
}

fn without_tags(html: &str) -> String {
    let mut text = html.to_owned();
    while let Some(start) = text.find('<') {
        let end = start + text[start..].find('>').expect("every tag is closed");
        text.replace_range(start..=end, "");
    }
    text
}

/// What lessons are made of, in any order.
fn noise() -> impl Strategy<Value = String> {
    let pieces = prop::sample::select(vec![
        "```",
        "````",
        "~~~",
        "`",
        "``",
        "{{exec}}",
        "{{copy}}",
        "{{execute T2}}",
        "{{",
        "}}",
        "\n",
        "\n\n",
        "    ",
        "  ",
        "- ",
        "1. ",
        "> ",
        "# ",
        "#",
        "<br>",
        "<details>",
        "<summary>",
        "</summary>",
        "</details>",
        "<pre>",
        "</pre>",
        "<pre class=\"file\" data-filename=\"a\">",
        "<!--",
        "-->",
        "<",
        ">",
        "&lt;",
        "&",
        "\"",
        "| a |",
        "|---|",
        "[x](",
        ")",
        "![",
        "](here.png)",
        "{{TRAFFIC_HOST1_80}}",
        "[[HOST_SUBDOMAIN]]-80-[[KATACODA_HOST]]",
        ">>Q: x<<",
        "(*) a",
        "[ ] b",
        "=== c",
        "=~= d",
        "<!-- why: ",
        "!!! note \"",
        ":::tip",
        ":::",
        "    x",
        "[[HOST_IP]]",
        "[[HOST2_IP]]",
        "{{open}}",
        ":rocket:",
        "<img style='width:",
        "50%'>",
        "```json",
        "$ ls",
        "<<EOF",
        "|:-:|",
        "<form>",
        "<input name=answer>",
        "<svg>",
        "<math><mtext>",
        "<style>",
        "<template>",
        "onerror=",
        "javascript:",
        "\t",
        "é",
        "日",
        "😀",
        "http://example.com/",
        "http://example.com/`a`",
        "<PRE>",
        "</Pre>",
        "<iframe src=x>",
        "</iframe>",
        "word",
        "*",
        "_",
        "~~",
        "[^1]",
        "[^1]: ",
        "---",
        "\r\n",
        "\0",
        "{2,3}",
        "yaml",
        "<a href=\"#x\">",
        "</a>",
        "<h1>",
        "<img src=",
    ]);
    prop::collection::vec(pieces, 0..60).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    #[test]
    fn no_text_makes_the_renderer_panic_or_dangerous(text in prop_oneof![noise(), any::<String>()]) {
        assert_harmless(&text);
    }

    #[test]
    fn nothing_of_what_stands_for_our_markup_reaches_the_page(text in noise()) {
        let (source, _) = decode("text.md".into(), text.as_bytes());
        let html = rendered(text.as_bytes()).html;
        prop_assert!(!html.contains(&super::token_for(&source.text)), "{html}");
    }

    #[test]
    fn every_action_on_a_page_is_what_its_code_says(text in noise()) {
        let rendered = rendered(text.as_bytes());
        for (number, action) in rendered.actions.iter().enumerate() {
            if rendered.html.contains(&format!("data-action=\"{number}\"")) {
                prop_assert_eq!(code_of(&rendered.html, number), action.text.clone());
            }
        }
    }

    #[test]
    fn the_text_of_a_block_reaches_the_page_byte_for_byte(lines in prop::collection::vec("[^`~\r\n\0\u{feff}]{0,40}", 1..6)) {
        let text = lines.join("\n");
        let rendered = rendered(format!("Text\n\n```\n{text}\n```{{{{exec}}}}\n").as_bytes());
        let expected = text.trim_end_matches('\n');
        if !text.contains("{{TRAFFIC_") {
            prop_assert_eq!(rendered.actions.len(), 1);
            let runs = matches!(rendered.actions[0].verb, ActionVerb::Run { .. });
            prop_assert!(runs);
            prop_assert_eq!(&rendered.actions[0].text, expected);
            prop_assert_eq!(code_of(&rendered.html, 0), expected);
        }
    }
}
