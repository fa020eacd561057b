//! Faults of the node, where it is ours.

use clusters::ContainerName;
use serde_json::Value;

use super::{Change, Fault};
use crate::claim::Claim;
use crate::look::{Look, PodQuery, Seen};
use crate::object::Kind;
use crate::world::World;

/// What a process that SIGKILL has ended is said to have exited with.
const KILLED: u64 = 128 + 9;

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
