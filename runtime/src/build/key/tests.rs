//! A key changes exactly when what a step's result depends on changes.

use proptest::prelude::*;

use super::super::steps::request::{Network, Origin, Security, Verb};
use super::*;

fn copy_all() -> CopyRequest {
    CopyRequest {
        verb: Verb::Copy,
        origin: Origin::Context,
        sources: vec![CopySource::Path(".".into())],
        target: ".".into(),
        workdir: "/src".into(),
        chown: None,
        chmod: None,
        parents: false,
        excludes: Vec::new(),
        link: false,
        unpack_local: false,
        unpack_fetched: false,
        checksum: None,
        keep_git_dir: false,
    }
}

fn run(text: &str) -> RunRequest {
    RunRequest {
        args: vec!["/bin/sh".into(), "-c".into(), text.into()],
        script: None,
        env: vec![("PATH".into(), "/bin".into()), ("VERSION".into(), "1".into()), ("HTTP_PROXY".into(), "a".into())],
        user: String::new(),
        workdir: "/".into(),
        mounts: Vec::new(),
        network: Network::Default,
        security: Security::Sandbox,
        hostname: String::new(),
        extra_hosts: Vec::new(),
    }
}

fn parts(request: Request) -> Parts {
    Parts::of(&request, Digest::of(b"parent"), None, &["VERSION".into()], &["HTTP_PROXY".into()])
}

fn fact(content: &str, mode: u32) -> FileFact {
    FileFact {
        kind: FileKind::File,
        mode,
        content: Some(Digest::of(content.as_bytes())),
        capability: None,
        owner: None,
    }
}

fn with_files(files: &[(&str, FileFact)]) -> Parts {
    let mut parts = parts(Request::Copy(copy_all()));
    parts.files = files.iter().map(|(name, fact)| ((*name).to_owned(), fact.clone())).collect();
    parts
}

#[test]
fn a_proxy_is_not_counted_and_an_argument_is() {
    let key = |change: &dyn Fn(&mut RunRequest)| {
        let mut run = run("make");
        change(&mut run);
        parts(Request::Run(run)).key()
    };
    let as_it_was = key(&|_| {});
    assert_eq!(as_it_was, key(&|run| run.env[2].1 = "b".into()));
    assert_ne!(as_it_was, key(&|run| run.env[1].1 = "2".into()));
    assert_ne!(as_it_was, key(&|run| run.env[0].1 = "/usr/bin".into()));
    assert_ne!(as_it_was, key(&|run| run.workdir = "/src".into()));
    assert_ne!(as_it_was, key(&|run| run.network = Network::None));
}

#[test]
fn a_linked_copy_does_not_depend_on_what_is_below_it() {
    let key = |link: bool, parent: &[u8]| {
        let request = Request::Copy(CopyRequest { link, ..copy_all() });
        Parts::of(&request, Digest::of(parent), None, &[], &[]).key()
    };
    assert_eq!(key(true, b"a"), key(true, b"b"));
    assert_ne!(key(false, b"a"), key(false, b"b"));
}

#[test]
fn words_that_are_split_elsewhere_are_another_command() {
    let key = |args: &[&str]| {
        let args = args.iter().map(|word| (*word).to_owned()).collect();
        parts(Request::Run(RunRequest { args, ..run("") })).key()
    };
    assert_ne!(key(&["a b"]), key(&["a", "b"]));
    assert_ne!(key(&["a", ""]), key(&["a"]));
    assert_ne!(key(&["\"a"]), key(&["\\\"a"]));
}

#[test]
fn names_that_are_no_utf8_stay_apart() {
    let name = |bytes: &[u8]| file_name(&Name::parse(bytes).unwrap());
    assert_eq!(name(b"a\xff"), "a\\xff");
    assert_ne!(name(b"a\xff"), name(b"a\xfe"));
    assert_ne!(name(b"a\xff"), name(b"a\\xff"));
}

#[test]
fn parts_are_read_back_as_they_were_written() {
    let parts = with_files(&[("a", fact("a", 0o644))]);
    let text = serde_json::to_string(&parts).unwrap();
    let again: Parts = serde_json::from_str(&text).unwrap();
    assert_eq!(again, parts);
    assert_eq!(again.key(), parts.key());
}

/// Something that somebody does to a source tree.
#[derive(Debug, Clone)]
enum Edit {
    Content(usize, String),
    Mode(usize, u32),
    Rename(usize, String),
    Remove(usize),
    Add(String, String),
    ToLink(usize, String),
}

fn edits() -> impl Strategy<Value = Edit> {
    let (index, text) = (0usize..8, "[a-z/]{1,6}");
    prop_oneof![
        (index.clone(), text).prop_map(|(index, text)| Edit::Content(index, text)),
        (index.clone(), 0u32..0o7777).prop_map(|(index, mode)| Edit::Mode(index, mode)),
        (index.clone(), text).prop_map(|(index, text)| Edit::Rename(index, text)),
        index.clone().prop_map(Edit::Remove),
        (text, text).prop_map(|(name, text)| Edit::Add(name, text)),
        (index, text).prop_map(|(index, text)| Edit::ToLink(index, text)),
    ]
}

fn apply(files: &BTreeMap<String, FileFact>, edit: &Edit) -> BTreeMap<String, FileFact> {
    let mut edited = files.clone();
    let name = |index: usize| files.keys().nth(index % files.len().max(1)).cloned();
    match edit {
        Edit::Content(index, text) => {
            if let Some(fact) = name(*index).and_then(|name| edited.get_mut(&name)) {
                fact.content = Some(Digest::of(text.as_bytes()));
            }
        }
        Edit::Mode(index, mode) => {
            if let Some(fact) = name(*index).and_then(|name| edited.get_mut(&name)) {
                fact.mode = *mode;
            }
        }
        Edit::Rename(index, to) => {
            if let Some((_, fact)) = name(*index).and_then(|name| edited.remove_entry(&name)) {
                edited.insert(to.clone(), fact);
            }
        }
        Edit::Remove(index) => {
            name(*index).and_then(|name| edited.remove(&name));
        }
        Edit::Add(name, text) => {
            edited.insert(name.clone(), fact(text, 0o644));
        }
        Edit::ToLink(index, to) => {
            if let Some(fact) = name(*index).and_then(|name| edited.get_mut(&name)) {
                fact.kind = FileKind::Link;
                fact.content = Some(Digest::of(to.as_bytes()));
            }
        }
    }
    edited
}

proptest! {
    #[test]
    fn the_key_changes_exactly_when_the_files_do(
        tree in proptest::collection::btree_map("[a-z/]{1,6}", ("[a-z]{0,4}", 0u32..0o7777), 0..8),
        edit in edits(),
    ) {
        let files: BTreeMap<String, FileFact> =
            tree.into_iter().map(|(name, (text, mode))| (name, fact(&text, mode))).collect();
        let edited = apply(&files, &edit);
        let key = |files: &BTreeMap<String, FileFact>| {
            let mut parts = parts(Request::Copy(copy_all()));
            parts.files = files.clone();
            parts.key()
        };
        prop_assert_eq!(key(&files) == key(&edited), files == edited);
    }
}
