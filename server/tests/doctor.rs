//! `quayside doctor` on this host, and on one that forbids user namespaces.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

const QUAYSIDE: &str = env!("CARGO_BIN_EXE_quayside");

/// What was found of the need `name`.
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    let named = |line: &&str| line.split_once(' ').is_some_and(|(_, rest)| rest.trim_start().starts_with(name));
    text.lines().find(named).unwrap_or_else(|| panic!("no line for {name} in\n{text}"))
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn this_host_can_serve_and_nothing_is_left_of_finding_out() {
    assert!(nix::unistd::geteuid().is_root(), "sandboxes are made by root: run the tests by `make test`");
    let directory = tempfile::tempdir().expect("a directory");
    let data = directory.path().join("not/there/yet");
    let doctor = Command::new(QUAYSIDE)
        .args(["doctor", "--format", "json", "--listen", "127.0.0.1:0", "--data"])
        .arg(&data)
        .stdout(Stdio::piped())
        .spawn()
        .expect("quayside runs");
    let group = format!("quayside-doctor-{}", doctor.id());
    let output = doctor.wait_with_output().expect("it ends");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["can_serve"], true, "{}", text(&output));
    assert!(output.status.success());
    let findings = report["findings"].as_array().expect("a list");
    let states = findings.iter().filter(|finding| finding["name"].as_str().is_some_and(|it| it.ends_with("namespace")));
    assert_eq!(states.filter(|finding| finding["state"] == "present").count(), 8);
    let learners = findings.iter().find(|finding| finding["name"] == "learners at once").expect("a line");
    let count = learners["found"].as_str().and_then(|found| found.split(',').next()?.parse::<u32>().ok());
    assert!(count.is_some_and(|count| count > 0), "{learners}");
    assert!(!data.exists() && !data.parent().expect("a parent").exists(), "the data directory is not made");
    let hierarchies = ["/sys/fs/cgroup", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"];
    assert!(hierarchies.iter().all(|hierarchy| !Path::new(hierarchy).join(&group).exists()), "{group} is left behind");
}

#[test]
fn how_many_learners_there_is_room_for_follows_from_the_settings() {
    let output = Command::new(QUAYSIDE)
        .args(["doctor", "--listen", "127.0.0.1:0"])
        .env("QUAYSIDE_SANDBOX_MEMORY", "3 GiB")
        .output()
        .expect("quayside runs");
    let text = text(&output);
    assert!(line(&text, "learners at once").contains("kept back, 1073 MB for each; "), "{text}");
}

#[test]
fn a_port_that_is_taken_is_named_and_the_host_cannot_serve() {
    let held = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = held.local_addr().expect("its address").to_string();
    let output = Command::new(QUAYSIDE).args(["doctor", "--listen", &address]).output().expect("quayside runs");
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    let line = line(&text, "address to listen on");
    assert!(line.starts_with("missing") && line.contains(&address) && line.contains("--listen"), "{line}");
}

/// A user namespace of its own with every id of the host's has its own bound on how many may nest in it.
#[test]
fn where_user_namespaces_are_forbidden_the_setting_and_its_remedy_are_named() {
    // A second shell: the first had no id in the namespace yet when it was started, and so lost every right.
    let forbid = format!("echo 0 > /proc/sys/user/max_user_namespaces && exec {QUAYSIDE} doctor");
    let script = format!("read go && exec sh -c '{forbid}'");
    let mut child = Command::new("unshare")
        .args(["--user", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("unshare (package util-linux) runs");
    let namespace = |of: &str| std::fs::read_link(Path::new("/proc").join(of).join("ns/user")).ok();
    let pid = child.id().to_string();
    while namespace(&pid) == namespace("self") {
        std::thread::sleep(std::time::Duration::from_millis(1));
    }
    for map in ["uid_map", "gid_map"] {
        std::fs::write(Path::new("/proc").join(&pid).join(map), "0 0 4294967295\n").expect("the map is written");
    }
    child.stdin.take().expect("piped").write_all(b"go\n").expect("the shell reads");
    let output = child.wait_with_output().expect("it ends");
    assert_eq!(output.status.code(), Some(1));
    let text = text(&output);
    let user = line(&text, "user namespace");
    assert!(user.starts_with("missing") && user.contains("sysctl -w user.max_user_namespaces="), "{user}");
    let pid = line(&text, "pid namespace");
    assert!(pid.ends_with("cannot be tried without: user namespace"), "{pid}");
}
