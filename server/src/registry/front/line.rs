//! The way to the holder: questions in any number, and each answer to who asked.

use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use quayside_runtime::sys::message;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::super::answer::Refusal;
use super::super::protocol::{Answer, Ask, Question, Reply};
use super::lock;

/// The longest question: preparing an image, and unpacking the layers of a large one.
const HOLDER_PATIENCE: Duration = Duration::from_secs(600);

/// The way to the holder.
pub struct Line {
    line: Arc<OwnedFd>,
    next: AtomicU64,
    /// Who waits for which answer.
    waiting: Arc<Mutex<Waiting>>,
}

type Waiting = BTreeMap<u64, oneshot::Sender<(Answer, Option<OwnedFd>)>>;

impl Line {
    pub fn new(line: OwnedFd) -> Self {
        let (line, waiting) = (Arc::new(line), Arc::<Mutex<Waiting>>::default());
        let (heard, asked) = (line.clone(), waiting.clone());
        std::thread::spawn(move || {
            while let Ok(Some((bytes, fds))) = message::receive(heard.as_fd()) {
                let Ok(Reply { number, answer }) = serde_json::from_slice(&bytes) else { continue };
                if let Some(who) = lock(&asked).remove(&number) {
                    // Its client may have gone.
                    let _ = who.send((answer, fds.into_iter().next()));
                }
            }
            // The holder has ended, and without it there is nothing to do.
            std::process::exit(0);
        });
        Self { line, next: AtomicU64::new(1), waiting }
    }

    pub async fn ask(&self, ask: Ask, fd: Option<OwnedFd>) -> Result<(Answer, Option<OwnedFd>), Refusal> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answer) = oneshot::channel();
        lock(&self.waiting).insert(number, sender);
        let bytes = serde_json::to_vec(&Question { number, ask }).expect("plain data serialises");
        let line = self.line.clone();
        // It waits while the holder has as many questions as it takes.
        let send = move || message::send(line.as_fd(), &bytes, &fd.iter().map(AsFd::as_fd).collect::<Vec<_>>());
        let sent = tokio::task::spawn_blocking(send).await.is_ok_and(|sent| sent.is_ok());
        let answer = if sent { timeout(HOLDER_PATIENCE, answer).await.ok().and_then(Result::ok) } else { None };
        lock(&self.waiting).remove(&number);
        match answer.ok_or_else(Refusal::holder)? {
            (Answer::Refused { status, code, message }, _) => Err(Refusal { status, code, message }),
            answer => Ok(answer),
        }
    }
}
