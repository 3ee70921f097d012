//! Rules of the source that the compiler does not check: the order of modules, where `unsafe` and raw
//! system calls live, that every file says what it is for, that only `config` reads the environment, and that
//! what the documents name is there.

use std::fs;
use std::path::{Path, PathBuf};

/// A place and what is wrong with it.
type Findings = Vec<String>;

#[test]
fn a_module_uses_only_those_declared_above_it() {
    let mut findings = Findings::new();
    for of in ["runtime", "server"] {
        let source = root().join(of).join("src");
        let order = declared(&read(&source.join("lib.rs")));
        assert!(order.len() > 5, "{of}/src/lib.rs declares its modules");
        for file in sources(&source) {
            let Some(module) = module_of(&source, &file) else { continue };
            findings.extend(
                upward_uses(&order, &module, &read(&file)).map(|used| {
                    format!("{}: module {module} uses {used}, which lib.rs declares below it", shown(&file))
                }),
            );
        }
    }
    assert_eq!(findings, Findings::new());
}

#[test]
fn unsafe_code_and_raw_system_calls_live_in_one_folder() {
    let mut findings = Findings::new();
    for file in all_sources() {
        // This file names the words that it looks for.
        if file.starts_with(root().join("runtime/src/sys")) || file.ends_with("tests/tests/tidy.rs") {
            continue;
        }
        for (number, line) in code_lines(&read(&file)) {
            for word in unsafe_words(&line) {
                findings.push(format!("{}:{number}: {word} outside runtime/src/sys", shown(&file)));
            }
        }
    }
    assert_eq!(findings, Findings::new());
}

#[test]
fn every_file_begins_by_saying_what_it_is_for() {
    let silent = |file: &PathBuf| !read(file).starts_with("//!");
    let findings: Findings = all_sources().iter().filter(|file| silent(file)).map(|file| shown(file)).collect();
    assert_eq!(findings, Findings::new());
}

#[test]
fn only_config_reads_the_environment() {
    let mut findings = Findings::new();
    for file in ["runtime/src", "server/src"].iter().flat_map(|part| sources(&root().join(part))) {
        if file.starts_with(root().join("server/src/config")) {
            continue;
        }
        for (number, line) in code_lines(&read(&file)) {
            if line.contains("env::var") {
                findings.push(format!("{}:{number}: reads the environment", shown(&file)));
            }
        }
    }
    assert_eq!(findings, Findings::new());
}

#[test]
fn what_the_specification_names_is_there() {
    let findings = untrue(&read(&root().join("docs/SPECIFICATION.md")), &everything_that_may_be_named());
    assert_eq!(findings, Findings::new());
}

#[test]
fn what_a_document_links_is_there() {
    let mut findings = Findings::new();
    for document in documents() {
        let folder = document.parent().expect("a document lies in a folder");
        let text = read(&document);
        for link in links(&text).filter(|link| !link.contains("://") && !folder.join(link).exists()) {
            findings.push(format!("{}: {link} is not there", shown(&document)));
        }
    }
    assert_eq!(findings, Findings::new());
}

/// Tests are named as in Rust (`a_key_is_echoed`) or as in a suite (`a key is echoed`). Each name must be some
/// test's; in a row that ends with "there", one of the file linked last in its section.
fn untrue(specification: &str, tests: &str) -> Findings {
    let mut findings = Findings::new();
    let mut linked: Vec<String> = Vec::new();
    for row in specification.lines() {
        if row.starts_with("## ") {
            linked.clear();
        }
        if !row.starts_with("| ") {
            continue;
        }
        let shown_by = row.rsplit(" | ").next().unwrap_or_default();
        let here: Vec<String> = links(shown_by).map(|link| link.replace("../", "")).collect();
        let only_there = here.is_empty() && !linked.is_empty() && shown_by.trim_end_matches(" |").ends_with(", there");
        if !here.is_empty() {
            linked = here;
        }
        for name in shown_by.split('`').skip(1).step_by(2).filter(|name| is_test(name)) {
            let found = match only_there {
                true => linked.iter().any(|file| holds(&read_if(file), name)),
                false => holds(tests, name),
            };
            if !found {
                findings.push(format!("{name}: no such test where the specification says"));
            }
        }
    }
    findings
}

/// Commands, files and settings stand in the same letters as tests.
fn is_test(name: &str) -> bool {
    let words = name.split(['_', ' ']).count();
    words > 2 && !name.contains('/') && !name.contains('=') && !name.starts_with("make ")
}

/// `fn NAME(`, or a row `NAME: "…"` of a macro that makes tests, or NAME as the first words of a suite's test.
fn holds(text: &str, name: &str) -> bool {
    [format!("fn {name}("), format!("    {name}: \""), format!("test(\"{name}")].iter().any(|it| text.contains(it))
}

fn read_if(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_default()
}

/// The text of every file that has tests.
fn everything_that_may_be_named() -> String {
    let mut files = all_sources();
    for folder in ["web/tests", "tests/browser/suites"] {
        let entries = fs::read_dir(root().join(folder)).expect("the folder of tests can be read");
        files.extend(entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()));
    }
    files.iter().map(|file| read(file)).collect()
}

/// README, ARCHITECTURE, and what lies in `docs`.
fn documents() -> Vec<PathBuf> {
    let pages = |folder: PathBuf| fs::read_dir(folder).expect("the folder of documents can be read").flatten();
    let all =
        [root(), root().join("docs"), root().join("docs/decisions"), root().join("web"), root().join("tests/browser")];
    let all = all.into_iter().flat_map(pages).map(|entry| entry.path());
    all.filter(|path| path.extension().is_some_and(|extension| extension == "md")).collect()
}

/// Where `[words](LINK)` leads, without a part behind `#`.
fn links(text: &str) -> impl Iterator<Item = &str> {
    let ends = |rest: &'_ str| rest.find([')', '#']);
    text.split("](").skip(1).filter_map(move |rest| Some(&rest[..ends(rest)?])).filter(|link| !link.is_empty())
}

/// Names of `mod` declarations, in order.
fn declared(lib: &str) -> Vec<String> {
    let name = |line: &str| {
        let line = line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ");
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    lib.lines().filter_map(name).collect()
}

/// The top-level module that `file` belongs to; none for lib.rs and main.rs.
fn module_of(source: &Path, file: &Path) -> Option<String> {
    let first = file.strip_prefix(source).ok()?.components().next()?;
    let name = first.as_os_str().to_str()?.trim_end_matches(".rs").to_owned();
    (name != "lib" && name != "main").then_some(name)
}

/// Modules that `text` names by `crate::` and that stand below `module` in `order`.
fn upward_uses<'a>(order: &'a [String], module: &str, text: &str) -> impl Iterator<Item = &'a str> {
    let at = |name: &str| order.iter().position(|other| other == name);
    let own = at(module).unwrap_or_else(|| panic!("lib.rs does not declare {module}"));
    let used: Vec<String> = code_lines(text).flat_map(|(_, line)| crate_paths(&line)).collect();
    order.iter().skip(own + 1).filter(move |name| used.contains(name)).map(String::as_str)
}

/// First segments of `crate::a::…` and of each in `crate::{a::…, b::…}`.
fn crate_paths(line: &str) -> Vec<String> {
    let mut found = Vec::new();
    for rest in line.split("crate::").skip(1) {
        let group = rest.strip_prefix('{').map(|group| group.split('}').next().unwrap_or(group));
        for path in group.map_or(vec![rest], |group| group.split(',').collect()) {
            let name: String = path.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            found.push(name);
        }
    }
    found
}

/// Words that only `sys` may use.
fn unsafe_words(line: &str) -> Vec<&'static str> {
    let mut words = Vec::new();
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let begins = |rest: &str| ["{", "fn ", "impl ", "extern ", "trait "].iter().any(|next| rest.starts_with(next));
    if line.split("unsafe ").skip(1).any(begins) {
        words.push("unsafe");
    }
    for call in ["libc::syscall", "libc::mount", "libc::clone", "libc::unshare", "libc::setns"] {
        let ends = |rest: &str| rest.starts_with(|c: char| !word(c));
        if line.split(call).skip(1).any(ends) {
            words.push(call);
        }
    }
    words
}

/// Numbered lines without comments and string literals' insides being told apart: good enough for words
/// that do not occur in our strings.
fn code_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let code = |(number, line): (usize, &str)| {
        let line = line.split("//").next().unwrap_or("");
        (!line.trim().is_empty()).then(|| (number + 1, line.to_owned()))
    };
    text.lines().enumerate().filter_map(code)
}

fn all_sources() -> Vec<PathBuf> {
    ["runtime", "server", "tests"].iter().flat_map(|part| sources(&root().join(part))).collect()
}

/// Every Rust file below `folder`.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())).flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "node_modules" && name != "target" && name != "testdata" {
            files.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the workspace").to_path_buf()
}

fn read(file: &Path) -> String {
    fs::read_to_string(file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
}

fn shown(file: &Path) -> String {
    file.strip_prefix(root()).unwrap_or(file).display().to_string()
}

mod the_rules_themselves {
    use super::*;

    #[test]
    fn a_name_that_no_test_has_is_found() {
        let row = |name: &str| format!("| A promise | `{name}` in [README](../README.md) |");
        assert_eq!(untrue(&row("a_key_is_echoed"), "fn a_key_is_echoed() {}"), Findings::new());
        assert_eq!(untrue(&row("a key is echoed"), "test(\"a key is echoed, twice\", () => {})"), Findings::new());
        assert_eq!(untrue(&row("a_key_is_lost"), "fn a_key_is_echoed() {}").len(), 1);
        let there = "| Another | `no_such_rule_is_here`, there |";
        assert_eq!(
            untrue(
                &[&row("a_key_is_echoed"), there].join("\n"),
                "fn a_key_is_echoed() {} fn no_such_rule_is_here() {}"
            )
            .len(),
            1
        );
        assert_eq!(links("[a](b.md#c) and [d](#e)").collect::<Vec<_>>(), ["b.md"]);
    }

    #[test]
    fn a_use_of_a_later_module_is_found_and_one_of_an_earlier_is_not() {
        let order: Vec<String> = declared("pub mod low;\nmod middle;\n// mod not;\npub(crate) mod high;\n");
        assert_eq!(order, ["low", "middle", "high"]);
        let uses = |text| upward_uses(&order, "middle", text).collect::<Vec<_>>();
        assert_eq!(uses("use crate::low::X;\nuse crate::middle::Y;"), Vec::<&str>::new());
        assert_eq!(uses("fn f() { crate::high::g() }"), ["high"]);
        assert_eq!(uses("use crate::{low, high::Z};"), ["high"]);
        assert_eq!(uses("// crate::high is not used"), Vec::<&str>::new());
    }

    #[test]
    fn unsafe_is_a_word_and_not_a_part_of_one() {
        assert_eq!(unsafe_words("let x = unsafe { y };"), ["unsafe"]);
        assert_eq!(unsafe_words("#![forbid(unsafe_code)]"), Vec::<&str>::new());
        assert_eq!(unsafe_words("an unsafe name"), Vec::<&str>::new());
        assert_eq!(unsafe_words("libc::mount(a)"), ["libc::mount"]);
        assert_eq!(unsafe_words("libc::mount_setattr_number"), Vec::<&str>::new());
    }
}
