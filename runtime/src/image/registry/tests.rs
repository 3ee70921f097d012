//! Stories of pulling from a registry that is not always kind. Layers need root, as everywhere where they are made.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::super::digest::Digest;
use super::super::oci::{Descriptor, Index, Platform, media};
use super::super::reference::Reference;
use super::super::store::Store;
use super::fake::{Asked, Fake, Reply, Shelf};
use super::*;

fn fresh() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(top.path().join("images")).unwrap();
    (top, store)
}

fn name(fake: &Fake, rest: &str) -> Reference {
    format!("{}/{rest}", fake.address).parse().unwrap()
}

fn pull_with(store: &Store, access: &Access, name: &Reference) -> Result<Pulled, RegistryError> {
    pull(store, access, name, &Platform::host(), &mut |_| {})
}

fn pull_plainly(store: &Store, name: &Reference) -> Result<Pulled, RegistryError> {
    pull_with(store, &Access::default(), name)
}

/// What does not compress, so that a cut falls into the middle.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(|_| next()).collect()
}

fn is_blob(asked: &Asked, digest: &Digest) -> bool {
    asked.line == format!("GET /v2/web/blobs/{digest}")
}

#[test]
fn an_image_comes_with_its_files_and_the_second_time_only_its_manifest_is_asked_for() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"hello", b"world"]);
    let kept = shelf.clone();
    let fake = Fake::answering(move |asked| shelf.answer(asked));
    let mut reports = Vec::new();
    let name = name(&fake, "web:1");
    let pulled =
        pull(&store, &Access::default(), &name, &Platform::host(), &mut |progress| reports.push(progress)).unwrap();
    assert_eq!((pulled.image.id, pulled.digest), (kept.config.unwrap(), kept.manifest.unwrap()));
    assert_eq!((pulled.is_unchanged, pulled.image.names.clone()), (false, vec![name.clone()]));
    let read = |place: usize| std::fs::read(pulled.image.layers[place].path.join(format!("file{place}"))).unwrap();
    assert_eq!((read(0), read(1)), (b"hello".to_vec(), b"world".to_vec()));
    let last = reports.last().unwrap();
    assert!(last.parts.iter().all(|part| part.state == PartState::Done && part.done_bytes == part.total_bytes));
    assert_eq!(last.done_bytes, kept.layers.iter().map(|layer| layer.size).sum::<u64>());

    let before = fake.lines().len();
    assert!(pull_plainly(&store, &name).unwrap().is_unchanged);
    assert_eq!(fake.lines()[before..], ["GET /v2/web/manifests/1"]);
    let by_digest = format!("{}/web@{}", fake.address, pulled.digest);
    assert_eq!(store.resolve(&by_digest).unwrap().id, pulled.image.id);
    // What came goes on as it came.
    let out = outgoing::original(&store, &pulled.image).unwrap();
    assert_eq!((out.digest, out.layers.len()), (pulled.digest, 2));
}

#[test]
fn a_cut_download_goes_on_where_it_broke_off() {
    for knows_ranges in [true, false] {
        let (_top, store) = fresh();
        let shelf = Shelf::image("1", &[&noise(300_000)]);
        let layer = shelf.layers[0].digest;
        let tries = AtomicUsize::new(0);
        let fake = Fake::answering(move |asked| {
            if !is_blob(asked, &layer) {
                return shelf.answer(asked);
            }
            match tries.fetch_add(1, Ordering::SeqCst) {
                0 => shelf.answer(asked).cut(100_000),
                _ if knows_ranges => shelf.answer(asked),
                _ => Reply::new(200, shelf.blobs[&layer.to_string()].clone()),
            }
        });
        let pulled = pull_plainly(&store, &name(&fake, "web:1")).unwrap();
        assert_eq!(std::fs::read(pulled.image.layers[0].path.join("file0")).unwrap(), noise(300_000));
        let ranges: Vec<String> =
            fake.asked().iter().filter_map(|asked| asked.header("range").map(str::to_owned)).collect();
        assert_eq!(ranges, ["bytes=100000-"]);
    }
}

#[test]
fn a_layer_that_is_not_what_its_digest_says_leaves_nothing() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"good"]);
    let layer = shelf.layers[0].digest;
    let fake = Fake::answering(move |asked| {
        let mut blob = shelf.blobs[&layer.to_string()].clone();
        // The gzip header's time: it unpacks to the same and is another blob.
        blob[4] ^= 1;
        if is_blob(asked, &layer) { Reply::new(200, blob) } else { shelf.answer(asked) }
    });
    let error = pull_plainly(&store, &name(&fake, "web:1")).unwrap_err();
    assert!(matches!(error, RegistryError::Damaged { what: "layer", .. }), "{error}");
    assert!(store.images().unwrap().is_empty() && store.names().unwrap().is_empty());
    assert_eq!(store.usage().unwrap().layers, 0);
    assert_eq!(std::fs::read_dir(store.root().join("tmp")).unwrap().count(), 0);
}

#[test]
fn a_registry_that_always_breaks_off_is_given_up_in_words() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[&noise(50_000)]);
    let layer = shelf.layers[0].digest;
    let fake = Fake::answering(move |asked| match is_blob(asked, &layer) {
        true => Reply::new(200, b"x".repeat(shelf.layers[0].size as usize)).cut(0),
        false => shelf.answer(asked),
    });
    let error = pull_plainly(&store, &name(&fake, "web:1")).unwrap_err().to_string();
    assert!(error.contains("does not answer (") && error.contains("tried 4 times"), "{error}");
}

#[test]
fn a_token_is_fetched_for_anybody_and_for_who_has_a_login() {
    let shelf = Shelf::image("1", &[b"secret"]);
    let token_server = Fake::answering(|asked| match asked.header("authorization") {
        None => Reply::new(200, r#"{"token":"anybody"}"#),
        Some("Basic YW5uOnB3") => Reply::new(200, r#"{"access_token":"ann"}"#),
        Some(_) => Reply::new(401, r#"{"details":"incorrect username or password"}"#),
    });
    let realm = format!("http://{}/token", token_server.address);
    let registry = |wanted: &'static str| {
        let (shelf, realm) = (shelf.clone(), realm.clone());
        Fake::answering(move |asked| {
            if asked.header("authorization") == Some(wanted) {
                return shelf.answer(asked);
            }
            let challenge = format!("Bearer realm=\"{realm}\",service=\"a registry\",scope=\"repository:web:pull\"");
            let body = r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#;
            Reply::new(401, body).header("WWW-Authenticate", challenge)
        })
    };
    let (_top, store) = fresh();
    pull_plainly(&store, &name(&registry("Bearer anybody"), "web:1")).unwrap();
    assert_eq!(token_server.lines(), ["GET /token?service=a%20registry&scope=repository:web:pull"]);

    let ann = registry("Bearer ann");
    let error = pull_plainly(&store, &name(&ann, "web:1")).unwrap_err().to_string();
    assert!(error.contains("wants a login (UNAUTHORIZED: authentication required)"), "{error}");
    let with =
        |login| Access { credentials: Credentials::default().with(Login::parse(login).unwrap()), ..Access::default() };
    pull_with(&store, &with("ann:pw"), &name(&ann, "web:1")).unwrap();
    let error = pull_with(&store, &with("ann:wrong"), &name(&ann, "web:1")).unwrap_err().to_string();
    assert!(error.contains("does not take the login of \"ann\" (incorrect username or password)"), "{error}");
}

#[test]
fn a_password_is_sent_where_the_registry_asks_for_it() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"x"]);
    let fake = Fake::answering(move |asked| match asked.header("authorization") {
        Some("Basic YW5uOnB3") => shelf.answer(asked),
        _ => Reply::new(401, "").header("WWW-Authenticate", "Basic realm=\"x\""),
    });
    let login = Login::parse("ann:pw").unwrap();
    let access = Access { credentials: Credentials::default().with(login), ..Access::default() };
    pull_with(&store, &access, &name(&fake, "web:1")).unwrap();
    assert!(fake.asked()[0].header("authorization").is_none(), "nobody is told a password unasked");
    assert!(matches!(pull_plainly(&store, &name(&fake, "web:1")), Err(RegistryError::Anonymous { .. })));
}

#[test]
fn a_rate_limit_is_passed_on_in_the_registrys_words_at_once() {
    let (_top, store) = fresh();
    let fake = Fake::answering(|_| {
        let body = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        Reply::new(429, body).header("Retry-After", "3600")
    });
    let error = pull_plainly(&store, &name(&fake, "web:1")).unwrap_err().to_string();
    assert!(error.contains("You have reached your pull rate limit.); try again in 60 minutes"), "{error}");
    assert_eq!(fake.lines().len(), 1);
}

#[test]
fn what_passes_is_tried_again() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"x"]);
    let tries = AtomicUsize::new(0);
    let fake = Fake::answering(move |asked| match tries.fetch_add(1, Ordering::SeqCst) {
        0 => Reply::new(503, "starting"),
        1 => Reply::new(429, "").header("Retry-After", "0"),
        _ => shelf.answer(asked),
    });
    pull_plainly(&store, &name(&fake, "web:1")).unwrap();
}

#[test]
fn of_an_index_the_image_for_this_host_is_taken() {
    let (_top, store) = fresh();
    let (here, other) = (Shelf::image("here", &[b"here"]), Shelf::image("other", &[b"other"]));
    let entry = |shelf: &Shelf, architecture: &str| Descriptor {
        platform: Some(Platform { os: "linux".into(), architecture: architecture.into(), variant: None }),
        ..Descriptor::new(media::MANIFEST, shelf.manifest.unwrap(), 1)
    };
    let attestation = Descriptor {
        annotations: [("vnd.docker.reference.type".to_owned(), "attestation-manifest".to_owned())].into(),
        ..entry(&other, &Platform::host().architecture)
    };
    let index = |manifests| serde_json::to_vec(&Index { schema_version: 2, media_type: None, manifests }).unwrap();
    let mut shelf = here.clone();
    shelf.blobs.extend(other.blobs.clone());
    shelf.manifests.extend(other.manifests.clone());
    let all = vec![attestation, entry(&other, "mips"), entry(&here, &Platform::host().architecture)];
    shelf.document("all", media::INDEX, index(all));
    shelf.document("mips", media::INDEX, index(vec![entry(&other, "mips")]));
    let fake = Fake::answering(move |asked| shelf.answer(asked));
    let pulled = pull_plainly(&store, &name(&fake, "web:all")).unwrap();
    assert_eq!(pulled.image.id, here.config.unwrap());
    let error = pull_plainly(&store, &name(&fake, "web:mips")).unwrap_err().to_string();
    assert!(error.contains("it has linux/mips; choose one by --platform"), "{error}");
    let mips = Platform { os: "linux".into(), architecture: "mips".into(), variant: None };
    let pulled = pull(&store, &Access::default(), &name(&fake, "web:mips"), &mips, &mut |_| {}).unwrap();
    assert_eq!(pulled.image.id, other.config.unwrap());
}

#[test]
fn a_mirror_is_asked_first_and_the_registry_when_that_fails() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"x"]);
    let registry = {
        let shelf = shelf.clone();
        Fake::answering(move |asked| shelf.answer(asked))
    };
    let mirror = Fake::answering(move |asked| shelf.answer(asked));
    let empty = Fake::answering(|_| Reply::new(404, ""));
    let through = |mirrors: &[&Fake]| {
        let text = |fake: &&Fake| Mirror::parse(&format!("{}=http://{}", registry.address, fake.address)).unwrap();
        Access { mirrors: mirrors.iter().map(text).collect(), ..Access::default() }
    };
    let pulled = pull_with(&store, &through(&[&empty, &mirror]), &name(&registry, "web:1")).unwrap();
    assert_eq!(pulled.mirror, Some(mirror.address.clone()));
    assert_eq!(registry.lines().len(), 0);
    let pulled = pull_with(&store, &through(&[&empty]), &name(&registry, "web:1")).unwrap();
    assert_eq!((pulled.mirror, registry.lines().len()), (None, 1));
}

#[test]
fn what_is_missing_is_said_in_words() {
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"x"]);
    let layer = shelf.layers[0].digest;
    let fake = Fake::answering(move |asked| match is_blob(asked, &layer) {
        true => Reply::new(404, ""),
        false => shelf.answer(asked),
    });
    let error = pull_plainly(&store, &name(&fake, "web:2")).unwrap_err().to_string();
    assert!(
        error.contains("has no such image (MANIFEST_UNKNOWN: manifest unknown); check the name and the tag"),
        "{error}"
    );
    let error = pull_plainly(&store, &name(&fake, "web:1")).unwrap_err().to_string();
    assert!(error.contains("does not have the layer sha256:"), "{error}");
    let nobody = "127.0.0.1:1/web:1".parse().unwrap();
    let error = pull_plainly(&store, &nobody).unwrap_err().to_string();
    assert!(error.contains("look whether a registry runs there"), "{error}");
}
