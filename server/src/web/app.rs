//! What handlers share.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::sync::{broadcast, mpsc};

use super::bucket::Buckets;
use super::cookie::Secret;
use super::error::WebError;
use super::guesses::Guesses;
use super::health::Lookout;
use super::listen::Peer;
use super::look::Look;
use super::pages::Frame;
use super::visit::{Names, Nonce, Turned, Visit, visit};
use crate::config::{BasePath, Network, WebConfig};
use crate::metrics::Metrics;
use crate::sandbox::Sandboxes;
use crate::session::{Found, Roster, Shelf};
use crate::stop::Stopping;
use crate::store::{Device, DeviceId, LearnerId, SEEN_EVERY_MS, SessionId, Store, UnixMs};
use crate::terminal::ticks::Ticks;

/// How long WebSockets may take to say goodbye when the process stops.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

/// Devices taken off that a WebSocket may not have heard of yet; one that is further behind ends itself.
const TAKEN_OFF_MAX: usize = 64;
/// Codes that one address may make at once, and each minute after that: a class makes one each, some a second.
const CODES_BURST: u32 = 120;
const CODES_PER_MINUTE: u32 = 60;

/// A handle; clones share everything.
#[derive(Clone)]
pub struct App {
    inner: Arc<Inner>,
}

/// What an app is made from.
pub struct Parts {
    pub store: Store,
    pub sandboxes: Sandboxes,
    pub shelf: Shelf,
    pub roster: Roster,
    pub metrics: Metrics,
    pub ticks: Ticks,
    pub stopping: Stopping,
}

struct Inner {
    base: BasePath,
    lessons: PathBuf,
    names: Names,
    proxies: Vec<Network>,
    starts: Buckets,
    lookout: Lookout,
    codes: Buckets,
    guesses: Guesses,
    /// Devices that are nobody's any more.
    taken_off: broadcast::Sender<DeviceId>,
    parts: Parts,
    sockets: mpsc::WeakSender<()>,
}

/// To wait for every WebSocket's end. Each holds a [`SocketToken`]; nothing is ever sent.
pub struct Sockets {
    ours: Option<mpsc::Sender<()>>,
    ended: mpsc::Receiver<()>,
}

/// Held by a WebSocket's task for as long as it runs.
pub struct SocketToken {
    _open: mpsc::Sender<()>,
}

impl Sockets {
    /// When the last one has ended, or their time is over.
    pub async fn ended(&mut self) {
        self.ours = None;
        if tokio::time::timeout(GOODBYE_PATIENCE, self.ended.recv()).await.is_err() {
            tracing::info!("some WebSockets did not end in time");
        }
    }
}

impl App {
    pub fn new(config: &WebConfig, parts: Parts) -> (Self, Sockets) {
        let machine = nix::unistd::gethostname().ok().and_then(|name| name.into_string().ok());
        let (ours, ended) = mpsc::channel(1);
        let inner = Inner {
            base: config.base_path.clone(),
            lessons: config.lessons_dir.clone(),
            names: Names::new(machine, &config.hosts),
            proxies: config.trusted_proxies.clone(),
            starts: Buckets::new(config.sessions.starts_burst, config.sessions.starts_per_minute),
            lookout: Lookout::new(parts.store.clone(), config.store_dir.clone()),
            codes: Buckets::new(CODES_BURST, CODES_PER_MINUTE),
            guesses: Guesses::new(),
            taken_off: broadcast::channel(TAKEN_OFF_MAX).0,
            parts,
            sockets: ours.downgrade(),
        };
        (Self { inner: Arc::new(inner) }, Sockets { ours: Some(ours), ended })
    }

    pub fn base(&self) -> &BasePath {
        &self.inner.base
    }

    pub fn names(&self) -> &Names {
        &self.inner.names
    }

    pub fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub fn sandboxes(&self) -> &Sandboxes {
        &self.inner.parts.sandboxes
    }

    /// The folder of the lessons.
    pub fn lessons(&self) -> &Path {
        &self.inner.lessons
    }

    pub fn shelf(&self) -> &Shelf {
        &self.inner.parts.shelf
    }

    pub fn lookout(&self) -> &Lookout {
        &self.inner.lookout
    }

    pub fn ticks(&self) -> &Ticks {
        &self.inner.parts.ticks
    }

    pub fn metrics(&self) -> &Metrics {
        &self.inner.parts.metrics
    }

    pub fn roster(&self) -> &Roster {
        &self.inner.parts.roster
    }

    pub fn starts(&self) -> &Buckets {
        &self.inner.starts
    }

    pub fn codes(&self) -> &Buckets {
        &self.inner.codes
    }

    pub fn guesses(&self) -> &Guesses {
        &self.inner.guesses
    }

    /// Ends what a device still has open.
    pub fn take_off(&self, device: DeviceId) {
        // Nobody listens: then nothing is open.
        let _ = self.inner.taken_off.send(device);
    }

    /// When `device` is taken off. What was asked for after its cookie was read is heard, too, if this is called
    /// before it.
    pub fn taken_off(&self, device: DeviceId) -> impl Future<Output = ()> + Send + use<> {
        let mut taken_off = self.inner.taken_off.subscribe();
        async move { while taken_off.recv().await.is_ok_and(|gone| gone != device) {} }
    }

    pub fn stopping(&self) -> Stopping {
        self.inner.parts.stopping.clone()
    }

    /// `None` once the process stops: no new WebSocket then.
    pub fn socket_token(&self) -> Option<SocketToken> {
        self.inner.sockets.upgrade().map(|open| SocketToken { _open: open })
    }

    pub fn visit(&self, headers: &HeaderMap, peer: Peer) -> Result<Visit, Turned> {
        visit(headers, peer.address.ip(), peer.scheme, &self.inner.names, &self.inner.proxies)
    }

    pub fn frame(&self, nonce: &Nonce, cookies: &str) -> Frame {
        Frame { base: self.inner.base.as_str().into(), nonce: nonce.0.clone(), look: Look::from_cookies(cookies) }
    }

    /// The device whose cookie came with the request.
    pub async fn device(&self, visit: &Visit, headers: &HeaderMap) -> Result<Option<Device>, WebError> {
        let mut known: Option<Device> = None;
        for secret in Secret::all_of(headers, visit.scheme, self.base()) {
            let found = self.store().device_by_secret(&secret.hash()).await?;
            match (&known, found) {
                (_, None) => {}
                (None, found) => known = found,
                // One of them was planted, and nothing tells which.
                (Some(_), Some(_)) => return Err(WebError::two_cookies()),
            }
        }
        if let Some(device) = &known {
            let now = UnixMs::now();
            if now.0 - device.seen.0 >= SEEN_EVERY_MS {
                self.store().see_device(device.id, now).await?;
            }
        }
        Ok(known)
    }

    /// The learner whose cookie came with the request.
    pub async fn learner(&self, visit: &Visit, headers: &HeaderMap) -> Result<Option<LearnerId>, WebError> {
        Ok(self.device(visit, headers).await?.map(|device| device.learner))
    }

    /// A session of the learner who asks. Somebody else's is as unknown as none at all.
    pub async fn session(&self, visit: &Visit, headers: &HeaderMap, id: &str) -> Result<Found, WebError> {
        Ok(self.session_by(visit, headers, id).await?.0)
    }

    /// The same, with the device that asks.
    pub async fn session_by(
        &self,
        visit: &Visit,
        headers: &HeaderMap,
        id: &str,
    ) -> Result<(Found, DeviceId), WebError> {
        let id: SessionId = id.parse().map_err(|_| WebError::no_session())?;
        let device = self.device(visit, headers).await?.ok_or_else(WebError::no_session)?;
        // The store says whose it is: a session changes hands when its learner becomes another by a code.
        if self.store().owner(id).await? != Some(device.learner) {
            return Err(WebError::no_session());
        }
        let found = self.roster().find(id).await?.ok_or_else(WebError::no_session)?;
        Ok((found, device.id))
    }
}
