//! `quayside doctor`: whether this host can serve, and what to do where it cannot.

use clap::{Args, ValueEnum};

use super::{Data, flag};
use crate::doctor;

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    data: Data,
    /// Where the service would listen
    #[arg(long, value_name = "ADDR")]
    listen: Option<String>,
    /// Where Debian packages would come from, if not from where this host's apt takes them
    #[arg(long, value_name = "URL")]
    debian_mirror: Option<String>,
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Doctor {
    /// 0 when this host can serve, 1 when it cannot.
    pub fn main(self) -> anyhow::Result<i32> {
        let flags = [
            flag("--listen", "web.listen", self.listen),
            flag("--debian-mirror", "images.debian-mirror", self.debian_mirror),
        ];
        let flags = flags.into_iter().flatten().collect();
        let report = doctor::examine(&self.data.load(flags)?.merged.settings);
        match self.format {
            Format::Text => print!("{}", report.text()),
            Format::Json => println!("{}", serde_json::to_string_pretty(&report)?),
        }
        Ok(i32::from(!report.can_serve))
    }
}
