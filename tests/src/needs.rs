//! What a test needs of the machine it runs on. One that cannot run fails and says why.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What every launch needs: root, loop devices, cgroups.
pub fn sandboxes() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let root = status.lines().any(|line| line.starts_with("Uid:") && line.split_whitespace().nth(2) == Some("0"));
    require(root, "root; run it with sudo, or in a privileged container");
    require(Path::new("/dev/loop-control").exists(), "loop devices; modprobe loop");
    require(Path::new("/sys/fs/cgroup").is_dir(), "cgroups at /sys/fs/cgroup");
    require(Path::new("/proc/self/ns/time").exists(), "time namespaces (Linux 5.6)");
}

/// What a container without a user namespace needs: root, here or in a sandbox.
pub fn containers() {
    require(rustix::process::geteuid().is_root(), "root; run it with sudo, or in a privileged container");
}

fn require(there: bool, what: &str) {
    assert!(there, "this test cannot run here: it needs {what}");
}

/// What `make test` names at its end instead of saying that everything has passed.
const SKIPPED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/not-tested");

/// Says that something was not tested: at once, also of a test that passes, and at the end of `make test`.
pub fn say_skipped(what: &str) {
    // A handle of its own: the macros' output is kept back for as long as nothing fails.
    let _ = writeln!(std::io::stderr(), "skipped: {what}");
    let file = std::fs::OpenOptions::new().create(true).append(true).open(SKIPPED);
    let noted = file.and_then(|mut file| writeln!(file, "{what}"));
    assert!(noted.is_ok(), "cannot note in {SKIPPED} that this was skipped: {noted:?}");
}

/// A program that Debian has in `package`.
pub fn program(name: &str, package: &str) {
    require(find(name).is_some(), &format!("{name}; apt install {package}"));
}

/// Where a program is that a test needs.
pub fn path_of(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|| panic!("this test cannot run here: it needs {name}"))
}

fn find(name: &str) -> Option<PathBuf> {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&folders).map(|folder| folder.join(name)).find(|path| path.is_file())
}

/// Whether a program is here, which a test can do without when it says so.
pub fn has_program(name: &str) -> bool {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    found.is_ok()
}
