//! A whole Dockerfile: its directives, its global arguments and its stages.

use serde::Serialize;

use super::instruction::{self, From, Instruction, Step};
use super::source::{Problem, Source, Span, Word};
use super::syntax::{self, Node, Tree};
use super::warning::{Check, Warning};

/// A Dockerfile that has been read; the same for every build of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dockerfile {
    /// What `# syntax=` says. We have one front end, so it is only shown.
    pub syntax: Option<Word>,
    /// What `# check=` says; so too.
    pub check: Option<Word>,
    /// `\` or a backquote.
    pub escape: char,
    /// `ARG` above the first `FROM`.
    pub globals: Vec<Step>,
    /// In their order; never empty.
    pub stages: Vec<Stage>,
    /// In the order of their lines.
    pub warnings: Vec<Warning>,
    pub source: Source,
}

/// A `FROM` and what follows it up to the next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stage {
    /// As written; `step` holds the same with its place.
    pub from: From,
    pub step: Step,
    pub steps: Vec<Step>,
}

/// Reads a Dockerfile. Any bytes are allowed, most are refused.
pub fn parse(bytes: &[u8]) -> Result<Dockerfile, Problem> {
    let source = Source::new(&bytes[..bytes.len().min(syntax::FILE_MAX_BYTES)]);
    match read(bytes, source.clone()) {
        Ok(dockerfile) => Ok(dockerfile),
        Err(problem) => Err(source.quote(problem)),
    }
}

/// Reads one of the triggers that an image's configuration records.
pub fn parse_trigger(text: &str) -> Result<Step, Problem> {
    let read = || {
        let tree = syntax::parse(text.as_bytes())?;
        let [node] = tree.nodes.as_slice() else {
            return Err(Problem::new(tree.nodes[1].at, "a trigger is one instruction, and this is a second"));
        };
        if let Some(name) = ["FROM", "MAINTAINER", "ONBUILD"].into_iter().find(|name| node.is(name)) {
            return Err(Problem::new(node.keyword.at, format!("{name} cannot be a trigger")));
        }
        instruction::step(node, tree.directives.escape(), &mut Vec::new())
    };
    read().map_err(|problem| Source::new(text.as_bytes()).quote(problem))
}

fn read(bytes: &[u8], source: Source) -> Result<Dockerfile, Problem> {
    let Tree { directives, nodes, mut warnings } = syntax::parse(bytes)?;
    let escape = directives.escape();
    let mut globals = Vec::new();
    let mut stages: Vec<Stage> = Vec::new();
    for node in &nodes {
        let step = instruction::step(node, escape, &mut warnings)?;
        match (&step.instruction, stages.last_mut()) {
            (Instruction::From(from), _) => stages.push(Stage { from: from.clone(), step, steps: Vec::new() }),
            (_, Some(stage)) => stage.steps.push(step),
            (Instruction::Arg(_), None) => globals.push(step),
            (other, None) => {
                let message = format!("{} stands before the first FROM", other.name());
                return Err(Problem::new(node.at, message).advise("only ARG may"));
            }
        }
    }
    if stages.is_empty() {
        let end = nodes.last().map_or(Span::default(), |node| node.at);
        return Err(Problem::new(end, "there is no FROM").advise("FROM says what the image starts from"));
    }
    check_case(&nodes, &mut warnings);
    check_names(&stages, &mut warnings);
    stages.iter().for_each(|stage| check_last_counts(stage, &mut warnings));
    warnings.sort_by_key(|warning| warning.at.start);
    Ok(Dockerfile { syntax: directives.syntax, check: directives.check, escape, globals, stages, warnings, source })
}

/// Most instructions are in capitals, or most are not; the others are told.
fn check_case(nodes: &[Node], warnings: &mut Vec<Warning>) {
    let upper = nodes.iter().filter(|node| node.keyword.text == node.keyword.text.to_ascii_uppercase()).count();
    let lower = nodes.iter().filter(|node| node.keyword.text == node.keyword.text.to_ascii_lowercase()).count();
    for node in nodes {
        let text = &node.keyword.text;
        let wanted = if lower > upper { text.to_ascii_lowercase() } else { text.to_ascii_uppercase() };
        if *text != wanted {
            let message = format!("{text} should be {wanted}, as most instructions here are");
            warnings.push(Warning::new(Check::ConsistentInstructionCasing, node.keyword.at, message));
        }
    }
}

fn check_names(stages: &[Stage], warnings: &mut Vec<Warning>) {
    let mut seen = std::collections::BTreeSet::new();
    for name in stages.iter().filter_map(|stage| stage.from.name.as_ref()) {
        if !seen.insert(name.as_str()) {
            let message = format!("a stage above is called {name} too; only this one can be named from here on");
            warnings.push(Warning::new(Check::DuplicateStageName, name.at, message));
        }
    }
}

/// Of several `CMD`, `ENTRYPOINT` or `HEALTHCHECK`, the last one counts.
fn check_last_counts(stage: &Stage, warnings: &mut Vec<Warning>) {
    for name in ["CMD", "ENTRYPOINT", "HEALTHCHECK"] {
        let mut useless = stage.steps.iter().filter(|step| step.instruction.name() == name).peekable();
        while let (Some(step), Some(_)) = (useless.next(), useless.peek()) {
            let message = format!("this {name} has no effect: another one follows in the same stage");
            warnings.push(Warning::new(Check::MultipleInstructionsDisallowed, step.at, message));
        }
    }
}

#[cfg(test)]
mod tests;
