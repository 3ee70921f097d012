//! Carrying a build out: which steps are in the cache, which are done, and the image at the end.
//!
//! ```text
//! Dockerfile ─ base images ─ plan ─ context
//!                              │
//!              stages, as many at once as allowed: for each step
//!                key ─▶ hit                       ─┐
//!                  └──▶ why not ─▶ lock ─▶ carry out ─▶ layer, record ─▶ next
//!                              │
//!                           image
//! ```
//!
//! The first step that fails stops the others. What was done until then stays in the cache.

mod bases;
mod inherited;
mod files;
mod urls;
mod image;
mod carry;
mod stage;
mod board;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Mutex;
use std::time::Instant;

use super::cache::{Cache, CacheError};
use super::context::stamps::Stamps;
use super::context::{Context, ContextError};
use super::dockerfile::{self, Dockerfile};
use super::event::{Event, InstructionLine, What};
use super::ignore::{Ignore, IgnoreError, Visit};
use super::plan::{Plan, Wishes};
use super::scope::Globals;
use super::source::Problem;
use super::stages::Stages;
use super::steps::{StepError, Verdict};
use crate::container::Runner;
use crate::image::beneath::Name;
use crate::image::store::Image;
use crate::image::{ImageError, Progress, Reference, Store};

pub use stage::Stop;

/// How many stages are built at once if nobody says otherwise: one waits for the disk or the network while another
/// computes, and more would only slow each other down on a small machine.
pub const STAGES_AT_ONCE: usize = 2;

/// What is to be built.
#[derive(Debug)]
pub struct Job {
    /// For messages: `Dockerfile`.
    pub dockerfile_name: String,
    pub dockerfile: Vec<u8>,
    /// The folder; none if the Dockerfile came alone.
    pub context: Option<PathBuf>,
    /// The context came as a stream: its folder is gone after this build, and nothing is remembered of it.
    pub is_passing: bool,
    /// What is left out of it: the file's name and bytes.
    pub ignore: Option<(String, Vec<u8>)>,
    pub wishes: Wishes,
    pub names: Vec<Reference>,
    /// `--no-cache`: nothing is looked up; what is done is remembered.
    pub no_cache: bool,
    /// `--cache-from`: names of images whose own steps are believed.
    pub cache_from: Vec<String>,
    pub stages_at_once: usize,
    /// How large a `RUN --mount=type=cache` may be once a step has ended; a larger one is emptied.
    pub cache_mount_max_bytes: u64,
    pub secrets: BTreeMap<String, Vec<u8>>,
    /// Sockets of agents.
    pub agents: BTreeMap<String, PathBuf>,
}

/// Makes a base image ready that is not here: by its name as written. `None` if nobody knows it.
pub type Prepare<'a> = dyn Fn(&str, &mut dyn FnMut(Progress)) -> Result<Option<Image>, ImageError> + Sync + 'a;

/// What a build works with.
pub struct Tools<'a> {
    pub store: &'a Store,
    pub runner: &'a Runner,
    pub prepare: &'a Prepare<'a>,
    pub stop: &'a Stop,
}

#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    #[error("{name}: {problem}")]
    Dockerfile { name: String, problem: Box<Problem> },
    #[error("{name} cannot be read")]
    Ignore { name: String, source: IgnoreError },
    #[error("{wanted} needs a folder to read from, and the Dockerfile came alone; name a folder as the context")]
    NoContext { wanted: String },
    #[error("cannot get the image {name}{}", .line.map(|line| format!(" of line {line}")).unwrap_or_default())]
    Base { name: String, line: Option<u32>, source: Box<ImageError> },
    #[error("{name} runs on {image}, and this machine is {host}")]
    Platform { name: String, image: String, host: String },
    #[error("{shown}, line {line}")]
    Step { shown: String, line: u32, source: Box<StepError> },
    #[error("the build was stopped")]
    Stopped,
    #[error(transparent)]
    Context(#[from] ContextError),
    #[error(transparent)]
    Cache(#[from] CacheError),
    #[error(transparent)]
    Store(#[from] ImageError),
}

/// What a build would do, without doing anything but preparing base images.
pub fn plan(job: &Job, tools: &Tools, tell: &(dyn Fn(Event) + Sync)) -> Result<Plan, BuildError> {
    let voice = Voice::new(tell, tools.stop);
    Ok(read(job, tools, &voice)?.plan)
}

/// Builds the image and gives it its names.
pub fn build(job: &Job, tools: &Tools, tell: &(dyn Fn(Event) + Sync)) -> Result<Image, BuildError> {
    let voice = Voice::new(tell, tools.stop);
    let Read { plan, bases } = read(job, tools, &voice)?;
    plan.warnings.iter().for_each(|warning| voice.warn(&warning.to_string()));
    if !plan.unused_arguments.is_empty() {
        voice.warn(&format!("no ARG asks for the build argument {}", plan.unused_arguments.join(", ")));
    }
    let cache = Cache::open(tools.store)?;
    let inherited = inherited::Inherited::read(job, tools, &voice)?;
    let (context, ignore) = open_context(job, tools, &plan, &cache, &voice)?;
    let parts = announce(&plan, &bases, &voice);
    let site = Building {
        job,
        tools,
        plan: &plan,
        bases: &bases,
        cache: &cache,
        inherited: &inherited,
        context: &context,
        ignore: &ignore,
        parts: &parts,
        voice: &voice,
    };
    let end = board::run(&site);
    if let (Some(context), Some(path), false) = (&context, &job.context, job.is_passing) {
        // Without it the next build only reads more.
        let context = context.lock().expect("no step panics while it holds the context");
        let _ = context.stamps().save(&cache.stamps(path));
    }
    let image = image::commit(&site, end?)?;
    cache.trim()?;
    Ok(image)
}

struct Read {
    plan: Plan,
    bases: bases::Bases,
}

/// Everything that a step needs beside itself.
struct Building<'a> {
    job: &'a Job,
    tools: &'a Tools<'a>,
    plan: &'a Plan,
    bases: &'a bases::Bases,
    cache: &'a Cache,
    inherited: &'a inherited::Inherited,
    context: &'a Option<Mutex<Context>>,
    ignore: &'a Ignore,
    parts: &'a Parts,
    voice: &'a Voice<'a>,
}

/// Which part a planned step is, by stage and place in it.
#[derive(Debug, Default)]
struct Parts {
    bases: BTreeMap<usize, usize>,
    steps: BTreeMap<(usize, usize), usize>,
    image: usize,
}

/// Tells events, with their time and numbers for their parts.
struct Voice<'a> {
    tell: &'a (dyn Fn(Event) + Sync),
    stop: &'a Stop,
    began: Instant,
    parts: Mutex<usize>,
}

impl<'a> Voice<'a> {
    fn new(tell: &'a (dyn Fn(Event) + Sync), stop: &'a Stop) -> Self {
        Self { tell, stop, began: Instant::now(), parts: Mutex::new(0) }
    }

    fn say(&self, what: What) {
        (self.tell)(Event { at_ms: self.began.elapsed().as_millis() as u64, what });
    }

    fn warn(&self, text: &str) {
        self.say(What::Warning { text: text.to_owned() });
    }

    fn announce(&self, shown: &str, stage: Option<usize>) -> usize {
        let part = {
            let mut parts = self.parts.lock().expect("nobody panics while counting");
            *parts += 1;
            *parts
        };
        self.say(What::Announced { part, shown: shown.to_owned(), stage });
        part
    }

    /// Does something as a part of its own that is not looked up in the cache.
    fn part<T, E: std::fmt::Display>(&self, shown: &str, work: impl FnOnce(usize) -> Result<T, E>) -> Result<T, E> {
        let part = self.announce(shown, None);
        self.within(part, || work(part))
    }

    fn within<T, E: std::fmt::Display>(&self, part: usize, work: impl FnOnce() -> Result<T, E>) -> Result<T, E> {
        self.say(What::Began { part });
        let began = Instant::now();
        let result = work();
        match &result {
            Ok(_) => self.say(What::Done { part, took_ms: began.elapsed().as_millis() as u64, layer: None, bytes: 0 }),
            Err(_) if self.stop.is_stopped() => self.say(What::Cancelled { part }),
            Err(error) => self.say(What::Failed { part, message: error.to_string() }),
        }
        result
    }
}

fn read(job: &Job, tools: &Tools, voice: &Voice) -> Result<Read, BuildError> {
    let refused = |problem| BuildError::Dockerfile { name: job.dockerfile_name.clone(), problem: Box::new(problem) };
    let shown = format!("[internal] load build definition from {}", job.dockerfile_name);
    let (dockerfile, globals, stages) = voice.part(&shown, |_| resolve(job).map_err(refused))?;
    let bases = bases::find(&stages, tools, voice).map_err(|error| match error {
        bases::BasesError::Problem(problem) => refused(problem),
        bases::BasesError::Build(error) => error,
    })?;
    let plan = Plan::new(&dockerfile, &globals, &stages, &job.wishes, &bases.configs()).map_err(refused)?;
    Ok(Read { plan, bases })
}

fn resolve(job: &Job) -> Result<(Dockerfile, Globals, Stages), Problem> {
    let dockerfile = dockerfile::parse(&job.dockerfile)?;
    let globals = Globals::new(&dockerfile, &job.wishes.inputs)?;
    let stages = Stages::resolve(&dockerfile, &globals, job.wishes.inputs.target.as_deref())?;
    Ok((dockerfile, globals, stages))
}

/// Lists the context, if any step reads it.
fn open_context(
    job: &Job,
    tools: &Tools,
    plan: &Plan,
    cache: &Cache,
    voice: &Voice,
) -> Result<(Option<Mutex<Context>>, Ignore), BuildError> {
    let reading = plan.stages.iter().flat_map(|stage| &stage.steps).find(|step| step.reads_context());
    let Some(reading) = reading else { return Ok((None, Ignore::default())) };
    let Some(path) = &job.context else { return Err(BuildError::NoContext { wanted: reading.text.clone() }) };
    let ignore = match &job.ignore {
        None => Ignore::default(),
        Some((name, bytes)) => {
            Ignore::parse(bytes).map_err(|source| BuildError::Ignore { name: name.clone(), source })?
        }
    };
    let context = voice.part("[internal] read the build context", |part| {
        let stamps = Stamps::load(&cache.stamps(path));
        let mut judge = |name: &Name, is_folder: bool| verdict(&ignore, name, is_folder);
        let context = Context::open(path, stamps, &mut judge, &|| tools.stop.is_stopped())?;
        let text = format!("{} files and folders, read where they lie", context.entries().len());
        voice.say(What::Note { part, text });
        Ok::<_, ContextError>(context)
    });
    let context = context.map_err(|error| match error {
        ContextError::Stopped => BuildError::Stopped,
        error => error.into(),
    })?;
    Ok((Some(Mutex::new(context)), ignore))
}

/// What `.dockerignore` says of a name of the context.
fn verdict(ignore: &Ignore, name: &Name, is_folder: bool) -> Verdict {
    if ignore.is_empty() {
        return Verdict::Keep;
    }
    let path = name.as_path().to_string_lossy();
    match (is_folder, is_folder.then(|| ignore.visit(&path))) {
        (_, Some(Visit::Keep)) => Verdict::Keep,
        (_, Some(Visit::LookInside)) => Verdict::Drop,
        (_, Some(Visit::Skip)) => Verdict::DropAll,
        _ if ignore.excludes(&path) => Verdict::DropAll,
        _ => Verdict::Keep,
    }
}

/// Gives every base, every step and the image a number, in the order in which people read them.
fn announce(plan: &Plan, bases: &bases::Bases, voice: &Voice) -> Parts {
    let mut parts = Parts::default();
    let mut instructions = Vec::new();
    for stage in &plan.stages {
        let base = stage.from.as_ref().map(|shown| {
            let stands_in =
                bases.stands_in_for(stage).map(|what| format!(" (stands in for {what})")).unwrap_or_default();
            voice.announce(&format!("{shown}{stands_in}"), Some(stage.number))
        });
        instructions.push(InstructionLine { text: stage.from_text.clone(), part: base, runs: false });
        parts.bases.extend(base.map(|part| (stage.number, part)));
        for (index, step) in stage.steps.iter().enumerate() {
            let part = step.request.as_ref().map(|_| voice.announce(&step.shown, Some(stage.number)));
            parts.steps.extend(part.map(|part| ((stage.number, index), part)));
            let runs = matches!(step.request, Some(super::steps::request::Request::Run(_)));
            instructions.push(InstructionLine { text: step.text.clone(), part, runs });
        }
    }
    parts.image = voice.announce("exporting to image", None);
    voice.say(What::Planned { instructions });
    parts
}

#[cfg(test)]
mod tests;
