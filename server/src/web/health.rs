//! For whoever watches the service.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde_json::json;

use super::app::App;

/// The process answers.
pub async fn live() -> Response {
    Json(json!({ "status": "ok" })).into_response()
}

/// Sessions can be started: the store answers and the keeper is there.
pub async fn ready(State(app): State<App>) -> Response {
    let store = app.store().ping().await;
    if let Err(error) = &store {
        tracing::warn!(%error, "not ready");
    }
    let (store, keeper) = (store.is_ok(), app.sandboxes().reachable());
    let status = if store && keeper { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let word = |fine: bool| if fine { "ok" } else { "unreachable" };
    let body = json!({ "status": word(store && keeper), "store": word(store), "keeper": word(keeper) });
    (status, Json(body)).into_response()
}
