//! One page: its texts, its scripts and its check.

use std::path::Path;

use super::Loader;
use super::lacks::add_lack;
use crate::lesson::diagnostic::SourceText;
use crate::lesson::index::{Located, RawPage};
use crate::lesson::markdown::{self, Rendered, Setting, markup};
use crate::lesson::model::{
    Action, ActionVerb, Diagnostic, FileTarget, Lack, Page, PageKind, Script, Solution, Verify,
};
use crate::lesson::source::SCRIPT_BYTES_MAX;
use crate::lesson::{check, image, placeholders};

impl Loader {
    pub(super) fn page(&mut self, kind: PageKind, raw: &RawPage, title: &str) -> Page {
        let mut page = empty_page(kind, raw.title.as_deref().filter(|title| !title.trim().is_empty()).unwrap_or(title));
        if let Some(reference) = &raw.text {
            self.text(&mut page, reference);
            page.text_actions = page.actions.len();
        }
        page.foreground = self.script(raw.foreground.as_ref(), &mut page.lacks);
        page.background = self.script(raw.background.as_ref(), &mut page.lacks);
        page.verify = self.verify(kind, raw, &mut page);
        page.hint = raw.hint.as_ref().and_then(|reference| self.hint(&mut page, reference));
        page.solution = raw.solution.as_ref().and_then(|reference| self.solution(&mut page, reference));
        self.needs(&mut page);
        page
    }

    /// The files that Katacoda opened in its editor, as buttons under the first page's text.
    pub(super) fn files_to_look_at(&self, page: &mut Page, files: &[Located]) {
        let room = markdown::ACTIONS_MAX.saturating_sub(page.actions.len());
        let mut buttons = String::new();
        for file in files.iter().take(room) {
            let path = markdown::file_path(&file.text, &self.files);
            let target = Some(FileTarget { path, marker: String::new() });
            buttons.push_str(&format!(
                "<li>{}</li>",
                markup::inline(page.actions.len(), ActionVerb::Open, &markup::escape(&file.text))
            ));
            page.actions.push(Action { verb: ActionVerb::Open, text: file.text.clone(), target });
        }
        if !buttons.is_empty() {
            page.text_actions = page.actions.len();
            page.html.push_str(&format!(
                "<p class=\"files\">Files of this lesson:</p>\n<ul class=\"files\">{buttons}</ul>\n"
            ));
        }
    }

    fn text(&mut self, page: &mut Page, reference: &Located) {
        match self.rendered(page, reference) {
            Some(rendered) => page.html = without_title(rendered.html, &page.title),
            None => {
                let lack = Lack {
                    what: "text".into(),
                    says: format!(
                        "the file {} is missing or cannot be read. Tell the lesson's author.",
                        reference.text
                    ),
                    fatal: false,
                };
                page.html = format!("<p>{}</p>", markup::lack(&lack, "The text of this page"));
                page.lacks.push(lack);
            }
        }
    }

    /// A Markdown file as a part of a page: its actions and lacks are the page's.
    fn rendered(&mut self, page: &mut Page, reference: &Located) -> Option<Rendered> {
        let path = self.find(reference)?;
        let text = self.read_text(&path, reference)?;
        Some(self.render(page, &text, path.parent().unwrap_or(Path::new("/"))))
    }

    fn render(&mut self, page: &mut Page, text: &SourceText, from: &Path) -> Rendered {
        let folder = &mut self.folder;
        let mut images = |source: &str| image::address(folder, from, source);
        let setting = Setting { first_action: page.actions.len(), first_quiz: page.quizzes.len(), files: &self.files };
        let mut rendered = markdown::render(text, setting, &mut images);
        page.actions.extend(rendered.actions.iter().cloned());
        page.quizzes.append(&mut rendered.quizzes);
        for lack in rendered.lacks.drain(..) {
            add_lack(&mut page.lacks, lack);
        }
        self.report.extend(rendered.diagnostics.drain(..));
        rendered
    }

    /// A hint is a Markdown file, or words written in place.
    fn hint(&mut self, page: &mut Page, reference: &Located) -> Option<String> {
        if reference.text.ends_with(".sh") {
            let message = format!("the hint `{}` is a script; hints are shown, not run", reference.text);
            self.report
                .push(Diagnostic::warning(self.index.at(reference.at), message).hint("write it as a Markdown file"));
            return None;
        }
        if reference.text.contains(' ') {
            let text = SourceText { file: self.index.file.clone(), text: reference.text.clone() };
            let from = self.folder.dir().to_owned();
            return Some(self.render(page, &text, &from).html);
        }
        Some(self.rendered(page, reference)?.html)
    }

    /// A script is shown and can be run; a Markdown file is shown, and what can be run in it is the script.
    fn solution(&mut self, page: &mut Page, reference: &Located) -> Option<Solution> {
        if reference.text.to_ascii_lowercase().ends_with(".md") {
            let rendered = self.rendered(page, reference)?;
            return Some(Solution { html: rendered.html, script: script_of(&reference.text, &rendered.actions) });
        }
        let script = self.script(Some(reference), &mut page.lacks)?;
        let text = String::from_utf8_lossy(&script.bytes).trim_end().to_owned();
        let html = markup::block(page.actions.len(), ActionVerb::Copy, &text, &markup::escape(&text));
        page.actions.push(Action { verb: ActionVerb::Copy, text, target: None });
        Some(Solution { html, script: Some(script) })
    }

    // Scripts

    fn verify(&mut self, kind: PageKind, raw: &RawPage, page: &mut Page) -> Option<Verify> {
        let reference = raw.verify.as_ref()?;
        if !matches!(kind, PageKind::Step(_)) {
            self.report.push(
                Diagnostic::warning(self.index.at(reference.at), "only steps have a check; this one is not run")
                    .hint("move `verify` to a step"),
            );
            return None;
        }
        match self.script(Some(reference), &mut Vec::new()) {
            Some(script) => {
                let text = String::from_utf8_lossy(&script.bytes).into_owned();
                let wants_done = check::wants_done(&text);
                self.checks.push(text);
                Some(Verify { script, wants_done })
            }
            None => {
                let says = format!(
                    "the check of this step, {}, is missing or cannot be read. Go on without it.",
                    reference.text
                );
                page.lacks.push(Lack { what: "check".into(), says, fatal: false });
                None
            }
        }
    }

    fn script(&mut self, reference: Option<&Located>, lacks: &mut Vec<Lack>) -> Option<Script> {
        let reference = reference?;
        let read = self.find(reference).and_then(|path| self.read_bytes(&path, reference, SCRIPT_BYTES_MAX));
        let Some(bytes) = read else {
            let says = format!(
                "the script {} is missing or cannot be read; what it would prepare is not there.",
                reference.text
            );
            lacks.push(Lack { what: "script".into(), says, fatal: false });
            return None;
        };
        let bytes = self.with_addresses(reference, for_bash(bytes));
        Some(Script { path: reference.text.trim_start_matches('/').to_owned(), bytes })
    }

    /// Katacoda's `[[HOST_IP]]` in a script.
    fn with_addresses(&mut self, reference: &Located, bytes: Vec<u8>) -> Vec<u8> {
        let Ok(text) = std::str::from_utf8(&bytes) else { return bytes };
        let (filled, left) = placeholders::filled(text);
        if let Some(name) = left {
            let message = format!(
                "`{}` names `[[{name}]]`, which nothing here fills in: it is the address of a port or of another machine",
                reference.text
            );
            self.report.push(Diagnostic::warning(self.index.at(reference.at), message));
        }
        filled.into_bytes()
    }
}

/// Many texts begin with a heading that says the page's title again; the page has it already.
fn without_title(html: String, title: &str) -> String {
    let first =
        html.strip_prefix("<h2").and_then(|rest| rest.split_once('>')).and_then(|(_, rest)| rest.split_once("</h2>"));
    match first {
        Some((heading, rest)) if markup::unescape(heading).trim().eq_ignore_ascii_case(title.trim()) => {
            rest.trim_start().to_owned()
        }
        _ => html,
    }
}

pub(super) fn empty_page(kind: PageKind, title: &str) -> Page {
    Page {
        kind,
        title: title.to_owned(),
        hidden: false,
        quizzes: Vec::new(),
        html: String::new(),
        actions: Vec::new(),
        text_actions: 0,
        foreground: None,
        background: None,
        verify: None,
        hint: None,
        solution: None,
        lacks: Vec::new(),
    }
}

/// What runs in a solution's text, as a script.
fn script_of(path: &str, actions: &[Action]) -> Option<Script> {
    let runs: Vec<&str> = actions
        .iter()
        .filter(|action| matches!(action.verb, ActionVerb::Run { .. }))
        .map(|action| action.text.as_str())
        .collect();
    (!runs.is_empty()).then(|| Script { path: path.to_owned(), bytes: (runs.join("\n") + "\n").into_bytes() })
}

/// A script as bash can read it: no byte-order mark, no carriage returns at the ends of lines.
fn for_bash(bytes: Vec<u8>) -> Vec<u8> {
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").map(<[u8]>::to_vec).unwrap_or(bytes);
    let mut kept = Vec::with_capacity(bytes.len());
    for (index, &byte) in bytes.iter().enumerate() {
        let ends_line = byte == b'\r' && matches!(bytes.get(index + 1), Some(b'\n') | None);
        if !ends_line {
            kept.push(byte);
        }
    }
    kept
}
