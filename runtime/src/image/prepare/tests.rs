//! Stories of the catalogue: two preparers, a crash, a recipe that cannot be followed.

use std::fs;
use std::path::Path;

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
    let images = store.list();
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
        format!("there is no image called \"postgres:16\" here; the catalogue offers {}", catalogue::names())
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
    let learner = store.list().into_iter().find(|image| image.name == "learner").unwrap();
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
