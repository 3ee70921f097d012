//! What is mounted for the process, and where.

use std::fs;

use quayside_runtime::container::spec::{Mount, Scratch, Source};

use crate::yard::{Yard, bind};

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
