//! `go.mod` files (Go modules reference, "go.mod files"): which module this is, and what it requires.
//!
//! Only what our own proxy needs is read: the path, the language's version, and required paths. What was excluded,
//! replaced or retracted concerns versions that are not here.

use std::collections::BTreeMap;

/// What a `go.mod` says.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct GoMod {
    pub path: String,
    /// `1.17`
    pub go: Option<String>,
    /// Paths, each with whether it is only needed by others (`// indirect`).
    pub requires: BTreeMap<String, bool>,
}

pub fn parse(text: &str) -> Option<GoMod> {
    let mut module = GoMod::default();
    // The directive whose block we are in.
    let mut block: Option<String> = None;
    for line in text.lines() {
        let (line, comment) = line.split_once("//").map_or((line, ""), |(line, comment)| (line, comment.trim()));
        let mut words: Vec<&str> = line.split_whitespace().map(|word| word.trim_matches('"')).collect();
        match (&block, words.as_slice()) {
            (_, []) => continue,
            (Some(_), [")"]) => {
                block = None;
                continue;
            }
            (None, [directive, "("]) => {
                block = Some((*directive).to_owned());
                continue;
            }
            (Some(directive), _) => words.insert(0, directive.as_str()),
            (None, _) => {}
        }
        match words.as_slice() {
            ["module", path] => module.path = (*path).to_owned(),
            ["go", version] => module.go = Some((*version).to_owned()),
            ["require", path, _version] => {
                module.requires.insert((*path).to_owned(), comment.starts_with("indirect"));
            }
            _ => {}
        }
    }
    (!module.path.is_empty()).then_some(module)
}

/// The same with the versions at hand. A requirement that is not at hand is left out: what needs it are tests and
/// commands of the module, which no program of a lesson builds.
pub fn rewritten(module: &GoMod, at_hand: &BTreeMap<String, String>) -> String {
    let mut text = format!("module {}\n", module.path);
    if let Some(go) = &module.go {
        text += &format!("\ngo {go}\n");
    }
    let known: Vec<String> = module
        .requires
        .iter()
        .filter_map(|(path, indirect)| {
            let comment = if *indirect { " // indirect" } else { "" };
            Some(format!("\t{path} {}{comment}\n", at_hand.get(path)?))
        })
        .collect();
    if !known.is_empty() {
        text += &format!("\nrequire (\n{})\n", known.concat());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "module \"example.org/a/v2\" // ours\n\ngo 1.17\n\nrequire example.org/b v1.0.0\nrequire (\n\t\
                        example.org/c v0.1.0 // indirect\n\t\"example.org/gone\" v9.0.0\n)\n\nretract (\n\tv1.0.1\n)\n\
                        exclude example.org/b v0.9.0\n";

    #[test]
    fn what_is_required_gets_the_version_at_hand_or_is_left_out() {
        let module = parse(TEXT).unwrap();
        assert_eq!(module.path, "example.org/a/v2");
        let at_hand = BTreeMap::from([
            ("example.org/b".to_owned(), "v1.2.3".to_owned()),
            ("example.org/c".to_owned(), "v0.2.0".to_owned()),
        ]);
        insta::assert_snapshot!(rewritten(&module, &at_hand), @"
        module example.org/a/v2

        go 1.17

        require (
        	example.org/b v1.2.3
        	example.org/c v0.2.0 // indirect
        )
        ");
        assert_eq!(rewritten(&module, &BTreeMap::new()), "module example.org/a/v2\n\ngo 1.17\n");
    }

    #[test]
    fn a_text_without_a_module_is_no_go_mod() {
        assert_eq!(parse("go 1.17\n"), None);
        assert_eq!(parse(""), None);
    }
}
