//! `/manager`: command line, environment, servers, election.

use std::collections::BTreeSet;
use std::process::ExitCode;

use anyhow::Context;
use gonet::ConnectOptions;
use kube::Client;
use kube::config::{KubeConfigOptions, Kubeconfig};
use pace::Pace;
use serde_json::json;

use crate::cluster::{Cluster, Reach};
use crate::flags::{self, Options, Refusal, Release};
use crate::journal::{Journal, Level};
use crate::leader::Candidate;
use crate::operator::Operator;
use crate::probes;
use crate::work_queue::{random_uuid, reconcile_limit};

/// The schedulers' plaintext port. Nothing configures it.
const SCHEDULER_PORT: u16 = 9004;
/// Environment variable with the image's tag, for the differences between releases.
const RELEASE: &str = "CONFORMANCE_SELDON_VERSION";
/// Where a pod finds its own namespace.
const NAMESPACE_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/namespace";

/// Seldon 2.9.1's operator.
///
/// `arguments` are those of `/manager`, with or without its own name in front. The environment is the real one's:
/// `POD_NAMESPACE` (where configurations are looked for, default `seldon-mesh`), the in-cluster service account, and
/// besides `CONFORMANCE_PACE` and `CONFORMANCE_SELDON_VERSION`.
///
/// Ends with 2 on a wrong command line, with 1 when it cannot start or loses its lease; otherwise it runs until
/// SIGTERM or SIGINT.
pub fn main(arguments: Vec<String>) -> ExitCode {
    let (program, arguments) = match arguments.split_first() {
        Some((first, rest)) if !first.starts_with('-') => (first.as_str(), rest),
        _ => ("/manager", arguments.as_slice()),
    };
    let release = Release::of_tag(std::env::var(RELEASE).ok().as_deref());
    let options = match flags::parse(arguments, program, release) {
        Ok(options) => options,
        Err(Refusal::Help(text)) => {
            print_to_stderr(&text);
            return ExitCode::SUCCESS;
        }
        Err(Refusal::Wrong(text)) => {
            print_to_stderr(&text);
            return ExitCode::from(2);
        }
    };
    let journal = Journal::stderr(Level::parse(&options.log_level));
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&journal, &error),
    };
    match runtime.block_on(run(options, journal.clone())) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => fail(&journal, &format!("{error:#}")),
    }
}

fn print_to_stderr(text: &str) {
    Journal::stderr(Level::Info).raw(text);
}

fn fail(journal: &Journal, error: &dyn std::fmt::Display) -> ExitCode {
    journal.named("setup").error(Some(error), "problem running manager", &[], &[]);
    ExitCode::FAILURE
}

/// What is watched, and what the log says of it. The own namespace is always among the listed ones.
fn reach(options: &Options, setup: &Journal) -> Reach {
    if !options.clusterwide {
        setup.info("Watching namespace", &[("namespace", json!(options.namespace))]);
        return Reach::Listed(BTreeSet::from([options.namespace.clone()]));
    }
    if options.watch_namespaces.is_empty() {
        setup.info("Clusterwide mode enabled, watching all namespaces", &[]);
        return Reach::All;
    }
    let said = [("namespaces", json!(options.watch_namespaces))];
    setup.info("Clusterwide mode enabled, watching namespaces", &said);
    let listed = options.watch_namespaces.split(',').map(str::trim).filter(|name| !name.is_empty());
    Reach::Listed(listed.chain([options.namespace.as_str()]).map(str::to_owned).collect())
}

async fn run(options: Options, journal: Journal) -> anyhow::Result<()> {
    let pace = Pace::from_environment().map_err(anyhow::Error::msg)?;
    let setup = journal.named("setup");
    setup.info("Setting log level", &[("level", json!(options.log_level))]);
    let reach = reach(&options, &setup);
    let config = configuration(&options.kubeconfig).await.context("unable to get kubeconfig")?;
    let client = Client::try_from(config).context("unable to start manager")?;
    start_servers(&options, &journal).await?;
    let home = std::env::var("POD_NAMESPACE").unwrap_or_else(|_| "seldon-mesh".to_owned());
    let own = std::fs::read_to_string(NAMESPACE_FILE).map_or(home.clone(), |text| text.trim().to_owned());
    let candidate = Candidate::new(Cluster::new(client.clone()), &own, identity(), journal.clone(), pace);
    let operator = Operator {
        client,
        journal,
        pace,
        reconcile_limit: reconcile_limit(pace),
        reach,
        home,
        scheduler_port: SCHEDULER_PORT,
        connect: ConnectOptions::new(pace),
    };
    let work = async {
        if options.leader_elect {
            candidate.acquire().await;
            operator.start();
            candidate.hold().await;
            anyhow::bail!("leader election lost")
        }
        operator.start();
        std::future::pending::<anyhow::Result<()>>().await
    };
    tokio::select! {
        ended = work => ended,
        told = told_to_stop() => told,
    }
}

/// The flag, else `KUBECONFIG`, else the pod's own account, else the home directory's file.
async fn configuration(flag: &str) -> anyhow::Result<kube::Config> {
    if !flag.is_empty() {
        let file = Kubeconfig::read_from(flag)?;
        return Ok(kube::Config::from_custom_kubeconfig(file, &KubeConfigOptions::default()).await?);
    }
    let in_pod =
        std::env::var_os("KUBECONFIG").is_none() && std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    if in_pod {
        return Ok(kube::Config::incluster_env()?);
    }
    Ok(kube::Config::infer().await?)
}

async fn start_servers(options: &Options, journal: &Journal) -> anyhow::Result<()> {
    let metrics = journal.named("controller-runtime").named("metrics");
    metrics.info("Starting metrics server", &[]);
    let listener = probes::listen(&options.metrics_address).await?;
    probes::serve(listener, probes::metrics());
    let serving = [("bindAddress", json!(options.metrics_address)), ("secure", json!(false))];
    metrics.info("Serving metrics server", &serving);
    let listener = probes::listen(&options.probe_address).await?;
    let address = listener.local_addr()?.to_string();
    probes::serve(listener, probes::health());
    journal.info("starting server", &[("name", json!("health probe")), ("addr", json!(address))]);
    Ok(())
}

/// Host name and a random part, as client-go composes it.
fn identity() -> String {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    format!("{}_{}", host.trim(), random_uuid())
}

async fn told_to_stop() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    tokio::select! {
        _ = terminate.recv() => {}
        interrupt = tokio::signal::ctrl_c() => interrupt?,
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case::own("--namespace=a --clusterwide=false --watch-namespaces=b", Some("a"))]
    #[case::all("--namespace=a --clusterwide=true --watch-namespaces=", None)]
    #[case::listed_and_own("--namespace=a --clusterwide=true --watch-namespaces=c,,b", Some("a b c"))]
    fn what_is_watched(#[case] line: &str, #[case] expected: Option<&str>) {
        let arguments: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        let options = flags::parse(&arguments, "/manager", Release::V2_9_1).unwrap();
        let expected =
            expected.map_or(Reach::All, |list| Reach::Listed(list.split(' ').map(str::to_owned).collect()));
        assert_eq!(reach(&options, &Journal::memory(Level::Info).0), expected);
    }
}
