//! Stages: what a Dockerfile builds, what each starts from, and which of them a target needs.
//!
//! [`Stages::resolve`] makes them of a [`Dockerfile`] and the arguments and platform of one build; they are what the
//! planner takes.

use std::collections::{BTreeSet, HashMap};

use serde::Serialize;

use super::dockerfile::{Dockerfile, Stage};
use super::instruction::{Instruction, Step};
use super::scope::Globals;
use super::source::{Problem, Word, nearest};
use super::warning::{Check, Warning};

/// A Dockerfile as one build sees it: bases expanded, target chosen, order known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stages {
    /// All of them; a stage's number is its place here.
    pub list: Vec<Resolved>,
    pub target: usize,
    /// The stages that the target needs, the target included, each behind all those that it needs itself.
    pub order: Vec<usize>,
    pub warnings: Vec<Warning>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resolved {
    /// In lower case.
    pub name: Option<String>,
    pub base: Base,
    /// What `--platform` says, expanded.
    pub platform: Option<String>,
    pub from: Step,
    pub steps: Vec<Step>,
    /// Numbers of the stages that it starts from, copies from or mounts; ascending, each once.
    pub needs: Vec<usize>,
}

/// What a stage starts from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Base {
    /// Nothing.
    Scratch,
    Stage(usize),
    /// As written, variables expanded; not looked up.
    Image(String),
}

/// What `COPY --from` or a mount's `from` means.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub enum Origin {
    Context,
    /// An empty tree: a mount with `from=scratch`.
    Scratch,
    Stage(usize),
    Image(String),
}

impl Stages {
    /// Expands every `FROM`, and works out which stages `target` (a name or a number; by default the last) needs.
    pub fn resolve(dockerfile: &Dockerfile, globals: &Globals, target: Option<&str>) -> Result<Self, Problem> {
        resolve(dockerfile, globals, target).map_err(|problem| dockerfile.source.quote(problem))
    }

    /// What `COPY --from`, or a mount's `from`, means in the stage with this number.
    ///
    /// Stages behind it cannot be copied from; for its own instructions [`Stages::resolve`] has already checked that.
    pub fn origin(&self, from: Option<&Word>, stage: usize) -> Result<Origin, Problem> {
        let Some(from) = from else { return Ok(Origin::Context) };
        let origin = Names::of(self.list.iter().map(|stage| stage.name.as_deref())).origin(from)?;
        match origin {
            Origin::Stage(other) if other >= stage => Err(forward(from, &self.list[stage].shown_name(stage))),
            origin => Ok(origin),
        }
    }
}

impl Resolved {
    /// Its name, or `stage-N`.
    pub fn shown_name(&self, number: usize) -> String {
        shown_name(self.name.as_deref(), number)
    }
}

impl Step {
    /// Every stage, number or image that it names, beside the context.
    pub fn origins(&self) -> Vec<&Word> {
        match &self.instruction {
            Instruction::Copy(copy) => copy.from.iter().collect(),
            Instruction::Run(run) => run.mounts.iter().filter_map(|mount| mount.from()).collect(),
            _ => Vec::new(),
        }
    }
}

fn shown_name(name: Option<&str>, number: usize) -> String {
    name.map_or_else(|| format!("stage-{number}"), str::to_owned)
}

fn resolve(dockerfile: &Dockerfile, globals: &Globals, target: Option<&str>) -> Result<Stages, Problem> {
    let names = Names::of(dockerfile.stages.iter().map(|stage| stage.from.name.as_ref().map(Word::as_str)));
    let mut warnings = Vec::new();
    let mut list = Vec::new();
    let mut edges = Vec::new();
    for (number, stage) in dockerfile.stages.iter().enumerate() {
        let base = base(stage, globals, &names, number, &mut warnings)?;
        let platform = platform(stage, globals, &mut warnings)?;
        let needed = needed(stage, &base, &names)?;
        let needs: BTreeSet<usize> = needed.iter().map(|(number, _)| *number).collect();
        edges.push(needed);
        list.push(Resolved {
            name: stage.from.name.as_ref().map(|name| name.text.clone()),
            base,
            platform,
            from: stage.step.clone(),
            steps: stage.steps.clone(),
            needs: needs.into_iter().collect(),
        });
    }
    let target = find_target(&list, &names, target)?;
    refuse_circles(&list, &edges)?;
    let order = order(&list, target);
    refuse_forward(&list, &edges, &order)?;
    Ok(Stages { list, target, order, warnings })
}

/// Stages by their names. Of two with one name the later counts.
struct Names<'a> {
    by_name: HashMap<&'a str, usize>,
    /// The number of each stage that has a name, in order.
    named: Vec<(usize, &'a str)>,
    count: usize,
}

impl<'a> Names<'a> {
    fn of(names: impl ExactSizeIterator<Item = Option<&'a str>>) -> Self {
        let count = names.len();
        let named: Vec<(usize, &str)> = names.enumerate().filter_map(|(number, name)| Some((number, name?))).collect();
        Self { by_name: named.iter().map(|(number, name)| (*name, *number)).collect(), named, count }
    }

    /// The last stage before `number` that has this name.
    fn before(&self, name: &str, number: usize) -> Option<usize> {
        let earlier = self.named.partition_point(|(other, _)| *other < number);
        let latest = self.by_name.get(name).filter(|found| **found < number).copied();
        latest.or_else(|| self.named[..earlier].iter().rev().find(|(_, other)| *other == name).map(|(found, _)| *found))
    }

    fn origin(&self, from: &Word) -> Result<Origin, Problem> {
        let text = from.text.as_str();
        if let Ok(number) = text.parse::<i64>() {
            return match usize::try_from(number) {
                Ok(number) if number < self.count => Ok(Origin::Stage(number)),
                _ => Err(Problem::new(from.at, format!("invalid stage index {number}"))
                    .advise(format!("the stages are 0 to {}", self.count - 1))),
            };
        }
        Ok(match self.by_name.get(text.to_lowercase().as_str()) {
            Some(number) => Origin::Stage(*number),
            None if text == "scratch" => Origin::Scratch,
            None => Origin::Image(text.to_owned()),
        })
    }
}

fn base(
    stage: &Stage,
    globals: &Globals,
    names: &Names<'_>,
    number: usize,
    warnings: &mut Vec<Warning>,
) -> Result<Base, Problem> {
    let word = &stage.from.base;
    let expanded = globals.expand(word)?;
    warn_undeclared(&expanded.unset, globals, word, warnings);
    let name = expanded.text;
    if name.is_empty() {
        let problem = Problem::new(word.at, format!("base name ({word}) should not be blank"));
        return Err(problem.advise("give its ARG a default above the first FROM, or a value with --build-arg"));
    }
    Ok(match names.before(&name.to_lowercase(), number) {
        Some(earlier) => Base::Stage(earlier),
        None if name == "scratch" => Base::Scratch,
        None => Base::Image(name),
    })
}

fn platform(stage: &Stage, globals: &Globals, warnings: &mut Vec<Warning>) -> Result<Option<String>, Problem> {
    let Some(word) = &stage.from.platform else { return Ok(None) };
    let expanded = globals.expand(word)?;
    warn_undeclared(&expanded.unset, globals, word, warnings);
    match expanded.text.is_empty() {
        true => Err(Problem::new(word.at, format!("empty platform value from expression {word}"))),
        false => Ok(Some(expanded.text)),
    }
}

fn warn_undeclared(unset: &BTreeSet<String>, globals: &Globals, word: &Word, warnings: &mut Vec<Warning>) {
    for name in unset.iter().filter(|name| !globals.is_declared(name)) {
        let message = match nearest(name, globals.names()) {
            Some(near) => format!("no ARG above the first FROM declares ${name}; did you mean ${near}?"),
            None => format!("no ARG above the first FROM declares ${name}"),
        };
        warnings.push(Warning::new(Check::UndefinedArgInFrom, word.at, message));
    }
}

/// A stage that another one needs, and the word that says so.
type Edge<'a> = (usize, &'a Word);

fn needed<'a>(stage: &'a Stage, base: &Base, names: &Names<'_>) -> Result<Vec<Edge<'a>>, Problem> {
    let mut needed = Vec::new();
    if let Base::Stage(number) = base {
        needed.push((*number, &stage.from.base));
    }
    for from in stage.steps.iter().flat_map(Step::origins) {
        if let Origin::Stage(number) = names.origin(from)? {
            needed.push((number, from));
        }
    }
    Ok(needed)
}

fn find_target(list: &[Resolved], names: &Names<'_>, target: Option<&str>) -> Result<usize, Problem> {
    let Some(target) = target else { return Ok(list.len() - 1) };
    let by_number = || target.parse::<usize>().ok().filter(|number| *number < list.len());
    let found = names.by_name.get(target.to_lowercase().as_str()).copied().or_else(by_number);
    found.ok_or_else(|| {
        let problem = Problem::new(list[0].from.at, format!("target stage {target:?} could not be found"));
        let known: Vec<&str> = names.named.iter().map(|(_, name)| *name).collect();
        match nearest(target, known.iter().copied()) {
            Some(near) => problem.advise(format!("did you mean {near}?")),
            None if known.is_empty() => problem.advise("no stage here has a name; FROM image AS name gives it one"),
            None => problem.advise(format!("there is {}", known.join(", "))),
        }
    })
}

/// The stages that `target` needs, ascending. Whatever it needs stands before it, so that is an order to build in.
fn order(list: &[Resolved], target: usize) -> Vec<usize> {
    let mut needed = BTreeSet::from([target]);
    let mut open = vec![target];
    while let Some(number) = open.pop() {
        open.extend(list[number].needs.iter().copied().filter(|other| needed.insert(*other)));
    }
    needed.into_iter().collect()
}

/// Docker refuses a circle wherever it is, even among stages that nobody needs.
///
/// Walks along the needs of every stage, depth first and without recursion. A stage is finished when all of its needs
/// are; to meet one that is open, but not finished, is to have come back to it.
fn refuse_circles(list: &[Resolved], edges: &[Vec<Edge<'_>>]) -> Result<(), Problem> {
    #[derive(Clone, Copy, PartialEq)]
    enum Walk {
        Unseen,
        Open,
        Finished,
    }
    let mut walks = vec![Walk::Unseen; list.len()];
    for start in 0..list.len() {
        let mut path = if walks[start] == Walk::Unseen { vec![(start, 0)] } else { Vec::new() };
        while let Some((number, next)) = path.last_mut() {
            walks[*number] = Walk::Open;
            let Some((other, word)) = edges[*number].get(*next) else {
                walks[*number] = Walk::Finished;
                path.pop();
                continue;
            };
            *next += 1;
            match walks[*other] {
                Walk::Unseen => path.push((*other, 0)),
                Walk::Finished => (),
                Walk::Open => {
                    let name = list[*other].shown_name(*other);
                    return Err(Problem::new(word.at, format!("circular dependency detected on stage: {name}"))
                        .advise("a stage cannot need what needs it"));
                }
            }
        }
    }
    Ok(())
}

fn refuse_forward(list: &[Resolved], edges: &[Vec<Edge<'_>>], order: &[usize]) -> Result<(), Problem> {
    for number in order {
        if let Some((_, word)) = edges[*number].iter().find(|(other, _)| other >= number) {
            return Err(forward(word, &list[*number].shown_name(*number)));
        }
    }
    Ok(())
}

fn forward(from: &Word, stage: &str) -> Problem {
    let message =
        format!("cannot copy from stage {:?}, it needs to be defined before current stage {stage:?}", from.text);
    Problem::new(from.at, message).advise("move it up")
}

#[cfg(test)]
mod tests;
