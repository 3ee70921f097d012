//! `quayside config`: what the settings are, where they come from, and whether a file reads.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::Data;
use crate::config;

#[derive(Debug, Args)]
pub struct Config {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Read a file of settings and say what is wrong with it
    Check {
        /// Instead of /etc/quayside/quayside.toml, or of the one that QUAYSIDE_CONFIG names
        file: Option<PathBuf>,
    },
    /// Print every setting, its value and where that comes from, as a file of settings
    Print {
        #[command(flatten)]
        data: Data,
    },
    /// Print the table of every setting, with its default, for people
    List,
}

impl Config {
    /// 0 when the settings are right, 1 when they are not.
    pub fn main(self) -> anyhow::Result<i32> {
        match self.verb {
            Verb::Check { file } => {
                let loaded = config::check(file.as_deref())?;
                match loaded.file {
                    Some(file) => println!("{} is right", file.display()),
                    None => println!("there is no {}; every setting has its default", config::FILE),
                }
            }
            Verb::Print { data } => print!("{}", config::as_file(&data.load(Vec::new())?.merged)),
            Verb::List => print!("{}", config::as_table()),
        }
        Ok(0)
    }
}
