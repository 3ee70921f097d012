//! The image store and processes that are killed in the middle of writing: at each call that changes what others see.
//!
//! Needs root and strace(1), whose fault injection sends SIGKILL at the entry of the Nth call.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use quayside_tests::{binary, needs};

/// The calls by which content gets its name, or is known to be on the disk. Between two of them nobody else sees a change.
const CALLS: &str = "rename,renameat,renameat2,fsync,syncfs,flock";

/// More calls than any of the commands makes; a command that makes more would be killed for ever.
const CALLS_MAX: usize = 200;

#[test]
fn a_preparation_killed_at_any_write_leaves_a_store_that_goes_on() {
    killed_everywhere(&["image", "prepare"], &["host"], &[]);
}

#[test]
fn a_removal_killed_at_any_write_leaves_a_store_that_goes_on() {
    killed_everywhere(&["image", "rm"], &["host"], &["host"]);
}

/// Runs a command again and again, killed at its first call, its second, and so on until it gets through. After each the
/// store must open, list what it has, and take the same command without a fault. `before` is prepared first.
fn killed_everywhere(verb: &[&str], args: &[&str], before: &[&str]) {
    needs::sandboxes();
    if !needs::has_program("strace") {
        needs::say_skipped("a store whose writer is killed; needs strace");
        return;
    }
    for number in 1..=CALLS_MAX {
        let data = tempfile::tempdir().expect("a directory");
        for name in before {
            succeeded(&quayside(data.path(), &["image", "prepare"], &[name]));
        }
        let killed = killed_at(data.path(), verb, args, number);
        let listed = quayside(data.path(), &["image", "ls"], &[]);
        succeeded(&listed);
        let tmp: Vec<_> = fs::read_dir(data.path().join("images/tmp")).expect("a store").flatten().collect();
        assert!(tmp.is_empty(), "killed at call {number}, {tmp:?} is left after the store was opened again");
        // Either it is there whole, or not at all; and either way a shell runs from it once it is prepared.
        let said = String::from_utf8_lossy(&listed.stdout).into_owned();
        assert!(said.contains("host"), "{said}");
        succeeded(&quayside(data.path(), &["image", "prepare"], &["host"]));
        let run = quayside(data.path(), &["run"], &["host", "--", "bash", "-c", "echo whole"]);
        succeeded(&run);
        assert_eq!(String::from_utf8_lossy(&run.stdout), "whole\n", "killed at call {number}");
        if !killed {
            eprintln!("{} killed at each of its {} calls", verb.join(" "), number - 1);
            assert!(number > 4, "a command that writes nothing was tested");
            return;
        }
    }
    panic!("{} is killed at its call {CALLS_MAX} still", verb.join(" "));
}

/// Whether the command was killed: it makes at least `number` of the calls.
fn killed_at(data: &Path, verb: &[&str], args: &[&str], number: usize) -> bool {
    let output = Command::new("strace")
        .args(["-f", "-qq", "-o", "/dev/null", "-e", &format!("trace={CALLS}")])
        .args(["-e", &format!("inject={CALLS}:signal=KILL:when={number}")])
        .arg(binary::quayside())
        .args(verb)
        .arg("--data")
        .arg(data)
        .args(args)
        .output()
        .expect("strace runs");
    // strace ends by the signal that ended what it traced.
    !output.status.success()
}

fn quayside(data: &Path, verb: &[&str], args: &[&str]) -> Output {
    let mut command = Command::new(binary::quayside());
    command.args(verb).arg("--data").arg(data).args(args).output().expect("the program starts")
}

fn succeeded(output: &Output) {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}
