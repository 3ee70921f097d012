//! Manifests, out and in, and names that are taken away.

use std::fs::File;

use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::response::Response;
use quayside_runtime::image::oci::MANIFEST_MAX_BYTES;
use quayside_runtime::sys::memfd::sealed_bytes;
use tokio::time::timeout;

use super::super::answer::{CONTENT_DIGEST, Refusal, empty};
use super::super::protocol::{Answer, Ask, Code};
use super::blobs::stream;
use super::{Front, SILENCE_MAX};

impl Front {
    pub(super) async fn manifest(
        &self,
        repository: String,
        reference: String,
        head: bool,
    ) -> Result<Response, Refusal> {
        let (answer, fd) = self.line.ask(Ask::Manifest { repository, reference }, None).await?;
        let (Answer::Manifest { digest, media_type, bytes }, Some(fd)) = (answer, fd) else {
            return Err(Refusal::holder());
        };
        let headers = [
            (header::CONTENT_TYPE, media_type),
            (header::CONTENT_LENGTH, bytes.to_string()),
            (CONTENT_DIGEST, digest.to_string()),
        ];
        let mut response = empty(StatusCode::OK, &headers);
        if !head {
            *response.body_mut() = stream(File::from(fd), bytes);
        }
        Ok(response)
    }

    pub(super) async fn put_manifest(
        &self,
        repository: String,
        reference: String,
        request: Request,
    ) -> Result<Response, Refusal> {
        let media_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let media_type = media_type.map(str::to_owned);
        let large = || Refusal::new(413, Code::ManifestInvalid, "the manifest is larger than 4 MiB");
        let read = axum::body::to_bytes(request.into_body(), MANIFEST_MAX_BYTES as usize);
        let bytes = timeout(SILENCE_MAX, read).await.map_err(|_| large())?.map_err(|_| large())?;
        let fd = sealed_bytes(&bytes).map_err(|_| Refusal::holder())?;
        let ask = Ask::Put { repository: repository.clone(), reference: reference.clone(), media_type };
        let (Answer::Done { digest: Some(digest) }, _) = self.line.ask(ask, Some(fd)).await? else {
            return Err(Refusal::holder());
        };
        let location = format!("/v2/{repository}/manifests/{reference}");
        Ok(empty(StatusCode::CREATED, &[(header::LOCATION, location), (CONTENT_DIGEST, digest.to_string())]))
    }

    /// Takes a tag away, or every name that a manifest has in this repository.
    pub(super) async fn delete_manifest(&self, repository: String, reference: String) -> Result<Response, Refusal> {
        self.line.ask(Ask::Delete { repository, reference }, None).await?;
        Ok(empty(StatusCode::ACCEPTED, &[]))
    }
}
