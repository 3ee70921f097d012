//! What others make of our archives, and we of theirs. A peer that is not installed is named.

use std::process::{Command, Stdio};

use super::*;

/// Runs a program in `folder`; `None`, and a word, when it is not installed.
fn run(folder: &Path, program: &str, arguments: &[&str]) -> Option<String> {
    let output =
        Command::new(program).args(arguments).current_dir(folder).env("TMPDIR", folder).stdin(Stdio::null()).output();
    let Ok(output) = output else {
        eprintln!("not compared with {program}: it is not installed");
        return None;
    };
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {told}");
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn skopeo(folder: &Path, from: &str, to: &str, more: &[&str]) -> Option<String> {
    run(folder, "skopeo", &[&["--insecure-policy", "copy", "--quiet"], more, &[from, to]].concat())
}

#[test]
fn skopeo_reads_what_is_saved_and_what_it_writes_is_loaded() {
    let (shop, image) = Shop::new().with_web();
    let top = tempfile::tempdir().unwrap();
    let here = top.path();
    std::fs::write(here.join("docker.tar"), shop.saved(&["web:1"], Format::Docker)).unwrap();
    std::fs::write(here.join("oci.tar"), shop.saved(&["web:1"], Format::Oci)).unwrap();
    save_to_folder(&shop.store, &shop.to_save(&["web:1"]), &here.join("layout")).unwrap();
    let copies = [
        ("docker-archive:docker.tar:web:1", "oci:of-docker:docker.io/library/web:1", &[][..]),
        ("docker-archive:docker.tar", "docker-archive:of-docker.tar:web:1", &[]),
        ("oci-archive:oci.tar", "docker-archive:of-oci.tar:web:1", &[]),
        ("oci:layout:docker.io/library/web:1", "oci:of-layout:docker.io/library/web:1", &[]),
        ("oci:layout", "oci-archive:of-layout.tar:docker.io/library/web:1", &["--dest-compress-format=zstd"]),
    ];
    for (from, to, more) in copies {
        if skopeo(here, from, to, more).is_none() {
            return;
        }
    }
    // Whether it compressed on the way or wrote another config around the same layers: the same files come back.
    for copy in ["of-docker", "of-docker.tar", "of-oci.tar", "of-layout", "of-layout.tar"] {
        let to = Shop::new();
        let path = here.join(copy);
        let source = || match path.is_dir() {
            true => Source::Folder(&path),
            false => Source::File(std::fs::File::open(&path).unwrap()),
        };
        let loaded = load(&to.store, source(), None).unwrap_or_else(|error| panic!("{copy}: {error}"));
        assert_eq!(loaded[0].names, ["web:1".parse::<Reference>().unwrap()], "{copy}");
        let arrived = &loaded[0].image;
        assert_eq!(arrived.config.config, image.config.config, "{copy}");
        assert_eq!(arrived.config.rootfs, image.config.rootfs, "{copy}");
        assert_eq!(files_of(arrived), files_of(&image), "{copy}");
    }
}

#[test]
fn umoci_unpacks_a_saved_image_to_the_same_files() {
    let (shop, image) = Shop::new().with_web();
    let top = tempfile::tempdir().unwrap();
    save_to_folder(&shop.store, &shop.to_save(&["web:1"]), &top.path().join("layout")).unwrap();
    // umoci takes a tag, not a name.
    if skopeo(top.path(), "oci:layout", "oci:tagged:one", &[]).is_none() {
        return;
    }
    if run(top.path(), "umoci", &["unpack", "--image", "tagged:one", "bundle"]).is_none() {
        return;
    }
    let rootfs = top.path().join("bundle/rootfs");
    for (name, content) in files_of(&image) {
        assert_eq!(std::fs::read_to_string(rootfs.join(name.trim_start_matches('/'))).unwrap(), content);
    }
    assert!(!rootfs.join("etc/gone").exists());
}
