//! Stories of the catalogue: two preparers, a crash, a recipe that cannot be followed.

use std::fs;
use std::path::Path;

use super::super::registry::fake::{Asked, Fake, Shelf};
use super::super::transfer::{self, Format, Saved};
use super::*;

/// Only root can give files their owners; says so where a test cannot run.
fn is_root() -> bool {
    let root = rustix::process::geteuid().is_root();
    if !root {
        eprintln!("skipped: needs root, to give an image's files their owners");
    }
    root
}

fn fresh() -> (tempfile::TempDir, Store) {
    let top = tempfile::tempdir().unwrap();
    let store = Store::open(top.path().join("images")).unwrap();
    (top, store)
}

fn prepare_host(store: &Store) -> Image {
    store.prepare("host", &Sources::default(), &mut |_| {}).unwrap()
}

fn entries(path: &Path) -> usize {
    fs::read_dir(path).unwrap().count()
}

#[test]
fn every_name_of_the_catalogue_is_an_images_name() {
    assert!(catalogue::CATALOGUE.iter().all(|offer| own_name(offer).familiar_name() == offer.name));
}

#[test]
fn a_new_store_offers_the_catalogue() {
    let (_top, store) = fresh();
    let images = store.list(&[]);
    assert!(images.iter().map(|image| image.name.as_str()).eq(catalogue::CATALOGUE.iter().map(|offer| offer.name)));
    assert!(images.iter().all(|image| image.state == ImageState::Absent));
    assert_eq!(store.find("host"), None);
}

#[test]
fn an_image_outside_the_catalogue_is_named_with_what_there_is() {
    let (_top, store) = fresh();
    let error = store.prepare("postgres:16", &Sources::default(), &mut |_| {}).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("there is no image called \"postgres:16\" here; the catalogue offers {}", names_with(&[]))
    );
}

#[test]
fn the_host_image_is_prepared_once_with_growing_progress() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let mut reports = Vec::new();
    let image = store.prepare("host", &Sources::default(), &mut |progress| reports.push(progress)).unwrap();
    assert!(reports.is_sorted_by_key(|progress| progress.done));
    let last = reports.last().unwrap();
    assert!(last.done == last.total && last.total > 0);
    assert!(image.layers[0].path.join("usr/bin/bash").is_file());

    let mut again = 0;
    assert_eq!(store.prepare("host", &Sources::default(), &mut |_| again += 1).unwrap(), image);
    assert_eq!(again, 0, "it was made a second time");
    assert_eq!(store.find("host"), Some(image));
    assert_eq!(entries(&store.root().join("tmp")), 0);
}

#[test]
fn two_preparers_at_once_make_one_image() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let images: Vec<Image> = std::thread::scope(|scope| {
        let preparers: Vec<_> = (0..2).map(|_| scope.spawn(|| prepare_host(&store))).collect();
        preparers.into_iter().map(|preparer| preparer.join().unwrap()).collect()
    });
    assert_eq!(images[0], images[1]);
    assert_eq!(entries(&store.root().join("content/layers")), 1);
}

#[test]
fn a_preparation_in_another_process_shows_as_such() {
    let (_top, store) = fresh();
    let _lock = store.lock_name("learner", &mut |_| {}).unwrap();
    let learner = store.list(&[]).into_iter().find(|image| image.name == "learner").unwrap();
    assert!(matches!(learner.state, ImageState::Preparing { .. }));
}

#[test]
fn damaged_records_are_images_that_are_not_there_and_are_made_again() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let image = prepare_host(&store);
    let path = store.root().join("content/images").join(format!("{}.json", image.id.hex()));
    let good = fs::read_to_string(&path).unwrap();
    for text in ["", "{", &good.replace("\"format\": 2", "\"format\": 9")] {
        fs::write(&path, text).unwrap();
        assert_eq!(store.find("host"), None, "{text}");
    }
    assert_eq!(prepare_host(&store).names, image.names);
}

#[test]
fn a_learner_image_without_a_mirror_says_what_to_set_and_leaves_nothing() {
    if !is_root() {
        return;
    }
    let (top, store) = fresh();
    let sources = Sources { apt: top.path().join("no-apt"), ..Sources::default() };
    let error = store.prepare("learner", &sources, &mut |_| {}).unwrap_err().to_string();
    assert!(error.contains("--debian-mirror"), "{error}");
    assert_eq!((entries(&store.root().join("content/layers")), entries(&store.root().join("tmp"))), (0, 0));
}

/// Sources with one line of an operator's catalogue.
fn listing(line: &str) -> Sources {
    Sources { listed: vec![Listed::parse(line).unwrap()], ..Sources::default() }
}

fn prepare_listed(store: &Store, line: &str, name: &str) -> Result<Image, String> {
    let error = |error: ImageError| format!("{error}: {}", std::error::Error::source(&error).unwrap_or(&error));
    store.prepare(name, &listing(line), &mut |_| {}).map_err(error)
}

#[test]
fn an_operators_archive_is_loaded_if_its_sum_is_right_and_loaded_again_when_it_changes() {
    if !is_root() {
        return;
    }
    let (top, store) = fresh();
    let image = store.prepare("hello-world", &Sources::default(), &mut |_| {}).unwrap();
    let path = top.path().join("tools.tar");
    let saved = [Saved { image: image.clone(), names: image.names.clone() }];
    transfer::save(&store, &saved, Format::Docker, &mut fs::File::create(&path).unwrap()).unwrap();
    let digest = Digest::of(&fs::read(&path).unwrap());

    let (_other, store) = fresh();
    let wrong = format!("tools=archive:{}@{}", path.display(), Digest::of(b""));
    let error = prepare_listed(&store, &wrong, "tools").unwrap_err();
    assert!(error.contains("images.catalogue") && error.contains(&format!("its sum is {digest}")), "{error}");
    assert_eq!(store.find("tools"), None);

    let right = format!("tools=archive:{}@{digest}", path.display());
    let tools = prepare_listed(&store, &right, "tools").unwrap();
    assert_eq!(tools.id, image.id);
    assert_eq!(tools.names, ["tools".parse().unwrap()], "the archive's own names are not given to it");
    assert_eq!(tools.origin.stands_in_for.as_deref(), Some("hello-world"), "it still says what it is");
    let listed = store.list(&listing(&right).listed);
    assert!(matches!(listed.last(), Some(ImageInfo { name, state: ImageState::Ready { .. }, .. }) if name == "tools"));

    fs::remove_file(&path).unwrap();
    assert_eq!(prepare_listed(&store, &right, "tools").unwrap(), tools, "what is here is not asked for again");
    let error = prepare_listed(&store, &format!("tools=archive:{}", path.display()), "tools").unwrap_err();
    assert!(error.contains("tools.tar") && error.contains("No such file"), "{error}");
}

#[test]
fn an_operators_image_of_a_registry_comes_once_and_exactly_as_it_was_named() {
    if !is_root() {
        return;
    }
    let (_top, store) = fresh();
    let shelf = Shelf::image("1", &[b"hello"]);
    let digest = shelf.manifest.unwrap();
    let fake = Fake::answering(move |asked| shelf.answer(asked));
    let line = format!("nginx=registry:{}/web:1@{digest}", fake.address);
    let image = prepare_listed(&store, &line, "nginx").unwrap();
    assert!(image.layers[0].path.join("file0").is_file() && image.origin.stands_in_for.is_none());
    let asked = fake.lines().len();
    assert_eq!(prepare_listed(&store, &line, "nginx").unwrap(), image);
    assert_eq!(fake.lines().len(), asked, "it was asked for again");

    let other = format!("nginx=registry:{}/web:1@{}", fake.address, Digest::of(b""));
    let error = prepare_listed(&store, &other, "nginx").unwrap_err();
    assert!(error.contains("cannot prepare the image nginx"), "{error}");
    assert_eq!(store.find("nginx").map(|image| image.id), Some(image.id), "what is there stays");
}

#[test]
fn the_real_image_is_taken_only_where_the_operator_wants_it_asked_for() {
    if !is_root() {
        return;
    }
    let shelf = Shelf::image("latest", &[b"real"]);
    let real = shelf.config;
    let fake = Fake::answering(move |asked| {
        let line = asked.line.replace("/v2/library/hello-world/", "/v2/web/");
        shelf.answer(&Asked { line, ..asked.clone() })
    });
    let mirrors = vec![registry::Mirror::parse(&format!("http://{}", fake.address)).unwrap()];
    let access = Access { mirrors, ..Access::default() };
    let prepare = |real_within| {
        let (top, store) = fresh();
        let sources = Sources { access: access.clone(), real_within, ..Sources::default() };
        (store.prepare("hello-world", &sources, &mut |_| {}).unwrap(), top)
    };
    let (image, _top) = prepare(Duration::ZERO);
    assert_eq!(image.origin.stands_in_for.as_deref(), Some("docker.io/library/hello-world"));
    assert!(fake.lines().is_empty(), "a class without internet was made to wait");
    let (image, _top) = prepare(Duration::from_secs(20));
    assert_eq!((Some(image.id), image.origin.stands_in_for), (real, None));
}
