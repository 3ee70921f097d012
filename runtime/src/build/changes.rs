//! Instructions without a build: what they make of the config of an image whose files come from elsewhere.

use std::collections::BTreeMap;

use super::dockerfile::{Stage, parse};
use super::instruction::Instruction;
use super::plan::{DEFAULT_PATH, Plan, Wishes};
use super::scope::{Globals, Inputs, Platform};
use super::source::Problem;
use super::stages::Stages;
use super::steps::request::Network;
use crate::image::oci::{self, RunConfig};

/// What an image begins with whose files are somebody else's business.
const NOTHING: &str = "FROM scratch\n";

/// Why a change is not made.
#[derive(Debug, thiserror::Error)]
pub enum ChangeError {
    #[error("cannot read the change {text:?}: {}", .why.words())]
    Problem { text: String, why: Problem },
    #[error(
        "the change {text:?} is refused: {name} is for a build; here go CMD, ENTRYPOINT, ENV, EXPOSE, HEALTHCHECK, LABEL, ONBUILD, STOPSIGNAL, USER, VOLUME and WORKDIR"
    )]
    Build { text: String, name: &'static str },
}

/// The config that these instructions make, each as it would stand in a Dockerfile that begins with nothing.
pub fn config_of(changes: &[String]) -> Result<RunConfig, ChangeError> {
    let mut dockerfile = NOTHING.to_owned();
    for text in changes {
        let alone = parse(format!("{NOTHING}{text}\n").as_bytes());
        let alone = alone.map_err(|why| ChangeError::Problem { text: text.clone(), why })?;
        let [Stage { steps, .. }] = &alone.stages[..] else {
            return Err(ChangeError::Build { text: text.clone(), name: "FROM" });
        };
        for step in steps {
            if !is_of_config(&step.instruction) {
                return Err(ChangeError::Build { text: text.clone(), name: step.instruction.name() });
            }
            dockerfile.push_str(&step.text);
            dockerfile.push('\n');
        }
    }
    planned(&dockerfile).map_err(|why| ChangeError::Problem { text: changes.join("; "), why })
}

fn planned(dockerfile: &str) -> Result<RunConfig, Problem> {
    let host = oci::Platform::host();
    let platform = Platform { os: host.os, architecture: host.architecture, variant: host.variant.unwrap_or_default() };
    let inputs = Inputs {
        arguments: BTreeMap::new(),
        target: None,
        build_platform: platform.clone(),
        target_platform: platform,
    };
    let wishes = Wishes { inputs, labels: BTreeMap::new(), network: Network::Default, extra_hosts: Vec::new() };
    let dockerfile = parse(dockerfile.as_bytes())?;
    let globals = Globals::new(&dockerfile, &wishes.inputs)?;
    let stages = Stages::resolve(&dockerfile, &globals, None)?;
    let plan = Plan::new(&dockerfile, &globals, &stages, &wishes, &BTreeMap::new())?;
    let mut config = plan.target_stage().config.clone();
    // What a build gives an image that has neither: here nobody asked for it, and a container has both anyway.
    let unasked = format!("PATH={DEFAULT_PATH}");
    config.env.retain(|variable| *variable != unasked);
    if config.working_dir == "/" {
        config.working_dir.clear();
    }
    Ok(config)
}

/// As `docker import` has them.
fn is_of_config(instruction: &Instruction) -> bool {
    matches!(
        instruction,
        Instruction::Cmd(_)
            | Instruction::Entrypoint(_)
            | Instruction::Env(_)
            | Instruction::Expose(_)
            | Instruction::Healthcheck(_)
            | Instruction::Label(_)
            | Instruction::Onbuild(_)
            | Instruction::StopSignal(_)
            | Instruction::User(_)
            | Instruction::Volume(_)
            | Instruction::Workdir(_)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(changes: &[&str]) -> Result<RunConfig, String> {
        let changes: Vec<String> = changes.iter().map(|text| (*text).to_owned()).collect();
        config_of(&changes).map_err(|error| error.to_string())
    }

    #[test]
    fn changes_are_instructions_one_after_the_other() {
        let changes = [
            "ENV HOME=/srv NAME=web",
            "env PATH=/bin:$HOME/bin",
            "WORKDIR /srv",
            "WORKDIR data",
            "USER 33:33",
            "EXPOSE 80 53/udp",
            "VOLUME /var/lib/web",
            "LABEL a=b c=\"d e\"",
            "ENTRYPOINT [\"/bin/web\"]",
            "CMD web --port 80",
            "STOPSIGNAL SIGQUIT",
        ];
        let made = config(&changes).unwrap();
        assert_eq!(made.env, ["PATH=/bin:/srv/bin", "HOME=/srv", "NAME=web"]);
        assert_eq!((&*made.working_dir, &*made.user), ("/srv/data", "33:33"));
        assert_eq!(made.exposed_ports.keys().collect::<Vec<_>>(), ["53/udp", "80/tcp"]);
        assert_eq!(made.labels["c"], "d e");
        assert_eq!(made.entrypoint.unwrap(), ["/bin/web"]);
        assert_eq!(made.cmd.unwrap(), ["/bin/sh", "-c", "web --port 80"]);
        assert_eq!(config(&[]).unwrap(), RunConfig::default());
    }

    #[test]
    fn what_only_a_build_can_do_is_refused_with_what_can_be_done() {
        for text in ["RUN true", "COPY a /a", "FROM x", "ARG A=1", "SHELL [\"/bin/bash\"]"] {
            let said = config(&["USER 1", text]).unwrap_err();
            assert!(said.contains(text.split(' ').next().unwrap()), "{said}");
        }
        assert!(config(&["CMD x\nRUN y"]).unwrap_err().contains("RUN is for a build"), "two at once");
        assert!(config(&["EXPOSE many"]).unwrap_err().contains("EXPOSE many"));
        assert!(config(&["BAKE x"]).unwrap_err().contains("BAKE"));
    }
}
