//! Which variables are visible where, and what instructions say once they are expanded.
//!
//! There are three sets. The *global* arguments are declared above the first `FROM`; `FROM` sees them and nothing else
//! does, unless it declares them again without a default. A stage's *arguments* begin at their `ARG`, and processes of
//! `RUN` see them too. The *environment* begins with the base image's; `ENV` adds to it, and it wins over an argument
//! of the same name. A stage that starts from another one begins with that one's arguments and environment: clone its
//! scope.

use std::collections::{BTreeMap, BTreeSet};

use super::dockerfile::Dockerfile;
use super::instruction::{Argument, Files, Instruction, MountField, MountFlag, Pair, Source, Step};
use super::shell::{Expanded, Shell};
use super::source::{Problem, Word, nearest};
use super::syntax::FILE_MAX_BYTES;
use super::warning::{Check, Warning};

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
        let mut expansion = Expansion { scope: self, unset: BTreeMap::new() };
        let instruction = expansion.instruction(&step.instruction)?;
        let unset = expansion.unset;
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

    fn warn(&self, name: &str, at: super::source::Span) -> Option<Warning> {
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

fn expand<'v>(word: &Word, escape: char, lookup: &dyn Fn(&str) -> Option<&'v str>) -> Result<Expanded, Problem> {
    let read = Shell::new(escape, VALUE_MAX_BYTES).expand(&word.text, lookup);
    read.map_err(|error| Problem::new(word.at, format!("cannot expand {}: {error}", shortened(&word.text))))
}

/// A text for a message.
fn shortened(text: &str) -> String {
    const MAX_CHARS: usize = 60;
    match text.char_indices().nth(MAX_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// One instruction on its way: every word that Docker expands, and what was not set.
struct Expansion<'a> {
    scope: &'a Scope,
    unset: BTreeMap<String, super::source::Span>,
}

impl Expansion<'_> {
    fn instruction(&mut self, instruction: &Instruction) -> Result<Instruction, Problem> {
        Ok(match instruction {
            Instruction::Env(pairs) => Instruction::Env(self.pairs(pairs)?),
            Instruction::Label(pairs) => Instruction::Label(self.pairs(pairs)?),
            Instruction::Arg(arguments) => Instruction::Arg(self.arguments(arguments)?),
            Instruction::Workdir(word) => Instruction::Workdir(self.word(word)?),
            Instruction::User(word) => Instruction::User(self.word(word)?),
            Instruction::StopSignal(word) => Instruction::StopSignal(self.word(word)?),
            Instruction::Volume(words) => {
                Instruction::Volume(words.iter().map(|word| self.word(word)).collect::<Result<_, _>>()?)
            }
            Instruction::Expose(words) => Instruction::Expose(self.split(words)?),
            Instruction::Run(run) => {
                let mounts = run.mounts.iter().map(|mount| self.mount(mount)).collect::<Result<_, _>>()?;
                Instruction::Run(super::instruction::Run { mounts, ..run.clone() })
            }
            Instruction::Copy(copy) => {
                let files = self.files(&copy.files)?;
                Instruction::Copy(super::instruction::Copy { files, ..copy.clone() })
            }
            Instruction::Add(add) => {
                let files = self.files(&add.files)?;
                let checksum = self.option(&add.checksum)?;
                Instruction::Add(super::instruction::Add { files, checksum, ..add.clone() })
            }
            // The shell of the container expands commands, a later build expands triggers, `stages` expands FROM.
            Instruction::From(_)
            | Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Shell(_)
            | Instruction::Maintainer(_)
            | Instruction::Healthcheck(_)
            | Instruction::Onbuild(_) => instruction.clone(),
        })
    }

    fn word(&mut self, word: &Word) -> Result<Word, Problem> {
        Ok(Word::new(self.expand(word)?.text, word.at))
    }

    fn option(&mut self, word: &Option<Word>) -> Result<Option<Word>, Problem> {
        word.as_ref().map(|word| self.word(word)).transpose()
    }

    fn expand(&mut self, word: &Word) -> Result<Expanded, Problem> {
        let scope = self.scope;
        let expanded = expand(word, scope.globals.escape, &|name| scope.value(name))?;
        self.note(&expanded, word);
        Ok(expanded)
    }

    fn note(&mut self, expanded: &Expanded, word: &Word) {
        for name in &expanded.unset {
            self.unset.entry(name.clone()).or_insert(word.at);
        }
    }

    /// All values of one instruction are expanded before any of them is set: `ENV a=1 b=$a` does not see its own `a`.
    fn pairs(&mut self, pairs: &[Pair]) -> Result<Vec<Pair>, Problem> {
        let pair =
            |pair: &Pair| Ok(Pair { key: self.word(&pair.key)?, value: self.word(&pair.value)?, legacy: pair.legacy });
        pairs.iter().map(pair).collect()
    }

    /// What was given wins over a default, which is then not even expanded; without either, a global one's value counts.
    /// Unlike values of `ENV`, a default sees the arguments before it in the same instruction.
    fn arguments(&mut self, arguments: &[Argument]) -> Result<Vec<Argument>, Problem> {
        let scope = self.scope;
        let globals = &scope.globals;
        let mut fresh: Vec<(String, Option<String>)> = Vec::new();
        let mut all = Vec::new();
        for argument in arguments {
            let name = &argument.name.text;
            let value = match (globals.given.get(name), &argument.default) {
                (Some(given), _) => Some(given.clone()),
                (None, None) => globals.values.get(name).cloned(),
                (None, Some(default)) => {
                    let expanded = expand(default, globals.escape, &|name| scope.value_with(name, &fresh))?;
                    self.note(&expanded, default);
                    Some(expanded.text)
                }
            };
            set(&mut fresh, name, value.clone());
            let at = argument.default.as_ref().map_or(argument.name.at, |word| word.at);
            let default = value.map(|value| Word::new(value, at));
            all.push(Argument { name: argument.name.clone(), default });
        }
        Ok(all)
    }

    /// One word may become several, or none.
    fn split(&mut self, words: &[Word]) -> Result<Vec<Word>, Problem> {
        let mut all = Vec::new();
        for word in words {
            all.extend(self.expand(word)?.words.into_iter().map(|text| Word::new(text, word.at)));
        }
        Ok(all)
    }

    fn mount(&mut self, mount: &MountFlag) -> Result<MountFlag, Problem> {
        let field = |field: &MountField| Ok(MountField { key: field.key.clone(), value: self.option(&field.value)? });
        let fields = mount.fields.iter().map(field).collect::<Result<_, _>>()?;
        Ok(MountFlag { fields, at: mount.at })
    }

    fn files(&mut self, files: &Files) -> Result<Files, Problem> {
        Ok(Files {
            sources: files.sources.iter().map(|source| self.source(source)).collect::<Result<_, _>>()?,
            target: self.word(&files.target)?,
            chown: self.option(&files.chown)?,
            chmod: self.option(&files.chmod)?,
            link: files.link,
            excludes: files.excludes.clone(),
        })
    }

    fn source(&mut self, source: &Source) -> Result<Source, Problem> {
        match source {
            Source::Path(path) => Ok(Source::Path(self.word(path)?)),
            Source::Inline(inline) if inline.expands => {
                let body = self.body(&inline.body)?;
                Ok(Source::Inline(super::instruction::Inline { body, ..inline.clone() }))
            }
            Source::Inline(_) => Ok(source.clone()),
        }
    }

    /// A heredoc's body: quotes are text, and the escape character is the shell's own whatever the directive says.
    fn body(&mut self, body: &Word) -> Result<Word, Problem> {
        let scope = self.scope;
        let shell = Shell { ignores_quotes: true, ..Shell::new('\\', FILE_MAX_BYTES) };
        let expanded = shell.expand(&body.text, &|name| scope.value(name));
        let expanded =
            expanded.map_err(|error| Problem::new(body.at, format!("cannot expand the heredoc: {error}")))?;
        self.note(&expanded, body);
        Ok(Word::new(expanded.text, body.at))
    }
}
