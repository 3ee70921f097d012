//! What the process sees and may do: devices, names, network, capabilities, limits.

use std::fs;

use quayside_runtime::container::ContainerSpec;
use quayside_runtime::container::spec::{Limits, Network};

use crate::yard::Yard;

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
