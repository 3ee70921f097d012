//! Which servers have an image, and how they are spoken to.

use std::net::IpAddr;

use super::super::reference::{DEFAULT_REGISTRY, Reference};
use super::error::RegistryError;

/// Where Docker Hub really answers.
const HUB_HOST: &str = "registry-1.docker.io";

/// A server that has what a registry has: `docker.io=https://mirror.example.org`, or `https://…` alone for Docker Hub's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mirror {
    pub registry: String,
    server: Server,
}

/// A server, by the beginning of its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    scheme: &'static str,
    /// Host, and port if it is no usual one.
    authority: String,
}

/// One place where an image may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub server: Server,
    pub repository: String,
    pub is_mirror: bool,
}

impl Server {
    /// `https://registry-1.docker.io`
    pub fn base(&self) -> String {
        format!("{}://{}", self.scheme, self.authority)
    }

    pub fn authority(&self) -> &str {
        &self.authority
    }

    pub fn is_encrypted(&self) -> bool {
        self.scheme == "https"
    }

    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.authority)
    }
}

/// The registry that a name says.
pub fn of_name(name: &Reference, insecure: bool) -> Place {
    let authority = if name.registry() == DEFAULT_REGISTRY { HUB_HOST } else { name.registry() };
    // What stays on this machine cannot be read on the way.
    let scheme = if insecure || is_loopback(authority) { "http" } else { "https" };
    let server = Server { scheme, authority: authority.to_owned() };
    Place { server, repository: name.repository().to_owned(), is_mirror: false }
}

/// Its mirrors in their order, then itself.
pub fn to_pull_from(name: &Reference, mirrors: &[Mirror], insecure: bool) -> Vec<Place> {
    let repository = name.repository();
    let of_registry = mirrors.iter().filter(|mirror| mirror.registry == name.registry());
    let place =
        |mirror: &Mirror| Place { server: mirror.server.clone(), repository: repository.to_owned(), is_mirror: true };
    of_registry.map(place).chain([of_name(name, insecure)]).collect()
}

impl Mirror {
    pub fn parse(text: &str) -> Result<Self, RegistryError> {
        let refused = |why| RegistryError::Mirror { text: text.to_owned(), why };
        let (registry, address) = match text.split_once('=') {
            Some((registry, address)) => (registry, address),
            None => (DEFAULT_REGISTRY, text),
        };
        let (scheme, rest) = address.split_once("://").ok_or_else(|| refused("write https://HOST, or http://HOST"))?;
        let authority = rest.trim_end_matches('/');
        let scheme = match scheme {
            "https" => "https",
            "http" => "http",
            _ => return Err(refused("it is reached by https or http")),
        };
        // The grammar of hosts is that of names.
        let is_host = format!("{authority}/x").parse::<Reference>().is_ok_and(|name| name.registry() == authority);
        if !is_host && authority != DEFAULT_REGISTRY {
            return Err(refused("after :// stands a host, perhaps a port, and no path"));
        }
        Ok(Self { registry: registry.to_owned(), server: Server { scheme, authority: authority.to_owned() } })
    }
}

fn is_loopback(authority: &str) -> bool {
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if !port.contains(']') => host,
        _ => authority,
    };
    let host = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bases(name: &str, mirrors: &[&str], insecure: bool) -> Vec<String> {
        let mirrors: Vec<Mirror> = mirrors.iter().map(|text| Mirror::parse(text).unwrap()).collect();
        to_pull_from(&name.parse().unwrap(), &mirrors, insecure).iter().map(|place| place.server.base()).collect()
    }

    #[test]
    fn https_is_spoken_but_on_this_machine() {
        assert_eq!(bases("nginx", &[], false), ["https://registry-1.docker.io"]);
        assert_eq!(bases("a.example.org/x", &[], false), ["https://a.example.org"]);
        assert_eq!(bases("a.example.org/x", &[], true), ["http://a.example.org"]);
        for name in ["localhost:5000/x", "127.0.0.2:5000/x", "[::1]:5000/x"] {
            assert!(bases(name, &[], false)[0].starts_with("http://"), "{name}");
        }
        assert_eq!(bases("localhost.example.org/x", &[], false), ["https://localhost.example.org"]);
    }

    #[test]
    fn mirrors_are_asked_first_and_only_for_their_registry() {
        let mirrors = ["https://m.example.org/", "docker.io=http://10.0.0.2:5000", "quay.io=https://q.example.org"];
        let hub = ["https://m.example.org", "http://10.0.0.2:5000", "https://registry-1.docker.io"];
        assert_eq!(bases("nginx", &mirrors, false), hub);
        assert_eq!(bases("quay.io/x", &mirrors, false), ["https://q.example.org", "https://quay.io"]);
    }

    #[test]
    fn what_is_no_mirror_is_refused() {
        for text in ["m.example.org", "ftp://m.example.org", "https://m.example.org/path", "https://", "https://a b.c"]
        {
            assert!(Mirror::parse(text).is_err(), "{text}");
        }
    }
}
