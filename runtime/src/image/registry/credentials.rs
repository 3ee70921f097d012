//! Logins, as `docker login` leaves them in `~/.docker/config.json`.
//!
//! Only logins that stand in the file itself: a credential helper is a program, and this part starts none.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;

use super::super::reference::DEFAULT_REGISTRY;
use super::error::RegistryError;

/// Under which Docker keeps the login of its own registry.
const HUB_KEY: &str = "index.docker.io";

/// A name and its password, or token.
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    pub user: String,
    pub password: String,
}

/// Logins by registry.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    by_registry: BTreeMap<String, Login>,
    /// For whichever registry is asked.
    given: Option<Login>,
}

#[derive(Deserialize)]
struct File {
    #[serde(default)]
    auths: BTreeMap<String, Auth>,
}

#[derive(Deserialize)]
struct Auth {
    #[serde(default)]
    auth: String,
}

impl Credentials {
    /// From the bytes of a `config.json`. Entries without a login of their own (a helper has it) are passed over.
    pub fn of_docker(config: &[u8]) -> Result<Self, RegistryError> {
        let refused = |why: String| RegistryError::Credentials { what: "Docker's config.json", why };
        let file: File = serde_json::from_slice(config).map_err(|error| refused(error.to_string()))?;
        let mut by_registry = BTreeMap::new();
        for (key, Auth { auth }) in file.auths.into_iter().filter(|(_, auth)| !auth.auth.is_empty()) {
            let login = Login::of_basic(&auth).ok_or_else(|| refused(format!("the entry of {key} is not readable")))?;
            by_registry.insert(registry_of_key(&key), login);
        }
        Ok(Self { by_registry, given: None })
    }

    /// The same with a login that comes before all others.
    pub fn with(self, login: Login) -> Self {
        Self { given: Some(login), ..self }
    }

    /// `registry` as a [`Reference`](super::super::Reference) names it.
    pub fn of(&self, registry: &str) -> Option<&Login> {
        self.given.as_ref().or_else(|| self.by_registry.get(registry))
    }

    /// Of a mirror: never the login that was given for the registry itself.
    pub fn of_mirror(&self, authority: &str) -> Option<&Login> {
        self.by_registry.get(authority)
    }
}

impl Login {
    /// `NAME:PASSWORD`, as one writes it on a command line.
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let why = "write NAME:PASSWORD".to_owned();
        let (user, password) =
            text.split_once(':').ok_or(RegistryError::Credentials { what: "what was given by --creds", why })?;
        Ok(Self { user: user.to_owned(), password: password.to_owned() })
    }

    /// The value of an Authorization header (RFC 7617).
    pub fn basic(&self) -> String {
        format!("Basic {}", STANDARD.encode(format!("{}:{}", self.user, self.password)))
    }

    fn of_basic(encoded: &str) -> Option<Self> {
        // Docker pads with zero bytes at times.
        let text = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
        let (user, password) = text.trim_end_matches('\0').split_once(':')?;
        Some(Self { user: user.to_owned(), password: password.to_owned() })
    }
}

/// Nobody's log shows a password.
impl std::fmt::Debug for Login {
    fn fmt(&self, out: &mut std::fmt::Formatter) -> std::fmt::Result {
        out.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

/// Keys are hosts, or addresses as `https://index.docker.io/v1/`.
fn registry_of_key(key: &str) -> String {
    let host = key.split_once("://").map_or(key, |(_, rest)| rest);
    let host = host.split('/').next().unwrap_or(host);
    if host == HUB_KEY { DEFAULT_REGISTRY.to_owned() } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn logins_of_docker_are_found_by_registry() {
        let file = br#"{"auths":{"https://index.docker.io/v1/":{"auth":"YW5uOnNlY3JldDp4"},"localhost:5000":{"auth":"Ym9iOnB3"},
            "helped.example.org":{}},"credsStore":"desktop"}"#;
        let found = Credentials::of_docker(file).unwrap();
        let ann = Login { user: "ann".into(), password: "secret:x".into() };
        assert_eq!(found.of("docker.io"), Some(&ann));
        assert_eq!(found.of("localhost:5000").unwrap().user, "bob");
        assert_eq!(found.of("helped.example.org"), None);
        assert_eq!(ann.basic(), "Basic YW5uOnNlY3JldDp4");
        let given = found.with(Login::parse("eve:y").unwrap());
        assert_eq!(given.of("anything").unwrap().user, "eve");
        assert_eq!(given.of_mirror("mirror.example.org"), None, "a mirror is not told the registry's password");
    }

    #[test]
    fn what_is_no_login_is_refused_and_no_password_is_shown() {
        assert!(Login::parse("ann").is_err());
        assert!(Credentials::of_docker(b"{\"auths\":{\"a\":{\"auth\":\"%\"}}}").is_err());
        assert!(Credentials::of_docker(b"no").is_err());
        assert!(!format!("{:?}", Login::parse("ann:secret").unwrap()).contains("secret"));
    }
}
