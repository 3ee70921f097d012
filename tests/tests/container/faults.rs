//! A start in which each system call fails in turn.

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use quayside_runtime::container::spec::{Mount, Network, Source};
use quayside_tests::{binary, needs};

use crate::yard::{Yard, bind};

/// Calls without which no container starts.
const CALLS: &[&str] = &[
    "unshare",
    "mount",
    "mkdirat",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "move_mount",
    "openat2",
    "pivot_root",
    "umount2",
    "sethostname",
    "seccomp",
    "setresuid",
    "capset",
    "symlinkat",
    "clone3",
    "chdir",
];

/// Prints how a container with something of everything ended; the test below starts it under strace.
#[test]
fn caller_that_says_how_it_went() {
    let Ok(_) = std::env::var("QUAYSIDE_TEST_FAULTS") else { return };
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "true");
    spec.network = Network::None;
    spec.limits.pids_max = Some(20);
    let from = Source::Layers { layers: spec.layers.clone(), path: "/srv".into(), scratch: None };
    spec.mounts = vec![
        bind(&yard.directory("cache"), "/root/.cache", false),
        Mount { from, at: "/context".into(), read_only: true },
    ];
    match yard.run(&spec).result {
        Ok(exit) => println!("RAN {}", exit.code()),
        Err(error) => println!("FAILED {error}"),
    }
}

#[test]
fn a_start_that_fails_at_any_call_says_where_and_leaves_nothing() {
    if !needs::has_program("strace") {
        needs::say_skipped("a container's start that fails at any call: it needs strace");
        return;
    }
    let begin = Instant::now();
    let mut calls: Vec<&str> = CALLS.to_vec();
    let mut failed = 0;
    for nth in 1..40 {
        calls.retain(|call| begin.elapsed() < SWEEP && fails_at(call, nth).inspect(|()| failed += 1).is_some());
    }
    println!("{failed} starts failed");
    assert!(failed >= CALLS.len(), "only {failed} starts were made to fail");
}

/// What fails in a minute.
const SWEEP: Duration = Duration::from_secs(60);

/// Makes the nth `call` of each process fail; `None` when there is no nth.
fn fails_at(call: &str, nth: u32) -> Option<()> {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = Command::new("timeout")
        .args(["60", "strace", "-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=EIO:when={nth}"), "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().expect("a test knows its own path"))
        .args(["--exact", "--nocapture", "faults::caller_that_says_how_it_went"])
        .env("QUAYSIDE_TEST_FAULTS", "1")
        .env("QUAYSIDE_BIN", binary::quayside())
        .output()
        .expect("timeout and strace start");
    let injected = fs::read_to_string(log.path()).unwrap_or_default().matches("(INJECTED)").count();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = said.lines().find_map(|line| line.split_once("RAN ").or(line.split_once("FAILED ")));
    if injected == 0 {
        return None;
    }
    println!("{call} {nth}: {}", result.map_or(said.as_str(), |(_, result)| result));
    assert_ne!(output.status.code(), Some(124), "{call} {nth}: it hangs");
    // Where the test itself was hit, before or after its container, it says nothing; its yard is gone all the same.
    if let Some((_, result)) = result {
        assert!(result.contains("cannot") || result == "0", "{call} {nth}: {result}");
        // It has looked at what is left itself.
        assert!(output.status.success(), "{call} {nth}: {said}");
    }
    Some(())
}
