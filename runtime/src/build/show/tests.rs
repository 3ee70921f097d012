//! One build in every form.

use super::legacy::Legacy;
use super::plain::Plain;
use super::tty::{Frame, Size, Tty};
use super::*;
use crate::build::event::{InstructionLine, What};
use crate::build::explain::{Before, Reason};
use crate::image::Digest;

fn image() -> Digest {
    Digest::of(b"image")
}

/// The build of decisions.md's example, with one file changed.
fn build() -> Vec<Event> {
    let announced = |part: usize, shown: &str| What::Announced { part, shown: shown.into(), stage: Some(0) };
    let instruction = |text: &str, part, runs| InstructionLine { text: text.into(), part, runs };
    let missed = |part, reason: Reason| {
        let words = reason.to_string();
        What::Missed { part, reasons: vec![reason], words }
    };
    let output = |line: &str, stderr| What::Output { part: 5, stderr, line: line.into() };
    let done = |part, took_ms| What::Done { part, took_ms, layer: None, bytes: 0 };
    let changes =
        crate::build::explain::FileChanges { changed: vec!["cmd/client/main.go".into()], ..Default::default() };
    let events = [
        (0, announced(1, "[internal] load build definition from Dockerfile")),
        (0, What::Began { part: 1 }),
        (1, done(1, 1)),
        (1, announced(2, "[1/4] FROM golang:1.20-alpine")),
        (1, announced(3, "[2/4] WORKDIR /src")),
        (1, announced(4, "[3/4] COPY . .")),
        (1, announced(5, "[4/4] RUN go build ./...")),
        (1, announced(6, "exporting to image")),
        (
            1,
            What::Planned {
                instructions: vec![
                    instruction("FROM golang:1.20-alpine", Some(2), false),
                    instruction("WORKDIR /src", Some(3), false),
                    instruction("COPY . .", Some(4), false),
                    instruction("ENV CGO_ENABLED=0", None, false),
                    instruction("RUN go build ./...", Some(5), true),
                    instruction("CMD [\"server\"]", None, false),
                ],
            },
        ),
        (2, What::Warning { text: "no ARG asks for the build argument VERSOIN".into() }),
        (2, What::Began { part: 2 }),
        (2, done(2, 0)),
        (2, What::Began { part: 3 }),
        (3, What::Hit { part: 3, from: None }),
        (3, What::Began { part: 4 }),
        (4, missed(4, Reason::Files { changes })),
        (90, done(4, 86)),
        (90, What::Began { part: 5 }),
        (91, missed(5, Reason::Follows(Before { step: "3/4".into(), part: 4 }))),
        (300, output("building \u{1b}[2Jclient", true)),
        (2000, output("\u{1b}[32mok\u{1b}[0m", false)),
        (2091, done(5, 2000)),
        (2092, What::Began { part: 6 }),
        (2093, What::Note { part: 6, text: format!("writing image {}", image()) }),
        (2100, done(6, 8)),
        (2100, What::Built { image: image(), names: vec!["example:latest".into()], size_bytes: 12 }),
    ];
    events.into_iter().map(|(at_ms, what)| Event { at_ms, what }).collect()
}

#[test]
fn a_log_says_what_was_done_and_why() {
    let mut plain = Plain::default();
    let text: String = build().iter().map(|event| plain.take(event)).collect();
    insta::assert_snapshot!("plain", text);
}

#[test]
fn old_tools_see_the_form_of_the_old_builder() {
    let mut legacy = Legacy::default();
    let text: String = build().iter().map(|event| legacy.take(event)).collect();
    insta::assert_snapshot!("legacy", text);
}

#[test]
fn a_terminal_shows_every_part_and_the_output_of_what_runs() {
    let mut tty = Tty::default();
    let mut shown = String::new();
    for event in build() {
        tty.take(&event);
        if matches!(event.what, What::Output { .. } | What::Built { .. }) {
            shown.push_str(&tty.lines(event.at_ms, Size { columns: 60, rows: 24 }).join("\n"));
            shown.push_str("\n--\n");
        }
    }
    shown.push_str(&tty.last_lines(2100, 60).join("\n"));
    insta::assert_snapshot!("tty", shown);
}

#[test]
fn a_step_that_came_with_an_image_says_so_in_every_form() {
    let events: Vec<Event> = build()
        .into_iter()
        .map(|event| match event.what {
            What::Hit { part, .. } => Event { what: What::Hit { part, from: Some("shared:1".into()) }, ..event },
            _ => event,
        })
        .collect();
    let (mut plain, mut legacy, mut tty) = (Plain::default(), Legacy::default(), Tty::default());
    let plain: String = events.iter().map(|event| plain.take(event)).collect();
    assert!(plain.contains("#3 CACHED from shared:1\n"), "{plain}");
    let legacy: String = events.iter().map(|event| legacy.take(event)).collect();
    assert!(legacy.contains(" ---> Using cache from shared:1\n"), "{legacy}");
    events.iter().for_each(|event| tty.take(event));
    let shown = tty.last_lines(2100, 60).join("\n");
    assert!(shown.contains(" => CACHED from shared:1 [2/4] WORKDIR /src "), "{shown}");
    let json: String = events.iter().map(json).collect();
    assert!(json.contains(r#""event":"hit","part":3,"from":"shared:1""#), "{json}");
}

#[test]
fn a_small_window_loses_what_has_ended_first_and_no_line_is_too_long() {
    let mut tty = Tty::default();
    build().iter().take(21).for_each(|event| tty.take(event));
    for columns in [1, 20, 33, 200] {
        for rows in [1, 4, 6, 50] {
            let lines = tty.lines(2000, Size { columns, rows });
            assert!(lines.len() <= rows.max(1), "{rows}: {lines:?}");
            assert!(lines.iter().all(|line| line.chars().count() < columns.max(20)), "{columns}: {lines:?}");
        }
    }
    let lines = tty.lines(2000, Size { columns: 60, rows: 6 });
    assert!(lines.iter().any(|line| line.contains("RUN go build")), "{lines:?}");
    assert!(!lines.iter().any(|line| line.contains("load build definition")), "{lines:?}");
}

#[test]
fn a_frame_is_drawn_over_the_one_before_also_in_a_narrower_window() {
    let lines = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
    let mut parser = vt100::Parser::new(10.try_into().unwrap(), 40.try_into().unwrap(), 0);
    let mut frame = Frame::default();
    parser.process(frame.draw(&lines(&["one", "two", "three"]), 40).replace('\n', "\r\n").as_bytes());
    parser.process(frame.draw(&lines(&["ONE", "TWO"]), 40).replace('\n', "\r\n").as_bytes());
    assert_eq!(parser.screen().contents().trim_end(), "ONE\nTWO");
    let mut frame = Frame::default();
    frame.draw(&lines(&[&"x".repeat(39), "y"]), 40);
    assert!(frame.draw(&lines(&["z"]), 20).starts_with("\u{1b}[3A"));
}

#[test]
fn json_is_one_event_a_line() {
    let text: String = build().iter().map(json).collect();
    assert_eq!(text.lines().count(), build().len());
    assert!(text.lines().all(|line| serde_json::from_str::<Event>(line).is_ok()));
}
