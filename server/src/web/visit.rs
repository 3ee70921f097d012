//! Who asks, by what name and over what: worked out once for each request, by rules without exceptions.
//!
//! - The host must be an IP address, `localhost`, this machine's name (also with `.local`) or one of
//!   `web.hosts`; else a page of somebody else's, whose name resolves to us, could speak to us (DNS rebinding).
//! - What changes anything, and every WebSocket, needs an `Origin` equal to our scheme and host. Browsers
//!   always send one; nothing else is let in, as a missing one proves nothing.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderValue, Method, header};

use crate::config::Network;

/// What is known of a request before anything is done.
#[derive(Debug, Clone)]
pub struct Visit {
    pub scheme: Scheme,
    /// As the browser wrote it, in lower case, with the port if it is not the scheme's own.
    pub authority: String,
    /// The learner's address, as far as we can know it.
    pub address: IpAddr,
}

/// New for every answer; stands in its content security policy and on its page's scripts.
#[derive(Debug, Clone)]
pub struct Nonce(pub String);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Http,
    Https,
}

impl Scheme {
    fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    fn port(self) -> &'static str {
        match self {
            Self::Http => ":80",
            Self::Https => ":443",
        }
    }
}

/// Why a request is not listened to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Turned {
    /// No host, or several.
    NoHost,
    /// A name that is not ours.
    Host(String),
    /// It changes something, and does not come from one of our pages.
    Origin,
}

/// The names under which this installation is reached.
#[derive(Debug, Clone)]
pub struct Names {
    machine: Option<String>,
    hosts: Vec<String>,
}

impl Names {
    /// `machine`: this machine's own name, if it has one.
    pub fn new(machine: Option<String>, hosts: &[String]) -> Self {
        let lower = |name: &str| name.trim_end_matches('.').to_ascii_lowercase();
        Self { machine: machine.as_deref().map(lower), hosts: hosts.iter().map(|host| lower(host)).collect() }
    }

    fn admit(&self, name: &str) -> bool {
        let name = name.trim_end_matches('.');
        let machines = |machine: &String| {
            let short = machine.split('.').next().unwrap_or(machine);
            name == machine || name == short || name.strip_suffix(".local") == Some(short)
        };
        is_address(name)
            || name == "localhost"
            || self.machine.as_ref().is_some_and(machines)
            || self.hosts.iter().any(|host| host == name)
    }
}

fn is_address(name: &str) -> bool {
    let bare = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    match bare {
        Some(bare) => bare.parse::<std::net::Ipv6Addr>().is_ok(),
        None => name.parse::<std::net::Ipv4Addr>().is_ok(),
    }
}

/// Works out who asks.
pub fn visit(headers: &HeaderMap, peer: IpAddr, names: &Names, proxies: &[Network]) -> Result<Visit, Turned> {
    let proxied = proxies.iter().any(|proxy| proxy.contains(peer));
    let scheme = match single(headers, "x-forwarded-proto") {
        Some("https") if proxied => Scheme::Https,
        _ => Scheme::Http,
    };
    let host = single(headers, header::HOST.as_str()).ok_or(Turned::NoHost)?.to_ascii_lowercase();
    if !names.admit(without_port(&host)) {
        return Err(Turned::Host(host));
    }
    let authority = host.strip_suffix(scheme.port()).unwrap_or(&host).to_owned();
    let address = if proxied { forwarded_for(headers, proxies).unwrap_or(peer) } else { peer };
    Ok(Visit { scheme, authority, address: address.to_canonical() })
}

impl Visit {
    /// Whether the request may do what it asks for.
    pub fn may(&self, method: &Method, headers: &HeaderMap) -> Result<(), Turned> {
        let harmless = matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS);
        if harmless && !headers.contains_key(header::UPGRADE) {
            return Ok(());
        }
        if headers.contains_key("sec-fetch-site") && single(headers, "sec-fetch-site") != Some("same-origin") {
            return Err(Turned::Origin);
        }
        match single(headers, header::ORIGIN.as_str()) {
            Some(origin) if self.is_ours(origin) => Ok(()),
            _ => Err(Turned::Origin),
        }
    }

    fn is_ours(&self, origin: &str) -> bool {
        let origin = origin.to_ascii_lowercase();
        let Some(rest) = origin.strip_prefix(self.scheme.as_str()).and_then(|rest| rest.strip_prefix("://")) else {
            return false;
        };
        rest.strip_suffix(self.scheme.port()).unwrap_or(rest) == self.authority
    }

    /// What our links begin with for whoever asks: `http://192.168.1.20:8080`.
    pub fn origin(&self) -> String {
        format!("{}://{}", self.scheme.as_str(), self.authority)
    }

    /// The name by which we were asked for means another machine anywhere else.
    pub fn is_loopback(&self) -> bool {
        let name = without_port(&self.authority);
        let bare = name.trim_start_matches('[').trim_end_matches(']');
        name == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
    }

    /// The path of a link to one of our own pages; `None` for anybody else's.
    pub fn own_path<'a>(&self, link: &'a str) -> Option<&'a str> {
        let rest = link.strip_prefix(self.scheme.as_str())?.strip_prefix("://")?;
        let slash = rest.find('/')?;
        let (authority, path) = rest.split_at(slash);
        (authority.eq_ignore_ascii_case(&self.authority) && !path.starts_with("//")).then_some(path)
    }
}

/// A header that is there exactly once, as text.
fn single<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) => HeaderValue::to_str(value).ok().map(str::trim),
        _ => None,
    }
}

fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        // The colons of an IPv6 address stand in brackets.
        Some((name, port)) if !port.contains(']') && port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    }
}

/// The last address before our own proxies: what stands further left was written by somebody unknown.
fn forwarded_for(headers: &HeaderMap, proxies: &[Network]) -> Option<IpAddr> {
    let hops = headers.get_all("x-forwarded-for").iter().filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|value| value.split(',')).map(str::trim).collect();
    for hop in hops.into_iter().rev() {
        let address: IpAddr = hop.parse().ok()?;
        if !proxies.iter().any(|proxy| proxy.contains(address)) {
            return Some(address);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, value.parse().expect("a header's value"));
        }
        headers
    }

    fn visiting(peer: &str, pairs: &[(&'static str, &str)]) -> Result<Visit, Turned> {
        let names = Names::new(Some("Boat.example.lan".into()), &["learn.example.org".into()]);
        let proxies = ["10.0.0.0/8".parse().expect("a network")];
        visit(&headers(pairs), peer.parse().expect("an address"), &names, &proxies)
    }

    #[test]
    fn only_our_own_names_are_answered() {
        for host in [
            "127.0.0.1:8080",
            "192.168.1.20",
            "[::1]:8080",
            "[fe80::1]",
            "localhost",
            "LOCALHOST:8080",
            "boat",
            "boat.local:8080",
            "boat.example.lan",
            "learn.example.org",
            "Learn.Example.Org.:443",
        ] {
            assert!(visiting("192.0.2.1", &[("host", host)]).is_ok(), "{host}");
        }
        for host in [
            "evil.example",
            "localhost.evil.example",
            "learn.example.org.evil.example",
            "xlearn.example.org",
            "example.org",
            "boat.evil.local",
            "127.0.0.1.evil.example",
            "2130706433",
            "",
            "[::1",
            "::1",
        ] {
            assert!(visiting("192.0.2.1", &[("host", host)]).is_err(), "{host}");
        }
        assert_eq!(visiting("192.0.2.1", &[]).expect_err("no host"), Turned::NoHost);
        let twice = [("host", "localhost"), ("host", "localhost")];
        assert_eq!(visiting("192.0.2.1", &twice).expect_err("two hosts"), Turned::NoHost);
    }

    #[test]
    fn what_changes_something_must_come_from_our_own_page() {
        let post = |host: &'static str, more: &[(&'static str, &str)]| {
            let mut pairs = vec![("host", host)];
            pairs.extend_from_slice(more);
            visiting("192.0.2.1", &pairs).expect("admitted").may(&Method::POST, &headers(&pairs))
        };
        for (host, origin) in [
            ("localhost:8080", "http://localhost:8080"),
            ("localhost", "http://localhost"),
            ("localhost:80", "http://localhost"),
            ("[::1]:8080", "http://[::1]:8080"),
            ("Localhost:8080", "http://localhost:8080"),
        ] {
            assert_eq!(post(host, &[("origin", origin)]), Ok(()), "{host} {origin}");
        }
        for (host, origin) in [
            ("localhost:8080", "https://localhost:8080"),
            ("localhost:8080", "http://localhost"),
            ("localhost:8080", "http://localhost:8081"),
            ("localhost:8080", "http://127.0.0.1:8080"),
            ("localhost:8080", "http://evil.example"),
            ("localhost:8080", "null"),
            ("localhost:8080", ""),
            ("localhost:8080", "http://localhost:8080.evil.example"),
            ("localhost:8080", "http://localhost:8080/"),
        ] {
            assert_eq!(post(host, &[("origin", origin)]), Err(Turned::Origin), "{host} {origin}");
        }
        let ours = ("origin", "http://localhost");
        assert_eq!(post("localhost", &[]), Err(Turned::Origin), "a missing origin proves nothing");
        assert_eq!(post("localhost", &[ours, ours]), Err(Turned::Origin));
        assert_eq!(post("localhost", &[ours, ("sec-fetch-site", "same-origin")]), Ok(()));
        for site in ["cross-site", "same-site", "none"] {
            assert_eq!(post("localhost", &[ours, ("sec-fetch-site", site)]), Err(Turned::Origin), "{site}");
        }
    }

    #[test]
    fn a_websocket_is_no_harmless_get() {
        let pairs = [("host", "localhost"), ("upgrade", "websocket")];
        let visit = visiting("192.0.2.1", &pairs).expect("admitted");
        assert_eq!(visit.may(&Method::GET, &headers(&pairs)), Err(Turned::Origin));
        assert_eq!(visit.may(&Method::GET, &headers(&pairs[..1])), Ok(()));
    }

    #[test]
    fn forwarded_headers_are_believed_from_our_proxies_only() {
        let pairs = [
            ("host", "learn.example.org"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-for", "198.51.100.9, 203.0.113.5, 10.0.0.3"),
        ];
        let through = visiting("10.0.0.2", &pairs).expect("admitted");
        assert_eq!((through.scheme, through.address), (Scheme::Https, "203.0.113.5".parse().expect("an address")));
        assert!(through.is_ours("https://learn.example.org"));
        assert!(!through.is_ours("http://learn.example.org"));
        let direct = visiting("203.0.113.66", &pairs).expect("admitted");
        assert_eq!((direct.scheme, direct.address), (Scheme::Http, "203.0.113.66".parse().expect("an address")));
    }

    #[test]
    fn only_links_to_ourselves_have_a_path_here() {
        let visit = visiting("192.0.2.1", &[("host", "localhost:8080")]).expect("admitted");
        assert_eq!(visit.own_path("http://localhost:8080/a/b/1"), Some("/a/b/1"));
        for link in [
            "http://evil.example/a",
            "https://localhost:8080/a",
            "/a",
            "http://localhost:8080",
            "http://localhost:8080//evil.example",
        ] {
            assert_eq!(visit.own_path(link), None, "{link}");
        }
    }
}
