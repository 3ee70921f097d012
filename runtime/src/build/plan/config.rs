//! What an instruction changes of an image's config, and what the image's history says of it.

use crate::build::instruction::{Command, HealthCommand, Healthcheck, Instruction, ports};
use crate::build::scope::Scope;
use crate::build::source::Problem;
use crate::build::steps::request::Request;
use crate::image::oci::{self, Empty};

use super::{Step, Under, join};

/// An environment as configs have it.
pub fn env(scope: &Scope) -> Vec<String> {
    scope.environment().iter().map(|(name, value)| format!("{name}={value}")).collect()
}

impl Under<'_, '_> {
    pub(super) fn config(&mut self, instruction: &Instruction) -> Result<(), Problem> {
        let words = |command: &Command| match command {
            // `CMD` alone.
            Command::Shell(text) if text.is_empty() => Vec::new(),
            command => self.words(command),
        };
        match instruction {
            Instruction::Env(_) => self.end.config.env = env(&self.end.scope),
            Instruction::Label(pairs) => {
                let pairs = pairs.iter().map(|pair| (pair.key.text.clone(), pair.value.text.clone()));
                self.end.config.labels.extend(pairs);
            }
            Instruction::Maintainer(name) => self.end.author = Some(name.text.clone()),
            Instruction::Cmd(command) => {
                self.end.config.cmd = Some(words(command));
                self.command_is_own = true;
            }
            Instruction::Entrypoint(command) => {
                self.end.config.entrypoint = Some(words(command));
                // What the base starts would be arguments of a program that it was not written for.
                if !self.command_is_own {
                    self.end.config.cmd = None;
                }
            }
            Instruction::Shell(words) => self.end.config.shell = words.clone(),
            Instruction::Workdir(path) => {
                self.end.config.working_dir = join(&self.end.config.working_dir, &path.text);
            }
            Instruction::User(user) => self.end.config.user = user.text.clone(),
            Instruction::Volume(paths) => {
                self.end.config.volumes.extend(paths.iter().map(|path| (path.text.clone(), Empty {})));
            }
            Instruction::Expose(words) => {
                let ports = ports::ports(words)?;
                self.end.config.exposed_ports.extend(ports.iter().map(|port| (port.to_string(), Empty {})));
            }
            Instruction::StopSignal(signal) => self.end.config.stop_signal = signal.text.clone(),
            Instruction::Healthcheck(check) => self.end.config.healthcheck = Some(health(check)),
            Instruction::Onbuild(trigger) => self.end.config.on_build.push(trigger.text.clone()),
            Instruction::From(_)
            | Instruction::Arg(_)
            | Instruction::Run(_)
            | Instruction::Copy(_)
            | Instruction::Add(_) => {}
        }
        Ok(())
    }

    /// In the words of BuildKit, which tools that read histories know.
    pub(super) fn created_by(&self, instruction: &Instruction, step: &Step, request: Option<&Request>) -> String {
        match (instruction, request) {
            (Instruction::Run(run), Some(Request::Run(_))) => {
                let arguments: Vec<String> =
                    self.end.scope.arguments().map(|(name, value)| format!("{name}={value}")).collect();
                let counted = match arguments.len() {
                    0 => String::new(),
                    count => format!("|{count} {} ", arguments.join(" ")),
                };
                format!("RUN {counted}{} # buildkit", self.words(&run.command).join(" "))
            }
            (_, Some(Request::Copy(copy))) => {
                let chown = copy.chown.as_ref().map(|owner| format!("--chown={owner} ")).unwrap_or_default();
                let chmod = copy.chmod.as_ref().map(|mode| format!("--chmod={mode} ")).unwrap_or_default();
                let sources: Vec<String> = copy.sources.iter().map(super::request::source_text).collect();
                format!("{} {chown}{chmod}{} {} # buildkit", copy.verb, sources.join(" "), copy.target)
            }
            (Instruction::Workdir(_), _) => format!("WORKDIR {}", self.end.config.working_dir),
            (Instruction::Cmd(_), _) => format!("CMD {}", quoted(self.end.config.cmd.as_deref())),
            (Instruction::Entrypoint(_), _) => {
                format!("ENTRYPOINT {}", quoted(self.end.config.entrypoint.as_deref()))
            }
            (Instruction::Env(pairs), _) => format!("ENV {}", assignments(pairs)),
            (Instruction::Label(pairs), _) => format!("LABEL {}", assignments(pairs)),
            (Instruction::Arg(arguments), _) => {
                let one = |argument: &crate::build::instruction::Argument| match &argument.default {
                    Some(value) => format!("{}={value}", argument.name),
                    None => argument.name.to_string(),
                };
                format!("ARG {}", arguments.iter().map(one).collect::<Vec<_>>().join(" "))
            }
            (Instruction::User(user), _) => format!("USER {user}"),
            (Instruction::Expose(words), _) => {
                let ports = ports::ports(words).unwrap_or_default();
                format!("EXPOSE [{}]", ports.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            (Instruction::Volume(paths), _) => {
                format!("VOLUME [{}]", paths.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "))
            }
            (Instruction::StopSignal(signal), _) => format!("STOPSIGNAL {signal}"),
            (Instruction::Shell(words), _) => format!("SHELL [{}]", words.join(" ")),
            _ => step.text.clone(),
        }
    }
}

/// As Go prints a list of strings: `["/bin/sh" "-c" "date"]`.
fn quoted(words: Option<&[String]>) -> String {
    let words: Vec<String> = words.unwrap_or_default().iter().map(|word| format!("{word:?}")).collect();
    format!("[{}]", words.join(" "))
}

fn assignments(pairs: &[crate::build::instruction::Pair]) -> String {
    pairs.iter().map(|pair| format!("{}={}", pair.key, pair.value)).collect::<Vec<_>>().join(" ")
}

fn health(check: &Healthcheck) -> oci::Healthcheck {
    let Healthcheck::Check(check) = check else {
        return oci::Healthcheck { test: vec!["NONE".into()], ..oci::Healthcheck::default() };
    };
    let HealthCommand { command, interval, timeout, start_period, start_interval, retries } = check;
    let test = match command {
        Command::Exec(words) => [&["CMD".to_owned()][..], words].concat(),
        Command::Shell(text) => vec!["CMD-SHELL".into(), text.clone()],
        Command::Script(script) => vec!["CMD-SHELL".into(), script.body.clone()],
    };
    // Zero is Docker's default, and so is what is not said.
    let nanoseconds =
        |time: &Option<std::time::Duration>| time.map_or(0, |time| i64::try_from(time.as_nanos()).unwrap_or(i64::MAX));
    oci::Healthcheck {
        test,
        interval: nanoseconds(interval),
        timeout: nanoseconds(timeout),
        start_period: nanoseconds(start_period),
        start_interval: nanoseconds(start_interval),
        retries: retries.map_or(0, i64::from),
    }
}
