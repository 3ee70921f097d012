//! One scenario: from its folder to plain data, and everything that is wrong with it.
//!
//! A file that is missing costs its own place and no more. Only what leaves nothing to play makes a scenario
//! [`Item::Broken`].

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assets;
use super::check;
use super::diagnostic::{Report, SourceText};
use super::environment::{self, Resolved};
use super::greeting;
use super::image;
use super::index::{self, Asks, Index, Located, RawPage};
use super::json;
use super::keys;
use super::markdown::{self, Rendered, Setting, markup};
use super::model::{
    Action, ActionVerb, Diagnostic, FileTarget, Item, Lack, OpenTerminal, Page, PageKind, Scenario, Script, Solution,
    Verify,
};
use super::needs;
use super::placeholders;
use super::source::{self, Folder, Reach, SCRIPT_BYTES_MAX, TEXT_BYTES_MAX};

/// Steps of one scenario; an hour's lesson has about ten.
pub const STEPS_MAX: usize = 200;

/// Terminals that a page can show.
const TERMINALS_MAX: u16 = 9;

/// All texts of one scenario together: a page keeps its HTML in memory, which is a few times as long.
pub const TEXTS_BYTES_MAX: u64 = 8 << 20;

/// Where a scenario is, and what its course says about it.
#[derive(Debug, Clone)]
pub struct Spot {
    /// What names in messages are relative to.
    pub lessons: PathBuf,
    /// The repository it came with.
    pub root: PathBuf,
    pub dir: PathBuf,
    pub course: String,
    pub slug: String,
    /// `structure.json` may call it otherwise.
    pub title: Option<String>,
    pub description: Option<String>,
    /// Of the folder for translations that it lies in.
    pub language: Option<String>,
}

impl Spot {
    /// What a scenario without a title is called.
    fn folder_name(&self) -> String {
        self.dir.file_name().map_or_else(|| self.slug.clone(), |name| name.to_string_lossy().into_owned())
    }
}

/// Reads the scenario at a spot.
pub fn load(spot: &Spot) -> Item {
    let loaded = read_index(spot).map(|(loader, index)| loader.scenario(spot, &index));
    match loaded {
        Ok(scenario) => Item::Scenario(Arc::new(scenario)),
        Err(error) => Item::Broken {
            slug: spot.slug.clone(),
            title: spot.title.clone().unwrap_or_else(|| spot.slug.clone()),
            dir: spot.dir.clone(),
            diagnostics: vec![*error],
        },
    }
}

/// The one file without which there is nothing.
fn read_index(spot: &Spot) -> Result<(Loader, Index), Box<Diagnostic>> {
    let name = spot.dir.join("index.json");
    let name = name.strip_prefix(&spot.lessons).unwrap_or(&name).to_string_lossy().into_owned();
    let fail = |message: String| Box::new(Diagnostic::error(super::diagnostic::Place::file(&name), message));
    let mut folder = Folder::open(&spot.lessons, &spot.root, &spot.dir)
        .map_err(|error| fail(format!("cannot open the scenario's folder: {error}")))?;
    let found =
        folder.resolve(folder.dir(), "index.json", Reach::Scenario).and_then(|path| folder.read(&path, TEXT_BYTES_MAX));
    let bytes = found.map_err(|error| fail(format!("index.json {error}")))?;
    let (text, tidied) = source::decode(name.clone(), &bytes);
    let (root, warnings) = json::parse(&text)?;
    if !matches!(root.value, json::Value::Object(_)) {
        return Err(Box::new(
            Diagnostic::error(text.at(root.at), "a scenario should be an object, in braces")
                .hint("write {\"title\": …}"),
        ));
    }
    let index = index::read(&root);
    let resolved = environment::resolve(index.imageid.as_ref().map(|imageid| imageid.text.as_str()));
    let mut loader = Loader {
        folder,
        index: text,
        resolved,
        report: Report::default(),
        lacks: Vec::new(),
        commands: Vec::new(),
        checks: Vec::new(),
        text_room: TEXTS_BYTES_MAX,
        files: editor_directory(index.editor_path.as_deref()),
    };
    loader.report.extend(warnings);
    loader.report.extend(keys::remarks(&loader.index, &root));
    if tidied.not_utf8 {
        loader.report.push(Diagnostic::warning(loader.index.whole(), "the file is not UTF-8: some letters were lost"));
    }
    Ok((loader, index))
}

struct Loader {
    folder: Folder,
    index: SourceText,
    resolved: Resolved,
    report: Report,
    /// What the scenario as a whole lacks, each kind once.
    lacks: Vec<Lack>,
    /// Every shell text, for what the scenario asks of its machine.
    commands: Vec<String>,
    /// The checks of the steps.
    checks: Vec<String>,
    /// Bytes of texts that may still be read.
    text_room: u64,
    /// The directory that names of files are relative to.
    files: String,
}

impl Loader {
    fn scenario(mut self, spot: &Spot, index: &Index) -> Scenario {
        self.lacks.extend(self.resolved.refusal.clone());
        self.lacks.extend(lacks_of_interface(&index.asks));
        let title = spot.title.clone().or_else(|| index.title.clone()).unwrap_or_else(|| spot.folder_name());
        let description = spot.description.clone().or_else(|| index.description.clone()).unwrap_or_default();
        let pages = self.pages(index, &title, &description);
        let assets = assets::resolve(&mut self.folder, &self.index, &index.assets, &mut self.report);
        self.other_hosts(index);
        let terminals = self.terminals(index);
        let language = self.language(spot, index);
        let mut needs = needs::of(self.commands.iter().map(String::as_str), self.resolved.lacking);
        needs::decide(&mut needs, &self.checks);
        needs.into_iter().for_each(|lack| add_lack(&mut self.lacks, lack));
        for lack in pages.iter().flat_map(|page| &page.lacks) {
            add_lack(&mut self.lacks, lack.clone());
        }
        Scenario {
            course: spot.course.clone(),
            slug: spot.slug.clone(),
            dir: self.folder.dir().to_owned(),
            root: self.folder.root().to_owned(),
            digest: self.folder.digest(),
            files: self.folder.files(),
            title,
            description,
            difficulty: index.difficulty.clone(),
            time: index.time.clone(),
            namespace: index.namespace.clone(),
            imageid: index.imageid.as_ref().map(|imageid| imageid.text.clone()),
            environment: self.resolved.environment,
            pages,
            assets,
            diagnostics: self.report.into_vec(),
            lacks: one_of_a_kind(self.lacks),
            language,
            terminals,
            greetings: index.messages.clone().map(|message| message.and_then(|message| greeting::clean(&message))),
        }
    }

    // Pages

    fn pages(&mut self, index: &Index, title: &str, description: &str) -> Vec<Page> {
        let mut pages: Vec<Page> = Vec::with_capacity(index.steps.len() + 2);
        if let Some(raw) = &index.intro {
            let mut intro = self.page(PageKind::Intro, raw, title);
            intro.hidden = index.hides_intro && !index.steps.is_empty();
            if let Some(credits) = index.credits.as_deref().filter(|credits| !credits.trim().is_empty()) {
                let credits = markup::escape(credits.trim());
                intro.html.push_str(&format!("<p class=\"credits\">Credits: {credits}</p>\n"));
            }
            pages.push(intro);
        }
        if index.steps.len() > STEPS_MAX {
            let message = format!("{} steps: only the first {STEPS_MAX} are shown", index.steps.len());
            self.report.push(Diagnostic::warning(self.index.whole(), message));
        }
        for (number, raw) in (1..).zip(index.steps.iter().take(STEPS_MAX)) {
            pages.push(self.page(PageKind::Step(number), raw, &format!("Step {number}")));
        }
        if let Some(raw) = index.finish.as_ref().filter(|_| !index.hides_finish || pages.is_empty()) {
            pages.push(self.page(PageKind::Finish, raw, "Finished"));
        }
        if pages.is_empty() {
            // A machine to play in, and nothing to read: the description is the page.
            let html =
                if description.is_empty() { String::new() } else { format!("<p>{}</p>", markup::escape(description)) };
            pages.push(Page { html, ..empty_page(PageKind::Intro, title) });
        }
        if let Some(first) = pages.iter_mut().find(|page| !page.hidden) {
            self.files_to_look_at(first, &index.files);
        }
        pages
    }

    fn page(&mut self, kind: PageKind, raw: &RawPage, title: &str) -> Page {
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
    fn files_to_look_at(&self, page: &mut Page, files: &[Located]) {
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

    // What stands around the pages

    /// Terminals beside the first, on this machine.
    fn terminals(&mut self, index: &Index) -> Vec<OpenTerminal> {
        let here = index.terminals.iter().filter(|terminal| !terminal.target.as_deref().is_some_and(is_second_host));
        let named = (2..=TERMINALS_MAX).zip(here.clone()).map(|(number, terminal)| OpenTerminal {
            number,
            name: terminal.name.clone().unwrap_or_else(|| format!("Terminal {number}")),
            command: terminal.command.as_deref().map(|command| placeholders::filled(command).0),
        });
        let open: Vec<OpenTerminal> = named.collect();
        if let Some(more) = here.clone().nth(open.len()) {
            let message = format!("more than {TERMINALS_MAX} terminals: this one and what follows are not opened");
            self.report.push(Diagnostic::warning(self.index.at(more.at), message));
        }
        open
    }

    /// As the scenario says, or as its folder does.
    fn language(&mut self, spot: &Spot, index: &Index) -> Option<String> {
        let Some(said) = &index.language else { return spot.language.clone() };
        if is_language(&said.text) {
            return Some(said.text.clone());
        }
        let message = format!("`{}` is not the name of a language", said.text);
        self.report.push(Diagnostic::warning(self.index.at(said.at), message).hint("write `de`, `pt-BR`, `zh-Hans`"));
        spot.language.clone()
    }

    /// What this page's commands ask of the machine.
    fn needs(&mut self, page: &mut Page) {
        let scripts =
            [page.foreground.as_ref(), page.background.as_ref(), page.verify.as_ref().map(|verify| &verify.script)];
        let scripts = scripts.into_iter().flatten().map(|script| String::from_utf8_lossy(&script.bytes).into_owned());
        let runs = page.actions.iter().filter(|action| matches!(action.verb, ActionVerb::Run { ctrl_seq: false, .. }));
        let commands: Vec<String> = scripts.chain(runs.map(|action| action.text.clone())).collect();
        for lack in needs::of(commands.iter().map(String::as_str), self.resolved.lacking) {
            add_lack(&mut page.lacks, lack);
        }
        self.commands.extend(commands);
    }

    fn other_hosts(&mut self, index: &Index) {
        let has_assets = index.assets.iter().any(|asset| is_second_host(&asset.host));
        let has_terminal =
            index.terminals.iter().any(|terminal| terminal.target.as_deref().is_some_and(is_second_host));
        if has_assets || has_terminal {
            let says = "This scenario uses a second machine, and there is one here.";
            add_lack(&mut self.lacks, Lack { what: "host2".into(), says: says.into(), fatal: false });
        }
    }

    // Files

    fn find(&mut self, reference: &Located) -> Option<PathBuf> {
        let found = self.folder.resolve(self.folder.dir(), &reference.text, Reach::Scenario);
        self.or_complain(found, reference)
    }

    fn read_bytes(&mut self, path: &Path, reference: &Located, limit: u64) -> Option<Vec<u8>> {
        let read = self.folder.read(path, limit);
        self.or_complain(read, reference)
    }

    fn read_text(&mut self, path: &Path, reference: &Located) -> Option<SourceText> {
        let bytes = self.read_bytes(path, reference, TEXT_BYTES_MAX.min(self.text_room))?;
        self.text_room -= bytes.len() as u64;
        let (text, tidied) = source::decode(self.folder.name_of(path), &bytes);
        if tidied.not_utf8 {
            self.report.push(
                Diagnostic::warning(text.whole(), "the file is not UTF-8: some letters were lost")
                    .hint("save it as UTF-8"),
            );
        }
        Some(text)
    }

    fn or_complain<T>(&mut self, found: Result<T, source::Unreadable>, reference: &Located) -> Option<T> {
        found
            .map_err(|error| {
                let message = format!("`{}` {error}", reference.text);
                self.report.push(Diagnostic::error(self.index.at(reference.at), message).maybe_hint(error.hint()));
            })
            .ok()
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

fn empty_page(kind: PageKind, title: &str) -> Page {
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

fn is_second_host(host: &str) -> bool {
    matches!(host, "host02" | "host2" | "host03" | "node01" | "node02")
}

/// Katacoda's editor looked for files in the learner's home, unless it was told otherwise.
fn editor_directory(said: Option<&str>) -> String {
    let said = said.map(str::trim).filter(|path| !path.is_empty());
    said.map_or_else(|| "/root".into(), |path| markdown::file_path(path, "/root"))
}

/// A tag as BCP 47 writes them, by its looks: `de`, `pt-BR`, `zh-Hans`.
pub fn is_language(tag: &str) -> bool {
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let is_word = |part: &str, lengths: std::ops::RangeInclusive<usize>| {
        lengths.contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
    };
    first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && is_word(first, 2..=3)
        && parts.all(|part| is_word(part, 1..=8))
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

/// What the scenario asks of the page around the terminal.
fn lacks_of_interface(asks: &Asks) -> Vec<Lack> {
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

fn add_lack(lacks: &mut Vec<Lack>, lack: Lack) {
    if !lacks.contains(&lack) {
        lacks.push(lack);
    }
}

/// Before the start each kind is said once; what is fatal comes first.
fn one_of_a_kind(lacks: Vec<Lack>) -> Vec<Lack> {
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
