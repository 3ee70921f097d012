//! What happens in a build, as one stream that everything shown is made from.
//!
//! Whoever builds gets every event in the order in which it happened. [`show`](super::show) makes text of them for
//! people, old tools and programs; a program may also read them itself, one JSON object a line.

use serde::{Deserialize, Serialize};

use super::explain::Reason;
use crate::image::Digest;

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Milliseconds since the build began.
    pub at_ms: u64,
    #[serde(flatten)]
    pub what: What,
}

/// What happened. A *part* is what is shown on a line of its own: reading the context, a base image, a step, writing the
/// image; it is called by its number, from 1 on. `shown` is what people read of it (`[build 3/7] COPY . .`), `stage` the
/// number of the stage that it belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum What {
    /// There is a part; what it is about is told before it begins.
    Announced {
        part: usize,
        shown: String,
        stage: Option<usize>,
    },
    /// All parts of the plan are announced; these are the instructions in their order.
    Planned {
        instructions: Vec<InstructionLine>,
    },
    /// Worth a word, and nothing that ends the build.
    Warning {
        text: String,
    },
    Began {
        part: usize,
    },
    /// How far a part is, such as an image that is being prepared; `total` 0 if nobody knows.
    Progress {
        part: usize,
        doing: String,
        done: u64,
        total: u64,
    },
    /// More about a part, for people.
    Note {
        part: usize,
        text: String,
    },
    /// Its result is in the cache; `from` names the image that had it with it, if it was not built here.
    Hit {
        part: usize,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        from: Option<String>,
    },
    /// It is not, and why.
    Missed {
        part: usize,
        reasons: Vec<Reason>,
        words: String,
    },
    /// A line that a step's command wrote, without its end. Bytes that are no UTF-8 are replaced.
    Output {
        part: usize,
        stderr: bool,
        line: String,
    },
    /// `layer` is none where nothing was written; `bytes` are those of its files.
    Done {
        part: usize,
        took_ms: u64,
        layer: Option<Digest>,
        bytes: u64,
    },
    Failed {
        part: usize,
        message: String,
    },
    /// Another part failed, or somebody stopped the build.
    Cancelled {
        part: usize,
    },
    /// The image is there.
    Built {
        image: Digest,
        names: Vec<String>,
        size_bytes: u64,
    },
}

/// One instruction of the stages that are built, in the order in which Docker's old builder shows them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InstructionLine {
    pub text: String,
    /// None for instructions that change the config alone.
    pub part: Option<usize>,
    /// It starts a container: `RUN`.
    pub runs: bool,
}

impl What {
    /// The part that it is about.
    pub fn part(&self) -> Option<usize> {
        match self {
            Self::Announced { part, .. }
            | Self::Began { part }
            | Self::Progress { part, .. }
            | Self::Note { part, .. }
            | Self::Hit { part, .. }
            | Self::Missed { part, .. }
            | Self::Output { part, .. }
            | Self::Done { part, .. }
            | Self::Failed { part, .. }
            | Self::Cancelled { part } => Some(*part),
            Self::Planned { .. } | Self::Warning { .. } | Self::Built { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_one_line_of_json_and_is_read_back() {
        let what = What::Missed { part: 5, reasons: vec![Reason::NeverBuilt], words: "never built before".into() };
        let event = Event { at_ms: 12, what };
        let text = serde_json::to_string(&event).unwrap();
        assert_eq!(
            text,
            r#"{"at_ms":12,"event":"missed","part":5,"reasons":[{"why":"never-built"}],"words":"never built before"}"#
        );
        assert_eq!(serde_json::from_str::<Event>(&text).unwrap(), event);
    }
}
