//! `quayside build` on the plain host: `RUN` in containers, the cache between processes, what people and programs read.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

use quayside_tests::{binary, needs};
use tempfile::TempDir;

/// A data directory and a context.
struct Yard {
    folder: TempDir,
}

const EXAMPLE: &str = "FROM host
WORKDIR /src
COPY . .
RUN cat cmd/client/main.txt > /client
RUN cat cmd/server/main.txt > /server
CMD [\"cat\", \"/server\"]
";

impl Yard {
    fn new() -> Self {
        needs::containers();
        let folder = tempfile::Builder::new().prefix("quayside-build-").tempdir().expect("a temporary directory");
        let yard = Self { folder };
        yard.write("cmd/client/main.txt", "client\n");
        yard.write("cmd/server/main.txt", "server\n");
        yard
    }

    fn context(&self) -> PathBuf {
        self.folder.path().join("context")
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.context().join(name);
        fs::create_dir_all(path.parent().expect("it is in the context")).expect("the yard is ours");
        fs::write(path, text).expect("the yard is ours");
    }

    fn command(&self, verb: &str, args: &[&str]) -> Command {
        let mut command = Command::new(binary::quayside());
        command.args([verb, "--data"]).arg(self.folder.path().join("data")).args(args).stdin(Stdio::null());
        command
    }

    fn build(&self, dockerfile: &str, args: &[&str]) -> Output {
        self.write("Dockerfile", dockerfile);
        let context = self.context();
        let args: Vec<&str> = args.iter().copied().chain([context.to_str().expect("it is UTF-8")]).collect();
        self.command("build", &args).output().expect("the binary starts")
    }

    /// Builds, and gives what plain progress says.
    fn built(&self, dockerfile: &str, args: &[&str]) -> String {
        let args = [&["--progress", "plain"], args].concat();
        let output = self.build(dockerfile, &args);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        said
    }

    fn refused(&self, dockerfile: &str, args: &[&str]) -> String {
        let output = self.build(dockerfile, &[&["--progress", "plain"], args].concat());
        assert!(!output.status.success());
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    /// The files of the newest layer that has one of this name.
    fn file(&self, name: &str) -> Option<String> {
        let layers = fs::read_dir(self.folder.path().join("data/images/content/layers")).ok()?;
        let mut found: Vec<_> = layers
            .flatten()
            .map(|layer| layer.path().join("diff").join(name))
            .filter_map(|path| Some((fs::metadata(&path).ok()?.modified().ok()?, path)))
            .collect();
        found.sort();
        fs::read_to_string(&found.last()?.1).ok()
    }
}

fn count(said: &str, word: &str) -> usize {
    said.lines().filter(|line| line.contains(word)).count()
}

#[test]
fn a_second_build_is_cached_and_one_changed_file_is_named() {
    let yard = Yard::new();
    let said = yard.built(EXAMPLE, &["-t", "example"]);
    assert_eq!(count(&said, "missed:"), 4, "{said}");
    assert_eq!(yard.file("client").as_deref(), Some("client\n"));
    let said = yard.built(EXAMPLE, &["-t", "example"]);
    assert_eq!((count(&said, "CACHED"), count(&said, "missed:")), (4, 0), "{said}");
    yard.write("cmd/client/main.txt", "changed\n");
    let said = yard.built(EXAMPLE, &["-t", "example"]);
    assert_eq!(count(&said, "CACHED"), 1, "{said}");
    assert!(said.contains("missed: cmd/client/main.txt changed"), "{said}");
    assert_eq!(count(&said, "missed: follows step"), 2, "{said}");
    assert_eq!(yard.file("client").as_deref(), Some("changed\n"));
}

#[test]
fn a_command_that_fails_ends_the_build_with_its_line_and_last_words() {
    let yard = Yard::new();
    let said = yard.refused("FROM host\nRUN echo almost; echo there >&2; exit 3\n", &[]);
    for words in ["almost", "there", "line 2", "exit code 3"] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn arguments_and_variables_reach_a_command_and_explain_a_miss() {
    let yard = Yard::new();
    let text = "FROM host\nARG VERSION=1\nENV NAME=app\nRUN echo $NAME-$VERSION > /version\n";
    yard.built(text, &[]);
    assert_eq!(yard.file("version").as_deref(), Some("app-1\n"));
    let said = yard.built(text, &["--build-arg", "VERSION=2", "--build-arg", "VERSOIN=3"]);
    assert!(said.contains("missed: build argument VERSION changed"), "{said}");
    assert!(said.contains("no ARG asks for the build argument VERSOIN"), "{said}");
    assert_eq!(yard.file("version").as_deref(), Some("app-2\n"));
    let said = yard.built(text, &["--build-arg", "HTTP_PROXY=http://proxy:3128"]);
    assert_eq!(count(&said, "CACHED"), 1, "{said}");
}

#[test]
fn a_secret_is_there_while_a_command_runs_and_in_no_layer() {
    let yard = Yard::new();
    let secret = yard.folder.path().join("secret");
    fs::write(&secret, "hunter2").expect("the yard is ours");
    let text = "FROM host\nRUN --mount=type=secret,id=token wc -c < /run/secrets/token > /length\n";
    yard.built(text, &["--secret", &format!("id=token,src={}", secret.display())]);
    assert_eq!(yard.file("length").map(|text| text.trim().to_owned()).as_deref(), Some("7"));
    assert_eq!(yard.file("run/secrets/token"), None);
}

#[test]
fn programs_read_events_and_old_tools_the_old_form() {
    let yard = Yard::new();
    let output = yard.build(EXAMPLE, &["--progress", "json", "-t", "example"]);
    let text = String::from_utf8(output.stdout).expect("JSON is UTF-8");
    let events: Vec<serde_json::Value> =
        text.lines().map(|line| serde_json::from_str(line).expect("each line is an event")).collect();
    assert_eq!(events.last().expect("there are events")["event"], "built", "{text}");
    let output = yard.build(EXAMPLE, &["--progress", "legacy", "-t", "example"]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(text.starts_with("Step 1/6 : FROM host\n ---> "), "{text}");
    assert_eq!(count(&text, " ---> Using cache"), 4, "{text}");
    assert!(text.ends_with("Successfully tagged example:latest\n"), "{text}");
}

#[test]
fn ctrl_c_ends_the_command_that_runs_and_leaves_no_image() {
    let yard = Yard::new();
    yard.write("Dockerfile", "FROM host\nRUN echo begun; sleep 1000\n");
    let context = yard.context();
    let args = ["--progress", "plain", "-t", "example", context.to_str().expect("it is UTF-8")];
    let mut build = yard.command("build", &args).stderr(Stdio::piped()).spawn().expect("the binary starts");
    let mut lines = BufReader::new(build.stderr.take().expect("it is piped")).lines();
    let begun = lines.by_ref().map_while(Result::ok).any(|line| line.ends_with(" begun"));
    assert!(begun, "the command has not begun");
    let pid = rustix::process::Pid::from_child(&build);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).expect("it is our child");
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert_eq!(build.wait().expect("it is our child").code(), Some(130), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("CANCELED")), "{rest:?}");
    assert!(!names(yard.folder.path()).contains("example"));
}

#[test]
fn a_fresh_machine_takes_steps_from_an_image_and_runs_only_what_follows_a_change() {
    let (there, here) = (Yard::new(), Yard::new());
    let text =
        "FROM scratch\nCOPY busybox /bin/sh\nRUN echo once > /once\nCOPY cmd /cmd\nRUN sh -c : && echo > /made\n";
    for yard in [&there, &here] {
        fs::copy("/bin/busybox", yard.context().join("busybox")).expect("busybox-static is installed");
        fs::set_permissions(yard.context().join("busybox"), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .expect("it is ours");
    }
    there.built(text, &["-t", "shared:1"]);
    let archive = there.folder.path().join("shared.tar");
    let archive = archive.to_str().expect("it is UTF-8");
    for (yard, verb, args) in
        [(&there, "save", ["-o", archive, "shared:1"]), (&here, "load", ["-i", archive, "--name=s:1"])]
    {
        let data = yard.folder.path().join("data");
        let mut command = Command::new(binary::quayside());
        command.args(["image", verb, "--data"]).arg(data).args(args);
        assert!(command.status().expect("the binary starts").success(), "{verb}");
    }
    here.write("cmd/client/main.txt", "changed\n");
    let said = here.built(text, &["--cache-from", "s:1"]);
    assert_eq!((count(&said, "CACHED from s:1"), count(&said, "missed:")), (2, 2), "{said}");
    here.write("cmd/client/main.txt", "client\n");
    let said = here.built(text, &["--cache-from", "s:1"]);
    assert_eq!((count(&said, "CACHED"), count(&said, "CACHED from s:1")), (4, 2), "{said}");
}

#[test]
fn a_context_comes_as_an_archive_and_a_dockerfile_alone_on_standard_input() {
    let yard = Yard::new();
    yard.write("Dockerfile", "FROM scratch\nCOPY . /all/\n");
    yard.write("other/File", "FROM scratch\nCOPY cmd /other/\n");
    yard.write(".dockerignore", "cmd/server\nDockerfile\n");
    let archive = yard.folder.path().join("context.tar.gz");
    let tar = Command::new("tar").arg("-C").arg(yard.context()).arg("-czf").arg(&archive).arg(".").status();
    assert!(tar.expect("tar is installed").success());
    let build = |input: &Path, args: &[&str]| {
        let mut command = yard.command("build", &[&["--progress", "plain"], args, &["-"]].concat());
        let output = command.stdin(fs::File::open(input).expect("it is there")).output().expect("the binary starts");
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (built, said) = build(&archive, &[]);
    assert!(built, "{said}");
    assert_eq!(yard.file("all/cmd/client/main.txt").as_deref(), Some("client\n"));
    assert_eq!((yard.file("all/cmd/server/main.txt"), yard.file("all/Dockerfile")), (None, None));
    let (built, said) = build(&archive, &[]);
    assert!(built && count(&said, "CACHED") == 1, "{said}");
    let (built, said) = build(&archive, &["-f", "other/File"]);
    assert!(built && yard.file("other/client/main.txt").is_some(), "{said}");
    let (built, said) = build(&archive, &["-f", "../../../../../etc/passwd"]);
    assert!(!built && !said.contains("root:"), "{said}");
    // Another context by the same way is compared with the one before.
    yard.write("cmd/client/main.txt", "changed\n");
    let tar = Command::new("tar").arg("-C").arg(yard.context()).arg("-cf").arg(&archive).arg(".").status();
    assert!(tar.expect("tar is installed").success());
    let (_, said) = build(&archive, &[]);
    assert!(said.contains("missed: cmd/client/main.txt changed"), "{said}");
    let text = yard.folder.path().join("text");
    fs::write(&text, "FROM scratch\nCOPY <<a /alone\nalone\na\n").expect("the yard is ours");
    let (built, said) = build(&text, &[]);
    assert!(built && yard.file("alone").is_some(), "{said}");
    fs::write(&text, "FROM scratch\nCOPY a /\n").expect("the yard is ours");
    let (built, said) = build(&text, &["-f", "-"]);
    assert!(!built && said.contains("needs a folder to read from"), "{said}");
    let left = fs::read_dir(yard.folder.path().join("data/images/tmp")).expect("the store has it").count();
    assert_eq!(left, 0, "nothing is left of a context that came");
}

#[test]
fn a_bind_of_the_context_shows_nothing_that_is_ignored() {
    let yard = Yard::new();
    yard.write("secret/key", "key\n");
    yard.write(".dockerignore", "secret\n*.md\n!keep.md\n");
    yard.write("keep.md", "kept\n");
    yard.write("drop.md", "dropped\n");
    let text = "FROM host\nRUN --mount=target=/src ls /src > /seen\nRUN --mount=target=/src,rw echo > /src/new && ls /src > /rw\n";
    yard.built(text, &[]);
    assert_eq!(yard.file("seen").as_deref(), Some("Dockerfile\ncmd\nkeep.md\n"));
    assert_eq!(yard.file("rw").as_deref(), Some("Dockerfile\ncmd\nkeep.md\nnew\n"));
    assert!(!yard.context().join("new").exists());
    yard.write("drop.md", "changed\n");
    assert_eq!(count(&yard.built(text, &[]), "CACHED"), 2);
}

#[test]
fn a_cache_mount_has_a_limit_and_is_pruned() {
    let yard = Yard::new();
    let text = |word: &str| {
        format!(
            "FROM host\nRUN --mount=type=cache,target=/c ls /c > /seen; head -c 300000 /dev/zero > /c/{word}; echo {word}\n"
        )
    };
    let said = yard.built(&text("one"), &["--cache-mount-max", "200000"]);
    assert!(said.contains("the cache \"/c\" has") && said.contains("it was emptied"), "{said}");
    let said = yard.built(&text("two"), &[]);
    assert!(!said.contains("emptied"), "{said}");
    assert_eq!(yard.file("seen").as_deref(), Some(""));
    let builder = |args: &[&str]| {
        let mut command = Command::new(binary::quayside());
        command.arg("builder").args(args).arg("--data").arg(yard.folder.path().join("data"));
        String::from_utf8_lossy(&command.output().expect("the binary starts").stdout).into_owned()
    };
    assert!(builder(&["ls"]).contains("cache mount /c"));
    assert!(builder(&["prune", "--all"]).starts_with("removed 2 steps and 1 cache mounts, "));
    assert!(!builder(&["ls"]).contains("cache mount"));
}

#[test]
fn a_url_is_downloaded_anew_only_when_its_server_says_that_it_changed() {
    let yard = Yard::new();
    let server = Files::serve();
    let text = format!("FROM scratch\nADD {}/file.txt /file.txt\n", server.address);
    let said = yard.built(&text, &[]);
    assert!(said.contains("missed: never built before"), "{said}");
    let said = yard.built(&text, &[]);
    assert!(said.contains("is what it was, by its ETag; not downloaded") && count(&said, "CACHED") == 1, "{said}");
    assert_eq!(server.sent(), 1);
    server.change("two\n");
    let said = yard.built(&text, &[]);
    assert!(said.contains(&format!("missed: {}/file.txt changed", server.address)), "{said}");
    assert_eq!((server.sent(), yard.file("file.txt").as_deref()), (2, Some("two\n")));
    // Without its layer the file has to come once more.
    let mut prune = Command::new(binary::quayside());
    prune.args(["builder", "prune", "--keep-bytes", "0", "--data"]).arg(yard.folder.path().join("data"));
    assert!(prune.stdout(Stdio::null()).status().expect("the binary starts").success());
    yard.built(&text, &[]);
    assert_eq!(server.sent(), 3);
}

/// A server of one file, which has an ETag.
struct Files {
    address: String,
    state: Arc<Mutex<(String, usize)>>,
}

impl Files {
    fn serve() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state = Arc::new(Mutex::new(("one\n".to_owned(), 0)));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let lines = BufReader::new(&stream).lines().map_while(Result::ok);
                let request: Vec<String> = lines.take_while(|line| !line.is_empty()).collect();
                let mut state = shared.lock().expect("no answer panics");
                let tag = format!("\"{}\"", state.0.trim());
                let knows = request.iter().any(|line| line.to_lowercase() == format!("if-none-match: {tag}"));
                let answer = match knows {
                    true => format!("HTTP/1.1 304 Not Modified\r\nETag: {tag}\r\nConnection: close\r\n\r\n"),
                    false => {
                        state.1 += 1;
                        let (text, bytes) = (&state.0, state.0.len());
                        format!(
                            "HTTP/1.1 200 OK\r\nETag: {tag}\r\nContent-Length: {bytes}\r\nConnection: close\r\n\r\n{text}"
                        )
                    }
                };
                drop((&stream).write_all(answer.as_bytes()));
            }
        });
        Self { address, state }
    }

    fn change(&self, text: &str) {
        self.state.lock().expect("no answer panics").0 = text.to_owned();
    }

    /// How often the file was sent whole.
    fn sent(&self) -> usize {
        self.state.lock().expect("no answer panics").1
    }
}

fn names(folder: &Path) -> String {
    fs::read_to_string(folder.join("data/images/content/names.json")).unwrap_or_default()
}
