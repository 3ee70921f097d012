//! What a scenario asks for and does not get, as it is said before the start.

use crate::lesson::index::Asks;
use crate::lesson::model::Lack;

/// What the scenario asks of the page around the terminal.
pub(super) fn lacks_of_interface(asks: &Asks) -> Vec<Lack> {
    let mut lacks = Vec::new();
    let mut lack = |what: &str, says: String| lacks.push(Lack { what: what.into(), says, fatal: false });
    let layout = asks.layout.as_deref().unwrap_or("terminal").to_ascii_lowercase();
    if ["ide", "editor", "vscode"].iter().any(|kind| layout.contains(kind)) {
        lack("editor", "This scenario shows an editor beside the terminal, and there is none yet. Files can be looked at from the text, and edited in the terminal with nano or vi.".into());
    }
    if layout.contains("iframe") || asks.port.is_some() || !asks.dashboards.is_empty() {
        lack(
            "port",
            format!(
                "This scenario shows {} of the machine, and a browser cannot reach it yet. In the terminal, curl can.",
                pages_of_the_machine(asks)
            ),
        );
    }
    if layout == "terminal-terminal" {
        lack("host2", "This scenario uses a second machine, and there is one here.".into());
    }
    if asks.kind.as_deref().is_some_and(|kind| kind.starts_with("challenge")) {
        lack("challenge", "This scenario checks by itself while you work. Here you press Check.".into());
    }
    lacks
}

/// Each dashboard by its name and port.
fn pages_of_the_machine(asks: &Asks) -> String {
    let named = |(name, port): (&str, Option<&str>)| match (
        name,
        port.filter(|port| port.bytes().all(|byte| byte.is_ascii_digit())),
    ) {
        ("", None) => "a page".to_owned(),
        ("", Some(port)) => format!("a web page (port {port})"),
        (name, None) => format!("“{name}”"),
        (name, Some(port)) => format!("“{name}” (port {port})"),
    };
    let dashboards = asks.dashboards.iter().map(|it| (it.name.trim(), it.port.as_deref()));
    let is_named = |port: &str| asks.dashboards.iter().any(|it| it.port.as_deref() == Some(port));
    let port = asks.port.as_deref().filter(|port| !is_named(port)).map(|port| ("", Some(port)));
    let all: Vec<String> = dashboards.chain(port).map(named).collect();
    if all.is_empty() { "a web page".into() } else { all.join(", ") }
}

pub(super) fn add_lack(lacks: &mut Vec<Lack>, lack: Lack) {
    if !lacks.contains(&lack) {
        lacks.push(lack);
    }
}

/// Before the start each kind is said once; what is fatal comes first.
pub(super) fn one_of_a_kind(lacks: Vec<Lack>) -> Vec<Lack> {
    let mut kept: Vec<Lack> = Vec::new();
    let (fatal, others): (Vec<Lack>, Vec<Lack>) = lacks.into_iter().partition(|lack| lack.fatal);
    for lack in fatal.into_iter().chain(others) {
        if kept.iter().all(|earlier| earlier.what != lack.what) {
            kept.push(Lack { says: capitalised(&lack.says), ..lack });
        }
    }
    kept
}

/// At its place a lack continues a sentence; before the start it is one.
fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
