//! An instruction written down again: what is shown is read as the same.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use super::{
    Add, Argument, Command, Copy, Files, From, HealthCommand, Healthcheck, Instruction, MountFlag, Network, Pair, Run,
    Security, Source, duration,
};
use crate::build::source::Word;

impl Display for Instruction {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.name())?;
        match self {
            Self::From(from) => from.fmt(f),
            Self::Arg(arguments) => arguments.iter().try_for_each(|argument| show_argument(argument, f)),
            Self::Env(pairs) | Self::Label(pairs) => pairs.iter().try_for_each(|pair| show_pair(pair, f)),
            Self::Maintainer(word) | Self::Workdir(word) | Self::User(word) | Self::StopSignal(word) => {
                write!(f, " {word}")
            }
            Self::Run(run) => run.fmt(f),
            Self::Cmd(command) | Self::Entrypoint(command) => command.fmt(f),
            Self::Shell(strings) => write!(f, " {}", array(strings)),
            Self::Copy(copy) => copy.fmt(f),
            Self::Add(add) => add.fmt(f),
            Self::Volume(words) => show_list(words.iter(), f),
            Self::Expose(words) => words.iter().try_for_each(|word| write!(f, " {word}")),
            Self::Healthcheck(Healthcheck::None) => write!(f, " NONE"),
            Self::Healthcheck(Healthcheck::Check(check)) => check.fmt(f),
            Self::Onbuild(trigger) => write!(f, " {}", trigger.text),
        }
    }
}

impl Display for From {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        show_flag("platform", self.platform.as_ref(), f)?;
        write!(f, " {}", self.base)?;
        self.name.iter().try_for_each(|name| write!(f, " AS {name}"))
    }
}

impl Display for Run {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.mounts.iter().try_for_each(|mount| mount.fmt(f))?;
        match self.network {
            Network::Default => (),
            Network::None => write!(f, " --network=none")?,
            Network::Host => write!(f, " --network=host")?,
        }
        if self.security == Security::Insecure {
            write!(f, " --security=insecure")?;
        }
        self.command.fmt(f)
    }
}

impl Display for MountFlag {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let field = |field: &super::MountField| {
            let text = match &field.value {
                Some(value) => format!("{}={value}", field.key),
                None => field.key.clone(),
            };
            if text.contains([',', '"']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
        };
        let fields: Vec<String> = self.fields.iter().map(field).collect();
        write!(f, " {}", quoted_flag(&format!("--mount={}", fields.join(","))))
    }
}

impl Display for Command {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exec(strings) => write!(f, " {}", array(strings)),
            // A text that ends a line was a heredoc's body. Other texts of several lines have their heredocs in them.
            Self::Shell(text) if text.ends_with('\n') => show_heredoc(text, f),
            // Without this its first word would be read as a flag.
            Self::Shell(text) if text.starts_with("--") => write!(f, " -- {text}"),
            Self::Shell(text) => write!(f, " {text}"),
            Self::Script(script) => write!(f, " <<\"{0}\"\n{1}{0}", script.name, script.body),
        }
    }
}

fn show_heredoc(body: &str, f: &mut Formatter<'_>) -> fmt::Result {
    let delimiter = delimiter(body);
    write!(f, " <<{delimiter}\n{body}{delimiter}")
}

/// One that is no line of the body.
fn delimiter(body: &str) -> String {
    let mut name = String::from("EOF");
    while body.lines().any(|line| line == name) {
        name.push('F');
    }
    name
}

impl Display for Copy {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        show_flag("from", self.from.as_ref(), f)?;
        if self.parents {
            write!(f, " --parents")?;
        }
        show_files(&self.files, f)
    }
}

impl Display for Add {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        show_flag("checksum", self.checksum.as_ref(), f)?;
        for (name, switch) in [("keep-git-dir", self.keep_git_dir), ("unpack", self.unpack)] {
            switch.iter().try_for_each(|is_on| write!(f, " --{name}={is_on}"))?;
        }
        show_files(&self.files, f)
    }
}

fn show_files(files: &Files, f: &mut Formatter<'_>) -> fmt::Result {
    show_flag("chown", files.chown.as_ref(), f)?;
    show_flag("chmod", files.chmod.as_ref(), f)?;
    if files.link {
        write!(f, " --link")?;
    }
    files.excludes.iter().try_for_each(|pattern| show_flag("exclude", Some(pattern), f))?;
    let inline: Vec<_> = files.sources.iter().filter_map(Source::inline).collect();
    if inline.is_empty() {
        let paths = files.sources.iter().filter_map(Source::path);
        return show_list(paths.chain([&files.target]), f);
    }
    for source in &files.sources {
        match source {
            Source::Path(path) => write!(f, " {path}")?,
            Source::Inline(inline) if inline.expands => write!(f, " <<{}", inline.name)?,
            Source::Inline(inline) => write!(f, " <<\"{}\"", inline.name)?,
        }
    }
    write!(f, " {}", files.target)?;
    inline.iter().try_for_each(|inline| write!(f, "\n{}{}", inline.body, inline.name))
}

impl Source {
    pub fn path(&self) -> Option<&Word> {
        match self {
            Self::Path(path) => Some(path),
            Self::Inline(_) => None,
        }
    }

    pub fn inline(&self) -> Option<&super::Inline> {
        match self {
            Self::Path(_) => None,
            Self::Inline(inline) => Some(inline),
        }
    }
}

impl Display for HealthCommand {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let times: [(&str, Option<Duration>); 4] = [
            ("interval", self.interval),
            ("timeout", self.timeout),
            ("start-period", self.start_period),
            ("start-interval", self.start_interval),
        ];
        for (name, time) in times {
            time.iter().try_for_each(|time| write!(f, " --{name}={}", duration::show(*time)))?;
        }
        self.retries.iter().try_for_each(|retries| write!(f, " --retries={retries}"))?;
        write!(f, " CMD{}", self.command)
    }
}

fn show_argument(argument: &Argument, f: &mut Formatter<'_>) -> fmt::Result {
    match &argument.default {
        Some(default) => write!(f, " {}={default}", argument.name),
        None => write!(f, " {}", argument.name),
    }
}

fn show_pair(pair: &Pair, f: &mut Formatter<'_>) -> fmt::Result {
    write!(f, " {}{}{}", pair.key, if pair.legacy { ' ' } else { '=' }, pair.value)
}

fn show_flag(name: &str, value: Option<&Word>, f: &mut Formatter<'_>) -> fmt::Result {
    value.iter().try_for_each(|value| write!(f, " {}", quoted_flag(&format!("--{name}={value}"))))
}

/// A flag's quotes and escapes are taken away when it is read.
fn quoted_flag(flag: &str) -> String {
    if flag.contains([' ', '\t', '"', '\'', '\\']) {
        let escaped = flag["--".len()..].replace('\\', "\\\\").replace('"', "\\\"");
        return format!("--\"{escaped}\"");
    }
    flag.to_owned()
}

/// Words between blanks, or an array if that would not be read as the same.
fn show_list<'a>(words: impl Iterator<Item = &'a Word>, f: &mut Formatter<'_>) -> fmt::Result {
    let words: Vec<&str> = words.map(Word::as_str).collect();
    let odd = |word: &str| word.contains(char::is_whitespace) || word.contains("<<") || word.ends_with(['\\', '`']);
    let plain = |word: &&str| !word.is_empty() && !odd(word);
    match words.iter().all(plain) && !words[0].starts_with(['[', '-']) {
        true => words.iter().try_for_each(|word| write!(f, " {word}")),
        false => write!(f, " {}", array(&words)),
    }
}

fn array(strings: &[impl serde::Serialize]) -> String {
    let strings: Vec<String> =
        strings.iter().map(|text| serde_json::to_string(text).expect("a string can be written as JSON")).collect();
    format!("[{}]", strings.join(", "))
}
