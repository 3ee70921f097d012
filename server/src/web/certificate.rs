//! What the supervisor is told and gives: that this serves, and the certificate, at the start and when it was renewed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use anyhow::{Context, bail};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use crate::control::{FromWeb, SupervisorLine, ToWeb};
use crate::sandbox::Sandboxes;
use crate::telemetry::chain;
use crate::tls::Certificate;

/// The supervisor sends it before this process runs.
const PATIENCE: Duration = Duration::from_secs(10);

pub struct Tls {
    pub certificate: Arc<Certificate>,
    pub acceptor: TlsAcceptor,
}

/// The one to begin with.
pub async fn first(supervisor: &SupervisorLine) -> anyhow::Result<Tls> {
    let heard = timeout(PATIENCE, supervisor.hear()).await.context("the supervisor gave no certificate")?;
    let Some(ToWeb::Certificate(pair)) = heard.context("cannot hear the supervisor")? else {
        bail!("the supervisor has ended");
    };
    let certificate = Certificate::new(pair.check(SystemTime::now())?.key);
    let acceptor = certificate.acceptor().context("cannot speak TLS")?;
    Ok(Tls { certificate, acceptor })
}

/// Says that sessions can be started, once they can, and takes the certificates that follow. Connections that are open
/// keep the one they have.
pub async fn follow(supervisor: SupervisorLine, sandboxes: Sandboxes, certificate: Option<Arc<Certificate>>) {
    let announce = async {
        sandboxes.connected().await;
        if let Err(error) = supervisor.tell(FromWeb::Serving).await {
            tracing::warn!(%error, "cannot tell the supervisor that this serves");
        }
    };
    tokio::join!(announce, renew(&supervisor, certificate));
}

async fn renew(supervisor: &SupervisorLine, certificate: Option<Arc<Certificate>>) {
    while let Ok(Some(ToWeb::Certificate(pair))) = supervisor.hear().await {
        let Some(certificate) = &certificate else { continue };
        match pair.check(SystemTime::now()) {
            Ok(checked) => {
                certificate.replace(checked.key);
                tracing::info!("new connections get the new certificate");
            }
            Err(error) => tracing::warn!(error = chain(&error), "the certificate stays as it was"),
        }
    }
}
