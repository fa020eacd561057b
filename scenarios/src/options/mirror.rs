//! The options of `mirror`.

use std::path::PathBuf;

use clap::Subcommand;
use harness::seldon::SeldonSource;

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorAction {
    /// Fill a directory with images and manifests.
    Pull {
        /// The directory.
        directory: PathBuf,
        /// A release of Seldon, `2.9.1` or `2.9.0`, whose charts and images are to be there, too.
        #[arg(long, value_name = "SELDON")]
        seldon: Vec<SeldonSource>,
        /// Images beside those of the lock.
        #[arg(long)]
        image: Vec<String>,
        /// Print every command, in order, and touch nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Put a directory's images into a registry.
    Push {
        /// The directory.
        directory: PathBuf,
        /// The registry, such as registry.example.org:5000.
        registry: String,
        /// Images beside those of the lock.
        #[arg(long)]
        image: Vec<String>,
        /// Print every command, in order, and touch nothing.
        #[arg(long)]
        dry_run: bool,
    },
}
