//! The same tests as the root of a sandbox, and how long a container takes.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use quayside_runtime::container::{Cancel, Exit, Input};
use quayside_tests::machine::Machine;

use crate::yard::{Yard, binary_of, runner};

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
