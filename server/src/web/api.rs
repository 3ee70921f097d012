//! The pages' own interface: start, look, enter, check, stop, leave.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use serde::Deserialize;

use super::app::App;
use super::cookie::Secret;
use super::error::{WebError, accepts_json};
use super::messages::{CheckBody, SessionBody};
use super::visit::Visit;
use crate::learner::browser_name;
use crate::lesson::model::{PageKind, Scenario};
use crate::session::{Found, Handle, Refusal, Start};
use crate::store::{DeviceId, LearnerId, NewDevice, UnixMs};

#[derive(Debug, Deserialize)]
pub struct StartForm {
    page: Option<String>,
    /// A session of the learner's that is ended for this one.
    instead: Option<String>,
}

/// Starts, or finds, the learner's session of a scenario.
pub async fn start(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((course, scenario)): Path<(String, String)>,
    headers: HeaderMap,
    Form(form): Form<StartForm>,
) -> Result<Response, WebError> {
    let scenario = app.shelf().scenario(&course, &scenario).ok_or_else(WebError::not_found)?;
    let page = page_of(&scenario, form.page.as_deref())?;
    let known = app.learner(&visit, &headers).await?;
    if !has_session(&app, known, &scenario).await? {
        app.starts().take(visit.address, Instant::now()).map_err(WebError::too_often)?;
    }
    let (learner, cookie) = match known {
        Some(learner) => (learner, None),
        None => {
            let (learner, secret) = introduce(&app, &headers).await?;
            (learner, Some(secret.cookie(visit.scheme)))
        }
    };
    let instead = form.instead.as_deref().and_then(|id| id.parse().ok());
    let handle = app.roster().start(Start { learner, scenario: &scenario, page, instead }).await?;
    let json = accepts_json(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()));
    let mut response = if json {
        Json(SessionBody::from(&*handle.view())).into_response()
    } else {
        let base = app.base().as_str();
        Redirect::to(&format!("{base}{}/{}/{}", scenario.course, scenario.slug, page.slug())).into_response()
    };
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    Ok(response)
}

fn page_of(scenario: &Arc<Scenario>, slug: Option<&str>) -> Result<PageKind, WebError> {
    let page = match slug {
        None => scenario.pages.first(),
        Some(slug) => scenario.pages.iter().find(|page| page.kind.slug() == slug),
    };
    page.map(|page| page.kind).ok_or_else(WebError::not_found)
}

async fn has_session(app: &App, learner: Option<LearnerId>, scenario: &Scenario) -> Result<bool, WebError> {
    match learner {
        Some(learner) => Ok(app.store().live_session(learner, &scenario.course, &scenario.slug).await?.is_some()),
        None => Ok(false),
    }
}

async fn introduce(app: &App, headers: &HeaderMap) -> Result<(LearnerId, Secret), WebError> {
    let (id, secret) = (LearnerId::random(), Secret::random());
    app.store().add_learner(id, &new_device(&secret, headers), UnixMs::now()).await?;
    Ok((id, secret))
}

/// The browser that asks, under a secret that only it is told.
pub fn new_device(secret: &Secret, headers: &HeaderMap) -> NewDevice {
    let agent = headers.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    NewDevice { id: DeviceId::random(), secret: secret.hash(), name: browser_name(agent) }
}

pub async fn session(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<SessionBody>, WebError> {
    let found = app.session(&visit, &headers, &id).await?;
    Ok(Json(SessionBody::from(&*found.view())))
}

/// The learner is on this page now.
pub async fn enter(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, page)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let handle = live(app.session(&visit, &headers, &id).await?)?;
    let page = PageKind::from_slug(&page).ok_or(Refusal::NoPage)?;
    handle.enter(page).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn check(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, step)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Result<Json<CheckBody>, WebError> {
    let handle = live(app.session(&visit, &headers, &id).await?)?;
    let check = handle.check(step).await?;
    Ok(Json(CheckBody::from(&check)))
}

pub async fn stop_check(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((id, step)): Path<(String, u32)>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    let handle = live(app.session(&visit, &headers, &id).await?)?;
    handle.stop_check(step).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// More time for the machine; what it has then comes back, and as news.
pub async fn extend(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<SessionBody>, WebError> {
    let handle = live(app.session(&visit, &headers, &id).await?)?;
    handle.extend().await?;
    Ok(Json(SessionBody::from(&*handle.view())))
}

/// A fresh machine for the one that there is, or was.
pub async fn restart(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Json<SessionBody>, WebError> {
    let handle = live(app.session(&visit, &headers, &id).await?)?;
    handle.restart().await?;
    Ok(Json(SessionBody::from(&*handle.view())))
}

/// Ends the session and its machine. One that is over already has been left.
pub async fn leave(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<StatusCode, WebError> {
    if let Found::Live(handle) = app.session(&visit, &headers, &id).await? {
        match handle.leave().await {
            Ok(()) | Err(Refusal::Over) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The scenario's pages lead to this machine from now on, and no longer to the learner's other one.
pub async fn bring_forward(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let view = live(app.session(&visit, &headers, &id).await?)?.view();
    app.store().bring_forward(view.id).await?;
    Ok(Redirect::to(&format!("{}{}/{}/{}", app.base().as_str(), view.course, view.scenario, view.page)).into_response())
}

fn live(found: Found) -> Result<Handle, WebError> {
    match found {
        Found::Live(handle) => Ok(handle),
        Found::Past(_) => Err(Refusal::Over.into()),
    }
}
