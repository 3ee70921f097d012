//! Answers to a lesson's questions: judged here, as the page does not know what is right.
//!
//! An answer is kept with the learner's session. Without one it is judged all the same: a page with a script keeps the
//! verdict itself, and a form without one is led back to a page whose address has the answer in it.

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};

use super::app::App;
use super::error::{WebError, accepts_json};
use super::lessons;
use super::visit::Visit;
use crate::lesson::model::{Page, PageKind, Piece, Quiz, Scenario};
use crate::lesson::quiz::{Given, judge};
use crate::store::{Answer, UnixMs};

/// Of the address of a page: an answer that nobody keeps.
#[derive(Debug, Default, Deserialize)]
pub struct Answered {
    question: Option<String>,
    answer: Option<String>,
}

/// What the page's script is told.
#[derive(Debug, Serialize)]
struct Verdict {
    is: &'static str,
    words: Vec<Piece>,
}

/// `POST /COURSE/SCENARIO/PAGE/questions/KEY`, with one `answer` for each that was chosen.
pub async fn answer(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Path((course, slug, page, key)): Path<(String, String, String, String)>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let learner = app.learner(&visit, &headers).await?;
    let scenario = lessons::scenario_for(&app, learner, &course, &slug).await?.ok_or_else(WebError::not_found)?;
    let quiz = question(&scenario, &page, &key).ok_or_else(WebError::not_found)?;
    let values: Vec<&str> = form.iter().filter(|(name, _)| name == "answer").map(|(_, value)| value.as_str()).collect();
    let given = Given::read(quiz, &values);
    let judged = given.as_ref().map(|given| judge(quiz, given));
    let session = match learner {
        Some(learner) => app.store().latest_session(learner, &course, &slug).await?,
        None => None,
    };
    if let (Some(session), Some(given), Some(judged)) = (&session, &given, &judged) {
        let answer =
            Answer { page: page.clone(), question: key.clone(), given: given.to_text(), is_right: judged.right };
        app.store().answer(session.id, &answer, UnixMs::now()).await?;
    }
    if accepts_json(headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok())) {
        let verdict = match judged {
            None => Verdict { is: "open", words: Vec::new() },
            Some(judged) => Verdict { is: if judged.right { "right" } else { "wrong" }, words: judged.words },
        };
        return Ok(Json(verdict).into_response());
    }
    let kept = session.is_some();
    let unkept = given.filter(|_| !kept).map(|given| format!("?question={key}&answer={}", encode(&given.to_text())));
    let back = format!("{}{course}/{slug}/{page}{}#question-{key}", app.base().as_str(), unkept.unwrap_or_default());
    Ok(Redirect::to(&back).into_response())
}

fn question<'a>(scenario: &'a Scenario, page: &str, key: &str) -> Option<&'a Quiz> {
    scenario.page(PageKind::from_slug(page)?)?.quizzes.iter().find(|quiz| quiz.key == key)
}

/// What was answered to a page's question: in its address, else in the store.
pub fn given(quiz: &Quiz, answered: &Answered, kept: &[Answer]) -> Option<Given> {
    let in_address = answered.question.as_deref().filter(|key| *key == quiz.key).and(answered.answer.as_deref());
    let in_store = || Some(kept.iter().find(|answer| answer.question == quiz.key)?.given.as_str());
    Given::from_text(quiz, in_address.or_else(in_store)?)
}

/// How many questions a page has, and how many of them are answered right.
pub fn count(page: &Page, given: impl Fn(&Quiz) -> Option<Given>) -> (usize, usize) {
    let right = page.quizzes.iter().filter(|quiz| given(quiz).is_some_and(|given| judge(quiz, &given).right));
    (page.quizzes.len(), right.count())
}

/// For the query of an address.
fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => encoded.push(byte as char),
            byte => encoded.push_str(&format!("%{byte:02X}")),
        }
    }
    encoded
}
