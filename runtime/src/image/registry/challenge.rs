//! How a registry wants to be told who asks: its WWW-Authenticate headers.
//!
//! RFC 9110, section 11.6.1, and the distribution project's token authentication: with `Bearer` a second server is named,
//! which gives a token for one repository and what is to be done there.

use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Challenge {
    Basic,
    Bearer { realm: String, service: Option<String>, scope: Option<String> },
}

/// The first challenge that is understood here, a token before a password.
pub fn choose<'a>(headers: impl Iterator<Item = &'a str>) -> Option<Challenge> {
    let found: Vec<Challenge> = headers.flat_map(parse).collect();
    let bearer = found.iter().find(|challenge| matches!(challenge, Challenge::Bearer { .. }));
    bearer.or(found.first()).cloned()
}

/// The address from which a token is to be had.
pub fn token_url(realm: &str, service: Option<&str>, scope: &str) -> String {
    let service = service.map(|service| format!("service={}&", encoded(service))).unwrap_or_default();
    let joint = if realm.contains('?') { '&' } else { '?' };
    format!("{realm}{joint}{service}scope={}", encoded(scope))
}

/// A text in the query of an address (RFC 3986, section 2.3), with what scopes are made of left readable.
pub fn encoded(text: &str) -> String {
    use std::fmt::Write;
    text.bytes().fold(String::new(), |mut out, byte| {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b':' | b'/' | b',' => {
                out.push(byte as char);
            }
            _ => write!(out, "%{byte:02X}").expect("writing into a string cannot fail"),
        }
        out
    })
}

/// All challenges of one header.
fn parse(header: &str) -> Vec<Challenge> {
    let mut rest = header;
    let mut found = Vec::new();
    while let Some((scheme, after)) = word(rest) {
        let (parameters, after) = parameters(after);
        rest = after;
        if scheme.eq_ignore_ascii_case("basic") {
            found.push(Challenge::Basic);
        } else if scheme.eq_ignore_ascii_case("bearer")
            && let Some(realm) = parameters.get("realm")
        {
            let part = |name| parameters.get(name).cloned();
            found.push(Challenge::Bearer { realm: realm.clone(), service: part("service"), scope: part("scope") });
        }
    }
    found
}

/// `name=value` or `name="value"`, between commas, until a word comes that has no `=`: the next scheme.
fn parameters(mut rest: &str) -> (BTreeMap<String, String>, &str) {
    let mut found = BTreeMap::new();
    loop {
        let Some((name, after)) = word(rest) else { return (found, rest) };
        let Some(value) = after.trim_start().strip_prefix('=') else { return (found, rest) };
        let (value, after) = value_of(value.trim_start());
        found.insert(name.to_ascii_lowercase(), value);
        rest = after;
    }
}

fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches([' ', '\t', ',']);
    let end = text.find([' ', '\t', ',', '=', '"']).unwrap_or(text.len());
    (end > 0).then(|| text.split_at(end))
}

fn value_of(text: &str) -> (String, &str) {
    let Some(quoted) = text.strip_prefix('"') else {
        let end = text.find([' ', '\t', ',']).unwrap_or(text.len());
        return (text[..end].to_owned(), &text[end..]);
    };
    let mut value = String::new();
    let mut letters = quoted.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '"' => return (value, &quoted[at + 1..]),
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            letter => value.push(letter),
        }
    }
    (value, "")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        let owned = |text: Option<&str>| text.map(str::to_owned);
        Challenge::Bearer { realm: realm.into(), service: owned(service), scope: owned(scope) }
    }

    #[test]
    fn a_token_server_is_found_with_its_commas_in_quotes() {
        let header = r#"Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull,push""#;
        let expected =
            bearer("https://auth.docker.io/token", Some("registry.docker.io"), Some("repository:a/b:pull,push"));
        assert_eq!(choose([header].into_iter()), Some(expected));
        assert_eq!(choose(["bearer realm=http://x"].into_iter()), Some(bearer("http://x", None, None)));
    }

    #[test]
    fn a_token_comes_before_a_password_wherever_it_stands() {
        let both = r#"Basic realm="a \"b\", c", Bearer realm="https://t""#;
        assert_eq!(choose([both].into_iter()), Some(bearer("https://t", None, None)));
        assert_eq!(choose(["Basic realm=x", "Bearer realm=\"y\""].into_iter()), Some(bearer("y", None, None)));
        assert_eq!(choose(["Basic realm=x"].into_iter()), Some(Challenge::Basic));
        assert_eq!(choose(["Basic"].into_iter()), Some(Challenge::Basic));
    }

    #[test]
    fn what_is_not_understood_is_nothing() {
        for header in
            ["", "Negotiate", "Bearer", "Bearer service=\"x\"", "Bearer realm=", "=,=", "\"", "Digest \"", "a=b"]
        {
            let found = choose([header].into_iter());
            assert!(found.is_none() || found == Some(bearer("", None, None)), "{header}: {found:?}");
        }
    }

    #[test]
    fn the_address_of_a_token_says_what_for() {
        assert_eq!(
            token_url("https://t/token", Some("my registry"), "repository:a/b:pull"),
            "https://t/token?service=my%20registry&scope=repository:a/b:pull"
        );
        assert_eq!(token_url("https://t/?a=b", None, "x&y"), "https://t/?a=b&scope=x%26y");
    }
}
