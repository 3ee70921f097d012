//! `quayside builder`: what builds keep.

use std::time::Duration;

use anyhow::Context;
use clap::{Args, Subcommand};
use quayside_runtime::build::cache::{Cache, Prune};
use quayside_runtime::image::show;
use quayside_runtime::printable::printable;

use super::Data;

#[derive(Debug, Args)]
pub struct Builder {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the steps that are kept, least recently used first (size, what a hit saves, the step), and cache mounts
    Ls {
        #[command(flatten)]
        data: Data,
    },
    /// Remove steps and cache mounts that have not been used for a day; images keep their layers
    Prune {
        #[command(flatten)]
        data: Data,
        /// Remove every step and every cache mount
        #[arg(short, long)]
        all: bool,
        /// Remove the least recently used until steps and cache mounts have no more than this together
        #[arg(long, value_name = "BYTES")]
        keep_bytes: Option<u64>,
        /// Remove what has not been used for so many hours
        #[arg(long, value_name = "HOURS")]
        until: Option<u64>,
    },
}

/// What `prune` takes for unused if nobody says.
const UNUSED_HOURS: u64 = 24;

impl Builder {
    pub fn main(self) -> anyhow::Result<i32> {
        match self.verb {
            Verb::Ls { data } => {
                let cache = open(&data)?;
                for kept in cache.records()? {
                    let saves = kept.record.took_ms as f64 / 1000.0;
                    println!(
                        "{:>10}  {saves:>7.1} s  {}",
                        show::size(kept.record.size_bytes),
                        printable(&kept.record.text, false)
                    );
                }
                for mount in cache.mounts()?.iter().rev() {
                    println!("{:>10}             cache mount {}", show::size(mount.bytes), printable(&mount.id, false));
                }
            }
            Verb::Prune { data, all, keep_bytes, until } => {
                let hours = until.or((!all && keep_bytes.is_none()).then_some(UNUSED_HOURS));
                let unused_for = hours.map(|hours| Duration::from_secs(hours.saturating_mul(3600)));
                let used = super::image::layers_in_use(&data.images()?)?;
                let pruned = open(&data)?.prune(&Prune { all, keep_bytes, unused_for }, &used)?;
                println!(
                    "removed {} steps and {} cache mounts, {}",
                    pruned.steps,
                    pruned.mounts,
                    show::size(pruned.bytes)
                );
            }
        }
        Ok(0)
    }
}

fn open(data: &Data) -> anyhow::Result<Cache> {
    Cache::open(&super::image::open(&data.images()?)?).context("cannot open the build cache")
}
