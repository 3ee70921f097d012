//! What is started: shell form, exec form, and the check of a container's health.

use std::time::Duration;

use crate::build::source::{Problem, Word};

use super::read::Reader;
use super::{Command, HealthCommand, Healthcheck, duration};

/// An array of JSON is started as it is, everything else is a shell's.
pub(super) fn command(reader: &mut Reader<'_>, text: &str) -> Result<Command, Problem> {
    Ok(match reader.array(text)? {
        Some(strings) => Command::Exec(strings),
        None => Command::Shell(text.to_owned()),
    })
}

pub(super) fn health(reader: &mut Reader<'_>) -> Result<Healthcheck, Problem> {
    const FLAGS: [&str; 5] = ["interval", "timeout", "start-period", "start-interval", "retries"];
    let text = reader.rest().to_owned();
    let (kind, rest) = text.split_once(char::is_whitespace).unwrap_or((&text, ""));
    let rest = rest.trim();
    match kind.to_ascii_uppercase().as_str() {
        "NONE" if rest.is_empty() => Ok(Healthcheck::None),
        "NONE" => Err(reader.problem("NONE takes no arguments")),
        "CMD" => {
            let flags = reader.flags(&FLAGS)?;
            let command = command(reader, rest)?;
            if matches!(&command, Command::Shell(text) if text.is_empty()) || command == Command::Exec(Vec::new()) {
                return Err(reader.problem("CMD has no command"));
            }
            let time = |name: &str| flags.value(name).map(|word| time(name, &word)).transpose();
            Ok(Healthcheck::Check(HealthCommand {
                command,
                interval: time("interval")?,
                timeout: time("timeout")?,
                start_period: time("start-period")?,
                start_interval: time("start-interval")?,
                retries: flags.value("retries").map(|word| retries(&word)).transpose()?,
            }))
        }
        "" => Err(reader.problem("needs CMD and a command, or NONE")),
        _ => Err(reader
            .problem(format!("cannot begin with {kind}"))
            .advise("it is HEALTHCHECK CMD command, or HEALTHCHECK NONE")),
    }
}

fn time(name: &str, word: &Word) -> Result<Duration, Problem> {
    /// Docker measures no shorter time.
    const SHORTEST: Duration = Duration::from_millis(1);
    let refuse = |why: &str| Problem::new(word.at, format!("--{name} cannot be {word:?}: {why}", word = word.text));
    let time = duration::parse(&word.text).map_err(|error| refuse(&error.to_string()))?;
    match time {
        time if !time.is_zero() && time < SHORTEST => Err(refuse("the shortest time is 1ms")),
        time => Ok(time),
    }
}

fn retries(word: &Word) -> Result<u32, Problem> {
    let number = word.text.parse::<i32>().ok().and_then(|number| u32::try_from(number).ok());
    number.ok_or_else(|| Problem::new(word.at, format!("--retries is a number from 0 on, not {:?}", word.text)))
}
