//! The image store and processes that are killed in the middle of writing: at every call that changes a file, a folder or
//! a lock, in whichever thread (see `killing`).
//!
//! After each kill the store is looked at twice, in two copies: in one what was killed is done again at once, in the other
//! all that belongs to nothing is removed first. Either way the store opens, says what it has, and ends with exactly the
//! content that it has when nobody kills anything.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use quayside_tests::images::{Yard, copy, quayside, ran};
use quayside_tests::killing::{CONTENT, FOLDERS, NAMING, SETTLING, killed_at};
use quayside_tests::registry::Registry;
use tempfile::TempDir;

/// More calls than any of the commands makes; a command that makes more would be killed for ever.
const CALLS_MAX: usize = 400;

/// What a container's first process may take to end after the build that started it; it has the build's locks until then.
const LOCKS_PATIENCE: Duration = Duration::from_secs(10);

#[test]
fn an_import_killed_at_any_write_of_a_new_store() {
    let yard = Yard::new();
    yard.archive("files.tar.gz", "etc/motd", b"hello\n");
    // Nothing is there yet: the folders of the store are among what is killed.
    let empty = tempfile::tempdir().expect("a directory");
    let args = ["image", "import", &yard.path("files.tar.gz"), "new:1"];
    Story { calls: &[FOLDERS, SETTLING, NAMING, CONTENT], ..Story::new(empty.path(), &args) }.check("new:1");
}

#[test]
fn a_load_killed_at_any_write() {
    let yard = Yard::new();
    ran(&yard.at("shelf"), &["image", "save", "-o", &yard.path("two.tar"), "--format", "oci-archive", "two:1"]);
    let data = yard.data(&[]);
    Story::new(data.path(), &["image", "load", "-i", &yard.path("two.tar")]).check("two:1");
}

#[test]
fn a_pull_killed_at_any_write() {
    let yard = Yard::new();
    let data = yard.data(&[]);
    let registry = Registry::ours(&yard.at("shelf"));
    let name = format!("{}/two:1", registry.address);
    Story::new(data.path(), &["image", "pull", &name]).check(&name);
}

#[test]
fn a_tag_killed_at_any_write() {
    let yard = Yard::new();
    let data = yard.data(&[]);
    Story::new(data.path(), &["image", "tag", "base:1", "other:1"]).check("other:1");
}

#[test]
fn a_removal_killed_at_any_write() {
    let yard = Yard::new();
    ran(&yard.at("shelf"), &["image", "save", "-o", &yard.path("two.tar"), "--format", "oci-archive", "two:1"]);
    let data = yard.data(&[&["image", "load", "-i", &yard.path("two.tar")]]);
    // The second time there is nothing left to remove.
    Story { may_be_done: true, ..Story::new(data.path(), &["image", "rm", "two:1"]) }.check("base:1");
}

#[test]
fn a_prune_killed_at_any_write() {
    let yard = Yard::new();
    yard.archive("files.tar.gz", "etc/motd", b"hello\n");
    let data = yard.data(&[&["image", "import", &yard.path("files.tar.gz")]]);
    Story::new(data.path(), &["image", "prune"]).check("base:1");
}

#[test]
fn a_build_that_copies_killed_at_any_write() {
    let yard = Yard::new();
    yard.context("copies", "FROM base:1\nCOPY file /srv/file\n");
    let data = yard.data(&[]);
    let args = ["build", "-q", "-t", "built:1", &yard.path("copies")];
    Story { has_times: true, ..Story::new(data.path(), &args) }.check("built:1");
}

#[test]
fn a_build_that_runs_killed_wherever_something_gets_its_name() {
    let yard = Yard::new();
    yard.context("runs", "FROM base:1\nRUN echo made > /made\n");
    let data = yard.data(&[]);
    let args = ["build", "-q", "-t", "built:1", &yard.path("runs")];
    Story { has_times: true, calls: &[SETTLING], ..Story::new(data.path(), &args) }.check("built:1");
}

#[test]
fn a_preparation_killed_wherever_something_gets_its_name() {
    let empty = tempfile::tempdir().expect("a directory");
    let args = ["image", "prepare", "host"];
    Story { calls: &[SETTLING], has_times: true, ..Story::new(empty.path(), &args) }.check("host");
}

/// A command that is killed in a copy of a data directory.
struct Story<'a> {
    before: &'a Path,
    command: &'a [&'a str],
    calls: &'a [&'a [i64]],
    /// When it has been done it cannot be done again.
    may_be_done: bool,
    /// What it makes has the time of its making in it: made anew it is another one, and only the second time the same.
    has_times: bool,
}

impl<'a> Story<'a> {
    fn new(before: &'a Path, command: &'a [&'a str]) -> Self {
        Self { before, command, calls: &[SETTLING, NAMING, CONTENT], may_be_done: false, has_times: false }
    }

    /// Kills it at its first call, its second, and so on until it gets through. `name` is that of an image which is there
    /// when it has.
    fn check(&self, name: &str) {
        let begun = Instant::now();
        let whole = self.copy_of(self.before);
        self.again(whole.path());
        let whole = self.inventory(whole.path());
        for number in 1..=CALLS_MAX {
            let data = self.copy_of(self.before);
            if !killed_at(&quayside(data.path(), self.command), self.calls, number) {
                let verb = self.command[..2].join(" ");
                eprintln!("{verb} killed at each of its {} calls, in {:?}", number - 1, begun.elapsed());
                assert!(number > 4, "a command that writes nothing was tested");
                return;
            }
            let pruned = self.copy_of(data.path());
            look(data.path(), name);
            self.again(data.path());
            assert_eq!(self.inventory(data.path()), whole, "{:?} killed at call {number}", self.command);
            ran_alone(pruned.path(), &["image", "prune"]);
            look(pruned.path(), name);
            self.again(pruned.path());
            assert_eq!(self.inventory(pruned.path()), whole, "{:?} killed at call {number}, pruned", self.command);
        }
        panic!("{:?} is killed at its call {CALLS_MAX} still", self.command);
    }

    fn copy_of(&self, data: &Path) -> TempDir {
        let copied = tempfile::tempdir().expect("a directory");
        copy(data, copied.path());
        copied
    }

    /// Does it again, as if nothing had been; then removes what belongs to nothing.
    fn again(&self, data: &Path) {
        let patience = Instant::now();
        loop {
            let output = quayside(data, self.command).output().expect("the program starts");
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            if output.status.success() || (self.may_be_done && said.contains("there is no image called")) {
                break;
            }
            assert!(said.contains("another process") && patience.elapsed() < LOCKS_PATIENCE, "{said}");
        }
        if self.has_times {
            let first = ran(data, self.command);
            assert_eq!(first.stdout, ran(data, self.command).stdout, "the second time it is there already");
        }
        if self.command[0] == "build" {
            ran_alone(data, &["builder", "prune", "--all"]);
        }
        ran_alone(data, &["image", "prune"]);
    }

    /// Every file of the store but what is in layers, and what the names mean; without digests where there are times.
    fn inventory(&self, data: &Path) -> Vec<String> {
        let mut all = Vec::new();
        list(&data.join("images"), "", &mut all);
        let names = fs::read_to_string(data.join("images/content/names.json")).unwrap_or_default();
        all.push(names);
        if self.has_times {
            all.iter_mut().for_each(|line| *line = without_digests(line));
        }
        all.sort();
        all
    }
}

/// The store opens, says what it has and what takes room, and nothing half done is in it. The image is whole or not there.
fn look(data: &Path, name: &str) {
    ran(data, &["image", "ls"]);
    ran(data, &["image", "df"]);
    let tmp: Vec<_> = fs::read_dir(data.join("images/tmp")).expect("a store").flatten().collect();
    assert!(tmp.is_empty(), "{tmp:?} is left after the store was opened again");
    let export = quayside(data, &["image", "export", name, "-o", "/dev/null"]).output().expect("the program starts");
    let said = String::from_utf8_lossy(&export.stderr);
    let is_known = said.contains("there is no image called") || said.contains("is not whole");
    assert!(export.status.success() || is_known, "{said}");
}

/// Runs a command that must be alone in the store: what a killed one had started may live for a moment.
fn ran_alone(data: &Path, command: &[&str]) {
    let begun = Instant::now();
    loop {
        let output = quayside(data, command).output().expect("the program starts");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        if output.status.success() {
            return;
        }
        assert!(said.contains("another process") && begun.elapsed() < LOCKS_PATIENCE, "{command:?}: {said}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn list(folder: &Path, above: &str, all: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = format!("{above}/{}", entry.file_name().display());
        all.push(name.clone());
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && !name.ends_with("/diff") {
            list(&entry.path(), &name, all);
        }
    }
}

/// With every digest the same.
fn without_digests(line: &str) -> String {
    let is_digit = |char: char| char.is_ascii_hexdigit();
    let mut kept = String::new();
    for part in line.split_inclusive(|char| !is_digit(char)) {
        let digits = part.trim_end_matches(|char| !is_digit(char));
        kept.push_str(if digits.len() == 64 { &part[64..] } else { part });
    }
    kept
}
