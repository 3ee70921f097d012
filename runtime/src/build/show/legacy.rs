//! The form of Docker's old builder, which old tools and old lessons know.
//!
//! ```text
//! Step 3/8 : COPY . .
//!  ---> Not in the cache: cmd/client/main.go changed
//!  ---> 0123456789ab
//! ```
//!
//! It has one line of steps, so whoever wants this form builds one stage after the other. The old builder made an image
//! of every step; ours are not images, and the identifiers only tell steps apart.

use std::fmt::Write;

use super::of_image;
use crate::build::event::{Event, InstructionLine, What};
use crate::build::explain::{self, Before, Reason};
use crate::image::Digest;
use crate::printable::printable;

#[derive(Debug, Default)]
pub struct Legacy {
    instructions: Vec<InstructionLine>,
    /// How many of them have been shown.
    shown: usize,
    /// What stands for the result of the last one shown.
    id: String,
    /// An instruction's heading has been shown, and its result has not.
    is_open: bool,
}

impl Legacy {
    /// The text for one event; often none.
    pub fn take(&mut self, event: &Event) -> String {
        let mut out = String::new();
        match &event.what {
            What::Planned { instructions } => self.instructions.clone_from(instructions),
            What::Warning { text } => line(&mut out, &format!("[Warning] {}", printable(text, false))),
            What::Began { part } => self.begin(*part, &mut out),
            What::Hit { from, .. } if self.is_open => {
                line(&mut out, &format!(" ---> Using cache{}", of_image(from.as_deref())));
            }
            What::Missed { reasons, .. } if self.is_open => {
                line(&mut out, &format!(" ---> Not in the cache: {}", printable(&self.words(reasons), false)));
            }
            What::Output { line: text, .. } => line(&mut out, &printable(text, true)),
            What::Failed { message, .. } => line(&mut out, &printable(message, false)),
            What::Built { image, names, .. } => {
                self.show_until(self.instructions.len(), &mut out);
                line(&mut out, &format!("Successfully built {}", image.short()));
                names.iter().for_each(|name| line(&mut out, &format!("Successfully tagged {name}")));
            }
            _ => {}
        }
        let ends = matches!(event.what, What::Hit { .. } | What::Done { .. });
        if ends && std::mem::take(&mut self.is_open) {
            self.arrow(&mut out);
        }
        out
    }

    /// With steps counted as they are here.
    fn words(&self, reasons: &[Reason]) -> String {
        let counted = |reason: &Reason| match reason {
            Reason::Follows(before) => {
                let index = self.instructions.iter().position(|one| one.part == Some(before.part));
                let step = index.map_or(before.step.clone(), |index| self.count(index));
                Reason::Follows(Before { step, part: before.part })
            }
            other => other.clone(),
        };
        explain::line(&reasons.iter().map(counted).collect::<Vec<_>>())
    }

    /// `3/8`
    fn count(&self, index: usize) -> String {
        format!("{}/{}", index + 1, self.instructions.len())
    }

    /// Shows the instructions up to this part's: those before it only change the config.
    fn begin(&mut self, part: usize, out: &mut String) {
        let Some(index) = self.instructions.iter().position(|one| one.part == Some(part)) else { return };
        self.show_until(index, out);
        self.heading(index, out);
        self.shown = index + 1;
        self.is_open = true;
    }

    fn show_until(&mut self, end: usize, out: &mut String) {
        for index in self.shown..end {
            self.heading(index, out);
            self.arrow(out);
        }
        self.shown = self.shown.max(end);
    }

    fn heading(&mut self, index: usize, out: &mut String) {
        let text = &self.instructions[index].text;
        self.id = Digest::of(format!("{} {text}", self.id).as_bytes()).short();
        let heading = format!("Step {} : {}", self.count(index), printable(text, false));
        line(out, &heading);
    }

    fn arrow(&self, out: &mut String) {
        line(out, &format!(" ---> {}", self.id));
    }
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("writing into a string cannot fail");
}
