//! The images of the catalogue as a Dockerfile meets them: prepared, mounted, and used with chroot(8).
//!
//! Needs root and a Debian mirror or a warm cache (`QUAYSIDE_TEST_CACHE`, by default target/test-cache). A test that
//! cannot run says what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Instant;

use quayside_runtime::container::InContainers;
use quayside_runtime::image::debian::DebianError;
use quayside_runtime::image::recipe::{ModuleError, RecipeError};
use quayside_runtime::image::{Image, ImageError, Sources, Store, show};
use quayside_tests::{binary, needs};

#[test]
fn hello_world_says_what_it_is() {
    let Some(image) = prepare("hello-world") else { return };
    let hello = Command::new(image.layers[0].path.join("hello")).output().unwrap();
    assert!(String::from_utf8(hello.stdout).unwrap().contains("stands in for Docker's hello-world"));
    assert_eq!(image.config.config.labels["quayside.stands-in-for"], "docker.io/library/hello-world");
    assert_eq!(image.origin.stands_in_for.as_deref(), Some("docker.io/library/hello-world"));
}

#[test]
fn busybox_has_its_commands_and_accounts() {
    let Some(image) = prepare("busybox:1.36") else { return };
    check(&image, "ls / | grep -v input | tr '\\n' ' '; id -un; stat -c '%a %U' /tmp /root", BUSYBOX);
    check(&image, "wget --help 2>&1 | head -1 | cut -c1-7; apt-get 2>&1 | grep -c 'not found'", "BusyBox\n1");
}

const BUSYBOX: &str = "bin dev etc home proc root run sbin sys tmp usr var root\n1777 root\n700 root";

#[test]
fn alpines_stand_in_does_not_claim_to_be_alpine() {
    let Some(image) = prepare("alpine:3.20") else { return };
    check(&image, ". /etc/os-release; echo $ID", "busybox");
    check(&image, "apk add git 2>&1 >/dev/null | grep -c 'stands in'; apk add git 2>/dev/null; echo $?", "1\n1");
    check(&image, "addgroup -S app && adduser -S -G app -H app && id app", "uid=101(app) gid=101(app) groups=101(app)");
    check(&image, "adduser -D ann && su ann -c 'id -un; pwd' && addgroup ann users && id -Gn ann", "ann\n/\nann users");
    check(&image, "grep -c BEGIN /etc/ssl/cert.pem | awk '{ print ($1 > 100) }'", "1");
}

#[test]
fn golang_builds_a_program_with_modules_and_no_network() {
    let Some(image) = prepare("golang:1.20-alpine") else { return };
    check(&image, "go version | cut -d' ' -f3; go env GOPATH GOTOOLCHAIN GOSUMDB", "go1.21.13\n/go\nlocal\noff");
    let sums = image
        .layer_paths()
        .iter()
        .rev()
        .find_map(|path| std::fs::read_to_string(path.join("usr/local/share/goproxy/go.sum")).ok());
    let sums = sums.expect("the proxy lists its sums");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("builds/go-example");
    let wanted = std::fs::read_to_string(example.join("go.sum")).unwrap();
    for line in wanted.lines() {
        assert!(sums.lines().any(|known| known == line), "the example's go.sum is not of this proxy: {line}");
    }
    let tar = example_as_tar(&example);
    let script = "mkdir /src && cd /src && tar -xzf /input && go mod download && go mod verify && \
                  go build -o /bin/server ./cmd/server && go build -o /bin/client ./cmd/client && \
                  go vet ./... && go test ./... 2>&1 | grep -c '^ok' && client --help | head -1";
    check_with(&image, &tar, script, "all modules verified\n1\nSpeak to a harbour");
}

/// How much of a first build is left when the standard library is there: much less than half, on any machine.
const WARM_SHARE_MAX: f64 = 0.5;

#[test]
fn golangs_first_build_compiles_nothing_of_the_standard_library() {
    let Some(image) = prepare("golang") else { return };
    let tar = example_as_tar(&Path::new(env!("CARGO_MANIFEST_DIR")).join("builds/go-example"));
    // Packages of the standard library have no dot in their names. Of a later year is the image's cache, as long as
    // nothing has touched it.
    let script = "mkdir /src && cd /src && tar -xzf /input && go mod download && touch -d '2036-01-01 00:00:00' /later && \
                  untouched() { find /root/.cache/go-build -type f -newer /later | wc -l; }; untouched && \
                  now() { cut -d' ' -f1 /proc/uptime; }; packages() { grep -v '\\.' | wc -l; }; \
                  now && go build -v -o /bin/client ./cmd/client 2>&1 | packages && now && untouched && \
                  GOCACHE=/empty go build -v -o /bin/cold ./cmd/client 2>&1 | packages && now && \
                  cmp /bin/client /bin/cold && echo same";
    let text = run(&image, &tar, script);
    let lines: Vec<&str> = text.lines().collect();
    let [before, began, warm, then, after, cold, end, "same"] = lines[..] else { panic!("{text}") };
    let seconds = |text: &str| text.parse::<f64>().expect("uptime is a number");
    let share = (seconds(then) - seconds(began)) / (seconds(end) - seconds(then));
    eprintln!(
        "the client: {:.1} s, {:.0} % of what it takes without the cache",
        seconds(then) - seconds(began),
        share * 100.0
    );
    assert_eq!(warm, "0", "packages of the standard library were compiled again");
    assert!(cold.parse::<u32>().unwrap() > 50, "{cold} packages: this test does not see what is compiled");
    assert!(before.parse::<u32>().unwrap() > 1000 && before == after, "{before} files of the cache, then {after}");
    assert!(share < WARM_SHARE_MAX, "the cache saves too little");
}

#[test]
fn debian_takes_packages_and_ubuntu_is_honest() {
    let Some(image) = prepare("debian:bookworm-slim") else { return };
    check(&image, "dpkg --audit; apt-get check >/dev/null; echo $?; readlink -f /usr/bin/awk", "0\n/usr/bin/mawk");
    let Some(ubuntu) = prepare("ubuntu:22.04") else { return };
    assert_eq!(ubuntu.layers, image.layers, "both are the one small Debian");
    check(&ubuntu, ". /etc/os-release; echo $ID", "debian");
}

#[test]
fn nginx_serves_the_page_that_a_dockerfile_puts_in() {
    let Some(image) = prepare("nginx:1.25") else { return };
    check(&image, "nginx -v 2>&1; nginx -t 2>&1 | grep -c successful", "nginx version: nginx/1.22.1\n1");
    let script = "echo mine > /usr/share/nginx/html/index.html; echo 'echo before' > /docker-entrypoint.d/1.sh; \
                  chmod +x /docker-entrypoint.d/1.sh; /docker-entrypoint.sh nginx -g 'daemon off;' 2>/dev/null & \
                  for i in 1 2 3 4 5 6 7 8 9; do sleep 0.2; \
                  (exec 3<>/dev/tcp/127.0.0.1/80) 2>/dev/null && break; done; exec 3<>/dev/tcp/127.0.0.1/80; \
                  printf 'GET / HTTP/1.0\\r\\n\\r\\n' >&3; tail -1 <&3; nginx -s quit 2>/dev/null; wait";
    check(&image, &format!("{{ {script}; }} | grep -v HTTP"), "before\nmine");
    check(
        &image,
        "dpkg --audit; dpkg -s nginx | grep ^Status; dpkg -s bash | grep -c ^Status; apt-get check -q >/dev/null; echo $?",
        "Status: install ok installed\n1\n0",
    );
}

#[test]
fn redis_answers_and_is_not_root() {
    let Some(image) = prepare("redis:7") else { return };
    check(&image, "redis-server --version | cut -d' ' -f3", "v=7.0.15");
    let script = "cd /data; docker-entrypoint.sh --port 6399 >/tmp/log 2>&1 & for i in 1 2 3 4 5 6 7 8 9; do \
                  sleep 0.2; redis-cli -p 6399 ping >/dev/null 2>&1 && break; done; redis-cli -p 6399 set a 1; \
                  stat -c %U /proc/$(pgrep redis-server || redis-cli -p 6399 info | sed -n 's/process_id:\\([0-9]*\\).*/\\1/p'); \
                  redis-cli -p 6399 config get protected-mode | tail -1; redis-cli -p 6399 shutdown nosave; wait";
    check(&image, script, "OK\nredis\nno");
}

#[test]
fn python_has_its_library_and_pip() {
    let Some(image) = prepare("python:3.12-slim") else { return };
    check(&image, "python -c 'import sys, json, http.server, ssl; print(sys.version_info[:2])'", "(3, 11)");
    check(
        &image,
        "pip --version | cut -d' ' -f1,2; python -m venv --without-pip /tmp/v && /tmp/v/bin/python -c 'print(1)'",
        "pip 23.0.1\n1",
    );
    check(&image, "apt-get check -q >/dev/null; echo $?", "0");
}

#[test]
fn the_learners_machine_with_docker_is_the_learners_machine_and_a_layer() {
    let (Some(learner), Some(image)) = (prepare("learner"), prepare("learner-docker")) else { return };
    assert_eq!(image.layers[..1], learner.layers[..]);
    check(
        &image,
        "docker --version | cut -d, -f1; docker compose version --short",
        "Docker version 26.1.5+dfsg1\n2.26.1-4",
    );
    check(
        &image,
        "dpkg --audit; apt-get check -q >/dev/null; echo $?; dpkg -s docker-cli git | grep -c 'ok installed'",
        "0\n2",
    );
    check(&image, "stat -c '%a' /root /tmp; su -s /bin/bash nobody -c 'id -un'", "700\n1777\nnobody");
}

/// Prepares an image in a store beside the cache of downloads and says how long it took, or why it cannot be.
fn prepare(name: &str) -> Option<Image> {
    needs::containers();
    let store = Store::open(cache().join("images")).unwrap();
    let program = std::fs::File::open(binary::quayside()).unwrap();
    let sources = Sources { errands: Some(Arc::new(InContainers::new(program))), ..Sources::default() };
    let began = Instant::now();
    match store.prepare(name, &sources, &mut |_| {}) {
        Ok(image) => {
            eprintln!("{name}: {} in {:.1} s", show::size(image.size_bytes()), began.elapsed().as_secs_f32());
            image.origin.notices.iter().for_each(|notice| eprintln!("    {notice}"));
            let surprise = image.origin.notices.iter().find(|notice| notice.contains("came out as"));
            assert_eq!(surprise, None, "a layer is not the one that it is known to be");
            Some(image)
        }
        Err(error) if is_of_the_mirror(&error) => {
            needs::say_skipped(&format!("the image {name}; needs a Debian mirror that answers: {error}"));
            None
        }
        Err(error) => panic!("{error}: {:?}", std::error::Error::source(&error)),
    }
}

fn is_of_the_mirror(error: &ImageError) -> bool {
    match error {
        ImageError::Debian(DebianError::Sources(_) | DebianError::Fetch(_)) => true,
        ImageError::Recipe { source, .. } => match &**source {
            RecipeError::Module(ModuleError::Debian(error)) | RecipeError::Debian(error) => {
                matches!(error, DebianError::Fetch(_) | DebianError::Index(_))
            }
            _ => false,
        },
        _ => false,
    }
}

fn cache() -> PathBuf {
    // A test's own setting: nothing of the product reads it.
    match std::env::var_os("QUAYSIDE_TEST_CACHE") {
        Some(path) => path.into(),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../target/test-cache"),
    }
}

fn check(image: &Image, script: &str, expected: &str) {
    check_with(image, b"", script, expected);
}

/// `expected` is all that the script prints.
#[track_caller]
fn check_with(image: &Image, input: &[u8], script: &str, expected: &str) {
    assert_eq!(run(image, input, script), expected, "{script}");
}

fn example_as_tar(example: &Path) -> Vec<u8> {
    Command::new("tar").arg("-C").arg(example).args(["-czf", "-", "."]).output().unwrap().stdout
}

/// What a script prints, as root in a throw-away copy of the image in which /input holds `input`.
fn run(image: &Image, input: &[u8], script: &str) -> String {
    const ENTER: &str = r#"
        set -e
        ip link set lo up 2>/dev/null || true
        mount -t tmpfs tmpfs "$WORK"; cd "$WORK"; mkdir upper work root
        mount -t overlay overlay -o "lowerdir=$LOWER,upperdir=upper,workdir=work,userxattr" root
        mkdir -p root/proc root/dev
        mount -t proc proc root/proc; mount --rbind /dev root/dev
        cat > root/input
        cd root
        SHELL_INSIDE=/bin/sh; [ ! -x usr/bin/bash ] || SHELL_INSIDE=/bin/bash
        exec env -i HOME=/root $IMAGE_ENV chroot . $SHELL_INSIDE -c "$SCRIPT"
    "#;
    let work = tempfile::tempdir().unwrap();
    let input_file = work.path().join("input");
    std::fs::write(&input_file, input).unwrap();
    let paths = image.layer_paths();
    let lower: Vec<&str> = paths.iter().rev().map(|path| path.to_str().unwrap()).collect();
    let env: Vec<String> = image.env().into_iter().map(|(name, value)| format!("{name}={value}")).collect();
    let output = Command::new("unshare")
        .args(["--mount", "--net", "--pid", "--fork", "--kill-child", "sh", "-c", ENTER])
        .stdin(std::fs::File::open(&input_file).unwrap())
        .env("WORK", work.path())
        .env("LOWER", lower.join(":"))
        .env("IMAGE_ENV", env.join(" "))
        .env("SCRIPT", script)
        .output()
        .unwrap();
    // Shown when the test fails.
    eprintln!("{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim_end().to_owned()
}
