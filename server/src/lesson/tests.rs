//! Golden folders: `testdata/lessons/CASE/` beside what is read from it.

use std::fmt::Write;
use std::fs;
use std::path::{Path, PathBuf};

use super::load_library;
use super::model::{Item, Library, Page, PageKind, Scenario};

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/lessons")
}

/// Everything about a library that its readers rely on, as text.
fn describe(library: &Library) -> String {
    let mut out = String::new();
    for course in &library.courses {
        writeln!(out, "course {} “{}” {}", course.slug, course.title, course.description).unwrap();
        course.diagnostics.iter().for_each(|diagnostic| writeln!(out, "  {diagnostic}").unwrap());
        course.items.iter().for_each(|item| describe_item(&mut out, item));
    }
    out
}

fn describe_item(out: &mut String, item: &Item) {
    match item {
        Item::Scenario(scenario) => describe_scenario(out, scenario),
        Item::Broken { slug, title, diagnostics, .. } => {
            writeln!(out, "broken {slug} “{title}”").unwrap();
            diagnostics
                .iter()
                .for_each(|diagnostic| writeln!(out, "  {diagnostic}\n{:#?}", diagnostic.excerpt).unwrap());
        }
    }
}

fn describe_scenario(out: &mut String, scenario: &Scenario) {
    writeln!(out, "scenario {}/{} “{}” {}", scenario.course, scenario.slug, scenario.title, scenario.description)
        .unwrap();
    writeln!(
        out,
        "  difficulty {:?}, time {:?}, namespace {:?}",
        scenario.difficulty, scenario.time, scenario.namespace
    )
    .unwrap();
    writeln!(out, "  {:?} is {:?}", scenario.imageid, scenario.environment).unwrap();
    scenario.diagnostics.iter().for_each(|diagnostic| writeln!(out, "  {diagnostic}").unwrap());
    for lack in &scenario.lacks {
        writeln!(out, "  lacks {}{}: {}", lack.what, if lack.fatal { " (fatal)" } else { "" }, lack.says).unwrap();
    }
    for asset in &scenario.assets {
        let source = asset.source.strip_prefix(&scenario.dir).unwrap();
        writeln!(out, "  asset {} to {} {:?}", source.display(), asset.target, asset.chmod).unwrap();
    }
    if let Some(language) = &scenario.language {
        writeln!(out, "  language {language}").unwrap();
    }
    for (number, greeting) in (1..).zip(&scenario.greetings) {
        if let Some(greeting) = greeting {
            writeln!(out, "  greeting {number} {greeting:?}").unwrap();
        }
    }
    for terminal in &scenario.terminals {
        writeln!(out, "  terminal {} “{}” {:?}", terminal.number, terminal.name, terminal.command).unwrap();
    }
    scenario.pages.iter().for_each(|page| describe_page(out, page));
}

fn describe_page(out: &mut String, page: &Page) {
    let hidden = if page.hidden { " (hidden)" } else { "" };
    writeln!(out, "page {} “{}”{hidden}", page.kind.slug(), page.title).unwrap();
    for (name, script) in [("foreground", &page.foreground), ("background", &page.background)] {
        if let Some(script) = script {
            writeln!(out, "  {name} {} {:?}", script.path, String::from_utf8_lossy(&script.bytes)).unwrap();
        }
    }
    if let Some(verify) = &page.verify {
        let script = String::from_utf8_lossy(&verify.script.bytes);
        writeln!(out, "  verify {} {script:?}, wants done: {}", verify.script.path, verify.wants_done).unwrap();
    }
    for lack in &page.lacks {
        writeln!(out, "  lacks {}: {}", lack.what, lack.says).unwrap();
    }
    for (number, action) in page.actions.iter().enumerate() {
        writeln!(out, "  action {number} {:?} {:?}", action.verb, action.text).unwrap();
        if let Some(target) = &action.target {
            writeln!(out, "    in {} {:?}", target.path, target.marker).unwrap();
        }
    }
    for quiz in &page.quizzes {
        writeln!(out, "  question {} {}: {:?}", quiz.key, quiz.question, quiz.answers).unwrap();
    }
    writeln!(out, "{}", page.html.trim_end()).unwrap();
    if let Some(hint) = &page.hint {
        writeln!(out, "  hint: {}", hint.trim_end()).unwrap();
    }
    if let Some(solution) = &page.solution {
        let script = solution.script.as_ref().map(|script| String::from_utf8_lossy(&script.bytes).into_owned());
        writeln!(out, "  solution: {}\n  script: {script:?}", solution.html).unwrap();
    }
}

#[test]
fn every_folder_of_testdata_reads_as_its_snapshot_says() {
    let mut cases: Vec<PathBuf> = fs::read_dir(testdata()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    for case in cases.iter().filter(|case| case.is_dir() && !case.ends_with("markdown")) {
        insta::with_settings!({ snapshot_path => case, prepend_module_to_snapshot => false, omit_expression => true }, {
            insta::assert_snapshot!("expected", describe(&load_library(case)));
        });
    }
}

#[test]
fn a_broken_scenario_harms_nobody_else() {
    let library = load_library(&testdata().join("repository"));
    let items = || library.courses.iter().flat_map(|course| &course.items);
    assert!(items().any(|item| matches!(item, Item::Broken { slug, .. } if slug == "broken")));
    assert_eq!(items().filter(|item| matches!(item, Item::Scenario(_))).count(), 3);
}

#[test]
fn the_version_of_a_scenario_changes_with_any_file_that_it_uses() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    let digest = || match load_library(home.path()).courses[0].items[0].clone() {
        Item::Scenario(scenario) => scenario.digest.clone(),
        Item::Broken { .. } => panic!("it should load"),
    };
    fs::create_dir(home.path().join("assets")).unwrap();
    write(
        "index.json",
        r#"{"details": {"intro": {"text": "i.md", "background": "b.sh"}, "assets": {"host01": [{"file": "*", "target": "~"}]}}}"#,
    );
    write("i.md", "one");
    write("b.sh", "true");
    write("assets/a", "a");
    write("unused.md", "x");
    let first = digest();
    write("unused.md", "y");
    assert_eq!(digest(), first);
    for (name, text) in [("i.md", "two"), ("b.sh", "false"), ("assets/a", "b")] {
        let before = digest();
        write(name, text);
        assert_ne!(digest(), before, "{name}");
    }
}

#[test]
fn a_folder_that_is_not_there_is_an_empty_library() {
    assert!(load_library(Path::new("/no/such/folder")).courses.is_empty());
}

#[test]
fn the_bundled_lessons_are_whole() {
    let library = load_library(&Path::new(env!("CARGO_MANIFEST_DIR")).join("../lessons"));
    assert_eq!(library.courses.iter().map(|course| course.title.as_str()).collect::<Vec<_>>(), ["Eight namespaces"]);
    for item in library.courses.iter().flat_map(|course| &course.items) {
        let Item::Scenario(scenario) = item else { panic!("{item:?}") };
        assert!(
            scenario.diagnostics.is_empty() && scenario.lacks.is_empty(),
            "{:?} {:?}",
            scenario.diagnostics,
            scenario.lacks
        );
        assert_eq!(scenario.environment.hostname, "quayside");
        for page in scenario.pages.iter().filter(|page| matches!(page.kind, PageKind::Step(_))) {
            let solution = page.solution.as_ref().and_then(|solution| solution.script.as_ref());
            assert!(
                page.verify.is_some() && page.hint.is_some() && solution.is_some(),
                "{} {}",
                scenario.slug,
                page.title
            );
        }
    }
}

#[test]
fn a_title_is_not_said_twice() {
    let home = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(home.path().join(name), text).unwrap();
    write(
        "index.json",
        r#"{"details": {"steps": [{"title": "A & B", "text": "a.md"}, {"title": "Other", "text": "a.md"}]}}"#,
    );
    write("a.md", "# A & B\n\nText.");
    let Item::Scenario(scenario) = load_library(home.path()).courses[0].items[0].clone() else {
        panic!("it should load")
    };
    assert_eq!(scenario.pages[0].html, "<p>Text.</p>\n");
    assert!(scenario.pages[1].html.starts_with("<h2 id=\"lesson-a--b\">A &amp; B</h2>"));
}

#[test]
fn a_scenario_that_breaks_is_played_as_it_was_and_its_author_is_told() {
    let home = tempfile::tempdir().unwrap();
    let dir = home.path().join("one");
    fs::create_dir(&dir).unwrap();
    let write = |text: &str| fs::write(dir.join("index.json"), text).unwrap();
    write("{\"title\": \"Good\"}");
    let good = load_library(home.path());
    let since = good.read_at.unwrap() - std::time::Duration::from_secs(60);
    assert!(super::has_changed(&dir, since) && !super::has_changed(&dir, since + std::time::Duration::from_secs(3600)));
    write("{\"title\": ");
    let kept = load_library(home.path()).keeping_the_good_of(&good);
    let course = kept.courses[0].slug.clone();
    assert_eq!(kept.item(&course, "one").unwrap().title(), "Good");
    assert!(kept.fault(&course, "one").unwrap().diagnostics[0].message.contains("ends where a value should be"));
    write("{\"title\": \"Better\"}");
    let mended = load_library(home.path()).keeping_the_good_of(&kept);
    assert_eq!(mended.item(&course, "one").unwrap().title(), "Better");
    assert!(mended.faults.is_empty());
}
