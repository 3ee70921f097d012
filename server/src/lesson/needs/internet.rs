//! What a call would fetch from elsewhere: packages that the image does not have already, and addresses.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use super::Call;

/// The packages of the learner image: who installs them has them.
static PACKAGES: LazyLock<BTreeSet<&'static str>> =
    LazyLock::new(|| quayside_runtime::image::learner_packages().collect());

/// Other names that give what the image has.
const SAME: [(&str, &str); 6] = [
    ("vim", "vim-tiny"),
    ("netcat", "netcat-openbsd"),
    ("iputils", "iputils-ping"),
    ("busybox", "busybox-static"),
    ("openssh-clients", "openssh-client"),
    ("procps-ng", "procps"),
];

pub fn asks(call: &Call) -> Vec<String> {
    match call.program {
        "apt-get" | "apt" | "aptitude" if call.has("install") => {
            call.after("install").filter(|name| is_missing(name)).map(whole).collect()
        }
        "yum" | "dnf" | "snap" if call.has("install") => call.after("install").map(whole).collect(),
        "apk" if call.has("add") => call.after("add").map(whole).collect(),
        "pip" | "pip3" | "npm" | "gem" | "cargo" if call.has("install") => {
            vec![format!("packages of {}", call.program)]
        }
        "go" if call.has("get") || call.has("install") => vec!["modules of go".into()],
        "git" if call.has("clone") => call.arguments.iter().filter_map(|word| remote(word)).collect(),
        "curl" => call.arguments.iter().filter_map(|word| remote(word)).collect(),
        "wget" => call.arguments.iter().filter_map(|word| remote(word).or_else(|| bare_remote(word))).collect(),
        _ => Vec::new(),
    }
}

/// `jq`, `jq=1.6-2`, `libc6:amd64`; a file beside is no need of a network.
fn is_missing(name: &str) -> bool {
    let name = name.split(['=', ':', '/']).next().unwrap_or_default();
    let same = SAME.iter().find(|(other, _)| *other == name).map_or(name, |(_, same)| same);
    !name.is_empty() && !name.starts_with('.') && !PACKAGES.contains(same)
}

/// A name that only the script knows is told as what it is.
fn whole(name: &str) -> String {
    if name.contains('$') { "packages".into() } else { name.into() }
}

/// The host of an address somewhere else.
fn remote(argument: &str) -> Option<String> {
    let schemes = ["http://", "https://", "git://", "git@", "ssh://git@", "ftp://"];
    let rest = schemes.iter().find_map(|scheme| argument.strip_prefix(scheme))?;
    (!is_local(rest)).then(|| host(rest).to_owned())
}

/// wget takes an address without a scheme.
fn bare_remote(argument: &str) -> Option<String> {
    let is_file = argument.starts_with(['-', '/', '.', '~']);
    (argument.contains('.') && argument.contains('/') && !is_file && !argument.contains("://") && !is_local(argument))
        .then(|| host(argument).to_owned())
}

fn host(address: &str) -> &str {
    address.split(['/', ':', '?']).next().unwrap_or_default()
}

/// An address in this machine: its own names, private ranges, or a name that only the script knows.
fn is_local(address: &str) -> bool {
    let name = host(address);
    let private = ["localhost", "127.", "10.", "172.", "192.168.", "0.0.0.0", "$", "[", "{"];
    private.iter().any(|prefix| name.starts_with(prefix)) || !name.contains('.')
}
