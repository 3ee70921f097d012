//! `.dockerignore`: which files of a context are left out.
//!
//! It looks like `.gitignore` and is not. Patterns begin at the context's root, with or without a slash in front; the
//! last one that applies counts; a pattern that matches a folder leaves out everything below it, and an exception
//! (`!pattern`) can take a part of that back, so a folder that is left out may still have to be entered.

use super::pattern::{Pattern, PatternError};

/// The largest file; each pattern costs time for each path.
pub const FILE_MAX_BYTES: usize = 256 * 1024;

/// The most patterns. The longest lists that people publish have a few hundred.
pub const PATTERNS_MAX: usize = 4096;

/// The most characters behind the first stars of all patterns: each may have to be compared with each character of each
/// path. The longest lists that people publish have some thousands.
pub const WIDTH_MAX: usize = 16 * 1024;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum IgnoreError {
    #[error("line {line}: pattern {pattern:?} cannot be read")]
    Pattern { line: usize, pattern: String, source: PatternError },
    #[error("line {line}: an exclamation mark without a pattern; name behind it what is to be kept")]
    Nothing { line: usize },
    #[error("it has more than {PATTERNS_MAX} patterns; use wildcards")]
    Count,
    #[error("its patterns have more than {WIDTH_MAX} characters behind stars; name folders, or use fewer stars")]
    Width,
    #[error("it has {0} bytes, and at most {FILE_MAX_BYTES} are read")]
    Size(usize),
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Rule {
    pattern: Pattern,
    /// `!`: what matches is kept.
    is_exception: bool,
}

/// Patterns in their order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<Rule>,
}

/// What a walk through the context does with a folder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Visit {
    /// It belongs to the context.
    Keep,
    /// It does not, but something below it may.
    LookInside,
    /// Neither it nor anything below it does.
    Skip,
}

impl Ignore {
    /// Reads a `.dockerignore`. Bytes that are not UTF-8 match no path.
    pub fn parse(bytes: &[u8]) -> Result<Self, IgnoreError> {
        if bytes.len() > FILE_MAX_BYTES {
            return Err(IgnoreError::Size(bytes.len()));
        }
        let text = String::from_utf8_lossy(bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes));
        // A comment begins in the first column; behind a blank, a number sign is part of a pattern.
        Self::read(text.lines().enumerate().filter(|(_, line)| !line.starts_with('#')))
    }

    /// The patterns of `--exclude`, each on its own.
    pub fn from_patterns<'a>(patterns: impl IntoIterator<Item = &'a str>) -> Result<Self, IgnoreError> {
        Self::read(patterns.into_iter().enumerate())
    }

    fn read<'a>(lines: impl Iterator<Item = (usize, &'a str)>) -> Result<Self, IgnoreError> {
        let mut rules = Vec::new();
        let mut width = 0;
        for (index, line) in lines {
            let line_number = index + 1;
            let (is_exception, text) = match line.trim().strip_prefix('!') {
                Some(rest) => (true, rest.trim()),
                None => (false, line.trim()),
            };
            match (text, is_exception) {
                ("", true) => return Err(IgnoreError::Nothing { line: line_number }),
                ("", false) => continue,
                _ if rules.len() == PATTERNS_MAX => return Err(IgnoreError::Count),
                _ => (),
            }
            let cleaned = clean(text);
            let relative = if cleaned.len() > 1 { cleaned.strip_prefix('/').unwrap_or(&cleaned) } else { &cleaned };
            let bad = |source| IgnoreError::Pattern { line: line_number, pattern: text.to_owned(), source };
            let pattern = Pattern::deep(relative).map_err(bad)?;
            width += pattern.width();
            if width > WIDTH_MAX {
                return Err(IgnoreError::Width);
            }
            rules.push(Rule { pattern, is_exception });
        }
        Ok(Self { rules })
    }

    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// Whether a file is left out. The path is relative to the context, with slashes and without a dot in front. The
    /// context itself never is.
    pub fn excludes(&self, path: &str) -> bool {
        let path = clean(path);
        if path == "." {
            return false;
        }
        let mut excluded = false;
        for rule in &self.rules {
            // An exception only matters for what is left out, and any other pattern only for what is not.
            if rule.is_exception == excluded && with_parents(&path).any(|path| rule.pattern.matches(path)) {
                excluded = !rule.is_exception;
            }
        }
        excluded
    }

    /// What to do with a folder, without reading it.
    pub fn visit(&self, folder: &str) -> Visit {
        if !self.excludes(folder) {
            return Visit::Keep;
        }
        let below = format!("{}/", clean(folder));
        let exceptions = self.rules.iter().filter(|rule| rule.is_exception);
        match exceptions.map(|rule| &rule.pattern).any(|pattern| pattern.could_match_below(&below)) {
            true => Visit::LookInside,
            false => Visit::Skip,
        }
    }
}

/// A path and every folder above it, the outermost last.
fn with_parents(path: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(path), |path| {
        path.rsplit_once('/').map(|(parent, _)| parent).filter(|it| !it.is_empty())
    })
}

/// Go's `filepath.Clean`: the shortest path that says the same, without looking at any file.
pub fn clean(path: &str) -> String {
    let is_absolute = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => (),
            ".." => match parts.last() {
                Some(&"..") | None if !is_absolute => parts.push(".."),
                _ => drop(parts.pop()),
            },
            part => parts.push(part),
        }
    }
    match (is_absolute, parts.is_empty()) {
        (true, _) => format!("/{}", parts.join("/")),
        (false, true) => ".".to_owned(),
        (false, false) => parts.join("/"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// What is left out, of `paths`.
    fn left_out<'a>(ignore: &str, paths: &[&'a str]) -> Vec<&'a str> {
        let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
        paths.iter().filter(|path| ignore.excludes(path)).copied().collect()
    }

    #[test]
    fn patterns_begin_at_the_root_of_the_context() {
        assert_eq!(
            left_out("node_modules", &["node_modules", "node_modules/x", "a/node_modules"]),
            ["node_modules", "node_modules/x"]
        );
        assert_eq!(left_out("/a", &["a", "b/a"]), ["a"]);
        assert_eq!(left_out("*.md", &["a.md", "b/a.md"]), ["a.md"]);
        assert_eq!(left_out("*/a", &["a", "b/a", "b/c/a"]), ["b/a"]);
        assert_eq!(left_out("**/a", &["a", "b/a", "b/c/a", "ba"]), ["a", "b/a", "b/c/a"]);
    }

    #[test]
    fn the_last_pattern_that_applies_counts() {
        assert_eq!(left_out("*.md\n!README.md", &["a.md", "README.md"]), ["a.md"]);
        assert_eq!(left_out("!README.md\n*.md", &["a.md", "README.md"]), ["a.md", "README.md"]);
        assert_eq!(left_out("*.md\n!README*.md\nREADME-x.md", &["README.md", "README-x.md"]), ["README-x.md"]);
    }

    #[test]
    fn a_folder_takes_everything_below_with_it_and_exceptions_take_it_back() {
        assert_eq!(left_out("a\n!a/b", &["a", "a/b", "a/b/c", "a/c"]), ["a", "a/c"]);
        assert_eq!(left_out("*\n!src", &["src", "src/x/y", "a"]), ["a"]);
        assert_eq!(left_out("a/*\n!a/b/c", &["a", "a/b", "a/b/c", "a/b/d"]), ["a/b", "a/b/d"]);
        assert_eq!(left_out("a/**\n!a/**/*.go", &["a", "a/x/m.go", "a/x/m.c"]), ["a/x/m.c"]);
        assert_eq!(left_out("**\n!**/keep", &["x", "a/keep", "a/keep/y", "a/b"]), ["x", "a/b"]);
    }

    #[test]
    fn lines_are_trimmed_and_comments_begin_in_the_first_column() {
        assert_eq!(left_out("  a  \t\n#b\n #c\n\n", &["a", "b", "#b", "#c"]), ["a", "#c"]);
        assert_eq!(left_out("\u{feff}#b\r\na\r\n", &["a", "b"]), ["a"]);
        assert_eq!(left_out("*\n!  a", &["a", "b"]), ["b"]);
        assert_eq!(left_out("./a/../b//c/", &["b/c", "a"]), ["b/c"]);
        assert_eq!(left_out(".\n/\n..\n", &["a", "."]), Vec::<&str>::new());
        assert_eq!(left_out("*", &[".", "a", ".git"]), ["a", ".git"]);
        assert_eq!(left_out(".*", &[".", "a", ".git"]), [".git"]);
        assert_eq!(left_out("a b", &["a b", "a"]), ["a b"]);
        assert_eq!(left_out("[a-c].txt\n\\!x", &["b.txt", "d.txt", "!x"]), ["b.txt", "!x"]);
    }

    #[test]
    fn what_cannot_be_read_names_its_line() {
        let refused = |text: &str| Ignore::parse(text.as_bytes()).unwrap_err().to_string();
        assert_eq!(refused("a\n[b"), "line 2: pattern \"[b\" cannot be read");
        assert_eq!(refused("!"), "line 1: an exclamation mark without a pattern; name behind it what is to be kept");
        assert_eq!(refused(&"a\n".repeat(PATTERNS_MAX + 1)), "it has more than 4096 patterns; use wildcards");
        assert!(refused(&"a".repeat(FILE_MAX_BYTES + 1)).starts_with("it has 262145 bytes"));
        let costly = format!("**/{}\n", "*a".repeat(1000));
        assert!(Ignore::parse(costly.repeat(8).as_bytes()).is_ok());
        assert!(refused(&costly.repeat(9)).contains("more than 16384 characters behind stars"));
        assert!(Ignore::parse("a".repeat(60).as_bytes()).is_ok_and(|ignore| ignore.excludes(&"a".repeat(60))));
    }

    #[test]
    fn a_folder_is_skipped_only_if_nothing_below_can_come_back() {
        let visit = |ignore: &str, folder: &str| Ignore::parse(ignore.as_bytes()).unwrap().visit(folder);
        assert_eq!(visit("a", "b"), Visit::Keep);
        assert_eq!(visit("a", "a"), Visit::Skip);
        assert_eq!(visit("*\n!src/main", "src"), Visit::LookInside);
        assert_eq!(visit("*\n!src/main", "docs"), Visit::Skip);
        assert_eq!(visit("*\n!*/main", "docs"), Visit::LookInside);
        assert_eq!(visit("*\n!**/main", "docs/a"), Visit::LookInside);
        assert_eq!(visit("*\n!*.md", "docs"), Visit::Skip);
        assert_eq!(visit("*", "."), Visit::Keep);
    }

    #[test]
    fn paths_are_cleaned_as_in_go() {
        let rows = [
            ("", "."),
            ("a//b/", "a/b"),
            ("./a", "a"),
            ("a/../../b", "../b"),
            ("/../a", "/a"),
            ("../..", "../.."),
            ("/", "/"),
            ("a/..", "."),
        ];
        for (path, expected) in rows {
            assert_eq!(clean(path), expected);
        }
    }

    proptest! {
        #[test]
        fn nothing_below_a_skipped_folder_is_kept(
            ignore in "(!?[ab*]{1,2}(/[ab*]{1,2}){0,2}\n){1,5}",
            folder in "[ab]{1,2}(/[ab]{1,2})?",
            below in "[ab]{1,2}(/[ab]{1,2})?",
        ) {
            let ignore = Ignore::parse(ignore.as_bytes()).unwrap();
            if ignore.visit(&folder) == Visit::Skip {
                let path = format!("{folder}/{below}");
                prop_assert!(ignore.excludes(&path), "{path}");
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), path in ".{0,20}") {
            if let Ok(ignore) = Ignore::parse(&bytes) {
                ignore.excludes(&path);
                ignore.visit(&path);
            }
        }
    }
}
