//! Whether a container can be made from a spec at all, in words.

use std::path::Component;

use nix::sys::resource::Resource;
use rustix::thread::CapabilitySet;

use super::spec::{ContainerSpec, Source};
use crate::rootfs::plan::LAYERS_MAX;

/// As long as a host name may be (gethostname(2), HOST_NAME_MAX).
const HOSTNAME_MAX: usize = 64;
/// Room for a name of ours in the name of a group.
const NAME_MAX: usize = 100;
/// Room that any program needs.
const MEMORY_MIN_BYTES: u64 = 4 * 1024 * 1024;

/// A spec that no container can be made from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("cannot make container {name} from this: {field} is {value}; {rule}")]
pub struct Invalid {
    name: String,
    field: &'static str,
    value: String,
    rule: String,
}

/// Looks at every field that the kernel would answer less clearly about.
pub fn check(spec: &ContainerSpec) -> Result<(), Invalid> {
    let invalid = |field, value: &dyn ToString, rule: &str| {
        let (name, value) = (spec.name.escape_debug().to_string(), value.to_string());
        Err(Invalid { name, field, value, rule: rule.into() })
    };
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if spec.name.is_empty() || spec.name.len() > NAME_MAX || !spec.name.bytes().all(plain) {
        return invalid("the name", &spec.name.escape_debug(), "up to 100 letters, digits and - _ . are one");
    }
    if spec.layers.len() > LAYERS_MAX {
        let rule = format!("at most {LAYERS_MAX} can be mounted; join some RUN or COPY steps, or export and import it");
        return invalid("the number of layers", &spec.layers.len(), &rule);
    }
    let ours = spec.layers.iter().chain([&spec.upper, &spec.work]);
    if let Some(path) = ours.into_iter().find(|path| !path.is_absolute()) {
        return invalid("a layer", &path.display(), "an absolute path is asked for");
    }
    if spec.args.is_empty() {
        return invalid("the program", &"missing", "name one");
    }
    let words = spec.args.iter().chain(spec.env.iter().flat_map(|(key, value)| [key, value]));
    if let Some(word) = words.into_iter().find(|word| word.contains('\0')) {
        return invalid("a word of the program", &word.escape_debug(), "no program can be given a zero byte");
    }
    if let Some((key, _)) = spec.env.iter().find(|(key, _)| key.is_empty() || key.contains('=')) {
        return invalid("the name of a variable", &key.escape_debug(), "it is not empty and has no =");
    }
    if !spec.cwd.is_absolute() {
        return invalid("the working directory", &spec.cwd.display(), "an absolute path is asked for");
    }
    let hostname = &spec.hostname;
    let label = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.';
    if hostname.is_empty() || hostname.len() > HOSTNAME_MAX || !hostname.bytes().all(label) {
        return invalid(
            "the host name",
            &hostname.escape_debug(),
            "up to 64 letters, digits, hyphens and dots are one",
        );
    }
    let line = |word: &str| !word.is_empty() && !word.contains(|c: char| c.is_whitespace() || c.is_control());
    if let Some((address, name)) = spec.extra_hosts.iter().find(|(address, name)| !line(address) || !line(name)) {
        let value = format!("{address} {name}");
        return invalid("an extra host", &value.escape_debug(), "an address and a name are asked for");
    }
    for mount in &spec.mounts {
        if !mount.at.is_absolute() || mount.at.components().count() < 2 {
            return invalid("the place of a mount", &mount.at.display(), "an absolute path that is not / is asked for");
        }
        if mount.at.components().any(|part| part == Component::ParentDir) || mount.at.starts_with("/proc") {
            return invalid("the place of a mount", &mount.at.display(), "it has no .. and is not in /proc");
        }
        if let Source::Layers { layers, .. } = &mount.from
            && (layers.is_empty() || layers.len() > LAYERS_MAX || !layers.iter().all(|layer| layer.is_absolute()))
        {
            let rule = format!("from 1 to {LAYERS_MAX} absolute paths are asked for");
            return invalid("the number of layers of a mount", &layers.len(), &rule);
        }
        if let Source::Path { root, .. } = &mount.from
            && !root.is_absolute()
        {
            return invalid("the root of a mount", &root.display(), "an absolute path is asked for");
        }
    }
    if let Some(name) = spec.privileges.capabilities.iter().find(|name| capability(name).is_none()) {
        return invalid("a capability", &name.escape_debug(), "capabilities(7) has the names, without CAP_");
    }
    if let Some((name, ..)) = spec.limits.rlimits.iter().find(|(name, ..)| resource(name).is_none()) {
        return invalid("a limit", &name.escape_debug(), "setrlimit(2) has the names, in small letters");
    }
    if spec.limits.memory_max_bytes.is_some_and(|bytes| bytes < MEMORY_MIN_BYTES) {
        return invalid("memory", &spec.limits.memory_max_bytes.unwrap_or_default(), "at least 4 MiB");
    }
    if spec.limits.pids_max == Some(0) {
        return invalid("pids", &0, "at least 1");
    }
    Ok(())
}

/// By its name without `CAP_`.
pub fn capability(name: &str) -> Option<CapabilitySet> {
    CapabilitySet::from_name(name)
}

/// All of some names, which are known.
pub fn capabilities(names: &[String]) -> CapabilitySet {
    names.iter().filter_map(|name| capability(name)).fold(CapabilitySet::empty(), |set, one| set | one)
}

/// By Docker's name.
pub fn resource(name: &str) -> Option<Resource> {
    Some(match name {
        "as" => Resource::RLIMIT_AS,
        "core" => Resource::RLIMIT_CORE,
        "cpu" => Resource::RLIMIT_CPU,
        "data" => Resource::RLIMIT_DATA,
        "fsize" => Resource::RLIMIT_FSIZE,
        "locks" => Resource::RLIMIT_LOCKS,
        "memlock" => Resource::RLIMIT_MEMLOCK,
        "msgqueue" => Resource::RLIMIT_MSGQUEUE,
        "nice" => Resource::RLIMIT_NICE,
        "nofile" => Resource::RLIMIT_NOFILE,
        "nproc" => Resource::RLIMIT_NPROC,
        "rss" => Resource::RLIMIT_RSS,
        "rtprio" => Resource::RLIMIT_RTPRIO,
        "rttime" => Resource::RLIMIT_RTTIME,
        "sigpending" => Resource::RLIMIT_SIGPENDING,
        "stack" => Resource::RLIMIT_STACK,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::super::spec::Mount;
    use super::*;

    fn spec() -> ContainerSpec {
        ContainerSpec::new("build-7", vec!["/layers/a".into()], "/up".into(), "/work".into(), &["true"])
    }

    #[track_caller]
    fn check_says(spec: &ContainerSpec, words: &str) {
        let message = check(spec).expect_err(words).to_string();
        assert!(message.contains(words), "{message}");
    }

    #[test]
    fn too_many_layers_are_refused_with_what_to_do() {
        let many = |count: usize| ContainerSpec { layers: vec!["/l".into(); count], ..spec() };
        assert_eq!(check(&many(LAYERS_MAX)), Ok(()));
        check_says(&many(LAYERS_MAX + 1), "the number of layers is 121; at most 120 can be mounted; join some RUN");
    }

    #[test]
    fn values_that_cannot_work_are_refused_in_words() {
        let mount =
            |at: &str| Mount { from: Source::Tmpfs { size_bytes: None, mode: 0o755 }, at: at.into(), read_only: false };
        check_says(&ContainerSpec { name: "a/b".into(), ..spec() }, "the name is a/b");
        check_says(&ContainerSpec { args: vec![], ..spec() }, "the program is missing");
        check_says(&ContainerSpec { args: vec!["a\0b".into()], ..spec() }, "zero byte");
        check_says(&ContainerSpec { env: vec![("A=B".into(), "c".into())], ..spec() }, "A=B");
        check_says(&ContainerSpec { cwd: "src".into(), ..spec() }, "working directory is src");
        check_says(&ContainerSpec { hostname: "a b".into(), ..spec() }, "host name");
        check_says(&ContainerSpec { extra_hosts: vec![("1.1.1.1\n".into(), "a".into())], ..spec() }, "extra host");
        check_says(&ContainerSpec { mounts: vec![mount("/")], ..spec() }, "not /");
        check_says(&ContainerSpec { mounts: vec![mount("/proc/sys")], ..spec() }, "/proc");
        let mut broken = spec();
        broken.privileges.capabilities = vec!["CAP_CHOWN".into()];
        check_says(&broken, "without CAP_");
        broken = spec();
        broken.limits.rlimits = vec![("files".into(), 1, 1)];
        check_says(&broken, "a limit is files");
    }
}
