//! `shards`, and what its pods are told.

use std::path::PathBuf;

use clap::Args;
use harness::images;

use super::{Cni, ContextOptions, Layout, ReportOptions};

#[derive(Debug, Args)]
pub(crate) struct ShardsOptions {
    /// Parts of `family: name`; cases that contain one of them.
    pub(crate) filter: Vec<String>,
    /// Networks to run on; all when absent.
    #[arg(long, value_enum)]
    pub(crate) cni: Vec<Cni>,
    /// Layouts to run on; all of a scenario when absent.
    #[arg(long, value_enum)]
    pub(crate) topology: Vec<Layout>,
    #[command(flatten)]
    pub(crate) at: ContextOptions,
    /// How many pods the cases are shared out among.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=100))]
    pub(crate) shards: u16,
    /// How many cases run at once in each pod.
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64))]
    pub(crate) jobs: u16,
    /// The image of this program.
    #[arg(long, value_name = "REFERENCE", default_value = images::SUITE)]
    pub(crate) image: String,
    #[command(flatten)]
    pub(crate) reports: ReportOptions,
    /// Print the objects that would be made, and make none.
    #[arg(long)]
    pub(crate) dry_run: bool,
}

#[derive(Debug, Args)]
pub(crate) struct ShardInPodOptions {
    /// The pod's completion index, from 0.
    #[arg(long)]
    pub(crate) index: u16,
    /// How many shards there are.
    #[arg(long)]
    pub(crate) shards: u16,
    /// Where the records are kept until they are handed over.
    #[arg(long)]
    pub(crate) records: PathBuf,
    /// What `run` is told besides.
    #[arg(last = true)]
    pub(crate) run: Vec<String>,
}
