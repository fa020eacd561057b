//! `--model-server`.

use clap::ValueEnum;
use harness::seldon::{ModelServer, SeldonSource};

use super::{Failure, SeldonOptions};

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum ModelServerOption {
    /// The real MLServer.
    Mlserver,
    /// A stand-in that runs no model, in a small image of ours.
    Standin,
}

impl ModelServerOption {
    /// `seldon` with models in this server.
    ///
    /// # Errors
    /// Wrong usage: charts bring their own.
    pub(crate) fn of(self, seldon: &SeldonSource) -> Result<SeldonSource, Failure> {
        match (self, seldon) {
            (ModelServerOption::Mlserver, _) => Ok(seldon.clone()),
            (ModelServerOption::Standin, SeldonSource::StandIn(_)) => {
                Ok(SeldonSource::StandIn(ModelServer::StandIn))
            }
            (ModelServerOption::Standin, SeldonSource::Release(_) | SeldonSource::Charts(_)) => {
                Err(Failure::usage(format!(
                    "the charts of Seldon {seldon} load models into MLServer: leave out --model-server, or say --seldon \
                     standin"
                )))
            }
        }
    }

    /// As it is written.
    pub(crate) fn word(self) -> &'static str {
        match self {
            ModelServerOption::Mlserver => "mlserver",
            ModelServerOption::Standin => "standin",
        }
    }
}

impl SeldonOptions {
    /// What is installed.
    ///
    /// # Errors
    /// As [`ModelServerOption::of`].
    pub(crate) fn source(&self) -> Result<SeldonSource, Failure> {
        self.model_server.of(&self.seldon)
    }
}
