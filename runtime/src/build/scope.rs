//! Which variables are visible where, and what instructions say once they are expanded.
//!
//! There are three sets. The *global* arguments are declared above the first `FROM`; `FROM` sees them and nothing else
//! does, unless it declares them again without a default. A stage's *arguments* begin at their `ARG`, and processes of
//! `RUN` see them too. The *environment* begins with the base image's; `ENV` adds to it, and it wins over an argument
//! of the same name. A stage that starts from another one begins with that one's arguments and environment: clone its
//! scope.

mod expansion;

use std::collections::{BTreeMap, BTreeSet};

use super::dockerfile::Dockerfile;
use super::instruction::{Argument, Instruction, Step};
use super::shell::Expanded;
use super::source::{Problem, Span, Word, nearest};
use super::warning::{Check, Warning};
use expansion::{Expansion, expand};

/// The longest value. The kernel starts no process with a longer one (MAX_ARG_STRLEN, execve(2)).
pub const VALUE_MAX_BYTES: usize = 128 * 1024 - 1;

/// The largest environment, arguments included: the kernel's share of an 8 MiB stack for both, execve(2).
pub const ENVIRONMENT_MAX_BYTES: usize = 2 << 20;

/// The most variables of one instruction, and of one stage. Images have a few dozen.
pub const VARIABLES_MAX: usize = 1024;

/// Arguments that `RUN` gets without declaring them, if they are given. They say how this machine reaches others, so
/// they are in no image and change no key.
pub const PROXIES: [&str; 10] = [
    "HTTP_PROXY",
    "http_proxy",
    "HTTPS_PROXY",
    "https_proxy",
    "FTP_PROXY",
    "ftp_proxy",
    "NO_PROXY",
    "no_proxy",
    "ALL_PROXY",
    "all_proxy",
];

/// What an image runs on, in the words of OCI.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Platform {
    pub os: String,
    pub architecture: String,
    /// `v7` of `linux/arm/v7`; may be empty.
    pub variant: String,
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if self.variant.is_empty() { Ok(()) } else { write!(f, "/{}", self.variant) }
    }
}

/// What one build adds to a Dockerfile.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inputs {
    /// `--build-arg`.
    pub arguments: BTreeMap<String, String>,
    /// `--target`: a stage's name or number; by default the last.
    pub target: Option<String>,
    pub build_platform: Platform,
    pub target_platform: Platform,
}

/// Arguments that `FROM` sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Globals {
    values: BTreeMap<String, String>,
    /// With or without a value.
    declared: BTreeSet<String>,
    given: BTreeMap<String, String>,
    escape: char,
}

impl Globals {
    pub fn new(dockerfile: &Dockerfile, inputs: &Inputs) -> Result<Self, Problem> {
        let given = inputs.arguments.clone();
        let mut values = platform_arguments(inputs, dockerfile);
        for (name, value) in &mut values {
            if let Some(given) = given.get(name) {
                value.clone_from(given);
            }
        }
        let declared = values.keys().cloned().collect();
        let mut globals = Self { values, declared, given, escape: dockerfile.escape };
        for step in &dockerfile.globals {
            if let Instruction::Arg(arguments) = &step.instruction {
                let declared = arguments.iter().try_for_each(|argument| globals.declare(argument));
                declared.map_err(|problem| dockerfile.source.quote(problem))?;
            }
        }
        Ok(globals)
    }

    fn declare(&mut self, argument: &Argument) -> Result<(), Problem> {
        let name = argument.name.text.clone();
        let value = match (self.given.get(&name), &argument.default) {
            (Some(given), _) => Some(given.clone()),
            (None, Some(default)) => Some(self.expand(default)?.text),
            (None, None) => None,
        };
        self.declared.insert(name.clone());
        self.values.extend(value.map(|value| (name, value)));
        Ok(())
    }

    /// Expands a word of `FROM`, or a global default.
    pub fn expand(&self, word: &Word) -> Result<Expanded, Problem> {
        expand(word, self.escape, &|name| self.values.get(name).map(String::as_str))
    }

    pub fn is_declared(&self, name: &str) -> bool {
        self.declared.contains(name)
    }

    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.iter().map(String::as_str)
    }

    /// What was given of the proxies.
    pub fn proxies(&self) -> impl Iterator<Item = (&str, &str)> {
        PROXIES.iter().filter_map(|name| Some((*name, self.given.get(*name)?.as_str())))
    }
}

/// `TARGETPLATFORM` and its kind: global without being declared.
fn platform_arguments(inputs: &Inputs, dockerfile: &Dockerfile) -> BTreeMap<String, String> {
    let last = dockerfile.stages.last().and_then(|stage| stage.from.name.as_ref()).map(|name| name.text.clone());
    let stage = inputs.target.clone().or(last).unwrap_or_else(|| "default".to_owned());
    let mut values = BTreeMap::from([("TARGETSTAGE".to_owned(), stage)]);
    for (prefix, platform) in [("BUILD", &inputs.build_platform), ("TARGET", &inputs.target_platform)] {
        let parts = [
            ("PLATFORM", platform.to_string()),
            ("OS", platform.os.clone()),
            ("ARCH", platform.architecture.clone()),
            ("VARIANT", platform.variant.clone()),
        ];
        values.extend(parts.map(|(part, value)| (format!("{prefix}{part}"), value)));
    }
    values
}

/// What is visible at one place of a stage.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scope {
    globals: Globals,
    /// In the order in which they were first set.
    environment: Vec<(String, String)>,
    /// In the order of their `ARG`; none if declared without a value.
    arguments: Vec<(String, Option<String>)>,
}

/// An instruction with its variables expanded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Applied {
    pub instruction: Instruction,
    pub warnings: Vec<Warning>,
}

impl Scope {
    /// The beginning of a stage whose base image has this environment.
    pub fn new(globals: &Globals, environment: Vec<(String, String)>) -> Self {
        Self { globals: globals.clone(), environment, arguments: Vec::new() }
    }

    /// What the image will have.
    pub fn environment(&self) -> &[(String, String)] {
        &self.environment
    }

    /// Arguments with a value that no environment variable hides: what `RUN` has beside the environment, and what
    /// belongs to its key.
    pub fn arguments(&self) -> impl Iterator<Item = (&str, &str)> {
        let visible = |(name, value): &'_ (String, Option<String>)| {
            value.is_some() && !self.environment.iter().any(|(other, _)| other == name)
        };
        self.arguments
            .iter()
            .filter(move |one| visible(one))
            .filter_map(|(name, value)| Some((name.as_str(), value.as_deref()?)))
    }

    /// Expands one instruction, and takes note of what it declares.
    pub fn apply(&mut self, step: &Step) -> Result<Applied, Problem> {
        check_count(step)?;
        let mut expansion = Expansion::new(self);
        let instruction = expansion.instruction(&step.instruction)?;
        let unset = expansion.unset();
        match &instruction {
            Instruction::Env(pairs) => {
                for pair in pairs {
                    set(&mut self.environment, &pair.key.text, pair.value.text.clone());
                }
            }
            Instruction::Arg(arguments) => {
                for argument in arguments {
                    let value = argument.default.as_ref().map(|word| word.text.clone());
                    set(&mut self.arguments, &argument.name.text, value);
                }
            }
            _ => (),
        }
        self.check_size(step)?;
        let warnings = unset.into_iter().filter_map(|(name, at)| self.warn(&name, at)).collect();
        Ok(Applied { instruction, warnings })
    }

    fn check_size(&self, step: &Step) -> Result<(), Problem> {
        let environment: usize = self.environment.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let arguments: usize = self.arguments().map(|(name, value)| name.len() + value.len() + 2).sum();
        if self.environment.len() + self.arguments.len() > VARIABLES_MAX {
            return Err(Problem::new(step.at, format!("the stage has more than {VARIABLES_MAX} variables")));
        }
        if environment + arguments > ENVIRONMENT_MAX_BYTES {
            let message =
                format!("the variables are larger than {ENVIRONMENT_MAX_BYTES} bytes; no process can have them");
            return Err(Problem::new(step.at, message));
        }
        Ok(())
    }

    fn warn(&self, name: &str, at: Span) -> Option<Warning> {
        if self.arguments.iter().any(|(declared, _)| declared == name) {
            return None;
        }
        let known = self.environment.iter().map(|(name, _)| name).chain(self.arguments.iter().map(|(name, _)| name));
        let message = match nearest(name, known.map(String::as_str)) {
            Some(near) => format!("nothing has set ${name}; did you mean ${near}?"),
            None if self.globals.is_declared(name) => {
                format!("nothing has set ${name}; an ARG above FROM must be declared again: ARG {name}")
            }
            None => format!("nothing has set ${name}"),
        };
        Some(Warning::new(Check::UndefinedVar, at, message))
    }

    fn value(&self, name: &str) -> Option<&str> {
        self.value_with(name, &[])
    }

    /// The same where `fresh` arguments hide older ones.
    fn value_with<'a>(&'a self, name: &str, fresh: &'a [(String, Option<String>)]) -> Option<&'a str> {
        if let Some((_, value)) = self.environment.iter().find(|(other, _)| other == name) {
            return Some(value);
        }
        let mut arguments = fresh.iter().chain(&self.arguments);
        arguments.find(|(other, _)| other == name).and_then(|(_, value)| value.as_deref())
    }
}

fn check_count(step: &Step) -> Result<(), Problem> {
    let count = match &step.instruction {
        Instruction::Env(pairs) => pairs.len(),
        Instruction::Arg(arguments) => arguments.len(),
        _ => 0,
    };
    match count > VARIABLES_MAX {
        true => Err(Problem::new(step.at, format!("more than {VARIABLES_MAX} variables in one instruction"))),
        false => Ok(()),
    }
}

fn set<V>(variables: &mut Vec<(String, V)>, name: &str, value: V) {
    match variables.iter_mut().find(|(other, _)| other == name) {
        Some((_, old)) => *old = value,
        None => variables.push((name.to_owned(), value)),
    }
}

#[cfg(test)]
mod tests;
