//! Arguments, then the command; nothing else.

use std::process::ExitCode;

use clap::Parser;
use quayside::command::{Cli, main as run};
use quayside_runtime::printable::message;

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            // What went wrong may be a name that somebody made up for the terminal.
            eprintln!("quayside: {}", message(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
