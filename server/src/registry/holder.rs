//! The holder: has the store and answers the front, each question on a thread of its own.

mod names;
mod blobs;
mod prepare;
mod manifests;
mod put;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;
use std::time::Duration;

use quayside_runtime::image::registry::RegistryError;
use quayside_runtime::image::registry::outgoing::Outgoing;
use quayside_runtime::image::store::ImageError;
use quayside_runtime::image::{Digest, Sources, Store};
use quayside_runtime::sys::message;

use super::protocol::{Answer, Ask, Code, Question, Reply};
use super::uploads::Uploads;

/// Questions at once; the front waits with the next. Each may pack a layer, and packing is bound by one core.
const THREADS_MAX: usize = 16;

/// How often uploads are looked for that nobody came back for.
const FORGET_EVERY: Duration = Duration::from_secs(60);

pub struct Holder {
    store: Store,
    sources: Sources,
    /// Under which images are pushed here: `localhost:5000`.
    address: String,
    uploads: Mutex<Uploads>,
    /// What images are shown as, so that a layer without a recorded length is measured once.
    shown: Mutex<BTreeMap<Digest, Outgoing>>,
    /// Catalogued images that a thread prepares.
    preparing: Mutex<BTreeSet<String>>,
}

impl Holder {
    pub fn new(store: Store, sources: Sources, port: u16) -> Self {
        let uploads = Mutex::new(Uploads::new(store.clone()));
        let address = format!("localhost:{port}");
        let (shown, preparing) = (Mutex::default(), Mutex::default());
        Self { store, sources, address, uploads, shown, preparing }
    }

    /// Answers until the front has ended.
    pub fn serve(self: &Arc<Self>, line: OwnedFd) -> io::Result<()> {
        let line = Arc::new(line);
        let holder = self.clone();
        // It ends with the process, which ends when the front does.
        thread::spawn(move || {
            loop {
                thread::sleep(FORGET_EVERY);
                lock(&holder.uploads).forget_old();
            }
        });
        let room = Arc::new((Mutex::new(0_usize), Condvar::new()));
        while let Some((bytes, fds)) = message::receive(line.as_fd())? {
            let question: Question = serde_json::from_slice(&bytes).map_err(io::Error::other)?;
            let place = Place::take(&room);
            let (holder, line) = (self.clone(), line.clone());
            thread::spawn(move || {
                let _place = place;
                let (answer, fd) = holder.answer(question.ask, fds.into_iter().next());
                let reply = Reply { number: question.number, answer };
                let bytes = serde_json::to_vec(&reply).expect("plain data serialises");
                let fds: Vec<_> = fd.iter().map(AsFd::as_fd).collect();
                // The front has ended when nobody takes it.
                let _ = message::send(line.as_fd(), &bytes, &fds);
            });
        }
        Ok(())
    }

    fn answer(self: &Arc<Self>, ask: Ask, fd: Option<OwnedFd>) -> (Answer, Option<OwnedFd>) {
        let result = match ask {
            Ask::Manifest { repository, reference } => self.manifest(&repository, &reference),
            Ask::Blob { digest, content } => self.blob(&digest, content),
            Ask::Tags { repository, page } => self.tags(&repository, &page).map(|answer| (answer, None)),
            Ask::Catalog { page } => self.catalog(&page).map(|answer| (answer, None)),
            Ask::Begin => self.begin(),
            Ask::End { upload, digest } => self.end(upload, &digest).map(|answer| (answer, None)),
            Ask::Cancel { upload } => match lock(&self.uploads).cancel(upload) {
                true => Ok((Answer::Done { digest: None }, None)),
                false => Err(blobs::unknown_upload()),
            },
            Ask::Delete { repository, reference } => self.delete(&repository, &reference).map(|answer| (answer, None)),
            Ask::Put { repository, reference, media_type } => {
                self.put(&repository, &reference, media_type.as_deref(), fd).map(|answer| (answer, None))
            }
        };
        result.unwrap_or_else(|refused| (refused, None))
    }
}

/// A place among the threads, given back when it is dropped.
struct Place(Arc<(Mutex<usize>, Condvar)>);

impl Place {
    fn take(room: &Arc<(Mutex<usize>, Condvar)>) -> Self {
        let taken = room.1.wait_while(lock(&room.0), |taken| *taken >= THREADS_MAX);
        *taken.unwrap_or_else(|poisoned| poisoned.into_inner()) += 1;
        Self(room.clone())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        *lock(&self.0.0) -= 1;
        self.0.1.notify_one();
    }
}

/// A panic in one question is no reason to answer no other.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
}

fn broken(error: ImageError) -> Answer {
    Answer::refused(500, Code::Unknown, chain(&error))
}

fn refused_by(error: &RegistryError) -> Answer {
    Answer::refused(500, Code::Unknown, chain(error))
}

fn failed(error: io::Error) -> Answer {
    Answer::refused(500, Code::Unknown, error.to_string())
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(source) = next {
        text.push_str(&format!(": {source}"));
        next = source.source();
    }
    text
}
