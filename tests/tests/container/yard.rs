//! The harness: images as directories, one layer that is written, and a count of what is left.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use quayside_runtime::container::spec::{Mount, Source};
use quayside_runtime::container::{Cancel, ContainerError, ContainerSpec, Exit, Input, Runner, Said};
use quayside_runtime::launch::event::Event;
use quayside_tests::{binary, needs};
use tempfile::TempDir;

/// Directories of one image and one layer that is written; gone at the end, with everything that ran in them.
pub struct Yard {
    pub directory: TempDir,
    /// In the environment of everything that runs here.
    mark: String,
}

/// How a container ended, and all that it said.
pub struct Ran {
    pub result: Result<Exit, ContainerError>,
    pub out: String,
    pub err: String,
    pub events: Vec<Event>,
}

impl Yard {
    pub fn new() -> Self {
        needs::containers();
        let directory = tempfile::Builder::new().prefix("quayside-yard-").tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mark = format!("YARD={}", directory.path().display());
        let yard = Self { directory, mark };
        yard.directory("upper");
        yard.directory("work");
        yard
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    pub fn directory(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.path(name)).expect("the yard is ours");
        self.path(name)
    }

    /// A layer of files; a text that begins with `-> ` is a link.
    pub fn layer(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
        let layer = self.directory(name);
        for (path, text) in files {
            let path = layer.join(path);
            fs::create_dir_all(path.parent().expect("it lies in the layer")).expect("made");
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, &path).expect("linked"),
                None => fs::write(&path, text).expect("written"),
            }
        }
        layer
    }

    /// busybox with all its names, and nothing else: no /proc, /dev, /etc.
    pub fn busybox(&self) -> PathBuf {
        if self.path("busybox").exists() {
            return self.path("busybox");
        }
        let layer = self.layer("busybox", &[("bin/sh", "-> busybox")]);
        let from = binary_of("busybox").expect("this test needs busybox-static");
        // A copy may still be open for writing in a child of another thread, and then cannot be run (execve(2)).
        if fs::hard_link(&from, layer.join("bin/busybox")).is_err() {
            fs::copy(&from, layer.join("bin/busybox")).expect("busybox is copied");
        }
        let list = Command::new(&from).arg("--list").output().expect("busybox is static");
        for name in String::from_utf8_lossy(&list.stdout).lines().filter(|name| !["busybox", "sh"].contains(name)) {
            symlink("busybox", layer.join("bin").join(name)).expect("linked");
        }
        layer
    }

    /// What a small image has.
    pub fn image(&self) -> Vec<PathBuf> {
        if self.path("files").exists() {
            return vec![self.busybox(), self.path("files")];
        }
        let passwd = "root:x:0:0:root:/root:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n";
        let files = [
            ("etc/passwd", passwd),
            ("etc/group", "root:x:0:\napp:x:1000:\nstaff:x:50:app\n"),
            ("etc/hosts", "the image's own\n"),
            ("srv/data/a", "a\n"),
            ("srv/data/b", "b\n"),
            ("srv/old/deep/file", "old\n"),
            ("root/.keep", ""),
        ];
        vec![self.busybox(), self.layer("files", &files)]
    }

    pub fn spec(&self, layers: Vec<PathBuf>, script: &str) -> ContainerSpec {
        let args = ["sh", "-c", script];
        let mut spec = ContainerSpec::new("test", layers, self.path("upper"), self.path("work"), &args);
        let (key, value) = self.mark.split_once('=').expect("it has one");
        spec.env.push((key.into(), value.into()));
        spec
    }

    pub fn run(&self, spec: &ContainerSpec) -> Ran {
        self.run_with(spec, Input::Nothing, None, &Cancel::new().expect("an eventfd"))
    }

    pub fn run_with(&self, spec: &ContainerSpec, input: Input, max: Option<Duration>, cancel: &Cancel) -> Ran {
        let (mut out, mut err, mut events) = (Vec::new(), Vec::new(), Vec::new());
        let result = runner().run(spec, input, max, cancel, &mut |said| match said {
            Said::Step(event) => events.push(event.clone()),
            Said::Out(bytes) => out.extend(bytes),
            Said::Err(bytes) => err.extend(bytes),
        });
        self.assert_quiet();
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).trim_end().to_owned();
        Ran { result, out: text(out), err: text(err), events }
    }

    /// A script in a small image, as root, that succeeds; what it printed.
    pub fn sh(&self, script: &str) -> String {
        self.run(&self.spec(self.image(), script)).succeeds()
    }

    #[track_caller]
    pub fn assert_quiet(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// What still runs of all that was started here, and what else is left.
    pub fn left(&self) -> Vec<String> {
        let running = fs::read_dir("/proc").expect("every machine has /proc").flatten().filter(|entry| {
            let environ = fs::read(entry.path().join("environ")).unwrap_or_default();
            environ.split(|&byte| byte == 0).any(|variable| variable == self.mark.as_bytes())
        });
        let work = fs::read_dir(self.path("work")).expect("it is there").flatten();
        let mounts = fs::read_to_string("/proc/self/mountinfo").expect("every process has mounts");
        let ours = self.directory.path().to_str().expect("a plain name");
        let mounts = mounts.lines().filter(|line| line.contains(ours)).map(String::from);
        let paths = running.chain(work).map(|entry| entry.path().display().to_string());
        paths.chain(mounts).collect()
    }

    /// Paths of the written layer, with a mark: `/` directory, `!` opaque, `-` whiteout, `@` link.
    pub fn written(&self) -> Vec<String> {
        let mut all = Vec::new();
        list(&self.path("upper"), "", &mut all);
        all.sort();
        all
    }
}

impl Ran {
    #[track_caller]
    pub fn succeeds(self) -> String {
        assert!(matches!(self.result, Ok(Exit::Code(0))), "{:?}: {} {}", self.result, self.out, self.err);
        self.out
    }

    #[track_caller]
    pub fn fails(&self) -> (i32, String) {
        let error = self.result.as_ref().expect_err("it ran");
        (error.code(), error.to_string())
    }
}

pub fn runner() -> Runner {
    let binary = fs::File::open(binary::quayside()).expect("the binary is there");
    Runner::new(&binary).expect("root can start containers")
}

pub fn binary_of(name: &str) -> Option<PathBuf> {
    let path = std::env::var("PATH").unwrap_or_default();
    path.split(':')
        .chain(["/bin", "/usr/bin"])
        .map(|directory| Path::new(directory).join(name))
        .find(|path| path.is_file())
}

fn list(directory: &Path, above: &str, all: &mut Vec<String>) {
    for entry in fs::read_dir(directory).expect("the layer can be read").flatten() {
        let kind = entry.file_type().expect("it has one");
        let name = format!("{above}{}", entry.file_name().to_string_lossy());
        if kind.is_dir() {
            let mut value = [0; 8];
            let opaque = rustix::fs::getxattr(entry.path(), "user.overlay.opaque", &mut value[..]).is_ok();
            all.push(format!("{name}/{}", if opaque { "!" } else { "" }));
            list(&entry.path(), &format!("{name}/"), all);
        } else if kind.is_char_device() {
            all.push(format!("{name}-"));
        } else {
            all.push(format!("{name}{}", if kind.is_symlink() { "@" } else { "" }));
        }
    }
}

pub fn bind(from: &Path, at: &str, read_only: bool) -> Mount {
    let path = from.strip_prefix("/").expect("absolute").into();
    Mount { from: Source::Path { root: "/".into(), path }, at: at.into(), read_only }
}
