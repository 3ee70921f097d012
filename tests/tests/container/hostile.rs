//! Images and programs that try to reach what is outside.

use std::fs;

use quayside_runtime::container::ContainerSpec;
use quayside_tests::binary;

use crate::yard::{Yard, bind};

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
