//! Registries and clients that others have written: what one pushes is byte for byte what the other pulls.
//!
//! The registries are ours and Debian's docker-registry, the clients ours, skopeo and podman.

use std::fs;
use std::io::Read;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::Ordering;

use quayside_tests::bridge::Bridge;
use quayside_tests::images::{Yard, quayside, ran, refused, said};
use quayside_tests::peers::{Podman, raw, skopeo, skopeo_is_here};
use quayside_tests::registry::{LOGIN, Registry};
use serde_json::Value;
use tempfile::TempDir;

#[test]
fn what_we_push_is_what_skopeo_and_podman_pull() {
    let yard = Yard::new();
    for registry in registries(&yard) {
        let name = format!("{}/shop/two:1", registry.address);
        let digest = pushed(&yard.at("shelf"), &name);
        let id = id_of(&yard.at("shelf"), "two:1");
        if skopeo_is_here() {
            assert_eq!(raw(&registry, "shop/two:1").0, digest, "{}", registry.name);
            let layout = format!("oci:{}:two", yard.path(&format!("layout-{}", registry.name)));
            skopeo(&["copy", "--src-tls-verify=false", &format!("docker://{name}"), &layout]);
            let data = fresh();
            ran(data.path(), &["image", "load", "-i", &yard.path(&format!("layout-{}", registry.name)), "--name", "x"]);
            assert_eq!(id_of(data.path(), "x"), id, "{}", registry.name);
        }
        if let Some(podman) = Podman::get(&yard) {
            podman.run(&["pull", "-q", "--tls-verify=false", &name]);
            let known = podman.run(&["image", "inspect", "--format", "sha256:{{.Id}} {{.Digest}}", &name]);
            assert_eq!(known.trim(), format!("{id} {digest}"), "{}", registry.name);
            // Root's own limits may be lower than those that podman gives unasked.
            let limits = ["--ulimit=nofile=1024:1024", "--ulimit=nproc=1024:1024"];
            let inside = ["--cgroups=disabled", "--network=host", &name, "/bin/sh", "-c", "cat /srv/file"];
            assert_eq!(
                podman.run(&[&["run", "--rm"], &limits[..], &inside[..]].concat()),
                "copied\n",
                "{}",
                registry.name
            );
        }
    }
}

#[test]
fn what_skopeo_pushes_in_any_form_is_what_we_pull() {
    if !skopeo_is_here() {
        return;
    }
    let yard = Yard::new();
    ran(&yard.at("shelf"), &["image", "save", "-o", &yard.path("two.tar"), "two:1"]);
    let archive = format!("docker-archive:{}", yard.path("two.tar"));
    for (format, compression, layer) in [
        ("oci", "gzip", "application/vnd.oci.image.layer.v1.tar+gzip"),
        ("oci", "zstd", "application/vnd.oci.image.layer.v1.tar+zstd"),
        ("v2s2", "gzip", "application/vnd.docker.image.rootfs.diff.tar.gzip"),
    ] {
        // New ones for each: skopeo remembers which form of a layer a registry has, and takes that again.
        for registry in registries_in(&yard, &format!("{format}-{compression}")) {
            let what = format!("{format} {compression} {}", registry.name);
            let to = format!("docker://{}/two:1", registry.address);
            let form = ["--format", format, "--dest-compress-format", compression, "--dest-tls-verify=false"];
            skopeo(&[&["copy"], &form[..], &[&archive, &to]].concat());
            let (digest, manifest) = raw(&registry, "two:1");
            assert_eq!(manifest["layers"][1]["mediaType"], layer, "{what}");
            let name = format!("{}/two:1", registry.address);
            let data = fresh();
            assert!(said(data.path(), &["image", "pull", &name]).contains(&format!("Digest: {digest}")), "{what}");
            assert_eq!(id_of(data.path(), &name), manifest["config"]["digest"], "{what}");
            assert_eq!(file_of(data.path(), &name, "srv/file"), "copied\n", "{what}");
            // And from us it goes on as it came.
            let again = format!("{}/again:1", registry.address);
            ran(data.path(), &["image", "tag", &name, &again]);
            assert_eq!(pushed(data.path(), &again), digest, "{what}");
        }
    }
}

#[test]
fn an_index_of_several_platforms_comes_and_goes_whole() {
    if !skopeo_is_here() {
        return;
    }
    let yard = Yard::new();
    let layout = two_platforms(&yard);
    for registry in registries(&yard) {
        let name = format!("docker://{}/two:1", registry.address);
        skopeo(&["copy", "--all", "--dest-tls-verify=false", &format!("oci:{}:two", layout), &name]);
        let (digest, index) = raw(&registry, "two:1");
        assert_eq!(index["manifests"].as_array().map(Vec::len), Some(2), "{}", registry.name);
        let name = format!("{}/two:1", registry.address);
        for platform in ["linux/amd64", "linux/arm64"] {
            let data = fresh();
            let told = said(data.path(), &["image", "pull", "--platform", platform, &name]);
            assert!(told.contains(&format!("Digest: {digest}")), "{}: {told}", registry.name);
            let inspected = said(data.path(), &["image", "inspect", &name]);
            let architecture = platform.strip_prefix("linux/").expect("it is Linux");
            assert!(inspected.contains(&format!("\"{architecture}\"")), "{}: {inspected}", registry.name);
        }
        // And out of it again, with everything.
        let out = format!("dir:{}", yard.path(&format!("out-{}", registry.name)));
        skopeo(&["copy", "--all", "--src-tls-verify=false", &format!("docker://{name}"), &out]);
    }
}

/// An OCI layout of `two:1`, and the same for another processor, under one index.
fn two_platforms(yard: &Yard) -> String {
    let layout = yard.path("platforms");
    ran(&yard.at("shelf"), &["image", "save", "--format", "oci-dir", "-o", &layout, "two:1"]);
    let blobs = Path::new(&layout).join("blobs/sha256");
    let read = |descriptor: &Value| -> Value {
        let digest = descriptor["digest"].as_str().expect("a descriptor has a digest");
        let bytes = fs::read(blobs.join(digest.trim_start_matches("sha256:"))).expect("it is in the layout");
        serde_json::from_slice(&bytes).expect("a document is JSON")
    };
    let write = |document: &Value, media_type: &str| -> Value {
        let bytes = serde_json::to_vec(document).expect("it is JSON");
        let digest = quayside_runtime::image::Digest::of(&bytes);
        fs::write(blobs.join(digest.hex()), &bytes).expect("it is ours");
        serde_json::json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
    };
    let path = Path::new(&layout).join("index.json");
    let mut index: Value = serde_json::from_slice(&fs::read(&path).expect("a layout has one")).expect("it is JSON");
    let mut first = index["manifests"][0].clone();
    first.as_object_mut().expect("a descriptor").remove("annotations");
    let mut manifest = read(&first);
    let mut config = read(&manifest["config"]);
    config["architecture"] = "arm64".into();
    manifest["config"] = write(&config, "application/vnd.oci.image.config.v1+json");
    let mut second = write(&manifest, "application/vnd.oci.image.manifest.v1+json");
    first["platform"] = serde_json::json!({ "os": "linux", "architecture": "amd64" });
    second["platform"] = serde_json::json!({ "os": "linux", "architecture": "arm64" });
    let media_type = "application/vnd.oci.image.index.v1+json";
    let inner = serde_json::json!({ "schemaVersion": 2, "mediaType": media_type, "manifests": [first, second] });
    let mut inner = write(&inner, media_type);
    inner["annotations"] = serde_json::json!({ "org.opencontainers.image.ref.name": "two" });
    index["manifests"] = serde_json::json!([inner]);
    fs::write(path, index.to_string()).expect("it is ours");
    layout
}

#[test]
fn what_podman_pushes_is_what_we_pull() {
    let yard = Yard::new();
    let Some(podman) = Podman::get(&yard) else { return };
    ran(&yard.at("shelf"), &["image", "save", "-o", &yard.path("two.tar"), "two:1"]);
    podman.run(&["load", "-q", "-i", &yard.path("two.tar")]);
    for registry in registries(&yard) {
        for format in ["oci", "v2s2"] {
            let name = format!("{}/podman/{format}:1", registry.address);
            let digest = yard.path("digest");
            let form = ["-q", "--tls-verify=false", "--format", format, "--digestfile", &digest];
            podman.run(&[&["push"], &form[..], &["two:1", &name]].concat());
            let digest = fs::read_to_string(digest).expect("podman writes it");
            let data = fresh();
            assert!(said(data.path(), &["image", "pull", &name]).contains(&format!("Digest: {digest}")), "{format}");
            assert_eq!(file_of(data.path(), &name, "srv/file"), "copied\n", "{format}");
        }
    }
}

#[test]
fn who_has_to_log_in_is_told_so_and_gets_in_with_the_right_word() {
    let yard = Yard::new();
    let Some(registry) = Registry::debians(&yard.at("closed"), true) else { return };
    let name = format!("{}/two:1", registry.address);
    let shelf = yard.at("shelf");
    ran(&shelf, &["image", "tag", "two:1", &name]);
    assert!(refused(&shelf, &["image", "push", &name]).contains("login"), "without a login");
    let wrong = refused(&shelf, &["image", "push", "--creds", "learner:wrong", &name]);
    assert!(wrong.contains("login") && !wrong.contains("wrong"), "{wrong}");
    ran(&shelf, &["image", "push", "--creds", LOGIN, &name]);
    let data = fresh();
    refused(data.path(), &["image", "pull", &name]);
    // As `docker login` leaves it.
    let login = yard.at("docker");
    fs::create_dir(&login).expect("it is ours");
    let auths = serde_json::json!({ "auths": { &registry.address: { "auth": "bGVhcm5lcjpxdWF5LTUwMDA=" } } });
    fs::write(login.join("config.json"), auths.to_string()).expect("it is ours");
    let pull = quayside(data.path(), &["image", "pull", &name]).env("DOCKER_CONFIG", &login).output();
    let pull = pull.expect("the program starts");
    assert!(pull.status.success(), "{}", String::from_utf8_lossy(&pull.stderr));
    assert_eq!(file_of(data.path(), &name, "srv/file"), "copied\n");
}

#[test]
fn a_registry_elsewhere_is_never_asked_without_protection_unless_somebody_says_so() {
    if std::env::var_os(ELSEWHERE).is_none() {
        // A network of our own, in which there is an address that is not loopback.
        let test = std::env::current_exe().expect("a test knows its own path");
        let name = "a_registry_elsewhere_is_never_asked_without_protection_unless_somebody_says_so";
        let script =
            "ip link set lo up && ip address add 10.99.0.1/32 dev lo && exec \"$0\" --exact \"$@\" --nocapture";
        let status =
            Command::new("unshare").args(["-n", "sh", "-c", script]).arg(test).arg(name).env(ELSEWHERE, "1").status();
        assert!(status.expect("util-linux is here").success());
        return;
    }
    let yard = Yard::new();
    let Some(registry) = Registry::debians(&yard.at("debian"), false) else { return };
    let (elsewhere, _bridge) = Bridge::to(&registry.address, "10.99.0.1:0", None);
    let name = format!("{elsewhere}/two:1");
    let shelf = yard.at("shelf");
    ran(&shelf, &["image", "tag", "two:1", &name]);
    assert!(refused(&shelf, &["image", "push", &name]).contains("--insecure"));
    ran(&shelf, &["image", "push", "--insecure", &name]);
    let data = fresh();
    assert!(refused(data.path(), &["image", "pull", &name]).contains("--insecure"));
    ran(data.path(), &["image", "pull", "--insecure", &name]);
}

const ELSEWHERE: &str = "QUAYSIDE_TEST_ELSEWHERE";

#[test]
fn a_pull_over_a_line_that_breaks_takes_several_layers_at_once_and_each_byte_once() {
    let yard = Yard::new();
    // Nothing that could be compressed: three layers of a mebibyte.
    let mut dockerfile = String::from("FROM base:1\n");
    for number in 0..3 {
        dockerfile += &format!("COPY noise{number} /srv/\n");
    }
    yard.context("noise", &dockerfile);
    for number in 0..3 {
        let mut noise = vec![0; 1024 * 1024];
        fs::File::open("/dev/urandom").and_then(|mut from| from.read_exact(&mut noise)).expect("it has no end");
        fs::write(yard.at("noise").join(format!("noise{number}")), noise).expect("it is ours");
    }
    let shelf = yard.at("shelf");
    for registry in registries(&yard) {
        let direct = format!("{}/noise:1", registry.address);
        ran(&shelf, &["build", "-q", "-t", &direct, &yard.path("noise")]);
        let digest = pushed(&shelf, &direct);
        let (address, bridge) = Bridge::to(&registry.address, "127.0.0.1:0", Some(400 * 1024));
        let name = format!("{address}/noise:1");
        let data = fresh();
        let pulled = said(data.path(), &["image", "pull", &name]);
        assert!(pulled.contains(&digest), "{}: {pulled}", registry.name);
        assert_eq!(id_of(data.path(), &name), id_of(&shelf, &direct), "{}", registry.name);
        let (cuts, at_once) = (bridge.cuts.load(Ordering::SeqCst), bridge.most_at_once.load(Ordering::SeqCst));
        assert!(cuts >= 6, "{}: the line broke {cuts} times", registry.name);
        assert!(at_once >= 2, "{}: {at_once} connections at once", registry.name);
        // Had anything been fetched twice, it would be more than what there is and what a cut loses on its way.
        let (bytes, whole) = (bridge.bytes.load(Ordering::SeqCst), 4 * 1024 * 1024);
        assert!(bytes < whole + cuts * 64 * 1024 + 2 * 1024 * 1024, "{}: {bytes} bytes", registry.name);
    }
}

/// Every registry that is here.
fn registries(yard: &Yard) -> Vec<Registry> {
    registries_in(yard, "one")
}

fn registries_in(yard: &Yard, folder: &str) -> Vec<Registry> {
    let ours = Registry::ours(&yard.at(folder).join("ours"));
    std::iter::once(ours).chain(Registry::debians(&yard.at(folder).join("debians"), false)).collect()
}

fn fresh() -> TempDir {
    tempfile::tempdir().expect("a directory")
}

/// Pushes `two:1` of a data directory, or what has that name already; gives the manifest's digest.
fn pushed(data: &Path, name: &str) -> String {
    if !said(data, &["image", "ls"]).contains(name) {
        ran(data, &["image", "tag", "two:1", name]);
    }
    let told = said(data, &["image", "push", name]);
    let digest = told.split("digest: ").nth(1).and_then(|rest| rest.split(' ').next());
    digest.unwrap_or_else(|| panic!("no digest: {told}")).to_owned()
}

fn id_of(data: &Path, name: &str) -> String {
    let told: Value = serde_json::from_str(&said(data, &["image", "inspect", name])).expect("it prints JSON");
    told[0]["Id"].as_str().expect("an image has an id").to_owned()
}

/// A file of an image, as a container would find it.
fn file_of(data: &Path, name: &str, file: &str) -> String {
    let export = quayside(data, &["image", "export", name]).stdout(Stdio::piped()).spawn();
    let mut export = export.expect("the program starts");
    let tar = Command::new("tar").args(["-xO", file]).stdin(export.stdout.take().expect("it is piped")).output();
    let content = tar.expect("tar is here").stdout;
    assert!(export.wait().expect("it is our child").success());
    String::from_utf8(content).expect("it is text")
}
