//! From a tree's node to an instruction, or to the reason why it is none.

use crate::build::source::{Problem, Word};
use crate::build::syntax::{Node, words};
use crate::build::warning::{Check, Warning};

use super::command::{command, health};
use super::files::{add, copy};
use super::flags::Flags;
use super::run::run;
use super::{Argument, From, Instruction, Pair, Step, Trigger, ports};

/// Every instruction, as people write it.
pub const NAMES: [&str; 18] = [
    "FROM",
    "RUN",
    "COPY",
    "CMD",
    "ENV",
    "ARG",
    "WORKDIR",
    "ENTRYPOINT",
    "EXPOSE",
    "ADD",
    "LABEL",
    "USER",
    "VOLUME",
    "SHELL",
    "HEALTHCHECK",
    "ONBUILD",
    "STOPSIGNAL",
    "MAINTAINER",
];

/// Reads one instruction.
pub fn step(node: &Node, escape: char, warnings: &mut Vec<Warning>) -> Result<Step, Problem> {
    let instruction = instruction(node, escape, warnings)?;
    Ok(Step { instruction, text: node.text.as_str().to_owned(), at: node.at })
}

fn instruction(node: &Node, escape: char, warnings: &mut Vec<Warning>) -> Result<Instruction, Problem> {
    let keyword = node.keyword.text.to_ascii_uppercase();
    let mut reader = Reader { name: &keyword, node, escape, warnings };
    Ok(match keyword.as_str() {
        "FROM" => Instruction::From(reader.from()?),
        "RUN" => Instruction::Run(run(&mut reader)?),
        "CMD" => Instruction::Cmd(reader.start()?),
        "ENTRYPOINT" => Instruction::Entrypoint(reader.start()?),
        "SHELL" => Instruction::Shell(reader.shell()?),
        "COPY" => Instruction::Copy(copy(&mut reader)?),
        "ADD" => Instruction::Add(add(&mut reader)?),
        "ENV" => Instruction::Env(reader.env()?),
        "LABEL" => Instruction::Label(reader.pairs()?),
        "ARG" => Instruction::Arg(reader.arguments()?),
        "WORKDIR" => Instruction::Workdir(reader.one()?),
        "USER" => Instruction::User(reader.one()?),
        "STOPSIGNAL" => Instruction::StopSignal(reader.one()?),
        "VOLUME" => Instruction::Volume(reader.volumes()?),
        "EXPOSE" => Instruction::Expose(reader.expose()?),
        "HEALTHCHECK" => Instruction::Healthcheck(health(&mut reader)?),
        "ONBUILD" => Instruction::Onbuild(reader.trigger()?),
        "MAINTAINER" => Instruction::Maintainer(reader.maintainer()?),
        _ => {
            let problem = Problem::new(node.keyword.at, format!("unknown instruction {}", node.keyword));
            let problem = problem.suggest(&keyword, NAMES);
            return Err(match problem.advice {
                Some(_) => problem,
                None => problem.advise("look for a line before it that should have ended with the escape character"),
            });
        }
    })
}

/// An instruction that is being read.
pub(super) struct Reader<'a> {
    /// In capitals.
    pub name: &'a str,
    pub node: &'a Node,
    pub escape: char,
    pub warnings: &'a mut Vec<Warning>,
}

impl Reader<'_> {
    pub fn problem(&self, message: impl AsRef<str>) -> Problem {
        Problem::new(self.node.at, format!("{} {}", self.name, message.as_ref()))
    }

    pub fn warn(&mut self, check: Check, message: impl Into<String>) {
        self.warnings.push(Warning::new(check, self.node.at, message));
    }

    pub fn flags(&self, known: &'static [&'static str]) -> Result<Flags, Problem> {
        Flags::read(self.name, &self.node.flags, known)
    }

    fn no_flags(&self) -> Result<(), Problem> {
        self.flags(&[]).map(drop)
    }

    pub fn rest(&self) -> &str {
        self.node.rest.as_str()
    }

    /// The strings, if the instruction has the form of an array.
    pub fn array(&mut self, text: &str) -> Result<Option<Vec<String>>, Problem> {
        match words::array(text) {
            Some(words::Array::Strings(strings)) => Ok(Some(strings)),
            Some(words::Array::Others) => Err(self
                .problem("has an array with something in it that is no string")
                .advise("put every argument into double quotes")),
            None => {
                if words::resembles_array(text) {
                    let name = self.name;
                    let what = if matches!(name, "RUN" | "CMD" | "ENTRYPOINT" | "HEALTHCHECK") {
                        "a shell gets it as text"
                    } else {
                        "it is read as words"
                    };
                    self.warn(
                        Check::JsonNotParsed,
                        format!("{name} begins like an array of JSON and is none, so {what}; JSON has double quotes and no comma at the end"),
                    );
                }
                Ok(None)
            }
        }
    }

    fn from(&mut self) -> Result<From, Problem> {
        let flags = self.flags(&["platform"])?;
        let words = words::blank_separated(&self.node.rest);
        let (base, name) = match words.as_slice() {
            [base] => (base, None),
            [base, keyword, name] if keyword.text.eq_ignore_ascii_case("as") => {
                self.check_as(keyword);
                (base, Some(self.stage_name(name)?))
            }
            _ => return Err(self.problem("has one argument, or three: FROM image AS name")),
        };
        Ok(From { base: base.clone(), platform: flags.value("platform"), name })
    }

    /// The same case in FROM and AS is easier to read.
    fn check_as(&mut self, keyword: &Word) {
        let from = &self.node.keyword;
        let wanted = match from.text.as_str() {
            text if *text == text.to_ascii_uppercase() => "AS",
            text if *text == text.to_ascii_lowercase() => "as",
            _ => return,
        };
        if keyword.text != wanted {
            self.warn(Check::FromAsCasing, format!("{} and {} are not in the same case", from.text, keyword.text));
        }
    }

    fn stage_name(&mut self, word: &Word) -> Result<Word, Problem> {
        let name = word.text.to_lowercase();
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '_' | '.');
        if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(allowed) {
            let message = format!("{} cannot be the name of a stage", word.text);
            return Err(Problem::new(word.at, message)
                .advise("it begins with a letter, and has letters, digits, dashes, dots and underscores"));
        }
        if name != word.text {
            let message = format!("the name of stage {} should be in lower case", word.text);
            self.warnings.push(Warning::new(Check::StageNameCasing, word.at, message));
        }
        if matches!(name.as_str(), "scratch" | "context") {
            let message = format!("a stage should not be called {name}: the word has a meaning of its own");
            self.warnings.push(Warning::new(Check::ReservedStageName, word.at, message));
        }
        Ok(Word::new(name, word.at))
    }

    /// `CMD` and `ENTRYPOINT`.
    fn start(&mut self) -> Result<super::Command, Problem> {
        self.no_flags()?;
        let text = self.rest().to_owned();
        let command = command(self, &text)?;
        if matches!(command, super::Command::Shell(_)) && !text.is_empty() && !words::resembles_array(&text) {
            let message =
                format!("{} as text is started by a shell, which gets the signals; an array of JSON is not", self.name);
            self.warn(Check::JsonArgsRecommended, message);
        }
        Ok(command)
    }

    fn shell(&mut self) -> Result<Vec<String>, Problem> {
        self.no_flags()?;
        let text = self.rest().to_owned();
        match self.array(&text)? {
            Some(shell) if !shell.is_empty() => Ok(shell),
            _ => Err(self
                .problem("needs an array of JSON with at least one string")
                .advise("for example SHELL [\"/bin/bash\", \"-c\"]")),
        }
    }

    fn pairs(&mut self) -> Result<Vec<Pair>, Problem> {
        self.no_flags()?;
        let found = words::assignments(&self.node.rest, self.escape, self.name)?;
        if found.is_empty() {
            return Err(self.problem("needs at least one name=value"));
        }
        if let Some(blank) = found.iter().find(|one| one.key.text.is_empty()) {
            return Err(Problem::new(blank.key.at, format!("{} has a value without a name", self.name)));
        }
        if found[0].legacy {
            let name = self.name;
            self.warn(
                Check::LegacyKeyValueFormat,
                format!("{name} key=value should be used instead of {name} key value"),
            );
        }
        Ok(found.into_iter().map(|one| Pair { key: one.key, value: one.value, legacy: one.legacy }).collect())
    }

    fn env(&mut self) -> Result<Vec<Pair>, Problem> {
        let pairs = self.pairs()?;
        for pair in &pairs {
            self.check_secret(&pair.key);
        }
        Ok(pairs)
    }

    fn arguments(&mut self) -> Result<Vec<Argument>, Problem> {
        self.no_flags()?;
        let found = words::quoted_words(&self.node.rest, self.escape);
        if found.is_empty() {
            return Err(self.problem("needs at least one name"));
        }
        let mut arguments = Vec::new();
        for word in &found {
            let argument = match word.text.split_once('=') {
                Some(("", _)) => return Err(Problem::new(word.at, "ARG has a default without a name")),
                Some((name, default)) => {
                    let (name, default) = words::halves(word, name, default);
                    Argument { name, default: Some(default) }
                }
                None => Argument { name: word.clone(), default: None },
            };
            self.check_secret(&argument.name);
            arguments.push(argument);
        }
        Ok(arguments)
    }

    /// What an image records can be read by everybody who has the image.
    fn check_secret(&mut self, key: &Word) {
        const SECRET: [&str; 10] =
            ["apikey", "auth", "credential", "credentials", "key", "password", "pword", "passwd", "secret", "token"];
        const HARMLESS: [&str; 3] = ["public", "file", "version"];
        let lower = key.text.to_ascii_lowercase();
        let has = |words: &[&str]| lower.split('_').any(|part| words.contains(&part));
        if has(&SECRET) && !has(&HARMLESS) {
            let message = format!("{} {} can be read from the image; use RUN --mount=type=secret", self.name, key.text);
            self.warnings.push(Warning::new(Check::SecretsUsedInArgOrEnv, key.at, message));
        }
    }

    /// Instructions whose one argument is all that follows.
    fn one(&mut self) -> Result<Word, Problem> {
        self.no_flags()?;
        match self.rest() {
            "" => Err(self.problem("needs an argument")),
            text => Ok(Word::new(text, self.node.rest.whole())),
        }
    }

    fn maintainer(&mut self) -> Result<Word, Problem> {
        let name = self.one()?;
        let message = "MAINTAINER is deprecated; use LABEL org.opencontainers.image.authors=…";
        self.warn(Check::MaintainerDeprecated, message);
        Ok(name)
    }

    fn volumes(&mut self) -> Result<Vec<Word>, Problem> {
        self.no_flags()?;
        let volumes = self.list()?;
        if volumes.is_empty() {
            return Err(self.problem("needs at least one folder"));
        }
        match volumes.iter().find(|volume| volume.text.trim().is_empty()) {
            Some(empty) => Err(Problem::new(empty.at, "VOLUME cannot be an empty name")),
            None => Ok(volumes.into_iter().map(|word| Word::new(word.text.trim(), word.at)).collect()),
        }
    }

    /// Words, or the strings of an array, which all have the array's place.
    pub fn list(&mut self) -> Result<Vec<Word>, Problem> {
        let text = self.rest().to_owned();
        Ok(match self.array(&text)? {
            Some(strings) => {
                let at = self.node.rest.whole();
                strings.into_iter().map(|text| Word::new(text, at)).collect()
            }
            None => words::blank_separated(&self.node.rest),
        })
    }

    fn expose(&mut self) -> Result<Vec<Word>, Problem> {
        self.no_flags()?;
        let found = words::blank_separated(&self.node.rest);
        if found.is_empty() {
            return Err(self.problem("needs at least one port"));
        }
        for word in found.iter().filter(|word| !word.text.contains(['$', '"', '\''])) {
            let exposed = ports::read(word)?;
            if exposed.protocol_in_capitals {
                let message = format!("the protocol of {word} should be in lower case");
                self.warnings.push(Warning::new(Check::ExposeProtoCasing, word.at, message));
            }
            if exposed.names_host {
                let message = format!("{word} says how a port is published; EXPOSE names only the container's port");
                self.warnings.push(Warning::new(Check::ExposeInvalidFormat, word.at, message));
            }
        }
        Ok(found)
    }

    fn trigger(&mut self) -> Result<Trigger, Problem> {
        self.no_flags()?;
        if self.rest().is_empty() {
            return Err(self.problem("needs an instruction"));
        }
        let mut inner = crate::build::syntax::split(self.node.rest.clone(), self.escape);
        inner.heredocs = self.node.heredocs.clone();
        if let Some(name) = ["ONBUILD", "FROM", "MAINTAINER"].into_iter().find(|name| inner.is(name)) {
            let message = format!("{name} cannot stand behind ONBUILD");
            return Err(Problem::new(inner.keyword.at, message));
        }
        let mut text = inner.text.as_str().to_owned();
        for heredoc in &inner.heredocs {
            text.push('\n');
            text.push_str(&heredoc.body.text);
            text.push_str(&heredoc.mark.name);
        }
        let instruction = instruction(&inner, self.escape, self.warnings)?;
        Ok(Trigger { text, instruction: Box::new(instruction) })
    }
}
