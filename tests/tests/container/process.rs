//! The process: what it is given, what it says, and every way in which it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use quayside_runtime::container::{Cancel, ContainerError, ContainerSpec, Exit, Input, Said};
use quayside_tests::binary;
use quayside_tests::machine::PATIENCE;

use crate::yard::{Yard, runner};

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
        .args(["--exact", "process::caller_that_waits_for_ever"])
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
