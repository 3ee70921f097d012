//! The rows as the rest of the server sees them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use quayside_runtime::spec::SandboxId;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::lesson::progress::PassedStep;

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Uuid);

        impl $name {
            /// A new one. Version 7, so that lists sort by age.
            pub fn random() -> Self {
                Self(Uuid::now_v7())
            }

            pub fn as_u128(self) -> u128 {
                self.0.as_u128()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
                self.0.fmt(out)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }
    };
}

id! {
    /// A person at a browser, without an account.
    LearnerId
}
id! {
    /// One browser of a learner. Public, as a session's id is.
    DeviceId
}
id! {
    /// One learner in one scenario. Public: it stands in URLs, and opens nothing without the cookie.
    SessionId
}

/// A moment, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnixMs(pub i64);

impl UnixMs {
    /// How long after `earlier`; nothing if it is not.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(u64::try_from(self.0 - earlier.0).unwrap_or(0))
    }

    pub fn plus(self, time: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(time.as_millis()).unwrap_or(i64::MAX)))
    }

    pub fn now() -> Self {
        Self(jiff::Timestamp::now().as_millisecond())
    }
}

/// What the store keeps of a secret: a device's cookie, or a resume code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretHash(String);

impl SecretHash {
    /// A cookie is 256 random bits and a code 70, so one round of sha256 is enough: there is nothing to guess, and a
    /// look-up by the hash tells nothing of the secret by the time that it takes.
    pub fn of(secret: &[u8]) -> Self {
        let digest = Sha256::digest(secret);
        Self(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }
}

/// A browser that is to be a learner's from now on.
#[derive(Debug, Clone)]
pub struct NewDevice {
    pub id: DeviceId,
    pub secret: SecretHash,
    pub name: String,
}

/// A browser of a learner.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Device {
    pub id: DeviceId,
    pub learner: LearnerId,
    pub name: String,
    pub created: UnixMs,
    /// Not to the minute: see [`super::SEEN_EVERY_MS`].
    pub seen: UnixMs,
}

/// The learner's code that works now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenCode {
    pub created: UnixMs,
    pub expires: UnixMs,
}

/// What a code is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodeState {
    /// It brings this learner.
    Open(LearnerId),
    Used(UnixMs),
    Replaced(UnixMs),
    Expired(UnixMs),
    Unknown,
}

/// What came of redeeming a code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Redeemed {
    /// The new device is this learner's.
    As(LearnerId),
    /// Somebody was quicker, or it stopped working meanwhile.
    Not(CodeState),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionRow {
    pub id: SessionId,
    pub learner: LearnerId,
    pub course: String,
    pub scenario: String,
    /// The scenario's version when the session began.
    pub digest: String,
    /// Where the learner is: `intro`, `1`, …, `finish`.
    pub page: String,
    pub state: SessionState,
    /// Another session of this learner is in front in this scenario.
    pub aside: bool,
    pub created: UnixMs,
    /// Since when it has had a machine.
    pub begun: Option<UnixMs>,
    /// Until when it has one; there is one exactly when there is [`Self::begun`].
    pub ends: Option<UnixMs>,
    /// Since when the learner waits in line.
    pub queued: Option<UnixMs>,
    /// The place in line, as it was counted then: who has a smaller one is served before.
    pub turn: Option<i64>,
    /// Since when a free place is held for the learner in line.
    pub offered: Option<UnixMs>,
    /// When the learner was last seen or typed something, to the minute.
    pub used: UnixMs,
    pub ended: Option<UnixMs>,
    /// Why it ended, for the learner.
    pub why: Option<String>,
    /// What the part that failed said itself.
    pub detail: Option<String>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionState {
    /// In line for a place.
    Waiting,
    /// It has a place, and a machine or the way to one.
    Live,
    /// The learner left it.
    Left,
    /// Something else ended it: the machine, or nobody looked.
    Ended,
    /// It never had a machine.
    Failed,
}

/// How a session ended.
#[derive(Debug, Clone)]
pub struct Ending {
    pub state: SessionState,
    pub why: String,
    pub detail: Option<String>,
}

/// A session that is to begin.
#[derive(Debug, Clone)]
pub struct Opening {
    pub learner: LearnerId,
    pub course: String,
    pub scenario: String,
    pub digest: String,
    pub page: String,
    /// A session of the same learner that ends for it, and whose place it takes.
    pub instead: Option<SessionId>,
}

/// What came of asking for a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Opened {
    New(SessionRow),
    /// The learner is in this scenario already.
    Found(SessionRow),
    /// Every place is taken, and the learner is in line for one.
    Queued(SessionRow),
    /// Every place is taken, and the line is as long as it may be.
    Full,
    /// This learner has as many as one may have: these, the one not used for longest first.
    TooMany(Vec<SessionRow>),
}

/// A step that a learner passed, in whatever session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Passed {
    pub course: String,
    pub scenario: String,
    pub step: PassedStep,
}

/// What a learner answered to a question of a page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    pub page: String,
    pub question: String,
    pub given: String,
    pub is_right: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SandboxRow {
    pub id: SandboxId,
    pub session: SessionId,
    pub generation: u32,
    pub image: String,
    pub hostname: String,
    pub state: SandboxState,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SandboxState {
    /// Asked for; whether the keeper has it is not known yet.
    Launching,
    /// The scenario's files are in place.
    Prepared,
    Gone,
}

/// A word in a column, and back.
macro_rules! words {
    ($name:ident { $($variant:ident = $word:literal),+ $(,)? }) => {
        impl $name {
            pub(super) fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl FromStr for $name {
            type Err = String;

            fn from_str(word: &str) -> Result<Self, String> {
                match word {
                    $($word => Ok(Self::$variant),)+
                    other => Err(format!("unknown state {other:?}")),
                }
            }
        }
    };
}

words!(SessionState { Waiting = "waiting", Live = "live", Left = "left", Ended = "ended", Failed = "failed" });
words!(SandboxState { Launching = "launching", Prepared = "prepared", Gone = "gone" });
