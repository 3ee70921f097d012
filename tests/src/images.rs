//! Data directories with small images in them, and commands over them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

use crate::{binary, needs};

/// A folder with what the stories begin with; gone at the end.
pub struct Yard {
    folder: TempDir,
}

impl Yard {
    /// `base`, a data directory with `base:1`, an image with a shell whose archive is kept as it came; and `shelf`, one
    /// with `two:1` too, the same with a layer of our own, in which `/srv/file` is.
    pub fn new() -> Self {
        needs::containers();
        needs::program("busybox", "busybox-static");
        let yard = Self { folder: tempfile::Builder::new().prefix("quayside-images-").tempdir().expect("a directory") };
        let busybox = fs::read(needs::path_of("busybox")).expect("it can be read");
        yard.archive("shell.tar.gz", "bin/sh", &busybox);
        let (base, shelf) = (yard.at("base"), yard.at("shelf"));
        ran(&base, &["image", "import", &yard.path("shell.tar.gz"), "base:1"]);
        yard.context("two", "FROM base:1\nCOPY file /srv/\n");
        copy(&base, &shelf);
        ran(&shelf, &["build", "-q", "-t", "two:1", &yard.path("two")]);
        yard
    }

    pub fn at(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The same as an argument.
    pub fn path(&self, name: &str) -> String {
        self.at(name).to_str().expect("it is UTF-8").to_owned()
    }

    /// A compressed archive of one file.
    pub fn archive(&self, name: &str, file: &str, content: &[u8]) {
        let tree = tempfile::tempdir().expect("a directory");
        let file = tree.path().join(file);
        fs::create_dir_all(file.parent().expect("it lies in the tree")).expect("it is ours");
        fs::write(&file, content).expect("it is ours");
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).expect("it is ours");
        let tar = Command::new("tar").arg("-C").arg(tree.path()).args(["-czf", &self.path(name), "."]).status();
        assert!(tar.expect("tar is here").success());
    }

    /// A folder to build, with one file.
    pub fn context(&self, name: &str, dockerfile: &str) {
        let context = self.at(name);
        fs::create_dir(&context).expect("each is made once");
        fs::write(context.join("file"), "copied\n").expect("it is ours");
        fs::write(context.join("Dockerfile"), dockerfile).expect("it is ours");
    }

    /// A data directory with `base:1`, in which `commands` were run.
    pub fn data(&self, commands: &[&[&str]]) -> TempDir {
        let data = tempfile::tempdir().expect("a directory");
        copy(&self.at("base"), data.path());
        commands.iter().for_each(|command| drop(ran(data.path(), command)));
        data
    }
}

impl Default for Yard {
    fn default() -> Self {
        Self::new()
    }
}

/// `quayside COMMAND --data DATA`, not started yet.
pub fn quayside(data: &Path, command: &[&str]) -> Command {
    let mut program = Command::new(binary::quayside());
    program.args(command).arg("--data").arg(data).stdin(Stdio::null());
    program
}

/// The same until it has ended, well.
#[track_caller]
pub fn ran(data: &Path, command: &[&str]) -> Output {
    let output = quayside(data, command).output().expect("the program starts");
    assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    output
}

/// The same of one that prints text.
#[track_caller]
pub fn said(data: &Path, command: &[&str]) -> String {
    String::from_utf8(ran(data, command).stdout).expect("it prints text")
}

/// What one says that is refused.
#[track_caller]
pub fn refused(data: &Path, command: &[&str]) -> String {
    let output = quayside(data, command).output().expect("the program starts");
    assert!(!output.status.success(), "this was not refused: {command:?}");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A data directory as it stands.
pub fn copy(from: &Path, to: &Path) {
    let status = Command::new("cp").args(["-a", "--no-target-directory"]).args([from, to]).status();
    assert!(status.expect("cp is here").success());
}
