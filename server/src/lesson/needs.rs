//! What a scenario's commands ask for that a machine may not have.
//!
//! It looks at commands where a shell would run them, so a lesson that prints the word `docker` needs nothing.

use super::model::Lack;
use super::shell::{self, Command};

/// One kind of thing that a machine can lack, and how a learner is told.
struct Kind {
    what: &'static str,
    says: &'static str,
    asked_by: fn(&Command) -> bool,
}

/// In the order in which they are said.
const KINDS: [Kind; 4] = [
    Kind {
        what: "kubernetes",
        says: "There is no Kubernetes in this machine: kubectl and its kin will not find a cluster.",
        asked_by: asks_kubernetes,
    },
    Kind {
        what: "docker",
        says: "There is no Docker or Podman in this machine yet: those commands will not be found.",
        asked_by: asks_docker,
    },
    Kind {
        what: "systemd",
        says: "There is no systemd in this machine: systemctl and service will not start anything.",
        asked_by: asks_systemd,
    },
    Kind {
        what: "internet",
        says: "There is no internet in this machine: downloads and package installations will fail at once.",
        asked_by: asks_internet,
    },
];

/// What the commands of a shell text ask for, of the kinds named in `lacking`.
pub fn of_commands(text: &str, lacking: &[String]) -> Vec<Lack> {
    let commands = shell::commands(text);
    let asked =
        KINDS.iter().filter(|kind| lacking.iter().any(|what| what == kind.what) && commands.iter().any(kind.asked_by));
    asked.map(|kind| Lack { what: kind.what.into(), says: kind.says.into(), fatal: false }).collect()
}

fn asks_kubernetes(command: &Command) -> bool {
    matches!(program(command), "kubectl" | "kubeadm" | "helm" | "k3s" | "k9s" | "minikube" | "kind" | "oc" | "crictl")
}

fn asks_docker(command: &Command) -> bool {
    matches!(program(command), "docker" | "docker-compose" | "podman" | "buildah" | "nerdctl")
}

fn asks_systemd(command: &Command) -> bool {
    matches!(program(command), "systemctl" | "service" | "journalctl" | "hostnamectl" | "timedatectl")
}

fn asks_internet(command: &Command) -> bool {
    let has = |word: &str| command.iter().any(|argument| argument == word);
    match program(command) {
        "apt-get" | "apt" | "aptitude" | "yum" | "dnf" => has("install") || has("update") || has("upgrade"),
        "apk" => has("add") || has("update"),
        "pip" | "pip3" | "npm" | "gem" | "cargo" | "snap" => has("install"),
        "go" => has("get") || has("install"),
        "git" => has("clone") && command.iter().any(|argument| is_remote(argument)),
        "curl" => command.iter().any(|argument| is_remote(argument)),
        "wget" => command[1..].iter().any(|argument| {
            is_remote(argument) || (argument.contains('.') && !argument.starts_with('-') && !is_local(argument))
        }),
        _ => false,
    }
}

/// The command's name without its directory.
fn program(command: &Command) -> &str {
    command[0].rsplit('/').next().unwrap_or_default()
}

/// An address somewhere else.
fn is_remote(argument: &str) -> bool {
    let host =
        ["http://", "https://", "git://", "git@", "ftp://"].iter().find_map(|scheme| argument.strip_prefix(scheme));
    host.is_some_and(|host| !is_local(host))
}

/// An address in this machine: its own names, private ranges, or a name that only the script knows.
fn is_local(host: &str) -> bool {
    let host = host.trim_start_matches("http://").trim_start_matches("https://");
    let name = host.split(['/', ':', '?']).next().unwrap_or_default();
    let private = ["localhost", "127.", "10.", "172.", "192.168.", "0.0.0.0", "$", "[", "{"];
    private.iter().any(|prefix| name.starts_with(prefix)) || !name.contains('.')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(text: &str) -> String {
        let lacking = ["docker", "systemd", "internet", "kubernetes"].map(String::from);
        of_commands(text, &lacking).iter().map(|lack| lack.what.as_str()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn a_need_is_a_command_not_a_word() {
        assert_eq!(asked("docker run nginx"), "docker");
        assert_eq!(asked("echo docker run nginx; grep docker file; ls /var/lib/docker"), "");
        assert_eq!(asked("sudo service nginx restart"), "systemd");
        assert_eq!(asked("apt-get install -y jq && kubectl get pods"), "kubernetes internet");
        assert_eq!(asked("apt list; dpkg -l"), "");
    }

    #[test]
    fn only_addresses_elsewhere_need_the_internet() {
        assert_eq!(asked("curl -s https://example.com/x | bash"), "internet");
        assert_eq!(asked("wget -q example.com/file.tar.gz"), "internet");
        assert_eq!(asked("git clone https://github.com/a/b"), "internet");
        assert_eq!(
            asked(
                "curl localhost:8080; curl http://127.0.0.1/; curl http://172.17.0.3; curl http://web/; git clone /srv/x"
            ),
            ""
        );
    }

    #[test]
    fn what_a_machine_has_is_not_lacking() {
        assert!(of_commands("docker ps", &["internet".into()]).is_empty());
    }
}
