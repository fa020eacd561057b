//! Running one case: gate, body, diagnosis, undo, record, in this order whatever ends the body.

mod unjudged;

use std::any::Any;
use std::net::Ipv4Addr;
use std::panic::AssertUnwindSafe;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::Context;
use clusters::{Cluster, ClusterRequest, HostPorts, Programs, UpstreamMode};
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use netmodel::Profile;
use pace::Pace;
use reports::{Case, Event, Journal, PartOfRun, Phase, Record, Verdict};
use tokio_util::sync::CancellationToken;

use crate::given::Foothold;
use crate::ground::{Ground, Need};
use crate::images;
use crate::namespaces::Namespaces;
use crate::object::{Kind, ObjectRef};
use crate::patience::Patience;
use crate::progress::Progress;
use crate::seldon::{ModelServer, Seldon};
use crate::world::{K3S_NAME_SERVER, Parts, Topology, World};

pub use unjudged::{Lacking, Unjudgeable};

/// What does not change from case to case.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where cases run.
    pub ground: Ground,
    /// What records call this kind of cluster: the word of `--cluster`.
    pub cluster: &'static str,
    /// What is installed there.
    pub seldon: Seldon,
    /// Factor for long timers; on a given cluster, the one it was started with.
    pub pace: Pace,
    /// Upper ends of waits.
    pub patience: Patience,
    /// Directory of records and of clusters' logs.
    pub records: PathBuf,
    /// Which clusters survive their case.
    pub keep: Keep,
    /// The part of a run that these cases are.
    pub shard: Option<PartOfRun>,
}

const LOST: &str = "this run lost the cluster's Lease";

/// Which clusters survive their case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Keep {
    /// None.
    Never,
    /// Those of cases that did not pass.
    Failed,
    /// All.
    Always,
}

/// One case to run.
#[derive(Debug, Clone)]
pub struct CaseSpec {
    /// Name, family, and where it runs.
    pub case: Case,
    /// The claim, one sentence.
    pub claim: String,
    /// Escalations it re-enacts.
    pub seeds: &'static [&'static str],
    /// What it needs that not every cluster has.
    pub needs: &'static [Need],
    /// What of it can be shown on a mesh that somebody lends.
    pub on_lent: Option<OnLent>,
    /// The network it runs on.
    pub profile: Profile,
    /// The layout it runs on.
    pub topology: Topology,
}

/// A scenario's body.
pub type Body = for<'world> fn(&'world World) -> LocalBoxFuture<'world, anyhow::Result<()>>;

/// A scenario as far as it can be run on a mesh that somebody lends: nothing is installed, nothing of the owner's changed.
#[derive(Debug, Clone, Copy)]
pub struct OnLent {
    /// What holds when it passes.
    pub claim: &'static str,
    /// Its body.
    pub body: Body,
}

/// The id of a case on a `cluster` of that kind.
pub fn case_id(family: &str, name: &str, profile: Profile, topology: Topology, cluster: &str) -> Case {
    Case {
        name: name.into(),
        family: family.into(),
        cni: profile.to_string(),
        topology: topology.to_string(),
        cluster: cluster.into(),
    }
}

/// What is left of a case.
#[derive(Debug)]
pub struct Finished {
    /// Its closed record.
    pub record: Record,
    /// Its cluster, when it was to be kept.
    pub kept: Option<Cluster>,
}

/// Runs `body` in a world of its own. `stop` ends it early; the verdict is then inconclusive, and all is cleaned up.
///
/// # Errors
/// Only when the record cannot be written.
pub async fn run_case(
    settings: &Settings,
    spec: &CaseSpec,
    body: Body,
    progress: Progress,
    stop: &CancellationToken,
) -> anyhow::Result<Finished> {
    let on_lent = spec.on_lent.filter(|_| settings.ground.lent().is_some());
    let (claim, body) = on_lent.map_or((spec.claim.as_str(), body), |lent| (lent.claim, lent.body));
    let journal = Journal::open(&settings.records, spec.case.clone(), claim, spec.seeds)?;
    let journal = journal.in_shard(settings.shard)?;
    if let Some(lack) = settings.ground.lacks_for(spec) {
        return Ok(Finished { record: journal.close(Verdict::Skipped, Some(lack.into()))?, kept: None });
    }
    let mut world = match gate(settings, spec, journal, progress, stop).await {
        Ok(world) => world,
        Err((journal, why)) => {
            let record = journal.close(Verdict::Inconclusive, Some(why))?;
            return Ok(Finished { record, kept: None });
        }
    };
    let (mut verdict, mut message) = judge(&world, body, stop).await;
    if !matches!(verdict, Verdict::Passed | Verdict::Skipped) {
        diagnose(&world).await;
        if world.cluster().has_ended() {
            // Whatever else was seen was seen of a cluster that was going.
            (verdict, message) = (Verdict::Inconclusive, Some(ended_words(&world)));
        }
    }
    undo(&mut world).await;
    if world.foothold().is_some_and(Foothold::is_lost) {
        // Somebody may have undone what was looked at.
        (verdict, message) = (Verdict::Inconclusive, Some(LOST.into()));
    } else if let Err(left) = leave_as_it_was(&world).await {
        // A cluster that is not as it was makes nothing that follows on it worth a verdict.
        verdict = Verdict::Inconclusive;
        message = Some(format!("the given cluster is not as it was: {left:#}"));
    }
    (verdict, message) = unjudged::unless_forbidden(&world, verdict, message);
    let keep = match settings.keep {
        Keep::Never => false,
        Keep::Failed => verdict != Verdict::Passed,
        Keep::Always => true,
    };
    let (cluster, journal) = world.into_cluster_and_journal();
    let kept = if keep {
        Some(cluster)
    } else {
        // Dropping it has killed it in any case; a cluster that had ended before is the verdict's business.
        let _ = cluster.stop().await;
        None
    };
    Ok(Finished { record: journal.close(verdict, message)?, kept })
}

/// The embedded cluster that a case has for itself.
pub fn request_of_case(
    profile: Profile,
    pace: Pace,
    programs: &Programs,
    server: ModelServer,
) -> ClusterRequest {
    ClusterRequest {
        name: "case".into(),
        profile,
        pace,
        images: images::table(programs, pace, server),
        host_address: Ipv4Addr::LOCALHOST,
        api_port: 0,
        host_ports: HostPorts::Closed,
        upstream: UpstreamMode::honest(),
    }
}

/// Brings up the cluster. What fails here says nothing about what is to be judged.
async fn gate(
    settings: &Settings,
    spec: &CaseSpec,
    journal: Journal,
    progress: Progress,
    stop: &CancellationToken,
) -> Result<World, (Journal, String)> {
    progress.waiting_for("the cluster");
    let programs = match &settings.ground {
        Ground::Embedded(programs) => programs,
        Ground::Given(foothold) => {
            let cluster = Cluster::Given(foothold.cluster().clone());
            return on_given(settings, spec, foothold, cluster, (journal, progress)).await;
        }
        Ground::Kubernetes(foothold, cluster, _) => {
            let cluster = Cluster::Kubernetes(foothold.cluster().clone(), cluster.clone());
            return on_given(settings, spec, foothold, cluster, (journal, progress)).await;
        }
    };
    let request = request_of_case(spec.profile, settings.pace, programs, settings.seldon.model_server());
    let log = cluster_log(&journal);
    let started = tokio::select! {
        started = tokio::time::timeout(
            settings.patience.cluster,
            Cluster::start_embedded(request, programs, Some(&log)),
        ) => started,
        () = stop.cancelled() => return Err((journal, "interrupted".into())),
    };
    let cluster = match started {
        Ok(Ok(cluster)) => cluster,
        Ok(Err(error)) => return Err((journal, format!("the cluster did not start: {error}"))),
        Err(_) => {
            let why = format!(
                "the cluster did not start within {:?}; its log: {}",
                settings.patience.cluster,
                log.display()
            );
            return Err((journal, why));
        }
    };
    let client = match cluster.client().await {
        Ok(client) => client,
        Err(error) => return Err((journal, format!("no client for the cluster: {error:#}"))),
    };
    Ok(World::new(Parts {
        client,
        cluster,
        foothold: None,
        namespaces: Namespaces::plain(),
        name_server: K3S_NAME_SERVER.into(),
        profile: spec.profile,
        topology: spec.topology,
        pace: settings.pace,
        patience: settings.patience,
        journal,
        progress,
        seldon: settings.seldon.clone(),
    }))
}

/// The world of a case on a cluster that exists.
async fn on_given(
    settings: &Settings,
    spec: &CaseSpec,
    foothold: &Arc<Foothold>,
    cluster: Cluster,
    (journal, progress): (Journal, Progress),
) -> Result<World, (Journal, String)> {
    if foothold.is_spoiled() || foothold.is_lost() {
        let why = "an earlier case left something behind, or this run lost the cluster's Lease";
        return Err((journal, why.into()));
    }
    let client = match cluster.client().await {
        Ok(client) => client,
        Err(error) => return Err((journal, format!("no client for the cluster: {error:#}"))),
    };
    // Of what was let pass before.
    foothold.cluster().take_refusals();
    let name_server = match name_server(&client).await.map_err(|error| foothold.explain(error)) {
        Ok(address) => address,
        Err(error) => return Err((journal, format!("the cluster's name server is not known: {error:#}"))),
    };
    let title = format!("{}: {} {}", spec.case.family, spec.case.name, spec.topology);
    Ok(World::new(Parts {
        client,
        cluster,
        foothold: Some(foothold.clone()),
        namespaces: match foothold.lent() {
            Some(lent) => Namespaces::Lent(lent.namespace().to_owned()),
            None => Namespaces::of_case(foothold.seed(), &title),
        },
        name_server,
        profile: spec.profile,
        topology: spec.topology,
        pace: settings.pace,
        patience: settings.patience,
        journal,
        progress,
        seldon: settings.seldon.clone(),
    }))
}

/// The address of Service `kube-dns`, as CoreDNS's is called everywhere.
async fn name_server(client: &kube::Client) -> anyhow::Result<String> {
    let service = ObjectRef::new(Kind::Service, "kube-system", "kube-dns");
    let found = service.read(client).await?.with_context(|| format!("there is no {service}"))?;
    Ok(found["spec"]["clusterIP"].as_str().with_context(|| format!("{service} has no address"))?.to_owned())
}

/// Removes from a given cluster what the case made there.
async fn leave_as_it_was(world: &World) -> anyhow::Result<()> {
    match world.foothold() {
        Some(foothold) => {
            world.uninstall_charts().await;
            foothold.end_case(world.client()).await
        }
        None => Ok(()),
    }
}

/// Runs the body under its deadline; a panic, the deadline and an interruption end it like an error.
async fn judge(world: &World, body: Body, stop: &CancellationToken) -> (Verdict, Option<String>) {
    let deadline = world.patience().case;
    let ended = tokio::select! {
        ended = tokio::time::timeout(deadline, AssertUnwindSafe(body(world)).catch_unwind()) => ended,
        () = stop.cancelled() => return (Verdict::Inconclusive, Some("interrupted".into())),
        () = world.cluster().ended() => return (Verdict::Inconclusive, Some(ended_words(world))),
        () = world.lost() => return (Verdict::Inconclusive, Some(LOST.into())),
    };
    let in_gate = world.with_journal(|journal| journal.phase()) == Phase::Gate;
    match ended {
        Ok(Ok(Ok(()))) => (Verdict::Passed, None),
        Ok(Ok(Err(error))) if error.is::<Lacking>() => (Verdict::Skipped, Some(format!("{error:#}"))),
        Ok(Ok(Err(error))) if in_gate || error.is::<Unjudgeable>() => {
            (Verdict::Inconclusive, Some(format!("{error:#}")))
        }
        Ok(Ok(Err(error))) => (Verdict::Failed, Some(format!("{error:#}"))),
        Ok(Err(panic)) => {
            (Verdict::Inconclusive, Some(format!("the scenario panicked: {}", panic_text(&*panic))))
        }
        Err(_) => {
            let verdict = if in_gate { Verdict::Inconclusive } else { Verdict::Failed };
            (verdict, Some(format!("the scenario did not end within {} s", deadline.as_secs())))
        }
    }
}

/// Why a case whose cluster is gone is not judged.
fn ended_words(world: &World) -> String {
    let log = match world.cluster() {
        Cluster::Kubernetes(_, kubernetes) => kubernetes.log().to_owned(),
        Cluster::Embedded(_) | Cluster::Given(_) => world.with_journal(|journal| cluster_log(journal)),
    };
    format!("the cluster's supervisor ended before the case did; its log: {}", log.display())
}

/// Where the supervisor of a record's cluster logs.
fn cluster_log(journal: &Journal) -> PathBuf {
    journal.path().with_extension("cluster.log")
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("without a message")
}

/// Looks before anything is undone.
async fn diagnose(world: &World) {
    world.enter(Phase::Diagnosis);
    let Some(mesh) = world.last_mesh() else { return };
    let patience = world.patience().probe;
    let named = tokio::select! {
        named = tokio::time::timeout(patience, world.diagnose(&mesh)) => named,
        () = world.cluster().ended() => return,
    };
    let event = match named {
        Ok(Ok(Some(diagnosis))) => Event::Cause(diagnosis.named),
        Ok(Ok(None)) => Event::Step { what: "the diagnosis names nothing".into() },
        Ok(Err(error)) => Event::Step { what: format!("the diagnosis could not look: {error:#}") },
        Err(_) => Event::Step { what: format!("the diagnosis did not end within {patience:?}") },
    };
    // A record that cannot be written is reported when it is closed.
    let _ = world.note(event);
}

/// Undoes what is left, last thing first; one that fails does not keep the others from being tried.
async fn undo(world: &mut World) {
    world.enter(Phase::Undo);
    while let Some(undo) = world.undo.pop() {
        if world.cluster().has_ended() {
            return;
        }
        let outcome = match tokio::time::timeout(world.patience().undo, undo.run(world)).await {
            Ok(Ok(())) => "done".into(),
            Ok(Err(error)) => format!("failed: {error:#}"),
            Err(_) => format!("not done within {:?}", world.patience().undo),
        };
        // As above.
        let _ = world.note(Event::Undo { what: undo.to_string(), outcome });
    }
}
