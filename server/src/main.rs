//! Arguments, then the command; nothing else.

use std::panic;
use std::process::{self, ExitCode};

use clap::Parser;
use quayside::command::{Cli, main as run};
use quayside_runtime::printable::message;

/// What a shell makes of SIGPIPE, by which other programs end then (bash(1), EXIT STATUS).
const NOBODY_READS: i32 = 128 + 13;

/// A reader that has seen enough (`quayside image ls | head`) is no fault, and no reason for a panic's words. The
/// standard library ignores SIGPIPE and panics where `println!` fails.
fn end_with_the_reader() {
    let say = panic::take_hook();
    panic::set_hook(Box::new(move |panic| {
        let words = panic.payload_as_str().unwrap_or_default();
        if words.starts_with("failed printing to stdout") && words.contains("Broken pipe") {
            process::exit(NOBODY_READS);
        }
        say(panic);
    }));
}

fn main() -> ExitCode {
    end_with_the_reader();
    match run(Cli::parse()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            // What went wrong may be a name that somebody made up for the terminal.
            eprintln!("quayside: {}", message(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
