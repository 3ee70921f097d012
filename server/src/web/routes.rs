//! The table of every address, and the layers around it.

use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::timeout::TimeoutLayer;

use super::app::App;
use super::{api, guard, health, learners, lessons, sockets};

/// The longest that an answer may take: a check and the seconds around it. WebSockets are answered at once.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// What a form may have; ours have two short fields.
const BODY_MAX: usize = 16 * 1024;

pub fn router(app: &App) -> Router {
    let routes = Router::new()
        .route("/", get(lessons::catalogue))
        .route("/assets/{name}", get(lessons::asset))
        .route("/favicon.svg", get(lessons::favicon))
        .route("/look", post(lessons::look))
        .route("/elsewhere", get(learners::elsewhere))
        .route("/elsewhere/code", get(learners::to_elsewhere).post(learners::make_code))
        .route("/elsewhere/devices/{id}/remove", post(learners::remove_device))
        .route("/resume", get(learners::resume).post(learners::look_up))
        .route("/resume/confirm", get(learners::to_resume).post(learners::confirm))
        .route("/forget", get(learners::before_forgetting).post(learners::forget))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .route("/api/sessions/{id}", get(api::session))
        .route("/api/sessions/{id}/pages/{page}/enter", post(api::enter))
        .route("/api/sessions/{id}/steps/{step}/check", post(api::check))
        .route("/api/sessions/{id}/steps/{step}/check/stop", post(api::stop_check))
        .route("/api/sessions/{id}/extend", post(api::extend))
        .route("/api/sessions/{id}/restart", post(api::restart))
        .route("/api/sessions/{id}/leave", post(api::leave))
        .route("/api/sessions/{id}/front", post(api::bring_forward))
        .route("/api/sessions/{id}/live", get(sockets::live))
        .route("/api/sessions/{id}/terminals/{number}", get(sockets::terminal))
        .route("/{course}/{scenario}", get(lessons::first_page))
        .route("/{course}/{scenario}/start", post(api::start))
        .route("/{course}/{scenario}/{page}", get(lessons::workspace))
        .route("/{course}/{scenario}/file/{*path}", get(lessons::picture));
    let base = app.base().prefix();
    let based = match base {
        "" => routes,
        prefix => Router::new().nest(prefix, routes).route(app.base().as_str(), get(lessons::catalogue)),
    };
    based
        .layer(DefaultBodyLimit::max(BODY_MAX))
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, ANSWER_MAX))
        .layer(CatchPanicLayer::new())
        .layer(from_fn_with_state(app.clone(), guard::admit))
        .layer(from_fn_with_state(app.clone(), guard::dress))
        .layer(from_fn(guard::shield))
        .layer(from_fn(guard::record))
        .with_state(app.clone())
}
