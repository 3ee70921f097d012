//! A setting's place in [`super::settings`]: how it is read from what people write, and how it is shown.

use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::PathBuf;

use quayside_runtime::image::catalogue::listed::Listed;

use super::address::{BasePath, Network};
use super::quantity;
use super::settings::{LogFormat, LogLevel};

/// What somebody wrote for a setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Raw {
    /// A word, a text or a number. Where a list is wanted its items stand between commas.
    One(String),
    Many(Vec<String>),
    /// Something that no setting is, by its TOML name.
    Alien(&'static str),
}

/// In seconds.
const DAY: u64 = 24 * 60 * 60;

/// Names of a value's choices, in the order of the values.
type Choices<T> = &'static [(&'static str, T)];

const LOG_FORMATS: Choices<LogFormat> = &[("text", LogFormat::Text), ("json", LogFormat::Json)];
const LOG_LEVELS: Choices<LogLevel> = &[
    ("error", LogLevel::Error),
    ("warn", LogLevel::Warn),
    ("info", LogLevel::Info),
    ("debug", LogLevel::Debug),
    ("trace", LogLevel::Trace),
];

/// A place in the settings, by what it holds.
#[derive(Debug)]
pub enum Slot<'a> {
    Count(&'a mut u32, RangeInclusive<u32>),
    Number(&'a mut u64, RangeInclusive<u64>),
    /// Whole seconds.
    Seconds(&'a mut u32, RangeInclusive<u32>),
    /// Whole days.
    Days(&'a mut u32, RangeInclusive<u32>),
    Bytes(&'a mut u64, RangeInclusive<u64>),
    /// Thousandths of a processor; written in processors.
    Processors(&'a mut u64, RangeInclusive<u64>),
    Path(&'a mut PathBuf),
    SomePath(&'a mut Option<PathBuf>),
    Address(&'a mut SocketAddr),
    SomeAddress(&'a mut Option<SocketAddr>),
    SomeText(&'a mut Option<String>),
    Names(&'a mut Vec<String>),
    /// Lines of the catalogue.
    Catalogue(&'a mut Vec<String>),
    Networks(&'a mut Vec<Network>),
    BasePath(&'a mut BasePath),
    LogFormat(&'a mut LogFormat),
    LogLevel(&'a mut LogLevel),
}

impl Slot<'_> {
    /// Takes what was written; `Err`: how it is to be written.
    pub fn set(&mut self, raw: &Raw) -> Result<(), String> {
        if let Self::Names(names) = self {
            **names = list(raw)?;
            return Ok(());
        }
        if let Self::Catalogue(lines) = self {
            let written = list(raw)?;
            Listed::parse_all(&written).map_err(|error| error.to_string())?;
            **lines = written;
            return Ok(());
        }
        if let Self::Networks(networks) = self {
            **networks = list(raw)?.iter().map(|item| parsed(item, "")).collect::<Result<_, _>>()?;
            return Ok(());
        }
        let text = match raw {
            Raw::One(text) => text.trim(),
            Raw::Many(_) => return Err("write one value, not a list".into()),
            Raw::Alien(kind) => return Err(format!("a {kind} is no value here")),
        };
        match self {
            Self::Count(is, range) => **is = number(text.parse().ok(), range, &"a number", ToString::to_string)?,
            Self::Number(is, range) => **is = number(text.parse().ok(), range, &"a number", ToString::to_string)?,
            Self::Seconds(is, range) => {
                let seconds = quantity::seconds(text).map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX));
                let show = |seconds: &u32| quantity::show_seconds(u64::from(*seconds));
                **is = number(seconds, range, &"a duration, as \"90 s\" or \"30 min\"", show)?;
            }
            Self::Days(is, range) => {
                let seconds = quantity::seconds(text).filter(|seconds| seconds.is_multiple_of(DAY));
                let days = seconds.map(|seconds| u32::try_from(seconds / DAY).unwrap_or(u32::MAX));
                **is = number(days, range, &"whole days, as \"30 days\"", |days| format!("{days} days"))?;
            }
            Self::Bytes(is, range) => {
                let show = |bytes: &u64| quantity::show_bytes(*bytes);
                **is = number(quantity::bytes(text), range, &"a size, as \"512 MiB\" or \"1 GiB\"", show)?;
            }
            Self::Processors(is, range) => {
                let processors: Option<f64> = text.parse().ok().filter(|it: &f64| it.is_finite() && *it >= 0.0);
                let millis = processors.map(|it| (it * 1000.0).round() as u64);
                **is = number(millis, range, &"a number of processors, as 2 or 0.5", |it| show_millis(*it))?;
            }
            Self::Path(is) => **is = path(text)?,
            Self::SomePath(is) => **is = some(text, path)?,
            Self::Address(is) => **is = address(text)?,
            Self::SomeAddress(is) => **is = some(text, address)?,
            Self::SomeText(is) => **is = some(text, |text| Ok(text.to_owned()))?,
            Self::BasePath(is) => **is = parsed(text, "")?,
            Self::LogFormat(is) => **is = chosen(text, LOG_FORMATS)?,
            Self::LogLevel(is) => **is = chosen(text, LOG_LEVELS)?,
            Self::Names(_) | Self::Catalogue(_) | Self::Networks(_) => unreachable!("lists are taken above"),
        }
        Ok(())
    }

    /// As it would stand in a file; `None` for what is not set and has no default.
    pub fn show(&self) -> Option<String> {
        Some(match self {
            Self::Count(is, _) => is.to_string(),
            Self::Number(is, _) => is.to_string(),
            Self::Seconds(is, _) => quoted(&quantity::show_seconds(u64::from(**is))),
            Self::Days(is, _) => quoted(&format!("{is} days")),
            Self::Bytes(is, _) => quoted(&quantity::show_bytes(**is)),
            Self::Processors(is, _) => show_millis(**is),
            Self::Path(is) => quoted(&is.display().to_string()),
            Self::SomePath(is) => quoted(&is.as_ref()?.display().to_string()),
            Self::Address(is) => quoted(&is.to_string()),
            Self::SomeAddress(is) => quoted(&is.as_ref()?.to_string()),
            Self::SomeText(is) => quoted(is.as_ref()?),
            Self::Names(is) | Self::Catalogue(is) => listed(is.iter().cloned()),
            Self::Networks(is) => listed(is.iter().map(ToString::to_string)),
            Self::BasePath(is) => quoted(is.as_str()),
            Self::LogFormat(is) => quoted(name_of(**is, LOG_FORMATS)),
            Self::LogLevel(is) => quoted(name_of(**is, LOG_LEVELS)),
        })
    }
}

fn number<T: PartialOrd>(
    read: Option<T>,
    range: &RangeInclusive<T>,
    kind: &dyn std::fmt::Display,
    show: impl Fn(&T) -> String,
) -> Result<T, String> {
    read.filter(|value| range.contains(value))
        .ok_or_else(|| format!("write {kind}, from {} to {}", show(range.start()), show(range.end())))
}

fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str, or: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| if or.is_empty() { error.to_string() } else { or.to_owned() })
}

fn address(text: &str) -> Result<SocketAddr, String> {
    parsed(text, "write an address with a port, as \"127.0.0.1:8080\" or \"[::1]:8080\"")
}

fn path(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    if text.is_empty() { Err("write a path".into()) } else { Ok(path) }
}

/// An empty text takes back what a weaker source has set.
fn some<T>(text: &str, read: impl Fn(&str) -> Result<T, String>) -> Result<Option<T>, String> {
    if text.is_empty() { Ok(None) } else { read(text).map(Some) }
}

fn list(raw: &Raw) -> Result<Vec<String>, String> {
    let items: Vec<String> = match raw {
        Raw::One(text) => text.split(',').map(|item| item.trim().to_owned()).filter(|item| !item.is_empty()).collect(),
        Raw::Many(items) => items.clone(),
        Raw::Alien(kind) => return Err(format!("a {kind} is no list; write texts in brackets, as [\"one\", \"two\"]")),
    };
    Ok(items)
}

fn chosen<T: Copy>(text: &str, choices: Choices<T>) -> Result<T, String> {
    let found = choices.iter().find(|(name, _)| *name == text);
    found.map(|(_, value)| *value).ok_or_else(|| {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        format!("write one of {}", names.join(", "))
    })
}

fn name_of<T: Copy + PartialEq>(value: T, choices: Choices<T>) -> &'static str {
    choices.iter().find(|(_, choice)| *choice == value).map_or("", |(name, _)| name)
}

fn show_millis(millis: u64) -> String {
    let text = format!("{}.{:03}", millis / 1000, millis % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn listed(items: impl Iterator<Item = String>) -> String {
    format!("[{}]", items.map(|item| quoted(&item)).collect::<Vec<_>>().join(", "))
}

/// A text as TOML has it.
fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

#[cfg(test)]
impl Slot<'_> {
    /// Where it is in memory: two rows must not have the same.
    pub fn address(&self) -> usize {
        fn at<T>(place: &T) -> usize {
            std::ptr::from_ref(place).addr()
        }
        match self {
            Self::Count(is, _) | Self::Seconds(is, _) | Self::Days(is, _) => at(&**is),
            Self::Number(is, _) | Self::Bytes(is, _) | Self::Processors(is, _) => at(&**is),
            Self::Path(is) => at(&**is),
            Self::SomePath(is) => at(&**is),
            Self::Address(is) => at(&**is),
            Self::SomeAddress(is) => at(&**is),
            Self::SomeText(is) => at(&**is),
            Self::Names(is) | Self::Catalogue(is) => at(&**is),
            Self::Networks(is) => at(&**is),
            Self::BasePath(is) => at(&**is),
            Self::LogFormat(is) => at(&**is),
            Self::LogLevel(is) => at(&**is),
        }
    }
}
