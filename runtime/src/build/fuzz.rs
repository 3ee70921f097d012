//! Any bytes as a Dockerfile, for the fuzz target `dockerfile` and for the gate's own seeded rounds.

use std::collections::BTreeMap;

use super::ignore::Ignore;
use super::key::{Parts, base_key};
use super::plan::{Plan, Wishes, images};
use super::scope::{Globals, Inputs, Platform};
use super::source::Problem;
use super::stages::Stages;
use super::steps::request::Network;
use crate::image::oci::RunConfig;

/// Reads bytes as a Dockerfile, plans it, and makes the keys of its steps; gives whether that could be done.
///
/// # Panics
///
/// Panics if the same bytes make two plans, or if a refusal says nothing. Whatever else is wrong ends in an error.
pub fn dockerfile(bytes: &[u8]) -> bool {
    let ignored = Ignore::parse(bytes).map(|ignore| (ignore.visit("src/main.c"), ignore.excludes("src/main.c")));
    assert_eq!(ignored, Ignore::parse(bytes).map(|ignore| (ignore.visit("src/main.c"), ignore.excludes("src/main.c"))));
    let planned = plan(bytes);
    match (&planned, &plan(bytes)) {
        (Ok(plan), Ok(again)) => assert_eq!(plan, again),
        (Err(problem), Err(again)) => {
            let words = problem.to_string();
            assert!(!words.is_empty() && words == again.to_string(), "{words:?}");
        }
        _ => panic!("the same bytes were a Dockerfile, and then none"),
    }
    planned.is_ok()
}

fn plan(bytes: &[u8]) -> Result<Plan, Problem> {
    let linux = Platform { os: "linux".into(), architecture: "amd64".into(), variant: String::new() };
    let wishes = Wishes {
        inputs: Inputs {
            arguments: [("VERSION".to_owned(), "1".to_owned())].into(),
            target: None,
            build_platform: linux.clone(),
            target_platform: linux,
        },
        labels: BTreeMap::new(),
        network: Network::Default,
        extra_hosts: Vec::new(),
    };
    let dockerfile = super::parse(bytes)?;
    let globals = Globals::new(&dockerfile, &wishes.inputs)?;
    let stages = Stages::resolve(&dockerfile, &globals, None)?;
    // Any name is the name of an image, and each has a trigger.
    let config = RunConfig { on_build: vec!["COPY . /app".into()], ..RunConfig::default() };
    let bases = images(&stages)?.0.into_iter().map(|name| (name, config.clone())).collect();
    let plan = Plan::new(&dockerfile, &globals, &stages, &wishes, &bases)?;
    for step in plan.stages.iter().flat_map(|stage| &stage.steps) {
        if let Some(request) = &step.request {
            Parts::of(request, base_key(&[]), None, &step.arguments, &step.uncounted).key();
        }
    }
    serde_json::to_string(&plan).expect("a plan has only texts, numbers and lists");
    Ok(plan)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::{Path, PathBuf};

    use super::*;
    use crate::numbers::Numbers;

    /// Enough to touch every instruction in many ways, and few enough for every run of the tests.
    const ROUNDS: usize = 6_000;

    /// Every Dockerfile that the tests have.
    fn seeds() -> Vec<Vec<u8>> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let folders = ["src/build/testdata", "src/build/plan/testdata", "../tests/builds/peer"];
        let mut files: Vec<PathBuf> = folders
            .iter()
            .flat_map(|folder| fs::read_dir(here.join(folder)).unwrap().flatten())
            .map(|case| case.path().join("Dockerfile"))
            .collect();
        files.sort();
        assert!(files.len() > 40, "{files:?}");
        files.iter().map(|file| fs::read(file).unwrap()).collect()
    }

    /// Wrong bytes, and words that mean something where they are not expected.
    fn mutate(text: &mut Vec<u8>, numbers: &mut Numbers) {
        const WORDS: &[&str] = &[
            "FROM ",
            "RUN ",
            "COPY --from=0 ",
            "ONBUILD ",
            "<<EOF",
            "EOF\n",
            "${",
            "}",
            "$",
            "\\\n",
            "`\n",
            "[\"",
            "\"]",
            "'",
            "--mount=type=cache,target=",
            "--chmod=",
            "=",
            "\n",
            "\t",
            "\0",
            "\u{feff}",
            "# escape=`\n",
            "*",
            "[",
            "..",
        ];
        for _ in 0..=numbers.below(5) {
            let at = numbers.below(text.len() + 1);
            let end = (at + numbers.below(40)).min(text.len());
            match numbers.below(5) {
                0 => drop(text.splice(at..at, numbers.of(WORDS).bytes())),
                1 => drop(text.splice(at..at, [numbers.below(256) as u8])),
                2 => drop(text.drain(at..end)),
                3 => {
                    let piece = text[at..end].to_vec();
                    let to = numbers.below(text.len() + 1);
                    text.splice(to..to, piece);
                }
                _ => drop(text.splice(at..end, numbers.of(WORDS).bytes())),
            }
        }
    }

    #[test]
    fn dockerfiles_with_wrong_bytes_never_panic_and_always_plan_the_same() {
        let (seeds, mut numbers) = (seeds(), Numbers(20_261_128));
        let (mut planned, mut refused) = (0, 0);
        for round in 0..ROUNDS {
            let mut text = seeds[round % seeds.len()].clone();
            mutate(&mut text, &mut numbers);
            match dockerfile(&text) {
                true => planned += 1,
                false => refused += 1,
            }
        }
        assert!(planned > 500 && refused > 500, "{planned} planned, {refused} refused");
    }
}
