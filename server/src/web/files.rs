//! Files of the machine, shown and written by a lesson's actions.
//!
//! A page names an action by its number and nothing else: which file it is, and what is written, stands in the lesson.

use axum::Extension;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use serde::Serialize;

use super::app::App;
use super::error::WebError;
use super::visit::Visit;
use crate::lesson::model::{Action, ActionVerb, FileTarget, PageKind};
use crate::sandbox::Sandbox;
use crate::session::files::{self, Shown, Trouble};
use crate::session::{Found, Refusal};

type Place = (String, String, usize);

#[derive(Debug, Serialize)]
pub struct Written {
    path: String,
}

/// `GET /api/sessions/ID/pages/PAGE/actions/N/file`: the action's file as it is now.
pub async fn show(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, page, number)): Path<Place>,
    headers: HeaderMap,
) -> Result<Json<Shown>, WebError> {
    let (sandbox, _, target) = find(app.session(&visit, &headers, &id).await?, &page, number)?;
    Ok(Json(files::read(&sandbox, &target.path).await.map_err(told)?))
}

/// `POST /api/sessions/ID/pages/PAGE/actions/N/write`
pub async fn write(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, page, number)): Path<Place>,
    headers: HeaderMap,
) -> Result<Json<Written>, WebError> {
    let (sandbox, action, target) = find(app.session(&visit, &headers, &id).await?, &page, number)?;
    let ActionVerb::Write(how) = action.verb else { return Err(WebError::not_found()) };
    files::write(&sandbox, &target, how, &action.text).await.map_err(told)?;
    Ok(Json(Written { path: target.path }))
}

fn find(found: Found, page: &str, number: usize) -> Result<(Sandbox, Action, FileTarget), WebError> {
    let Found::Live(handle) = found else { return Err(Refusal::Over.into()) };
    let kind = PageKind::from_slug(page).ok_or(Refusal::NoPage)?;
    let page = handle.scenario().and_then(|scenario| scenario.page(kind)).ok_or(Refusal::NoPage)?;
    let action = page.actions.get(number).ok_or_else(WebError::not_found)?.clone();
    let target = action.target.clone().ok_or_else(WebError::not_found)?;
    let sandbox = handle.view().sandbox.clone().ok_or(Refusal::NotReady)?;
    Ok((sandbox, action, target))
}

fn told(trouble: Trouble) -> WebError {
    match trouble {
        Trouble::Said(words) => WebError::new(StatusCode::CONFLICT, "file", "The file", words),
        Trouble::Machine(error) => {
            tracing::warn!(%error, "cannot reach into the machine for a file");
            WebError::new(StatusCode::BAD_GATEWAY, "machine", "The machine", Trouble::Machine(error).to_string())
        }
    }
}
