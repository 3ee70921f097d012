//! Images of the catalogue, which are made when somebody asks for them.

use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

use quayside_runtime::image::Image;

use super::super::protocol::{Answer, Code};
use super::{Holder, chain, lock};

/// How long a client waits while an image of the catalogue is prepared: most give up after a minute.
const PREPARE_PATIENCE: Duration = Duration::from_secs(50);

impl Holder {
    /// Makes a catalogued image ready while the client waits; if that takes too long it goes on without one.
    pub(super) fn prepare(self: &Arc<Self>, name: &str) -> Result<Image, Answer> {
        let later = || {
            let message = format!("{name} is being prepared, which takes some minutes the first time; try again then");
            Answer::refused(503, Code::Toomanyrequests, message)
        };
        if !lock(&self.preparing).insert(name.to_owned()) {
            return Err(later());
        }
        let (done, wait) = mpsc::channel();
        let (holder, owned) = (self.clone(), name.to_owned());
        thread::spawn(move || {
            let image = holder.store.prepare(&owned, &holder.sources, &mut |_| {});
            lock(&holder.preparing).remove(&owned);
            // Nobody waits any longer: the next one finds it.
            let _ = done.send(image);
        });
        match wait.recv_timeout(PREPARE_PATIENCE) {
            Ok(image) => image.map_err(|error| {
                Answer::refused(503, Code::Unknown, format!("cannot prepare {name}: {}", chain(&error)))
            }),
            Err(_) => Err(later()),
        }
    }
}
