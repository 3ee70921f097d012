//! A learner who is root, means harm and has hours: what is tried from inside against the host, against other sandboxes,
//! and against being ended. Each attack stands with what must come of it. Floods are [`neighbours`](neighbours.rs)'
//! subject, refused system calls and sockets [`kernel`](kernel.rs)'s.

use std::fs;
use std::time::{Duration, Instant};

use quayside_runtime::shim::client;
use quayside_runtime::shim::protocol::{Exec, Group};
use quayside_tests::machine::{Machine, Sandbox, script};

/// How long ending a sandbox takes at most that does all it can to stay: the shim asks PID 1, kills it, and gives up
/// within 4 s; the rest are groups to be emptied.
const END_MAX: Duration = Duration::from_secs(12);

fn ends(machine: &Machine, sandbox: Sandbox, what: &str) {
    let begin = Instant::now();
    sandbox.end();
    let took = begin.elapsed();
    println!("{what}: ended in {took:?}");
    assert!(took < END_MAX, "{what}: it takes {took:?} to end it");
    machine.assert_clean();
}

// What the host lends.

/// Each a script that must fail; `WORKED` in what it prints is the attack's own word for success.
fn all_fail(sandbox: &Sandbox, attacks: &[(&str, &str)]) {
    let worked = attacks.iter().filter_map(|(what, attack)| {
        let ran = sandbox.try_sh(attack);
        (ran.code == 0 || ran.finished.timed_out).then(|| format!("{what}: {attack}: {ran:?}"))
    });
    let worked: Vec<String> = worked.collect();
    assert!(worked.is_empty(), "these attacks worked:\n{}", worked.join("\n"));
}

#[test]
fn mounts_that_the_host_lends_keep_their_flags() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let content = machine.data().join("images/content/names.json");
    let before = fs::read(&content).expect("an image is there");
    const STORE: &str = "/run/quayside/images";
    for mount in [STORE, "/run/quayside/quayside"] {
        for flag in ["rw", "dev", "suid"] {
            let remount = format!("mount -o remount,bind,{flag} {mount}");
            let attacks = [
                ("as it is", remount.clone()),
                ("in a mount namespace of its own", format!("unshare -m {remount}")),
                ("in a user namespace of its own", format!("unshare -Urm {remount}")),
                ("what is bound elsewhere", {
                    let at = if mount == STORE { "mkdir -p /mnt/b" } else { "touch /mnt/f" };
                    let to = if mount == STORE { "/mnt/b" } else { "/mnt/f" };
                    format!("{at}; mount --bind {mount} {to}; mount -o remount,bind,{flag} {to}")
                }),
            ];
            all_fail(&sandbox, &attacks.each_ref().map(|(what, attack)| (*what, attack.as_str())));
        }
    }
    let attacks = [
        ("device nodes on the session's disk", "mount -o remount,bind,dev /lab"),
        ("device nodes on the engine's disk", "mount -o remount,bind,dev /var/lib/docker"),
        ("a file in the store", "touch /run/quayside/images/x"),
        ("the store's names", "echo x >> /run/quayside/images/names.json"),
        ("the store as an overlay's upper directory", {
            "cd /run/quayside/images && mkdir -p /mnt/o && mount -t overlay o -o lowerdir=/lab,upperdir=$PWD,workdir=$PWD/blobs,userxattr /mnt/o"
        }),
        ("the program that is PID 1", "echo x >> /run/quayside/quayside"),
        ("the whole disk's file system, read-only for all", "mount -o remount,ro /lab"),
        ("the host's devices, read-only for all", "mount -o remount,ro /dev/null"),
    ];
    all_fail(&sandbox, &attacks);
    assert_eq!(fs::read(&content).expect("it is there still"), before);
    // What it may do with them goes on.
    sandbox.sh("mkdir -p /lab/u /lab/w /mnt/o && mount -t overlay o -o lowerdir=/run/quayside/images,upperdir=/lab/u,workdir=/lab/w,userxattr /mnt/o && touch /mnt/o/x");
    sandbox.sh("cp /bin/true /lab/ && /lab/true && mount -o remount,bind,ro /lab && mount -o remount,bind,rw /lab");
}

// Being ended.

#[test]
fn a_first_process_that_is_frozen_does_not_keep_the_sandbox() {
    let machine = Machine::new();
    for (freezer, join, freeze) in [
        ("/sys/fs/cgroup/freezer", "tasks", "echo FROZEN > freezer.state"),
        ("/sys/fs/cgroup/unified", "cgroup.procs", "echo 1 > cgroup.freeze"),
        ("/sys/fs/cgroup", "cgroup.procs", "echo 1 > cgroup.freeze"),
    ] {
        let sandbox = machine.sandbox();
        let made = sandbox.try_sh(&format!(
            "cd {freezer} && test -e {join} && mkdir ice && cd ice || exit 3
             sleep 1000 > /dev/null 2>&1 & for p in 1 $!; do echo $p > {join}; done; {freeze}; sleep 0.2; grep -qx 1 {join}"
        ));
        match made.code {
            0 => ends(&machine, sandbox, freezer),
            code => println!("no {freezer} here: {code} {}", made.err),
        }
    }
}

#[test]
fn groups_that_no_path_reaches_the_end_of_do_not_keep_the_sandbox() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let made = sandbox.sh("name=$(printf 'g%.0s' {1..200}); cd /sys/fs/cgroup; cd freezer 2> /dev/null
        for n in {1..25}; do mkdir $name && cd -P $name || break; done; pwd -P | wc -c");
    assert!(made.parse::<u32>().is_ok_and(|path| path > 4096), "a path of {made} bytes is one that can be used");
    ends(&machine, sandbox, "deep groups");
}

// What a learner breaks of their own.

/// Longer than a script's 3 s here, its grace and a busy machine; a shim that waits for a learner would be asked for ever.
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// How a script ends, or why it does not; in any case soon.
fn answer(sandbox: &Sandbox, exec: Exec) -> Result<i32, String> {
    let (socket, what) = (sandbox.socket.clone(), format!("{:?}", exec.args));
    let (tell, told) = std::sync::mpsc::channel();
    std::thread::spawn(move || tell.send(client::exec(&socket, exec, b"true", |_, _| ())));
    let heard = told.recv_timeout(ANSWER_MAX).unwrap_or_else(|_| panic!("no answer within {ANSWER_MAX:?} to {what}"));
    heard.map(|finished| finished.code).map_err(|error| error.to_string())
}

/// What is done, and what a check and a new terminal then say: `None`, that they work.
const VANDALISM: &[(&str, Option<&str>, Option<&str>)] = &[
    ("kill -STOP -1", None, None),
    ("for p in /proc/[0-9]*; do kill -STOP ${p#/proc/}; done", None, None),
    ("mount -t tmpfs none /bin; mount -t tmpfs none /usr/bin", Some("run bash"), Some("run bash")),
    ("touch /lab/f; mount --bind /lab/f $(readlink -f /bin/bash)", Some("run bash"), Some("run bash")),
    ("mount --bind /dev/zero $(readlink -f /bin/bash)", Some("run bash"), Some("run bash")),
    ("mkfifo /lab/f; mount --bind /lab/f $(readlink -f /bin/bash)", Some("run bash"), Some("run bash")),
    ("mount -t tmpfs none /dev", Some("set up standard input"), None),
    ("mount -t tmpfs none /dev; mkfifo /dev/null", None, None),
    ("mount -t tmpfs none /dev; mkdir /dev/null", None, None),
    ("umount -l /dev/pts", None, None),
    ("mount -t tmpfs none /proc", None, None),
    ("mv /root /root.old; mkfifo /root", None, None),
    ("mv /root /root.old; ln -s /root /root", None, None),
    ("for n in {1..50}; do mount --bind / /mnt; done; mount --bind /mnt /root", None, None),
    ("mount -t tmpfs none /", Some("set up standard input"), Some("run bash")),
    ("mount -t tmpfs none /tmp; mount -o remount,bind,ro /; mount -o remount,bind,ro /lab", None, None),
];

#[test]
fn whatever_is_broken_inside_check_and_terminal_say_so_and_the_sandbox_ends() {
    let machine = Machine::new();
    let says = |answer: &Result<i32, String>, wanted: &Option<&str>| match (answer, wanted) {
        (Ok(0), None) => true,
        (Err(why), Some(words)) => why.contains(words),
        _ => false,
    };
    let mut wrong = Vec::new();
    for (damage, check, terminal) in VANDALISM {
        let sandbox = machine.sandbox();
        // It may stop itself, so nobody waits for its end.
        let _ = answer(&sandbox, Exec { timeout_ms: 1000, ..script(damage) });
        let checked = answer(&sandbox, Exec { group: Group::Check, timeout_ms: 3000, ..script("exit 0") });
        let mut opened = sandbox.terminal_of(1, &["bash", "-c", "exit 0"]);
        let opened = match opened.ends() {
            0 => Ok(0),
            _ => Err(opened.notices.join("; ")),
        };
        if !says(&checked, check) || !says(&opened, terminal) {
            wrong.push(format!("{damage}: the check: {checked:?}, a terminal: {opened:?}"));
        }
        ends(&machine, sandbox, damage);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_file_that_a_pipe_stands_for_is_not_waited_for() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("mkfifo /root/place /root/log");
    let (tell, told) = std::sync::mpsc::channel();
    let socket = sandbox.socket.clone();
    std::thread::spawn(move || tell.send(client::put_files(&socket, &[("/root/place", 0o644, b"text")])));
    let placed = told.recv_timeout(ANSWER_MAX).expect("an answer, whatever stands there");
    assert!(placed.is_err_and(|why| why.to_string().contains("/root/place")));
    let logged = answer(&sandbox, Exec { stdout_path: Some("/root/log".into()), ..script("exit 0") });
    assert!(logged.is_err_and(|why| why.contains("set up standard input and output")));
}

// Builds inside.

#[test]
fn a_build_that_fills_the_disk_or_forks_without_end_is_given_up_and_harms_no_other_image() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let pest = fs::read(env!("CARGO_BIN_EXE_pest")).expect("cargo has built it");
    client::put_files(&sandbox.socket, &[("/lab/c/pest", 0o755, &pest)]).expect("room for the pest");
    let sh = |text: &str| sandbox.sh(&format!("quayside() {{ /run/quayside/quayside \"$@\"; }}; cd /lab/c; {text}"));
    sh("printf 'FROM scratch\\nCOPY pest /\\n' > Dockerfile; quayside build -q -t good .");
    let free =
        |sh: &dyn Fn(&str) -> String| -> u64 { sh("df --output=avail -k /lab | tail -1").parse().expect("a number") };
    let before = free(&sh);
    for kind in ["disk", "forks"] {
        // Neither ends by itself, nor hears a signal as PID 1 of its container. In the foreground timeout(1) signals once: a
        // second Ctrl-C would end the build without its clean-up.
        let ended = sh(&format!(
            "printf 'FROM good\\nRUN [\"/pest\", \"{kind}\"]\\n' > Dockerfile
             timeout --foreground -k 20 -s INT 6 /run/quayside/quayside build -t bad . > /lab/said 2>&1; echo $?; tail -1 /lab/said"
        ));
        println!("{kind}: {ended}");
        assert!(ended.starts_with("124\n"), "{kind}: it is not ended by Ctrl-C: {ended}");
        assert_eq!(sh("ls /var/lib/docker/quayside/images/tmp | wc -l"), "0", "{kind}");
        let after = free(&sh);
        assert!(after + 16 * 1024 > before, "{kind}: {before} KiB were free before, {after} after");
        let images = sh("quayside image ls");
        assert!(images.contains("good") && !images.contains("bad"), "{kind}: {images}");
    }
    sh("printf 'FROM good\\nCOPY pest /again\\n' > Dockerfile; quayside build -q -t again .");
    ends(&machine, sandbox, "builds");
}
