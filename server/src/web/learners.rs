//! Learners as such: a code to go on elsewhere, the way in with one, the list of devices, and being forgotten.
//!
//! A code is in the body of a POST and in the fragment of a link, so it is in no log, no history and no `Referer`.
//! Whoever types one is first told whose progress it brings: somebody may have handed out a code of their own, to
//! watch over another's shoulder. The page that says so has a ticket in it, at random, of which and of the code this
//! browser's secret is made: where the answer is lost on its way, as on bad Wi-Fi, the same form sent again gets the same
//! cookie, although the code is used by then.

use std::time::{Duration, Instant};

use axum::Extension;
use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use serde::Deserialize;

use super::api::new_device;
use super::app::App;
use super::cookie::{self, Secret};
use super::error::WebError;
use super::pages::learner::{
    CodeView, ConfirmView, DeviceView, ElsewhereView, ForgetView, LastView, LearnerView, OpenCodeView, OursView,
    ResumeFormView, SummaryView, Trouble,
};
use super::pages::page;
use super::progress::{Progress, page_name};
use super::visit::{Nonce, Visit};
use super::words::{ago, day};
use super::{qr, random_bytes};
use crate::learner::{CODE_LIFE_MS, CodeError, ResumeCode, handle};
use crate::session::{Found, Refusal};
use crate::store::{CodeState, Device, DeviceId, LearnerId, Redeemed, SecretHash, SessionRow, StoreError, UnixMs};

/// The learner's code and devices.
pub async fn elsewhere(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let learner = match app.device(&visit, &headers).await? {
        Some(device) => Some(learner_view(&app, &device, None).await?),
        None => None,
    };
    let frame = app.frame(&nonce, &cookie::line(&headers));
    Ok(unkept(page(StatusCode::OK, &ElsewhereView { frame, learner })))
}

/// Makes a code, and shows it this once.
pub async fn make_code(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let device = app.device(&visit, &headers).await?.ok_or_else(nobody)?;
    app.codes().take(visit.address, Instant::now()).map_err(|wait| {
        WebError::too_many("Too many codes", "Too many codes were made from your network just now.", wait)
    })?;
    let code = ResumeCode::from_random(random_bytes());
    let now = UnixMs::now();
    let expires = UnixMs(now.0 + CODE_LIFE_MS);
    app.store().make_code(device.learner, &hash(&code), now, expires).await?;
    let link = format!("{}{}resume", visit.origin(), app.base().as_str());
    let picture = match visit.is_loopback() {
        true => None,
        false => qr::picture(&format!("{link}#{code}")),
    };
    let code = CodeView { code: code.to_string(), until: day(expires.0), link, picture };
    let learner = Some(learner_view(&app, &device, Some(code)).await?);
    let frame = app.frame(&nonce, &cookie::line(&headers));
    Ok(unkept(page(StatusCode::OK, &ElsewhereView { frame, learner })))
}

/// A page that shows a code has an address that shows none.
pub async fn to_elsewhere(State(app): State<App>) -> Redirect {
    Redirect::to(&format!("{}elsewhere", app.base().as_str()))
}

pub async fn to_resume(State(app): State<App>) -> Redirect {
    Redirect::to(&format!("{}resume", app.base().as_str()))
}

/// Takes a device off: whoever sits there is this learner no more, at once.
pub async fn remove_device(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path(id): Path<String>,
    headers: HeaderMap,
) -> Result<Redirect, WebError> {
    let device = app.device(&visit, &headers).await?.ok_or_else(nobody)?;
    let id: DeviceId = id.parse().map_err(|_| WebError::not_found())?;
    if app.store().remove_device(device.learner, id).await? {
        app.take_off(id);
    }
    Ok(to_elsewhere(State(app)).await)
}

pub async fn resume(State(app): State<App>, Extension(nonce): Extension<Nonce>, headers: HeaderMap) -> Response {
    form(&app, &nonce, &headers, StatusCode::OK, "", None)
}

/// How long the same form may be sent again after its code was used.
const AGAIN_MS: i64 = 10 * 60 * 1000;

#[derive(Deserialize)]
pub struct CodeForm {
    code: String,
}

#[derive(Deserialize)]
pub struct ConfirmForm {
    code: String,
    #[serde(default)]
    ticket: String,
}

/// Whose progress the code brings. Changes nothing.
pub async fn look_up(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
    Form(typed): Form<CodeForm>,
) -> Result<Response, WebError> {
    let attempt = Attempt { app: &app, visit: &visit, nonce: &nonce, headers: &headers, typed: &typed.code };
    let look = async |hash: &SecretHash| app.store().look_up_code(hash, UnixMs::now()).await;
    let (code, learner) = match attempt.made(look).await? {
        Ok(found) => found,
        Err(refused) => return Ok(*refused),
    };
    let device = app.device(&visit, &headers).await?;
    if device.as_ref().is_some_and(|device| device.learner == learner) {
        let text = format!("This browser is {} already. Type the code at the other one.", handle(learner.as_u128()));
        return Ok(attempt.refused(StatusCode::CONFLICT, Trouble { title: "You are here already", text }));
    }
    let ours = match device {
        Some(device) => Some(OursView {
            summary: summary(&app, device.learner).await?,
            elsewhere_too: app.store().devices_of(device.learner).await?.len() > 1,
        }),
        None => None,
    };
    let view = ConfirmView {
        frame: app.frame(&nonce, &cookie::line(&headers)),
        code: code.to_string(),
        ticket: super::hex(&random_bytes::<32>()),
        theirs: summary(&app, learner).await?,
        ours: ours.filter(|ours| !ours.summary.is_empty()),
    };
    Ok(unkept(page(StatusCode::OK, &view)))
}

/// This browser becomes the code's learner's.
pub async fn confirm(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
    Form(typed): Form<ConfirmForm>,
) -> Result<Response, WebError> {
    let attempt = Attempt { app: &app, visit: &visit, nonce: &nonce, headers: &headers, typed: &typed.code };
    let from = app.device(&visit, &headers).await?.map(|device| device.id);
    // Always a new secret: the one that is there may have been put there by somebody else.
    let secret = Secret::of_ticket(&typed.ticket, &typed.code).unwrap_or_else(Secret::random);
    let device = new_device(&secret, &headers);
    let redeem = async |hash: &SecretHash| {
        let now = UnixMs::now();
        Ok(match app.store().redeem(hash, &device, from, now).await? {
            Redeemed::As(learner) => CodeState::Open(learner),
            Redeemed::Not(CodeState::Used(at)) if now.0 - at.0 < AGAIN_MS => {
                let again = app.store().device_by_secret(&device.secret).await?;
                again.map_or(CodeState::Used(at), |device| CodeState::Open(device.learner))
            }
            Redeemed::Not(state) => state,
        })
    };
    let learner = match attempt.made(redeem).await? {
        Ok((_, learner)) => learner,
        Err(refused) => return Ok(*refused),
    };
    tracing::info!(%learner, merged = from.is_some(), "a code was redeemed");
    if let Some(from) = from {
        app.take_off(from);
    }
    let mut response = Redirect::to(app.base().as_str()).into_response();
    response.headers_mut().insert(header::SET_COOKIE, secret.cookie(visit.scheme, app.base()));
    Ok(response)
}

pub async fn before_forgetting(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let who = match app.learner(&visit, &headers).await? {
        Some(learner) => Some(summary(&app, learner).await?),
        None => None,
    };
    let frame = app.frame(&nonce, &cookie::line(&headers));
    Ok(page(StatusCode::OK, &ForgetView { frame, who }))
}

/// Ends the learner's machines, deletes what is known of them, and takes the cookie back.
pub async fn forget(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    if let Some(learner) = app.learner(&visit, &headers).await? {
        for row in app.store().live_sessions_of(learner).await? {
            if let Some(Found::Live(handle)) = app.roster().find(row.id).await? {
                match handle.leave().await {
                    Ok(()) | Err(Refusal::Over) => {}
                    Err(refusal) => return Err(refusal.into()),
                }
            }
        }
        let devices = app.store().devices_of(learner).await?;
        app.store().forget(learner).await?;
        for device in devices {
            app.take_off(device.id);
        }
    }
    let mut response = Redirect::to(app.base().as_str()).into_response();
    response.headers_mut().insert(header::SET_COOKIE, cookie::forget(visit.scheme, app.base()));
    Ok(response)
}

/// A code that somebody has typed.
struct Attempt<'a> {
    app: &'a App,
    visit: &'a Visit,
    nonce: &'a Nonce,
    headers: &'a HeaderMap,
    typed: &'a str,
}

impl Attempt<'_> {
    /// The code, and whose it is as `look` finds it; else the form again, with why not. What is looked at counts as a guess,
    /// unless it is a code of ours.
    async fn made(
        &self,
        look: impl AsyncFnOnce(&SecretHash) -> Result<CodeState, StoreError>,
    ) -> Result<Result<(ResumeCode, LearnerId), Box<Response>>, StoreError> {
        let refused = |status, trouble| Ok(Err(Box::new(self.refused(status, trouble))));
        let code: ResumeCode = match self.typed.parse() {
            Ok(code) => code,
            Err(error) => return refused(StatusCode::UNPROCESSABLE_ENTITY, no_code(error)),
        };
        let (guesses, address) = (self.app.guesses(), self.visit.address);
        if let Err(wait) = guesses.take(address, Instant::now()) {
            let mut form = self.refused(StatusCode::TOO_MANY_REQUESTS, too_many(wait));
            form.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(wait.as_secs().max(1)));
            return Ok(Err(Box::new(form)));
        }
        let state = look(&hash(&code)).await?;
        if state != CodeState::Unknown {
            guesses.was_none(address);
        }
        match state {
            CodeState::Open(learner) => Ok(Ok((code, learner))),
            over => refused(StatusCode::GONE, worthless(over)),
        }
    }

    fn refused(&self, status: StatusCode, trouble: Trouble) -> Response {
        form(self.app, self.nonce, self.headers, status, self.typed, Some(trouble))
    }
}

fn too_many(wait: Duration) -> Trouble {
    let seconds = wait.as_secs().max(1);
    let text = format!(
        "Codes that nobody has were tried so often just now that all are held up, also good ones. Try again in \
         {seconds} seconds."
    );
    Trouble { title: "Too many wrong codes", text }
}

fn hash(code: &ResumeCode) -> SecretHash {
    SecretHash::of(&code.bytes())
}

fn nobody() -> WebError {
    WebError::new(
        StatusCode::CONFLICT,
        "nobody",
        "There is nothing to take along yet",
        "This browser has not started a lesson. Start one, and go on elsewhere afterwards.",
    )
}

fn no_code(error: CodeError) -> Trouble {
    let title = match error {
        CodeError::Length(0) => "There is no code yet",
        CodeError::Length(_) => "That is not a whole code",
        CodeError::Letter(_) => "That cannot be a code",
        CodeError::Typo => "There is a typo in it",
    };
    Trouble { title, text: error.to_string() }
}

/// Why a code that reads well brings nobody.
fn worthless(state: CodeState) -> Trouble {
    let another =
        "Make another one where you worked before: Go on elsewhere, in the menu of a lesson or on the first page.";
    let since = |at: UnixMs| ago(UnixMs::now().0 - at.0);
    let (title, text) = match state {
        CodeState::Used(at) => (
            "This code was used already",
            format!(
                "A code works once, and this one was used {}. {another} If it was not you who used it, look at your \
                 devices there, and take off the one that you do not know.",
                since(at)
            ),
        ),
        CodeState::Replaced(at) => {
            ("There is a newer code", format!("Another code was made {}, and only the newest works.", since(at)))
        }
        CodeState::Expired(at) => {
            ("This code has expired", format!("It worked until {}. Nothing is lost: {another}", day(at.0)))
        }
        CodeState::Unknown | CodeState::Open(_) => (
            "Nobody has this code",
            "It reads like a code, but it is not one of this installation. Perhaps it is from another, or older than \
             two months."
                .into(),
        ),
    };
    Trouble { title, text }
}

fn form(
    app: &App,
    nonce: &Nonce,
    headers: &HeaderMap,
    status: StatusCode,
    typed: &str,
    trouble: Option<Trouble>,
) -> Response {
    let frame = app.frame(nonce, &cookie::line(headers));
    unkept(page(status, &ResumeFormView { frame, typed: typed.into(), trouble }))
}

/// What may show a code is kept by no browser.
fn unkept(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn learner_view(app: &App, device: &Device, code: Option<CodeView>) -> Result<LearnerView, WebError> {
    let now = UnixMs::now();
    let open = match code {
        Some(_) => None,
        None => app.store().open_code(device.learner, now).await?,
    };
    let devices = app.store().devices_of(device.learner).await?;
    let view = |it: &Device| DeviceView {
        id: it.id.to_string(),
        name: it.name.clone(),
        seen: ago(now.0 - it.seen.0),
        is_this: it.id == device.id,
    };
    Ok(LearnerView {
        handle: handle(device.learner.as_u128()),
        code,
        open: open.map(|open| OpenCodeView { made: ago(now.0 - open.created.0), until: day(open.expires.0) }),
        devices: devices.iter().map(view).collect(),
    })
}

async fn summary(app: &App, learner: LearnerId) -> Result<SummaryView, WebError> {
    let progress = Progress::of(app, learner).await?;
    let devices = app.store().devices_of(learner).await?;
    let library = app.shelf().library();
    let passed = progress.lessons_passed(&library);
    let last = |row: &SessionRow| {
        let scenario = app.shelf().scenario(&row.course, &row.scenario)?;
        let when = ago(UnixMs::now().0 - row.ended.unwrap_or(row.created).0);
        Some(LastView { title: scenario.title.clone(), place: page_name(&scenario, &row.page), when })
    };
    Ok(SummaryView {
        handle: handle(learner.as_u128()),
        devices: devices.into_iter().map(|device| device.name).collect(),
        passed,
        begun: progress.rows.len().saturating_sub(passed),
        running: progress.running(),
        last: progress.rows.iter().find_map(last),
    })
}
