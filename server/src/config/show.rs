//! The settings as a file of settings, and the table for people.

use super::merge::{Merged, Origin};
use super::settings::Settings;
use super::table::{ROWS, Row, variable};

/// Columns before the comment that says where a value comes from.
const COMMENT_AT: usize = 44;

/// A file that sets every setting as it is, with where it came from. What has no value is a comment.
pub fn as_file(merged: &Merged) -> String {
    let mut settings = merged.settings.clone();
    let mut text = String::new();
    let mut section = "";
    for (row, origin) in ROWS.iter().zip(&merged.origins) {
        let (of, key) = row.name.split_once('.').unwrap_or(("", row.name));
        if of != section {
            text += &format!("\n[{of}]\n");
            section = of;
        }
        let line = match (row.slot)(&mut settings).show() {
            Some(value) => format!("{key} = {value}"),
            None => format!("# {key} ="),
        };
        let origin = match origin {
            Origin::Default => "default".to_owned(),
            other => other.to_string(),
        };
        text += &format!("{line:<COMMENT_AT$} # {origin}\n");
    }
    text
}

/// Every setting as a Markdown table: the one in docs/OPERATING.md.
pub fn as_table() -> String {
    let mut defaults = Settings::default();
    let mut line = |row: &Row| {
        let default =
            (row.slot)(&mut defaults).show().map_or_else(|| "not set".to_owned(), |value| format!("`{value}`"));
        format!("| `{}` | {} | {default} | `{}` |\n", row.name, row.about, variable(row.name))
    };
    let lines: String = ROWS.iter().map(&mut line).collect();
    format!("| setting | what it is | default | in the environment |\n|---|---|---|---|\n{lines}")
}

#[cfg(test)]
mod tests {
    use super::super::{file, merge::merge};
    use super::*;

    #[test]
    fn what_is_printed_is_a_file_that_says_the_same() {
        let text =
            "[web]\nhosts = [\"one\", \"two\"]\nuser = \"www-data\"\n[sandbox]\ncpu = 0.5\nmemory = \"96 MiB\"\n";
        let merged = merge(file::read(text, "x".as_ref()).expect("TOML")).expect("settings");
        let printed = as_file(&merged);
        let again = merge(file::read(&printed, "y".as_ref()).expect("TOML")).expect("settings");
        assert_eq!(again.settings, merged.settings);
        assert!(printed.contains("# x:2\n") && printed.contains("# default\n"), "{printed}");
    }

    #[test]
    fn the_operators_table_is_the_codes_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/OPERATING.md");
        let page = std::fs::read_to_string(path).expect("docs/OPERATING.md");
        assert!(
            page.contains(&as_table()),
            "docs/OPERATING.md has another table of settings; put there what 'quayside config list' prints"
        );
    }
}
