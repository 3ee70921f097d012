//! What a registry answered, as an error in words.

use serde::Deserialize;

use super::error::RegistryError;

/// An error's text is read so far: registries send some hundred bytes, proxies whole pages.
pub const BODY_MAX_BYTES: u64 = 64 * 1024;
/// Of a stranger's words so many letters are shown.
const SHOWN_MAX: usize = 300;

/// Who was asked what.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// `pull nginx:1.25`
    pub doing: &'a str,
    pub server: &'a str,
    /// The login that was used.
    pub user: Option<&'a str>,
}

/// An answer that was not what we wanted.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    /// Retry-After (RFC 9110, section 10.2.3): seconds, or a date.
    pub retry_after: Option<String>,
    /// As far as it was read.
    pub body: Vec<u8>,
}

/// The specification's JSON of errors, and Docker Hub's own with one text.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Body {
    errors: Vec<OneError>,
    details: String,
    message: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct OneError {
    code: String,
    message: String,
}

impl Answer {
    pub fn error(&self, asked: Asked) -> RegistryError {
        let (doing, server, words) = (asked.doing.to_owned(), asked.server.to_owned(), self.words());
        match self.status {
            429 => RegistryError::RateLimited { doing, server, words, wait: self.wait() },
            // Some registries say it with another status.
            _ if self.has_code("TOOMANYREQUESTS") => {
                RegistryError::RateLimited { doing, server, words, wait: self.wait() }
            }
            401 => match asked.user {
                Some(user) => RegistryError::Login { doing, server, user: user.to_owned(), words },
                None => RegistryError::Anonymous { doing, server, words },
            },
            403 => RegistryError::Forbidden { doing, server, words },
            404 => RegistryError::NoImage { doing, server, words },
            status => RegistryError::Refused { doing, server, status, words },
        }
    }

    /// Seconds that the server wants us to wait, where it says so in seconds.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.retry_after.as_ref()?.trim().parse().ok()
    }

    fn wait(&self) -> String {
        match (&self.retry_after, self.retry_after_seconds()) {
            (_, Some(seconds)) if seconds >= 120 => format!("try again in {} minutes", seconds.div_ceil(60)),
            (_, Some(seconds)) => format!("try again in {seconds} seconds"),
            (Some(date), None) => format!("try again after {}", shown(date)),
            (None, None) => "try again later".to_owned(),
        }
    }

    fn has_code(&self, code: &str) -> bool {
        self.body().errors.iter().any(|error| error.code.eq_ignore_ascii_case(code))
    }

    fn body(&self) -> Body {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// `MANIFEST_UNKNOWN: manifest unknown`; where the body is no JSON of errors, what the status means.
    fn words(&self) -> String {
        let body = self.body();
        let one = |error: &OneError| match (&*error.code, &*error.message) {
            (code, "") => code.to_owned(),
            ("", message) => message.to_owned(),
            (code, message) => format!("{code}: {message}"),
        };
        let all = body.errors.iter().map(one).collect::<Vec<_>>().join("; ");
        let text = [all, body.details, body.message].into_iter().find(|text| !text.is_empty());
        let status = ureq::http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let status = || format!("{} {}", self.status, status.unwrap_or_default());
        text.map_or_else(status, |text| shown(&text))
    }
}

/// A stranger's words for a terminal: no control characters, and not too many.
pub fn shown(text: &str) -> String {
    let clean: String = text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect();
    let mut short: String = clean.chars().take(SHOWN_MAX).collect();
    if short.len() < clean.len() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(status: u16, retry_after: Option<&str>, body: &str) -> String {
        let answer = Answer { status, retry_after: retry_after.map(str::to_owned), body: body.as_bytes().to_vec() };
        answer.error(Asked { doing: "pull nginx:1", server: "registry-1.docker.io", user: None }).to_string()
    }

    #[test]
    fn answers_become_words_that_say_what_to_do() {
        let unknown = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}"#;
        let limit = r#"{"errors":[{"code":"TOOMANYREQUESTS","message":"You have reached your pull rate limit."}]}"#;
        insta::assert_snapshot!([
            said(404, None, unknown),
            said(429, Some("21600"), limit),
            said(403, None, limit),
            said(401, None, r#"{"details":"incorrect username or password"}"#),
            said(403, None, "<html>\u{1b}[2J"),
            said(502, None, ""),
            said(418, None, r#"{"message":"a\u001b[31mb"}"#),
        ].join("\n"), @r#"
        cannot pull nginx:1: registry-1.docker.io has no such image (MANIFEST_UNKNOWN: manifest unknown); check the name and the tag
        cannot pull nginx:1: registry-1.docker.io has answered too often for now (TOOMANYREQUESTS: You have reached your pull rate limit.); try again in 360 minutes, log in where that raises the limit, or set a mirror (images.registry-mirrors)
        cannot pull nginx:1: registry-1.docker.io has answered too often for now (TOOMANYREQUESTS: You have reached your pull rate limit.); try again later, log in where that raises the limit, or set a mirror (images.registry-mirrors)
        cannot pull nginx:1: registry-1.docker.io wants a login (incorrect username or password); check the name, and give a login by --creds NAME:PASSWORD, or by 'docker login' as this user
        cannot pull nginx:1: registry-1.docker.io does not allow it (403 Forbidden); ask whoever keeps that registry for the right
        cannot pull nginx:1: registry-1.docker.io answered 502 (502 Bad Gateway)
        cannot pull nginx:1: registry-1.docker.io answered 418 (a [31mb)
        "#);
    }
}
