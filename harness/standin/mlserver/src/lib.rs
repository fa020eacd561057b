//! Stand-in for MLServer 1.7.1, as far as Seldon's agent and Envoy use it: the V2 protocol over HTTP and gRPC, and the
//! model repository.
//!
//! **It runs no model.** An artefact is looked for and must begin as a pickle does; then it is taken for a classifier that
//! knows one class: `predict` is 0 for every row, `predict_proba` 1.0. Every prediction says so, in its parameter
//! [`PARAMETER`], as do the server's extensions. What MLServer would refuse before a model is asked is refused with its
//! status and its words: unknown models and versions, missing artefacts, malformed requests, tensors whose data do not fit
//! their shape or datatype, tensors that no classifier takes.
//!
//! Not stood in for: other runtimes than `mlserver_sklearn.SKLearnModel`, codecs other than `np`, streams, adaptive
//! batching, metrics, compression, the pages with documentation. How many columns a model was fitted for is in the
//! pickle, so any number is taken.

mod artefact;
mod cloud_events;
mod failure;
mod grpc;
mod inference;
mod log;
mod model_settings;
mod prediction;
mod program;
mod raw;
mod registry;
mod rest;
mod settings;
mod tensor;
mod validation;

use std::process::ExitCode;

use crate::settings::Settings;

/// The parameter of a prediction that says who made it.
pub const PARAMETER: &str = "stand_in";

/// What it says.
pub const CONFESSION: &str = "class 0 for every row: a stand-in for MLServer answers, no model was run";

/// Runs the server; `arguments` may name the directory of models, as `mlserver start` lets them.
///
/// Ends with 0 after a signal, with 1 when it cannot start, or a model cannot be loaded that was to be there at startup.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let settings = match Settings::read(&arguments, &|name| std::env::var(name).ok()) {
        Ok(settings) => settings,
        Err(error) => return failed(&error.to_string()),
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => return failed(&error.to_string()),
    };
    let ended = runtime.block_on(program::run(settings));
    runtime.shutdown_background();
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => failed(&error),
    }
}

fn failed(text: &str) -> ExitCode {
    log::error("mlserver", text);
    ExitCode::FAILURE
}
