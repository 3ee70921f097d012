//! The Dockerfiles of `tests/builds/peer`, built by buildah and by this project: the same settings, the same files.
//!
//! ```text
//! tests/builds/peer/CASE/
//!   Dockerfile          and beside it the context
//!   Dockerfile.child    built after it, on `localhost/parent`: then it is compared too
//!   Dockerfile.peer     the same in words that buildah knows, where it does not know ours
//!   arguments           more arguments of both, one a line
//!   differs             how the two differ on purpose, and why: lines of the comparison, and comments (`#`)
//! ```
//!
//! Times are left out: buildah has those of the build, ours are the files' own.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

use quayside_runtime::image::Digest;
use quayside_tests::{binary, needs};
use serde_json::Value;
use tempfile::TempDir;

/// The programs that the Dockerfiles run.
const APPLETS: &[&str] = &[
    "adduser", "cat", "chmod", "chown", "cp", "cut", "echo", "env", "false", "find", "grep", "head", "id", "ln", "ls",
    "mkdir", "mkfifo", "mv", "printf", "pwd", "rm", "sed", "sh", "sleep", "sort", "stat", "test", "touch", "tr",
    "true", "wc",
];

/// Beside the programs: what both builders would make for a `RUN` and leave there is there already.
const BASE: &[(&str, &str)] = &[
    ("etc/passwd", "root:x:0:0::/root:/bin/sh\napp:x:1000:50:App:/home/app:/bin/sh\nhigh:x:4000:4000::/:/bin/sh\n"),
    ("etc/group", "root:x:0:\nweb:x:33:app\nstaff:x:50:\nhigh:x:4000:\n"),
    ("etc/hosts", ""),
    ("etc/hostname", ""),
    ("etc/resolv.conf", ""),
    ("usr/share/base/one", "one\n"),
    ("usr/share/base/two", "two\n"),
];

/// Anybody may write to `tmp`.
const BASE_FOLDERS: &[&str] = &["dev", "home/app", "proc", "root", "run", "sys", "tmp", "usr/bin", "var"];

/// Of a config: everything that an instruction sets.
const SETTINGS: &[&str] = &[
    "Env",
    "Cmd",
    "Entrypoint",
    "User",
    "WorkingDir",
    "ExposedPorts",
    "Volumes",
    "Labels",
    "StopSignal",
    "Healthcheck",
    "Shell",
    "OnBuild",
];

/// Each with a storage of its own: buildah locks one for the whole of a build.
const AT_ONCE: usize = 3;

#[test]
fn the_same_dockerfiles_make_the_same_images_as_buildahs() {
    needs::containers();
    if !needs::has_program("buildah") || !needs::has_program("podman") {
        return needs::say_skipped("builds in comparison with buildah: it or podman is not installed");
    }
    let all = Path::new(env!("CARGO_MANIFEST_DIR")).join("builds/peer");
    let mut cases: Vec<PathBuf> =
        fs::read_dir(&all).expect("the cases are there").flatten().map(|entry| entry.path()).collect();
    cases.sort();
    assert!(cases.len() >= 20, "{cases:?}");
    let waiting = Mutex::new(cases.iter());
    let wrong = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                let yard = Yard::new();
                let next = || waiting.lock().expect("no case panics while it takes the next").next();
                while let Some(case) = next() {
                    let found = check(&yard, case);
                    wrong.lock().expect("no case panics while it tells").extend(found);
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().expect("all threads have ended without a panic");
    wrong.sort();
    assert!(wrong.is_empty(), "< buildah's, > ours\n{}", wrong.concat());
}

/// What is wrong with a case, if anything is.
fn check(yard: &Yard, case: &Path) -> Option<String> {
    let expected = fs::read_to_string(case.join("differs")).unwrap_or_default();
    let expected: Vec<&str> = expected.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    let found = yard.compare(case);
    let (name, list) = (case.file_name().unwrap_or_default().display(), |lines: &[&str]| lines.join("\n    "));
    (found != expected).then(|| {
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        format!("{name}\n  found:\n    {}\n  expected:\n    {}\n", list(&found), list(&expected))
    })
}

/// A data directory, and buildah's storage; both have the base.
struct Yard {
    folder: TempDir,
}

/// What an image is, as lines: a setting or a file and what there is to say of it.
type Described = BTreeMap<String, String>;

impl Yard {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("quayside-peer-").tempdir().expect("a temporary directory");
        let yard = Self { folder };
        make_base(&yard.path("base"));
        let [base, archive, image] = ["base", "base.tar", "image.tar"].map(|name| yard.text(name));
        tar(&["--owner=0", "--group=0", "-C", &base, "-cf", &archive, "."]);
        yard.quayside("image import", &[&archive, "localhost/base:1"]);
        yard.quayside("image save", &["-o", &image, "localhost/base:1"]);
        yard.buildah(&["pull", "--quiet", "--policy", "never", &format!("docker-archive:{image}")]);
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    fn buildah(&self, args: &[&str]) -> String {
        self.try_buildah(args).unwrap_or_else(|said| panic!("buildah {args:?}: {said}"))
    }

    fn try_buildah(&self, args: &[&str]) -> Result<String, String> {
        let (root, state) = (self.text("buildah"), self.text("buildah-run"));
        run("buildah", &[&["--storage-driver", "vfs", "--root", &root, "--runroot", &state], args].concat())
    }

    /// It mounts what buildah has built. buildah itself mounts a container only, and carries triggers out for it.
    fn podman(&self, args: &[&str]) -> String {
        let (root, state) = (self.text("buildah"), self.text("buildah-run"));
        let all = [&["--storage-driver", "vfs", "--root", &root, "--runroot", &state], args].concat();
        run("podman", &all).unwrap_or_else(|said| panic!("podman {args:?}: {said}"))
    }

    fn quayside(&self, verb: &str, args: &[&str]) -> String {
        self.try_quayside(verb, args).unwrap_or_else(|said| panic!("quayside {verb} {args:?}: {said}"))
    }

    fn try_quayside(&self, verb: &str, args: &[&str]) -> Result<String, String> {
        let data = self.text("data");
        let verb: Vec<&str> = verb.split(' ').collect();
        let program = binary::quayside().display().to_string();
        run(&program, &[&verb[..], &["--data", &data], args].concat())
    }

    /// Builds a case with both, and gives the lines that differ.
    fn compare(&self, case: &Path) -> Vec<String> {
        let of = |name: &str| case.join(name);
        let peer = if of("Dockerfile.peer").exists() { of("Dockerfile.peer") } else { of("Dockerfile") };
        let mut differing = self.compare_one(case, &of("Dockerfile"), &peer, "localhost/parent");
        let child = of("Dockerfile.child");
        if child.exists() {
            let of_child = self.compare_one(case, &child, &child, "localhost/child");
            differing.extend(of_child.into_iter().map(|line| format!("child: {line}")));
        }
        differing
    }

    fn compare_one(&self, context: &Path, ours: &Path, theirs: &Path, name: &str) -> Vec<String> {
        let arguments = fs::read_to_string(context.join("arguments")).unwrap_or_default();
        let arguments: Vec<&str> = arguments.lines().collect();
        let [context, ours, theirs] = [context, ours, theirs].map(|path| path.display().to_string());
        let bud = [
            "bud",
            "--isolation",
            "chroot",
            "--format",
            "docker",
            "--pull-never",
            "--identity-label=false",
            "--quiet",
            "-t",
            name,
        ];
        let built = self.try_buildah(&[&bud, &arguments[..], &["-f", &theirs, &context]].concat());
        let theirs = built.map_or_else(refused, |_| self.theirs(name));
        let built =
            self.try_quayside("build", &[&["-q", "-t", name], &arguments[..], &["-f", &ours, &context]].concat());
        let ours = built.map_or_else(refused, |_| self.ours(name));
        differences(&theirs, &ours)
    }

    fn ours(&self, name: &str) -> Described {
        let inspected: Value = json(&self.quayside("image inspect", &[name]));
        let files = self.path("files");
        fs::create_dir(&files).expect("the last one was removed");
        let archive = self.text("files.tar");
        self.quayside("image export", &["-o", &archive, name]);
        tar(&["-C", &files.display().to_string(), "-xpf", &archive, "--numeric-owner"]);
        let described = describe(&inspected[0]["Config"], &files);
        fs::remove_dir_all(&files).expect("it is ours");
        described
    }

    fn theirs(&self, name: &str) -> Described {
        let inspected: Value = json(&self.buildah(&["inspect", "--type", "image", name]));
        let config: Value = json(inspected["Config"].as_str().expect("buildah gives the image's config as text"));
        let files = self.podman(&["image", "mount", name]);
        let described = describe(&config["config"], Path::new(files.trim()));
        self.podman(&["image", "umount", name]);
        described
    }
}

fn make_base(root: &Path) {
    for folder in BASE_FOLDERS {
        fs::create_dir_all(root.join(folder)).expect("the yard is ours");
    }
    fs::set_permissions(root.join("tmp"), fs::Permissions::from_mode(0o1777)).expect("the yard is ours");
    for (name, text) in BASE {
        fs::create_dir_all(root.join(name).parent().expect("it has a folder")).expect("the yard is ours");
        fs::write(root.join(name), text).expect("the yard is ours");
    }
    fs::create_dir(root.join("bin")).expect("the yard is ours");
    fs::copy("/bin/busybox", root.join("bin/busybox")).expect("busybox-static is installed");
    for applet in APPLETS {
        std::os::unix::fs::symlink("busybox", root.join("bin").join(applet)).expect("the yard is ours");
    }
}

/// What a program writes, or its last words.
fn run(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).stdin(Stdio::null()).output();
    let output = output.unwrap_or_else(|error| panic!("{program} does not start: {error}"));
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).into_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).trim_end().to_owned()),
    }
}

fn tar(args: &[&str]) {
    run("tar", args).unwrap_or_else(|said| panic!("tar {args:?}: {said}"));
}

const NOT_BUILT: &str = "not built";

/// A Dockerfile that is not built is compared too, with that as all there is to say.
fn refused(said: String) -> Described {
    eprintln!("{said}");
    [(NOT_BUILT.to_owned(), String::new())].into()
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

fn describe(config: &Value, root: &Path) -> Described {
    let settings = SETTINGS.iter().map(|name| ((*name).to_owned(), setting(name, &config[*name])));
    let mut described: Described = settings.filter(|(_, value)| !value.is_empty()).collect();
    describe_files(root, "", &mut described);
    described
}

/// A setting as text; none, empty and absent are one. The order of variables says nothing.
fn setting(name: &str, value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(list) if list.is_empty() => String::new(),
        Value::Object(fields) if fields.is_empty() => String::new(),
        Value::Array(list) if name == "Env" => {
            let mut list: Vec<String> = list.iter().map(Value::to_string).collect();
            list.sort();
            list.join(" ")
        }
        value => value.to_string(),
    }
}

/// Everything below a folder: kind, mode, owner, size, digest of the content, number of names, what a link says.
fn describe_files(folder: &Path, above: &str, described: &mut Described) {
    for entry in fs::read_dir(folder).expect("the folder can be read").flatten() {
        let path = format!("{above}/{}", entry.file_name().as_bytes().escape_ascii());
        let meta = fs::symlink_metadata(entry.path()).expect("what is listed is there");
        let kind = meta.file_type();
        let mut text = format!("{:o} {}:{}", meta.mode(), meta.uid(), meta.gid());
        if kind.is_symlink() {
            let target = fs::read_link(entry.path()).expect("it is a link");
            write!(text, " -> {}", target.display()).expect("writing into a string cannot fail");
        } else if kind.is_file() {
            let content = fs::read(entry.path()).expect("the file can be read");
            let digest = Digest::of(&content).hex();
            write!(text, " {} bytes {} names {}", content.len(), meta.nlink(), &digest[..12])
                .expect("writing into a string cannot fail");
        } else if kind.is_block_device() || kind.is_char_device() {
            write!(text, " device {}", meta.rdev()).expect("writing into a string cannot fail");
        }
        described.insert(path.clone(), text);
        if kind.is_dir() {
            describe_files(&entry.path(), &path, described);
        }
    }
}

fn differences(theirs: &Described, ours: &Described) -> Vec<String> {
    let refused = [("<", theirs), (">", ours)].into_iter().filter(|(_, of)| of.contains_key(NOT_BUILT));
    let refused: Vec<String> = refused.map(|(mark, _)| format!("{mark} {NOT_BUILT}")).collect();
    if !refused.is_empty() {
        return refused;
    }
    let mut names: Vec<&String> = theirs.keys().chain(ours.keys()).collect();
    names.sort();
    names.dedup();
    let differing = names.into_iter().filter(|name| theirs.get(*name) != ours.get(*name));
    let line = |mark, name: &String, of: &Described| of.get(name).map(|text| format!("{mark} {name} {text}"));
    differing.flat_map(|name| [line("<", name, theirs), line(">", name, ours)]).flatten().collect()
}
