//! A learner who is root, means harm and has hours: what is tried from inside against the host, against other sandboxes,
//! and against being ended. Each attack stands with what must come of it. Floods are [`neighbours`](neighbours.rs)'
//! subject, refused system calls and sockets [`kernel`](kernel.rs)'s.

use std::fs;
use std::time::{Duration, Instant};

use quayside_tests::machine::{Machine, Sandbox};

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
