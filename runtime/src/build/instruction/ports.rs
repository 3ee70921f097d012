//! Ports of `EXPOSE`: `80`, `53/udp`, `8000-8010/tcp`, and what `docker run -p` has, as far as Docker allows it here.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use serde::Serialize;

use crate::build::source::{Problem, Word};

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

/// As an image's configuration names it: `80/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
pub struct Port {
    pub number: u16,
    pub protocol: Protocol,
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let protocol = match self.protocol {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
            Protocol::Sctp => "sctp",
        };
        write!(f, "{}/{protocol}", self.number)
    }
}

/// One word of `EXPOSE`, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exposed {
    pub first: u16,
    pub last: u16,
    pub protocol: Protocol,
    /// `80/TCP`
    pub protocol_in_capitals: bool,
    /// It has an address or a port of the host, which mean nothing in an image.
    pub names_host: bool,
}

/// All ports of an `EXPOSE` whose variables are expanded.
pub fn ports(words: &[Word]) -> Result<BTreeSet<Port>, Problem> {
    let mut all = BTreeSet::new();
    for word in words {
        let exposed = read(word)?;
        let protocol = exposed.protocol;
        all.extend((exposed.first..=exposed.last).map(|number| Port { number, protocol }));
    }
    Ok(all)
}

/// Reads one word.
pub fn read(word: &Word) -> Result<Exposed, Problem> {
    let refuse = |why: &str| {
        Problem::new(word.at, format!("{} is no port: {why}", word.text)).advise("it is 80, 53/udp or 8000-8010")
    };
    let (host, port) = word.text.rsplit_once(':').map_or((None, word.as_str()), |(host, port)| (Some(host), port));
    let (numbers, written) = port.split_once('/').unwrap_or((port, "tcp"));
    let protocol = match written.to_ascii_lowercase().as_str() {
        // `80/` is `80/tcp`.
        "tcp" | "" => Protocol::Tcp,
        "udp" => Protocol::Udp,
        "sctp" => Protocol::Sctp,
        _ => return Err(refuse("protocols are tcp, udp and sctp")),
    };
    let (first, last) = range(numbers).map_err(refuse)?;
    if let Some(host) = host {
        check_host(host, last - first).map_err(refuse)?;
    }
    let protocol_in_capitals = written != written.to_ascii_lowercase();
    Ok(Exposed { first, last, protocol, protocol_in_capitals, names_host: host.is_some() })
}

fn range(text: &str) -> Result<(u16, u16), &'static str> {
    let number = |text: &str| match text.parse::<u16>() {
        Ok(number) if text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(number),
        _ => Err("a port is a number from 0 to 65535"),
    };
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (number(first)?, number(last)?),
        None => (number(text)?, number(text)?),
    };
    if first <= last { Ok((first, last)) } else { Err("the range ends before it begins") }
}

/// `address:port`, `port` or `address:`; a range must be as long as the container's.
fn check_host(host: &str, length: u16) -> Result<(), &'static str> {
    let (address, port) = match host.rsplit_once(':') {
        Some((address, port)) => (Some(address), port),
        None => (None, host),
    };
    if let Some(address) = address.filter(|address| !address.is_empty()) {
        let plain = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        plain.parse::<IpAddr>().map_err(|_| "what is before the host's port is no address")?;
    }
    if port.is_empty() {
        return Ok(());
    }
    let (first, last) = range(port)?;
    if length == 0 || last - first == length { Ok(()) } else { Err("both ranges must be equally long") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::build::source::Span;

    fn show(texts: &[&str]) -> String {
        let words: Vec<Word> = texts.iter().map(|text| Word::new(*text, Span::default())).collect();
        match ports(&words) {
            Ok(ports) => ports.iter().map(Port::to_string).collect::<Vec<_>>().join(" "),
            Err(problem) => problem.words(),
        }
    }

    #[test]
    fn ports_ranges_and_protocols_are_read() {
        assert_eq!(show(&["80", "53/udp", "80/TCP"]), "53/udp 80/tcp");
        assert_eq!(show(&["8000-8002"]), "8000/tcp 8001/tcp 8002/tcp");
        assert_eq!(show(&["127.0.0.1:8080:80", "[::1]:9:9", "8080-8081:80"]), "9/tcp 80/tcp");
        assert_eq!(
            show(&["65536"]),
            "65536 is no port: a port is a number from 0 to 65535; it is 80, 53/udp or 8000-8010"
        );
        assert!(show(&["80/icmp"]).contains("protocols are"));
        assert!(show(&["9-8"]).contains("ends before"));
        assert!(show(&["1-3:4-5"]).contains("equally long"));
        assert!(show(&["x:80"]).contains("a number"));
        assert!(show(&[""]).contains("a number"));
    }

    #[test]
    fn every_port_there_is_can_be_exposed() {
        let word = Word::new("0-65535", Span::default());
        assert_eq!(ports(&[word]).unwrap().len(), 65536);
    }
}
