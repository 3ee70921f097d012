//! Arguments, then the command; nothing else.

use std::process::ExitCode;

use clap::Parser;
use quayside::command::{Cli, main as run};

fn main() -> ExitCode {
    match run(Cli::parse()) {
        Ok(code) => ExitCode::from(u8::try_from(code).unwrap_or(1)),
        Err(error) => {
            eprintln!("quayside: {error:#}");
            ExitCode::FAILURE
        }
    }
}
