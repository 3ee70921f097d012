//! `RUN`.

use crate::build::source::{Problem, Word};
use crate::build::syntax::Mark;

use super::command::command;
use super::read::Reader;
use super::{Command, MountFlag, Network, Run, Script, Security};

pub(super) fn run(reader: &mut Reader<'_>) -> Result<Run, Problem> {
    let flags = reader.flags(&["mount", "network", "security"])?;
    let mounts = flags.values("mount").map(|word| mount(&word)).collect::<Result<_, _>>()?;
    let network = flags.value("network").map(|word| network(&word)).transpose()?.unwrap_or_default();
    let security = flags.value("security").map(|word| security(&word)).transpose()?.unwrap_or_default();
    let command = match reader.node.heredocs.as_slice() {
        [] => {
            let text = reader.rest().to_owned();
            command(reader, &text)?
        }
        _ => with_heredocs(reader),
    };
    Ok(Run { command, mounts, network, security })
}

/// `<<EOF` alone means that the body is the command; beside a command, the shell reads the heredoc itself.
fn with_heredocs(reader: &Reader<'_>) -> Command {
    let heredocs = &reader.node.heredocs;
    if Mark::parse(reader.rest()).is_some() {
        let (name, body) = (heredocs[0].mark.name.clone(), heredocs[0].content());
        return match body.starts_with("#!") {
            true => Command::Script(Script { name, body }),
            false => Command::Shell(body),
        };
    }
    let mut text = reader.rest().to_owned();
    for heredoc in heredocs {
        text.push('\n');
        text.push_str(&heredoc.body.text);
        text.push_str(&heredoc.mark.name);
    }
    Command::Shell(text)
}

fn mount(word: &Word) -> Result<MountFlag, Problem> {
    let flag = MountFlag::parse(word)?;
    // What holds no variable is read at once, so that a mistake is found before anything is built.
    let has_variable = |value: &Option<Word>| value.as_ref().is_some_and(|word| word.text.contains('$'));
    if let Some(from) = flag.fields.iter().find(|field| field.key == "from" && has_variable(&field.value)) {
        let at = from.value.as_ref().map_or(flag.at, |word| word.at);
        return Err(Problem::new(at, "a mount's from cannot hold a variable")
            .advise("give the image a name with FROM … AS name, and mount from that"));
    }
    if !flag.fields.iter().any(|field| has_variable(&field.value)) {
        flag.resolve()?;
    }
    Ok(flag)
}

fn network(word: &Word) -> Result<Network, Problem> {
    match word.as_str() {
        "default" => Ok(Network::Default),
        "none" => Ok(Network::None),
        "host" => Ok(Network::Host),
        other => {
            Err(Problem::new(word.at, format!("RUN has no network {other}"))
                .advise("--network is default, none or host"))
        }
    }
}

fn security(word: &Word) -> Result<Security, Problem> {
    match word.as_str() {
        "sandbox" => Ok(Security::Sandbox),
        "insecure" => Ok(Security::Insecure),
        other => {
            Err(Problem::new(word.at, format!("RUN has no security {other}"))
                .advise("--security is sandbox or insecure"))
        }
    }
}
