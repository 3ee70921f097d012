//! Tags of a repository, and all repositories: in pages, with the address of the next one in a Link (RFC 8288).

use axum::http::{HeaderValue, Uri, header};
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::super::answer::{API_VERSION, Refusal};
use super::super::path::{encoded, query};
use super::super::protocol::{Answer, Ask, Code, NAMES_MAX, Page};
use super::Front;

impl Front {
    pub(super) async fn tags(&self, repository: String, asked: &Uri) -> Result<Response, Refusal> {
        let page = page(asked)?;
        let ask = Ask::Tags { repository: repository.clone(), page: page.clone() };
        self.listed(asked, &page, ask, |names| json!({ "name": repository, "tags": names })).await
    }

    pub(super) async fn catalog(&self, asked: &Uri) -> Result<Response, Refusal> {
        let page = page(asked)?;
        let ask = Ask::Catalog { page: page.clone() };
        self.listed(asked, &page, ask, |names| json!({ "repositories": names })).await
    }

    async fn listed(
        &self,
        asked: &Uri,
        page: &Page,
        ask: Ask,
        body: impl FnOnce(&[String]) -> serde_json::Value,
    ) -> Result<Response, Refusal> {
        let (Answer::Names { names, more }, _) = self.line.ask(ask, None).await? else {
            return Err(Refusal::holder());
        };
        let mut response = ([API_VERSION], axum::Json(body(&names))).into_response();
        if let (true, Some(last)) = (more, names.last()) {
            let next = format!("<{}?n={}&last={}>; rel=\"next\"", asked.path(), page.count, encoded(last));
            let next = HeaderValue::try_from(next).map_err(|_| Refusal::holder())?;
            response.headers_mut().insert(header::LINK, next);
        }
        Ok(response)
    }
}

/// What of a list is wanted: `?n=COUNT&last=NAME`.
fn page(asked: &Uri) -> Result<Page, Refusal> {
    let asked = asked.query();
    let count = match query(asked, "n") {
        Some(count) => count.parse::<usize>().map_err(|_| {
            Refusal::new(400, Code::PaginationNumberInvalid, format!("n={count} is no number of names"))
        })?,
        None => NAMES_MAX,
    };
    Ok(Page { count: count.min(NAMES_MAX), last: query(asked, "last") })
}
