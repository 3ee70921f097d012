//! The pages' own interface: start, look, enter, check, stop, leave.

use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Form, FromRequestParts, Path, RawPathParams, State};
use axum::http::request::Parts;
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
use crate::session::view::Stage;
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
    let found = has_session(&app, known, &scenario).await?;
    if !found {
        app.starts().take(visit.address, Instant::now()).map_err(WebError::too_often).inspect_err(|_| {
            app.metrics().started("too-often");
        })?;
    }
    let (learner, cookie) = match known {
        Some(learner) => (learner, None),
        None => {
            let (learner, secret) = introduce(&app, &headers).await?;
            (learner, Some(secret.cookie(visit.scheme, app.base())))
        }
    };
    let instead = form.instead.as_deref().and_then(|id| id.parse().ok());
    let handle =
        app.roster().start(Start { learner, scenario: &scenario, page, instead }).await.inspect_err(|error| {
            app.metrics().started(error.word());
        })?;
    let session = handle.view().id;
    if !found {
        app.metrics().started("started");
        // Time in line says nothing of how quick machines are.
        if handle.view().phase.is != Stage::Waiting {
            app.metrics().await_prompt(session.as_u128());
        }
        tracing::info!(%session, "a session begins");
    }
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

pub async fn session(Theirs(found): Theirs) -> Json<SessionBody> {
    Json(SessionBody::from(&*found.view()))
}

/// The learner is on this page now.
pub async fn enter(Live(handle): Live, Path((_, page)): Path<(String, String)>) -> Result<StatusCode, WebError> {
    let page = PageKind::from_slug(&page).ok_or(Refusal::NoPage)?;
    handle.enter(page).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub async fn check(Live(handle): Live, Path((_, step)): Path<(String, u32)>) -> Result<Json<CheckBody>, WebError> {
    let check = handle.check(step).await?;
    Ok(Json(CheckBody::from(&check)))
}

pub async fn stop_check(Live(handle): Live, Path((_, step)): Path<(String, u32)>) -> Result<StatusCode, WebError> {
    handle.stop_check(step).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// More time for the machine; what it has then comes back, and as news.
pub async fn extend(Live(handle): Live) -> Result<Json<SessionBody>, WebError> {
    handle.extend().await?;
    Ok(Json(SessionBody::from(&*handle.view())))
}

/// A fresh machine for the one that there is, or was.
pub async fn restart(Live(handle): Live) -> Result<Json<SessionBody>, WebError> {
    handle.restart().await?;
    Ok(Json(SessionBody::from(&*handle.view())))
}

/// Ends the session and its machine. One that is over already has been left.
pub async fn leave(Theirs(found): Theirs) -> Result<StatusCode, WebError> {
    if let Found::Live(handle) = found {
        match handle.leave().await {
            Ok(()) | Err(Refusal::Over) => {}
            Err(refusal) => return Err(refusal.into()),
        }
    }
    Ok(StatusCode::NO_CONTENT)
}

/// The scenario's pages lead to this machine from now on, and no longer to the learner's other one.
pub async fn bring_forward(State(app): State<App>, Live(handle): Live) -> Result<Response, WebError> {
    let view = handle.view();
    app.store().bring_forward(view.id).await?;
    Ok(Redirect::to(&format!("{}{}/{}/{}", app.base().as_str(), view.course, view.scenario, view.page)).into_response())
}

/// The session that the address names by `{id}`, of the learner who asks.
pub struct Theirs(Found);

/// The same, while it is not over.
pub struct Live(Handle);

impl FromRequestParts<App> for Theirs {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, WebError> {
        let visit = parts.extensions.get::<Visit>().cloned().expect("a request that was let in is a visit");
        let named = RawPathParams::from_request_parts(parts, app).await.map_err(|_| WebError::no_session())?;
        let id = named.iter().find(|(name, _)| *name == "id").ok_or_else(WebError::no_session)?.1;
        Ok(Self(app.session(&visit, &parts.headers, id).await?))
    }
}

impl FromRequestParts<App> for Live {
    type Rejection = WebError;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, WebError> {
        match Theirs::from_request_parts(parts, app).await?.0 {
            Found::Live(handle) => Ok(Self(handle)),
            Found::Past(_) => Err(Refusal::Over.into()),
        }
    }
}
