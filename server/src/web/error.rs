//! What a learner is told when something does not work, and what the log is told.
//!
//! A handler answers with a [`WebError`], which stays bare: [`super::guard::dress`] makes a page or JSON of it,
//! whichever was asked for.

use std::sync::Arc;
use std::time::Duration;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

use super::messages::Offer;
use super::visit::Turned;
use crate::session::{LeastUsed, Refusal, StartError};
use crate::store::StoreError;
use crate::telemetry::chain;

/// An answer that is not what was asked for.
#[derive(Debug, Clone)]
pub struct WebError {
    pub status: StatusCode,
    /// A word for programs.
    pub code: &'static str,
    pub title: String,
    /// What happened and what to do, for the learner.
    pub message: String,
    pub retry_after: Option<Duration>,
    /// What the learner can end to get on.
    pub offer: Option<Box<Offer>>,
}

impl WebError {
    pub fn new(status: StatusCode, code: &'static str, title: &str, message: impl Into<String>) -> Self {
        Self { status, code, title: title.into(), message: message.into(), retry_after: None, offer: None }
    }

    pub fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not-found",
            "There is no such page",
            "The address may be mistyped, or the lesson was renamed. All lessons are on the first page.",
        )
    }

    /// The same for a session that is not there and for somebody else's: who asks learns nothing.
    pub fn no_session() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "no-session",
            "There is no such session",
            "It is not yours, or this browser has forgotten you. Start the lesson again.",
        )
    }

    /// Two cookies that are both ours: the browser's own, and one that somebody else put there.
    pub fn two_cookies() -> Self {
        Self::new(
            StatusCode::CONFLICT,
            "two-cookies",
            "Two learners in one browser",
            "Your browser says that you are two learners at once, which a page of another host of this domain can \
             bring about. Nothing was opened, so that you do not work as somebody else. Clear the cookies of this \
             site, and come back with a code from another browser or begin anew.",
        )
    }

    pub fn too_often(wait: Duration) -> Self {
        Self::too_many("Too many starts", "Too many machines were started from your network just now.", wait)
    }

    /// A limit on how often something may be done was reached.
    pub fn too_many(title: &str, what: &str, wait: Duration) -> Self {
        let seconds = wait.as_secs().max(1);
        let message = format!("{what} Try again in {seconds} seconds.");
        let error = Self::new(StatusCode::TOO_MANY_REQUESTS, "too-often", title, message);
        Self { retry_after: Some(Duration::from_secs(seconds)), ..error }
    }

    /// Ours: the log has the reason, the learner an apology.
    pub fn internal(reason: &dyn std::fmt::Display) -> Self {
        tracing::error!(%reason, "answering 500");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "This did not work",
            "It is the service's fault, not yours, and nothing of yours was lost. Try again; if it stays so, tell \
             whoever runs it.",
        )
    }
}

impl From<StoreError> for WebError {
    fn from(error: StoreError) -> Self {
        tracing::error!(error = %chain(&error), "the store");
        let message = match error {
            StoreError::Full { .. } => {
                "The service's disk is full, so nothing new can be begun. Machines that run go on, but may not be able \
                 to write. Tell whoever runs it."
            }
            _ => "The service cannot use its store now. What runs goes on. Try again in a moment.",
        };
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "store", "The service cannot write", message)
    }
}

impl From<StartError> for WebError {
    fn from(error: StartError) -> Self {
        match error {
            StartError::Full(line_max) => Self {
                retry_after: Some(Duration::from_secs(60)),
                ..Self::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "full",
                    "Every machine is taken",
                    format!(
                        "As many machines run now as this installation has room for, and {line_max} learners wait in \
                         line, which is as many as may. You can read the lesson meanwhile, and try again later."
                    ),
                )
            },
            StartError::TooMany { max, least_used } => {
                let which = least_used.as_ref().map_or_else(String::new, |LeastUsed { title, unused, .. }| {
                    format!(" The one that you have not used for longest is “{title}”{}.", since(*unused))
                });
                let machines = if max == 1 { "1 machine".to_owned() } else { format!("{max} machines") };
                let message = format!("You have {machines} running, which is as many as one person may have.{which}");
                let offer = least_used
                    .map(|LeastUsed { session, title, .. }| Offer { session: session.to_string(), title })
                    .map(Box::new);
                let error = Self::new(StatusCode::CONFLICT, "too-many", "You have enough machines", message);
                Self { offer, ..error }
            }
            StartError::Unplayable(says) => {
                Self::new(StatusCode::CONFLICT, "unplayable", "This lesson cannot be played here", says)
            }
            StartError::Store(error) => error.into(),
        }
    }
}

/// The store knows it to the minute.
fn since(unused: Duration) -> String {
    match unused.as_secs() / 60 {
        0..2 => String::new(),
        minutes => format!(", {minutes} minutes ago"),
    }
}

impl From<Refusal> for WebError {
    fn from(refusal: Refusal) -> Self {
        let (status, code) = match refusal {
            Refusal::Over => (StatusCode::GONE, "over"),
            Refusal::NoMoreTime => (StatusCode::CONFLICT, "no-more-time"),
            Refusal::NotReady => (StatusCode::CONFLICT, "not-ready"),
            Refusal::NoPage => (StatusCode::NOT_FOUND, "no-page"),
            Refusal::NoCheck => (StatusCode::NOT_FOUND, "no-check"),
            Refusal::Busy(_) => (StatusCode::CONFLICT, "busy"),
            Refusal::Crowded => (StatusCode::TOO_MANY_REQUESTS, "crowded"),
            Refusal::Store => (StatusCode::SERVICE_UNAVAILABLE, "store"),
        };
        Self::new(status, code, "This did not work", refusal.to_string())
    }
}

impl From<Turned> for WebError {
    fn from(turned: Turned) -> Self {
        match turned {
            Turned::NoHost => {
                Self::new(StatusCode::BAD_REQUEST, "host", "Which host?", "The request must name one host.")
            }
            Turned::Host(host) => Self::new(
                StatusCode::MISDIRECTED_REQUEST,
                "host",
                "This is not the name of this service",
                format!(
                    "You asked for {host:?}, and this service is not told to answer to that name. Whoever runs it can \
                     add the name to the setting web.hosts."
                ),
            ),
            Turned::Origin => Self::new(
                StatusCode::FORBIDDEN,
                "origin",
                "This came from another page",
                "The service takes orders from its own pages only. Open the lesson and try again there. Behind a \
                 proxy, the proxy must pass Host and X-Forwarded-Proto, and stand in the setting web.trusted-proxies.",
            ),
        }
    }
}

impl IntoResponse for WebError {
    /// Bare: [`super::guard::dress`] gives it its form.
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if let Some(wait) = self.retry_after {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs()));
        }
        response.extensions_mut().insert(Arc::new(self));
        response
    }
}

/// Words for an answer that some layer gave without any.
pub fn plain(status: StatusCode) -> WebError {
    let words = |code, title, message: &str| WebError::new(status, code, title, message);
    match status {
        StatusCode::NOT_FOUND => WebError::not_found(),
        StatusCode::METHOD_NOT_ALLOWED => {
            words("method", "Not like this", "This address cannot be asked for in this way.")
        }
        StatusCode::PAYLOAD_TOO_LARGE => {
            words("too-large", "Too much", "The request has more in it than is taken here.")
        }
        StatusCode::REQUEST_TIMEOUT | StatusCode::GATEWAY_TIMEOUT => {
            words("too-late", "This took too long", "The service did not finish in time. Try again.")
        }
        status if status.is_server_error() => {
            WebError { status, ..WebError::internal(&format!("a layer answered {status}")) }
        }
        _ => words("bad-request", "This does not read", "The request is not one that this service understands."),
    }
}

/// Whether JSON is asked for by name; a browser's `*/*` does not.
pub fn accepts_json(accept: Option<&str>) -> bool {
    accept.is_some_and(|accept| accept.split(',').any(|kind| kind.trim().starts_with("application/json")))
}
