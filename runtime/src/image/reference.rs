//! Names of images, in Docker's grammar.
//!
//! ```text
//! golang                                       docker.io/library/golang:latest
//! golang:1.20-alpine                           docker.io/library/golang:1.20-alpine
//! bitnami/redis                                docker.io/bitnami/redis:latest
//! localhost:5000/shop/web:2                    as it stands
//! registry.example.org/web@sha256:…            by digest, whatever the tag says
//! ```
//!
//! What comes before the first slash is a registry only if it looks like a host: it holds a dot or a colon, or is
//! `localhost`. The grammar is that of the distribution project's reference package.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::digest::Digest;

/// The registry of names that have none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// Where Docker Hub keeps names of one word.
const OFFICIAL: &str = "library/";
const DEFAULT_TAG: &str = "latest";

/// The distribution specification's limit for a tag.
const TAG_MAX: usize = 128;
/// The same for registry and repository together.
const NAME_MAX: usize = 255;

/// An image's full name. Registry and repository are always there; of tag and digest at least one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no image's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no image's name: {why}")]
pub struct ReferenceError {
    text: String,
    why: &'static str,
}

impl Reference {
    /// `docker.io`, or a host with its port.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// `library/golang`: what registries call a name.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// Registry and repository, shortened as people write them: `golang`, `bitnami/redis`, `localhost:5000/shop/web`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return format!("{}/{}", self.registry, self.repository);
        }
        self.repository.strip_prefix(OFFICIAL).unwrap_or(&self.repository).to_owned()
    }

    /// As people write it, with its tag: `golang:latest`.
    pub fn familiar(&self) -> String {
        let tag = self.tag.as_ref().map(|tag| format!(":{tag}")).unwrap_or_default();
        let digest = self.digest.map(|digest| format!("@{digest}")).unwrap_or_default();
        format!("{}{tag}{digest}", self.familiar_name())
    }

    /// The same repository under another tag.
    pub fn with_tag(&self, tag: &str) -> Result<Self, ReferenceError> {
        let refused = |why| ReferenceError { text: tag.chars().take(NAME_MAX).collect(), why };
        check_tag(tag).map_err(refused)?;
        Ok(Self { tag: Some(tag.to_owned()), digest: None, ..self.clone() })
    }

    fn parse(text: &str) -> Result<Self, &'static str> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => {
                (rest, Some(digest.parse().map_err(|_| "after @ stands sha256: and 64 hexadecimal digits")?))
            }
            None => (text, None),
        };
        // A colon before a slash belongs to a port.
        let (name, tag) = match rest.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, Some(tag)),
            _ => (rest, None),
        };
        tag.map_or(Ok(()), check_tag)?;
        let (registry, repository) = match name.split_once('/') {
            Some((first, rest)) if is_host(first) => (first, rest.to_owned()),
            _ if name.contains('/') => (DEFAULT_REGISTRY, name.to_owned()),
            _ => (DEFAULT_REGISTRY, format!("{OFFICIAL}{name}")),
        };
        let registry = if registry == "index.docker.io" { DEFAULT_REGISTRY } else { registry };
        let official = registry == DEFAULT_REGISTRY && !repository.contains('/');
        let repository = if official { format!("{OFFICIAL}{repository}") } else { repository };
        check_registry(registry)?;
        check_repository(&repository)?;
        if registry.len() + 1 + repository.len() > NAME_MAX {
            return Err("registry and repository have more than 255 letters together");
        }
        let tag = tag.map(str::to_owned).or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
        Ok(Self { registry: registry.to_owned(), repository, tag, digest })
    }
}

fn is_host(part: &str) -> bool {
    part.contains('.')
        || part.contains(':')
        || part == "localhost"
        || part.bytes().any(|byte| byte.is_ascii_uppercase())
}

fn check_tag(tag: &str) -> Result<(), &'static str> {
    let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    let whole = tag.bytes().next().is_some_and(word)
        && tag.len() <= TAG_MAX
        && tag.bytes().all(|byte| word(byte) || byte == b'.' || byte == b'-');
    whole.then_some(()).ok_or("a tag has letters, digits, _, . and -, at most 128, and begins with none of . and -")
}

fn check_registry(registry: &str) -> Result<(), &'static str> {
    const WHY: &str = "before the first / stands a host, and perhaps a port: example.org, localhost:5000, [::1]:5000";
    let (host, port) = match registry.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => (host, Some(port)),
        _ => (registry, None),
    };
    if port.is_some_and(|port| port.parse::<u16>().is_err()) {
        return Err(WHY);
    }
    if let Some(address) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        return address.parse::<std::net::Ipv6Addr>().map(|_| ()).map_err(|_| WHY);
    }
    let label = |label: &str| {
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    host.split('.').all(label).then_some(()).ok_or(WHY)
}

fn check_repository(repository: &str) -> Result<(), &'static str> {
    if repository.bytes().any(|byte| byte.is_ascii_uppercase()) {
        return Err("a repository is written in lower case");
    }
    let path = repository.split('/').all(is_component);
    path.then_some(()).ok_or("a repository is words of lower case letters and digits, joined by one of . _ __ - and /")
}

/// Words of letters and digits with one separator between each two: `.`, `_`, `__` or any number of `-`.
fn is_component(part: &str) -> bool {
    let word = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let separators = part.split(|letter: char| letter.is_ascii() && word(letter as u8)).filter(|rest| !rest.is_empty());
    let good = |separator: &str| matches!(separator, "." | "_" | "__") || separator.bytes().all(|byte| byte == b'-');
    let (first, last) = (part.bytes().next(), part.bytes().last());
    first.is_some_and(word) && last.is_some_and(word) && separators.into_iter().all(good)
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::parse(text).map_err(|why| ReferenceError { text: text.chars().take(NAME_MAX).collect(), why })
    }
}

/// The full name, as stores and registries have it.
impl fmt::Display for Reference {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        write!(out, "{}/{}", self.registry, self.repository)?;
        self.tag.as_ref().map_or(Ok(()), |tag| write!(out, ":{tag}"))?;
        self.digest.map_or(Ok(()), |digest| write!(out, "@{digest}"))
    }
}

impl Serialize for Reference {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Reference {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(from)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, full: &str, familiar: &str) {
        let reference: Reference = text.parse().unwrap_or_else(|error| panic!("{error}"));
        assert_eq!((reference.to_string().as_str(), reference.familiar().as_str()), (full, familiar));
        assert_eq!(full.parse(), Ok(reference));
    }

    #[test]
    fn short_names_mean_the_official_images() {
        check("golang", "docker.io/library/golang:latest", "golang:latest");
        check("golang:1.20-alpine", "docker.io/library/golang:1.20-alpine", "golang:1.20-alpine");
        check("docker.io/golang", "docker.io/library/golang:latest", "golang:latest");
        check("index.docker.io/library/golang", "docker.io/library/golang:latest", "golang:latest");
        check("bitnami/redis:7", "docker.io/bitnami/redis:7", "bitnami/redis:7");
    }

    #[test]
    fn a_first_part_that_looks_like_a_host_is_one() {
        check("localhost/web", "localhost/web:latest", "localhost/web:latest");
        check("localhost:5000/shop/web:2", "localhost:5000/shop/web:2", "localhost:5000/shop/web:2");
        check("[::1]:5000/web", "[::1]:5000/web:latest", "[::1]:5000/web:latest");
        check("a.b/c__d/e-f.g", "a.b/c__d/e-f.g:latest", "a.b/c__d/e-f.g:latest");
    }

    #[test]
    fn a_digest_needs_no_tag_and_may_have_one() {
        let digest = Digest::of(b"");
        check(&format!("web@{digest}"), &format!("docker.io/library/web@{digest}"), &format!("web@{digest}"));
        check(&format!("web:1@{digest}"), &format!("docker.io/library/web:1@{digest}"), &format!("web:1@{digest}"));
    }

    #[test]
    fn bad_names_are_refused_in_words() {
        let why = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        insta::assert_snapshot!(
            ["", "Web", "web:", "web:-1", "a//b", "-a", "a_-b", "../../etc", "web@sha256:12", "a.b:x/c", "host.org/"]
                .map(why)
                .join("\n"),
            @r#"
        "" is no image's name: a repository is words of lower case letters and digits, joined by one of . _ __ - and /
        "Web" is no image's name: a repository is written in lower case
        "web:" is no image's name: a tag has letters, digits, _, . and -, at most 128, and begins with none of . and -
        "web:-1" is no image's name: a tag has letters, digits, _, . and -, at most 128, and begins with none of . and -
        "a//b" is no image's name: a repository is words of lower case letters and digits, joined by one of . _ __ - and /
        "-a" is no image's name: a repository is words of lower case letters and digits, joined by one of . _ __ - and /
        "a_-b" is no image's name: a repository is words of lower case letters and digits, joined by one of . _ __ - and /
        "../../etc" is no image's name: before the first / stands a host, and perhaps a port: example.org, localhost:5000, [::1]:5000
        "web@sha256:12" is no image's name: after @ stands sha256: and 64 hexadecimal digits
        "a.b:x/c" is no image's name: before the first / stands a host, and perhaps a port: example.org, localhost:5000, [::1]:5000
        "host.org/" is no image's name: a repository is words of lower case letters and digits, joined by one of . _ __ - and /
        "#
        );
    }
}
