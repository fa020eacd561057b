//! The options of `mirror`.

use std::path::PathBuf;

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum MirrorAction {
    /// Fill a directory with images and manifests.
    Pull {
        /// The directory.
        directory: PathBuf,
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
