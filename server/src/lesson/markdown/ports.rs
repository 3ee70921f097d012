//! Addresses of ports in Killercoda's words, `{{TRAFFIC_HOST1_80}}`, and what is said where one is meant.

use crate::lesson::model::Lack;

/// How Killercoda writes the address of a port.
pub const PORT_START: &str = "{{TRAFFIC_";

/// What follows in it, `HOST1_8080`; a text that never closes its braces is not searched to its end for each.
const PORT_BYTES_MAX: usize = 40;

/// `{{TRAFFIC_HOST1_80}}/path` at the start of a text.
pub struct Port {
    /// The machine, from 1.
    host: u16,
    /// `None`: the page on which to choose one.
    port: Option<u16>,
    pub bytes: usize,
}

impl Port {
    pub fn at(text: &str) -> Option<Self> {
        let inside = text.strip_prefix(PORT_START)?;
        let end = inside.as_bytes().windows(2).take(PORT_BYTES_MAX).position(|pair| pair == b"}}")?;
        let after = &inside[end + 2..];
        let is_end = |letter: char| letter.is_whitespace() || "<>\"'`)]".contains(letter);
        let path = match after.starts_with(['/', ':', '?']) {
            true => after.find(is_end).unwrap_or(after.len()),
            false => 0,
        };
        let mut words = inside[..end].split('_');
        let host = words.next().and_then(|word| word.strip_prefix("HOST")?.parse().ok()).unwrap_or(1);
        let port = words.next().and_then(|port| port.parse().ok());
        Some(Self { host, port, bytes: text.len() - after.len() + path })
    }

    /// The port that an address leads to, as the whole of it or as a part of its host name.
    pub fn within(text: &str) -> Option<Self> {
        Self::at(&text[text.find(PORT_START)?..])
    }

    pub fn name(&self) -> String {
        self.port.map_or_else(|| "the choice of ports".into(), |port| format!("port {port}"))
    }

    /// What of it is not here.
    pub fn lack(&self) -> Lack {
        if self.host > 1 { host_lack(self.host) } else { port_lack(self.port) }
    }
}

/// The lack of a way from the browser to a port of the machine.
pub fn port_lack(port: Option<u16>) -> Lack {
    let says = match port {
        Some(port) => format!(
            "a browser cannot reach port {port} of the machine yet. In the terminal, curl http://localhost:{port} can."
        ),
        None => "a browser cannot reach the machine's ports yet. In the terminal, curl can.".into(),
    };
    Lack { what: "port".into(), says, fatal: false }
}

/// The lack of another machine.
pub fn host_lack(host: u16) -> Lack {
    Lack {
        what: format!("host{host}"),
        says: format!("there is one machine, and this is for machine {host}."),
        fatal: false,
    }
}
