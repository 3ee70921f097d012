//! The cookies that the server reads and writes: who a learner is, and how pages are drawn.

use axum::http::{HeaderMap, HeaderValue, header};
use sha2::{Digest, Sha256};

use super::look::Choice;
use super::visit::Scheme;
use crate::config::BasePath;
use crate::store::SecretHash;

/// A year: a class comes back after the holidays.
const MAX_AGE: u32 = 365 * 24 * 60 * 60;

/// Cookies of our name that are looked at in one request.
const COOKIES_MAX: usize = 4;

/// A device's 256 random bits. They are in the browser and nowhere else.
pub struct Secret([u8; 32]);

impl Secret {
    pub fn random() -> Self {
        Self(super::random_bytes())
    }

    /// What a browser becomes that brings a code and the ticket of the page that asked about it: each time the same.
    /// `None`: this is no ticket.
    pub fn of_ticket(ticket: &str, code: &str) -> Option<Self> {
        let ticket = unhex(ticket)?;
        Some(Self(Sha256::new().chain_update(ticket).chain_update(code).finalize().into()))
    }

    pub fn hash(&self) -> SecretHash {
        SecretHash::of(&self.0)
    }

    /// For `base` alone: what else the host has does not get it.
    pub fn cookie(&self, scheme: Scheme, base: &BasePath) -> HeaderValue {
        let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
        let (name, value, path) = (name(scheme, base), super::hex(&self.0), base.as_str());
        let line = format!("{name}={value}; Path={path}; Max-Age={MAX_AGE}; HttpOnly; SameSite=Lax{secure}");
        HeaderValue::from_str(&line).expect("a name, a path and hexadecimal digits are a header's characters")
    }

    /// The learner's cookies of a request that can be ours, each once. More than one is nobody's doing but somebody
    /// else's: another host of our domain can set a cookie of this name on plain http, and browsers send both.
    pub fn all_of(headers: &HeaderMap, scheme: Scheme, base: &BasePath) -> Vec<Self> {
        let name = name(scheme, base);
        let named = pairs(headers).filter(|(key, _)| *key == name);
        let mut all: Vec<[u8; 32]> = Vec::new();
        for secret in named.filter_map(|(_, value)| unhex(value)) {
            if all.len() < COOKIES_MAX && !all.contains(&secret) {
                all.push(secret);
            }
        }
        all.into_iter().map(Self).collect()
    }
}

/// Takes the learner's cookie from a browser.
pub fn forget(scheme: Scheme, base: &BasePath) -> HeaderValue {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let line = format!("{}=; Path={}; Max-Age=0; HttpOnly; SameSite=Lax{secure}", name(scheme, base), base.as_str());
    HeaderValue::from_str(&line).expect("a name and a path are a header's characters")
}

/// On https a prefix makes browsers refuse the cookie from anywhere but this very host (`__Host-`, which the whole
/// host must get) or from plain http (`__Secure-`, where there is a base path). On plain http, which classes use,
/// they would refuse the cookie itself.
fn name(scheme: Scheme, base: &BasePath) -> &'static str {
    match scheme {
        Scheme::Http => "learner",
        Scheme::Https if base.as_str() == "/" => "__Host-learner",
        Scheme::Https => "__Secure-learner",
    }
}

/// The cookie that keeps a look. Scripts may read it: it is a taste, not a secret.
pub fn look(choice: Choice, base: &str, scheme: Scheme) -> HeaderValue {
    let secure = if scheme == Scheme::Https { "; Secure" } else { "" };
    let (name, value) = (choice.taste.name, choice.value());
    let line = format!("{name}={value}; Path={base}; Max-Age={MAX_AGE}; SameSite=Lax{secure}");
    HeaderValue::from_str(&line).expect("a choice and a base path are a header's characters")
}

/// Every cookie of a request in one line.
pub fn line(headers: &HeaderMap) -> String {
    let lines: Vec<&str> = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok()).collect();
    lines.join("; ")
}

fn pairs(headers: &HeaderMap) -> impl Iterator<Item = (&str, &str)> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='))
}

fn unhex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |at: usize| char::from(pair[at]).to_digit(16);
        *byte = u8::try_from(digit(0)? * 16 + digit(1)?).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(line: &str) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, line.parse().expect("a cookie line"))])
    }

    #[test]
    fn a_secret_comes_back_as_it_was_given() {
        for (scheme, base, prefix, path) in [
            (Scheme::Http, "/", "learner=", "; Path=/;"),
            (Scheme::Https, "/", "__Host-learner=", "; Path=/;"),
            (Scheme::Http, "/learn", "learner=", "; Path=/learn/;"),
            (Scheme::Https, "/learn", "__Secure-learner=", "; Path=/learn/;"),
        ] {
            let base: BasePath = base.parse().expect("a path");
            let secret = Secret::random();
            let cookie = secret.cookie(scheme, &base);
            let cookie = cookie.to_str().expect("text");
            assert!(cookie.starts_with(prefix) && cookie.contains(path), "{cookie}");
            assert!(cookie.contains("; HttpOnly; SameSite=Lax"), "{cookie}");
            assert_eq!(cookie.contains("Secure"), scheme == Scheme::Https, "{cookie}");
            let sent = format!("theme=dark; {}", cookie.split(';').next().expect("the pair"));
            let found = Secret::all_of(&request(&sent), scheme, &base);
            assert_eq!(found.iter().map(Secret::hash).collect::<Vec<_>>(), [secret.hash()]);
        }
    }

    #[test]
    fn what_cannot_be_ours_is_no_secret() {
        let good = "ab".repeat(32);
        let count = |headers: &HeaderMap, scheme| Secret::all_of(headers, scheme, &BasePath::default()).len();
        assert_eq!(count(&request(&format!("learner={good}")), Scheme::Http), 1);
        for line in [
            "learner=".to_owned(),
            format!("learner={}", &good[1..]),
            format!("learner={good}0"),
            format!("learner={}", good.replace('a', "g")),
            format!("learner={}", good.replace('a', "é")),
            format!("Learner={good}"),
            format!("xlearner={good}"),
        ] {
            let headers =
                HeaderMap::from_iter([(header::COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("bytes"))]);
            assert_eq!(count(&headers, Scheme::Http), 0, "{line}");
        }
        assert_eq!(count(&request(&format!("learner={good}")), Scheme::Https), 0, "another site could set it");
    }

    #[test]
    fn every_different_cookie_of_our_name_is_seen_up_to_a_limit() {
        let line = |digits: &[&str]| {
            digits.iter().map(|two| format!("learner={}", two.repeat(32))).collect::<Vec<_>>().join("; ")
        };
        let count = |digits: &[&str]| Secret::all_of(&request(&line(digits)), Scheme::Http, &BasePath::default()).len();
        assert_eq!(count(&["ab", "ab"]), 1);
        assert_eq!(count(&["ab", "cd"]), 2);
        assert_eq!(count(&["01", "02", "03", "04", "05", "06"]), COOKIES_MAX);
    }
}
