//! Which words of which instruction are expanded, and how.

use std::collections::BTreeMap;

use super::{Scope, VALUE_MAX_BYTES, set};
use crate::build::instruction::{
    Add, Argument, Copy, Files, Inline, Instruction, MountField, MountFlag, Pair, Run, Source,
};
use crate::build::shell::{Expanded, Shell};
use crate::build::source::{Problem, Span, Word};
use crate::build::syntax::FILE_MAX_BYTES;

/// One instruction on its way: every word that Docker expands, and what was not set.
pub(super) struct Expansion<'a> {
    scope: &'a Scope,
    unset: BTreeMap<String, Span>,
}

impl<'a> Expansion<'a> {
    pub fn new(scope: &'a Scope) -> Self {
        Self { scope, unset: BTreeMap::new() }
    }

    /// Variables that were not set, and where each was first asked for.
    pub fn unset(self) -> BTreeMap<String, Span> {
        self.unset
    }

    pub fn instruction(&mut self, instruction: &Instruction) -> Result<Instruction, Problem> {
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
                Instruction::Run(Run { mounts, ..run.clone() })
            }
            Instruction::Copy(copy) => {
                let files = self.files(&copy.files)?;
                Instruction::Copy(Copy { files, ..copy.clone() })
            }
            Instruction::Add(add) => {
                let files = self.files(&add.files)?;
                let checksum = self.option(&add.checksum)?;
                Instruction::Add(Add { files, checksum, ..add.clone() })
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
                Ok(Source::Inline(Inline { body, ..inline.clone() }))
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

pub(super) fn expand<'v>(
    word: &Word,
    escape: char,
    lookup: &dyn Fn(&str) -> Option<&'v str>,
) -> Result<Expanded, Problem> {
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
