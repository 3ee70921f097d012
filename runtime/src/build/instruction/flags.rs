//! `--name=value` and `--name` before an instruction's arguments.

use crate::build::source::{Problem, Word};

/// Those that may stand several times.
const REPEATED: [&str; 2] = ["mount", "exclude"];

/// Those that are on or off, and are on without a value.
const SWITCHES: [&str; 4] = ["link", "parents", "keep-git-dir", "unpack"];

/// Flags that were looked at: each is known, and has a value if it must.
#[derive(Debug, Default)]
pub struct Flags {
    found: Vec<Flag>,
}

#[derive(Debug)]
struct Flag {
    name: &'static str,
    /// Empty for a switch.
    value: Word,
    is_on: bool,
}

impl Flags {
    pub fn read(instruction: &str, words: &[Word], known: &'static [&'static str]) -> Result<Self, Problem> {
        let mut flags = Self::default();
        for word in words {
            let flag = read(instruction, word, known)?;
            let name = flag.name;
            if !REPEATED.contains(&name) && flags.found.iter().any(|earlier| earlier.name == name) {
                return Err(Problem::new(word.at, format!("{instruction} has --{name} twice")));
            }
            flags.found.push(flag);
        }
        Ok(flags)
    }

    pub fn value(&self, name: &str) -> Option<Word> {
        self.values(name).next()
    }

    pub fn values(&self, name: &str) -> impl Iterator<Item = Word> {
        self.found.iter().filter(move |flag| flag.name == name).map(|flag| flag.value.clone())
    }

    /// Whether a switch is on; none if nothing was said.
    pub fn switch(&self, name: &str) -> Option<bool> {
        self.found.iter().find(|flag| flag.name == name).map(|flag| flag.is_on)
    }
}

fn read(instruction: &str, word: &Word, known: &'static [&'static str]) -> Result<Flag, Problem> {
    let (written, value) = match word.text.split_once('=') {
        Some((name, value)) => (name, Some(value)),
        None => (word.as_str(), None),
    };
    let Some(name) = known.iter().find(|name| written.strip_prefix("--") == Some(name)) else {
        let problem = Problem::new(word.at, format!("{instruction} has no flag {written}"));
        return Err(match known {
            [] => problem.advise(format!("{instruction} has no flags")),
            _ => suggest(problem, written, known),
        });
    };
    let is_switch = SWITCHES.contains(name);
    let is_on = match value.map(str::to_ascii_lowercase).as_deref() {
        Some("true") => true,
        Some("false") => false,
        None if is_switch => true,
        _ if !is_switch => false,
        _ => {
            return Err(Problem::new(
                word.at,
                format!("--{name} is true or false, not {:?}", value.unwrap_or_default()),
            ));
        }
    };
    match value {
        None if !is_switch => {
            Err(Problem::new(word.at, format!("--{name} needs a value")).advise(format!("write --{name}=…")))
        }
        value => Ok(Flag { name, value: value_word(word, written, value.unwrap_or_default()), is_on }),
    }
}

fn value_word(word: &Word, name: &str, value: &str) -> Word {
    crate::build::syntax::words::halves(word, name, value).1
}

fn suggest(problem: Problem, written: &str, known: &[&'static str]) -> Problem {
    let plain = problem.clone();
    let suggested = problem.suggest(written.trim_start_matches('-'), known.iter().copied());
    match &suggested.advice {
        Some(advice) => {
            let advice = advice.replace("did you mean ", "did you mean --");
            plain.advise(advice)
        }
        None => {
            let all: Vec<String> = known.iter().map(|name| format!("--{name}")).collect();
            plain.advise(format!("there is {}", all.join(", ")))
        }
    }
}
