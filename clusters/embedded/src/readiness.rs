//! When a cluster of one node is of use, and what keeps one from it.

use std::time::Duration;

use anyhow::Context;
use k8s_openapi::api::core::v1::{Endpoints, Event, Node as NodeObject, Pod};
use kube::api::ListParams;
use kube::runtime::wait::await_condition;
use kube::{Api, Client};

use crate::obstacles;
use crate::serve::NotUp;

/// A boot takes half a second, a real one ten; one that takes this long never ends.
pub(crate) const BOOT_LIMIT: Duration = Duration::from_secs(120);
/// How often a boot under way is looked at for what cannot heal.
const LOOK: Duration = Duration::from_millis(500);

/// Waits until the node is Ready and the DNS Service has an address that answers, or until that is hopeless.
///
/// # Errors
/// [`NotUp`], saying which pods wait and why.
pub async fn until_ready(client: &Client, node_name: &str) -> anyhow::Result<()> {
    let reached = async {
        node_ready(client, node_name).await?;
        dns_ready(client).await
    };
    tokio::select! {
        reached = tokio::time::timeout(BOOT_LIMIT, reached) => match reached {
            Ok(reached) => reached,
            Err(_) => {
                let why = waits_for(client).await;
                Err(NotUp(format!("the cluster was not up after {} s: {why}", BOOT_LIMIT.as_secs())).into())
            }
        },
        why = watch_for_the_hopeless(client) => Err(NotUp(format!("the cluster cannot come up: {why}")).into()),
    }
}

async fn node_ready(client: &Client, node_name: &str) -> anyhow::Result<()> {
    let nodes: Api<NodeObject> = Api::all(client.clone());
    await_condition(nodes, node_name, |node: Option<&NodeObject>| {
        let conditions = node.and_then(|node| node.status.as_ref()?.conditions.as_ref());
        conditions.is_some_and(|all| all.iter().any(|c| c.type_ == "Ready" && c.status == "True"))
    })
    .await
    .context("the node did not become Ready")?;
    Ok(())
}

async fn dns_ready(client: &Client) -> anyhow::Result<()> {
    let endpoints: Api<Endpoints> = Api::namespaced(client.clone(), "kube-system");
    await_condition(endpoints, "kube-dns", |endpoints: Option<&Endpoints>| {
        let subsets = endpoints.and_then(|endpoints| endpoints.subsets.as_ref());
        subsets.is_some_and(|all| {
            all.iter().any(|subset| subset.addresses.as_ref().is_some_and(|a| !a.is_empty()))
        })
    })
    .await
    .context("the DNS server did not become Ready")?;
    Ok(())
}

/// The cluster's own pods and what was said about them.
async fn look(client: &Client) -> kube::Result<(Vec<Pod>, Vec<Event>)> {
    let everything = ListParams::default();
    let pods = Api::namespaced(client.clone(), "kube-system").list(&everything).await?;
    let events = Api::namespaced(client.clone(), "kube-system").list(&everything).await?;
    Ok((pods.items, events.items))
}

/// Returns when a pod of the cluster's own will not become Ready, with the reason.
async fn watch_for_the_hopeless(client: &Client) -> String {
    loop {
        tokio::time::sleep(LOOK).await;
        // A server that does not answer is the limit's business.
        let Ok((pods, events)) = look(client).await else { continue };
        if let Some(why) = obstacles::hopeless(&pods, &events) {
            return why;
        }
    }
}

async fn waits_for(client: &Client) -> String {
    match look(client).await {
        Ok((pods, events)) => match obstacles::all(&pods, &events) {
            none if none.is_empty() => "nothing says why".to_owned(),
            some => some.join("; "),
        },
        Err(error) => format!("its pods cannot be listed: {error}"),
    }
}
