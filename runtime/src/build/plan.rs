//! What a build will do, as data: stages, and in each the steps with everything expanded.
//!
//! The planner needs the Dockerfile, what the caller adds, and the configs of the base images, and opens no file. What
//! it makes is what `quayside build --plan` prints, what keys are made of, and what is carried out.

mod config;
mod request;

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::dockerfile::{Dockerfile, parse_trigger};
use super::instruction::{Command, Instruction, Step};
use super::scope::{Globals, Inputs, PROXIES, Scope};
use super::source::Problem;
use super::stages::{Base, Stages};
use super::steps::request::{Network, Origin, Request};
use super::warning::Warning;
use crate::image::oci::RunConfig;

/// What images without a PATH get, as in Docker.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables of `--build-arg` that mean something to a builder without being declared.
const KNOWN_ARGUMENTS: &[&str] = &["SOURCE_DATE_EPOCH"];

/// What a caller adds to a Dockerfile, beside what [`Inputs`] has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wishes {
    pub inputs: Inputs,
    /// `--label`: wins over the Dockerfile's.
    pub labels: BTreeMap<String, String>,
    /// `--network`: for every `RUN` that does not say otherwise.
    pub network: Network,
    /// `--add-host`: names and addresses.
    pub extra_hosts: Vec<(String, String)>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// Those that the target needs, each behind those that it needs itself.
    pub stages: Vec<StagePlan>,
    /// The number of the stage that becomes the image.
    pub target: usize,
    #[serde(serialize_with = "warning_texts")]
    pub warnings: Vec<Warning>,
    /// Build arguments that no `ARG` asks for.
    pub unused_arguments: Vec<String>,
    /// `SOURCE_DATE_EPOCH`, in seconds since 1970: the image and its files are not younger.
    pub epoch: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StagePlan {
    pub number: usize,
    /// As people know it: its name, or `stage-1`.
    pub name: String,
    pub base: Base,
    /// `[build 1/7] FROM golang:1.20-alpine`; none for a stage that starts from another or from nothing.
    pub from: Option<String>,
    /// As it stands in the Dockerfile.
    pub from_text: String,
    pub needs: Vec<usize>,
    pub steps: Vec<PlannedStep>,
    /// Of an image that ends here.
    pub config: RunConfig,
    pub author: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedStep {
    /// `3/7` within its stage, for steps that make a layer.
    pub place: Option<String>,
    /// `[build 3/7] COPY . .`, or the instruction alone for a step that only changes the config.
    pub shown: String,
    /// As it stands in the Dockerfile.
    pub text: String,
    pub line: u32,
    /// It comes from the base image's `ONBUILD`.
    pub trigger: bool,
    /// What makes a layer.
    pub request: Option<Request>,
    /// Variables of a `RUN` that came from `ARG`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub arguments: Vec<String>,
    /// Variables of a `RUN` that are passed on and in no key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub uncounted: Vec<String>,
    /// What the image's history says.
    pub created_by: String,
}

/// The images that a build reads: those that stages start from, and those that files are copied from. Sorted.
pub fn images(stages: &Stages) -> Result<(BTreeSet<String>, BTreeSet<String>), Problem> {
    let (mut bases, mut others) = (BTreeSet::new(), BTreeSet::new());
    for number in &stages.order {
        let stage = &stages.list[*number];
        if let Base::Image(name) = &stage.base {
            bases.insert(name.clone());
        }
        for from in stage.steps.iter().flat_map(Step::origins) {
            if let super::stages::Origin::Image(name) = stages.origin(Some(from), *number)? {
                others.insert(name);
            }
        }
    }
    Ok((bases, others))
}

impl Plan {
    /// `bases` has the config of every image that a needed stage starts from, by its name as written.
    pub fn new(
        dockerfile: &Dockerfile,
        globals: &Globals,
        stages: &Stages,
        wishes: &Wishes,
        bases: &BTreeMap<String, RunConfig>,
    ) -> Result<Self, Problem> {
        let planner = Planner { dockerfile, globals, stages, wishes, bases };
        planner.plan().map_err(|problem| dockerfile.source.quote(problem))
    }

    pub fn stage(&self, number: usize) -> &StagePlan {
        self.stages.iter().find(|stage| stage.number == number).expect("stages are asked for by a plan's own numbers")
    }

    pub fn target_stage(&self) -> &StagePlan {
        self.stage(self.target)
    }
}

impl PlannedStep {
    pub fn reads_context(&self) -> bool {
        self.request.as_ref().is_some_and(|request| origins(request).contains(&Origin::Context))
    }
}

/// Trees that a step reads.
pub use request::origins;

struct Planner<'a> {
    dockerfile: &'a Dockerfile,
    globals: &'a Globals,
    stages: &'a Stages,
    wishes: &'a Wishes,
    bases: &'a BTreeMap<String, RunConfig>,
}

/// Where a stage ends: what one that starts from it begins with.
#[derive(Clone)]
struct End {
    scope: Scope,
    config: RunConfig,
    author: Option<String>,
}

impl Planner<'_> {
    fn plan(&self) -> Result<Plan, Problem> {
        let mut ends: BTreeMap<usize, End> = BTreeMap::new();
        let mut warnings = [&self.dockerfile.warnings[..], &self.stages.warnings].concat();
        let mut planned = Vec::new();
        for number in &self.stages.order {
            let (stage, end) = self.stage(*number, &ends, &mut warnings)?;
            ends.insert(*number, end);
            planned.push(stage);
        }
        let target = planned.iter_mut().find(|stage| stage.number == self.stages.target);
        target.expect("the target is among what it needs").config.labels.extend(self.wishes.labels.clone());
        Ok(Plan {
            stages: planned,
            target: self.stages.target,
            warnings,
            unused_arguments: self.unused_arguments(),
            epoch: self.epoch()?,
        })
    }

    fn stage(
        &self,
        number: usize,
        ends: &BTreeMap<usize, End>,
        warnings: &mut Vec<Warning>,
    ) -> Result<(StagePlan, End), Problem> {
        let resolved = &self.stages.list[number];
        let begin = self.begin(&resolved.base, ends);
        let triggers = begin.config.on_build.iter().map(|text| parse_trigger(text)).collect::<Result<Vec<_>, _>>()?;
        let steps: Vec<(&Step, bool)> =
            triggers.iter().map(|step| (step, true)).chain(resolved.steps.iter().map(|step| (step, false))).collect();
        let has_from = matches!(resolved.base, Base::Image(_));
        let total = usize::from(has_from) + steps.iter().filter(|(step, _)| makes_layer(step)).count();
        let prefix = match (&resolved.name, self.stages.list.len()) {
            (None, 1) => String::new(),
            _ => format!("{} ", resolved.shown_name(number)),
        };
        let mut place = usize::from(has_from);
        let mut stage = Under { planner: self, number, end: begin, command_is_own: false, warnings };
        stage.end.config.on_build.clear();
        let mut planned = Vec::new();
        for (step, trigger) in steps {
            let mut one = stage.step(step, trigger)?;
            if one.request.is_some() {
                place += 1;
                one.place = Some(format!("{place}/{total}"));
                one.shown = format!("[{prefix}{place}/{total}] {}", step.text);
            }
            planned.push(one);
        }
        let end = stage.end;
        let from = match &resolved.base {
            Base::Image(name) => Some(format!("[{prefix}1/{total}] FROM {name}")),
            Base::Scratch | Base::Stage(_) => None,
        };
        let stage = StagePlan {
            number,
            name: resolved.shown_name(number),
            base: resolved.base.clone(),
            from,
            from_text: resolved.from.text.clone(),
            needs: resolved.needs.clone(),
            steps: planned,
            config: end.config.clone(),
            author: end.author.clone(),
        };
        Ok((stage, end))
    }

    fn begin(&self, base: &Base, ends: &BTreeMap<usize, End>) -> End {
        let config = match base {
            Base::Stage(other) => return ends[other].clone(),
            Base::Scratch => RunConfig { working_dir: "/".into(), ..RunConfig::default() },
            Base::Image(name) => self.bases.get(name).cloned().unwrap_or_default(),
        };
        let mut environment = config.env_pairs();
        if !environment.iter().any(|(name, _)| name == "PATH") {
            environment.push(("PATH".into(), DEFAULT_PATH.into()));
        }
        let scope = Scope::new(self.globals, environment);
        let config = RunConfig { env: config::env(&scope), ..config };
        End { scope, config, author: None }
    }

    fn unused_arguments(&self) -> Vec<String> {
        let needed = self.stages.order.iter().flat_map(|number| &self.stages.list[*number].steps);
        let steps = self.dockerfile.globals.iter().chain(needed);
        let declared: BTreeSet<&str> = steps
            .filter_map(|step| match &step.instruction {
                Instruction::Arg(arguments) => Some(arguments.iter().map(|argument| argument.name.text.as_str())),
                _ => None,
            })
            .flatten()
            .collect();
        let known =
            |name: &str| PROXIES.contains(&name) || KNOWN_ARGUMENTS.contains(&name) || self.globals.is_declared(name);
        let given = self.wishes.inputs.arguments.keys();
        given.filter(|name| !declared.contains(name.as_str()) && !known(name)).cloned().collect()
    }

    fn epoch(&self) -> Result<Option<i64>, Problem> {
        let Some(text) = self.wishes.inputs.arguments.get("SOURCE_DATE_EPOCH").filter(|text| !text.is_empty()) else {
            return Ok(None);
        };
        let refused = || {
            Problem::new(self.stages.list[0].from.at, format!("SOURCE_DATE_EPOCH cannot be {text:?}"))
                .advise("it is a number of seconds since 1970")
        };
        text.parse::<i64>().ok().filter(|seconds| *seconds >= 0).map(Some).ok_or_else(refused)
    }
}

/// A stage that is being planned.
struct Under<'a, 'b> {
    planner: &'a Planner<'a>,
    number: usize,
    end: End,
    /// This stage has a `CMD` of its own, so a later `ENTRYPOINT` leaves it.
    command_is_own: bool,
    warnings: &'b mut Vec<Warning>,
}

impl Under<'_, '_> {
    fn step(&mut self, step: &Step, trigger: bool) -> Result<PlannedStep, Problem> {
        let applied = self.end.scope.apply(step)?;
        self.warnings.extend(applied.warnings);
        let instruction = applied.instruction;
        // What a step finds is the config before it; only WORKDIR is its own.
        self.config(&instruction)?;
        let request = self.request(&instruction)?;
        let (mut arguments, mut uncounted) = (Vec::new(), Vec::new());
        if matches!(instruction, Instruction::Run(_)) {
            arguments = self.end.scope.arguments().map(|(name, _)| name.to_owned()).collect();
            uncounted = self.proxies().map(|(name, _)| name.to_owned()).collect();
        }
        Ok(PlannedStep {
            place: None,
            shown: step.text.clone(),
            text: step.text.clone(),
            line: if trigger { self.planner.stages.list[self.number].from.at.start.line } else { step.at.start.line },
            trigger,
            created_by: self.created_by(&instruction, step, request.as_ref()),
            request,
            arguments,
            uncounted,
        })
    }

    /// Proxies that a `RUN` gets without having declared them.
    fn proxies(&self) -> impl Iterator<Item = (&str, &str)> {
        let declared: BTreeSet<&str> = self.end.scope.arguments().map(|(name, _)| name).collect();
        self.planner.globals.proxies().filter(move |(name, _)| !declared.contains(name))
    }

    /// What is executed, with the shell of the moment.
    fn words(&self, command: &Command) -> Vec<String> {
        let shell = match &self.end.config.shell[..] {
            [] => ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            shell => shell.to_vec(),
        };
        match command {
            Command::Shell(text) => [&shell[..], std::slice::from_ref(text)].concat(),
            Command::Exec(words) => words.clone(),
            Command::Script(script) => vec![format!("/dev/pipes/{}", script.name)],
        }
    }
}

fn makes_layer(step: &Step) -> bool {
    use Instruction::{Add, Copy, Run, Workdir};
    matches!(step.instruction, Run(_) | Copy(_) | Add(_) | Workdir(_))
}

/// A working directory, seen from the one before it.
pub fn join(directory: &str, path: &str) -> String {
    let path = if path.starts_with('/') { path.to_owned() } else { format!("{directory}/{path}") };
    super::ignore::clean(&format!("/{path}"))
}

fn warning_texts<S: serde::Serializer>(warnings: &[Warning], to: S) -> Result<S::Ok, S::Error> {
    to.collect_seq(warnings.iter().map(ToString::to_string))
}

#[cfg(test)]
mod tests;
