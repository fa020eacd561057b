//! `--cluster given`: taking a foothold on somebody else's cluster, leaving it, and `undo`.

use std::path::PathBuf;
use std::sync::Arc;

use harness::clusters::{Cache, GivenCluster, RealCluster};
use harness::given::{
    ClusterScope, Finding, Foothold, Rights, refuse_other_network, survey, survey_lent, undo_everything,
};
use harness::ground::Ground;
use harness::seldon::SeldonSource;
use reports::ExitCode;
use tokio::runtime::Runtime;
use tokio_util::sync::CancellationToken;

use crate::lent_command;
use crate::options::{ContextOptions, DoctorOptions, Failure, GivenOptions, RunOptions};
use crate::refused_contexts::refuse;
use crate::screen::{remark, say};

/// Below the cache directory: ledgers of runs on given clusters.
const LEDGERS: &str = "ledgers";

pub(crate) fn runtime() -> Result<Runtime, Failure> {
    tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::machine)
}

pub(crate) fn ledgers(cache: &Cache) -> PathBuf {
    cache.directory().join(LEDGERS)
}

fn scope(options: &GivenOptions) -> ClusterScope {
    if options.allow_cluster_scope { ClusterScope::Allowed } else { ClusterScope::Forbidden }
}

/// The context that was named, if it may be used.
pub(crate) fn named(options: &ContextOptions) -> Result<&str, Failure> {
    let context = options.context.as_deref().ok_or_else(|| {
        Failure::usage("which cluster? name its context with --context; the current context is never assumed")
    })?;
    refuse(context)?;
    Ok(context)
}

/// Reaches the cluster of the context that was named. The current context is never assumed.
pub(crate) async fn connect(options: &ContextOptions) -> Result<GivenCluster, Failure> {
    let context = named(options)?;
    GivenCluster::connect(options.kubeconfig.as_deref(), context).await.map_err(Failure::machine)
}

/// What makes no sense together with a given cluster.
pub(crate) fn check(options: &RunOptions) -> Result<(), Failure> {
    if options.selection.cni.len() != 1 {
        return Err(Failure::usage(
            "which network does the given cluster have? say it with --cni flannel or --cni calico",
        ));
    }
    Ok(())
}

/// Takes the Lease and begins the ledger.
pub(crate) fn take(
    options: &RunOptions,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<Arc<Foothold>, Failure> {
    let seed = options.seed.unwrap_or_else(rand::random);
    agree_on_network(options)?;
    if let Some(namespace) = &options.lent.namespace {
        let mesh = lent_command::find(&options.given.at, namespace)?;
        let foothold = connected_foothold(&options.given.at, ClusterScope::PodsAlone, seed, cache, stop)?;
        return Ok(Arc::new(foothold.on_lent_mesh(mesh)));
    }
    let foothold = connected_foothold(&options.given.at, scope(&options.given), seed, cache, stop)?;
    let foothold = foothold.with_images(options.given.images());
    let seldon = options.seldon.source()?;
    runtime()?.block_on(foothold.look_for_images(&seldon, stop));
    Ok(Arc::new(foothold))
}

/// What is said of the network must not be what the cluster clearly says otherwise.
fn agree_on_network(options: &RunOptions) -> Result<(), Failure> {
    let Some(&cni) = options.selection.cni.first() else { return Ok(()) };
    runtime()?.block_on(async {
        let cluster = connect(&options.given.at).await?;
        match refuse_other_network(&cluster, cni.into()).await.map_err(Failure::machine)? {
            Some(why) => Err(Failure::usage(why)),
            None => Ok(()),
        }
    })
}

/// The same for whatever is done there.
pub(crate) fn connected_foothold(
    at: &ContextOptions,
    scope: ClusterScope,
    seed: u32,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<Foothold, Failure> {
    runtime()?.block_on(async {
        let cluster = connect(at).await?;
        settle(cluster, scope, seed, cache, stop).await
    })
}

/// The same on a cluster that this program has started for itself.
pub(crate) fn take_ours(
    real: &RealCluster,
    options: &RunOptions,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<Arc<Foothold>, Failure> {
    let seldon = options.seldon.source()?;
    runtime()?.block_on(async {
        let cluster = GivenCluster::connect(Some(real.kubeconfig()), real.context()).await;
        let seed = options.seed.unwrap_or_else(rand::random);
        let cluster = cluster.map_err(Failure::machine)?;
        let foothold = settle(cluster, ClusterScope::Allowed, seed, cache, stop).await?;
        foothold.look_for_images(&seldon, stop).await;
        Ok(Arc::new(foothold))
    })
}

async fn settle(
    cluster: GivenCluster,
    scope: ClusterScope,
    seed: u32,
    cache: &Cache,
    stop: &CancellationToken,
) -> Result<Foothold, Failure> {
    remark(format!(
        "context {} ({}, Kubernetes {}), seed {seed}",
        cluster.context(),
        cluster.server(),
        cluster.version()
    ));
    let taken = Foothold::take(cluster, scope, seed, &ledgers(cache), stop).await;
    taken.map_err(|error| Failure::machine(format!("{error:#}")))
}

/// Leaves the cluster as it was.
pub(crate) fn leave(ground: Ground) -> Result<(), Failure> {
    let foothold = match ground {
        // They end with the run.
        Ground::Embedded(_) | Ground::Kubernetes(..) => return Ok(()),
        Ground::Given(foothold) => foothold,
    };
    let context = foothold.context().to_owned();
    match Arc::into_inner(foothold) {
        Some(foothold) => leave_foothold(foothold),
        None => Err(not_as_it_was(&context, "a case still works on it")),
    }
}

/// The same for whatever was done there.
pub(crate) fn leave_foothold(foothold: Foothold) -> Result<(), Failure> {
    let context = foothold.context().to_owned();
    runtime()?.block_on(foothold.leave()).map_err(|error| not_as_it_was(&context, &format!("{error:#}")))
}

fn not_as_it_was(context: &str, why: &str) -> Failure {
    Failure::machine(format!(
        "the cluster is not as it was: {why}; run `seldon-conformance undo --context {context}`"
    ))
}

/// `undo`.
pub(crate) fn undo(options: &ContextOptions) -> Result<ExitCode, Failure> {
    let cache = Cache::from_environment().map_err(Failure::machine)?;
    let undone = runtime()?.block_on(async {
        let cluster = connect(options).await?;
        undo_everything(&cluster, &ledgers(&cache))
            .await
            .map_err(|error| Failure::machine(format!("{error:#}")))
    })?;
    if undone.is_empty() {
        say("nothing to undo");
    }
    for run in undone {
        say(format!("run {}", run.run));
        run.steps.iter().for_each(|step| say(format!("  {step}")));
    }
    Ok(ExitCode::AllPassed)
}

/// `doctor --context`.
pub(crate) fn examine(options: &DoctorOptions) -> Result<ExitCode, Failure> {
    let seldon = options.model_server.of(&options.seldon)?;
    runtime()?.block_on(async {
        let cluster = connect(&options.given.at).await?;
        if options.role {
            return show_roles(options, &cluster, &seldon).await;
        }
        say(format!(
            "context {} ({}, Kubernetes {})",
            cluster.context(),
            cluster.server(),
            cluster.version()
        ));
        let findings = match &options.namespace {
            Some(namespace) => survey_lent(&cluster, namespace).await,
            None => {
                let client = cluster.client().map_err(Failure::machine)?;
                survey(&client, scope(&options.given), &seldon, &options.given.images()).await
            }
        };
        let findings = findings.map_err(|error| Failure::machine(format!("{error:#}")))?;
        Ok(show(&findings))
    })
}

/// Prints findings, and what helps.
fn show(findings: &[Finding]) -> ExitCode {
    for finding in findings {
        let (word, what) = match finding {
            Finding::Touches(what) => ("touches", what),
            Finding::Has(what) => ("has", what),
            Finding::Unsure(what) => ("unsure", what),
            Finding::Lacks(what) | Finding::MayNot(what) => ("MISSING", what),
        };
        say(format!("{word:<8} {what}"));
    }
    if findings.iter().any(|finding| matches!(finding, Finding::MayNot(_))) {
        say(
            "remedy   the same command with --role prints roles that grant what you may not, for whoever may grant them",
        );
    }
    match findings.iter().any(|finding| matches!(finding, Finding::Lacks(_) | Finding::MayNot(_))) {
        true => ExitCode::Inconclusive,
        false => ExitCode::AllPassed,
    }
}

/// `doctor --context --role`.
async fn show_roles(
    options: &DoctorOptions,
    cluster: &GivenCluster,
    seldon: &SeldonSource,
) -> Result<ExitCode, Failure> {
    let rights = match &options.namespace {
        Some(namespace) => Rights::of_lent_in(cluster, namespace).await.map_err(Failure::machine)?,
        None => Rights::of_runs(scope(&options.given), seldon),
    };
    say(rights.text().map_err(Failure::machine)?.trim_end());
    Ok(ExitCode::AllPassed)
}
