//! The pages that a learner reads: the catalogue and the workspace, and the files that they load.

use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};

use super::app::App;
use super::cookie;
use super::error::WebError;
use super::look::Choice;
use super::messages::SessionBody;
use super::pages::{
    self, AfterView, AsideView, BackView, BrokenView, CatalogueView, CourseView, DiagnosticView, FlagsView, LackView,
    LessonRow, LessonState, LevelView, PageLink, PageView, Plays, ResumeView, StepView, WorkspaceView,
};
use super::progress::{Progress, page_name, scenarios};
use super::questions::{self, Answered};
use super::visit::{Nonce, Visit};
use super::{assets, hex, standing};
use crate::learner::handle;
use crate::lesson::image::{self, PICTURE_POLICY};
use crate::lesson::model::{Course, Diagnostic, Item, Lack, Level, Library, Page, PageKind, Quiz, Scenario};
use crate::lesson::needs;
use crate::lesson::progress::passed_steps;
use crate::lesson::quiz::{self, Given};
use crate::session::Found;
use crate::session::view::{SessionView, Stage};
use crate::store::{LearnerId, SessionRow, SessionState, UnixMs};

/// A page that is opened this soon after its machine ended by itself still says so.
const AFTERMATH_MS: i64 = 15 * 60 * 1000;

pub async fn asset(Path(name): Path<String>, headers: HeaderMap) -> Response {
    assets::serve(&name, &headers)
}

pub async fn favicon(headers: HeaderMap) -> Response {
    assets::favicon(&headers)
}

/// Keeps what was chosen about the looks, and leads back to where the learner was.
pub async fn look(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    headers: HeaderMap,
    Form(form): Form<Vec<(String, String)>>,
) -> Result<Response, WebError> {
    let unknown = || {
        let message = "A page chooses theme, size or water, each from a few values.";
        WebError::new(StatusCode::BAD_REQUEST, "look", "No such look", message)
    };
    let base = app.base().as_str();
    let referer = headers.get(header::REFERER).and_then(|value| value.to_str().ok());
    let back = referer.and_then(|link| visit.own_path(link)).filter(|path| path.starts_with(base)).unwrap_or(base);
    let mut answer = Redirect::to(back).into_response();
    for (name, value) in &form {
        let choice = Choice::read(name, value).ok_or_else(unknown)?;
        answer.headers_mut().append(header::SET_COOKIE, cookie::look(choice, base, visit.scheme));
    }
    Ok(answer)
}

/// A picture of a lesson.
pub async fn picture(
    State(app): State<App>,
    Path((course, scenario, path)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let scenario = app.shelf().scenario(&course, &scenario).ok_or_else(WebError::not_found)?;
    let read = tokio::task::spawn_blocking(move || image::read(&scenario, &path)).await;
    let picture = match read {
        Ok(Ok(picture)) => picture,
        Ok(Err(error)) => {
            tracing::debug!(%error, "no picture");
            return Err(WebError::not_found());
        }
        Err(error) => return Err(WebError::internal(&error)),
    };
    use sha2::Digest;
    let etag = format!("\"{}\"", hex(&sha2::Sha256::digest(&picture.bytes)[..8]));
    let etag = HeaderValue::from_str(&etag).expect("hexadecimal digits are a header's characters");
    let fixed = [
        (header::CONTENT_TYPE, HeaderValue::from_static(picture.media_type)),
        (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(PICTURE_POLICY)),
    ];
    if headers.get(header::IF_NONE_MATCH) == Some(&etag) {
        return Ok((StatusCode::NOT_MODIFIED, [(header::ETAG, etag)], fixed).into_response());
    }
    Ok(([(header::ETAG, etag)], fixed, picture.bytes).into_response())
}

/// To the first page, or to the one where the learner was.
pub async fn first_page(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    Path((course, slug)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let library = app.shelf().library();
    match find(&library, &course, &slug) {
        Some((_, Item::Scenario(scenario))) => {
            let last = match app.learner(&visit, &headers).await? {
                Some(learner) => app.store().latest_session(learner, &course, &slug).await?.map(|row| row.page),
                None => None,
            };
            let page = last.filter(|last| shown(&scenario.pages).any(|page| page.kind.slug() == *last));
            let page = page.unwrap_or_else(|| scenario.first_page().kind.slug());
            Ok(Redirect::to(&format!("{}{course}/{slug}/{page}", app.base().as_str())).into_response())
        }
        Some((_, Item::Broken { .. })) => faults(State(app), Extension(nonce), Path((course, slug)), headers).await,
        None => Err(WebError::not_found()),
    }
}

/// What is wrong with a scenario, for its author: of a broken one in its own place, of any at `/COURSE/SCENARIO/faults`.
/// The page asks again and again, and so follows the files.
pub async fn faults(
    State(app): State<App>,
    Extension(nonce): Extension<Nonce>,
    Path((course, slug)): Path<(String, String)>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let dir = app.shelf().library().item(&course, &slug).ok_or_else(WebError::not_found)?.dir().to_owned();
    let (shelf, lessons) = (app.shelf().clone(), app.lessons().to_owned());
    tokio::task::spawn_blocking(move || shelf.look_again(&lessons, &dir))
        .await
        .map_err(|error| WebError::internal(&error))?;
    let library = app.shelf().library();
    let (in_course, item) = find(&library, &course, &slug).ok_or_else(WebError::not_found)?;
    let fault = library.fault(&course, &slug);
    let diagnostics = match (fault, item) {
        (Some(fault), _) => &fault.diagnostics,
        (None, Item::Broken { diagnostics, .. }) => diagnostics,
        (None, Item::Scenario(scenario)) => &scenario.diagnostics,
    };
    let view = BrokenView {
        frame: app.frame(&nonce, &cookie::line(&headers)),
        course_title: in_course.title.clone(),
        title: item.title().to_owned(),
        command: Some("quayside lesson lint DIR".into()),
        plays: match (fault, item) {
            (Some(_), _) => Plays::AsItWas,
            (None, Item::Broken { .. }) => Plays::Not,
            (None, Item::Scenario(_)) => Plays::AsItIs,
        },
        href: format!("{course}/{slug}"),
        diagnostics: diagnostics.iter().map(diagnostic).collect(),
    };
    Ok(pages::page(StatusCode::OK, &view))
}

/// A page of a lesson, beside the terminal. Starts nothing.
pub async fn workspace(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    Path((course, slug, page)): Path<(String, String, String)>,
    Query(answered): Query<Answered>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let library = app.shelf().library();
    let (course, item) = find(&library, &course, &slug).ok_or_else(WebError::not_found)?;
    let learner = app.learner(&visit, &headers).await?;
    let found = match learner {
        Some(learner) => app.roster().latest(learner, &course.slug, &slug).await?.filter(is_worth_showing),
        None => None,
    };
    // Who is in the middle of a lesson keeps the version that they began with.
    let scenario = match (&found, item) {
        (Some(Found::Live(handle)), item) => handle.scenario().cloned().or_else(|| playable(item)),
        (_, item) => playable(item),
    };
    let Some(scenario) = scenario else {
        return Ok(Redirect::to(&format!("{}{}/{slug}", app.base().as_str(), course.slug)).into_response());
    };
    let kind = PageKind::from_slug(&page).ok_or_else(WebError::not_found)?;
    let pages: Vec<&Page> = shown(&scenario.pages).collect();
    let at = pages.iter().position(|page| page.kind == kind).ok_or_else(WebError::not_found)?;
    let kept = match learner {
        Some(learner) if !pages[at].quizzes.is_empty() => {
            app.store().answers(learner, &course.slug, &slug, &page).await?
        }
        _ => Vec::new(),
    };
    let given = |quiz: &Quiz| questions::given(quiz, &answered, &kept);
    let session = found.as_ref().map(Found::view);
    let passed = passed(&app, learner, session.as_deref(), &scenario).await?;
    let flags = match (learner, kind, &scenario.namespace) {
        (Some(learner), PageKind::Finish, Some(_)) => Progress::of(&app, learner).await?.flags(scenarios(&library)),
        _ => None,
    };
    let told = if at == 0 { before_the_start(&scenario) } else { fatal(&scenario.lacks) };
    let frame = app.frame(&nonce, &cookie::line(&headers));
    let view = WorkspaceView {
        frame,
        course: course.slug.clone(),
        scenario: scenario.slug.clone(),
        course_title: course.title.clone(),
        title: scenario.title.clone(),
        namespace: scenario.namespace.clone(),
        steps: steps(&scenario, &passed),
        language: scenario.language.clone(),
        terminals: scenario.terminals.iter().map(|terminal| (terminal.number, terminal.name.clone())).collect(),
        page: page_view(pages[at], &passed, &told, &given),
        back: at.checked_sub(1).and_then(|at| pages.get(at)).map(|page| link(page)),
        next: pages.get(at + 1).map(|page| link(page)),
        lacks: told,
        session: session.as_deref().map(session_value),
        standing: session.as_deref().and_then(standing::of),
        after: after(course, &slug),
        flags,
    };
    Ok(pages::page(StatusCode::OK, &view))
}

/// The pages that a learner is shown.
fn shown(pages: &[Page]) -> impl Iterator<Item = &Page> {
    pages.iter().filter(|page| !page.hidden)
}

/// The scenario as this learner has it: who is in the middle of a lesson keeps the version that they began with.
pub async fn scenario_for(
    app: &App,
    learner: Option<LearnerId>,
    course: &str,
    slug: &str,
) -> Result<Option<Arc<Scenario>>, WebError> {
    if let Some(learner) = learner
        && let Some(Found::Live(handle)) = app.roster().latest(learner, course, slug).await?
        && let Some(scenario) = handle.scenario()
    {
        return Ok(Some(scenario.clone()));
    }
    Ok(app.shelf().scenario(course, slug))
}

fn is_worth_showing(found: &Found) -> bool {
    match found {
        Found::Live(_) => true,
        Found::Past(view) => {
            let recent = UnixMs::now().0 - view.phase.since.0 < AFTERMATH_MS;
            recent && !view.left && matches!(view.phase.is, Stage::Failed | Stage::Ended)
        }
    }
}

fn session_value(view: &SessionView) -> serde_json::Value {
    serde_json::to_value(SessionBody::from(view)).expect("plain data serialises")
}

fn find<'a>(library: &'a Library, course: &str, slug: &str) -> Option<(&'a Course, &'a Item)> {
    let course = library.course(course)?;
    Some((course, course.items.iter().find(|item| item.slug() == slug)?))
}

fn playable(item: &Item) -> Option<Arc<Scenario>> {
    match item {
        Item::Scenario(scenario) => Some(scenario.clone()),
        Item::Broken { .. } => None,
    }
}

/// What is passed by now, in whatever session; an old page's session knows what the store may not say yet.
async fn passed(
    app: &App,
    learner: Option<LearnerId>,
    session: Option<&SessionView>,
    scenario: &Scenario,
) -> Result<Vec<u32>, WebError> {
    let Some(learner) = learner else { return Ok(Vec::new()) };
    let ever = app.store().passed_in(learner, &scenario.course, &scenario.slug).await?;
    let mut passed = passed_steps(scenario, &ever);
    passed.extend(session.iter().flat_map(|view| &view.passed));
    Ok(passed)
}

fn steps(scenario: &Scenario, passed: &[u32]) -> Vec<StepView> {
    let steps = scenario.pages.iter().filter_map(|page| match page.kind {
        PageKind::Step(number) => Some((number, page)),
        PageKind::Intro | PageKind::Finish => None,
    });
    steps
        .map(|(number, page)| StepView {
            slug: page.kind.slug(),
            title: page.title.clone(),
            has_check: page.verify.is_some(),
            passed: passed.contains(&number),
        })
        .collect()
}

fn page_view(page: &Page, passed: &[u32], told: &[LackView], given: &dyn Fn(&Quiz) -> Option<Given>) -> PageView {
    let passed = matches!(page.kind, PageKind::Step(number) if passed.contains(&number));
    let slug = page.kind.slug();
    let filled = |html: &str| quiz::fill(html, &page.quizzes, &slug, given);
    let (questions, right) = questions::count(page, given);
    PageView {
        slug: page.kind.slug(),
        title: page.title.clone(),
        html: filled(&page.html),
        hint: page.hint.as_deref().map(filled),
        solution: page.solution.as_ref().map(|solution| filled(&solution.html)),
        open_questions: questions - right,
        has_check: page.verify.is_some() && matches!(page.kind, PageKind::Step(_)),
        passed,
        lacks: lacks_without_place(page, told),
    }
}

/// What the page's scripts and commands ask for; what its text asks for is named in the text. Nothing twice.
fn lacks_without_place(page: &Page, told: &[LackView]) -> Vec<String> {
    let without_place =
        |lack: &&Lack| matches!(lack.what.as_str(), "check" | "script") || needs::is_of_the_machine(&lack.what);
    // Before the start all names of a kind were said in one sentence; here would be some of them again.
    let same = |told: &LackView, lack: &Lack| {
        told.says == lack.says || (told.what == lack.what && needs::is_of_the_machine(&lack.what))
    };
    let is_told = |lack: &&Lack| told.iter().any(|told| same(told, lack));
    page.lacks.iter().filter(without_place).filter(|lack| !is_told(lack)).map(|lack| lack.says.clone()).collect()
}

/// What the learner should know before anything starts: that the machine is another one, and what is missing.
fn before_the_start(scenario: &Scenario) -> Vec<LackView> {
    let note = scenario.environment.note.iter().map(|note| LackView {
        what: "machine".into(),
        says: note.clone(),
        fatal: false,
    });
    let mut all = fatal(&scenario.lacks);
    all.extend(note);
    all.extend(lacks(&scenario.lacks).into_iter().filter(|lack| !lack.fatal));
    all
}

fn link(page: &Page) -> PageLink {
    PageLink { slug: page.kind.slug(), title: page.title.clone() }
}

fn lacks(lacks: &[Lack]) -> Vec<LackView> {
    lacks.iter().map(|lack| LackView { what: lack.what.clone(), says: lack.says.clone(), fatal: lack.fatal }).collect()
}

fn fatal(all: &[Lack]) -> Vec<LackView> {
    lacks(all).into_iter().filter(|lack| lack.fatal).collect()
}

fn diagnostic(diagnostic: &Diagnostic) -> DiagnosticView {
    let Diagnostic { level, file, line, column, message, hint, excerpt } = diagnostic.clone();
    let level = match level {
        Level::Warning => LevelView::Warning,
        Level::Error => LevelView::Error,
    };
    DiagnosticView { level, file, line, column, message, hint, excerpt }
}

/// The next lesson of the course that can be played.
fn after(course: &Course, slug: &str) -> Option<AfterView> {
    let later = course.items.iter().skip_while(|item| item.slug() != slug).skip(1);
    let next = later.filter_map(playable).find(|scenario| scenario.refusal().is_none())?;
    Some(AfterView {
        href: format!("{}/{}", next.course, next.slug),
        title: next.title.clone(),
        namespace: next.namespace.clone(),
        time: next.time.clone(),
    })
}

/// Every course with its lessons, and where the learner is in each.
pub async fn catalogue(
    State(app): State<App>,
    Extension(visit): Extension<Visit>,
    Extension(nonce): Extension<Nonce>,
    headers: HeaderMap,
) -> Result<Response, WebError> {
    let learner = app.learner(&visit, &headers).await?;
    let library = app.shelf().library();
    let (progress, aside) = match learner {
        Some(learner) => (Progress::of(&app, learner).await?, aside(&app, learner, &library).await?),
        None => (Progress::default(), Vec::new()),
    };
    let frame = app.frame(&nonce, &cookie::line(&headers));
    let courses = library.courses.iter().map(|course| course_view(course, &progress)).collect();
    let resume = progress.rows.iter().find_map(|row| resume(&library, row, &progress));
    let back = learner.map(|learner| BackView {
        handle: handle(learner.as_u128()),
        passed: progress.lessons_passed(&library),
        lessons: scenarios(&library).filter(|scenario| scenario.refusal().is_none()).count(),
    });
    let flags = progress.flags(scenarios(&library));
    Ok(pages::page(StatusCode::OK, &CatalogueView { frame, back, resume, aside, flags, courses }))
}

/// Machines that run and to which no page leads, because another of the same lesson is in front.
async fn aside(app: &App, learner: LearnerId, library: &Library) -> Result<Vec<AsideView>, WebError> {
    let live = app.store().live_sessions_of(learner).await?;
    let view = |row: &SessionRow| {
        let scenario = playable(find(library, &row.course, &row.scenario)?.1)?;
        Some(AsideView {
            id: row.id.to_string(),
            title: scenario.title.clone(),
            place: page_name(&scenario, &row.page),
            since: super::words::ago(UnixMs::now().0 - row.created.0),
        })
    };
    Ok(live.iter().filter(|row| row.aside).filter_map(view).collect())
}

fn course_view(course: &Course, progress: &Progress) -> CourseView {
    CourseView {
        slug: course.slug.clone(),
        title: course.title.clone(),
        description: course.description.clone(),
        lessons: course.items.iter().map(|item| lesson_row(course, item, progress)).collect(),
        flags: flags(course, progress),
        diagnostics: course.diagnostics.iter().map(diagnostic).collect(),
    }
}

/// The course's own flags, once one of its lessons has begun.
fn flags(course: &Course, progress: &Progress) -> Option<FlagsView> {
    let readable = course.items.iter().filter_map(|item| match item {
        Item::Scenario(scenario) => Some(&**scenario),
        Item::Broken { .. } => None,
    });
    progress.flags(readable).filter(FlagsView::has_begun)
}

fn lesson_row(course: &Course, item: &Item, progress: &Progress) -> LessonRow {
    match item {
        Item::Scenario(scenario) => LessonRow {
            href: format!("{}/{}", course.slug, scenario.slug),
            title: scenario.title.clone(),
            description: scenario.description.clone(),
            namespace: scenario.namespace.clone(),
            difficulty: scenario.difficulty.clone(),
            time: scenario.time.clone(),
            state: lesson_state(scenario, progress),
            lacks: scenario.lacks.iter().map(|lack| lack.says.clone()).collect(),
        },
        Item::Broken { slug, title, .. } => LessonRow {
            href: format!("{}/{slug}", course.slug),
            title: title.clone(),
            description: String::new(),
            namespace: None,
            difficulty: None,
            time: None,
            state: LessonState::Broken,
            lacks: Vec::new(),
        },
    }
}

fn lesson_state(scenario: &Scenario, progress: &Progress) -> LessonState {
    if scenario.refusal().is_some() {
        return LessonState::Unplayable;
    }
    if progress.has_passed(scenario) {
        return LessonState::Passed;
    }
    progress.so_far(scenario).map_or(LessonState::New, LessonState::UnderWay)
}

/// The lesson to go on with: one that is open and not finished.
fn resume(library: &Library, row: &SessionRow, progress: &Progress) -> Option<ResumeView> {
    let (course, item) = find(library, &row.course, &row.scenario)?;
    let scenario = playable(item)?;
    let running = row.state == SessionState::Live;
    if !running && progress.has_passed(&scenario) {
        return None;
    }
    let page = scenario.pages.iter().find(|page| page.kind.slug() == row.page)?;
    // Who has turned to the end with steps left out goes on with the first of those.
    let left_out = if page.kind == PageKind::Finish { progress.first_open(&scenario) } else { None };
    let page = left_out.unwrap_or(page);
    let slug = page.kind.slug();
    Some(ResumeView {
        title: scenario.title.clone(),
        namespace: scenario.namespace.clone(),
        href: format!("{}/{}/{slug}", course.slug, scenario.slug),
        place: page_name(&scenario, &slug),
        page_title: page.title.clone(),
        running,
    })
}
