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

/// podman and buildah with everything of theirs in one folder, and as little asked of the host as they can do with.
struct Podman<'a> {
    folder: &'a Path,
}

impl Podman<'_> {
    fn run(&self, program: &str, arguments: &[&str]) -> Option<String> {
        let path = |name: &str| self.folder.join(name).display().to_string();
        let (root, state) = (path("containers"), path("state"));
        let mut all = vec!["--root", &root, "--runroot", &state, "--storage-driver", "vfs"];
        let temporary = path("temporary");
        if program == "podman" {
            all.extend(["--cgroup-manager", "cgroupfs", "--tmpdir", &temporary]);
        }
        all.extend(arguments);
        // Its runtime takes no hybrid of both kinds of cgroups, though it is told to make none.
        const HIDDEN: &str = "umount /sys/fs/cgroup/unified 2>/dev/null; exec \"$0\" \"$@\"";
        run(self.folder, program, &["--version"])?;
        run(self.folder, "unshare", &[&["--mount", "sh", "-c", HIDDEN, program], &all[..]].concat())
    }
}

/// A root file system that can run something: Debian's static busybox.
fn busybox() -> Option<Vec<u8>> {
    let Ok(program) = std::fs::read("/bin/busybox") else {
        eprintln!("not compared with podman: busybox-static is not installed");
        return None;
    };
    let mut archive = Vec::new();
    let size = program.len() as u64;
    let header = Header { path: b"bin/busybox".to_vec(), mode: 0o755, size, ..Header::default() };
    header.write(&mut archive).unwrap();
    archive.extend(program);
    fill_block(&mut archive, size).unwrap();
    let link = Header { kind: b'2', path: b"bin/sh".to_vec(), link: b"busybox".to_vec(), ..Header::default() };
    link.write(&mut archive).unwrap();
    write_end(&mut archive).unwrap();
    Some(archive)
}

#[test]
fn podman_runs_a_saved_image_and_what_podman_and_buildah_write_is_loaded() {
    let Some(rootfs) = busybox() else { return };
    let shop = Shop::new();
    let image =
        import(&shop.store, &rootfs[..], RunConfig::default(), Some(&"localhost/box:1".parse().unwrap())).unwrap();
    let top = tempfile::tempdir().unwrap();
    let here = top.path();
    let podman = Podman { folder: here };
    for (file, format) in [("docker.tar", Format::Docker), ("oci.tar", Format::Oci)] {
        std::fs::write(here.join(file), shop.saved(&["localhost/box:1"], format)).unwrap();
        let Some(loaded) = podman.run("podman", &["load", "--quiet", "--input", file]) else { return };
        assert!(loaded.contains("localhost/box:1"), "{loaded}");
        let id = podman.run("podman", &["image", "inspect", "--format", "{{.Id}}", "localhost/box:1"]).unwrap();
        assert_eq!(id.trim(), image.id.hex(), "{file}");
    }
    let asks = ["run", "--rm", "--cgroups=disabled", "--network=none"];
    let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
    let say = ["localhost/box:1", "/bin/sh", "-c", "echo it runs"];
    let said = podman.run("podman", &[&asks[..], &limits, &say].concat()).unwrap();
    assert_eq!(said.trim(), "it runs");

    for (format, file) in [("docker-archive", "podman-docker.tar"), ("oci-archive", "podman-oci.tar")] {
        podman.run("podman", &["save", "--quiet", "--format", format, "--output", file, "localhost/box:1"]).unwrap();
    }
    let Some(container) = podman.run("buildah", &["from", "localhost/box:1"]) else { return };
    std::fs::write(here.join("motd"), "welcome").unwrap();
    let container = container.trim();
    podman.run("buildah", &["copy", container, "motd", "/etc/motd"]).unwrap();
    podman.run("buildah", &["config", "--cmd", "/bin/sh", "--env", "A=b", container]).unwrap();
    podman
        .run("buildah", &["commit", "--quiet", "--rm", container, "oci-archive:buildah.tar:localhost/box:2"])
        .unwrap();

    let to = Shop::new();
    for file in ["podman-docker.tar", "podman-oci.tar", "buildah.tar"] {
        let source = Source::File(std::fs::File::open(here.join(file)).unwrap());
        load(&to.store, source, None).unwrap_or_else(|error| panic!("{file}: {error}"));
    }
    assert_eq!(to.store.resolve("localhost/box:1").unwrap().config.rootfs, image.config.rootfs);
    let built = to.store.resolve("localhost/box:2").unwrap();
    assert_eq!((built.layers.len(), built.env()), (2, vec![("A".to_owned(), "b".to_owned())]));
    let root = Root::open(&built.layers[1].path).unwrap();
    let mut motd = String::new();
    std::io::Read::read_to_string(&mut root.read(&Name::of("etc/motd")).unwrap(), &mut motd).unwrap();
    assert_eq!(motd, "welcome");
}
