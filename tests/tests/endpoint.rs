//! Our registry's endpoint, request by request, as the OCI distribution specification (1.1) has it.

use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::ops::RangeInclusive;
use std::path::Path;
use std::process::Command;

use quayside_runtime::image::Digest;
use quayside_tests::images::{ran, refused, said};
use quayside_tests::needs;
use quayside_tests::registry::Registry;
use serde_json::{Value, json};
use tempfile::TempDir;
use ureq::Agent;
use ureq::http::Request;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

#[test]
fn a_blob_comes_in_chunks_and_a_wrong_one_is_told_where_to_go_on() {
    let shop = Shop::new();
    let begun = shop.ask("POST", "/v2/a/blobs/uploads/", &[], b"").expect(202);
    let mut place = begun.location();
    place = shop.ask("PATCH", &place, &[("content-range", "0-9")], b"0123456789").expect(202).at(0..=9).location();
    // Neither a hole nor a second time: 416, and how far it is.
    for wrong in ["20-29", "5-14", "0-9"] {
        shop.ask("PATCH", &place, &[("content-range", wrong)], b"0123456789").expect(416).at(0..=9);
    }
    shop.ask("GET", &place, &[], b"").expect(204).at(0..=9);
    place = shop.ask("PATCH", &place, &[("content-range", "10-12")], b"abc").expect(202).at(0..=12).location();
    let digest = Digest::of(b"0123456789abcdef");
    let ended = shop.ask("PUT", &format!("{place}?digest={digest}"), &[("content-range", "13-15")], b"def").expect(201);
    assert_eq!(ended.location(), format!("/v2/a/blobs/{digest}"));
    let head = shop.ask("HEAD", &format!("/v2/a/blobs/{digest}"), &[], b"").expect(200);
    assert_eq!((head.header("content-length"), head.header("docker-content-digest")), ("16", &*digest.to_string()));
    let part = shop.ask("GET", &format!("/v2/a/blobs/{digest}"), &[("range", "bytes=10-12")], b"").expect(206);
    assert_eq!((&*part.body, part.header("content-range")), (&b"abc"[..], "bytes 10-12/16"));
}

#[test]
fn a_chunk_whose_connection_breaks_goes_on_from_what_came() {
    let shop = Shop::new();
    let place = shop.ask("POST", "/v2/a/blobs/uploads/", &[], b"").expect(202).location();
    let mut stream = TcpStream::connect(&shop.registry.address).expect("it listens");
    let head = format!("PATCH {place} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n");
    stream.write_all(&[head.as_bytes(), &[7; 50]].concat()).expect("it reads");
    stream.shutdown(std::net::Shutdown::Write).expect("it is open");
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    // While the broken one is still being written there is no such upload.
    let asked = (0..100).map(|_| shop.ask("GET", &place, &[], b"")).find(|answer| {
        std::thread::sleep(std::time::Duration::from_millis(20));
        answer.status == 204
    });
    asked.expect("the upload is there again").at(0..=49);
    let place = shop.ask("PATCH", &place, &[("content-range", "50-99")], &[7; 50]).expect(202).at(0..=99).location();
    shop.ask("PUT", &format!("{place}?digest={}", Digest::of(&[7; 100])), &[], b"").expect(201);
}

#[test]
fn a_blob_comes_at_once_and_is_had_by_every_repository() {
    let shop = Shop::new();
    let digest = Digest::of(b"whole");
    shop.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"whole").expect(201);
    let mounted = shop.ask("POST", &format!("/v2/b/blobs/uploads/?mount={digest}&from=a"), &[], b"").expect(201);
    assert_eq!(mounted.location(), format!("/v2/b/blobs/{digest}"));
    assert_eq!(shop.ask("GET", &mounted.location(), &[], b"").expect(200).body, b"whole");
    // What is not here has to be sent: an upload is begun for it.
    let other = Digest::of(b"other");
    let begun = shop.ask("POST", &format!("/v2/b/blobs/uploads/?mount={other}&from=a"), &[], b"").expect(202);
    shop.ask("PUT", &format!("{}?digest={other}", begun.location()), &[], b"other").expect(201);
}

#[test]
fn an_upload_is_given_up_and_one_with_another_digest_is_refused() {
    let shop = Shop::new();
    let place = shop.ask("POST", "/v2/a/blobs/uploads/", &[], b"").expect(202).location();
    shop.ask("DELETE", &place, &[], b"").expect(204);
    shop.ask("GET", &place, &[], b"").refused(404, "BLOB_UPLOAD_UNKNOWN");
    let digest = Digest::of(b"this");
    shop.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"that").refused(400, "DIGEST_INVALID");
    shop.ask("HEAD", &format!("/v2/a/blobs/{digest}"), &[], b"").expect(404);
    // An upload belongs to its repository.
    let place = shop.ask("POST", "/v2/a/blobs/uploads/", &[], b"").expect(202).location();
    shop.ask("GET", &place.replace("/v2/a/", "/v2/b/"), &[], b"").refused(404, "BLOB_UPLOAD_UNKNOWN");
    // One that is ended without a digest, or with none that can be read, is still there.
    shop.ask("PUT", &place, &[], b"").refused(400, "DIGEST_INVALID");
    shop.ask("PUT", &format!("{place}?digest=md5:12"), &[], b"").refused(400, "DIGEST_INVALID");
    shop.ask("GET", &place, &[], b"").expect(204);
}

#[test]
fn lists_come_in_pages() {
    let shop = Shop::new();
    let image = shop.image("a", "amd64", &[&shop.gzip("-6")]);
    for tag in ["1", "2", "3", "4", "5"] {
        shop.put("a", tag, MANIFEST, &image).expect(201);
    }
    for repository in ["b/c", "d"] {
        shop.put(repository, "1", MANIFEST, &image).expect(201);
    }
    assert_eq!(shop.pages("/v2/a/tags/list?n=2", "tags"), [&["1", "2"][..], &["3", "4"], &["5"]]);
    assert_eq!(shop.pages("/v2/a/tags/list?last=3", "tags"), [["4", "5"]]);
    assert_eq!(shop.pages("/v2/_catalog?n=2", "repositories"), [&["a", "b/c"][..], &["d"]]);
    assert_eq!(shop.pages("/v2/a/tags/list?n=0", "tags"), [[""; 0]]);
    shop.ask("GET", "/v2/a/tags/list?n=x", &[], b"").refused(400, "PAGINATION_NUMBER_INVALID");
    shop.ask("GET", "/v2/nobody/tags/list", &[], b"").refused(404, "NAME_UNKNOWN");
}

#[test]
fn an_index_is_taken_when_what_it_names_is_here() {
    let shop = Shop::new();
    let layer = shop.gzip("-6");
    let children = ["amd64", "arm64"].map(|architecture| shop.image("a", architecture, &[&layer]));
    let entry = |(bytes, architecture): (&Vec<u8>, &str)| {
        json!({ "mediaType": MANIFEST, "digest": Digest::of(bytes).to_string(), "size": bytes.len(),
            "platform": { "os": "linux", "architecture": architecture } })
    };
    let entries: Vec<Value> = children.iter().zip(["amd64", "arm64"]).map(entry).collect();
    let index = json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": entries }).to_string().into_bytes();
    shop.put_digest("a", MANIFEST, &children[0]).expect(201);
    shop.put("a", "1", INDEX, &index).refused(400, "MANIFEST_BLOB_UNKNOWN");
    shop.put_digest("a", MANIFEST, &children[1]).expect(201);
    shop.put("a", "1", INDEX, &index).expect(201);
    for reference in ["1", &Digest::of(&index).to_string()] {
        let answer = shop.ask("GET", &format!("/v2/a/manifests/{reference}"), &[], b"").expect(200);
        assert_eq!((answer.header("content-type"), &answer.body), (INDEX, &index));
    }
    for child in &children {
        let answer = shop.ask("GET", &format!("/v2/a/manifests/{}", Digest::of(child)), &[], b"").expect(200);
        assert_eq!(&answer.body, child);
    }
    // A tag of the same image that was pushed alone stays what it was.
    shop.put("a", "alone", MANIFEST, &children[0]).expect(201);
    assert_eq!(shop.ask("GET", "/v2/a/manifests/alone", &[], b"").expect(200).body, children[0]);
    assert_eq!(shop.ask("GET", "/v2/a/manifests/1", &[], b"").expect(200).body, index);
}

#[test]
fn one_image_in_two_forms_keeps_both_of_them_when_everything_else_is_pruned() {
    let shop = Shop::new();
    let forms = ["-1", "-9"].map(|level| shop.gzip(level));
    assert_ne!(forms[0], forms[1]);
    let manifests = forms.each_ref().map(|form| shop.image("a", "amd64", &[form]));
    shop.put("a", "small", MANIFEST, &manifests[1]).expect(201);
    shop.put("a", "fast", MANIFEST, &manifests[0]).expect(201);
    let unnamed = Digest::of(b"nobody's");
    shop.ask("POST", &format!("/v2/a/blobs/uploads/?digest={unnamed}"), &[], b"nobody's").expect(201);
    // Nothing is removed while there are uploads, so it has to end first.
    let shop = shop.again(|data| drop(ran(data, &["image", "prune"])));
    shop.ask("HEAD", &format!("/v2/a/blobs/{unnamed}"), &[], b"").expect(404);
    for (tag, manifest, form) in [("fast", &manifests[0], &forms[0]), ("small", &manifests[1], &forms[1])] {
        assert_eq!(&shop.ask("GET", &format!("/v2/a/manifests/{tag}"), &[], b"").expect(200).body, manifest);
        assert_eq!(&shop.ask("GET", &format!("/v2/a/blobs/{}", Digest::of(form)), &[], b"").expect(200).body, form);
    }
}

#[test]
fn a_layer_that_is_here_in_a_good_form_does_not_let_a_bad_one_in() {
    let shop = Shop::new();
    let good = shop.image("a", "amd64", &[&shop.gzip("-6")]);
    shop.put("a", "1", MANIFEST, &good).expect(201);
    // The same config, so the same diff id, over something else.
    fs::write(shop.folder.path().join("other"), "something else").expect("it is ours");
    let tar = Command::new("tar").current_dir(shop.folder.path()).args(["-czf", "other.tar.gz", "other"]).status();
    assert!(tar.expect("tar is here").success());
    let other = fs::read(shop.folder.path().join("other.tar.gz")).expect("it was made");
    shop.put("a", "2", MANIFEST, &shop.image("a", "amd64", &[&other])).refused(400, "MANIFEST_INVALID");
    shop.ask("GET", "/v2/a/manifests/2", &[], b"").refused(404, "MANIFEST_UNKNOWN");
}

#[test]
fn a_prune_is_kept_out_by_what_is_being_pushed_and_by_nothing_that_was() {
    let shop = Shop::new();
    let (data, prune) = (shop.data.path(), &["image", "prune"]);
    let manifest = shop.image("a", "amd64", &[&shop.gzip("-6")]);
    assert!(refused(data, prune).contains("another process adds"), "blobs wait for their manifest");
    shop.put("a", "1", MANIFEST, &manifest).expect(201);
    ran(data, prune);
    let place = shop.ask("POST", "/v2/a/blobs/uploads/", &[], b"").expect(202).location();
    assert!(refused(data, prune).contains("another process adds"), "an upload is open");
    shop.ask("DELETE", &place, &[], b"").expect(204);
    ran(data, prune);
    let digest = Digest::of(b"this");
    shop.ask("POST", &format!("/v2/a/blobs/uploads/?digest={digest}"), &[], b"that").refused(400, "DIGEST_INVALID");
    shop.ask("POST", "/v2/a/blobs/uploads/?digest=md5:12", &[], b"that").refused(400, "DIGEST_INVALID");
    ran(data, prune);
    shop.ask("GET", "/v2/a/manifests/1", &[], b"").expect(200);
}

#[test]
fn what_was_pushed_can_be_taken_away_and_nothing_else() {
    let shop = Shop::new();
    let manifest = shop.image("a", "amd64", &[&shop.gzip("-6")]);
    let digest = Digest::of(&manifest);
    for tag in ["1", "2", "3"] {
        shop.put("a", tag, MANIFEST, &manifest).expect(201);
    }
    shop.ask("DELETE", "/v2/a/manifests/1", &[], b"").expect(202);
    shop.ask("GET", "/v2/a/manifests/1", &[], b"").refused(404, "MANIFEST_UNKNOWN");
    shop.ask("DELETE", "/v2/a/manifests/1", &[], b"").refused(404, "MANIFEST_UNKNOWN");
    shop.ask("GET", "/v2/a/manifests/2", &[], b"").expect(200);
    shop.ask("DELETE", &format!("/v2/a/manifests/{digest}"), &[], b"").expect(202);
    shop.ask("GET", "/v2/a/tags/list", &[], b"").refused(404, "NAME_UNKNOWN");
    // This machine's own names are not a client's to take; nor are blobs, which go with the last image that has them.
    ran(shop.data.path(), &["image", "tag", &id_in(&manifest), "own:1"]);
    shop.ask("GET", "/v2/own/manifests/1", &[], b"").expect(200);
    shop.ask("DELETE", "/v2/own/manifests/1", &[], b"").refused(404, "MANIFEST_UNKNOWN");
    shop.ask("DELETE", &format!("/v2/a/blobs/{digest}"), &[], b"").refused(405, "UNSUPPORTED");
    assert!(said(shop.data.path(), &["image", "ls"]).contains("own:1"));
}

#[test]
fn referrers_are_not_kept_and_clients_are_told_to_look_for_their_tag() {
    let shop = Shop::new();
    let digest = Digest::of(b"anything");
    shop.ask("GET", &format!("/v2/a/referrers/{digest}"), &[], b"").expect(404);
}

/// A registry with nothing in it, and what is pushed to it.
struct Shop {
    registry: Registry,
    data: TempDir,
    /// Where an archive of one file lies.
    folder: TempDir,
}

impl Shop {
    fn new() -> Self {
        needs::containers();
        let (data, folder) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
        fs::write(folder.path().join("file"), "some words, some words, some words, ".repeat(1000)).expect("it is ours");
        let tar = Command::new("tar").current_dir(folder.path()).args(["-cf", "layer.tar", "file"]).status();
        assert!(tar.expect("tar is here").success());
        Self { registry: Registry::ours(data.path()), data, folder }
    }

    /// Ends it, does something, and starts it where it was.
    fn again(self, meanwhile: impl FnOnce(&Path)) -> Self {
        let address = self.registry.address.clone();
        drop(self.registry);
        meanwhile(self.data.path());
        Self { registry: Registry::ours_at(&address, self.data.path()), ..self }
    }

    fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut request = Request::builder().method(method).uri(format!("http://{}{path}", self.registry.address));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let agent: Agent =
            Agent::config_builder().http_status_as_error(false).allow_non_standard_methods(true).build().into();
        let mut answer = agent.run(request.body(body).expect("it is a request")).expect("the registry answers");
        let headers =
            answer.headers().iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned()));
        Answer {
            what: format!("{method} {path}"),
            status: answer.status().as_u16(),
            headers: headers.collect(),
            body: answer.body_mut().read_to_vec().expect("it is short"),
        }
    }

    /// The archive, compressed in one way or another.
    fn gzip(&self, level: &str) -> Vec<u8> {
        let output = Command::new("gzip").args([level, "-nc"]).arg(self.folder.path().join("layer.tar")).output();
        output.expect("gzip is here").stdout
    }

    /// Pushes what an image is made of; gives its manifest. Each layer is the archive in some form.
    fn image(&self, repository: &str, architecture: &str, layers: &[&[u8]]) -> Vec<u8> {
        let archive = fs::read(self.folder.path().join("layer.tar")).expect("it was made");
        let diff_ids = vec![Digest::of(&archive).to_string(); layers.len()];
        let rootfs = json!({ "type": "layers", "diff_ids": diff_ids });
        let config = json!({ "os": "linux", "architecture": architecture, "config": {}, "rootfs": rootfs });
        let blob = |media_type: &str, bytes: &[u8]| {
            let digest = Digest::of(bytes);
            self.ask("POST", &format!("/v2/{repository}/blobs/uploads/?digest={digest}"), &[], bytes).expect(201);
            json!({ "mediaType": media_type, "digest": digest.to_string(), "size": bytes.len() })
        };
        let gzip = "application/vnd.oci.image.layer.v1.tar+gzip";
        let layers: Vec<Value> = layers.iter().map(|layer| blob(gzip, layer)).collect();
        let config = blob("application/vnd.oci.image.config.v1+json", config.to_string().as_bytes());
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        manifest.to_string().into_bytes()
    }

    fn put(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) -> Answer {
        self.ask("PUT", &format!("/v2/{repository}/manifests/{reference}"), &[("content-type", media_type)], bytes)
    }

    fn put_digest(&self, repository: &str, media_type: &str, bytes: &[u8]) -> Answer {
        self.put(repository, &Digest::of(bytes).to_string(), media_type, bytes)
    }

    /// Every page of a list, from link to link.
    fn pages(&self, path: &str, field: &str) -> Vec<Vec<String>> {
        let (mut pages, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(path) = next {
            let answer = self.ask("GET", &path, &[], b"").expect(200);
            let list: Value = serde_json::from_slice(&answer.body).expect("it is JSON");
            let names = list[field].as_array().expect("it is a list").iter();
            pages.push(names.map(|name| name.as_str().expect("a name").to_owned()).collect());
            next = answer.headers.get("link").map(|link| {
                let (address, relation) = link.trim_start_matches('<').split_once('>').expect("RFC 8288");
                assert_eq!(relation, "; rel=\"next\"");
                address.to_owned()
            });
        }
        pages
    }
}

/// The id of the image of a manifest.
fn id_in(manifest: &[u8]) -> String {
    let manifest: Value = serde_json::from_slice(manifest).expect("it is JSON");
    manifest["config"]["digest"].as_str().expect("a descriptor has a digest").to_owned()
}

/// What came back.
struct Answer {
    /// What was asked, for messages.
    what: String,
    status: u16,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Answer {
    #[track_caller]
    fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}: {}", self.what, String::from_utf8_lossy(&self.body));
        self
    }

    /// In the specification's words.
    #[track_caller]
    fn refused(self, status: u16, code: &str) {
        let answer = self.expect(status);
        let said: Value = serde_json::from_slice(&answer.body).expect("an error is JSON");
        assert_eq!(said["errors"][0]["code"], code, "{}: {said}", answer.what);
        assert!(!said["errors"][0]["message"].as_str().unwrap_or_default().is_empty());
    }

    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    fn location(&self) -> String {
        self.header("location").to_owned()
    }

    /// How far an upload is: first and last byte.
    #[track_caller]
    fn at(self, range: RangeInclusive<u64>) -> Self {
        assert_eq!(self.header("range"), format!("{}-{}", range.start(), range.end()), "{}", self.what);
        self
    }
}
