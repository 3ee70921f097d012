//! Figures for whoever watches the service: `GET /metrics`, on a listener of its own.
//!
//! Learners never reach it: it is not among the routes, and the address is the operator's to choose.

use axum::Router;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use quayside_runtime::image::ImageState;

use super::app::App;
use crate::metrics::{MEDIA_TYPE, Snapshot};
use crate::session::view::Stage;

const STAGES: [(&str, Stage); 7] = [
    ("waiting", Stage::Waiting),
    ("starting", Stage::Starting),
    ("preparing", Stage::Preparing),
    ("ready", Stage::Ready),
    ("lost", Stage::Lost),
    ("failed", Stage::Failed),
    ("ended", Stage::Ended),
];
const IMAGES: [&str; 4] = ["absent", "preparing", "ready", "failed"];

pub fn router(app: &App) -> Router {
    Router::new().route("/metrics", get(metrics)).with_state(app.clone())
}

async fn metrics(State(app): State<App>) -> Response {
    let snapshot = snapshot(&app).await;
    ([(header::CONTENT_TYPE, MEDIA_TYPE)], app.metrics().render(&snapshot)).into_response()
}

async fn snapshot(app: &App) -> Snapshot {
    let views = app.roster().views();
    let images = app.sandboxes().images().borrow().clone();
    let image_is = |word| images.iter().filter(|image| word_of(&image.state) == word).count();
    Snapshot {
        sessions: STAGES
            .map(|(word, stage)| (word, views.iter().filter(|view| view.phase.is == stage).count()))
            .to_vec(),
        images: IMAGES.map(|word| (word, image_is(word))).to_vec(),
        keeper_reachable: app.sandboxes().reachable(),
        store_writable: app.lookout().look().await.writable,
        queue: views.iter().filter(|view| view.phase.is == Stage::Waiting).count(),
        sandboxes: views.iter().filter(|view| view.sandbox.is_some()).count(),
    }
}

fn word_of(state: &ImageState) -> &'static str {
    match state {
        ImageState::Absent => "absent",
        ImageState::Preparing { .. } => "preparing",
        ImageState::Ready { .. } => "ready",
        ImageState::Failed { .. } => "failed",
    }
}
