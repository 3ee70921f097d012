//! One repository of one server: asks, logs in when it is told to, and tries again what may work the next time.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use serde::Deserialize;
use ureq::http::header::{AUTHORIZATION, CONTENT_LENGTH, LOCATION, RETRY_AFTER, WWW_AUTHENTICATE};
use ureq::http::{Method, Request, Response};
use ureq::{Agent, Body, SendBody};

use super::super::http;
use super::Access;
use super::challenge::{self, Challenge};
use super::credentials::Login;
use super::error::RegistryError;
use super::place::{Place, Server};
use super::words::{Answer, Asked, BODY_MAX_BYTES};

/// Waits before the second, third and fourth try: who restarts a registry, or walks through a tunnel, is back by then,
/// and a person waits seven seconds at most before hearing that it does not work.
pub const RETRY_WAITS: [Duration; 3] =
    [Duration::from_millis(300), Duration::from_millis(1500), Duration::from_millis(5000)];

/// A registry that asks for a short rest gets it; one that wants minutes is told to the person who waits.
const REST_MAX_SECONDS: u64 = 10;

/// A token server's answer. Tokens have some kilobytes.
const TOKEN_MAX_BYTES: u64 = 256 * 1024;

const TRIES: usize = RETRY_WAITS.len() + 1;

/// What is to be done with a repository, in the words of token servers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Right {
    Pull,
    Push,
}

pub struct Client {
    agent: Agent,
    server: Server,
    repository: String,
    right: Right,
    /// For messages: `pull nginx:1.25`.
    doing: String,
    login: Option<Login>,
    /// The Authorization header that the server took last. Held only while it is read or set.
    authorization: Mutex<Option<String>>,
    /// Another repository that the token is to be good for: one that a blob is mounted from.
    also_from: Option<String>,
}

/// One request.
pub struct Ask<'a> {
    pub method: Method,
    pub url: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Content<'a>,
}

/// What is sent along; each can be sent again.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    Nothing,
    Bytes(&'a [u8]),
    Part { file: &'a Path, from: u64, bytes: u64 },
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl<'a> Ask<'a> {
    pub fn new(method: Method, url: String) -> Self {
        Self { method, url, headers: Vec::new(), body: Content::Nothing }
    }

    pub fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub fn body(self, body: Content<'a>) -> Self {
        Self { body, ..self }
    }
}

/// Why one attempt gave no answer.
enum Failure {
    /// The next one may.
    Passing(String),
    Lasting(RegistryError),
}

impl Client {
    pub fn new(
        place: &Place,
        access: &Access,
        right: Right,
        doing: String,
        login: Option<&Login>,
    ) -> Result<Self, RegistryError> {
        // A proxy cannot reach what listens on this machine alone.
        let proxy = access.proxy.as_deref().filter(|_| !place.server.is_loopback());
        let agent = http::agent(proxy).ok_or_else(|| RegistryError::Proxy(proxy.unwrap_or_default().to_owned()))?;
        Ok(Self {
            agent,
            server: place.server.clone(),
            repository: place.repository.clone(),
            right,
            doing,
            login: login.cloned(),
            authorization: Mutex::default(),
            also_from: None,
        })
    }

    /// The same with a right to read another repository.
    pub fn reading_also(self, repository: Option<String>) -> Self {
        Self { also_from: repository, ..self }
    }

    pub fn doing(&self) -> String {
        self.doing.clone()
    }

    pub fn server(&self) -> String {
        self.server.authority().to_owned()
    }

    /// `https://HOST/v2/REPOSITORY/` and what follows.
    pub fn url(&self, rest: &str) -> String {
        format!("{}/v2/{}/{rest}", self.server.base(), self.repository)
    }

    /// The answer, whatever its status, but for logins and for what passes: those are tried again here.
    pub fn ask(&self, ask: &Ask) -> Result<Response<Body>, RegistryError> {
        let mut logged_in = false;
        let mut tries = 0;
        loop {
            tries += 1;
            let (why, rest) = match self.once(ask) {
                Ok(response) if response.status() == 401 && !logged_in => {
                    logged_in = true;
                    tries -= 1;
                    match self.log_in(&response) {
                        Ok(true) => continue,
                        Ok(false) => return Ok(response),
                        Err(Failure::Lasting(error)) => return Err(error),
                        Err(Failure::Passing(why)) => (why, None),
                    }
                }
                Ok(response) => match passing(&response) {
                    // When it stays so, the server's own words are better than ours.
                    Some(_) if tries >= TRIES => return Ok(response),
                    Some(rest) => (format!("it answered {}", response.status()), rest),
                    None => return Ok(response),
                },
                Err(Failure::Lasting(error)) => return Err(error),
                Err(Failure::Passing(why)) => (why, None),
            };
            if tries >= TRIES {
                return Err(self.unreachable(why, tries));
            }
            thread::sleep(rest.unwrap_or(RETRY_WAITS[tries - 1]));
        }
    }

    /// The same without another try when nothing comes back: for who has to find out first how far the last one came.
    pub fn ask_once(&self, ask: &Ask) -> Result<Response<Body>, RegistryError> {
        let failed = |failure| match failure {
            Failure::Passing(why) => self.unreachable(why, 1),
            Failure::Lasting(error) => error,
        };
        let response = self.once(ask).map_err(failed)?;
        if response.status() == 401 && self.log_in(&response).map_err(failed)? {
            return self.once(ask).map_err(failed);
        }
        Ok(response)
    }

    /// The same for who wants one of these statuses and nothing else.
    pub fn ask_for(&self, ask: &Ask, wanted: &[u16]) -> Result<Response<Body>, RegistryError> {
        let response = self.ask(ask)?;
        if wanted.contains(&response.status().as_u16()) { Ok(response) } else { Err(self.error_of(response)) }
    }

    /// What an answer that nobody wanted means.
    pub fn error_of(&self, response: Response<Body>) -> RegistryError {
        let answer = read_answer(response);
        answer.error(Asked { doing: &self.doing, server: self.server.authority(), user: self.user() })
    }

    /// At most `max` bytes of an answer.
    pub fn read(&self, response: Response<Body>, what: &'static str, max: u64) -> Result<Vec<u8>, RegistryError> {
        let mut bytes = Vec::new();
        let read = response.into_body().into_reader().take(max + 1).read_to_end(&mut bytes);
        read.map_err(|error| self.unreachable(error.to_string(), 1))?;
        if bytes.len() as u64 > max {
            return Err(RegistryError::TooLong { doing: self.doing(), server: self.server(), what, max });
        }
        Ok(bytes)
    }

    pub fn unreachable(&self, why: String, tries: usize) -> RegistryError {
        let hint = match (self.server.is_loopback(), self.server.is_encrypted()) {
            (true, _) => "look whether a registry runs there",
            (_, true) => "check the name, the network and the proxy; a registry without TLS wants --insecure",
            (_, false) => "check the name, the network and the proxy",
        };
        RegistryError::Unreachable { doing: self.doing(), server: self.server(), why, tries, hint }
    }

    pub fn answer(&self, why: impl Into<String>) -> RegistryError {
        RegistryError::Answer { doing: self.doing(), server: self.server(), why: why.into() }
    }

    /// Where an answer says to go on: an address, or the end of one.
    pub fn location(&self, response: &Response<Body>) -> Result<String, RegistryError> {
        let location = response.headers().get(LOCATION).and_then(|value| value.to_str().ok());
        let location = location.ok_or_else(|| self.answer("an upload without a Location"))?;
        Ok(if location.starts_with('/') { format!("{}{location}", self.server.base()) } else { location.to_owned() })
    }

    fn once(&self, ask: &Ask) -> Result<Response<Body>, Failure> {
        let authorization = self.authorization.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).clone();
        let mut builder = Request::builder().method(ask.method.clone()).uri(&ask.url);
        for (name, value) in &ask.headers {
            builder = builder.header(*name, value);
        }
        // A Location may lead to another server, which is not to see our login.
        if let Some(authorization) = authorization.filter(|_| ask.url.starts_with(&format!("{}/", self.server.base())))
        {
            builder = builder.header(AUTHORIZATION, authorization);
        }
        let bad = |why: String| Failure::Lasting(self.answer(why));
        let sent = match ask.body {
            Content::Nothing
                if ask.method == Method::GET || ask.method == Method::HEAD || ask.method == Method::DELETE =>
            {
                self.agent.run(builder.body(()).map_err(|error| bad(error.to_string()))?)
            }
            Content::Nothing => self.agent.run(builder.body(&[][..]).map_err(|error| bad(error.to_string()))?),
            Content::Bytes(bytes) => self.agent.run(builder.body(bytes).map_err(|error| bad(error.to_string()))?),
            Content::Part { file, from, bytes } => {
                let read = |source| {
                    Failure::Lasting(
                        super::super::store::ImageError::Store { doing: "read", path: file.to_owned(), source }.into(),
                    )
                };
                let mut open = File::open(file).map_err(read)?;
                open.seek(SeekFrom::Start(from)).map_err(read)?;
                let mut part = open.take(bytes);
                let body = SendBody::from_reader(&mut part);
                let request = builder.header(CONTENT_LENGTH, bytes).body(body);
                self.agent.run(request.map_err(|error| bad(error.to_string()))?)
            }
        };
        sent.map_err(|error| match error {
            ureq::Error::BadUri(why) => bad(why),
            error @ (ureq::Error::TooManyRedirects | ureq::Error::RedirectFailed) => bad(error.to_string()),
            error => Failure::Passing(error.to_string()),
        })
    }

    /// Does what the server wants; `false` if we cannot.
    fn log_in(&self, refused: &Response<Body>) -> Result<bool, Failure> {
        let headers = refused.headers().get_all(WWW_AUTHENTICATE).iter().filter_map(|value| value.to_str().ok());
        let header = match (challenge::choose(headers), &self.login) {
            (Some(Challenge::Basic), Some(login)) => login.basic(),
            (Some(Challenge::Bearer { realm, service, scope }), _) => {
                format!("Bearer {}", self.token(&realm, service.as_deref(), scope.as_deref())?)
            }
            _ => return Ok(false),
        };
        *self.authorization.lock().unwrap_or_else(|poisoned| poisoned.into_inner()) = Some(header);
        Ok(true)
    }

    /// A token for this repository, with our login if there is one, else as anybody.
    fn token(&self, realm: &str, service: Option<&str>, scope: Option<&str>) -> Result<String, Failure> {
        let lasting = |error| Failure::Lasting(error);
        if self.server.is_encrypted() && !realm.starts_with("https://") {
            return Err(lasting(self.answer("it wants a login sent without encryption")));
        }
        let mut url = challenge::token_url(realm, service, &self.scope(scope));
        if let Some(other) = &self.also_from {
            url.push_str(&format!("&scope={}", challenge::encoded(&format!("repository:{other}:pull"))));
        }
        let mut request = self.agent.get(&url);
        if let Some(login) = &self.login {
            request = request.header(AUTHORIZATION, login.basic());
        }
        let response = request.call().map_err(|error| Failure::Passing(format!("its token server: {error}")))?;
        if response.status() != 200 {
            if passing(&response).is_some() {
                return Err(Failure::Passing(format!("its token server answered {}", response.status())));
            }
            return Err(lasting(self.error_of(response)));
        }
        let bytes = self.read(response, "token", TOKEN_MAX_BYTES).map_err(lasting)?;
        let token: Option<Token> = serde_json::from_slice(&bytes).ok();
        let token = token.map(|token| if token.token.is_empty() { token.access_token } else { token.token });
        token.filter(|token| !token.is_empty()).ok_or_else(|| lasting(self.answer("its token server gave no token")))
    }

    /// What we ask for; what the server says only where it is about nothing of ours.
    fn scope(&self, said: Option<&str>) -> String {
        let actions = match self.right {
            Right::Pull => "pull",
            Right::Push => "pull,push",
        };
        match said {
            Some(said) if !said.starts_with("repository:") => said.to_owned(),
            _ => format!("repository:{}:{actions}", self.repository),
        }
    }

    fn user(&self) -> Option<&str> {
        self.login.as_ref().map(|login| &*login.user)
    }
}

/// Whether an answer may be another the next time, and after what rest.
fn passing(response: &Response<Body>) -> Option<Option<Duration>> {
    match response.status().as_u16() {
        408 | 500 | 502 | 503 | 504 => Some(None),
        429 => {
            let seconds = header(response, RETRY_AFTER.as_str())?.trim().parse().ok()?;
            (seconds <= REST_MAX_SECONDS).then(|| Some(Duration::from_secs(seconds)))
        }
        _ => None,
    }
}

pub fn header<'a>(response: &'a Response<Body>, name: &str) -> Option<&'a str> {
    response.headers().get(name)?.to_str().ok()
}

fn read_answer(response: Response<Body>) -> Answer {
    let status = response.status().as_u16();
    let retry_after = header(&response, RETRY_AFTER.as_str()).map(str::to_owned);
    let mut body = Vec::new();
    // What cannot be read says nothing; the status does.
    let _ = response.into_body().into_reader().take(BODY_MAX_BYTES).read_to_end(&mut body);
    Answer { status, retry_after, body }
}
