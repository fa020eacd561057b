//! `--cluster kubernetes`: starting a real Kubernetes for the cases of one network, and ending it.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use harness::clusters::{
    Cache, ClusterTranscript, GivenCluster, HostPorts, KubernetesCluster, KubernetesPrograms,
    KubernetesRequest, Onlooker, ProgramImage, WithCalico, can_run_kubernetes, provision,
    provision_kubernetes, rehearse_kubernetes, unprovisioned, unprovisioned_kubernetes,
};
use harness::given::{ClusterScope, Foothold};
use harness::ground::{Ground, Policies};
use harness::images;
use harness::own_program::{OwnProgramError, own_program};
use harness::seldon::ModelServer;
use harness::{Pace, Profile};
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::options::{Failure, RunOptions};
use crate::screen::remark;

/// The context's name in reports.
pub(crate) const CONTEXT: &str = "kubernetes";

/// The small executable of our own images, or none, with the reason said: then they hold this whole program.
///
/// # Errors
/// That it was interrupted.
pub(crate) fn own_executable(onlooker: &Onlooker<'_>) -> Result<Option<PathBuf>, Failure> {
    match own_program(onlooker) {
        Ok(path) => Ok(Some(path)),
        Err(error @ OwnProgramError::Interrupted(_)) => Err(Failure::machine(error)),
        Err(error) => {
            onlooker.tell(&format!("images hold this whole program, as there is no smaller one: {error}"));
            Ok(None)
        }
    }
}

/// Whether a cluster with this network needs Calico's programs.
pub(crate) fn with_calico(profile: Profile) -> WithCalico {
    if profile == Profile::Calico { WithCalico::Yes } else { WithCalico::No }
}

/// Where the programs of a run's cluster log.
fn logs(records: &Path, profile: Profile) -> PathBuf {
    records.join(format!("kubernetes-{profile}"))
}

/// What a run asks of its cluster.
fn request<'a>(
    profile: Profile,
    pace: Pace,
    programs: &'a KubernetesPrograms,
    images: &'a [ProgramImage],
    own: Option<PathBuf>,
    logs: &'a Path,
) -> KubernetesRequest<'a> {
    KubernetesRequest {
        profile,
        pace,
        programs,
        images,
        own,
        logs,
        host_address: Ipv4Addr::LOCALHOST,
        api_port: 0,
        host_ports: HostPorts::Closed,
    }
}

/// What a run's cluster would be made of, and by what.
///
/// # Errors
/// The machine's.
pub(crate) fn rehearse(
    profile: Profile,
    pace: Pace,
    server: ModelServer,
    records: &Path,
    cache: &Cache,
) -> Result<ClusterTranscript, Failure> {
    let programs = unprovisioned(cache).map_err(Failure::machine)?;
    let node = unprovisioned_kubernetes(cache, with_calico(profile)).map_err(Failure::machine)?;
    let (table, logs) = (images::table(&programs, pace, server), logs(records, profile));
    let request = request(profile, pace, &node, &table, None, &logs);
    rehearse_kubernetes(&request, cache).map_err(|error| Failure::machine(format!("{error:#}")))
}

/// A cluster that this run started. It ends when this and the ground of all cases are dropped.
pub(crate) struct StartedCluster {
    foothold: Arc<Foothold>,
    cluster: Arc<KubernetesCluster>,
    policies: Policies,
    // Last: the conversation with the supervisor lives on it, as do the ledger's files in that directory.
    _runtime: Runtime,
    _ledgers: tempfile::TempDir,
}

impl StartedCluster {
    /// Provisions what is missing, boots, and prepares the cluster for cases one after the other. The logs of its programs
    /// are beside the records.
    ///
    /// # Errors
    /// The machine's, with the remedy.
    pub(crate) fn start(
        profile: Profile,
        options: &RunOptions,
        records: &Path,
        cache: &Cache,
        stop: &CancellationToken,
    ) -> Result<StartedCluster, Failure> {
        can_run_kubernetes().map_err(Failure::machine)?;
        let wish = || stop.is_cancelled();
        let onlooker = Onlooker::new(&|line| remark(line), &wish);
        let calico = with_calico(profile);
        let programs = provision(cache, &onlooker).map_err(Failure::machine)?;
        let node = provision_kubernetes(cache, calico, &onlooker).map_err(Failure::machine)?;
        let ledgers = tempfile::tempdir().map_err(Failure::machine)?;
        // Cases run on runtimes of their own, one after the other: this one goes on beside them.
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .map_err(Failure::machine)?;
        let table = images::table(&programs, options.pace.into(), options.seldon.source()?.model_server());
        let logs = logs(records, profile);
        let own = own_executable(&onlooker)?;
        let request = request(profile, options.pace.into(), &node, &table, own, &logs);
        remark(format!("starting a Kubernetes with {profile}; its logs: {}", logs.display()));
        let began = std::time::Instant::now();
        let (cluster, foothold) = runtime.block_on(async {
            let started = tokio::select! {
                started = KubernetesCluster::start(request, cache, &onlooker) => started.map_err(Failure::machine)?,
                () = stop.cancelled() => return Err(Failure::machine("interrupted")),
            };
            let reached =
                GivenCluster::of_access(CONTEXT, started.access()).await.map_err(Failure::machine)?;
            let seed = options.seed.unwrap_or_else(rand::random);
            let taken = Foothold::take(reached, ClusterScope::Allowed, seed, ledgers.path(), stop).await;
            let foothold = taken.map_err(|error| Failure::machine(format!("{error:#}")))?;
            Ok((started, foothold))
        })?;
        remark(format!(
            "Kubernetes is up after {:.1} s, seed {}",
            began.elapsed().as_secs_f64(),
            foothold.seed()
        ));
        let policies = if profile == Profile::Calico { Policies::Enforced } else { Policies::Ignored };
        Ok(StartedCluster {
            foothold: Arc::new(foothold),
            cluster: Arc::new(cluster),
            policies,
            _runtime: runtime,
            _ledgers: ledgers,
        })
    }

    /// Where its cases run.
    pub(crate) fn ground(&self) -> Ground {
        Ground::Kubernetes(self.foothold.clone(), self.cluster.clone(), self.policies)
    }
}
