//! Katacoda's `[[…]]`: names that stand for where a machine is.
//!
//! The machine's own address is the same for everybody and is filled in. The others make the address of a port in a
//! browser: in a text they become Killercoda's `{{TRAFFIC_…}}`, of which the page says what it can do; where nothing is
//! known they stay as they are, and the author is told.

/// The address of the machine in its own network.
const ADDRESS: &str = "172.30.1.2";

/// Every name there is, for telling a placeholder from a test in a shell.
const NAMES: [&str; 10] = [
    "HOST_SUBDOMAIN",
    "HOST1_SUBDOMAIN",
    "HOST2_SUBDOMAIN",
    "CLIENT_SUBDOMAIN",
    "KATACODA_HOST",
    "KATACODA_DOMAIN",
    "HOST_IP",
    "HOST1_IP",
    "HOST2_IP",
    "CLIENT_IP",
];

/// What can be true here, filled in; and the first name that cannot.
pub fn filled(text: &str) -> (String, Option<&'static str>) {
    let mut filled = text.to_owned();
    if text.contains("[[") {
        for name in ["[[HOST_IP]]", "[[HOST1_IP]]", "[[CLIENT_IP]]"] {
            filled = filled.replace(name, ADDRESS);
        }
    }
    let left = unknown_in(&filled);
    (filled, left)
}

/// The first name in a text that stands for something which is not here.
pub fn unknown_in(text: &str) -> Option<&'static str> {
    let mut rest = text;
    while let Some(start) = rest.find("[[") {
        rest = &rest[start + 2..];
        if let Some(name) =
            NAMES.iter().find(|name| rest.strip_prefix(**name).is_some_and(|after| after.starts_with("]]")))
        {
            return Some(name);
        }
    }
    None
}

/// A text with the machine's own address filled in, and Katacoda's addresses of ports in Killercoda's words.
pub fn in_text(text: &str) -> String {
    let (text, _) = filled(text);
    let mut named = String::with_capacity(text.len());
    let mut rest = text.as_str();
    while let Some(start) = rest.find("[[") {
        let Some((length, port)) = katacoda_address(&rest[start..]) else {
            named.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        let before = rest[..start]
            .strip_suffix("https://")
            .or_else(|| rest[..start].strip_suffix("http://"))
            .unwrap_or(&rest[..start]);
        named.push_str(before);
        named.push_str(&format!("{{{{TRAFFIC_HOST1_{port}}}}}"));
        rest = &rest[start + length..];
    }
    named.push_str(rest);
    named
}

/// `[[HOST_SUBDOMAIN]]-8080-[[KATACODA_HOST]].environments.katacoda.com`: its length and its port.
fn katacoda_address(text: &str) -> Option<(usize, u16)> {
    let subdomain = ["[[HOST_SUBDOMAIN]]-", "[[HOST1_SUBDOMAIN]]-", "[[CLIENT_SUBDOMAIN]]-"]
        .iter()
        .find(|name| text.starts_with(**name))?;
    let rest = &text[subdomain.len()..];
    let (port, rest) = rest.split_at(rest.find(|letter: char| !letter.is_ascii_digit())?);
    let rest = ["-[[KATACODA_HOST]]", "-[[KATACODA_DOMAIN]]"].iter().find_map(|host| rest.strip_prefix(host))?;
    let rest = rest.strip_prefix(".environments.katacoda.com").unwrap_or(rest);
    Some((text.len() - rest.len(), port.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_filled_in_and_what_cannot_be_is_named() {
        assert_eq!(filled("ping [[HOST_IP]] && [[ -f x ]]"), (format!("ping {ADDRESS} && [[ -f x ]]"), None));
        assert_eq!(filled("ssh [[HOST2_IP]]"), ("ssh [[HOST2_IP]]".into(), Some("HOST2_IP")));
        assert_eq!(unknown_in("https://[[HOST_SUBDOMAIN]]-80-[[KATACODA_HOST]]"), Some("HOST_SUBDOMAIN"));
        assert_eq!(unknown_in("if [[HOSTNAME == x]]; then [[ -n $x ]]"), None);
    }

    #[test]
    fn an_address_of_a_port_gets_killercodas_name() {
        let address = "https://[[HOST_SUBDOMAIN]]-8080-[[KATACODA_HOST]].environments.katacoda.com/a";
        assert_eq!(
            in_text(&format!("see {address} or [[CLIENT_SUBDOMAIN]]-80-[[KATACODA_DOMAIN]]")),
            "see {{TRAFFIC_HOST1_8080}}/a or {{TRAFFIC_HOST1_80}}"
        );
        assert_eq!(in_text("[[HOST_SUBDOMAIN]]-x"), "[[HOST_SUBDOMAIN]]-x");
    }
}
