//! `quayside doctor`: whether this host can serve, and what to do where it cannot.

use std::net::SocketAddr;

use clap::{Args, ValueEnum};
use quayside_runtime::host::{Asked, examine};

use super::Data;
use crate::{doctor, supervisor};

#[derive(Debug, Args)]
pub struct Doctor {
    #[command(flatten)]
    data: Data,
    /// Where the service is to listen
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    #[arg(long, value_enum, default_value = "text")]
    format: Format,
    /// Where Debian packages come from, if not from where this host's apt takes them
    #[arg(long, value_name = "URL")]
    debian_mirror: Option<String>,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Doctor {
    /// 0 when this host can serve, 1 when it cannot.
    pub fn main(self) -> anyhow::Result<i32> {
        let serves = super::DataDir::open(&self.data.data)
            .is_ok_and(|data| supervisor::running(&data).is_ok_and(|pid| pid.is_some()));
        let listen = (!serves).then_some(self.listen);
        let findings = examine(&Asked { data: self.data.data, listen, debian_mirror: self.debian_mirror });
        match self.format {
            Format::Text => print!("{}", doctor::text(&findings)),
            Format::Json => {
                let report = serde_json::json!({
                    "can_serve": doctor::can_serve(&findings),
                    "findings": doctor::lines(&findings),
                });
                println!("{report:#}");
            }
        }
        Ok(i32::from(!doctor::can_serve(&findings)))
    }
}
