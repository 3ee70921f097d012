//! The one signal that the process is to stop, for every task that lasts.

use tokio::sync::watch;

/// Held by whoever may stop the process.
#[derive(Debug)]
pub struct Switch(watch::Sender<bool>);

/// Held by every task that lasts; clones hear the same.
#[derive(Debug, Clone)]
pub struct Stopping(watch::Receiver<bool>);

/// A switch that was not used yet.
pub fn switch() -> (Switch, Stopping) {
    let (sender, receiver) = watch::channel(false);
    (Switch(sender), Stopping(receiver))
}

impl Switch {
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stopping {
    /// When the process is to stop; also when nobody could tell any more.
    pub async fn asked(&mut self) {
        let _ = self.0.wait_for(|&stopping| stopping).await;
    }
}
