//! From a session's row to a sandbox that runs: made anew, or found again after this process was away.

use std::sync::Arc;
use std::time::Duration;

use quayside_runtime::keeper::protocol::{ImageInfo, ImageState};
use quayside_runtime::spec::{Egress, Limits, SandboxId, SandboxSpec};
use tokio::sync::watch;

use crate::lesson::model::Environment as Wanted;
use crate::sandbox::{KeeperError, Sandbox, Sandboxes};
use crate::store::{SandboxRow, SandboxState, SessionId, Store, StoreError};

/// How long a start waits for the first image of an installation: one borrowed from the host takes under a
/// second, so whoever waits longer should be told.
const IMAGE_PATIENCE: Duration = Duration::from_secs(60);

/// The image that serves while the wanted one is being prepared.
const STAND_IN: &str = "host";

/// Said with a machine that is not quite what the lesson asked for.
pub const STAND_IN_NOTE: &str = "This machine borrows the programs of its host, as the lesson’s own image is still \
    being prepared. Some commands may be missing or differ.";

/// How long a launch waits for a place that a machine on its way out still takes.
const FULL_PATIENCE: Duration = Duration::from_secs(30);
/// How often it asks meanwhile.
const FULL_PAUSE: Duration = Duration::from_millis(250);

/// A sandbox, and how far it is.
#[derive(Debug)]
pub struct Launched {
    pub sandbox: Sandbox,
    /// Which of the session's machines it is, from 1.
    pub generation: u32,
    /// Everything up to the learner's page was started before; otherwise files and scripts are still to come.
    pub prepared: bool,
}

/// Why there is no sandbox.
#[derive(Debug)]
pub struct LaunchFailure {
    /// For the learner, in a sentence or two.
    pub message: String,
    /// The failing part's own words, which name the step.
    pub output: Option<String>,
    pub outlook: Outlook,
}

/// What there is to hope for after a launch that came to nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outlook {
    /// Another try may work.
    Retry,
    /// There was a machine, and there can be another.
    Lost,
    /// There can be none for this session any more.
    Over,
}

/// What a launch needs to know.
#[derive(Debug, Clone)]
pub struct Request {
    pub session: SessionId,
    /// `None`: the lesson is not readable now, so a new machine cannot be made.
    pub wanted: Option<Wanted>,
    pub limits: Limits,
    /// A machine that is there already is ended for it.
    pub fresh: bool,
}

/// Finds the session's sandbox, or makes one.
pub async fn launch(store: &Store, sandboxes: &Sandboxes, request: &Request) -> Result<Launched, LaunchFailure> {
    let before = store.sandbox_of(request.session).await.map_err(store_failed)?;
    let generation = match before {
        None => 1,
        Some(row) if request.fresh => {
            end(store, sandboxes, &row).await?;
            store.forget_entered(request.session).await.map_err(store_failed)?;
            row.generation + 1
        }
        Some(row) => match find(sandboxes, row.id).await? {
            Some(sandbox) => {
                let prepared = row.state == SandboxState::Prepared;
                return Ok(Launched { sandbox, generation: row.generation, prepared });
            }
            None if row.state == SandboxState::Launching => {
                // The launch may still be under way in the keeper: end it before the next generation.
                end(store, sandboxes, &row).await?;
                row.generation + 1
            }
            None => return Err(ended("The machine ended while nobody was looking after it.", Outlook::Lost)),
        },
    };
    let Some(wanted) = &request.wanted else {
        let message = "The lesson cannot be read any more, so no machine can be started for it.";
        return Err(ended(message, Outlook::Over));
    };
    let image = choose_image(sandboxes, &wanted.image).await?;
    let sandbox = create(store, sandboxes, request, wanted, image, generation).await?;
    Ok(Launched { sandbox, generation, prepared: false })
}

async fn end(store: &Store, sandboxes: &Sandboxes, row: &SandboxRow) -> Result<(), LaunchFailure> {
    if row.state != SandboxState::Gone {
        sandboxes.destroy(row.id).await.map_err(keeper_failed)?;
        store.mark_sandbox(row.id, SandboxState::Gone).await.map_err(store_failed)?;
    }
    Ok(())
}

async fn create(
    store: &Store,
    sandboxes: &Sandboxes,
    request: &Request,
    wanted: &Wanted,
    image: String,
    generation: u32,
) -> Result<Sandbox, LaunchFailure> {
    let id = SandboxId::random();
    let row = SandboxRow {
        id,
        session: request.session,
        generation,
        image: image.clone(),
        hostname: wanted.hostname.clone(),
        state: SandboxState::Launching,
    };
    store.add_sandbox(&row).await.map_err(store_failed)?;
    let spec = SandboxSpec {
        id,
        image,
        hostname: wanted.hostname.clone(),
        prompt: wanted.prompt.clone(),
        limits: request.limits.clone(),
        egress: Egress::None,
    };
    match create_when_there_is_room(sandboxes, &spec).await {
        Ok(sandbox) => {
            tracing::info!(sandbox = %id, image = %spec.image, "launched");
            Ok(sandbox)
        }
        Err(error) => {
            tracing::warn!(sandbox = %id, image = %spec.image, %error, "launch failed");
            // It may have come about after we stopped waiting; unknown to the keeper is fine too.
            if let Err(error) = sandboxes.destroy(id).await {
                tracing::warn!(sandbox = %id, %error, "cannot make sure that nothing is left; trying again later");
            } else if let Err(error) = store.mark_sandbox(id, SandboxState::Gone).await {
                tracing::warn!(sandbox = %id, %error, "cannot note that the sandbox is gone");
            }
            Err(keeper_failed(error))
        }
    }
}

/// A place is counted free when nothing of a machine is left; the keeper, which counts for itself, may be a
/// moment behind.
async fn create_when_there_is_room(sandboxes: &Sandboxes, spec: &SandboxSpec) -> Result<Sandbox, KeeperError> {
    let begun = tokio::time::Instant::now();
    loop {
        match sandboxes.create(spec).await {
            Err(error) if error.is_full() && begun.elapsed() < FULL_PATIENCE => tokio::time::sleep(FULL_PAUSE).await,
            answer => return answer,
        }
    }
}

/// Asks the keeper as often as it takes: a learner's machine is not given up because the keeper is away.
/// Whoever waits may leave, which ends this.
async fn find(sandboxes: &Sandboxes, id: SandboxId) -> Result<Option<Sandbox>, LaunchFailure> {
    loop {
        match sandboxes.find(id).await {
            Err(KeeperError::Unreachable { .. } | KeeperError::Lost | KeeperError::Slow(_)) => continue,
            found => return found.map_err(keeper_failed),
        }
    }
}

/// The wanted image if it is ready, else the stand-in, else whichever of the two is ready first.
async fn choose_image(sandboxes: &Sandboxes, wanted: &str) -> Result<String, LaunchFailure> {
    let mut images = sandboxes.images();
    let first = choice(&images.borrow_and_update(), wanted);
    if matches!(first, Choice::Absent) || wanted_is_absent(&images.borrow(), wanted) {
        // Only a nudge: whether it comes is seen in the images themselves.
        if let Err(error) = sandboxes.prepare_image(wanted).await {
            tracing::warn!(image = wanted, %error, "cannot ask for the image");
        }
    }
    match tokio::time::timeout(IMAGE_PATIENCE, first_ready(&mut images, wanted)).await {
        Ok(chosen) => chosen,
        Err(_) => Err(LaunchFailure {
            message: "The image for this machine is still being prepared. Try again in a minute.".into(),
            output: doing(&images.borrow(), wanted),
            outlook: Outlook::Retry,
        }),
    }
}

async fn first_ready(images: &mut watch::Receiver<Arc<Vec<ImageInfo>>>, wanted: &str) -> Result<String, LaunchFailure> {
    loop {
        let choice = choice(&images.borrow_and_update(), wanted);
        match choice {
            Choice::Ready(name) => return Ok(name),
            Choice::Never(why) => {
                return Err(LaunchFailure {
                    message: "There is no image for this machine, and that is not your doing.".into(),
                    output: Some(why),
                    outlook: Outlook::Retry,
                });
            }
            Choice::Absent | Choice::Later => {}
        }
        if images.changed().await.is_err() {
            return Err(keeper_failed(KeeperError::Lost));
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Choice {
    Ready(String),
    Later,
    /// Nobody has begun to prepare it.
    Absent,
    Never(String),
}

/// Decides from the catalogue as it is.
fn choice(images: &[ImageInfo], wanted: &str) -> Choice {
    let state = |name: &str| images.iter().find(|image| image.name == name).map(|image| &image.state);
    let (first, second) = (state(wanted), state(STAND_IN));
    let ready = |state: Option<&ImageState>| matches!(state, Some(ImageState::Ready { .. }));
    let preparing = |state: Option<&ImageState>| matches!(state, Some(ImageState::Preparing { .. }));
    if ready(first) {
        return Choice::Ready(wanted.into());
    }
    if ready(second) {
        return Choice::Ready(STAND_IN.into());
    }
    if preparing(first) || preparing(second) {
        return Choice::Later;
    }
    match first {
        Some(ImageState::Failed { message }) => Choice::Never(format!("{wanted}: {message}")),
        Some(_) => Choice::Absent,
        None => Choice::Never(format!("no image is called {wanted}; `quayside image ls` names those there are")),
    }
}

fn wanted_is_absent(images: &[ImageInfo], wanted: &str) -> bool {
    images.iter().any(|image| image.name == wanted && image.state == ImageState::Absent)
}

fn doing(images: &[ImageInfo], wanted: &str) -> Option<String> {
    images.iter().find(|image| image.name == wanted).and_then(|image| match &image.state {
        ImageState::Preparing { doing, done, total } => Some(format!("{wanted}: {doing}, {done} of {total}")),
        _ => None,
    })
}

fn ended(message: &str, outlook: Outlook) -> LaunchFailure {
    LaunchFailure { message: message.into(), output: None, outlook }
}

fn keeper_failed(error: KeeperError) -> LaunchFailure {
    let message = match &error {
        error if error.is_full() => "There is no room for another machine now. Try again when somebody has left.",
        KeeperError::Refused(_) => "The machine could not be started, and that is not your doing.",
        _ => "The machine could not be started: the part that makes machines does not answer.",
    };
    LaunchFailure { message: message.into(), output: Some(error.to_string()), outlook: Outlook::Retry }
}

fn store_failed(error: StoreError) -> LaunchFailure {
    tracing::error!(error = %crate::telemetry::chain(&error), "the store");
    let message = match error {
        StoreError::Full { .. } => "The machine could not be started: the service's disk is full.",
        _ => "The machine could not be started: the service cannot write its store.",
    };
    LaunchFailure { message: message.into(), output: None, outlook: Outlook::Retry }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(name: &str, state: ImageState) -> ImageInfo {
        ImageInfo { name: name.into(), summary: String::new(), state }
    }

    #[test]
    fn the_wanted_image_comes_first_and_the_hosts_serves_meanwhile() {
        let ready = || ImageState::Ready { size_bytes: 1 };
        let preparing = || ImageState::Preparing { doing: "fetching packages".into(), done: 1, total: 2 };
        let failed = || ImageState::Failed { message: "no mirror".into() };
        let both = |learner, host| choice(&[image("learner", learner), image("host", host)], "learner");
        assert_eq!(both(ready(), ready()), Choice::Ready("learner".into()));
        assert_eq!(both(preparing(), ready()), Choice::Ready("host".into()));
        assert_eq!(both(failed(), ready()), Choice::Ready("host".into()));
        assert_eq!(both(preparing(), failed()), Choice::Later);
        assert_eq!(both(failed(), preparing()), Choice::Later);
        assert_eq!(both(ImageState::Absent, failed()), Choice::Absent);
        assert_eq!(both(failed(), failed()), Choice::Never("learner: no mirror".into()));
        assert!(matches!(choice(&[], "learner"), Choice::Never(_)));
    }
}
