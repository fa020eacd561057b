//! `run --namespace`: cases on a mesh that somebody lends.

use harness::given::LentMesh;
use harness::seldon::{ModelServer, SeldonSource};
use scenarios::{Case, on_lent_mesh};

use crate::given_command::{connect, runtime};
use crate::options::{ClusterOption, ContextOptions, Failure, RunOptions};

/// What makes no sense together with a lent mesh.
pub(crate) fn check(options: &RunOptions) -> Result<(), Failure> {
    let Some(namespace) = &options.lent.namespace else { return Ok(()) };
    if !options.lent.allow_faults {
        let context = options.given.at.context.as_deref().unwrap_or_default();
        return Err(Failure::usage(format!(
            "the mesh in {namespace} is looked at only: `seldon-conformance diagnose --context {context} --namespace \
             {namespace}`; with --allow-faults cases put policies and Models into it for a while"
        )));
    }
    let senseless = [
        (options.real.dry_run, "--dry-run: it tells of meshes that are installed"),
        (options.compare, "--compare: a mesh of yours is on one cluster"),
        (
            options.given.allow_cluster_scope,
            "--allow-cluster-scope: nothing is made outside of its namespace",
        ),
        (!options.selection.topology.is_empty(), "--topology: it has the layout that it has"),
        (options.selection.shard.is_some(), "--shard: its cases run one after the other"),
        (
            options.seldon.source()? != SeldonSource::StandIn(ModelServer::MlServer)
                || !options.seldon.seldon_image.is_empty(),
            "--seldon, --model-server and --seldon-image: nothing is installed",
        ),
        (options.given.registry.is_some(), "--registry: no pod of ours runs there"),
    ];
    match senseless.into_iter().find(|(said, _)| *said) {
        Some((_, why)) => Err(Failure::usage(format!("with --namespace leave out {why}"))),
        None => Ok(()),
    }
}

/// The mesh in `namespace`.
pub(crate) fn find(at: &ContextOptions, namespace: &str) -> Result<LentMesh, Failure> {
    runtime()?.block_on(async {
        let cluster = connect(at).await?;
        let found = LentMesh::find(&cluster, namespace).await;
        found.map_err(|error| Failure::machine(format!("{error:#}")))
    })
}

/// What records call the cluster of a pass: a case on a lent mesh is another one than on a mesh of its own.
pub(crate) fn word(options: &RunOptions, cluster: ClusterOption) -> &'static str {
    if options.lent.namespace.is_some() { "lent" } else { cluster.word() }
}

/// The cases as they run on the lent mesh, where one is lent.
pub(crate) fn place(options: &RunOptions, cases: Vec<Case>) -> Result<Vec<Case>, Failure> {
    match &options.lent.namespace {
        Some(namespace) => Ok(on_lent_mesh(&cases, find(&options.given.at, namespace)?.topology())),
        None => Ok(cases),
    }
}
