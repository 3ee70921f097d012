//! One line after the other, for logs: the form of BuildKit's `--progress=plain`, and with it why a step was missed.
//!
//! ```text
//! #5 [3/7] COPY . .
//! #5 missed: cmd/client/main.go changed
//! #5 DONE 0.1s
//! ```

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use super::{of_image, seconds};
use crate::build::event::{Event, What};
use crate::printable::printable;

/// What has been shown so far.
#[derive(Debug, Default)]
pub struct Plain {
    shown: BTreeMap<usize, String>,
    began_ms: BTreeMap<usize, u64>,
    ended: BTreeSet<usize>,
    /// The part that the last line was about.
    current: Option<usize>,
    /// What was last said of a part's progress, so that a log has each stage once.
    doing: BTreeMap<usize, String>,
}

impl Plain {
    /// The text for one event; often none.
    pub fn take(&mut self, event: &Event) -> String {
        let mut out = String::new();
        match &event.what {
            What::Announced { part, shown, .. } => {
                self.shown.insert(*part, shown.clone());
            }
            What::Warning { text } => {
                self.leave(&mut out);
                line(&mut out, &format!("warning: {}", printable(text, false)));
            }
            What::Began { part } => {
                self.began_ms.insert(*part, event.at_ms);
                self.turn_to(*part, &mut out);
            }
            What::Progress { part, doing, .. } => {
                if self.doing.get(part) != Some(doing) {
                    self.say(*part, &printable(doing, false), &mut out);
                    self.doing.insert(*part, doing.clone());
                }
            }
            What::Note { part, text } => self.say(*part, &printable(text, false), &mut out),
            What::Hit { part, from } => self.end(*part, &format!("CACHED{}", of_image(from.as_deref())), &mut out),
            What::Missed { part, words, .. } => {
                self.say(*part, &format!("missed: {}", printable(words, false)), &mut out)
            }
            What::Output { part, line, .. } => {
                let since = event.at_ms.saturating_sub(self.began_ms.get(part).copied().unwrap_or(0));
                let text = format!("{}.{:03} {}", since / 1000, since % 1000, printable(line, true));
                self.say(*part, &text, &mut out);
            }
            What::Done { part, took_ms, .. } => self.end(*part, &format!("DONE {}", seconds(*took_ms)), &mut out),
            What::Failed { part, message } => {
                self.end(*part, &format!("ERROR: {}", lines_printable(message)), &mut out);
            }
            What::Cancelled { part } => self.end(*part, "CANCELED", &mut out),
            What::Planned { .. } | What::Built { .. } => {}
        }
        out
    }

    fn say(&mut self, part: usize, text: &str, out: &mut String) {
        self.turn_to(part, out);
        line(out, &format!("#{part} {text}"));
    }

    fn end(&mut self, part: usize, text: &str, out: &mut String) {
        self.say(part, text, out);
        self.ended.insert(part);
    }

    /// Lines of several parts take turns; each turn begins with what it is about.
    fn turn_to(&mut self, part: usize, out: &mut String) {
        if self.current == Some(part) {
            return;
        }
        self.leave(out);
        self.current = Some(part);
        let shown = self.shown.get(&part).map(|shown| printable(shown, false)).unwrap_or_default();
        line(out, &format!("#{part} {shown}"));
    }

    fn leave(&mut self, out: &mut String) {
        let Some(part) = self.current.take() else { return };
        if !self.ended.contains(&part) {
            line(out, &format!("#{part} ..."));
        }
        out.push('\n');
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing into a string cannot fail");
}

/// Messages may have several lines of their own.
fn lines_printable(text: &str) -> String {
    text.lines().map(|line| printable(line, false)).collect::<Vec<_>>().join("\n")
}
