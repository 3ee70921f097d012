//! The wire's golden messages, which the page's own tests read too: both sides must write and read the same
//! bytes.

use std::path::Path;

use quayside_runtime::shim::wire::{FromViewer, RunFlags, RunState, ToViewer};
use serde_json::Value;

#[test]
fn every_golden_message_is_written_and_read_as_the_page_does() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/wire/messages.json");
    let messages: Vec<Value> = serde_json::from_slice(&std::fs::read(path).expect("the file")).expect("JSON");
    assert!(messages.len() >= 13, "one of each kind at least");
    for message in &messages {
        let (name, fields) = (&message["name"], &message["fields"]);
        let bytes = unhex(text(&message["hex"]));
        match text(&message["direction"]) {
            "from-viewer" => {
                let frame = from_viewer(fields);
                assert_eq!(frame.encode(), bytes, "{name}");
                assert_eq!(FromViewer::decode(&bytes).expect("it reads"), frame, "{name}");
            }
            "to-viewer" => {
                let frame = to_viewer(fields);
                assert_eq!(frame.encode(), bytes, "{name}");
                assert_eq!(ToViewer::decode(&bytes).expect("it reads"), frame, "{name}");
            }
            other => panic!("{name}: direction {other}"),
        }
    }
}

fn from_viewer(fields: &Value) -> FromViewer {
    match text(&fields["is"]) {
        "input" => FromViewer::Input { number: number(&fields["number"]), bytes: unhex(text(&fields["bytes"])) },
        "resize" => FromViewer::Resize { cols: number(&fields["cols"]) as u16, rows: number(&fields["rows"]) as u16 },
        "ack" => FromViewer::Ack { offset: number(&fields["offset"]) },
        "attach" => FromViewer::Attach {
            viewer: id(&fields["viewer"]),
            have: number(&fields["have"]),
            cols: number(&fields["cols"]) as u16,
            rows: number(&fields["rows"]) as u16,
            restart: truth(&fields["restart"]),
            roles: truth(&fields["roles"]),
        },
        "ping" => FromViewer::Ping { payload: unhex(text(&fields["payload"])) },
        "run" => FromViewer::Run {
            id: id(&fields["id"]),
            flags: RunFlags { interrupt: truth(&fields["interrupt"]), no_newline: truth(&fields["no_newline"]) },
            text: text(&fields["text"]).into(),
        },
        other => panic!("a viewer sends no {other}"),
    }
}

fn to_viewer(fields: &Value) -> ToViewer {
    match text(&fields["is"]) {
        "output" => ToViewer::Output { bytes: unhex(text(&fields["bytes"])) },
        "attached" => ToViewer::Attached {
            offset: number(&fields["offset"]),
            replay: number(&fields["replay"]),
            lost: number(&fields["lost"]),
            input: number(&fields["input"]),
            ended: truth(&fields["ended"]),
            screen: truth(&fields["screen"]),
        },
        "role" => ToViewer::Role {
            writer: truth(&fields["writer"]),
            cols: number(&fields["cols"]) as u16,
            rows: number(&fields["rows"]) as u16,
        },
        "screen" => ToViewer::Screen { bytes: unhex(text(&fields["bytes"])) },
        "exit" => ToViewer::Exit { status: fields["status"].as_i64().expect("a number") as i32 },
        "notice" => ToViewer::Notice { code: text(&fields["code"]).into(), text: text(&fields["text"]).into() },
        "pong" => ToViewer::Pong { payload: unhex(text(&fields["payload"])) },
        "input_acked" => ToViewer::InputAcked { number: number(&fields["number"]) },
        "run_state" => ToViewer::RunState {
            id: id(&fields["id"]),
            state: match text(&fields["state"]) {
                "queued" => RunState::Queued,
                "sent" => RunState::Sent,
                "running" => RunState::Running,
                "done" => RunState::Done,
                "failed" => RunState::Failed,
                "refused" => RunState::Refused,
                other => panic!("no run is {other}"),
            },
            code: fields["code"].as_i64().expect("a number") as i32,
        },
        other => panic!("a viewer is sent no {other}"),
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_else(|| panic!("{value} is no text"))
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_else(|| panic!("{value} is no number"))
}

fn truth(value: &Value) -> bool {
    value.as_bool().unwrap_or_else(|| panic!("{value} is no truth value"))
}

fn id(value: &Value) -> u128 {
    u128::from_str_radix(text(value), 16).expect("32 hexadecimal digits")
}

fn unhex(digits: &str) -> Vec<u8> {
    let byte = |at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal digits");
    (0..digits.len()).step_by(2).map(byte).collect()
}
