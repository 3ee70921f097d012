//! A file of settings: TOML, read with the place of every value, so that a mistake can be pointed at.

use std::path::Path;

use toml::Spanned;
use toml::de::{DeArray, DeTable, DeValue};

use super::merge::{Given, Origin, Problem};
use super::slot::Raw;

/// Sections nest once: `web.listen`.
const DEPTH_MAX: usize = 2;

/// Every value of `text`, in its order.
pub fn read(text: &str, path: &Path) -> Result<Vec<Given>, Problem> {
    let place = |at: usize| place(text, at, path);
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        Problem { origin: place(at), name: None, says: format!("this is no TOML: {}", error.message()) }
    })?;
    let mut given = Vec::new();
    collect(table.get_ref(), "", &mut given, &place);
    given.sort_by_key(|(at, _)| *at);
    Ok(given.into_iter().map(|(_, given)| given).collect())
}

fn collect(table: &DeTable, section: &str, given: &mut Vec<(usize, Given)>, place: &dyn Fn(usize) -> Origin) {
    for (key, value) in table.iter() {
        let name = match section {
            "" => key.get_ref().to_string(),
            section => format!("{section}.{}", key.get_ref()),
        };
        match value.get_ref() {
            DeValue::Table(inner) if name.split('.').count() < DEPTH_MAX => collect(inner, &name, given, place),
            other => {
                let at = key.span().start;
                given.push((at, Given { name, raw: raw(other), origin: place(at) }));
            }
        }
    }
}

fn raw(value: &DeValue) -> Raw {
    match value {
        DeValue::String(text) => Raw::One(text.to_string()),
        DeValue::Integer(number) => Raw::One(number.to_string()),
        DeValue::Float(number) => Raw::One(number.to_string()),
        DeValue::Array(items) => many(items).map_or(Raw::Alien("list of other things than texts"), Raw::Many),
        other => Raw::Alien(other.type_str()),
    }
}

fn many(items: &DeArray) -> Option<Vec<String>> {
    let text = |item: &Spanned<DeValue>| item.get_ref().as_str().map(str::to_owned);
    items.iter().map(text).collect()
}

/// Line and column of the byte `at`, counted from 1 as editors do.
fn place(text: &str, at: usize, path: &Path) -> Origin {
    let before = &text[..text.floor_char_boundary(at)];
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().map_or(0, |line| line.chars().count()) + 1;
    Origin::File { path: path.to_path_buf(), line, column }
}
