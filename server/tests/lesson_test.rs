//! `quayside lesson test` on small lessons with one fault each, in real sandboxes. Needs root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// A data directory of its own, with the image that needs no download.
struct Bench {
    data: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "sandboxes need root: run the tests as root");
        Self { data: tempfile::tempdir().expect("a directory") }
    }

    fn command(&self, lessons: &Path, flags: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_quayside"));
        command.args(["lesson", "test", "--image", "host", "--data"]).arg(self.data.path()).args(flags).arg(lessons);
        command
    }

    fn test(&self, lessons: &Path, flags: &[&str]) -> Output {
        let output = self.command(lessons, flags).output().expect("the binary runs");
        self.is_clean();
        output
    }

    /// Names in a directory of the data directory.
    fn names(&self, directory: &str) -> Vec<String> {
        // Not there before the first run.
        let entries = fs::read_dir(self.data.path().join(directory)).into_iter().flatten().flatten();
        entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
    }

    #[track_caller]
    fn is_clean(&self) {
        assert_eq!(self.names("sandboxes"), [""; 0], "sandboxes are left");
        assert_eq!(self.names("run/shims"), [""; 0], "sockets are left");
        let loops = fs::read_dir("/sys/block").expect("sysfs").flatten().filter_map(|device| {
            let file = fs::read_to_string(device.path().join("loop/backing_file")).ok()?;
            file.starts_with(&*self.data.path().to_string_lossy()).then_some(file)
        });
        assert_eq!(loops.collect::<Vec<_>>(), [""; 0], "loop devices are left");
    }
}

fn testdata() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/rehearsal")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn wait(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + Duration::from_secs(20);
    while Instant::now() < deadline {
        if let Some(status) = child.try_wait().expect("our child") {
            return status.code();
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    child.kill().expect("our child");
    panic!("it did not end within 20 s");
}

#[test]
fn every_fault_of_a_lesson_is_said_with_what_was_expected_and_what_was_found() {
    let output = Bench::new().test(&testdata(), &["--strict", "--type"]);
    insta::with_settings!({ snapshot_path => testdata(), prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!("expected", said(&output));
    });
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn one_scenario_can_be_named_and_a_sound_one_is_a_success() {
    let output = Bench::new().test(&testdata(), &["--strict", "--scenario", "rehearsal/sound"]);
    assert_eq!(said(&output).lines().last(), Some("1 passed, 0 failed"), "{}", said(&output));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_new_lesson_can_be_passed_by_its_solution_and_by_its_text() {
    let home = tempfile::tempdir().expect("a directory");
    let dir = home.path().join("my-first");
    let made = Command::new(env!("CARGO_BIN_EXE_quayside")).args(["lesson", "new"]).arg(&dir).output().expect("run");
    assert!(said(&made).contains("is a lesson now"), "{made:?}");
    let output = Bench::new().test(&dir, &["--strict", "--type"]);
    assert_eq!(said(&output).lines().last(), Some("2 passed, 0 failed"), "{}", said(&output));
}

#[test]
fn what_a_strangers_lesson_lacks_is_said_and_is_no_failure_unless_strict() {
    let output = Bench::new().test(&testdata(), &["--scenario", "says-nothing"]);
    let expected =
        "skipped rehearsal/says-nothing step 1: it has no check, no hint, no solution\n0 passed, 0 failed, 1 skipped\n";
    assert_eq!(said(&output), expected);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_text_that_leaves_the_work_to_its_reader_is_no_failure_unless_strict() {
    let output = Bench::new().test(&testdata(), &["--type", "--scenario", "nothing-to-press"]);
    let said = said(&output);
    assert!(said.contains("skipped rehearsal/nothing-to-press step 1, typed: its text has nothing to press"), "{said}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn a_name_that_no_scenario_has_is_an_error() {
    let output = Bench::new().test(&testdata(), &["--scenario", "nowhere"]);
    assert_ne!(output.status.code(), Some(0));
    assert!(String::from_utf8_lossy(&output.stderr).contains("is called nowhere"));
}

#[test]
fn ctrl_c_ends_the_sandbox_that_runs() {
    let lessons = tempfile::tempdir().expect("a directory");
    let write = |name: &str, text: &str| fs::write(lessons.path().join(name), text).expect("written");
    write("text.md", "Wait.");
    write("verify.sh", "exit 1\n");
    write("solution.sh", "sleep 50\n");
    write(
        "index.json",
        r#"{"details": {"steps": [{"text": "text.md", "verify": "verify.sh", "solution": "solution.sh"}]},
            "backend": {"imageid": "quayside"}}"#,
    );
    let bench = Bench::new();
    let mut child = bench.command(lessons.path(), &[]).stdout(Stdio::null()).spawn().expect("the binary runs");
    let deadline = Instant::now() + Duration::from_secs(30);
    while bench.names("run/shims").is_empty() {
        assert!(Instant::now() < deadline, "no sandbox was launched");
        std::thread::sleep(Duration::from_millis(20));
    }
    kill(Pid::from_raw(child.id() as i32), Signal::SIGINT).expect("our child");
    assert_eq!(wait(&mut child), Some(130));
    bench.is_clean();
}
