//! A sandbox's limits on this host's real hierarchies, whichever they are: v1, v2 or hybrid.
//!
//! Needs root. Data goes below TMPDIR, whose file system must allow id-mapped mounts (ext4 does).

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use quayside_runtime::cgroup::layout::Layout;
use quayside_runtime::cgroup::parent::Parent;
use quayside_runtime::shim::client;
use quayside_runtime::shim::protocol::{Exec, Group};

/// A kernel without KVM, two cores and other people's builds.
const PATIENCE: Duration = Duration::from_secs(60);

/// bash tries a failed fork again for 15 s, dash does not.
const NO_PATIENCE: &str = "exec sh -c '";

/// A sandbox of the host's image that does nothing by itself.
struct Sandbox {
    data: tempfile::TempDir,
    run: Child,
}

impl Sandbox {
    fn start() -> Self {
        assert!(nix::unistd::geteuid().is_root(), "requirement missing: root, to make cgroups");
        let data = tempfile::tempdir().expect("a directory");
        let mut run = Command::new(env!("CARGO_BIN_EXE_quayside"));
        run.arg("run")
            .arg("--data")
            .arg(data.path())
            .args(["host", "--", "bash", "-c", "echo $$ > /run/main; exec sleep 600"])
            .stdin(Stdio::null());
        let run = run.spawn().expect("quayside starts");
        let sandbox = Self { data, run };
        sandbox.exec(Group::Payload, "until [ -s /run/main ]; do sleep 0.05; done");
        sandbox
    }

    /// Output and exit code.
    fn exec(&self, group: Group, script: &str) -> (String, i32) {
        let deadline = Instant::now() + PATIENCE;
        let exec = Exec {
            name: None,
            args: vec!["bash".into(), "{script}".into()],
            script_is_stdin: false,
            env: vec![("PATH".into(), "/usr/bin:/bin".into())],
            cwd: "/".into(),
            group,
            timeout_ms: PATIENCE.as_millis() as u64,
            output_max: 1 << 20,
            stdout_path: None,
            stderr_path: None,
        };
        loop {
            let mut output = Vec::new();
            let collect = |_: u8, bytes: &[u8]| output.extend_from_slice(bytes);
            match self.socket().map(|socket| client::exec(&socket, exec.clone(), script.as_bytes(), collect)) {
                Some(Ok(finished)) => return (String::from_utf8_lossy(&output).into_owned(), finished.code),
                other => assert!(Instant::now() < deadline, "no answer from the sandbox: {other:?}"),
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn socket(&self) -> Option<PathBuf> {
        let shims = fs::read_dir(self.data.path().join("run/shims")).ok()?;
        shims.flatten().map(|entry| entry.path()).next()
    }

    /// The sandbox's groups, in every hierarchy.
    fn groups(&self) -> Vec<PathBuf> {
        let name = self.socket().expect("a socket").file_stem().expect("a name").to_owned();
        let layout = Layout::of_host().expect("cgroups");
        let parent = Parent::of_host(&layout).path;
        let mounts = layout.v1.iter().map(|v1| &v1.mount).chain(layout.v2.iter().map(|v2| &v2.mount));
        mounts.map(|mount| mount.join(&parent).join("quayside").join(&name)).collect()
    }

    /// In order, by the end of what `quayside run` runs.
    fn end(mut self) -> PathBuf {
        self.exec(Group::Check, "kill $(</run/main)");
        let status = self.run.wait().expect("our child");
        assert_eq!(status.code(), Some(128 + nix::libc::SIGTERM));
        self.data.path().to_path_buf()
    }
}

#[test]
fn a_verify_script_runs_in_a_group_of_its_own_that_a_full_payload_cannot_stop() {
    let sandbox = Sandbox::start();
    let (groups, code) = sandbox.exec(Group::Check, "cat /proc/self/cgroup");
    assert_eq!(code, 0);
    let pids =
        groups.lines().find(|line| line.contains(":pids:")).or(groups.lines().find(|line| line.starts_with("0::")));
    assert!(pids.is_some_and(|line| line.ends_with("/../check")), "{groups}");

    let script = format!("{NO_PATIENCE} for i in $(seq 600); do sleep 500 & done'");
    let (output, _) = sandbox.exec(Group::Payload, &script);
    assert!(output.contains("Cannot fork"), "the payload's pids are limited: {output}");
    assert_eq!(sandbox.exec(Group::Check, "echo $((6 * 7))"), ("42\n".into(), 0));
    sandbox.end();
}

#[test]
fn a_program_beyond_the_memory_limit_is_killed_and_the_sandbox_lives() {
    let sandbox = Sandbox::start();
    let (output, code) = sandbox.exec(Group::Payload, "dd if=/dev/zero of=/dev/null bs=1100M count=1; echo ended $?");
    assert_eq!(code, 0);
    assert!(output.ends_with("ended 137\n"), "{output}");
    sandbox.end();
}

#[test]
fn the_limits_are_not_the_learners_to_change() {
    let sandbox = Sandbox::start();
    let script = "cd /sys/fs/cgroup; for file in {,*/}{memory.max,memory.limit_in_bytes,pids.max}; do
        [ -e $file ] || continue; echo found; echo 8000000000 2>/dev/null > $file && echo changed $file; done; :";
    let (output, _) = sandbox.exec(Group::Payload, script);
    assert!(output.contains("found") && !output.contains("changed"), "{output}");
    sandbox.end();
}

#[test]
fn a_learner_has_real_limits_for_groups_of_their_own() {
    let sandbox = Sandbox::start();
    let script = "cd /sys/fs/cgroup; [ -e cgroup.controllers ] || cd pids
        mkdir lab && echo 3 > lab/pids.max && echo 0 > lab/cgroup.procs || echo cannot
        ";
    let (output, _) =
        sandbox.exec(Group::Payload, &format!("{script} {NO_PATIENCE} sleep 9 & sleep 9 & sleep 9 & wait'"));
    assert!(output.contains("Cannot fork"), "{output}");
    assert!(!output.contains("cannot"), "{output}");
    sandbox.end();
}

#[test]
fn nothing_is_left_of_a_sandbox_that_ended() {
    let sandbox = Sandbox::start();
    sandbox.exec(Group::Payload, "mkdir -p /sys/fs/cgroup/{.,pids}/lab/deeper; :");
    let groups = sandbox.groups();
    assert!(!groups.is_empty() && groups.iter().all(|group| group.is_dir()), "{groups:?}");
    let data = sandbox.end();
    assert_eq!(groups.iter().filter(|group| group.exists()).collect::<Vec<_>>(), Vec::<&PathBuf>::new());
    for file in ["/proc/self/mountinfo", "/proc/partitions"] {
        assert!(!fs::read_to_string(file).expect("readable").contains(data.to_str().expect("a name")), "{file}");
    }
    let backing = |entry: fs::DirEntry| fs::read_to_string(entry.path().join("loop/backing_file")).ok();
    let loops = fs::read_dir("/sys/block").expect("readable").flatten().filter_map(backing);
    assert_eq!(loops.filter(|file| Path::new(file).starts_with(&data)).count(), 0);
}
