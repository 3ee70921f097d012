//! Contexts on a real file system: no root needed.

use std::fs;
use std::os::unix::fs::symlink;

use super::*;

fn keep_all(_: &Name, _: bool) -> Verdict {
    Verdict::Keep
}

fn open(path: &Path, stamps: Stamps) -> Context {
    Context::open(path, stamps, &mut keep_all, &|| false).unwrap()
}

fn files(context: &Context) -> Vec<Name> {
    context.entries().keys().cloned().collect()
}

/// Puts every time of the tree far enough into the past that its digests may be remembered.
fn wait_until_not_racy(stamps: &mut Stamps, context: &Context) {
    for name in files(context) {
        let entry = &context.entries()[&name];
        if let Kind::File(Some(digest)) = entry.kind {
            stamps.remember(&name, entry.stamp, digest, i64::MAX);
        }
    }
}

#[test]
fn a_context_lists_files_folders_and_links_and_follows_none() {
    let folder = tempfile::tempdir().unwrap();
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    fs::create_dir(folder.path().join("src")).unwrap();
    fs::write(folder.path().join("src/main.go"), "package main").unwrap();
    symlink(outside.path(), folder.path().join("out")).unwrap();
    let mut context = open(folder.path(), Stamps::default());
    let names = files(&context);
    context.know(&names).unwrap();
    assert_eq!(names, [Name::of("out"), Name::of("src"), Name::of("src/main.go")]);
    assert_eq!(context.entries()[&Name::of("src/main.go")].kind, Kind::File(Some(Digest::of(b"package main"))));
    assert!(matches!(context.entries()[&Name::of("out")].kind, Kind::Link(_)));
}

#[test]
fn an_ignored_folder_is_not_even_read_and_an_exception_brings_its_folder_back() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["vendor", "docs"] {
        fs::create_dir(folder.path().join(name)).unwrap();
        fs::write(folder.path().join(name).join("a"), "a").unwrap();
        fs::write(folder.path().join(name).join("keep"), "keep").unwrap();
    }
    let mut asked = Vec::new();
    let mut judge = |name: &Name, _: bool| {
        asked.push(name.to_string());
        match name.to_string().as_str() {
            "/vendor" => Verdict::DropAll,
            "/docs" | "/docs/a" => Verdict::Drop,
            _ => Verdict::Keep,
        }
    };
    let context = Context::open(folder.path(), Stamps::default(), &mut judge, &|| false).unwrap();
    assert_eq!(files(&context), [Name::of("docs"), Name::of("docs/keep")]);
    assert!(!asked.iter().any(|name| name.starts_with("/vendor/")), "{asked:?}");
}

#[test]
fn what_has_not_changed_is_not_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let cache = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c d"] {
        fs::write(folder.path().join(name), name).unwrap();
    }
    let mut first = open(folder.path(), Stamps::default());
    let names = files(&first);
    first.know(&names).unwrap();
    assert_eq!((first.read.hashed_files, first.read.hashed_bytes), (3, 5));
    let mut stamps = Stamps::default();
    wait_until_not_racy(&mut stamps, &first);
    let kept = cache.path().join("stamps");
    stamps.save(&kept).unwrap();

    fs::write(folder.path().join("b"), "B").unwrap();
    let mut second = open(folder.path(), Stamps::load(&kept));
    second.know(&names).unwrap();
    assert_eq!((second.read.entries, second.read.hashed_files), (3, 1));
    assert_eq!(second.entries()[&Name::of("b")].kind, Kind::File(Some(Digest::of(b"B"))));
    assert_eq!(second.entries()[&Name::of("c d")].kind, Kind::File(Some(Digest::of(b"c d"))));
}

#[test]
fn a_file_that_was_written_a_moment_ago_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    let mut context = open(folder.path(), Stamps::default());
    context.know(&[Name::of("a")]).unwrap();
    assert_eq!(context.stamps().digest(&Name::of("a"), &context.entries()[&Name::of("a")].stamp), None);
}

#[test]
fn a_damaged_cache_is_an_empty_one() {
    let cache = tempfile::tempdir().unwrap();
    let kept = cache.path().join("stamps");
    for damage in [&b"something else"[..], b"quayside context 1\0not a record\0\0", b""] {
        fs::write(&kept, damage).unwrap();
        assert!(Stamps::load(&kept).known.is_empty());
    }
}

#[test]
fn a_file_that_changes_while_the_build_runs_is_noticed() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("a"), "a").unwrap();
    let mut context = open(folder.path(), Stamps::default());
    context.know(&[Name::of("a")]).unwrap();
    context.check_unchanged(&Name::of("a")).unwrap();
    fs::write(folder.path().join("a"), "changed").unwrap();
    let error = context.check_unchanged(&Name::of("a")).unwrap_err();
    assert!(error.to_string().contains("/a of the context changed"), "{error}");
}

#[test]
fn a_context_that_is_no_folder_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("file");
    fs::write(&file, "").unwrap();
    let error = Context::open(&file, Stamps::default(), &mut keep_all, &|| false).unwrap_err();
    assert!(matches!(error, ContextError::Open { .. }), "{error}");
}

#[test]
fn a_list_that_nobody_wants_any_more_is_given_up_in_the_middle() {
    let folder = tempfile::tempdir().unwrap();
    (0..100).for_each(|number| fs::write(folder.path().join(number.to_string()), "").unwrap());
    let seen = std::cell::Cell::new(0);
    let mut judge = |_: &Name, _: bool| {
        seen.set(seen.get() + 1);
        Verdict::Keep
    };
    let error = Context::open(folder.path(), Stamps::default(), &mut judge, &|| seen.get() == 10).unwrap_err();
    assert!(matches!(error, ContextError::Stopped) && seen.get() == 10, "{error}");
}
