//! Which stages a target needs, and which Dockerfiles have none.

use super::*;
use crate::build::parse;
use crate::build::scope::{Inputs, Platform};

fn stages(text: &str, target: Option<&str>) -> Result<Stages, Problem> {
    let dockerfile = parse(text.as_bytes())?;
    let platform = Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() };
    let inputs = Inputs {
        arguments: Default::default(),
        target: target.map(str::to_owned),
        build_platform: platform.clone(),
        target_platform: platform,
    };
    let globals = Globals::new(&dockerfile, &inputs)?;
    Stages::resolve(&dockerfile, &globals, target)
}

fn refused(text: &str, target: Option<&str>) -> String {
    stages(text, target).unwrap_err().to_string()
}

const FOUR: &str =
    "FROM a AS base\nFROM base AS Build\nFROM b AS unused\nFROM scratch\nCOPY --from=build /x /\nCOPY --from=c:1 /y /";

#[test]
fn a_target_needs_what_it_starts_and_copies_from() {
    let found = stages(FOUR, None).unwrap();
    assert_eq!((found.target, found.order.as_slice()), (3, [0, 1, 3].as_slice()));
    assert_eq!(found.list[1].base, Base::Stage(0));
    assert_eq!(found.list[0].base, Base::Image("a".into()));
    assert_eq!(found.list[3].base, Base::Scratch);
    assert_eq!(found.list[3].needs, [1]);
    assert_eq!(stages(FOUR, Some("BASE")).unwrap().order, [0]);
    assert_eq!(stages(FOUR, Some("2")).unwrap().order, [2]);
}

#[test]
fn from_is_a_stage_a_number_an_image_or_nothing() {
    let found = stages(FOUR, None).unwrap();
    let origin = |text: &str| found.origin(Some(&Word::new(text, Default::default())), 3);
    assert_eq!(found.origin(None, 3), Ok(Origin::Context));
    assert_eq!(origin("BUILD"), Ok(Origin::Stage(1)));
    assert_eq!(origin("2"), Ok(Origin::Stage(2)));
    assert_eq!(origin("c:1"), Ok(Origin::Image("c:1".into())));
    assert_eq!(origin("scratch"), Ok(Origin::Scratch));
    assert_eq!(origin("4").unwrap_err().words(), "invalid stage index 4; the stages are 0 to 3");
    assert!(found.origin(Some(&Word::new("unused", Default::default())), 1).is_err());
}

#[test]
fn mounts_need_stages_too() {
    let text =
        "FROM a AS tools\nFROM b\nRUN --mount=from=tools,target=/t x\nRUN --mount=type=cache,from=img,target=/c y";
    assert_eq!(stages(text, None).unwrap().order, [0, 1]);
}

#[test]
fn variables_in_from_are_global_arguments() {
    let text = "ARG V=3 NAME=base\nFROM a:$V AS base\nFROM --platform=$TARGETPLATFORM ${NAME}";
    let found = stages(text, None).unwrap();
    assert_eq!(found.list[0].base, Base::Image("a:3".into()));
    assert_eq!(found.list[1].base, Base::Stage(0));
    assert_eq!(found.list[1].platform.as_deref(), Some("linux/amd64"));
    let found = stages("ARG VERSION=3\nFROM a:$VERSOIN", None).unwrap();
    assert_eq!(
        found.warnings[0].to_string(),
        "line 2: no ARG above the first FROM declares $VERSOIN; did you mean $VERSION? (UndefinedArgInFrom)"
    );
}

#[test]
fn of_two_stages_with_one_name_the_later_counts() {
    let text = "FROM a AS x\nFROM x AS x\nFROM x\nCOPY --from=x /a /b";
    let found = stages(text, None).unwrap();
    assert_eq!(found.list[1].base, Base::Stage(0));
    assert_eq!(found.list[2].needs, [1]);
}

#[test]
fn circles_and_references_forward_are_refused_in_docker_s_words() {
    let messages = [
        refused("FROM a AS x\nCOPY --from=x /a /b", None),
        refused("FROM a AS x\nCOPY --from=y /a /b\nFROM x AS y", None),
        refused("FROM a AS x\nCOPY --from=1 /a /b\nFROM b AS y\nFROM x", None),
        refused("FROM a\nCOPY --from=7 /a /b", None),
        refused("FROM a AS build", Some("biuld")),
        refused("FROM a", Some("x")),
        refused("ARG X\nFROM $X", None),
        refused("FROM --platform=$X a", None),
    ];
    insta::assert_snapshot!(messages.join("\n\n"));
    // What nobody needs may refer forward, as in Docker.
    assert!(stages("FROM a AS x\nCOPY --from=y /a /b\nFROM b AS y", None).is_ok());
}

#[test]
fn a_chain_as_long_as_a_file_can_be_is_walked_without_recursion() {
    let links: String = (1..4096).map(|number| format!("FROM s{} AS s{number}\n", number - 1)).collect();
    let found = stages(&format!("FROM a AS s0\n{links}"), None).unwrap();
    assert_eq!(found.order.len(), 4096);
}
