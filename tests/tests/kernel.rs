//! What the kernel does for a sandbox, and what it keeps from one: each test a sandbox of its own,
//! and nothing left of it afterwards (the drop of [`Machine`] counts).

use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use quayside_runtime::launch::lease::RANGE;
use quayside_runtime::policy::seccomp;
use quayside_runtime::shim::client;
use quayside_runtime::shim::protocol::{Exec, Group};
use quayside_runtime::shim::wire::{FromViewer, RunState};
use quayside_tests::machine::{Machine, PATIENCE, Sandbox, script, signal};
use quayside_tests::{binary, needs};

// Namespaces and ids.

#[test]
fn all_eight_namespaces_are_new_and_the_sandboxes_own() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    for kind in ["cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts"] {
        let ours = fs::read_link(format!("/proc/self/ns/{kind}")).expect("the host has it");
        let inside = sandbox.sh(&format!("readlink /proc/self/ns/{kind}"));
        assert_ne!(ours.to_str(), Some(inside.as_str()), "{kind}");
    }
    // setns(2) asks for rights in the user namespace that owns each.
    assert_eq!(sandbox.sh("nsenter -t 1 -m -u -i -n -p -C -T hostname"), "quayside");
    sandbox.sh("nsenter -t 1 -a true");
}

#[test]
fn a_sandboxes_root_is_nobody_outside_and_its_owner_is_not_inside() {
    let machine = Machine::new();
    let (first, second) = (machine.sandbox(), machine.sandbox());
    let map = |sandbox: &Sandbox| {
        let map = sandbox.sh("cat /proc/self/uid_map /proc/self/gid_map");
        let numbers: Vec<u32> = map.split_whitespace().map(|word| word.parse().expect("a number")).collect();
        assert_eq!(numbers[..3], numbers[3..], "users and groups alike");
        assert_eq!((numbers[0], numbers[2]), (0, RANGE));
        numbers[1]..numbers[1] + RANGE
    };
    let (one, two) = (map(&first), map(&second));
    assert!(one.end <= two.start || two.end <= one.start, "{one:?} and {two:?} share ids");
    for sandbox in [&first, &second] {
        let owner = fs::metadata(format!("/proc/{}", sandbox.shim_pid())).expect("the shim runs").uid();
        assert_eq!(u64::from(owner), sandbox.record["ids"]["owner"].as_u64().expect("an id"));
        assert!(owner != 0 && !one.contains(&owner) && !two.contains(&owner), "{owner} is in {one:?} or {two:?}");
    }
    assert_ne!(first.record["ids"]["owner"], second.record["ids"]["owner"]);
}

#[test]
fn time_starts_with_the_sandbox() {
    let machine = Machine::new();
    let uptime = machine.sandbox().sh("cut -d. -f1 /proc/uptime");
    assert!(uptime.parse::<u32>().is_ok_and(|seconds| seconds <= 5), "{uptime}");
}

#[test]
fn the_hostname_is_the_one_asked_for_and_the_hosts_stays() {
    let machine = Machine::new();
    let before = fs::read_to_string("/proc/sys/kernel/hostname").expect("the host has a name");
    let sandbox = machine.sandbox_of(&["--hostname", "jetty-7", "host", "--", "sleep", "infinity"]);
    assert_eq!(sandbox.sh("hostname"), "jetty-7");
    assert_eq!(sandbox.sh("hostname pier; hostname"), "pier");
    assert_eq!(fs::read_to_string("/proc/sys/kernel/hostname").expect("a name"), before);
}

// Mounts and devices.

#[test]
fn proc_and_sysfs_can_be_mounted_again_in_nested_namespaces() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("mkdir -p /tmp/p && mount -t proc proc /tmp/p && test -e /tmp/p/1/status");
    assert_eq!(sandbox.sh("unshare --pid --fork --mount-proc sh -c 'echo $$'"), "1");
    sandbox.sh("unshare --user --map-root-user --pid --fork --mount-proc true");
    sandbox.sh("mkdir -p /tmp/s && mount -t sysfs s /tmp/s && umount /tmp/s && mount -t sysfs s /tmp/s");
    sandbox.sh("ip netns add buoy && ip netns exec buoy true && ip netns exec buoy true && ip netns del buoy");
}

#[test]
fn devices_are_the_harmless_ones_and_no_more_can_be_made() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    assert_eq!(sandbox.sh("stat -c %a /dev; echo lost > /dev/null; head -c 3 /dev/zero | wc -c"), "755\n3");
    let why = sandbox.refused("mknod /tmp/disk b 7 0");
    assert!(why.contains("not permitted"), "{why}");
    sandbox.refused("mknod /tmp/null c 1 3");
}

#[test]
fn a_terminal_is_a_pts_of_the_sandbox_and_belongs_to_its_root() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal_of(1, &["sh", "-c", "tty; stat -c owner:%u: $(tty)"]);
    assert_eq!(terminal.ends(), 0);
    terminal.shows("/dev/pts/0\r\nowner:0:");
}

#[test]
fn a_terminal_opens_although_the_learner_has_covered_the_pts() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("mount -t tmpfs none /dev/pts && test ! -e /dev/pts/ptmx");
    let mut terminal = sandbox.terminal_of(1, &["sh", "-c", "test -t 0 && echo it is a terminal"]);
    terminal.shows("it is a terminal");
    assert_eq!(terminal.ends(), 0);
}

#[test]
fn a_full_disk_is_full_for_its_own_sandbox_only() {
    let machine = Machine::new();
    let (full, other) = (machine.sandbox(), machine.sandbox());
    let why = full.refused("dd if=/dev/zero of=/lab/cargo bs=1M count=2048 conv=fsync");
    assert!(why.contains("No space left"), "{why}");
    other.sh("dd if=/dev/zero of=/root/first bs=1M count=8 conv=fsync");
    full.sh("rm /lab/cargo && echo again > /root/last");
}

#[test]
fn lab_takes_the_upper_directory_of_an_overlay() {
    let machine = Machine::new();
    let seen =
        machine.sandbox().sh("cd /lab && mkdir lower upper work merged && echo old > lower/a && echo old > lower/b
         mount -t overlay overlay -o lowerdir=lower,upperdir=upper,workdir=work,userxattr merged
         echo new > merged/a && rm merged/b && cat lower/a upper/a && ls merged");
    assert_eq!(seen, "old\nnew\na");
}

// Limits.

#[test]
fn too_much_memory_kills_inside_only() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let greedy = sandbox.try_sh("dd if=/dev/zero of=/dev/null bs=1100M count=1; echo $?");
    assert_eq!(greedy.out, "137", "{greedy:?}");
    assert_eq!(sandbox.sh("echo well"), "well");
}

#[test]
fn a_check_runs_in_spite_of_a_fork_bomb() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let bomb = "for n in {1..600}; do sleep infinity & done 2> /dev/null";
    let mut terminal = sandbox.terminal_of(1, &["bash", "-c", bomb]);
    let pids = "cat /sys/fs/cgroup/pids/pids.current /sys/fs/cgroup/pids.current 2> /dev/null | head -1";
    let check = |text: &str| sandbox.exec(Exec { group: Group::Check, ..script(text) });
    let begin = Instant::now();
    while check(pids).out.parse::<u32>().expect("a number") < 500 {
        assert!(begin.elapsed() < *PATIENCE, "the bomb does not go off: {}", terminal.text());
    }
    let checked = check("ls / | wc -l > /tmp/counted && echo checked");
    assert_eq!((checked.code, checked.out.as_str()), (0, "checked"), "{checked:?}");
    terminal.type_bytes(b"\x03");
}

#[test]
fn a_sandbox_cannot_raise_its_own_limits() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let files = sandbox.sh(
        "for file in /sys/fs/cgroup/{,memory/,pids/,cpu/}{memory.max,pids.max,cpu.max,memory.limit_in_bytes,cpu.cfs_quota_us}
         do test -e $file && echo $file; done; true",
    );
    assert!(files.lines().count() >= 3, "no limits are visible: {files}");
    for file in files.lines() {
        sandbox.refused(&format!("cat {file} > /tmp/limit && cat /tmp/limit > {file}"));
        sandbox.refused(&format!("chmod 666 {file}"));
    }
    // Nor by leaving for a group above.
    let above =
        "cat /proc/self/cgroup && ! grep -q quayside /proc/self/cgroup && ls -d /sys/fs/cgroup/*/../../quayside";
    sandbox.refused(above);
}

// The network.

#[test]
fn connects_and_lookups_are_refused_at_once() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("it is bound").port();
    let begin = Instant::now();
    let why = sandbox.refused(&format!("timeout 10 bash -c '< /dev/tcp/127.0.0.1/{port}'"));
    assert!(why.contains("refused"), "the host's own service: {why}");
    for address in ["1.1.1.1", "10.0.0.1", "169.254.169.254"] {
        let ran = sandbox.try_sh(&format!("timeout 10 bash -c '< /dev/tcp/{address}/80'"));
        assert!(ran.code != 0 && ran.code != 124, "{address}: {ran:?}");
    }
    assert_eq!(sandbox.try_sh("timeout 10 getent hosts example.org").code, 2, "not found, and no time-out");
    assert!(begin.elapsed() < *PATIENCE, "refused, but after {:?}", begin.elapsed());
    listener.set_nonblocking(true).expect("a socket has modes");
    assert!(listener.accept().is_err(), "somebody came through");
}

// System calls.

#[cfg(target_arch = "x86_64")]
const SYS_SOCKET: i64 = 41;

/// A program that makes one system call, with three arguments and zeros after them, and exits with its errno: an ELF header, a
/// program header, and the code (elf(5)). The image has no language in which to write it.
#[cfg(target_arch = "x86_64")]
fn caller(number: i64, arguments: [i32; 3]) -> Vec<u8> {
    let mut code = vec![0xb8]; // mov eax, NUMBER
    code.extend((number as u32).to_le_bytes());
    for (register, argument) in [0xbf, 0xbe, 0xba].into_iter().zip(arguments) {
        code.push(register); // mov edi, FIRST; mov esi, SECOND; mov edx, THIRD
        code.extend(argument.to_le_bytes());
    }
    code.extend([0x4d, 0x31, 0xd2, 0x4d, 0x31, 0xc0, 0x4d, 0x31, 0xc9]); // xor r10, r10; r8; r9
    code.extend([0x0f, 0x05, 0xf7, 0xd8, 0x89, 0xc7]); // syscall; neg eax; mov edi, eax
    code.extend([0xb8, 0xe7, 0, 0, 0, 0x0f, 0x05]); // mov eax, exit_group; syscall
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let mut elf = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x02\0\x3e\0\x01\0\0\0".to_vec();
    for word in [BASE + HEADERS, 64, 0] {
        elf.extend(word.to_le_bytes()); // entry, program headers, no sections
    }
    for half in [0u16, 0, 64, 56, 1, 0, 0, 0] {
        elf.extend(half.to_le_bytes());
    }
    elf.extend([1u32, 5].map(u32::to_le_bytes).concat()); // PT_LOAD, readable and executable
    let size = HEADERS + code.len() as u64;
    for word in [0, BASE, BASE, size, size, 0x1000] {
        elf.extend(word.to_le_bytes());
    }
    elf.extend(code);
    elf
}

#[test]
#[cfg(target_arch = "x86_64")]
fn each_refused_system_call_answers_its_errno() {
    const EPERM: i32 = 1;
    const ENOSYS: i32 = 38;
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let refused =
        |calls: &'static [seccomp::Refused], errno| calls.iter().map(move |call| (call.name, call.number, errno));
    let calls: Vec<(&str, i64, i32)> = refused(seccomp::NOT_PERMITTED, EPERM)
        .chain(refused(seccomp::NOT_HERE, ENOSYS))
        .chain([("a call of the future", 600, ENOSYS), ("getpid of x32", 0x4000_0000 + 39, ENOSYS)])
        .collect();
    let programs: Vec<(String, Vec<u8>)> =
        calls.iter().map(|(_, number, _)| (format!("/tmp/calls/{number}"), caller(*number, [0, 0, 0]))).collect();
    let files: Vec<_> = programs.iter().map(|(path, bytes)| (path.as_str(), 0o755, bytes.as_slice())).collect();
    client::put_files(&sandbox.socket, &files).expect("the programs fit");
    let numbers = calls.iter().map(|(_, number, _)| number.to_string()).collect::<Vec<_>>().join(" ");
    let answers = sandbox.sh(&format!("for n in {numbers}; do /tmp/calls/$n; echo $?; done"));
    let answers: Vec<i32> = answers.lines().map(|line| line.parse().expect("a code")).collect();
    let wrong: Vec<_> = calls.iter().zip(&answers).filter(|((.., errno), answer)| errno != *answer).collect();
    assert!(answers.len() == calls.len() && wrong.is_empty(), "{wrong:?}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sockets_are_of_the_families_that_lessons_need_and_of_no_other() {
    const EAFNOSUPPORT: i32 = 97;
    const SOCK_DGRAM: i32 = 2;
    const SOCK_RAW: i32 = 3;
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    // More than the kernel knows (socket.h: AF_MAX is 46).
    let families = 0..48;
    let kinds = [SOCK_DGRAM, SOCK_RAW];
    let asks = |family: i32| kinds.map(|kind| (family, kind));
    let programs: Vec<(String, Vec<u8>)> = families
        .flat_map(asks)
        .map(|(family, kind)| (format!("/tmp/sockets/{family}-{kind}"), caller(SYS_SOCKET, [family, kind, 0])))
        .collect();
    let files: Vec<_> = programs.iter().map(|(path, bytes)| (path.as_str(), 0o755, bytes.as_slice())).collect();
    client::put_files(&sandbox.socket, &files).expect("the programs fit");
    let answers = sandbox.sh("cd /tmp/sockets; for f in *; do ./$f; echo ${f%-*} $?; done");
    let mut open = std::collections::BTreeSet::new();
    for line in answers.lines() {
        let (family, errno) = line.split_once(' ').expect("two words");
        // 0, or a kind of socket that the family does not have.
        if errno != EAFNOSUPPORT.to_string() {
            open.insert(family.parse::<i32>().expect("a number"));
        }
    }
    let allowed = seccomp::FAMILIES.iter().map(|family| family.number).collect();
    assert_eq!(open, allowed, "{answers}");
}

#[test]
#[cfg(target_arch = "x86_64")]
fn sockets_speak_the_protocols_that_lessons_need_and_no_other() {
    use nix::libc;
    // And SOCK_RDM, SOCK_SEQPACKET, SOCK_DCCP (linux/net.h).
    const KINDS: [i32; 5] = [libc::SOCK_STREAM, libc::SOCK_DGRAM, 4, 5, 6];
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let protocols =
        [seccomp::TRANSPORTS.iter().map(|one| one.number).collect::<Vec<_>>(), vec![33, 115, 132, 256]].concat();
    let inet = [libc::AF_INET, libc::AF_INET6].into_iter().flat_map(|family| KINDS.map(|kind| (family, kind)));
    let inet = inet.flat_map(|(family, kind)| protocols.iter().map(move |&protocol| [family, kind, protocol]));
    // linux/netlink.h: MAX_LINKS is 32.
    let netlink = (0..32).map(|protocol| [libc::AF_NETLINK, libc::SOCK_RAW | libc::SOCK_CLOEXEC, protocol]);
    let asked: Vec<[i32; 3]> = inet.chain(netlink).collect();
    let allowed = |[family, kind, protocol]: [i32; 3]| {
        let list = if family == libc::AF_NETLINK { seccomp::SUBSYSTEMS } else { seccomp::TRANSPORTS };
        let kind_is_known = family == libc::AF_NETLINK || [libc::SOCK_STREAM, libc::SOCK_DGRAM].contains(&kind);
        kind_is_known && list.iter().any(|one| one.number == protocol)
    };
    let programs: Vec<(String, Vec<u8>)> = asked
        .iter()
        .enumerate()
        .map(|(n, &arguments)| (format!("/tmp/p/{n}"), caller(SYS_SOCKET, arguments)))
        .collect();
    let files: Vec<_> = programs.iter().map(|(path, bytes)| (path.as_str(), 0o755, bytes.as_slice())).collect();
    client::put_files(&sandbox.socket, &files).expect("the programs fit");
    let answers = sandbox.sh(&format!("for n in {{0..{}}}; do /tmp/p/$n; echo $?; done", asked.len() - 1));
    let answers: Vec<i32> = answers.lines().map(|line| line.parse().expect("a code")).collect();
    assert_eq!(answers.len(), asked.len());
    for (&arguments, answer) in asked.iter().zip(answers) {
        match allowed(arguments) {
            // A descriptor, which the program negates too; or what does not fit together, or this kernel lacks.
            true => assert!(
                answer > 240 || [libc::EPROTONOSUPPORT, libc::ESOCKTNOSUPPORT].contains(&answer),
                "{arguments:?}: {answer}"
            ),
            false => assert_eq!(answer, libc::EPROTONOSUPPORT, "{arguments:?}"),
        }
    }
    let works = "ping -c 1 127.0.0.1 > /dev/null; ip link > /dev/null && exec 3<> /dev/udp/127.0.0.1/9";
    sandbox.sh(works);
}

#[test]
fn setuid_programs_work_as_nothing_forbids_new_privileges() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    assert_eq!(sandbox.sh("grep NoNewPrivs /proc/self/status | tr -d '[:space:]'"), "NoNewPrivs:0");
    let ids = "cp /usr/bin/id /tmp/id && chmod 4755 /tmp/id && setpriv --reuid 1000 --clear-groups /tmp/id -u";
    match sandbox.sh("command -v setpriv || true").as_str() {
        "" => println!("without setpriv in the image no other user runs the setuid program"),
        _ => assert_eq!(sandbox.sh(ids), "0"),
    }
}

// Processes.

#[test]
fn a_shell_starts_clean() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    // 3 is ls' own; its directory.
    assert_eq!(sandbox.sh("ls /proc/self/fd | tr '\\n' ' '"), "0 1 2 3");
    let pipe = sandbox.try_sh("yes | head -1; echo ${PIPESTATUS[0]}");
    assert_eq!((pipe.out.as_str(), pipe.err.as_str()), ("y\n141", ""), "SIGPIPE has its default");
    // The two real-time signals that libc keeps for itself are as the host's init left them.
    for field in ["SigBlk", "SigIgn"] {
        let mask = sandbox.sh(&format!("grep ^{field} /proc/self/status | cut -f2"));
        let mask = u64::from_str_radix(&mask, 16).expect("a mask is hexadecimal");
        assert_eq!(mask & 0x7fff_ffff, 0, "{field}");
    }
    let mut terminal = sandbox.terminal_of(1, &["sh", "-c", "ls /proc/self/fd | tr '\\n' ' '; echo END"]);
    terminal.shows("0 1 2 3 END");
}

#[test]
fn pid_1_reaps_orphans() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("for n in {1..50}; do (sleep 0.1 &) ; done; sleep 0.2");
    let zombies = "for try in {1..50}; do z=$(grep -l '^State:.Z' /proc/[0-9]*/status 2> /dev/null | wc -l)
                   [ $z = 0 ] && break; sleep 0.1; done; echo $z";
    assert_eq!(sandbox.sh(zombies), "0");
}

#[test]
fn pid_1_cannot_be_killed_from_inside() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("for signal in KILL STOP HUP QUIT SEGV USR1; do kill -s $signal 1; done; sleep 0.2; test -d /proc/1");
    assert_eq!(sandbox.sh("grep ^State /proc/1/status | cut -f2"), "S (sleeping)");
}

#[test]
fn sigterm_to_quayside_run_ends_its_sandbox() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    assert_eq!(sandbox.end(), 128 + 15);
    machine.assert_clean();
}

#[test]
fn sigterm_in_the_moment_of_the_launch_leaves_nothing() {
    let machine = Machine::new();
    for _ in 0..10 {
        let mut run = machine.command(&["host", "--", "sleep", "infinity"]).spawn().expect("the binary starts");
        let begin = Instant::now();
        // Without a pause: it is told between two of its own steps.
        let id = loop {
            if let Some((id, _)) = machine.records().into_iter().find(|(_, record)| record["shim_pid"] != 0) {
                break id;
            }
            assert!(begin.elapsed() < *PATIENCE, "no sandbox starts");
        };
        machine.heard_of(&id);
        kill(Pid::from_raw(run.id() as i32), Signal::SIGTERM).expect("it runs");
        assert_eq!(run.wait().expect("it is our child").code(), Some(128 + 15), "it ends its sandbox first");
        machine.assert_clean();
    }
}

#[test]
fn what_a_killed_quayside_run_has_left_goes_with_the_next_one() {
    let machine = Machine::new();
    let mut sandbox = machine.sandbox();
    signal("KILL", sandbox.child.id() as i32);
    sandbox.wait();
    let shim = format!("/proc/{}", sandbox.shim_pid());
    let begin = Instant::now();
    while fs::metadata(&shim).is_ok() {
        assert!(begin.elapsed() < *PATIENCE, "the shim outlives its owner");
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(machine.run(&["host", "--", "true"]).status.success());
    machine.assert_clean();
}

#[test]
fn the_death_of_a_shim_ends_its_own_sandbox_and_no_other() {
    let machine = Machine::new();
    let (mut first, second) = (machine.sandbox(), machine.sandbox());
    signal("KILL", first.shim_pid());
    assert_ne!(first.wait(), 0);
    assert_eq!(second.sh("echo well"), "well");
    assert!(!first.socket.exists());
    second.end();
    machine.assert_clean();
}

// Scripts and files.

#[test]
fn a_named_script_runs_once_and_can_be_looked_at_again() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let named =
        Exec { name: Some("background".into()), ..script("echo $RANDOM$RANDOM; echo ran >> /root/runs; exit 3") };
    let (first, again) = (sandbox.exec(named.clone()), sandbox.exec(named));
    assert_eq!((first.code, again.code), (3, 3));
    assert_eq!(first.out, again.out);
    assert_eq!(sandbox.sh("cat /root/runs"), "ran");
}

#[test]
fn a_scripts_time_out_ends_its_whole_session() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let slow = "sleep 4711 & (sleep 4711 | cat) & sleep 4711";
    let ran = sandbox.exec(Exec { name: Some("slow".into()), timeout_ms: 300, ..script(slow) });
    assert!(ran.finished.timed_out && ran.finished.duration_ms < 5000, "{ran:?}");
    let gone = "for try in {1..50}; do n=$(grep -al [4]711 /proc/[0-9]*/cmdline 2> /dev/null | grep -vc \"/$$/\")
                [ $n = 0 ] && break; sleep 0.1; done; echo $n";
    client::put_files(&sandbox.socket, &[("/tmp/gone", 0o755, gone.as_bytes())]).expect("room");
    assert_eq!(sandbox.sh("bash /tmp/gone"), "0");
}

#[test]
fn output_over_the_limit_is_counted_and_dropped() {
    let machine = Machine::new();
    let ran = machine.sandbox().exec(Exec { output_max: 1000, ..script("yes | head -c 100000") });
    assert_eq!((ran.code, ran.finished.dropped_bytes), (0, 99_000));
    assert_eq!(ran.out.trim_end().len(), 999);
}

#[test]
fn a_file_placed_under_a_symlink_to_outside_stays_inside() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    sandbox.sh("ln -s ../../../../../../../../tmp /lab/up; ln -s /proc/1/root/tmp /lab/round");
    let name = format!("quayside-escape-{}", sandbox.id);
    for (link, text) in [("up", "by dots"), ("round", "by proc")] {
        let path = format!("/lab/{link}/{name}");
        client::put_files(&sandbox.socket, &[(&path, 0o644, text.as_bytes())]).expect("a link inside is fine");
        assert_eq!(sandbox.sh(&format!("cat /tmp/{name}")), text);
        assert!(!std::env::temp_dir().join(&name).exists(), "{path} is outside");
    }
}

// The terminal.

#[test]
fn input_sent_twice_is_taken_once() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal_of(1, &["sh", "-c", "stty -echo; echo ready; cat"]);
    terminal.shows("ready");
    terminal.type_text("ahoy\n");
    terminal.send(&FromViewer::Input { number: 0, bytes: b"ahoy\n".into() });
    terminal.send(&FromViewer::Input { number: 3, bytes: b"y\nland\n".into() });
    terminal.shows("land\r\n");
    assert_eq!(terminal.text(), "ready\r\nahoy\r\nland\r\n");
}

#[test]
fn a_run_action_pressed_twice_is_typed_once() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal(1);
    let done =
        |id| move |terminal: &quayside_tests::machine::Terminal| terminal.runs.contains(&(id, RunState::Done, 0));
    terminal.press(7, "echo pressed >> /root/presses");
    terminal.press(7, "echo pressed >> /root/presses");
    terminal.until(done(7));
    terminal.press(7, "echo pressed >> /root/presses");
    terminal.press(8, "true");
    terminal.until(done(8));
    assert_eq!(sandbox.sh("cat /root/presses"), "pressed");
}

#[test]
fn ctrl_c_reaches_a_program_that_reads_nothing_of_a_full_queue() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal(1);
    terminal.press(1, "sleep 1000");
    sandbox.sh("until pgrep -x sleep > /dev/null || grep -qx sleep /proc/[0-9]*/comm; do sleep 0.02; done");
    terminal.shows("133;C");
    for _ in 0..6 {
        terminal.type_bytes("typed ahead, never read\r".repeat(1365).as_bytes());
    }
    terminal.type_bytes(b"\x03");
    terminal.until(|terminal| terminal.runs.contains(&(1, RunState::Failed, 130)));
}

#[test]
fn a_mebibyte_of_any_bytes_passes_both_ways_unchanged() {
    const LENGTH: usize = 1024 * 1024;
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut bytes = vec![0; LENGTH];
    std::io::Read::read_exact(&mut fs::File::open("/dev/urandom").expect("every host has it"), &mut bytes)
        .expect("bytes");
    let command =
        format!("stty raw -echo; printf READY; head -c {LENGTH} | tee /root/cargo; printf END; sleep infinity");
    let mut terminal = sandbox.terminal_of(1, &["bash", "-c", &command]);
    terminal.shows("READY");
    for piece in bytes.chunks(32 * 1024) {
        terminal.type_bytes(piece);
        terminal.until(|terminal| terminal.taken == terminal.typed);
    }
    terminal.until(|terminal| terminal.screen.len() >= LENGTH + 8);
    assert!(terminal.screen[5..LENGTH + 5] == bytes, "the screen's bytes are not those that were typed");
    assert!(terminal.screen.ends_with(b"END"));
    assert_eq!(sandbox.sh("sha256sum < /root/cargo"), sha256sum(&bytes));
}

fn sha256sum(bytes: &[u8]) -> String {
    let mut child =
        Command::new("sha256sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("coreutils are here");
    child.stdin.take().expect("it is piped").write_all(bytes).expect("it reads");
    let output = child.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("hexadecimal").trim_end().into()
}

#[test]
fn a_replay_is_what_was_shown() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let mut terminal = sandbox.terminal_of(1, &["bash", "-c", "seq 2000; echo LAST; sleep infinity"]);
    terminal.shows("LAST\r\n");
    let shown = terminal.screen.clone();
    let mut again = terminal.reconnect(&sandbox.socket, 1);
    assert_eq!((again.offset, again.lost, again.replay), (0, 0, shown.len() as u64));
    again.shows("LAST\r\n");
    assert!(again.screen == shown);
}

#[test]
fn a_replay_says_how_much_of_a_long_past_is_lost() {
    let machine = Machine::new();
    let sandbox = machine.sandbox();
    let flood = "head -c 3000000 /dev/zero | tr '\\0' x; printf LAST; sleep infinity";
    let mut terminal = sandbox.terminal_of(1, &["bash", "-c", flood]);
    terminal.until(|terminal| terminal.screen.ends_with(b"LAST"));
    let total = terminal.screen.len() as u64;
    let mut again = terminal.reconnect(&sandbox.socket, 1);
    assert!(again.lost > 0 && again.offset == again.lost, "{} and {}", again.lost, again.offset);
    assert_eq!(again.lost + again.replay, total);
    again.until(|again| again.screen.ends_with(b"LAST"));
    assert_eq!(again.screen.len() as u64, again.replay);
}

// The command.

#[test]
fn quayside_run_exits_as_its_command_does() {
    let machine = Machine::new();
    for (command, code) in [("exit 7", 7), ("kill -9 $$", 137), ("kill -TERM $$", 143), ("true", 0)] {
        assert_eq!(machine.run(&["host", "--", "bash", "-c", command]).status.code(), Some(code), "{command}");
    }
    let missing = machine.run(&["host", "--", "no-such-command"]);
    assert_eq!(missing.status.code(), Some(127), "{missing:?}");
    assert!(String::from_utf8_lossy(&missing.stderr).contains("no-such-command"), "{missing:?}");
}

#[test]
fn a_plan_is_json_and_does_nothing() {
    let machine = Machine::new();
    let output = machine.run(&["--plan", "host"]);
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert!(output.status.success() && plan["id_map"].is_string() && plan["rootfs"].is_object(), "{plan}");
    machine.heard_of(&plan["spec"]["id"].to_string());
}

// Faults.

/// Every call that a launch cannot do without.
const CALLS: &[&str] = &[
    "mount",
    "move_mount",
    "open_tree",
    "fsopen",
    "fsmount",
    "mount_setattr",
    "unshare",
    "setns",
    "clone3",
    "pivot_root",
    "sethostname",
    "sendto",
];

/// What fails in a minute: the first of each kind of call before the second of any.
const SWEEP: Duration = Duration::from_secs(60);

#[test]
fn a_launch_that_fails_at_any_call_says_where_and_leaves_nothing() {
    if !needs::has_program("strace") {
        println!("skipped: it needs strace, to make system calls fail");
        return;
    }
    let machine = Machine::new();
    assert!(machine.run(&["host", "--", "true"]).status.success(), "the image and the disk's template are ready");
    let begin = Instant::now();
    let mut calls: Vec<&str> = CALLS.to_vec();
    let mut failed = 0;
    for nth in 1.. {
        calls.retain(|call| begin.elapsed() >= SWEEP || fails(&machine, call, nth).inspect(|_| failed += 1).is_some());
        if calls.is_empty() || begin.elapsed() >= SWEEP {
            println!("{failed} launches failed; in a minute up to the {nth}th call of {calls:?}");
            break;
        }
    }
    assert!(failed >= CALLS.len(), "only {failed} launches were made to fail");
}

/// Makes the nth `call` of each process of a launch fail; `None` when there is no nth.
fn fails(machine: &Machine, call: &str, nth: u32) -> Option<()> {
    let log = machine.data().join("strace");
    let output = Command::new("timeout")
        .args(["60", "strace", "-f", "-qq", "--seccomp-bpf", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:error=EIO:when={nth}"), "-o"])
        .arg(&log)
        .arg(binary::quayside())
        .args(["run", "--data"])
        .arg(machine.data())
        .args(["host", "--", "true"])
        .stdin(Stdio::null())
        .output()
        .expect("timeout and strace start");
    let injected =
        fs::read_to_string(&log).unwrap_or_default().lines().filter(|line| line.contains("(INJECTED)")).count();
    let message = String::from_utf8_lossy(&output.stderr);
    machine.heard_of(&message);
    machine.assert_clean();
    if injected == 0 {
        assert!(output.status.success(), "nothing was injected into {call} {nth}: {message}");
        return None;
    }
    println!("{call} {nth}: {:?} {}", output.status.code(), message.trim_end());
    assert!(!output.status.success(), "{call} {nth} failed, and the launch did not");
    assert_ne!(output.status.code(), Some(124), "{call} {nth}: the launch hangs: {message}");
    assert!(message.contains("cannot"), "{call} {nth}: {message}");
    Some(())
}
