//! The connection to the keeper: one task owns it, makes it again when it breaks, and matches answers
//! with questions.
//!
//! ```text
//!            ┌────────────── lost: every open question is answered `Lost` ──────────────┐
//!            ▼                                                                          │
//!   looking for keeper.sock ──► hello ──► asking for the images ──► connected ──────────┘
//!            ▲                    │ another version
//!            └────── later ───────┘
//! ```
//!
//! While there is no keeper, calls wait [`CONNECT_PATIENCE`] and then fail in words.

use std::collections::HashMap;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use quayside_runtime::keeper::protocol::{Answer, Body, Failure, ImageInfo, KEEPER_VERSION, Request, Verb};
use quayside_runtime::spec::SandboxId;
use tokio::net::UnixStream;
use tokio::sync::{broadcast, mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::frame::{FrameReader, FrameWriter, framed};

/// How long a call waits for a keeper that is being restarted.
const CONNECT_PATIENCE: Duration = Duration::from_secs(10);
/// How long the keeper may leave our bytes unread, or a hello unanswered, before we try a new connection.
const STALL_MAX: Duration = Duration::from_secs(10);
/// Pauses between two attempts to connect; a keeper that is restarted is back within the first few.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_MAX: Duration = Duration::from_secs(1);
/// A keeper that is started beside us is there by then; only one that is not is worth a warning.
const START_PATIENCE: Duration = Duration::from_secs(2);
/// Calls that wait to be sent. A whole class may start at once; more wait at the sender.
const CALLS_MAX: usize = 256;
/// Events that a slow listener may be behind; one that falls further is told, and lists anew.
const EVENTS_MAX: usize = 256;
/// How often a call that may be repeated is made in all.
const ATTEMPTS_MAX: u32 = 3;

/// What happened without being asked for.
#[derive(Debug, Clone)]
pub enum Event {
    /// A sandbox ended by itself. Nothing of it is left.
    Ended { sandbox: SandboxId, why: String },
    /// The keeper is there (again): what happened meanwhile was not heard, so look.
    Connected,
}

#[derive(Debug, thiserror::Error)]
pub enum KeeperError {
    #[error("the keeper does not answer at {path} since {waited} s; `quayside doctor` and the service's log say why")]
    Unreachable { path: PathBuf, waited: u64 },
    #[error("the connection to the keeper was lost before it answered")]
    Lost,
    #[error("the keeper did not finish within {0} s")]
    Slow(u64),
    #[error("{}", .0.message)]
    Refused(Failure),
    #[error("the keeper's answer does not read: {0}; both parts must be of the same installation")]
    Protocol(String),
}

impl KeeperError {
    pub(super) fn unexpected(body: &Body) -> Self {
        Self::Protocol(format!("{body:?} was not asked for"))
    }
}

/// A handle; clones share the connection.
#[derive(Debug, Clone)]
pub(super) struct Keeper {
    path: PathBuf,
    calls: mpsc::Sender<Call>,
    connected: watch::Receiver<bool>,
    events: broadcast::WeakSender<Event>,
    images: watch::Receiver<Arc<Vec<ImageInfo>>>,
    host: watch::Receiver<Option<HostInfo>>,
}

/// What the keeper says of the host.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostInfo {
    /// The memory that all sandboxes can have together, if it knows.
    pub memory_bytes: Option<u64>,
}

#[derive(Debug)]
struct Call {
    verb: Verb,
    reply: oneshot::Sender<Result<Body, KeeperError>>,
}

impl Keeper {
    pub(super) fn start(path: PathBuf) -> (Self, JoinHandle<()>) {
        let (calls_in, calls) = mpsc::channel(CALLS_MAX);
        let (connected_in, connected) = watch::channel(false);
        let (events, _) = broadcast::channel(EVENTS_MAX);
        let (images_in, images) = watch::channel(Arc::default());
        let (host_in, host) = watch::channel(None);
        let handle = Self { path: path.clone(), calls: calls_in, connected, events: events.downgrade(), images, host };
        let line = Line { path, calls, connected: connected_in, events, images: images_in, host: host_in };
        (handle, tokio::spawn(line.run()))
    }

    pub(super) fn connected(&self) -> bool {
        *self.connected.borrow()
    }

    pub(super) async fn wait(&self) {
        // An error means that its task is gone, and so is everything else.
        let _ = self.connected.clone().wait_for(|&connected| connected).await;
    }

    pub(super) fn events(&self) -> broadcast::Receiver<Event> {
        match self.events.upgrade() {
            Some(events) => events.subscribe(),
            None => broadcast::channel(1).1,
        }
    }

    pub(super) fn images(&self) -> watch::Receiver<Arc<Vec<ImageInfo>>> {
        self.images.clone()
    }

    pub(super) fn host(&self) -> watch::Receiver<Option<HostInfo>> {
        self.host.clone()
    }

    /// Asks once, as soon as there is a keeper.
    pub(super) async fn call(&self, verb: Verb, patience: Duration) -> Result<Body, KeeperError> {
        self.wait_for_keeper().await?;
        let (reply, answer) = oneshot::channel();
        let asking = async {
            self.calls.send(Call { verb, reply }).await.map_err(|_| KeeperError::Lost)?;
            answer.await.map_err(|_| KeeperError::Lost)?
        };
        timeout(patience, asking).await.map_err(|_| KeeperError::Slow(patience.as_secs()))?
    }

    /// Asks again when the keeper is lost meanwhile: for questions that may be asked twice.
    pub(super) async fn repeat(&self, verb: Verb, patience: Duration) -> Result<Body, KeeperError> {
        for _ in 1..ATTEMPTS_MAX {
            match self.call(verb.clone(), patience).await {
                Err(KeeperError::Lost) => continue,
                answer => return answer,
            }
        }
        self.call(verb, patience).await
    }

    async fn wait_for_keeper(&self) -> Result<(), KeeperError> {
        let mut connected = self.connected.clone();
        let there = timeout(CONNECT_PATIENCE, connected.wait_for(|&connected| connected)).await;
        match there {
            Ok(Ok(_)) => Ok(()),
            _ => Err(KeeperError::Unreachable { path: self.path.clone(), waited: CONNECT_PATIENCE.as_secs() }),
        }
    }
}

/// The task's own state.
struct Line {
    path: PathBuf,
    calls: mpsc::Receiver<Call>,
    connected: watch::Sender<bool>,
    events: broadcast::Sender<Event>,
    images: watch::Sender<Arc<Vec<ImageInfo>>>,
    host: watch::Sender<Option<HostInfo>>,
}

/// One connection, and the questions that are open on it.
struct Link {
    reader: FrameReader,
    writer: FrameWriter,
    last_id: u64,
    open: HashMap<u64, oneshot::Sender<Result<Body, KeeperError>>>,
}

impl Line {
    /// Until nobody holds a handle any more.
    async fn run(mut self) {
        let mut pause = RETRY_FIRST;
        let (mut since, mut said) = (Instant::now(), false);
        while !(self.calls.is_closed() && self.calls.is_empty()) {
            match self.open().await {
                Ok(link) => {
                    (pause, said) = (RETRY_FIRST, false);
                    tracing::info!(path = %self.path.display(), "the keeper is there");
                    let end = self.serve(link).await;
                    self.connected.send_replace(false);
                    since = Instant::now();
                    match end {
                        End::Unused => return,
                        End::Lost(error) => tracing::warn!(%error, "the keeper is lost; looking for it again"),
                    }
                }
                Err(error) => {
                    let is_late = since.elapsed() >= START_PATIENCE;
                    if is_late && !std::mem::replace(&mut said, true) {
                        tracing::warn!(path = %self.path.display(), %error, "no keeper yet; trying again");
                    }
                    sleep(pause).await;
                    pause = (pause * 2).min(RETRY_MAX);
                }
            }
        }
    }

    async fn open(&mut self) -> Result<Link, KeeperError> {
        let opening = async {
            let stream = UnixStream::connect(&self.path).await.map_err(|error| lost(&error))?;
            let (reader, writer) = framed(stream).map_err(|error| lost(&error))?;
            let mut link = Link { reader, writer, last_id: 0, open: HashMap::new() };
            let host = match link.ask(Verb::Hello { version: KEEPER_VERSION }).await? {
                Body::Hello { memory_bytes, .. } => HostInfo { memory_bytes },
                Body::Failed { failure } => return Err(KeeperError::Refused(failure)),
                other => return Err(KeeperError::unexpected(&other)),
            };
            match link.ask(Verb::Images).await? {
                Body::Images { images } => Ok((link, host, images)),
                other => Err(KeeperError::unexpected(&other)),
            }
        };
        let (link, host, images) =
            timeout(STALL_MAX, opening).await.map_err(|_| KeeperError::Slow(STALL_MAX.as_secs()))??;
        self.images.send_replace(Arc::new(images));
        self.host.send_replace(Some(host));
        self.connected.send_replace(true);
        let _ = self.events.send(Event::Connected);
        Ok(link)
    }

    async fn serve(&mut self, mut link: Link) -> End {
        let end = loop {
            tokio::select! {
                call = self.calls.recv() => {
                    let Some(call) = call else { break End::Unused };
                    if call.reply.is_closed() {
                        continue; // whoever asked has stopped waiting
                    }
                    if let Err(error) = link.send(call.verb, Some(call.reply)).await {
                        break End::Lost(error);
                    }
                }
                frame = link.reader.next() => match frame {
                    Ok(Some(frame)) => match serde_json::from_slice::<Answer>(&frame) {
                        Ok(Answer { id: 0, body }) => self.note(body),
                        Ok(Answer { id, body }) => link.settle(id, body),
                        Err(error) => break End::Lost(io::Error::other(error)),
                    },
                    Ok(None) => break End::Lost(io::ErrorKind::ConnectionReset.into()),
                    Err(error) => break End::Lost(error),
                },
            }
        };
        for (_, reply) in link.open.drain() {
            let _ = reply.send(Err(KeeperError::Lost));
        }
        end
    }

    fn note(&self, event: Body) {
        match event {
            Body::Ended { sandbox, why } => {
                let _ = self.events.send(Event::Ended { sandbox, why });
            }
            Body::Image { image } => self.images.send_modify(|images| {
                let images = Arc::make_mut(images);
                match images.iter_mut().find(|known| known.name == image.name) {
                    Some(known) => *known = image,
                    None => images.push(image),
                }
            }),
            other => tracing::debug!(?other, "an event of the keeper that is not known here"),
        }
    }
}

enum End {
    /// Nobody holds a handle.
    Unused,
    Lost(io::Error),
}

impl Link {
    async fn send(&mut self, verb: Verb, reply: Option<oneshot::Sender<Result<Body, KeeperError>>>) -> io::Result<u64> {
        self.last_id += 1;
        let id = self.last_id;
        let frame = serde_json::to_vec(&Request { id, verb }).expect("plain data serialises");
        if let Some(reply) = reply {
            // Who stopped waiting leaves its place; answers to nobody are dropped when they come.
            self.open.retain(|_, reply| !reply.is_closed());
            self.open.insert(id, reply);
        }
        timeout(STALL_MAX, self.writer.write(&frame[..])).await.map_err(|_| io::ErrorKind::TimedOut)??;
        Ok(id)
    }

    /// Sends and waits, before anybody else may use the connection. Events meanwhile are covered by the
    /// [`Event::Connected`] that follows.
    async fn ask(&mut self, verb: Verb) -> Result<Body, KeeperError> {
        let asked = self.send(verb, None).await.map_err(|error| lost(&error))?;
        loop {
            let frame = self.reader.next().await.map_err(|error| lost(&error))?.ok_or(KeeperError::Lost)?;
            let Answer { id, body } =
                serde_json::from_slice(&frame).map_err(|error| KeeperError::Protocol(error.to_string()))?;
            if id == asked {
                return Ok(body);
            }
        }
    }

    fn settle(&mut self, id: u64, body: Body) {
        if let Some(reply) = self.open.remove(&id) {
            let _ = reply.send(match body {
                Body::Failed { failure } => Err(KeeperError::Refused(failure)),
                body => Ok(body),
            });
        }
    }
}

fn lost(error: &io::Error) -> KeeperError {
    tracing::debug!(%error, "the keeper's socket");
    KeeperError::Lost
}
