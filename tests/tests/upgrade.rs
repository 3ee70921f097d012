//! A service whose program is replaced, or taken away, while it serves: learners who come meanwhile get their sandbox.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quayside_tests::machine::PATIENCE;
use quayside_tests::service::Service;
use quayside_tests::visitor::Visitor;
use quayside_tests::{binary, needs};

#[test]
fn sandboxes_start_although_the_program_was_replaced_and_taken_away() {
    needs::sandboxes();
    let room = tempfile::Builder::new().prefix("quayside-test-").tempdir().expect("a temporary directory");
    let program = room.path().join("quayside");
    install(&program);
    let service = Service::start_on_host_image(&program, &room.path().join("data")).expect("the service starts");
    somebody_gets_a_shell(&service, "before anything has happened");
    let new = room.path().join("new");
    install(&new);
    fs::rename(&new, &program).expect("an upgrade");
    somebody_gets_a_shell(&service, "after an upgrade");
    fs::remove_file(&program).expect("gone");
    somebody_gets_a_shell(&service, "without the program's file");
    // The next keeper runs from a file that has no name left.
    kill_the_keeper(&service);
    somebody_gets_a_shell(&service, "with a keeper that started without the program's file");
    install(&program);
    service.stop().expect("the service ends");
}

/// As install(1) does: a new file, never the old one's content changed.
fn install(at: &Path) {
    fs::copy(binary::quayside(), at).expect("room for a copy of the program");
}

fn somebody_gets_a_shell(service: &Service, when: &str) {
    let visit = || -> anyhow::Result<()> {
        let mut visitor = Visitor::start(service)?;
        visitor.attach(1)?;
        visitor.wait_for_prompt().map(drop)
    };
    visit().unwrap_or_else(|error| panic!("{when}: {error:#}"));
}

fn kill_the_keeper(service: &Service) {
    let keeper = || {
        let pids = service.pids().expect("/proc is readable");
        // A worker has its keeper's name, and a later pid.
        pids.into_iter().filter(|(name, _)| name == "keeper").map(|(_, pid)| pid).min()
    };
    let old = keeper().expect("a keeper runs");
    kill(Pid::from_raw(old as i32), Signal::SIGKILL).expect("a signal");
    let begin = Instant::now();
    while keeper().is_none_or(|pid| pid == old) {
        assert!(begin.elapsed() < *PATIENCE, "no other keeper is started");
        std::thread::sleep(Duration::from_millis(20));
    }
}
