//! The same copies made here and by buildah give the same files.

use std::fmt::Write;
use std::process::Command;

use super::*;
use crate::image::beneath::Folder;

/// What one step of the comparison is, for both.
enum Step {
    Copy(CopyRequest),
    Workdir(&'static str, &'static str),
    /// Only for the Dockerfile: it changes what the next steps are.
    User(&'static str),
}

/// Where buildah is another than BuildKit, whose rules are ours, the table has no row: `--chmod` of a folder that is made,
/// and a target that is a link to nothing (buildah makes a folder of it, BuildKit the file).
fn steps() -> Vec<Step> {
    let chown = |owner: &str, target: &str| CopyRequest { chown: Some(owner.into()), ..request(&["src"], target) };
    let from = |source: &str, target: &str| CopyRequest { origin: Origin::Stage(0), ..request(&[source], target) };
    vec![
        Step::Copy(request(&["img"], "/")),
        Step::Workdir("/app", ""),
        Step::Copy(request(&["src"], "x")),
        Step::Copy(request(&["f"], "/there")),
        Step::Copy(request(&["f"], "/new/")),
        Step::Copy(request(&["f"], "/deep/er/x")),
        Step::Copy(request(&["f"], ".")),
        Step::Copy(request(&["short"], "/sh")),
        Step::Copy(request(&["real/l*"], "/pat/")),
        Step::Copy(request(&["f"], "/bin/tool")),
        Step::Copy(request(&["g?", "f"], "/two/")),
        Step::Copy(chown("app:web", "/own")),
        Step::Copy(chown("app", "/own2")),
        Step::Copy(chown("7", "/own3")),
        Step::Copy(CopyRequest { chmod: Some("711".into()), ..request(&["f"], "/mode") }),
        Step::Copy(from("/out", "/fromst")),
        Step::Copy(from("/out/f", "/fromst2/")),
        Step::Copy(add(&["a.tgz"], "/unp/")),
        Step::Copy(add(&["a.tgz"], "/")),
        Step::User("app"),
        Step::Workdir("/wd/made", "app"),
    ]
}

const CONTEXT: &[(&str, &str)] = &[
    ("src/a", "a"),
    ("src/sub/b", "b"),
    ("src/empty/", ""),
    ("real/a", "a"),
    ("real/link", "-> a"),
    ("real/out", "-> /etc/passwd"),
    ("short", "-> real"),
    ("f", "f"),
    ("g1", "g"),
    ("g2", "g"),
    ("out/f", "f"),
    ("out/dir/x", "x"),
    ("img/usr/bin/", ""),
    ("img/there/", ""),
    ("img/bin", "-> usr/bin"),
    ("img/to", "-> /usr/new"),
    ("img/etc/passwd", "app:x:1000:50::/:/bin/sh\n"),
    ("img/etc/group", "web:x:33:\n"),
];

#[test]
fn copies_are_the_same_as_buildahs() {
    if Command::new("buildah").arg("--version").output().is_err() {
        eprintln!("skipped: buildah is not installed");
        return;
    }
    let mut yard = Yard::new(CONTEXT, &[]);
    for (path, mode) in [("src/a", 0o640), ("src/sub", 0o700), ("src", 0o711)] {
        fs::set_permissions(yard.path("context").join(path), fs::Permissions::from_mode(mode)).unwrap();
    }
    let tar = archive(&[("bin/tool", "tool"), ("d/", ""), ("d/f", "f"), ("d/g", "=> d/f")]);
    fs::write(yard.path("context/a.tgz"), gzip(&tar)).unwrap();
    yard.put("stage", &[("out/f", "f"), ("out/dir/x", "x")]);
    for path in ["out/f", "out/dir", "out/dir/x"] {
        std::os::unix::fs::chown(yard.path("stage").join(path), Some(12), Some(13)).unwrap();
    }
    let theirs = buildahs(&yard);
    yard.layers.clear();
    for step in steps() {
        let layer = match step {
            Step::Copy(request) => yard.copy(&request).unwrap().layer,
            Step::Workdir(path, user) => yard.workdir(path, user).unwrap(),
            Step::User(_) => None,
        };
        yard.layers.extend(layer.map(|layer| layer.path));
    }
    let merged = yard.site().read(&yard.layers).unwrap();
    let mut ours = Vec::new();
    let root = merged.root.find_directory(Path::new("/")).map(Folder::new).unwrap();
    describe(&root, "", &mut ours);
    assert_eq!(ours.join("\n"), theirs.join("\n"));
}

fn dockerfile() -> String {
    let mut text = String::from("FROM scratch AS stage\nCOPY --chown=12:13 out /out\nFROM scratch\n");
    for step in steps() {
        let line = match &step {
            Step::Workdir(path, _) => format!("WORKDIR {path}"),
            Step::User(user) => format!("USER {user}"),
            Step::Copy(copy) => {
                let flag = |name: &str, value: &Option<String>| {
                    value.as_ref().map(|value| format!(" --{name}={value}")).unwrap_or_default()
                };
                let from = if copy.origin == Origin::Context { "" } else { " --from=stage" };
                let sources: Vec<&str> = copy
                    .sources
                    .iter()
                    .filter_map(|source| match source {
                        CopySource::Path(path) => Some(path.as_str()),
                        _ => None,
                    })
                    .collect();
                let (chown, chmod) = (flag("chown", &copy.chown), flag("chmod", &copy.chmod));
                format!("{}{from}{chown}{chmod} {} {}", copy.verb, sources.join(" "), copy.target)
            }
        };
        writeln!(text, "{line}").unwrap();
    }
    text
}

/// The tree that buildah makes of the same.
fn buildahs(yard: &Yard) -> Vec<String> {
    fs::write(yard.path("Dockerfile"), dockerfile()).unwrap();
    let buildah = |args: &[&str]| {
        let [root, run] = ["buildah", "buildah-run"].map(|name| yard.path(name));
        let made = Command::new("buildah")
            .args(["--storage-driver", "vfs", "--root"])
            .arg(root)
            .arg("--runroot")
            .arg(run)
            .args(args)
            .output()
            .unwrap();
        assert!(made.status.success(), "buildah {args:?}: {}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8_lossy(&made.stdout).trim().to_owned()
    };
    let [file, context] = ["Dockerfile", "context"].map(|name| yard.path(name).display().to_string());
    buildah(&["bud", "--isolation", "chroot", "-t", "compared", "-f", &file, &context]);
    let container = buildah(&["from", "compared"]);
    let mounted = buildah(&["mount", &container]);
    let mut lines = Vec::new();
    let root = crate::container::in_root::InRoot::open(Path::new(&mounted)).unwrap();
    describe(&root.find_directory(Path::new("/")).map(Folder::new).unwrap(), "", &mut lines);
    buildah(&["umount", &container]);
    buildah(&["rm", &container]);
    lines
}

/// Everything below a folder: path, kind and mode, owner, link or size.
pub fn describe(folder: &Folder, above: &str, lines: &mut Vec<String>) {
    for last in folder.list().unwrap() {
        let stat = folder.find(&last).unwrap().unwrap();
        let path = format!("{above}/{}", last.display());
        let kind = FileType::from_raw_mode(stat.st_mode);
        let more = match kind {
            FileType::Symlink => String::from_utf8_lossy(&folder.read_link(&last).unwrap()).into_owned(),
            FileType::RegularFile => format!("{} bytes", stat.st_size),
            _ => String::new(),
        };
        lines.push(format!("{path} {:o} {}:{} {more}", stat.st_mode, stat.st_uid, stat.st_gid));
        if kind == FileType::Directory {
            describe(&folder.enter(&last).unwrap(), &path, lines);
        }
    }
}
