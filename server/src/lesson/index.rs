//! `index.json`, in Killercoda's words and Katacoda's, as one plain structure with the places of its references.
//!
//! Both dialects are folded together here, misplaced keys included; unknown keys are ignored, as the originals do.
//! It opens no file: whether what is named exists is the business of `scenario`.

use super::json::Node;

/// A string, and the byte offset at which `index.json` says it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    pub text: String,
    pub at: usize,
}

#[derive(Debug, Clone, Default)]
pub struct Index {
    pub title: Option<String>,
    pub description: Option<String>,
    pub difficulty: Option<String>,
    pub time: Option<String>,
    /// Our own: which namespace the lesson is about.
    pub namespace: Option<String>,
    pub intro: Option<RawPage>,
    pub steps: Vec<RawPage>,
    pub finish: Option<RawPage>,
    pub assets: Vec<RawAsset>,
    pub imageid: Option<Located>,
    /// Our own: the language of its texts.
    pub language: Option<Located>,
    /// Whom the intro thanks.
    pub credits: Option<String>,
    pub hides_intro: bool,
    pub hides_finish: bool,
    /// Banners for the first terminal and the second.
    pub messages: [Option<String>; 2],
    pub terminals: Vec<RawTerminal>,
    /// Files that Katacoda opened in its editor.
    pub files: Vec<Located>,
    /// Where that editor looked for files.
    pub editor_path: Option<String>,
    /// What it asks of the interface around the terminal.
    pub asks: Asks,
}

#[derive(Debug, Clone, Default)]
pub struct RawPage {
    pub title: Option<String>,
    pub text: Option<Located>,
    pub foreground: Option<Located>,
    pub background: Option<Located>,
    pub verify: Option<Located>,
    pub hint: Option<Located>,
    /// `solution`, or Katacoda's `answer`.
    pub solution: Option<Located>,
}

#[derive(Debug, Clone)]
pub struct RawAsset {
    /// As written: `host01`, `client`, `node01`.
    pub host: String,
    pub file: Located,
    pub target: String,
    pub chmod: Option<String>,
}

/// One entry of Katacoda's `environment.terminals`.
#[derive(Debug, Clone)]
pub struct RawTerminal {
    pub at: usize,
    pub name: Option<String>,
    pub target: Option<String>,
    pub command: Option<String>,
}

/// Pages of the machine in a tab: their names, and which port each shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawDashboard {
    pub name: String,
    pub port: Option<String>,
}

/// Parts of the interface that a scenario names.
#[derive(Debug, Clone, Default)]
pub struct Asks {
    /// `interface.layout` or `environment.uilayout`.
    pub layout: Option<String>,
    pub dashboards: Vec<RawDashboard>,
    /// `backend.port`: a page of the machine beside the lesson.
    pub port: Option<String>,
    /// `challenge@1.0`: checks that ran by themselves.
    pub kind: Option<String>,
}

/// Folds a parsed `index.json` into one structure.
pub fn read(root: &Node) -> Index {
    // Some authors put the pages beside `details`, and some put `difficulty` within it: both are looked through.
    let details = root.get("details");
    let either = |key: &str| details.and_then(|details| details.get(key)).or_else(|| root.get(key));
    let text = |key: &str| root.get(key).or_else(|| either(key)).and_then(Node::text);
    Index {
        title: text("title"),
        description: text("description"),
        difficulty: text("difficulty"),
        time: text("time"),
        namespace: text("namespace"),
        intro: intro(either("intro"), details),
        steps: either("steps").map(|steps| steps.items().iter().map(page).collect()).unwrap_or_default(),
        finish: either("finish").map(page),
        assets: either("assets").map(assets).unwrap_or_default(),
        imageid: root.get("backend").and_then(|backend| located(backend, &["imageid", "imageId"])),
        language: located(root, &["language", "lang"]),
        credits: either("intro")
            .and_then(|intro| intro.get("credits"))
            .or_else(|| root.get("credits"))
            .and_then(Node::text),
        hides_intro: environment(root, "hideintro").is_some_and(is_true),
        hides_finish: environment(root, "hidefinish").is_some_and(is_true),
        messages: ["uimessage1", "uimessage2"].map(|key| environment(root, key).and_then(Node::text)),
        terminals: environment(root, "terminals").map(terminals).unwrap_or_default(),
        files: files(root, details),
        editor_path: environment(root, "uieditorpath").and_then(Node::text),
        asks: asks(root),
    }
}

fn environment<'a>(root: &'a Node, key: &str) -> Option<&'a Node> {
    root.get("environment")?.get(key)
}

fn is_true(node: &Node) -> bool {
    node.text().is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn terminals(node: &Node) -> Vec<RawTerminal> {
    let text = |item: &Node, key: &str| item.get(key).and_then(Node::text).filter(|text| !text.trim().is_empty());
    let terminal = |item: &Node| RawTerminal {
        at: item.at,
        name: text(item, "name"),
        target: text(item, "target"),
        command: text(item, "command"),
    };
    node.items().iter().map(terminal).collect()
}

fn files(root: &Node, details: Option<&Node>) -> Vec<Located> {
    let files = root.get("files").or_else(|| details.and_then(|details| details.get("files")));
    let items = files.map(Node::items).unwrap_or_default().iter();
    let file = |item: &Node| {
        let text = item.text().filter(|text| !text.trim().is_empty())?;
        Some(Located { text: text.trim().to_owned(), at: item.at })
    };
    items.filter_map(file).collect()
}

/// The intro, with scripts that were written beside it.
fn intro(node: Option<&Node>, details: Option<&Node>) -> Option<RawPage> {
    let beside = details.map(page).unwrap_or_default();
    let has_scripts = beside.foreground.is_some() || beside.background.is_some();
    let mut intro = match node {
        Some(node) => page(node),
        None if has_scripts => RawPage::default(),
        None => return None,
    };
    intro.foreground = intro.foreground.or(beside.foreground);
    intro.background = intro.background.or(beside.background);
    Some(intro)
}

/// One page; Katacoda's `code` and `courseData` are Killercoda's `foreground` and `background`.
fn page(node: &Node) -> RawPage {
    RawPage {
        title: node.get("title").and_then(Node::text),
        text: located(node, &["text"]),
        foreground: located(node, &["foreground", "code"]),
        background: located(node, &["background", "courseData"]),
        verify: located(node, &["verify"]),
        hint: located(node, &["hint"]),
        solution: located(node, &["solution", "answer"]),
    }
}

/// The first of these keys that holds a text; an empty one is as good as none.
fn located(node: &Node, keys: &[&str]) -> Option<Located> {
    keys.iter().find_map(|key| {
        let value = node.get(key)?;
        let text = value.text().filter(|text| !text.trim().is_empty())?;
        Some(Located { text: text.trim().to_owned(), at: value.at })
    })
}

fn assets(node: &Node) -> Vec<RawAsset> {
    let per_host = node.members().iter().map(|member| (&member.key, member.node.items()));
    per_host.flat_map(|(host, items)| items.iter().filter_map(move |item| asset(host, item))).collect()
}

fn asset(host: &str, item: &Node) -> Option<RawAsset> {
    Some(RawAsset {
        host: host.to_owned(),
        file: located(item, &["file"])?,
        target: item.get("target").and_then(Node::text).unwrap_or_default(),
        chmod: item.get("chmod").and_then(Node::text).filter(|mode| !mode.trim().is_empty()),
    })
}

fn asks(root: &Node) -> Asks {
    let within = |parent: &str, key: &str| root.get(parent).and_then(|parent| parent.get(key));
    let dashboard = |item: &Node| RawDashboard {
        name: item.get("name").and_then(Node::text).unwrap_or_default(),
        port: item.get("port").or_else(|| item.get("href")).and_then(Node::text),
    };
    Asks {
        layout: within("interface", "layout")
            .or_else(|| within("interface", "uilayout"))
            .or_else(|| environment(root, "uilayout"))
            .and_then(Node::text),
        dashboards: environment(root, "dashboards")
            .map(|list| list.items().iter().map(dashboard).collect())
            .unwrap_or_default(),
        port: within("backend", "port").and_then(Node::text),
        kind: root.get("type").and_then(Node::text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lesson::{diagnostic::SourceText, json};

    fn index(text: &str) -> Index {
        let source = SourceText { file: "index.json".into(), text: text.into() };
        read(&json::parse(&source).unwrap().0)
    }

    fn name(reference: &Option<Located>) -> &str {
        reference.as_ref().map_or("", |reference| &reference.text)
    }

    #[test]
    fn both_dialects_name_the_same_things() {
        let killercoda =
            index(r#"{"details": {"intro": {"text": "i.md", "foreground": "f.sh", "background": "b.sh"}}}"#);
        let katacoda = index(r#"{"details": {"intro": {"text": "i.md", "code": "f.sh", "courseData": "b.sh"}}}"#);
        for read in [killercoda, katacoda] {
            let intro = read.intro.unwrap();
            assert_eq!((name(&intro.text), name(&intro.foreground), name(&intro.background)), ("i.md", "f.sh", "b.sh"));
        }
    }

    #[test]
    fn misplaced_keys_are_found_and_empty_ones_are_none() {
        let read = index(
            r#"{"details": {"difficulty": "4 level", "background": "b.sh", "steps": [{"verify": ""}]}, "finish": {"text": "f.md"}}"#,
        );
        assert_eq!(read.difficulty.as_deref(), Some("4 level"));
        assert_eq!(name(&read.intro.unwrap().background), "b.sh");
        assert_eq!(name(&read.finish.unwrap().text), "f.md");
        assert!(read.steps[0].verify.is_none());
    }

    #[test]
    fn katacodas_interface_is_recognised() {
        let read = index(
            r#"{"environment": {"uilayout": "editor-terminal", "uimessage1": "x", "dashboards": [{"name": "a", "port": 80}],
                "terminals": [{"name": "two", "target": "host02"}]}, "backend": {"port": 8080}, "files": ["a.js"], "type": "challenge@1.0"}"#,
        );
        assert_eq!(read.asks.layout.as_deref(), Some("editor-terminal"));
        assert_eq!(read.asks.dashboards, [RawDashboard { name: "a".into(), port: Some("80".into()) }]);
        assert_eq!((read.files.len(), read.messages[0].as_deref()), (1, Some("x")));
        assert_eq!((read.asks.port.as_deref(), read.terminals[0].target.as_deref()), (Some("8080"), Some("host02")));
    }
}
