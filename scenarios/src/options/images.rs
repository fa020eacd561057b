//! The options of `images`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use harness::clusters::RegistryPlace;
use harness::seldon::SeldonSource;

use super::{Failure, ModelServerOption, PaceOption};

#[derive(Debug, Subcommand)]
pub(crate) enum ImagesAction {
    /// Make them of this machine's programs and write them to a file that container engines import.
    Write {
        /// The file.
        file: PathBuf,
        #[command(flatten)]
        what: ImagesOptions,
    },
    /// Make them and put them into a registry, from which `--registry` lets the nodes of a given cluster pull them.
    Push {
        /// Where: `HOST[:PORT][/PATH]`. Docker's own login there is used.
        registry: RegistryPlace,
        /// It speaks HTTP, without TLS.
        #[arg(long)]
        plain_http: bool,
        #[command(flatten)]
        what: ImagesOptions,
    },
}

/// Which images.
#[derive(Debug, Args)]
pub(crate) struct ImagesOptions {
    /// Which Seldon they are for: with charts, Seldon's own images are pulled.
    #[arg(long, value_name = "SELDON", default_value = "standin")]
    pub(crate) seldon: SeldonSource,
    /// What models are loaded into, beside stand-ins: MLServer is most of what they hold.
    #[arg(long, value_enum, default_value = "mlserver")]
    pub(crate) model_server: ModelServerOption,
    /// Whether the long timers of stand-ins shrink.
    #[arg(long, value_enum, default_value = "fast")]
    pub(crate) pace: PaceOption,
}

impl ImagesOptions {
    /// Which Seldon they are for.
    ///
    /// # Errors
    /// Wrong usage, with what to say instead.
    pub(crate) fn source(&self) -> Result<SeldonSource, Failure> {
        self.model_server.of(&self.seldon)
    }
}
