//! One container from layers: what its process sees, what is left in its layer, and that nothing else is left.
//!
//! The same tests run on the plain host and, by the last but one of them, as the root of a sandbox.

use std::fs;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quayside_runtime::container::spec::{Limits, Mount, Network, Scratch, Source};
use quayside_runtime::container::{Cancel, ContainerError, ContainerSpec, Exit, Input, Runner, Said};
use quayside_runtime::launch::event::Event;
use quayside_tests::machine::{Machine, PATIENCE};
use quayside_tests::{binary, needs};
use tempfile::TempDir;

// The harness.

/// Directories of one image and one layer that is written; gone at the end, with everything that ran in them.
struct Yard {
    directory: TempDir,
    /// In the environment of everything that runs here.
    mark: String,
}

/// How a container ended, and all that it said.
struct Ran {
    result: Result<Exit, ContainerError>,
    out: String,
    err: String,
    events: Vec<Event>,
}

impl Yard {
    fn new() -> Self {
        needs::containers();
        let directory = tempfile::Builder::new().prefix("quayside-yard-").tempdir().expect("a temporary directory");
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o755)).expect("it is ours");
        let mark = format!("YARD={}", directory.path().display());
        let yard = Self { directory, mark };
        yard.directory("upper");
        yard.directory("work");
        yard
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    fn directory(&self, name: &str) -> PathBuf {
        fs::create_dir_all(self.path(name)).expect("the yard is ours");
        self.path(name)
    }

    /// A layer of files; a text that begins with `-> ` is a link.
    fn layer(&self, name: &str, files: &[(&str, &str)]) -> PathBuf {
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
    fn busybox(&self) -> PathBuf {
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
    fn image(&self) -> Vec<PathBuf> {
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

    fn spec(&self, layers: Vec<PathBuf>, script: &str) -> ContainerSpec {
        let args = ["sh", "-c", script];
        let mut spec = ContainerSpec::new("test", layers, self.path("upper"), self.path("work"), &args);
        let (key, value) = self.mark.split_once('=').expect("it has one");
        spec.env.push((key.into(), value.into()));
        spec
    }

    fn run(&self, spec: &ContainerSpec) -> Ran {
        self.run_with(spec, Input::Nothing, None, &Cancel::new().expect("an eventfd"))
    }

    fn run_with(&self, spec: &ContainerSpec, input: Input, max: Option<Duration>, cancel: &Cancel) -> Ran {
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
    fn sh(&self, script: &str) -> String {
        self.run(&self.spec(self.image(), script)).succeeds()
    }

    #[track_caller]
    fn assert_quiet(&self) {
        assert_eq!(self.left(), Vec::<String>::new());
    }

    /// What still runs of all that was started here, and what else is left.
    fn left(&self) -> Vec<String> {
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
    fn written(&self) -> Vec<String> {
        let mut all = Vec::new();
        list(&self.path("upper"), "", &mut all);
        all.sort();
        all
    }
}

impl Ran {
    #[track_caller]
    fn succeeds(self) -> String {
        assert!(matches!(self.result, Ok(Exit::Code(0))), "{:?}: {} {}", self.result, self.out, self.err);
        self.out
    }

    #[track_caller]
    fn fails(&self) -> (i32, String) {
        let error = self.result.as_ref().expect_err("it ran");
        (error.code(), error.to_string())
    }
}

fn runner() -> Runner {
    let binary = fs::File::open(binary::quayside()).expect("the binary is there");
    Runner::new(&binary).expect("root can start containers")
}

fn binary_of(name: &str) -> Option<PathBuf> {
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

fn bind(from: &Path, at: &str, read_only: bool) -> Mount {
    let path = from.strip_prefix("/").expect("absolute").into();
    Mount { from: Source::Path { root: "/".into(), path }, at: at.into(), read_only }
}

// The process.

#[test]
fn output_comes_apart_and_the_exit_code_is_the_programs() {
    let yard = Yard::new();
    let ran = yard.run(&yard.spec(yard.image(), "echo out; echo err >&2; echo $$; exit 3"));
    assert_eq!(ran.result.expect("it ran"), Exit::Code(3));
    assert_eq!((ran.out.as_str(), ran.err.as_str()), ("out\n1", "err"));
    assert!(ran.events.iter().any(|event| event.call == "pivot_root" && event.errno.is_none()));
    assert_eq!(ran.events.last().map(|event| event.call.as_str()), Some("execve"));
}

#[test]
fn standard_input_is_nothing_bytes_or_a_descriptor() {
    let yard = Yard::new();
    let spec = yard.spec(yard.image(), "cat; readlink /proc/self/fd/0 | grep -c null");
    let with = |input| yard.run_with(&spec, input, None, &Cancel::new().expect("an eventfd")).out;
    assert_eq!(with(Input::Nothing), "1");
    assert_eq!(with(Input::Bytes(b"ahoy\n".into())), "ahoy\n0");
    fs::write(yard.path("input"), "file\n").expect("written");
    assert_eq!(with(Input::Descriptor(fs::File::open(yard.path("input")).expect("there").into())), "file\n0");
}

#[test]
fn more_output_than_a_pipe_holds_arrives_whole() {
    let yard = Yard::new();
    let ran = yard.run(&yard.spec(yard.image(), "seq 200000; seq 200000 >&2"));
    let expected = |text: &str| text.lines().count() == 200_000 && text.ends_with("\n200000");
    assert!(expected(&ran.out) && expected(&ran.err), "{} and {} bytes", ran.out.len(), ran.err.len());
}

#[test]
fn a_user_is_looked_up_in_the_image() {
    let yard = Yard::new();
    let layers = yard.image();
    let as_user = |user: &str| {
        let spec = ContainerSpec { user: user.into(), ..yard.spec(layers.clone(), "id -u; id -g; id -G; echo $HOME") };
        yard.run(&spec)
    };
    assert_eq!(as_user("").succeeds(), "0\n0\n0\n/root");
    assert_eq!(as_user("app").succeeds(), "1000\n1000\n1000 50\n/home/app");
    assert_eq!(as_user("1000:staff").succeeds(), "1000\n50\n50\n/home/app");
    assert_eq!(as_user("4711:4712").succeeds(), "4711\n4712\n4712\n/");
    let (code, message) = as_user("captain").fails();
    assert_eq!(code, 126);
    assert!(message.contains("unable to find user captain: no matching entries in passwd file"), "{message}");
}

#[test]
fn a_program_that_is_not_there_or_not_runnable_is_said_so() {
    let yard = Yard::new();
    let mut layers = yard.image();
    layers.push(yard.layer("programs", &[("text", "text\n"), ("script", "#!/no/interpreter\n")]));
    fs::set_permissions(yard.path("programs/script"), fs::Permissions::from_mode(0o755)).expect("ours");
    let exec = |program: &str| {
        let spec = yard.spec(layers.clone(), "");
        yard.run(&ContainerSpec { args: vec![program.into()], ..spec }).fails()
    };
    let (code, message) = exec("foo");
    assert_eq!((code, message.as_str()), (127, "cannot start container test: exec: \"foo\": not found in $PATH"));
    assert_eq!(exec("/bin/foo").0, 127);
    assert_eq!(exec("/text").0, 126);
    assert_eq!(exec("/bin").0, 126);
    let (code, message) = exec("/script");
    assert!(code == 127 && message.contains("interpreter"), "{message}");
}

#[test]
fn a_signal_is_128_and_its_number() {
    let yard = Yard::new();
    assert_eq!(yard.sh("sh -c 'kill -TERM $$'; echo $?; sh -c 'kill -9 $$'; echo $?"), "143\n137");
    assert_eq!(Exit::Signal(9).code(), 137);
    assert_eq!(yard.sh("yes | head -1; grep ^SigIgn /proc/self/status | cut -f2"), "y\n0000000000000000");
}

#[test]
fn cancel_ends_the_whole_tree() {
    let yard = Yard::new();
    let cancel = Cancel::new().expect("an eventfd");
    let other = cancel.clone();
    let spec = yard.spec(yard.image(), "(sleep 1000 & setsid sleep 1000 & sleep 1000) & echo ready; sleep 1000");
    let mut out: Vec<u8> = Vec::new();
    let result = runner().run(&spec, Input::Nothing, None, &cancel, &mut |said| {
        if let Said::Out(bytes) = said {
            out.extend(bytes);
            std::thread::scope(|scope| {
                scope.spawn(|| other.cancel());
            });
        }
    });
    assert!(matches!(result, Err(ContainerError::Cancelled { .. })), "{result:?}");
    assert_eq!(out, b"ready\n");
    yard.assert_quiet();
}

#[test]
fn a_time_limit_ends_it_in_the_middle_of_a_flood() {
    let yard = Yard::new();
    let begin = Instant::now();
    let spec = yard.spec(yard.image(), "trap '' TERM INT; yes");
    let mut bytes = 0;
    let max = Duration::from_millis(300);
    let result = runner().run(&spec, Input::Nothing, Some(max), &Cancel::new().expect("an eventfd"), &mut |said| {
        if let Said::Out(piece) = said {
            bytes += piece.len();
        }
    });
    assert!(matches!(result, Err(ContainerError::TimedOut { after, .. }) if after == max), "{result:?}");
    assert!(bytes > 0 && begin.elapsed() < *PATIENCE);
    yard.assert_quiet();
}

/// A caller to be killed, started by the test below; by itself it does nothing.
#[test]
fn caller_that_waits_for_ever() {
    let Ok(directory) = std::env::var("QUAYSIDE_TEST_CALLER") else { return };
    let layers = fs::read_to_string(Path::new(&directory).join("layers")).expect("the other test wrote it");
    let mark = ("YARD".into(), directory.clone());
    let place = |name: &str| Path::new(&directory).join(name);
    let layers = layers.lines().map(PathBuf::from).collect();
    let mut spec =
        ContainerSpec::new("test", layers, place("upper"), place("work"), &["sh", "-c", "echo up; sleep 1000"]);
    spec.env.push(mark);
    let _ = runner().run(&spec, Input::Nothing, None, &Cancel::new().expect("an eventfd"), &mut |said| {
        if let Said::Out(_) = said {
            fs::write(place("started"), "").expect("written");
        }
    });
}

#[test]
fn what_a_killed_caller_has_started_ends_with_it() {
    let yard = Yard::new();
    let layers: Vec<String> = yard.image().iter().map(|layer| layer.display().to_string()).collect();
    fs::write(yard.path("layers"), layers.join("\n")).expect("written");
    let mut caller = Command::new(std::env::current_exe().expect("a test knows its own path"))
        .args(["--exact", "caller_that_waits_for_ever"])
        .env("QUAYSIDE_TEST_CALLER", yard.directory.path())
        .env("QUAYSIDE_BIN", binary::quayside())
        .stdout(Stdio::null())
        .spawn()
        .expect("a test starts");
    let begin = Instant::now();
    while !yard.path("started").exists() {
        assert!(begin.elapsed() < *PATIENCE && caller.try_wait().expect("our child").is_none(), "it does not start");
        std::thread::sleep(Duration::from_millis(10));
    }
    caller.kill().expect("our child");
    caller.wait().expect("our child");
    while !yard.left().is_empty() {
        assert!(begin.elapsed() < *PATIENCE, "its container outlives it: {:?}", yard.left());
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn many_threads_start_containers_at_once() {
    let yards: Vec<Yard> = (0..8).map(|_| Yard::new()).collect();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            yards.iter().map(|yard| scope.spawn(|| yard.sh("echo ahoy > /file; cat /file"))).collect();
        for thread in threads {
            assert_eq!(thread.join().expect("no thread panics"), "ahoy");
        }
    });
}

// What it sees.

#[test]
fn its_devices_are_dockers_and_no_other_opens() {
    let yard = Yard::new();
    let seen =
        yard.sh("ls /dev | tr '\\n' ' '; stat -c %a /dev /dev/shm; echo lost > /dev/null; head -c 3 /dev/zero | wc -c");
    assert_eq!(seen, "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero 755\n1777\n3");
    // In a user namespace it cannot even be made.
    let ran = yard.run(&yard.spec(yard.image(), "mknod /zero c 1 5 && head -c 1 /zero"));
    assert!(ran.result.as_ref().is_ok_and(|exit| exit.code() != 0), "{} {}", ran.out, ran.err);
    assert!(ran.err.contains("ermi") || ran.err.contains("ermission"), "{}", ran.err);
}

#[test]
fn its_names_are_in_etc_and_not_in_the_layer() {
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "hostname; cat /etc/hostname /etc/hosts");
    spec.hostname = "mole".into();
    spec.extra_hosts = vec![("192.0.2.7".into(), "pier".into())];
    let seen = yard.run(&spec).succeeds();
    assert!(seen.starts_with("mole\nmole\n127.0.0.1 localhost\n") && seen.ends_with("192.0.2.7 pier"), "{seen}");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn without_a_network_there_is_lo_and_it_is_up() {
    let yard = Yard::new();
    let with = |network| ContainerSpec {
        network,
        ..yard.spec(yard.image(), "ls /sys/class/net; ping -c 1 127.0.0.1 > /dev/null; echo $?")
    };
    assert_eq!(yard.run(&with(Network::None)).succeeds(), "lo\n0");
    let host: Vec<String> = fs::read_dir("/sys/class/net")
        .expect("it is mounted")
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    let seen = yard.run(&with(Network::Host)).out;
    assert!(host.iter().all(|name| seen.lines().any(|line| line == name)), "{seen} and {host:?}");
}

#[test]
fn root_has_dockers_capabilities_and_no_way_to_more() {
    let yard = Yard::new();
    let status =
        yard.sh("grep -E '^(CapEff|CapBnd|CapInh|NoNewPrivs|Seccomp):' /proc/self/status | cut -f2 | tr '\\n' ' '");
    let words: Vec<&str> = status.split(' ').collect();
    assert_eq!(
        words,
        ["0000000000000000", "00000000a80425fb", "00000000a80425fb", "0", "2"],
        "as docker's are: {status}"
    );
    let mut spec = yard.spec(yard.image(), "grep -E '^Cap(Eff|Prm|Bnd):' /proc/self/status | cut -f2 | tr '\\n' ' '");
    spec.user = "app".into();
    assert_eq!(yard.run(&spec).succeeds(), "0000000000000000 0000000000000000 00000000a80425fb");
    for (command, why) in [
        ("unshare -U true", "ermitted"),
        ("mount -t tmpfs none /srv", "ermi"),
        ("hostname other", "ermi"),
        ("chroot / unshare -n true", "ermi"),
    ] {
        let ran = yard.run(&yard.spec(yard.image(), command));
        assert!(
            ran.result.as_ref().is_ok_and(|exit| exit.code() != 0) && ran.err.contains(why),
            "{command}: {}",
            ran.err
        );
    }
}

#[test]
fn proc_and_sys_are_masked_where_docker_masks_them() {
    let yard = Yard::new();
    let seen =
        yard.sh("for file in /proc/sys/kernel/core_pattern /proc/sysrq-trigger /sys/kernel/mm/ksm/run /proc/irq/x
         do (echo > $file) 2>&1 | grep -c 'ead-only\\|onexistent\\|o such\\|ermission'; done
         wc -c < /proc/interrupts; ls /sys/firmware | wc -l");
    assert_eq!(seen, "1\n1\n1\n1\n0\n0");
    let mut open = yard.spec(yard.image(), "grep -c ' /proc/sys \\| /proc/kcore ' /proc/self/mountinfo");
    open.privileges.masked = false;
    assert_eq!(yard.run(&open).out, "0");
}

#[test]
fn nothing_of_the_caller_is_inherited() {
    let yard = Yard::new();
    // 3 is ls' own; its directory.
    assert_eq!(
        yard.sh("ls /proc/self/fd | tr '\\n' ' '; umask; env | sort | cut -d= -f1 | tr '\\n' ' '"),
        "0 1 2 3 0022\nHOME PATH PWD SHLVL YARD"
    );
    let mask = yard.sh("grep ^SigBlk /proc/self/status | cut -f2; cat /proc/self/oom_score_adj");
    let (mask, score) = mask.split_once('\n').expect("two lines");
    assert_eq!(mask, "0000000000000000");
    assert!(score.parse::<i32>().is_ok_and(|score| score >= 600), "{score}");
    assert_eq!(yard.sh("readlink /proc/1/root; ls -A /proc/1/cwd/.. | wc -l > /dev/null; cat /proc/1/comm"), "/\ncat");
}

#[test]
fn limits_of_one_process_are_those_given() {
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "ulimit -n; ulimit -Hn; ulimit -c");
    spec.limits.rlimits = vec![("nofile".into(), 100, 200), ("core".into(), 0, 0)];
    assert_eq!(yard.run(&spec).succeeds(), "100\n200\n0");
}

#[test]
fn memory_and_processes_of_all_are_limited() {
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "dd if=/dev/zero of=/dev/null bs=100M count=1");
    spec.limits = Limits { memory_max_bytes: Some(32 * 1024 * 1024), pids_max: Some(20), rlimits: vec![] };
    let ran = yard.run(&spec);
    assert_eq!(ran.result.as_ref().map(|exit| exit.code()).ok(), Some(137), "{:?} {}", ran.result, ran.err);
    spec.args[2] = "n=0; while [ $n -lt 40 ]; do sleep 100 & n=$((n+1)); done".into();
    let ran = yard.run(&spec);
    assert!(ran.err.contains("fork"), "{} {}", ran.out, ran.err);
}

// Mounts.

#[test]
fn binds_and_tmpfs_are_there_and_leave_no_trace_in_the_layer() {
    let yard = Yard::new();
    let cache = yard.directory("cache");
    let secret = yard.layer("secrets", &[("token", "s3cret\n")]).join("token");
    let mut spec = yard.spec(
        yard.image(),
        "cat /run/secrets/token; echo x > /run/secrets/token; echo kept > /root/.cache/go/object
         echo gone > /scratch/file; stat -c %a /scratch; cat /context/data/a; echo x > /context/data/a; df /scratch | tail -1 | cut -d' ' -f1",
    );
    let image = Source::Layers { layers: spec.layers.clone(), path: "/srv".into(), scratch: None };
    spec.mounts = vec![
        Mount {
            from: Source::Tmpfs { size_bytes: Some(1 << 20), mode: 0o1777 },
            at: "/scratch".into(),
            read_only: false,
        },
        bind(&secret, "/run/secrets/token", true),
        bind(&cache, "/root/.cache/go", false),
        Mount { from: image, at: "/context".into(), read_only: true },
    ];
    let ran = yard.run(&spec);
    assert_eq!(ran.out, "s3cret\n1777\na\ntmpfs");
    assert_eq!(ran.err.matches("ead-only").count(), 2, "{}", ran.err);
    assert_eq!(fs::read_to_string(cache.join("object")).expect("the cache is kept"), "kept\n");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn changes_of_a_bound_image_go_to_its_scratch() {
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "echo new > /context/new; rm /context/data/a; ls /context /context/data");
    let scratch = Scratch { upper: yard.directory("scratch-upper"), work: yard.directory("scratch-work") };
    let from = Source::Layers { layers: spec.layers.clone(), path: "/srv".into(), scratch: Some(scratch) };
    spec.mounts = vec![Mount { from, at: "/context".into(), read_only: false }];
    assert_eq!(yard.run(&spec).succeeds(), "/context:\ndata\nnew\nold\n\n/context/data:\nb");
    assert!(yard.path("files/srv/data/a").exists() && yard.path("scratch-upper/srv/new").exists());
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn a_mount_below_another_is_made_in_it() {
    let yard = Yard::new();
    let cache = yard.directory("cache");
    let mut spec = yard.spec(yard.image(), "mount | grep -c ' /cache'; touch /cache/sub/deep/x; ls /cache");
    let tmpfs =
        Mount { from: Source::Tmpfs { size_bytes: None, mode: 0o755 }, at: "/cache/sub/deep".into(), read_only: false };
    spec.mounts = vec![tmpfs, bind(&cache, "/cache", false)];
    assert_eq!(yard.run(&spec).succeeds(), "2\nsub");
    assert!(cache.join("sub/deep").is_dir() && !cache.join("sub/deep/x").exists());
}

#[test]
fn a_bind_is_followed_beneath_its_own_root() {
    let yard = Yard::new();
    let context = yard.layer("context", &[("passwd", "-> /etc/passwd"), ("etc/passwd", "of the context\n")]);
    let mut spec = yard.spec(yard.image(), "cat /seen");
    spec.mounts = vec![Mount {
        from: Source::Path { root: context, path: "../passwd".into() },
        at: "/seen".into(),
        read_only: true,
    }];
    assert_eq!(yard.run(&spec).succeeds(), "of the context");
}

#[test]
fn a_read_only_root_has_writable_mounts() {
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "touch /file; echo x > /tmp/file && cat /tmp/file; pwd");
    spec.read_only_root = true;
    spec.cwd = "/new/place".into();
    spec.mounts =
        vec![Mount { from: Source::Tmpfs { size_bytes: None, mode: 0o1777 }, at: "/tmp".into(), read_only: false }];
    let ran = yard.run(&spec);
    assert_eq!((ran.out.as_str(), ran.err.contains("ead-only")), ("x\n/new/place", true), "{}", ran.err);
}

// The layer.

#[test]
fn a_run_that_writes_nothing_leaves_nothing_whatever_the_image_lacks() {
    let yard = Yard::new();
    let spec = yard.spec(vec![yard.busybox()], "ls / | tr '\\n' ' '");
    assert_eq!(yard.run(&spec).succeeds(), "bin dev etc proc sys");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn the_layer_holds_what_was_written_and_the_directories_above_it_as_they_were() {
    let yard = Yard::new();
    let layers = yard.image();
    let srv = layers[1].join("srv");
    let old = std::time::SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    for path in [srv.join("data"), srv.clone(), layers[1].clone(), layers[1].join("etc")] {
        fs::File::open(path).expect("there").set_modified(old).expect("ours");
    }
    fs::set_permissions(&srv, fs::Permissions::from_mode(0o711)).expect("ours");
    let script = "rm /srv/data/a; rm -r /srv/old; mkdir /srv/old; echo new > /srv/old/file; echo c > /srv/data/c; ln -s a /srv/link";
    let written = yard.run(&yard.spec(layers, script));
    written.succeeds();
    assert_eq!(
        yard.written(),
        ["srv/", "srv/data/", "srv/data/a-", "srv/data/c", "srv/link@", "srv/old/!", "srv/old/file"]
    );
    let upper = fs::metadata(yard.path("upper")).expect("there");
    assert_eq!(
        (upper.modified().expect("a time"), upper.mode() & 0o7777),
        (old, fs::metadata(yard.path("files")).expect("there").mode() & 0o7777)
    );
    assert_eq!(fs::metadata(yard.path("upper/srv")).expect("there").mode() & 0o7777, 0o711);
    let whiteout = fs::symlink_metadata(yard.path("upper/srv/data/a")).expect("there");
    assert!(whiteout.file_type().is_char_device() && whiteout.rdev() == 0);
}

#[test]
fn a_directory_above_a_mount_point_keeps_its_attributes_when_it_is_written_to() {
    let yard = Yard::new();
    let layers = yard.image();
    let root = layers[1].join("root");
    fs::set_permissions(&root, fs::Permissions::from_mode(0o700)).expect("ours");
    std::os::unix::fs::chown(&root, Some(1000), Some(50)).expect("ours");
    rustix::fs::setxattr(&root, "user.kind", b"home", rustix::fs::XattrFlags::empty())
        .expect("the disk has attributes");
    let mut spec = yard.spec(layers, "stat -c '%a %u %g' /root; touch /root/file; ls -A /root");
    spec.mounts = vec![bind(&yard.directory("cache"), "/root/.cache/go", false)];
    assert_eq!(yard.run(&spec).succeeds(), "700 1000 50\n.cache\n.keep\nfile");
    assert_eq!(yard.written(), ["root/", "root/file"]);
    let upper = fs::metadata(yard.path("upper/root")).expect("there");
    assert_eq!((upper.mode() & 0o7777, upper.uid(), upper.gid()), (0o700, 1000, 50));
    let mut value = [0; 8];
    let length = rustix::fs::getxattr(yard.path("upper/root"), "user.kind", &mut value[..]).expect("copied up");
    assert_eq!(&value[..length], b"home");
}

#[test]
fn a_directory_of_the_image_can_be_moved() {
    let yard = Yard::new();
    assert_eq!(yard.sh("mv /srv/old /srv/new && cat /srv/new/deep/file; ls /srv"), "old\ndata\nnew");
    assert_eq!(yard.written(), ["srv/", "srv/new/", "srv/new/deep/", "srv/new/deep/file", "srv/old-"]);
}

#[test]
fn a_mount_point_that_a_layer_has_removed_is_there_again() {
    let yard = Yard::new();
    let mut layers = yard.image();
    let removed = yard.layer("removed", &[("srv/data/c", "c\n")]);
    rustix::fs::mknodat(
        rustix::fs::CWD,
        yard.directory("removed/etc").join("hosts"),
        rustix::fs::FileType::CharacterDevice,
        rustix::fs::Mode::empty(),
        0,
    )
    .expect("a whiteout");
    rustix::fs::setxattr(removed.join("srv"), "user.overlay.opaque", b"y", rustix::fs::XattrFlags::empty())
        .expect("opaque");
    layers.push(removed);
    let seen = yard.run(&yard.spec(layers, "head -1 /etc/hosts; ls /srv /srv/data; test ! -e /srv/data/a")).succeeds();
    assert_eq!(seen, "127.0.0.1 localhost\n/srv:\ndata\n\n/srv/data:\nc");
    assert_eq!(yard.written(), Vec::<String>::new());
}

#[test]
fn as_many_layers_as_may_be_are_mounted_and_one_more_is_refused() {
    let yard = Yard::new();
    let mut layers = vec![yard.busybox()];
    // Longer together than the page of options that mount(2) takes.
    for number in 1..120 {
        layers.push(
            yard.layer(&format!("layer-with-a-long-name,and:a-comma-{number:03}"), &[(&format!("f/{number}"), "x")]),
        );
    }
    assert_eq!(yard.run(&yard.spec(layers.clone(), "ls /f | wc -l")).succeeds(), "119");
    layers.push(yard.directory("one-more"));
    let (_, message) = yard.run(&yard.spec(layers, "true")).fails();
    assert!(message.contains("number of layers is 121; at most 120"), "{message}");
}

// Hostile images.

#[test]
fn links_of_an_image_lead_nowhere_outside() {
    let yard = Yard::new();
    let outside = yard.directory("outside");
    fs::write(outside.join("shadow"), "captain:x:0:0::/root:/bin/sh\n").expect("written");
    let up = format!("../../../../../../../..{}", outside.display());
    let busybox = yard.busybox();
    let run = |name: &str, files: &[(&str, &str)], change: &dyn Fn(&mut ContainerSpec)| {
        let mut spec = yard.spec(vec![busybox.clone(), yard.layer(name, files)], "pwd; ls /etc");
        change(&mut spec);
        yard.run(&spec)
    };
    for place in ["proc", "sys", "dev"] {
        let (_, message) =
            run(&format!("hostile-{place}"), &[(place, &format!("-> {}", outside.display()))], &|_| ()).fails();
        assert!(message.contains("symbolic link") && message.contains("step "), "{message}");
        let (_, message) = run(&format!("file-{place}"), &[(place, "")], &|_| ()).fails();
        assert!(message.contains("no directory"), "{message}");
    }
    // /etc leads outside: it is followed inside.
    let seen = run("hostile-etc", &[("etc", &format!("-> {}", outside.display()))], &|_| ()).succeeds();
    assert_eq!(seen, "/\nhostname\nhosts\nresolv.conf");
    // /etc/passwd does: there is no such user inside.
    let (_, message) =
        run("hostile-passwd", &[("etc/passwd", &format!("-> {up}/shadow"))], &|spec| spec.user = "captain".into())
            .fails();
    assert!(message.contains("unable to find user captain"), "{message}");
    // A working directory behind a link, and one behind a descriptor of ours.
    let seen =
        run("hostile-cwd", &[("way", &format!("-> {}", outside.display()))], &|spec| spec.cwd = "/way/new".into())
            .succeeds();
    assert!(seen.starts_with(&format!("{}/new\n", outside.display())), "{seen}");
    for number in 3..20 {
        let link = format!("-> /proc/self/fd/{number}");
        let ran = run(&format!("hostile-fd-{number}"), &[("way", &link)], &|spec| {
            spec.cwd = "/way".into();
            spec.args[2] = "test $(stat -c %d .) = $(stat -c %d /) || test $(stat -c %d .) = $(stat -c %d /dev)".into();
        });
        assert!(ran.result.as_ref().map_or(true, |exit| exit.code() == 0), "descriptor {number} leads out");
    }
    // A mount behind a link.
    let mut spec = yard.spec(
        vec![busybox.clone(), yard.layer("hostile-at", &[("way", &format!("-> {}", outside.display()))])],
        "touch /way/cache/file",
    );
    spec.mounts = vec![bind(&yard.directory("cache"), "/way/cache", false)];
    yard.run(&spec).succeeds();
    assert!(yard.path("cache/file").exists());
    // A pipe where the accounts should be.
    let pipe = yard.directory("hostile-pipe/etc").join("passwd");
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o644), 0)
        .expect("made");
    let (_, message) = yard.run(&yard.spec(vec![busybox, yard.path("hostile-pipe")], "true")).fails();
    assert!(message.contains("not a regular file"), "{message}");
    let names: Vec<_> = fs::read_dir(&outside).expect("there").flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(names, ["shadow"], "something was made outside");
}

#[test]
fn no_container_can_write_to_the_program_that_started_it() {
    let yard = Yard::new();
    // The monitor's own file, run inside: its name in /proc is the way to it.
    let mut spec = yard.spec(yard.image(), "");
    spec.args = vec!["/proc/self/exe".into()];
    let before = fs::metadata(binary::quayside()).expect("there").len();
    let ran = yard.run(&spec);
    assert!(ran.result.as_ref().map_or(true, |exit| exit.code() != 0), "{:?}", ran.result);
    assert_eq!(fs::metadata(binary::quayside()).expect("there").len(), before);
}

// Faults.

/// Calls without which no container starts.
const CALLS: &[&str] = &[
    "unshare",
    "mount",
    "mkdirat",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "move_mount",
    "openat2",
    "pivot_root",
    "umount2",
    "sethostname",
    "seccomp",
    "setresuid",
    "capset",
    "symlinkat",
    "clone3",
    "chdir",
];

/// Prints how a container with something of everything ended; the test below starts it under strace.
#[test]
fn caller_that_says_how_it_went() {
    let Ok(_) = std::env::var("QUAYSIDE_TEST_FAULTS") else { return };
    let yard = Yard::new();
    let mut spec = yard.spec(yard.image(), "true");
    spec.network = Network::None;
    spec.limits.pids_max = Some(20);
    let from = Source::Layers { layers: spec.layers.clone(), path: "/srv".into(), scratch: None };
    spec.mounts = vec![
        bind(&yard.directory("cache"), "/root/.cache", false),
        Mount { from, at: "/context".into(), read_only: true },
    ];
    match yard.run(&spec).result {
        Ok(exit) => println!("RAN {}", exit.code()),
        Err(error) => println!("FAILED {error}"),
    }
}

#[test]
fn a_start_that_fails_at_any_call_says_where_and_leaves_nothing() {
    if !needs::has_program("strace") {
        needs::say_skipped("a container's start that fails at any call: it needs strace");
        return;
    }
    let begin = Instant::now();
    let mut calls: Vec<&str> = CALLS.to_vec();
    let mut failed = 0;
    for nth in 1..40 {
        calls.retain(|call| begin.elapsed() < SWEEP && fails_at(call, nth).inspect(|()| failed += 1).is_some());
    }
    println!("{failed} starts failed");
    assert!(failed >= CALLS.len(), "only {failed} starts were made to fail");
}

/// What fails in a minute.
const SWEEP: Duration = Duration::from_secs(60);

/// Makes the nth `call` of each process fail; `None` when there is no nth.
fn fails_at(call: &str, nth: u32) -> Option<()> {
    let log = tempfile::NamedTempFile::new().expect("a temporary file");
    let output = Command::new("timeout")
        .args(["60", "strace", "-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=EIO:when={nth}"), "-o"])
        .arg(log.path())
        .arg(std::env::current_exe().expect("a test knows its own path"))
        .args(["--exact", "--nocapture", "caller_that_says_how_it_went"])
        .env("QUAYSIDE_TEST_FAULTS", "1")
        .env("QUAYSIDE_BIN", binary::quayside())
        .output()
        .expect("timeout and strace start");
    let injected = fs::read_to_string(log.path()).unwrap_or_default().matches("(INJECTED)").count();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let result = said.lines().find_map(|line| line.split_once("RAN ").or(line.split_once("FAILED ")));
    if injected == 0 {
        return None;
    }
    println!("{call} {nth}: {}", result.map_or(said.as_str(), |(_, result)| result));
    assert_ne!(output.status.code(), Some(124), "{call} {nth}: it hangs");
    // Where the test itself was hit, before or after its container, it says nothing; its yard is gone all the same.
    if let Some((_, result)) = result {
        assert!(result.contains("cannot") || result == "0", "{call} {nth}: {result}");
        // It has looked at what is left itself.
        assert!(output.status.success(), "{call} {nth}: {said}");
    }
    Some(())
}

// Other places.

#[test]
fn all_of_this_works_as_the_root_of_a_sandbox_too() {
    if in_a_sandbox() {
        return;
    }
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let copy = |from: &Path, to: &str| {
        let mut child = machine_cp(&sandbox, to);
        std::io::copy(&mut fs::File::open(from).expect("there"), child.stdin.as_mut().expect("piped")).expect("copied");
        drop(child.stdin.take());
        assert!(child.wait().expect("our child").success());
    };
    copy(&std::env::current_exe().expect("a test knows its own path"), "/lab/tests");
    copy(&binary_of("busybox").expect("busybox"), "/lab/busybox");
    let ran = sandbox.try_sh(
        "mkdir /lab/tmp && cd /lab && export TMPDIR=/lab/tmp PATH=/lab:$PATH QUAYSIDE_BIN=/run/quayside/quayside
         QUAYSIDE_TEST_SANDBOX=1 ./tests --test-threads 2 2>&1",
    );
    println!("{}", ran.out);
    assert_eq!(ran.code, 0, "inside: {}", ran.out);
}

fn in_a_sandbox() -> bool {
    std::env::var_os("QUAYSIDE_TEST_SANDBOX").is_some()
}

/// A file through PID 1's own root, as nothing else carries this much into a sandbox.
fn machine_cp(sandbox: &quayside_tests::machine::Sandbox, to: &str) -> std::process::Child {
    let pid = sandbox.pid_1().to_string();
    Command::new("nsenter")
        .args(["-t", &pid, "-U", "-m", "sh", "-c", &format!("cat > {to} && chmod 755 {to}")])
        .stdin(Stdio::piped())
        .spawn()
        .expect("util-linux is here")
}

#[test]
fn how_long_it_takes_is_printed() {
    let yard = Yard::new();
    let mut layers = yard.image();
    layers.extend((3..=8).map(|number| yard.layer(&format!("layer-{number}"), &[(&format!("f/{number}"), "x")])));
    let spec = yard.spec(layers, "true");
    let mut times = Vec::new();
    let runner = runner();
    for _ in 0..20 {
        let begin = Instant::now();
        let result = runner.run(&spec, Input::Nothing, None, &Cancel::new().expect("an eventfd"), &mut |_| ());
        assert_eq!(result.expect("it runs"), Exit::Code(0));
        times.push(begin.elapsed());
    }
    times.sort();
    println!("a container of 8 layers that runs true: {:.1?} in the middle of 20, {:.1?} at best", times[10], times[0]);
    let ran = yard.run(&spec);
    for event in &ran.events {
        println!("{event}");
    }
}
