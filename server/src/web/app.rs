//! What handlers share.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::HeaderMap;
use tokio::sync::mpsc;

use super::bucket::Buckets;
use super::cookie::Secret;
use super::error::WebError;
use super::look::Look;
use super::pages::Frame;
use super::visit::{Names, Nonce, Turned, Visit, visit};
use crate::config::{BasePath, Network, WebConfig};
use crate::sandbox::Sandboxes;
use crate::session::{Found, Roster, Shelf};
use crate::stop::Stopping;
use crate::store::{LearnerId, SessionId, Store};

/// How long WebSockets may take to say goodbye when the process stops.
const GOODBYE_PATIENCE: Duration = Duration::from_secs(5);

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
    pub stopping: Stopping,
}

struct Inner {
    base: BasePath,
    names: Names,
    proxies: Vec<Network>,
    starts: Buckets,
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
            names: Names::new(machine, &config.hosts),
            proxies: config.trusted_proxies.clone(),
            starts: Buckets::new(config.sessions.starts_burst, config.sessions.starts_per_minute),
            parts,
            sockets: ours.downgrade(),
        };
        (Self { inner: Arc::new(inner) }, Sockets { ours: Some(ours), ended })
    }

    pub fn base(&self) -> &BasePath {
        &self.inner.base
    }

    pub fn store(&self) -> &Store {
        &self.inner.parts.store
    }

    pub fn sandboxes(&self) -> &Sandboxes {
        &self.inner.parts.sandboxes
    }

    pub fn shelf(&self) -> &Shelf {
        &self.inner.parts.shelf
    }

    pub fn roster(&self) -> &Roster {
        &self.inner.parts.roster
    }

    pub fn starts(&self) -> &Buckets {
        &self.inner.starts
    }

    pub fn stopping(&self) -> Stopping {
        self.inner.parts.stopping.clone()
    }

    /// `None` once the process stops: no new WebSocket then.
    pub fn socket_token(&self) -> Option<SocketToken> {
        self.inner.sockets.upgrade().map(|open| SocketToken { _open: open })
    }

    pub fn visit(&self, headers: &HeaderMap, peer: IpAddr) -> Result<Visit, Turned> {
        visit(headers, peer, &self.inner.names, &self.inner.proxies)
    }

    pub fn frame(&self, nonce: &Nonce, cookies: &str) -> Frame {
        Frame { base: self.inner.base.as_str().into(), nonce: nonce.0.clone(), look: Look::from_cookies(cookies) }
    }

    /// The learner whose cookie came with the request.
    pub async fn learner(&self, visit: &Visit, headers: &HeaderMap) -> Result<Option<LearnerId>, WebError> {
        match Secret::of(headers, visit.scheme) {
            Some(secret) => Ok(self.store().learner_by_secret(&secret.hash()).await?),
            None => Ok(None),
        }
    }

    /// A session of the learner who asks. Somebody else's is as unknown as none at all.
    pub async fn session(&self, visit: &Visit, headers: &HeaderMap, id: &str) -> Result<Found, WebError> {
        let id: SessionId = id.parse().map_err(|_| WebError::no_session())?;
        let learner = self.learner(visit, headers).await?.ok_or_else(WebError::no_session)?;
        let found = self.roster().find(id).await?.ok_or_else(WebError::no_session)?;
        if found.view().learner != learner {
            return Err(WebError::no_session());
        }
        Ok(found)
    }
}
