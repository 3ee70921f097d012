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

#[test]
fn costly_ignore_patterns_over_long_names_come_to_an_end() {
    let yard = Yard::new();
    // Each star that may be anywhere, in names that fit all but the end: a minute and more, if every way were tried.
    fs::write(yard.context().join(".dockerignore"), format!("**/{}*z\n", "*a".repeat(110)).repeat(10))
        .expect("the yard is ours");
    for number in 0..2000 {
        fs::write(yard.context().join(format!("{}{number}", "a".repeat(240))), "").expect("the yard is ours");
    }
    let built = yard.build("FROM host\nCOPY . /x/\n", &["-q"]);
    assert!(built.status.success(), "{}", harmless(&built));
    fs::write(yard.context().join(".dockerignore"), format!("**/{}\n", "*a".repeat(2000)).repeat(10))
        .expect("the yard is ours");
    let refused = yard.build("FROM host\nCOPY . /x/\n", &["-q"]);
    assert!(!refused.status.success() && harmless(&refused).contains("behind stars"), "{}", harmless(&refused));
}

#[test]
fn mounts_lead_nowhere_but_into_the_image_the_stage_and_the_context() {
    let yard = Yard::new();
    let outside = tempfile::tempdir().expect("a temporary directory");
    fs::write(outside.path().join("secret"), "hunter2").expect("it is ours");
    let out = outside.path().to_str().expect("it is UTF-8");
    symlink(out, yard.context().join("way")).expect("the yard is ours");
    fs::write(yard.context().join("own"), "").expect("the yard is ours");
    let built = yard.build(
        &format!(
            "FROM host AS a\nRUN mkdir /s && echo stage >/s/f && ln -s /s /link\nFROM host\n\
             RUN --mount=type=bind,source=../..,target=/m test -e /m/own && ! cat /m/way/secret\n\
             RUN --mount=type=cache,id=../../../etc,target=/m,from=a,source=/link \
             grep stage /m/f && ln -s {out} /m/out && ln -s ../../../../../../..{out} /m/up\n\
             RUN --mount=type=cache,id=../../../etc,target=/m ! cat /m/out/secret /m/up/secret; echo evil >/m/out/evil; true\n\
             RUN --mount=type=cache,id=../../../etc,target=/m --mount=type=cache,id=b,target=/m/out/x \
             echo evil >/m/out/x/evil\n"
        ),
        &["--progress", "plain"],
    );
    let said = harmless(&built);
    assert!(built.status.success() && !said.contains("hunter2"), "{said}");
    let names: Vec<_> = fs::read_dir(outside.path()).expect("it is ours").flatten().map(|it| it.file_name()).collect();
    assert_eq!(names, ["secret"]);
    let refused = yard.build("FROM host\nRUN --mount=type=bind,source=way/secret,target=/m cat /m\n", &[]);
    assert!(!refused.status.success() && !harmless(&refused).contains("hunter2"), "{}", harmless(&refused));
}

#[test]
fn an_archive_of_a_hostile_image_is_loaded_and_shown_without_its_commands() {
    let (maker, yard) = (Yard::new(), Yard::new());
    let text =
        format!("FROM scratch\nLABEL \"{ESCAPES}\"=\"{ESCAPES}\"\nENV A=\"{ESCAPES}\"\nCOPY . /\nCMD {ESCAPES}\n");
    fs::write(maker.context().join(format!("name{ESCAPES}")), "1").expect("any name is one");
    assert!(maker.build(&text, &["-q", "-t", "hostile"]).status.success());
    let archive = yard.context().join("hostile.tar");
    let archive = archive.to_str().expect("it is UTF-8");
    assert!(maker.run(&["image", "save"], &["-o", archive, "hostile"]).status.success());
    let loaded = yard.run(&["image", "load"], &["-i", archive]);
    assert!(loaded.status.success(), "{}", harmless(&loaded));
    for verb in [&["image", "load", "-i", archive][..], &["image", "ls"], &["image", "history", "hostile"]] {
        harmless(&yard.run(&verb[..2], &verb[2..]));
    }
    assert!(harmless(&yard.run(&["image", "inspect"], &["hostile"])).contains("u001b"));
    // The same with its documents' beginnings gone: what is wrong is said, and quoted.
    let bytes = fs::read(archive).expect("it is there");
    fs::write(archive, &bytes[512..]).expect("it is ours");
    let refused = yard.run(&["image", "load"], &["-i", archive]);
    assert!(!refused.status.success() && !harmless(&refused).is_empty());
}

#[test]
fn folders_deeper_than_a_path_fail_in_words_and_leave_nothing() {
    let yard = Yard::new();
    fs::copy(env!("CARGO_BIN_EXE_pest"), yard.context().join("pest")).expect("cargo has built it");
    let tmp = yard.folder.path().join("data/images/tmp");
    let step = yard.build("FROM scratch\nCOPY pest /\nRUN [\"/pest\", \"deep\"]\n", &[]);
    let said = harmless(&step);
    assert!(step.status.code() == Some(1) && said.contains("more than 256 folders deep"), "{said}");
    assert_eq!(fs::read_dir(&tmp).expect("the store is there").count(), 0, "{said}");
    // A cache becomes no layer, so it may; and it goes again.
    let cache = "FROM scratch\nCOPY pest /\nWORKDIR /c\nRUN --mount=type=cache,target=/c [\"/pest\", \"deep\"]\n";
    let said = harmless(&yard.build(cache, &[]));
    assert!(said.contains("writing image"), "{said}");
    assert!(harmless(&yard.run(&["builder", "ls"], &[])).contains("cache mount /c"));
    let pruned = harmless(&yard.run(&["builder", "prune"], &["--all"]));
    assert!(pruned.contains("1 cache mount"), "{pruned}");
    assert_eq!(fs::read_dir(yard.folder.path().join("data/images/caches")).expect("it is there").count(), 0);
}
