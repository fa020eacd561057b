//! Faults of the node, where it is ours.

use anyhow::bail;
use clusters::{Connections, ContainerName, PodName};
use netmodel::OutcomeClass;
use serde_json::Value;

use super::policy::dial_ends;
use super::{Change, Fault};
use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::mesh::InstalledMesh;
use crate::object::Kind;
use crate::world::World;

/// What a process that SIGKILL has ended is said to have exited with.
const KILLED: u64 = 128 + 9;
/// What grpc-go says of a connection on which nobody answers any more.
const SILENCE: &str = "keepalive ping failed to receive ACK within timeout";

/// The container that `query` means is killed on its node, as when memory runs out. The kubelet starts it again.
///
/// # Errors
/// When there is no such pod.
pub async fn killed(world: &World, query: &PodQuery) -> anyhow::Result<Fault> {
    let pod = world.pod(query).await?;
    let statuses = pod.status.and_then(|status| status.container_statuses).unwrap_or_default();
    let before = statuses.iter().find(|it| it.name == query.container).map_or(0, |it| it.restart_count);
    let name = ContainerName {
        namespace: query.namespace.clone(),
        pod: pod.metadata.name.unwrap_or_default(),
        container: query.container.clone(),
    };
    let look =
        Look::Objects { kind: Kind::Pod, namespace: query.namespace.clone(), labels: query.labels.clone() };
    let status = move |seen: &Seen, container: &str, holds: fn(&Value) -> bool| {
        let Seen::Objects(pods) = seen else { return false };
        let statuses = pods.iter().filter_map(|pod| pod["status"]["containerStatuses"].as_array()).flatten();
        statuses.filter(|status| status["name"] == container).any(|status| {
            let killed = status["lastState"]["terminated"]["exitCode"] == KILLED;
            killed && status["restartCount"].as_i64() > Some(before.into()) && holds(status)
        })
    };
    let (bites, gone) = (query.container.clone(), query.container.clone());
    Ok(Fault {
        breaks: format!("{} is killed on its node", query.name),
        bites: Claim::new(
            format!("{} was killed and started again", query.name),
            look.clone(),
            move |seen| status(seen, &bites, |_| true),
        ),
        gone: Claim::new(format!("{} is Ready again", query.name), look, move |seen| {
            status(seen, &gone, |status| status["ready"] == true)
        }),
        change: Change::Kill(name),
    })
}

/// The link of the pod that `query` means is taken down on its node: its program runs on, and nobody reaches it.
///
/// Seen of a real kubelet, kube-proxy and Calico: the probes of the node fail, the Service that has lost its only endpoint
/// refuses, and when the link is up again felix routes to it by itself; the same behind a bridge of the reference plugins.
///
/// # Errors
/// When there is no such pod.
pub async fn link_down(world: &World, query: &PodQuery) -> anyhow::Result<Fault> {
    let pod = named(world, query).await?;
    let ready = |status: &'static str| {
        let look = Look::Objects {
            kind: Kind::Pod,
            namespace: query.namespace.clone(),
            labels: query.labels.clone(),
        };
        let name = pod.pod.clone();
        Claim::new(format!("{} has Ready={status}", query.name), look, move |seen| {
            let Seen::Objects(pods) = seen else { return false };
            let conditions = pods
                .iter()
                .filter(|pod| pod["metadata"]["name"] == name.as_str())
                .filter_map(|pod| pod["status"]["conditions"].as_array());
            conditions.flatten().any(|it| it["type"] == "Ready" && it["status"] == status)
        })
    };
    Ok(Fault {
        breaks: format!("the link of {}'s pod is taken down on its node", query.name),
        bites: ready("False"),
        gone: ready("True"),
        change: Change::LinkDown(pod),
    })
}

/// A visitor who dials the mesh is turned away: nobody stands behind its Service.
pub fn visitors_are_refused(mesh: &InstalledMesh) -> Claim {
    dial_ends(&mesh.visitor(), &format!("seldon-mesh.{}", mesh.tenant()), 80, &[OutcomeClass::Refused])
}

/// The node forgets the connections to the scheduler's port 9004, as when its table of connections is flushed: what comes
/// next on them is judged as if it came first. To be injected where a policy denies that.
///
/// Seen of a real Calico, and of the embedded cluster's rules on both networks: neither end hears anything, and its packets
/// are counted by the rule that denies. That kube-router does the same is derived from its rules: they accept what belongs
/// to a known connection and judge all the rest.
///
/// # Errors
/// When there is no scheduler's pod, or the controller's log cannot be read.
pub async fn forgotten(world: &World, mesh: &InstalledMesh) -> anyhow::Result<Fault> {
    let controller = mesh.controller();
    let times = |log: &str| log.matches(SILENCE).count();
    let look = Look::Log(controller.clone());
    let before = match world.look(&look).await {
        Seen::Log(log) => times(&log),
        hidden => bail!("the controller's log {hidden}"),
    };
    let to = named(world, &mesh.scheduler()).await?;
    Ok(Fault {
        breaks: "the node forgets the connections to the scheduler's port 9004".into(),
        bites: Claim::new(
            "the controller's pings on them are not answered",
            look,
            move |seen| matches!(seen, Seen::Log(log) if times(log) > before),
        ),
        gone: dial_ends(&controller, &mesh.scheduler_name(), 9004, &[OutcomeClass::Open]),
        change: Change::Forget(Connections { to, port: 9004 }),
    })
}

/// A firewall of the node's own drops what is sent to the scheduler's port 9004: a rule that somebody's hand, firewalld or
/// ufw has put beside the network's, and that no object of the cluster tells of.
///
/// # Errors
/// When there is no scheduler's pod.
pub async fn firewall(world: &World, mesh: &InstalledMesh) -> anyhow::Result<Fault> {
    let to = named(world, &mesh.scheduler()).await?;
    let dial = |class| dial_ends(&mesh.controller(), &mesh.scheduler_name(), 9004, &[class]);
    Ok(Fault {
        breaks: "the node's own firewall drops what is sent to the scheduler's port 9004".into(),
        bites: dial(OutcomeClass::Timeout),
        gone: dial(OutcomeClass::Open),
        change: Change::Firewall(Connections { to, port: 9004 }),
    })
}

async fn named(world: &World, query: &PodQuery) -> anyhow::Result<PodName> {
    let pod = world.pod(query).await?.metadata.name.unwrap_or_default();
    Ok(PodName { namespace: query.namespace.clone(), pod })
}
