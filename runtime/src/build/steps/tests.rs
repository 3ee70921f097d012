//! Steps without a program: needs root, or to be root of a user namespace, for overlays. What is made is looked at in the
//! layer, and every layer is packed as in a build.

mod peer;

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode};

use super::request::{CopyRequest, CopySource, Origin, Verb, WorkdirRequest};
use super::*;
use crate::image::beneath::Name;
use crate::image::store::{Layer, Store, Work};

/// A context, an image and a store; gone at the end.
struct Yard {
    folder: tempfile::TempDir,
    store: Store,
    work: Work,
    layers: Vec<PathBuf>,
}

/// What a step came to.
struct Made {
    layer: Option<Layer>,
    copied: copy::Copied,
}

impl Yard {
    /// `context` and `image` are files: a path that ends with `/` is a folder, a text `-> x` a link.
    fn new(context: &[(&str, &str)], image: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path().join("images")).unwrap();
        let work = store.work().unwrap();
        let yard = Self { layers: vec![folder.path().join("image")], folder, store, work };
        yard.put("context", context);
        yard.put("image", image);
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn put(&self, root: &str, files: &[(&str, &str)]) {
        let root = self.path(root);
        fs::create_dir_all(&root).unwrap();
        for (path, text) in files {
            let path_on_disk = root.join(path);
            fs::create_dir_all(path_on_disk.parent().unwrap()).unwrap();
            match text.strip_prefix("-> ") {
                Some(target) => symlink(target, path_on_disk).unwrap(),
                None if path.ends_with('/') => fs::create_dir_all(path_on_disk).unwrap(),
                None => fs::write(path_on_disk, text).unwrap(),
            }
        }
    }

    fn site(&self) -> Site<'_> {
        Site { store: &self.store, work: &self.work, layers: &self.layers, epoch: None }
    }

    fn copy(&self, request: &CopyRequest) -> Result<Made, StepError> {
        self.copy_without(request, &[])
    }

    /// With names that `.dockerignore` leaves out.
    fn copy_without(&self, request: &CopyRequest, ignored: &[&str]) -> Result<Made, StepError> {
        let is_ignored = |name: &Name| ignored.iter().any(|ignored| name.as_path().starts_with(ignored));
        let verdict = |name: &Name, _: bool| if is_ignored(name) { Verdict::DropAll } else { Verdict::Keep };
        let ignored_by = |name: &Name| is_ignored(name).then(|| ".dockerignore line 3".to_owned());
        let path = self.path("context");
        let materials = Materials {
            context: Some(Context {
                path: &path,
                has_ignored: !ignored.is_empty(),
                verdict: &verdict,
                ignored_by: &ignored_by,
            }),
            trees: [(Origin::Stage(0), vec![self.path("stage")])].into(),
            ..Materials::default()
        };
        let site = self.site();
        let draft = self.work.layer()?;
        let copied = copy::carry_out(request, &materials, &site, &draft)?;
        Ok(Made { layer: finish::keep(&site, draft, false)?, copied })
    }

    fn workdir(&self, path: &str, user: &str) -> Result<Option<Layer>, StepError> {
        let site = self.site();
        let draft = self.work.layer()?;
        let request = WorkdirRequest { path: path.into(), user: user.into() };
        match workdir::carry_out(&request, &site, &draft)? {
            true => finish::keep(&site, draft, false),
            false => Ok(None),
        }
    }
}

impl Made {
    /// What is in the layer: `path mode owner`, with `/` behind a folder and `-> target` behind a link.
    fn list(&self) -> Vec<String> {
        list(self.layer.as_ref().expect("a layer was made"))
    }

    /// Names only.
    fn names(&self) -> Vec<String> {
        self.list().iter().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
    }

    fn file(&self, path: &str) -> PathBuf {
        self.layer.as_ref().expect("a layer was made").path.join(path)
    }
}

fn list(layer: &Layer) -> Vec<String> {
    let mut lines = Vec::new();
    let mut waiting = vec![layer.path.clone()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            let shown = path.strip_prefix(&layer.path).unwrap().display().to_string();
            let end = if meta.is_dir() { "/" } else { "" };
            let target = fs::read_link(&path).map(|target| format!(" -> {}", target.display())).unwrap_or_default();
            lines.push(format!("{shown}{end} {:o} {}:{}{target}", meta.mode() & 0o7777, meta.uid(), meta.gid()));
            if meta.is_dir() {
                waiting.push(path);
            }
        }
    }
    lines.sort();
    lines
}

/// `COPY sources… target` in `/app`.
fn request(sources: &[&str], target: &str) -> CopyRequest {
    CopyRequest {
        verb: Verb::Copy,
        origin: Origin::Context,
        sources: sources.iter().map(|path| CopySource::Path(path.to_string())).collect(),
        target: target.into(),
        workdir: "/app".into(),
        chown: None,
        chmod: None,
        parents: false,
        excludes: Vec::new(),
        link: false,
        unpack_local: false,
        unpack_fetched: false,
        checksum: None,
        keep_git_dir: false,
    }
}

fn words(error: StepError) -> String {
    let mut words = error.to_string();
    let mut source = std::error::Error::source(&error);
    while let Some(cause) = source {
        words += &format!(": {cause}");
        source = cause.source();
    }
    words
}

#[track_caller]
fn refused(result: Result<Made, StepError>) -> String {
    match result {
        Ok(made) => panic!("it made {:?}", made.list()),
        Err(error) => words(error),
    }
}

#[test]
fn the_contents_of_a_folder_are_copied_and_not_the_folder() {
    let yard = Yard::new(&[("src/a", "a"), ("src/sub/b", "b"), ("src/empty/", "")], &[]);
    fs::set_permissions(yard.path("context/src/a"), fs::Permissions::from_mode(0o640)).unwrap();
    fs::set_permissions(yard.path("context/src/sub"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::set_permissions(yard.path("context/src"), fs::Permissions::from_mode(0o711)).unwrap();
    std::os::unix::fs::chown(yard.path("context/src/a"), Some(1234), Some(1234)).unwrap();
    let made = yard.copy(&request(&["src"], "x")).unwrap();
    let expected = [
        "app/ 755 0:0",
        "app/x/ 755 0:0",
        "app/x/a 640 0:0",
        "app/x/empty/ 755 0:0",
        "app/x/sub/ 700 0:0",
        "app/x/sub/b 644 0:0",
    ];
    assert_eq!(made.list(), expected);
    assert_eq!(made.copied.entries, 4);
}

#[test]
fn where_a_file_goes_depends_on_the_slash_and_on_what_is_there() {
    let yard = Yard::new(&[("a", "new"), ("b", "b")], &[("dir/x", ""), ("file", "old")]);
    let names = |target: &str| yard.copy(&request(&["a"], target)).unwrap().names();
    assert_eq!(names("/file"), ["file"]);
    assert_eq!(names("/dir"), ["dir/", "dir/a"]);
    assert_eq!(names("/dir/"), ["dir/", "dir/a"]);
    assert_eq!(names("/new"), ["new"]);
    assert_eq!(names("/new/"), ["new/", "new/a"]);
    assert_eq!(names("/deep/er/x"), ["deep/", "deep/er/", "deep/er/x"]);
    assert_eq!(names("."), ["app/", "app/a"]);
    assert_eq!(names("../up"), ["up"]);
    assert_eq!(yard.copy(&request(&["a", "b"], "/two/")).unwrap().names(), ["two/", "two/a", "two/b"]);
    assert_eq!(
        refused(yard.copy(&request(&["a", "b"], "/two"))),
        "COPY has several sources and one target that is no folder; end \"/two\" with /"
    );
    assert!(refused(yard.copy(&request(&["*"], "/two"))).contains("several sources"));
}

#[test]
fn a_file_replaces_no_folder_and_a_folder_no_file() {
    let yard = Yard::new(&[("a/x", ""), ("f", "")], &[("file", ""), ("t/x/", ""), ("t/f/", "")]);
    assert_eq!(
        refused(yard.copy(&request(&["a"], "/file"))),
        "cannot copy \"a\" to /file: there is a file, and a folder does not replace it"
    );
    assert_eq!(
        refused(yard.copy(&request(&["a"], "/t"))),
        "cannot copy \"a/x\" to /t/x: there is a folder, and a file does not replace it"
    );
    assert_eq!(
        refused(yard.copy(&request(&["f"], "/t/"))),
        "cannot copy \"f\" to /t/f: there is a folder, and a file does not replace it"
    );
    assert!(refused(yard.copy(&request(&["f"], "/file/x"))).contains("cannot write /file/x"));
}

#[test]
fn links_are_copied_as_links_and_a_source_that_is_one_is_followed_inside() {
    let yard = Yard::new(
        &[
            ("real/a", "a"),
            ("real/link", "-> a"),
            ("real/out", "-> /etc/passwd"),
            ("short", "-> real"),
            ("hosts", "-> /etc/hosts"),
            ("loop", "-> loop"),
        ],
        &[],
    );
    let made = yard.copy(&request(&["short"], "/x")).unwrap();
    let expected = ["x/ 755 0:0", "x/a 644 0:0", "x/link 777 0:0 -> a", "x/out 777 0:0 -> /etc/passwd"];
    assert_eq!(made.list(), expected);
    assert_eq!(
        refused(yard.copy(&request(&["hosts"], "/x"))),
        "cannot copy \"hosts\": there is no such file in the build context (the name is a link to \"/etc/hosts\", which \
         leads to nothing there; a link itself is copied with the folder that it is in)"
    );
    assert!(refused(yard.copy(&request(&["loop"], "/x"))).contains("symbolic link"));
    assert_eq!(yard.copy(&request(&["real/l*"], "/x/")).unwrap().list(), ["x/ 755 0:0", "x/link 644 0:0"]);
}

#[test]
fn links_of_the_image_are_followed_inside_the_image() {
    let image =
        [("usr/bin/sh", ""), ("bin", "-> usr/bin"), ("up", "-> ../../../../usr"), ("to", "-> /usr/new"), ("r", "-> r")];
    let yard = Yard::new(&[("a", "a"), ("d/bin/x", "x")], &image);
    let names = |target: &str| yard.copy(&request(&["a"], target)).unwrap().names();
    assert_eq!(names("/bin/tool"), ["usr/", "usr/bin/", "usr/bin/tool"]);
    assert_eq!(names("/bin/"), ["usr/", "usr/bin/", "usr/bin/a"]);
    assert_eq!(names("/up/a"), ["usr/", "usr/a"]);
    assert_eq!(names("/to"), ["usr/", "usr/new"]);
    assert!(refused(yard.copy(&request(&["a"], "/r/x"))).contains("cannot write /r/x"));
    assert!(refused(yard.copy(&request(&["d"], "/"))).contains("a folder does not replace it"));
    assert!(!yard.path("image/usr/new").exists() && !yard.path("image/usr/bin/tool").exists());
}

#[test]
fn a_source_that_is_not_there_says_why_and_what_may_be_meant() {
    let yard = Yard::new(&[("main.go", ""), ("secret/key", ""), ("Makefile", "")], &[]);
    let refuse = |path: &str| refused(yard.copy_without(&request(&[path], "/x"), &["secret"]));
    assert_eq!(
        refuse("mian.go"),
        "cannot copy \"mian.go\": there is no such file in the build context; did you mean main.go?"
    );
    assert_eq!(
        refuse("secret/key"),
        "cannot copy \"secret/key\": there is no such file in the build context (it is excluded by .dockerignore line 3)"
    );
    assert_eq!(refuse("nothing/at/all"), "cannot copy \"nothing/at/all\": there is no such file in the build context");
    assert_eq!(refuse("main.go/x"), "cannot copy \"main.go/x\": there is no such file in the build context");
    assert!(refuse("[").contains("is no pattern"));
    // `..` leads no further up than the context.
    assert_eq!(yard.copy(&request(&["../../main.go"], "/x")).unwrap().names(), ["x"]);
}

#[test]
fn patterns_match_within_a_folder_and_one_that_fits_nothing_copies_nothing() {
    let files = [
        ("a1.txt", ""),
        ("a2.txt", ""),
        ("b.md", ""),
        ("d1/x.txt", ""),
        ("d2/x.txt", ""),
        ("d2/y.md", ""),
        ("[z]", ""),
    ];
    let yard = Yard::new(&files, &[]);
    let names = |pattern: &str| yard.copy(&request(&[pattern], "/t/")).unwrap().names();
    assert_eq!(names("a?.txt"), ["t/", "t/a1.txt", "t/a2.txt"]);
    assert_eq!(names("d*/*.txt"), ["t/", "t/x.txt"]);
    assert_eq!(names("d*"), ["t/", "t/x.txt", "t/y.md"]);
    assert_eq!(names("[[]z]"), ["t/", "t/[z]"]);
    assert_eq!(names("\\[z\\]"), ["t/", "t/[z]"]);
    let made = yard.copy(&request(&["*.none"], "/t/")).unwrap();
    assert_eq!(made.copied.unmatched, ["*.none"]);
    assert!(made.layer.is_none());
}

#[test]
fn what_is_ignored_is_not_copied_and_an_exception_takes_it_back() {
    let yard = Yard::new(&[("a/keep", ""), ("a/drop", ""), ("b/x", ""), ("c", "")], &[]);
    let verdict = |name: &Name, is_folder: bool| match name.as_path().to_str().unwrap() {
        "a" if is_folder => Verdict::Drop,
        "a/keep" | "c" => Verdict::Keep,
        _ => Verdict::DropAll,
    };
    let path = yard.path("context");
    let context = Context { path: &path, has_ignored: true, verdict: &verdict, ignored_by: &|_| None };
    let materials = Materials { context: Some(context), ..Materials::default() };
    let draft = yard.work.layer().unwrap();
    copy::carry_out(&request(&["."], "/"), &materials, &yard.site(), &draft).unwrap();
    let layer = finish::keep(&yard.site(), draft, false).unwrap().unwrap();
    assert_eq!(list(&layer), ["a/ 755 0:0", "a/keep 644 0:0", "c 644 0:0"]);
}

#[test]
fn excludes_leave_out_and_parents_keep_the_way() {
    let files = [("a/b/x.go", ""), ("a/b/x_test.go", ""), ("a/c/y.go", ""), ("top.go", "")];
    let yard = Yard::new(&files, &[]);
    let excludes = CopyRequest { excludes: vec!["**/*_test.go".into()], ..request(&["a"], "/t/") };
    assert_eq!(yard.copy(&excludes).unwrap().names(), ["t/", "t/b/", "t/b/x.go", "t/c/", "t/c/y.go"]);
    let parents = |source: &str| CopyRequest { parents: true, ..request(&[source], "/t/") };
    let names = |source: &str| yard.copy(&parents(source)).unwrap().names();
    assert_eq!(names("a/b/x.go"), ["t/", "t/a/", "t/a/b/", "t/a/b/x.go"]);
    assert_eq!(names("a/./b/x.go"), ["t/", "t/b/", "t/b/x.go"]);
    assert_eq!(names("./a/*/y.go"), ["t/", "t/a/", "t/a/c/", "t/a/c/y.go"]);
    assert_eq!(
        names("**/*.go"),
        ["t/", "t/a/", "t/a/b/", "t/a/b/x.go", "t/a/b/x_test.go", "t/a/c/", "t/a/c/y.go", "t/top.go"]
    );
    assert_eq!(names("a/./c"), ["t/", "t/c/", "t/c/y.go"]);
    assert!(refused(yard.copy(&parents("a/./none"))).contains("no such file"));
}

#[test]
fn owners_and_modes_are_as_asked_for() {
    let passwd = "app:x:1000:50::/:/bin/sh\n";
    let yard =
        Yard::new(&[("d/f", ""), ("s", "")], &[("etc/passwd", passwd), ("etc/group", "web:x:33:\n"), ("there/", "")]);
    let with = |chown: &str, chmod: &str, target: &str| {
        let text = |text: &str| Some(text.to_owned()).filter(|it| !it.is_empty());
        yard.copy(&CopyRequest { chown: text(chown), chmod: text(chmod), ..request(&["d"], target) })
    };
    assert_eq!(with("app:web", "", "/x").unwrap().list(), ["x/ 755 1000:33", "x/f 644 1000:33"]);
    assert_eq!(with("app", "u+x,go=", "/x").unwrap().list(), ["x/ 755 1000:50", "x/f 700 1000:50"]);
    assert_eq!(with("7", "4711", "/x").unwrap().list(), ["x/ 4711 7:7", "x/f 4711 7:7"]);
    assert_eq!(with("7", "700", "/there").unwrap().list(), ["there/ 755 0:0", "there/f 700 7:7"]);
    assert!(refused(with("nobody", "", "/x")).contains("unable to find user nobody"));
    assert!(refused(with("", "999", "/x")).contains("--chmod=999 is no mode"));
}

#[test]
fn files_of_a_stage_keep_their_owners_and_links_lead_inside_the_stage() {
    let yard = Yard::new(&[], &[]);
    yard.put("stage", &[("out/f", "f"), ("bin", "-> /out"), ("out/evil", "-> /etc/shadow")]);
    std::os::unix::fs::chown(yard.path("stage/out/f"), Some(12), Some(13)).unwrap();
    let from = |path: &str, chown: Option<&str>| {
        yard.copy(&CopyRequest { origin: Origin::Stage(0), chown: chown.map(Into::into), ..request(&[path], "/x/") })
    };
    assert_eq!(from("/bin/f", None).unwrap().list(), ["x/ 755 0:0", "x/f 644 12:13"]);
    assert_eq!(from("bin/f", Some("1:1")).unwrap().list(), ["x/ 755 1:1", "x/f 644 1:1"]);
    assert_eq!(refused(from("/out/none", None)), "cannot copy \"/out/none\": there is no such file in stage 0");
    assert!(refused(from("/out/evil", None)).contains("no such file in stage 0"));
}

#[test]
fn hard_links_holes_and_attributes_are_kept_and_special_files_are_not_sources() {
    let yard = Yard::new(&[("d/a", "same")], &[]);
    let context = yard.path("context");
    fs::hard_link(context.join("d/a"), context.join("d/b")).unwrap();
    let sparse = fs::File::create(context.join("d/sparse")).unwrap();
    sparse.set_len(32 << 20).unwrap();
    rustix::fs::setxattr(context.join("d/a"), "user.note", b"x", rustix::fs::XattrFlags::empty()).unwrap();
    for (name, kind) in [("fifo", FileType::Fifo), ("socket", FileType::Socket)] {
        rustix::fs::mknodat(CWD, context.join("d").join(name), kind, Mode::from_raw_mode(0o600), 0).unwrap();
    }
    let made = yard.copy(&request(&["d"], "/x")).unwrap();
    assert_eq!(made.names(), ["x/", "x/a", "x/b", "x/sparse"]);
    let ino = |name: &str| fs::metadata(made.file(name)).unwrap().ino();
    assert_eq!(ino("x/a"), ino("x/b"));
    assert!(fs::metadata(made.file("x/sparse")).unwrap().blocks() < 100);
    let mut value = [0; 8];
    assert_eq!(rustix::fs::getxattr(made.file("x/a"), "user.note", &mut value).unwrap(), 1);
    assert_eq!(
        (made.copied.left_out, &made.copied.left_out_first[..]),
        (2, &["d/fifo".to_owned(), "d/socket".to_owned()][..])
    );
    // What is asked for by its name is not left out in silence.
    let named = refused(yard.copy(&request(&["d/fifo"], "/x")));
    assert!(named.contains("cannot copy \"d/fifo\": it is a pipe") && named.contains("RUN mkfifo"), "{named}");
    assert!(yard.copy(&request(&["d/f*"], "/x/")).is_ok());
}

#[test]
fn the_same_files_make_the_same_layer_wherever_and_whenever() {
    let files = [("a/x", "x"), ("a/y/z", "z")];
    let make = || {
        let yard = Yard::new(&files, &[("there/old", "")]);
        let old = fs::FileTimes::new().set_modified(std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000));
        for path in ["context/a/x", "context/a/y/z", "context/a/y", "context/a", "image/there/old", "image/there"] {
            fs::File::open(yard.path(path)).unwrap().set_times(old).unwrap();
        }
        let mut inline = request(&["a"], "/there/new/");
        inline.sources.push(CopySource::Inline { name: "hello".into(), text: "hello\n".into() });
        let made = yard.copy(&inline).unwrap();
        assert_eq!(
            fs::metadata(made.file("there")).unwrap().mtime(),
            1_000_000,
            "a folder that was there keeps its time"
        );
        assert_eq!(fs::metadata(made.file("there/new/y")).unwrap().mtime(), 1_000_000);
        (made.layer.as_ref().unwrap().diff_id, yard.workdir("/a/b", "").unwrap().unwrap().diff_id)
    };
    let first = make();
    std::thread::sleep(std::time::Duration::from_millis(1100));
    assert_eq!(make(), first);
}

#[test]
fn a_linked_layer_does_not_depend_on_the_image() {
    let yard =
        Yard::new(&[("a", "a")], &[("usr/bin/", ""), ("bin", "-> usr/bin"), ("etc/passwd", "app:x:1:1::/:/bin/sh\n")]);
    let link = CopyRequest { link: true, ..request(&["a"], "/bin/a") };
    assert_eq!(yard.copy(&link).unwrap().names(), ["bin/", "bin/a"]);
    let named = CopyRequest { chown: Some("app".into()), ..link };
    assert!(refused(yard.copy(&named)).contains("give numbers"));
}

#[test]
fn a_working_directory_is_made_once_and_is_the_users() {
    let yard = Yard::new(
        &[],
        &[("etc/passwd", "app:x:1000:50::/:/bin/sh\n"), ("usr/src/", ""), ("src", "-> usr/src"), ("file", "")],
    );
    assert!(yard.workdir("/usr/src", "").unwrap().is_none());
    assert!(yard.workdir("/src", "").unwrap().is_none());
    let made = yard.workdir("/src/app/cmd", "app").unwrap().unwrap();
    assert_eq!(
        list(&made),
        ["usr/ 755 0:0", "usr/src/ 755 0:0", "usr/src/app/ 755 1000:50", "usr/src/app/cmd/ 755 1000:50"]
    );
    assert!(words(yard.workdir("/file", "").unwrap_err()).contains("/file is a file"));
}

/// An archive of entries: name, content (a link with `-> `, a hard link with `=> `).
fn archive(entries: &[(&str, &str)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, text) in entries {
        let mut header = tar::Header::new_ustar();
        header.set_mode(0o640);
        header.set_uid(5);
        header.set_gid(6);
        header.set_mtime(7);
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        let link = text.strip_prefix("-> ").or(text.strip_prefix("=> "));
        header.set_entry_type(match text {
            text if text.starts_with("-> ") => tar::EntryType::Symlink,
            text if text.starts_with("=> ") => tar::EntryType::Link,
            _ if name.ends_with('/') => tar::EntryType::Directory,
            _ => tar::EntryType::Regular,
        });
        if let Some(link) = link {
            header.set_link_name(link).unwrap();
        }
        let content = if link.is_some() || name.ends_with('/') { "" } else { *text };
        header.set_size(content.len() as u64);
        header.set_cksum();
        builder.append(&header, content.as_bytes()).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut gzip = crate::image::archive::compression::Gzip::new(Vec::new());
    std::io::Write::write_all(&mut gzip, bytes).unwrap();
    gzip.finish().unwrap()
}

fn add(sources: &[&str], target: &str) -> CopyRequest {
    CopyRequest { verb: Verb::Add, unpack_local: true, ..request(sources, target) }
}

#[test]
fn what_is_ignored_is_hidden_by_whiteouts_and_an_exception_is_not() {
    let yard =
        Yard::new(&[("keep/a", "a"), ("keep/x.log", "x"), ("gone/b", "b"), ("some/kept", "k"), ("some/c", "c")], &[]);
    fs::set_permissions(yard.path("context/keep"), fs::Permissions::from_mode(0o711)).unwrap();
    let path = yard.path("context");
    let verdict = |name: &Name, _: bool| match name.as_path().to_str().unwrap() {
        "some" => Verdict::Drop,
        "gone" | "keep/x.log" | "some/c" => Verdict::DropAll,
        _ => Verdict::Keep,
    };
    let context = Some(Context { path: &path, has_ignored: true, verdict: &verdict, ignored_by: &|_| None });
    let materials = Materials { context, ..Materials::default() };
    let tree = materials.open(&Origin::Context, &yard.site()).unwrap();
    let mask = yard.site().folder().unwrap();
    assert!(mask::fill(&tree, &mask).unwrap());
    let merged = yard.site().read(&[path.clone(), mask]).unwrap();
    let root = merged.root.find_directory(Path::new("/")).map(crate::image::beneath::Folder::new).unwrap();
    let mut lines = Vec::new();
    peer::describe(&root, "", &mut lines);
    let shown: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
    assert_eq!(
        shown,
        ["/keep 40711 0:0", "/keep/a 100644 0:0 1 bytes", "/some 40755 0:0", "/some/kept 100644 0:0 1 bytes"]
    );
}

#[test]
fn an_archive_is_unpacked_by_add_and_copied_by_copy() {
    let yard = Yard::new(&[("no.tar", "just text")], &[("usr/bin/", ""), ("bin", "-> usr/bin"), ("keep/", "")]);
    let tar = archive(&[
        ("bin/tool", "tool"),
        ("d/", ""),
        ("d/f", "f"),
        ("d/g", "=> d/f"),
        ("keep", "now a file"),
        ("l", "-> d/f"),
    ]);
    fs::write(yard.path("context/a.tar"), &tar).unwrap();
    fs::write(yard.path("context/a.tgz"), gzip(&tar)).unwrap();
    fs::write(yard.path("context/a.bz2"), b"BZh91AY&SY rest").unwrap();
    let expected = [
        "d/ 640 5:6",
        "d/f 640 5:6",
        "d/g 640 5:6",
        "keep 640 5:6",
        "l 777 5:6 -> d/f",
        "usr/ 755 0:0",
        "usr/bin/ 755 0:0",
        "usr/bin/tool 640 5:6",
    ];
    for name in ["a.tar", "a.tgz"] {
        let made = yard.copy(&add(&[name], "/")).unwrap();
        assert_eq!(made.list(), expected, "{name}");
        let meta = |name: &str| fs::metadata(made.file(name)).unwrap();
        assert_eq!(meta("d/f").ino(), meta("d/g").ino());
        assert_eq!((meta("d").mtime(), meta("d/f").mtime()), (7, 7));
    }
    assert_eq!(yard.copy(&add(&["no.tar"], "/x/")).unwrap().names(), ["x/", "x/no.tar"]);
    assert_eq!(yard.copy(&request(&["a.tgz"], "/x/")).unwrap().names(), ["x/", "x/a.tgz"]);
    assert!(refused(yard.copy(&add(&["a.bz2"], "/x/"))).contains("bzip2"));
}

#[test]
fn a_hostile_archive_writes_nothing_outside_its_target() {
    let yard = Yard::new(&[], &[("safe", "")]);
    let outside = tempfile::tempdir().unwrap();
    let out = outside.path().to_str().unwrap();
    let away = format!("-> {out}");
    fs::write(outside.path().join("secret"), "s").unwrap();
    let cases: [&[(&str, &str)]; 6] = [
        &[("../x", "")],
        &[("/x", "")],
        &[("l", "=> ../safe")],
        // Through a link that leads out, which is followed inside.
        &[("way", &away), ("l", "=> way/secret")],
        &[("a", "-> b"), ("b", "-> a"), ("a/x", "x")],
        &[("l", "=> l2"), ("l2", "=> l")],
    ];
    for entries in cases {
        fs::write(yard.path("context/a.tar"), archive(entries)).unwrap();
        assert!(refused(yard.copy(&add(&["a.tar"], "/t/"))).contains("cannot unpack"));
    }
    // Links lead inside the target.
    let secret = format!("-> {out}/secret");
    let entries = [("way", away.as_str()), ("way/x", "x"), ("s", &secret), ("h", "=> s"), ("h", "written over")];
    fs::write(yard.path("context/a.tar"), archive(&entries)).unwrap();
    let made = yard.copy(&add(&["a.tar"], "/t/")).unwrap();
    assert_eq!(fs::read_dir(outside.path()).unwrap().count(), 1);
    assert_eq!(fs::read_to_string(outside.path().join("secret")).unwrap(), "s");
    assert!(made.file(&format!("t{out}/x")).exists(), "{:?}", made.names());
    assert!(Path::new(out).exists());
}
