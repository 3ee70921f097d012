//! The session's wait in line, and the place that is offered at its end.

use tokio::time::Instant;

use super::{Actor, Next};
use crate::session::clock::in_words;
use crate::session::view::Stage;
use crate::store::SessionState;

impl Actor {
    pub(super) fn waits(&self) -> bool {
        self.stage() == Stage::Waiting
    }

    /// Something in the line has changed: where we stand, or that a place is held for us.
    pub(super) async fn line_moved(&mut self) -> Next {
        let place = self.places.borrow_and_update().get(&self.seed.row.id).copied();
        if let Some(place) = place {
            self.change(|view| view.line = Some(place));
            match place.offered {
                true => drop(self.held_since.get_or_insert_with(Instant::now)),
                false => self.held_since = None,
            }
        }
        self.claim_if_seen().await;
        Next::On
    }

    pub(super) async fn somebody_came(&mut self) -> Next {
        self.seen_at = Instant::now();
        if self.waits() {
            self.claim_if_seen().await;
        }
        Next::On
    }

    /// Nobody's machine is started for an empty room.
    async fn claim_if_seen(&mut self) {
        if self.held_since.is_none() || !self.connections.is_anybody_there() {
            return;
        }
        match self.seed.store.claim_place(self.seed.row.id).await {
            Ok(true) => {
                tracing::info!("the place is taken");
                self.held_since = None;
                self.change(|view| view.line = None);
                self.turn(Stage::Starting, None, None);
                self.spawn_launch(false);
                self.seed.line.stir();
            }
            Ok(false) => self.held_since = None,
            Err(error) => self.store_trouble(&error),
        }
    }

    /// The place was held long enough, or the learner away too long.
    pub(super) async fn give_up_place(&mut self) -> Next {
        if self.connections.is_anybody_there() {
            self.seen_at = Instant::now();
            self.claim_if_seen().await;
            return Next::On;
        }
        let message = match self.held_since {
            Some(_) => format!(
                "Your turn came, and for {} nobody was here to take it, so the place went to the next in line.",
                in_words(self.seed.offer_max)
            ),
            None => format!("You were away for {}, so your place in line was given up.", in_words(self.seed.away_max)),
        };
        self.end(SessionState::Failed, &message, None).await;
        Next::Stop
    }
}
