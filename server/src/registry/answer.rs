//! What the front answers with, in the distribution specification's form.

use axum::Json;
use axum::body::Body;
use axum::http::{HeaderName, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::protocol::Code;

/// Clients of Docker's look for it before they believe that this is a registry.
pub const API_VERSION: (HeaderName, &str) =
    (HeaderName::from_static("docker-distribution-api-version"), "registry/2.0");

pub const CONTENT_DIGEST: HeaderName = HeaderName::from_static("docker-content-digest");
pub const UPLOAD_ID: HeaderName = HeaderName::from_static("docker-upload-uuid");

/// An error of the specification.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    pub code: Code,
    pub message: String,
}

impl Refusal {
    pub fn new(status: u16, code: Code, message: impl Into<String>) -> Self {
        Self { status, code, message: message.into() }
    }

    /// The holder does not answer.
    pub fn holder() -> Self {
        Self::new(500, Code::Unknown, "the process that holds the images does not answer")
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let body = json!({ "errors": [{ "code": self.code, "message": self.message }] });
        (status, [API_VERSION], Json(body)).into_response()
    }
}

/// An answer without a body.
pub fn empty(status: StatusCode, headers: &[(HeaderName, String)]) -> Response {
    let mut response = Response::builder().status(status).header(API_VERSION.0, API_VERSION.1);
    for (name, value) in headers {
        response = response.header(name, value);
    }
    // Said for HEAD too, where the length is that of what GET would give.
    if !headers.iter().any(|(name, _)| name == header::CONTENT_LENGTH) {
        response = response.header(header::CONTENT_LENGTH, 0);
    }
    response.body(Body::empty()).unwrap_or_else(|_| StatusCode::INTERNAL_SERVER_ERROR.into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn errors_are_the_specifications_json() {
        let response = Refusal::new(404, Code::ManifestUnknown, "there is no image x").into_response();
        assert_eq!(response.status(), 404);
        let body = axum::body::to_bytes(response.into_body(), 1000).await.unwrap();
        let expected = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"there is no image x"}]}"#;
        assert_eq!(String::from_utf8(body.to_vec()).unwrap(), expected);
    }
}
