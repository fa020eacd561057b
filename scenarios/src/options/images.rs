//! The options of `images`.

use std::path::PathBuf;

use clap::Subcommand;
use harness::seldon::SeldonSource;

use super::{ModelServerOption, PaceOption};

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesAction {
    /// Make them of this machine's programs and write them to a file that container engines import.
    Write {
        /// The file.
        file: PathBuf,
        /// Which Seldon they are for: with charts, Seldon's own images are pulled.
        #[arg(long, value_name = "SELDON", default_value = "standin")]
        seldon: SeldonSource,
        /// What models are loaded into, beside stand-ins: MLServer is most of the file.
        #[arg(long, value_enum, default_value = "mlserver")]
        model_server: ModelServerOption,
        /// Whether the long timers of stand-ins shrink.
        #[arg(long, value_enum, default_value = "fast")]
        pace: PaceOption,
    },
}
