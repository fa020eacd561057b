//! Stand-in for the agent of Seldon Core 2.9.1: the container beside MLServer and rclone in a server pod.
//!
//! It downloads models with rclone, loads them into MLServer, tells the scheduler, and passes Envoy's requests on.
//! Flags, variables, ports, texts and log lines are the real agent's; long waits follow [`pace::VARIABLE`].

mod cluster;
mod drainer;
mod durations;
mod go_http;
mod grpc_proxy;
mod gzip;
mod http_call;
mod http_proxy;
mod inference_server;
mod log;
mod memory_book;
mod metrics;
mod model_settings;
mod names;
mod operations;
mod program;
mod rclone;
mod readiness;
mod repository;
mod request_id;
mod residency;
mod scheduler_link;
mod settings;
mod storage;
mod sub_services;

use std::process::ExitCode;

use logrus::Level;
use pace::Pace;

use crate::log::Log;
use crate::settings::Settings;

/// Runs the agent; `arguments` are those behind the program's name.
///
/// Ends with 0 after a signal or a critical failure, with 1 after a fatal log line.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let log = Log::new(Level::Debug);
    let variable = |name: &str| std::env::var(name).ok();
    let prepared =
        Pace::from_environment().and_then(|pace| Ok((Settings::read(&arguments, &variable, &log)?, pace)));
    let (settings, pace) = match prepared {
        Ok(prepared) => prepared,
        Err(text) => {
            log.fatal(text);
            return ExitCode::FAILURE;
        }
    };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            log.error_field(&error).fatal("Failed to start the runtime");
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        let client = match settings.namespace.as_str() {
            "" => None,
            _ => match cluster_client().await {
                Ok(client) => Some(client),
                Err(error) => {
                    log.error_field(&error).fatal("Failed to create kubernetes clientset");
                    return ExitCode::FAILURE;
                }
            },
        };
        program::run(settings, client, pace, &log).await
    });
    runtime.shutdown_background();
    code
}

/// A client of the API server: the pod's own, also where the machine has a kubeconfig besides.
async fn cluster_client() -> Result<kube::Client, kube::Error> {
    let configuration = match kube::Config::incluster() {
        Ok(configuration) => configuration,
        Err(_) => kube::Config::infer().await.map_err(kube::Error::InferConfig)?,
    };
    kube::Client::try_from(configuration)
}
