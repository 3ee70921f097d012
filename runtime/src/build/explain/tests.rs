//! What people read when a step was not in the cache.

use super::super::key::Facet;
use super::*;
use crate::image::Digest;

fn fact(content: &str, mode: u32) -> FileFact {
    FileFact {
        kind: FileKind::File,
        mode,
        content: Some(Digest::of(content.as_bytes())),
        capability: None,
        owner: None,
    }
}

fn folder() -> FileFact {
    FileFact { kind: FileKind::Folder, mode: 0o755, content: None, capability: None, owner: None }
}

fn step() -> Parts {
    let facet = |is, value: &str| Facet { is, value: value.into() };
    Parts {
        parent: Some(Digest::of(b"parent")),
        base: None,
        facets: vec![
            facet(Aspect::Instruction, "COPY . ."),
            facet(Aspect::Argument("VERSION".into()), "1"),
            facet(Aspect::Variable("PATH".into()), "/bin"),
            facet(Aspect::Setting("the working directory".into()), "/src"),
        ],
        files: [("cmd", folder()), ("cmd/client/main.go", fact("a", 0o644)), ("run.sh", fact("b", 0o755))]
            .map(|(name, fact)| (name.to_owned(), fact))
            .into(),
    }
}

#[track_caller]
fn check(change: impl Fn(&mut Parts), words: &str) {
    let mut now = step();
    change(&mut now);
    assert_eq!(line(&explain(&now, Some(&step()), None)), words);
}

#[test]
fn one_file_is_named() {
    check(
        |now| {
            now.files.insert("cmd/client/main.go".into(), fact("c", 0o644));
        },
        "cmd/client/main.go changed",
    );
    check(
        |now| {
            now.files.insert("run.sh".into(), fact("b", 0o644));
        },
        "mode of run.sh changed",
    );
    check(
        |now| {
            now.files.insert("x".into(), fact("b", 0o644));
        },
        "new file x",
    );
    check(
        |now| {
            now.files.remove("run.sh");
        },
        "removed file run.sh",
    );
}

#[test]
fn of_many_files_a_few_are_named_and_the_rest_counted() {
    let add = |now: &mut Parts| {
        now.files.insert("new".into(), folder());
        for number in 0..15 {
            now.files.insert(format!("new/{number:02}"), fact("n", 0o644));
        }
    };
    check(add, "15 new files: new/00, new/01, new/02 and 12 more");
    let two = |now: &mut Parts| {
        now.files.insert("cmd/client/main.go".into(), fact("x", 0o644));
        now.files.insert("run.sh".into(), fact("x", 0o755));
    };
    check(two, "2 files changed: cmd/client/main.go, run.sh");
}

#[test]
fn a_file_name_cannot_write_to_the_terminal() {
    check(
        |now| {
            now.files.insert("\u{1b}[2Jx\n".into(), fact("", 0o644));
        },
        "new file \\u{1b}[2Jx\\n",
    );
}

#[test]
fn what_else_changed_is_told_by_its_kind() {
    check(|now| now.facets[0].value = "COPY src .".into(), "the instruction changed: was `COPY . .`");
    check(|now| now.facets[1].value = "2".into(), "build argument VERSION changed");
    check(|now| drop(now.facets.remove(2)), "variable PATH changed");
    check(|now| now.facets[3].value = "/".into(), "the working directory changed");
    check(|_| {}, "built before, but its result is gone from the cache");
}

#[test]
fn a_base_is_told_by_its_name() {
    let on = |base: &str, layers: &str| Parts {
        parent: Some(Digest::of(layers.as_bytes())),
        base: Some(base.into()),
        ..step()
    };
    let words = |now: &Parts, was: &Parts| line(&explain(now, Some(was), None));
    assert_eq!(words(&on("alpine", "b"), &on("alpine", "a")), "the base image alpine changed");
    assert_eq!(words(&on("alpine:3", "b"), &on("alpine", "a")), "the base image is alpine:3, was alpine");
}

#[test]
fn a_step_follows_the_one_that_was_missed_before_it() {
    let before = Before { step: "4/7".into(), part: 5 };
    let mut now = step();
    now.parent = Some(Digest::of(b"another"));
    assert_eq!(line(&explain(&now, Some(&step()), Some(&before))), "follows step 4/7");
    now.files.insert("x".into(), fact("x", 0o644));
    assert_eq!(line(&explain(&now, Some(&step()), Some(&before))), "follows step 4/7; new file x");
    assert_eq!(line(&explain(&now, None, Some(&before))), "follows step 4/7");
    assert_eq!(line(&explain(&now, None, None)), "never built before");
}
