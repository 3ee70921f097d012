//! A live view for terminals: every part on a line, with the last output of those that run.
//!
//! ```text
//! [+] Building 2.1s (4/7)
//!  => CACHED [2/7] WORKDIR /src                                    0.0s
//!  => [3/7] COPY . .                                               0.1s
//!  =>     missed: cmd/client/main.go changed
//!  => [4/7] RUN go mod download                                    1.9s
//!  => =>  go: downloading example.com/greeting v1.0.0
//! ```
//!
//! What is to be seen is a function of the events so far, the time and the size of the window; [`Frame`] draws it over
//! what it drew before.

use std::collections::{BTreeMap, VecDeque};

use super::{of_image, seconds};
use crate::build::event::{Event, What};
use crate::printable::printable;

/// How many last lines of output a running part shows.
const OUTPUT_LINES: usize = 5;

/// How many of them a failed part leaves to be read.
const FAILED_LINES: usize = 20;

/// Narrower windows are drawn as if they had this width.
const COLUMNS_MIN: usize = 20;

/// A window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub columns: usize,
    pub rows: usize,
}

#[derive(Debug, Default)]
pub struct Tty {
    parts: BTreeMap<usize, Part>,
    warnings: Vec<String>,
    names: Vec<String>,
    built: Option<String>,
}

#[derive(Debug, Default)]
struct Part {
    shown: String,
    began_ms: Option<u64>,
    ended: Option<End>,
    why: Option<String>,
    doing: Option<String>,
    output: VecDeque<String>,
}

#[derive(Debug, Clone, PartialEq)]
enum End {
    Cached { from: Option<String> },
    Done { took_ms: u64 },
    Failed { message: String },
    Cancelled,
}

impl Tty {
    pub fn take(&mut self, event: &Event) {
        let Some(number) = event.what.part() else {
            match &event.what {
                What::Warning { text } => self.warnings.push(printable(text, false)),
                What::Built { image, names, .. } => {
                    self.built = Some(image.short());
                    self.names.clone_from(names);
                }
                _ => {}
            }
            return;
        };
        let part = self.parts.entry(number).or_default();
        match &event.what {
            What::Announced { shown, .. } => part.shown = printable(shown, false),
            What::Began { .. } => part.began_ms = Some(event.at_ms),
            What::Progress { doing, done, total, .. } => {
                let share = (done * 100).checked_div(*total).map(|percent| format!(" {percent} %")).unwrap_or_default();
                part.doing = Some(format!("{}{share}", printable(doing, false)));
            }
            What::Note { text, .. } => part.doing = Some(printable(text, false)),
            What::Hit { from, .. } => part.ended = Some(End::Cached { from: from.clone() }),
            What::Missed { words, .. } => part.why = Some(printable(words, false)),
            What::Output { line, .. } => {
                part.output.push_back(printable(line, false));
                if part.output.len() > FAILED_LINES {
                    part.output.pop_front();
                }
            }
            What::Done { took_ms, .. } => part.ended = Some(End::Done { took_ms: *took_ms }),
            What::Failed { message, .. } => part.ended = Some(End::Failed { message: message.clone() }),
            What::Cancelled { .. } => part.ended = Some(End::Cancelled),
            What::Warning { .. } | What::Planned { .. } | What::Built { .. } => {}
        }
    }

    /// What is to be seen now. Of a view that is higher than the window, parts that ended first are left out.
    pub fn lines(&self, now_ms: u64, size: Size) -> Vec<String> {
        let begun: Vec<&Part> = self.parts.values().filter(|part| part.began_ms.is_some()).collect();
        let ended = begun.iter().filter(|part| part.ended.is_some()).count();
        let doing = if self.built.is_some() { "Built" } else { "Building" };
        let heading = format!("[+] {doing} in {} ({ended}/{})", seconds(now_ms), self.parts.len());
        let mut blocks: Vec<(bool, Vec<String>)> =
            begun.iter().map(|part| (part.ended.is_some(), part.lines(now_ms, size.columns))).collect();
        let room = size.rows.saturating_sub(2);
        let height = |blocks: &[(bool, Vec<String>)]| blocks.iter().map(|(_, lines)| lines.len()).sum::<usize>();
        while height(&blocks) > room {
            match blocks.iter().position(|(ended, _)| *ended) {
                Some(index) => drop(blocks.remove(index)),
                None => break,
            }
        }
        let lines = blocks.into_iter().flat_map(|(_, lines)| lines).take(room);
        std::iter::once(cut(&heading, size.columns)).chain(lines).collect()
    }

    /// What stays when the build is over: every part, warnings, and the image's names.
    pub fn last_lines(&self, now_ms: u64, columns: usize) -> Vec<String> {
        let mut lines = self.lines(now_ms, Size { columns, rows: usize::MAX });
        lines.extend(self.warnings.iter().map(|text| format!("warning: {text}")));
        if let Some(image) = &self.built {
            let names = if self.names.is_empty() { String::new() } else { format!(": {}", self.names.join(", ")) };
            lines.push(format!("image {image}{names}"));
        }
        lines
    }
}

impl Part {
    fn lines(&self, now_ms: u64, columns: usize) -> Vec<String> {
        let since = now_ms.saturating_sub(self.began_ms.unwrap_or(now_ms));
        let (mark, took) = match &self.ended {
            None => (String::new(), since),
            Some(End::Cached { from }) => (format!("CACHED{} ", of_image(from.as_deref())), 0),
            Some(End::Done { took_ms }) => (String::new(), *took_ms),
            Some(End::Failed { .. }) => ("ERROR ".to_owned(), since),
            Some(End::Cancelled) => ("CANCELED ".to_owned(), 0),
        };
        let mut lines = vec![with_time(&format!(" => {mark}{}", self.shown), &seconds(took), columns)];
        lines.extend(self.why.iter().map(|why| cut(&format!(" =>     missed: {why}"), columns)));
        match &self.ended {
            None => {
                lines.extend(self.doing.iter().map(|doing| cut(&format!(" =>     {doing}"), columns)));
                lines.extend(self.last_output(OUTPUT_LINES, columns));
            }
            Some(End::Failed { message }) => {
                lines.extend(self.last_output(FAILED_LINES, columns));
                lines.extend(message.lines().map(|line| printable(line, false)));
            }
            Some(_) => {}
        }
        lines
    }

    fn last_output(&self, count: usize, columns: usize) -> Vec<String> {
        let skip = self.output.len().saturating_sub(count);
        self.output.iter().skip(skip).map(|line| cut(&format!(" => =>  {line}"), columns)).collect()
    }
}

/// A text, and a time at the right border.
fn with_time(text: &str, time: &str, columns: usize) -> String {
    let width = columns.max(COLUMNS_MIN) - 1;
    let text = shortened(text, width.saturating_sub(time.len() + 1));
    let blanks = width.saturating_sub(time.len() + text.chars().count());
    format!("{text}{}{time}", " ".repeat(blanks))
}

/// As much as fits into a line without reaching its last column, where terminals disagree about what comes next.
fn cut(text: &str, columns: usize) -> String {
    shortened(text, columns.max(COLUMNS_MIN) - 1)
}

fn shortened(text: &str, room: usize) -> String {
    let text = text.replace('\t', "    ");
    match text.char_indices().nth(room) {
        None => text,
        Some(_) => text.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
    }
}

/// Draws lines over those that it drew before.
#[derive(Debug, Default)]
pub struct Frame {
    /// Widths of the lines that stand there.
    drawn: Vec<usize>,
}

impl Frame {
    /// The bytes that make the terminal show `lines`, which end where the next frame begins.
    pub fn draw(&mut self, lines: &[String], columns: usize) -> String {
        let mut out = String::new();
        // A window that became narrower has broken the lines that were drawn before.
        let rows: usize = self.drawn.iter().map(|width| width.div_ceil(columns.max(1)).max(1)).sum();
        if rows > 0 {
            out.push_str(&format!("\u{1b}[{rows}A"));
        }
        for line in lines {
            out.push_str("\r\u{1b}[2K");
            out.push_str(line);
            out.push('\n');
        }
        out.push_str("\u{1b}[J");
        self.drawn = lines.iter().map(|line| line.chars().count()).collect();
        out
    }
}
