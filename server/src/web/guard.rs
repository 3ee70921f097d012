//! What surrounds every request: who asks, whether that is allowed, the log, and the headers that tell
//! browsers what our answers may not do.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use tracing::Instrument;

use super::app::App;
use super::cookie;
use super::error::{WebError, accepts_json, plain};
use super::listen::Peer;
use super::messages::{ErrorBody, ErrorMessage};
use super::pages::{self, ErrorView, content_security_policy};
use super::visit::Nonce;

/// Tells browsers what our answer may not do, whatever the answer is.
pub async fn shield(mut request: Request, next: Next) -> Response {
    let nonce = super::hex(&super::random_bytes::<16>());
    request.extensions_mut().insert(Nonce(nonce.clone()));
    let mut response = next.run(request).await;
    let policy = policy(response.headers(), &nonce);
    secure(response.headers_mut(), policy);
    response
}

/// Learns who asks and turns away who may not; below it every request has a [`super::visit::Visit`].
pub async fn admit(State(app): State<App>, mut request: Request, next: Next) -> Response {
    let Some(Peer(peer)) = request.extensions().get::<Peer>().copied() else {
        return WebError::internal(&"a connection without a peer").into_response();
    };
    let admitted = app.visit(request.headers(), peer.ip()).and_then(|visit| {
        visit.may(request.method(), request.headers())?;
        Ok(visit)
    });
    match admitted {
        Ok(visit) => {
            request.extensions_mut().insert(visit);
            next.run(request).await
        }
        Err(turned) => {
            tracing::debug!(?turned, %peer, path = request.uri().path(), "turned away");
            WebError::from(turned).into_response()
        }
    }
}

fn policy(headers: &HeaderMap, nonce: &str) -> HeaderValue {
    let html = headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    let text = match html {
        true => content_security_policy(nonce),
        false => "default-src 'none'; frame-ancestors 'none'".into(),
    };
    HeaderValue::from_str(&text).expect("directives and hexadecimal digits are a header's characters")
}

/// Gives every error its form: a page or JSON, whichever was asked for; also the bare answers of the layers
/// below (no such route, too large, too late).
pub async fn dress(State(app): State<App>, request: Request, next: Next) -> Response {
    let json = wants_json(&app, &request);
    let nonce = request.extensions().get::<Nonce>().cloned();
    let cookies = cookie::line(request.headers());
    let bare = next.run(request).await;
    let status = bare.status();
    let ours = bare.extensions().get::<Arc<WebError>>().cloned();
    if !(status.is_client_error() || status.is_server_error()) || (ours.is_none() && already_dressed(bare.headers())) {
        return bare;
    }
    let error = ours.map_or_else(|| plain(status), |error| (*error).clone());
    let mut response = match (json, nonce) {
        (false, Some(nonce)) => {
            let frame = app.frame(&nonce, &cookies);
            let view = ErrorView { frame, status: status.as_u16(), title: error.title, message: error.message };
            pages::page(status, &view)
        }
        _ => {
            let body =
                ErrorBody { error: ErrorMessage { code: error.code, message: error.message, offer: error.offer } };
            (status, axum::Json(body)).into_response()
        }
    };
    for name in [header::RETRY_AFTER, header::ALLOW] {
        if let Some(value) = bare.headers().get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn wants_json(app: &App, request: &Request) -> bool {
    let path = request.uri().path().strip_prefix(app.base().prefix()).unwrap_or_default();
    let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
    path.starts_with("/api/") || path.starts_with("/health/") || accepts_json(accepts)
}

/// A health answer says more than an error would.
fn already_dressed(headers: &HeaderMap) -> bool {
    headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind == "application/json" || kind == "text/html; charset=utf-8")
}

/// Headers that every answer has.
fn secure(headers: &mut HeaderMap, policy: HeaderValue) {
    let fixed: [(HeaderName, &str); 6] = [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // no-referrer would make browsers send `Origin: null` with our own forms.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("x-frame-options"), "DENY"),
        (HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=(), payment=(), usb=()"),
    ];
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // A picture brings a stricter policy of its own.
    headers.entry(header::CONTENT_SECURITY_POLICY).or_insert(policy);
    // What a page shows is one learner's; only what has a hashed name may be kept.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("private, no-cache"));
}

/// A span and an id for each request; the learner can read the id out to whoever runs the service.
pub async fn record(request: Request, next: Next) -> Response {
    let id = super::hex(&super::random_bytes::<6>());
    let span = tracing::info_span!("request", request = id, method = %request.method(), path = request.uri().path());
    async move {
        let begun = std::time::Instant::now();
        let mut response = next.run(request).await;
        let milliseconds = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::debug!(status = response.status().as_u16(), milliseconds, "answered");
        let id = HeaderValue::from_str(&id).expect("hexadecimal digits are a header's characters");
        response.headers_mut().insert("x-request-id", id);
        response
    }
    .instrument(span)
    .await
}
