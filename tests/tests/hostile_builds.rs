//! Dockerfiles, contexts and images of somebody who means harm: to the terminal, to the machine, to other builds.
//!
//! Needs root. Each test is an attack that was tried by hand first, and what must come of it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use quayside_tests::{binary, needs};
use tempfile::TempDir;

/// Clears the screen, renames the window, hides what follows, and turns letters round; once more by a C1 character.
const ESCAPES: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\u{1b}[8m\u{202e}\u{9b}2J";

/// A data directory and a context.
struct Yard {
    folder: TempDir,
}

impl Yard {
    fn new() -> Self {
        needs::containers();
        // Now, as it may have to be built, and times are measured.
        binary::quayside();
        let folder = tempfile::Builder::new().prefix("quayside-hostile-").tempdir().expect("a temporary directory");
        fs::create_dir(folder.path().join("context")).expect("the yard is ours");
        Self { folder }
    }

    fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    fn command(&self, verb: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new("timeout");
        // What takes longer is what an attack wanted.
        command.args(["-k", "5", "60"]).arg(binary::quayside()).args(verb);
        command.arg("--data").arg(self.folder.path().join("data")).args(args).stdin(Stdio::null());
        command
    }

    fn run(&self, verb: &[&str], args: &[&str]) -> Output {
        self.command(verb, args).output().expect("timeout(1) starts")
    }

    fn build(&self, dockerfile: &str, args: &[&str]) -> Output {
        fs::write(self.context().join("Dockerfile"), dockerfile).expect("the yard is ours");
        let context = self.context();
        self.run(&["build"], &[args, &[context.to_str().expect("it is UTF-8")]].concat())
    }
}

/// Everything that it said, which has nothing in it that a terminal obeys.
#[track_caller]
fn harmless(output: &Output) -> String {
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    let said = String::from_utf8(said).expect("all of it is UTF-8");
    let obeyed = |c: char| (c.is_control() && c != '\n' && c != '\t') || c == '\u{202e}';
    assert!(!said.contains(obeyed), "{said:?}");
    said
}

#[test]
fn no_name_and_no_instruction_reaches_the_terminal_as_a_command() {
    let yard = Yard::new();
    fs::write(yard.context().join(format!("name{ESCAPES}")), "1").expect("any name is one");
    let good = format!("FROM host\nLABEL a=\"{ESCAPES}\"\nCOPY . /x/\nRUN echo \"{ESCAPES}\"\n");
    let wrong = [
        format!("FROM host\nCOPY no{ESCAPES} /x\n"),
        format!("FROM no{ESCAPES}\n"),
        format!("FROM host\nNO{ESCAPES} x\n"),
        format!("FROM host AS x{ESCAPES}\n"),
        format!("FROM host\nUSER {ESCAPES}\nRUN true\n"),
        format!("FROM host\nRUN exit 3 # {ESCAPES}\n"),
        format!("FROM host\nADD http://127.0.0.1:1/{ESCAPES} /x\n"),
    ];
    for form in ["plain", "legacy", "json"] {
        fs::write(yard.context().join(format!("name{ESCAPES}")), form).expect("any name is one");
        let built = yard.build(&good, &["--progress", form]);
        // A command's own colours stay in a log, and end with their line.
        let said = String::from_utf8_lossy(&[built.stdout, built.stderr].concat()).replace("\u{1b}[8m", "");
        let said = said.replace("\u{1b}[0m", "");
        assert!(
            !said.contains(['\u{1b}', '\u{7}', '\u{9b}', '\u{202e}']) && built.status.success(),
            "{form}: {said:?}"
        );
        for text in &wrong {
            let refused = yard.build(text, &["--progress", form]);
            assert!(!refused.status.success(), "{text:?}");
            harmless(&refused);
        }
    }
}

#[test]
fn an_images_own_words_are_shown_and_not_obeyed() {
    let yard = Yard::new();
    let text = format!("FROM host\nLABEL a=\"{ESCAPES}\" author=\"{ESCAPES}\"\nRUN true # {ESCAPES}\n");
    let built = yard.build(&text, &["-t", "hostile", "--progress", "plain"]);
    assert!(built.status.success(), "{}", harmless(&built));
    for (verb, args) in [
        (&["image", "ls"][..], &[][..]),
        (&["image", "history"], &["hostile"]),
        (&["image", "inspect"], &["hostile"]),
        (&["builder", "ls"], &[]),
    ] {
        let output = yard.run(verb, args);
        let said = harmless(&output);
        assert!(output.status.success() && !said.is_empty(), "{verb:?}: {said}");
    }
}

#[test]
fn an_ignore_file_that_has_no_end_or_never_begins_is_refused() {
    let yard = Yard::new();
    let ignore = yard.context().join(".dockerignore");
    let refused = |words: &str| {
        let begin = Instant::now();
        let output = yard.build("FROM host\nCOPY . /x\n", &[]);
        let said = harmless(&output);
        assert!(!output.status.success() && said.contains(words), "{said}");
        assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
        fs::remove_file(&ignore).expect("it is there");
    };
    symlink("/dev/zero", &ignore).expect("the yard is ours");
    refused("it is no file");
    nix::unistd::mkfifo(&ignore, nix::sys::stat::Mode::S_IRUSR).expect("the yard is ours");
    refused("it is no file");
    fs::write(&ignore, "a\n".repeat(1 << 20)).expect("the yard is ours");
    refused("262144");
}
