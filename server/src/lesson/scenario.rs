//! One scenario: from its folder to plain data, and everything that is wrong with it.
//!
//! A file that is missing costs its own place and no more. Only what leaves nothing to play makes a scenario
//! [`Item::Broken`].

mod lacks;
mod page;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::assets;
use super::diagnostic::{Report, SourceText};
use super::environment::{self, Resolved};
use super::greeting;
use super::index::{self, Index, Located};
use super::json;
use super::keys;
use super::markdown::{self, markup};
use super::model::{ActionVerb, Diagnostic, Item, Lack, OpenTerminal, Page, PageKind, Scenario};
use super::needs;
use super::placeholders;
use super::source::{self, Folder, Reach, TEXT_BYTES_MAX};
use lacks::{add_lack, lacks_of_interface, one_of_a_kind};
use page::empty_page;

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

/// Reads the scenario at a spot. `machines` are names that it may ask for besides those that are known everywhere.
pub fn load(spot: &Spot, machines: &[String]) -> Item {
    let loaded = read_index(spot, machines).map(|(loader, index)| loader.scenario(spot, &index));
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
fn read_index(spot: &Spot, machines: &[String]) -> Result<(Loader, Index), Box<Diagnostic>> {
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
    let resolved = environment::resolve(index.imageid.as_ref().map(|imageid| imageid.text.as_str()), machines);
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
        needs::decide(&mut needs, &self.checks, &self.commands);
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
