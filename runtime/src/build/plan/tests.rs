//! Plans of whole Dockerfiles: golden folders in `testdata`, and what makes a plan fail.

use std::fs;
use std::path::{Path, PathBuf};

use super::*;
use crate::build::dockerfile::parse;
use crate::build::scope::Platform;

fn wishes(arguments: &[(&str, &str)], target: Option<&str>) -> Wishes {
    let linux = Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() };
    Wishes {
        inputs: Inputs {
            arguments: arguments.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            target: target.map(str::to_owned),
            build_platform: linux.clone(),
            target_platform: linux,
        },
        labels: BTreeMap::new(),
        network: Network::Default,
        extra_hosts: Vec::new(),
    }
}

/// Base images of the cases: one like Docker's golang, one with triggers.
fn bases() -> BTreeMap<String, RunConfig> {
    let golang = RunConfig {
        env: vec!["PATH=/go/bin:/usr/local/go/bin:/usr/bin:/bin".into(), "GOLANG_VERSION=1.20".into()],
        cmd: Some(vec!["/bin/sh".into()]),
        working_dir: "/go".into(),
        ..RunConfig::default()
    };
    let onbuild = RunConfig { on_build: vec!["COPY . /app".into(), "RUN make".into()], ..RunConfig::default() };
    [("golang:1.20-alpine", golang), ("onbuild", onbuild)].map(|(name, config)| (name.to_owned(), config)).into()
}

fn plan(dockerfile: &str, wishes: &Wishes) -> Result<Plan, Problem> {
    let dockerfile = parse(dockerfile.as_bytes())?;
    let globals = Globals::new(&dockerfile, &wishes.inputs)?;
    let stages = Stages::resolve(&dockerfile, &globals, wishes.inputs.target.as_deref())?;
    Plan::new(&dockerfile, &globals, &stages, wishes, &bases())
}

#[test]
fn every_case_is_planned_as_expected() {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/build/plan/testdata");
    let mut cases: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() >= 4, "{cases:?}");
    for case in cases {
        let planned = plan(&fs::read_to_string(case.join("Dockerfile")).unwrap(), &wishes_of(&case)).unwrap();
        let mut settings = insta::Settings::clone_current();
        settings.set_snapshot_path(&case);
        settings.set_prepend_module_to_snapshot(false);
        settings.set_omit_expression(true);
        settings.bind(|| insta::assert_snapshot!("plan", serde_json::to_string_pretty(&planned).unwrap()));
    }
}

/// `arguments` of a case: a `NAME=VALUE` a line, `target=STAGE` for the target.
fn wishes_of(case: &Path) -> Wishes {
    let text = fs::read_to_string(case.join("arguments")).unwrap_or_default();
    let pairs: Vec<(&str, &str)> = text.lines().filter_map(|line| line.split_once('=')).collect();
    let (target, arguments): (Vec<_>, Vec<_>) = pairs.into_iter().partition(|(name, _)| *name == "target");
    wishes(&arguments, target.first().map(|(_, stage)| *stage))
}

#[test]
fn an_entrypoint_takes_back_the_command_of_the_base_and_not_ones_own() {
    let cmd = |text: &str| {
        let plan = plan(text, &wishes(&[], None)).unwrap();
        plan.target_stage().config.cmd.clone()
    };
    assert_eq!(cmd("FROM golang:1.20-alpine\nENTRYPOINT [\"/server\"]"), None);
    let own = "FROM golang:1.20-alpine\nCMD [\"--help\"]\nENTRYPOINT [\"/server\"]";
    assert_eq!(cmd(own), Some(vec!["--help".to_owned()]));
}

#[test]
fn working_directories_are_joined_as_a_shell_would() {
    assert_eq!(join("/src", "a/../b"), "/src/b");
    assert_eq!(join("/src", "/b"), "/b");
    assert_eq!(join("", "b"), "/b");
    assert_eq!(join("/", "../.."), "/");
}

#[test]
fn arguments_that_nobody_asks_for_are_told() {
    let arguments = [("VERSION", "1"), ("VERSOIN", "2"), ("HTTP_PROXY", "x"), ("TARGETOS", "linux")];
    let plan = plan("FROM scratch\nARG VERSION", &wishes(&arguments, None)).unwrap();
    assert_eq!(plan.unused_arguments, ["VERSOIN"]);
}

#[test]
fn an_epoch_that_is_no_time_says_so() {
    let error = plan("FROM scratch", &wishes(&[("SOURCE_DATE_EPOCH", "yesterday")], None)).unwrap_err();
    assert!(error.to_string().contains("SOURCE_DATE_EPOCH cannot be \"yesterday\""), "{error}");
}
