//! `quayside lesson test` plays lessons in fresh sandboxes and prints what came of it; `quayside lesson lint` only reads,
//! and `quayside lesson new` makes one.

mod new;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use clap::{Args, Subcommand, ValueEnum};
use quayside_runtime::launch::parent::Layers;

use super::Data;
use crate::lesson::model::{Diagnostic, Item, Level, Library};
use crate::lesson::{lint, load_library, load_library_with};
use crate::rehearsal::{self, Finding, Stage, Stopped, Tally, Verdict, Wish};
use crate::sandbox::alone::Alone;
use crate::stop::Signals;

/// What a shell calls the end by Ctrl-C.
const INTERRUPTED: i32 = 130;

#[derive(Debug, Args)]
pub struct Lesson {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Play lessons in fresh sandboxes: every check must fail before its step is done and pass afterwards
    Test(Test),
    /// Read lessons and say what is wrong with them, with file, line and column; run nothing
    Lint(Lint),
    /// Make a small lesson that is sound, to be changed into your own
    New(new::New),
}

#[derive(Debug, Args)]
struct Lint {
    /// How to say it: for people, or for programs
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// A warning is a failure
    #[arg(long)]
    strict: bool,
    /// A folder of courses, one repository, or a single scenario
    dir: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Text,
    Json,
}

#[derive(Debug, Args)]
struct Test {
    #[command(flatten)]
    data: Data,
    /// Only this scenario, by the name of its folder, or as COURSE/SCENARIO
    #[arg(long, value_name = "NAME")]
    scenario: Option<String>,
    /// A step without a check, a hint or a solution is a failure, and so is every warning
    #[arg(long)]
    strict: bool,
    /// Also press every run action of the texts, in a second sandbox, instead of running the solutions
    #[arg(long = "type")]
    typing: bool,
    /// Play on this image of the catalogue instead of the environments' own; `host` needs no download
    #[arg(long, value_name = "NAME")]
    image: Option<String>,
    /// A folder of courses, one repository, or a single scenario
    dir: PathBuf,
}

impl Lesson {
    pub fn main(self) -> anyhow::Result<i32> {
        match self.verb {
            Verb::Test(test) => test.main(),
            Verb::Lint(lint) => lint.main(),
            Verb::New(new) => new.main(),
        }
    }
}

impl Lint {
    /// 0: nothing is wrong; 1: something is.
    fn main(self) -> anyhow::Result<i32> {
        ensure!(self.dir.is_dir(), "there is no directory {}; name one that holds lessons", self.dir.display());
        let library = load_library(&self.dir);
        let scenarios = library.courses.iter().map(|course| course.items.len()).sum::<usize>();
        ensure!(scenarios > 0 || !library.courses.is_empty(), "{}", nothing_found(&self.dir, None));
        let remarks = lint::remarks(&library, &self.dir);
        let errors = remarks.iter().filter(|remark| remark.level == Level::Error).count();
        let warnings = remarks.len() - errors;
        match self.format {
            Format::Json => {
                let summary = serde_json::json!({ "scenarios": scenarios, "errors": errors, "warnings": warnings, "remarks": remarks });
                println!("{}", serde_json::to_string_pretty(&summary)?);
            }
            Format::Text => {
                remarks.iter().for_each(print_diagnostic);
                let counted = [counted(scenarios, "scenario"), counted(errors, "error"), counted(warnings, "warning")];
                println!("{}", counted.join(", "));
            }
        }
        Ok(i32::from(errors > 0 || (self.strict && warnings > 0)))
    }
}

impl Test {
    fn main(self) -> anyhow::Result<i32> {
        ensure!(self.dir.is_dir(), "there is no directory {}; name one that holds lessons", self.dir.display());
        let library = load_library_with(&self.dir, &self.data.settings()?.images.names());
        let items: Vec<(&str, &Item)> = library
            .courses
            .iter()
            .flat_map(|course| course.items.iter().map(|item| (course.slug.as_str(), item)))
            .filter(|(course, item)| self.scenario.as_ref().is_none_or(|name| is_called(name, course, item)))
            .collect();
        print_diagnostics(&library, &items);
        ensure!(!items.is_empty(), "{}", nothing_found(&self.dir, self.scenario.as_deref()));
        let mut tally = Tally::default();
        let played = self.play(&items, &mut tally)?;
        if played.is_err() {
            println!("stopped before the end");
        }
        println!("{tally}");
        Ok(match (played, tally.failed) {
            (Err(Stopped), _) => INTERRUPTED,
            (Ok(()), 0) => 0,
            (Ok(()), _) => 1,
        })
    }

    fn play(&self, items: &[(&str, &Item)], tally: &mut Tally) -> anyhow::Result<Result<(), Stopped>> {
        let images = self.prepare_images(items)?;
        let alone = match images.is_empty() {
            true => None,
            false => Some(Alone::new(self.data.open()?, self.data.host()?).context("cannot launch sandboxes")?),
        };
        // From here on there is something to clean up.
        let signals = Signals::take().context("cannot take signals")?;
        let wish = Wish { strict: self.strict, typing: self.typing };
        let mut tell = |finding: Finding| {
            tally.count(&finding.verdict);
            println!("{finding}");
            let _ = io::stdout().flush();
        };
        for (course, item) in items {
            let stage = match (&alone, self.image_of(item)) {
                (Some(alone), Some(image)) => match &images[image] {
                    Ok(layers) => Some(Stage { alone, image, layers }),
                    Err(why) => {
                        let scenario = format!("{course}/{}", item.slug());
                        tell(Finding { scenario, place: String::new(), verdict: Verdict::Failed(why.clone()) });
                        continue;
                    }
                },
                _ => None,
            };
            if let Err(stopped) = rehearsal::rehearse(course, item, wish, stage, &signals, &mut tell) {
                return Ok(Err(stopped));
            }
        }
        Ok(Ok(()))
    }

    fn image_of<'a>(&'a self, item: &'a Item) -> Option<&'a str> {
        let own = rehearsal::image_of(item)?;
        Some(self.image.as_deref().unwrap_or(own))
    }

    /// Every image that the items need, or why it is not to be had.
    fn prepare_images(&self, items: &[(&str, &Item)]) -> anyhow::Result<BTreeMap<String, Result<Layers, String>>> {
        let mut images = BTreeMap::new();
        let sources = super::sources(&self.data.settings()?.images)?;
        for name in items.iter().filter_map(|(_, item)| self.image_of(item)) {
            if !images.contains_key(name) {
                let prepared = super::image::prepare(&self.data.open()?, name, &sources);
                let layers = prepared
                    .map(|image| Layers { bottom_to_top: image.layer_paths(), env: image.env() })
                    .map_err(|error| format!("its image {name} cannot be prepared: {error:#}"));
                images.insert(name.to_owned(), layers);
            }
        }
        Ok(images)
    }
}

/// `1 scenario`, `2 scenarios`.
fn counted(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

fn is_called(name: &str, course: &str, item: &Item) -> bool {
    match name.split_once('/') {
        Some((in_course, slug)) => in_course == course && slug == item.slug(),
        None => name == item.slug(),
    }
}

fn nothing_found(dir: &Path, scenario: Option<&str>) -> String {
    let dir = dir.display();
    match scenario {
        Some(name) => format!("no scenario in {dir} is called {name}"),
        None => format!("there is no scenario in {dir}; one is a folder with an index.json"),
    }
}

/// The courses' own, then those of each item.
fn print_diagnostics(library: &Library, items: &[(&str, &Item)]) {
    let courses = library.courses.iter().flat_map(|course| &course.diagnostics);
    courses.chain(items.iter().flat_map(|(_, item)| diagnostics_of(item))).for_each(print_diagnostic);
}

fn diagnostics_of(item: &Item) -> &[Diagnostic] {
    match item {
        Item::Scenario(scenario) => &scenario.diagnostics,
        Item::Broken { diagnostics, .. } => diagnostics,
    }
}

/// The message, and the lines that it is about.
fn print_diagnostic(diagnostic: &Diagnostic) {
    println!("{diagnostic}");
    for (number, text) in &diagnostic.excerpt {
        let mark = if *number == diagnostic.line { '>' } else { ' ' };
        println!("{mark} {number:>4} | {text}");
        if *number == diagnostic.line && diagnostic.column > 0 {
            let before = text.chars().take(diagnostic.column as usize - 1);
            let indent: String = before.map(|letter| if letter == '\t' { '\t' } else { ' ' }).collect();
            println!("       | {indent}^");
        }
    }
}
