//! The one name a controller dials: absent, foreign, or of a runtime that was deleted.

use std::net::{IpAddr, Ipv4Addr};

use reports::{Certainty, NamedCause};
use serde_json::Value;

use crate::cause::{Cause, Diagnosis};
use crate::snapshot::Snapshot;
use crate::text::{GoFailure, go_failure};

use super::lookups::no_record;

const SCHEDULER: &str = "seldon-scheduler";
const SCHEDULER_PORT: i32 = 9004;

/// The first failure that a Model or Server of any namespace tells of, with its namespace and words.
pub(super) fn told_failures(snapshot: &Snapshot) -> Vec<(String, GoFailure, String)> {
    let told = |object: &Value, kind: &str| {
        let reason = Snapshot::condition(object, kind)?.reason.to_owned();
        let namespace = object["metadata"]["namespace"].as_str()?.to_owned();
        let what = format!(
            "{} {namespace}/{}: \"{reason}\"",
            object["kind"].as_str().unwrap_or("object"),
            object["metadata"]["name"].as_str().unwrap_or_default()
        );
        Some((namespace, go_failure(&reason)?, what))
    };
    let models = snapshot.models.iter().filter_map(|model| told(model, "ModelReady"));
    let servers = snapshot.servers.iter().filter_map(|server| told(server, "StatefulSetReady"));
    models.chain(servers).collect()
}

/// The controller found no address, and there is indeed no Service of that name.
pub(super) fn absent(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (namespace, _, told) = told_failures(snapshot).into_iter().find(|(namespace, failure, _)| {
        *failure == GoFailure::NoAddresses && snapshot.service(namespace, SCHEDULER).is_none()
    })?;
    let lookalikes: Vec<String> = snapshot
        .services
        .iter()
        .filter(|service| service.metadata.namespace.as_deref() == Some(namespace.as_str()))
        .filter(|service| {
            let ports = service.spec.iter().flat_map(|spec| spec.ports.iter().flatten());
            ports.clone().any(|port| port.port == SCHEDULER_PORT)
        })
        .filter_map(|service| service.metadata.name.clone())
        .collect();
    let mut evidence = vec![told, format!("there is no Service {namespace}/{SCHEDULER}")];
    evidence.extend(
        lookalikes.iter().map(|name| {
            format!("Service {namespace}/{name} serves port {SCHEDULER_PORT} under another name")
        }),
    );
    let fix = match lookalikes.first() {
        Some(name) => format!(
            "add an ExternalName Service {namespace}/{SCHEDULER} for {name}.{namespace}.svc.cluster.local, or let a SeldonRuntime create the scheduler"
        ),
        None => format!("create a SeldonRuntime in {namespace}"),
    };
    Some(Diagnosis {
        cause: Cause::SchedulerNameAbsent { namespace: namespace.clone(), lookalikes },
        named: NamedCause {
            kind: "scheduler-name-absent".into(),
            sentence: format!(
                "the controller dials {SCHEDULER}.{namespace}:{SCHEDULER_PORT} and nothing else, and no Service has that name"
            ),
            certainty: Certainty::Certain,
            evidence,
            ruled_out: vec!["SELDON_SCHEDULER_HOST (the controller does not read it)".into()],
            owner: format!("whoever rendered the scheduler in {namespace}"),
            fix,
        },
    })
}

/// The controller dialled an address that no Service and no pod of the cluster has.
pub(super) fn foreign_address(snapshot: &Snapshot) -> Option<Diagnosis> {
    let (namespace, address, told) =
        told_failures(snapshot).into_iter().find_map(|(namespace, failure, told)| {
            let address = match failure {
                GoFailure::DialTimeout(address) | GoFailure::DialRefused(address) => address,
                GoFailure::NoAddresses | GoFailure::LookupBlocked { .. } | GoFailure::Closing => return None,
            };
            // A Model tells of its agent's dials, too; only the scheduler's port is the controller's.
            if i32::from(address.port()) != SCHEDULER_PORT {
                return None;
            }
            (!belongs_to_cluster(snapshot, address.ip())).then_some((namespace, address.ip(), told))
        })?;
    Some(Diagnosis {
        cause: Cause::ForeignAddressDialled { address: address.to_string() },
        named: NamedCause {
            kind: "foreign-address-dialled".into(),
            sentence: format!(
                "the controller asked for {SCHEDULER}.{namespace} before that Service existed, and the name server outside answered {address} for a name that does not exist"
            ),
            certainty: Certainty::Certain,
            evidence: vec![told, format!("{address} belongs to no Service and no pod of this cluster")],
            ruled_out: no_record(snapshot, address).into_iter().collect(),
            owner: "whoever runs the upstream resolver; the mesh heals by itself at the next attempt".into(),
            fix: "nothing for this mesh; use an upstream resolver that does not rewrite NXDOMAIN".into(),
        },
    })
}

/// Whether a Service or pod has `address`, or may have had it before it was made again: k3s gives Services and pods
/// a /16 each.
fn belongs_to_cluster(snapshot: &Snapshot, address: IpAddr) -> bool {
    let IpAddr::V4(address) = address else { return false };
    let services = snapshot.services.iter().filter_map(Snapshot::cluster_ip);
    let pods = snapshot.pods.iter().filter_map(|pod| pod.status.as_ref()?.pod_ip.as_deref());
    let known = services.chain(pods).filter_map(|text| text.parse::<Ipv4Addr>().ok());
    known.map(|one| one.octets()).any(|one| one[..2] == address.octets()[..2])
}

/// Handlers of a connection that was closed with its SeldonRuntime go on complaining for ever.
pub(super) fn runtime_was_deleted(snapshot: &Snapshot) -> Option<Diagnosis> {
    let line = snapshot
        .logs
        .iter()
        .filter(|log| log.container == "manager")
        .flat_map(|log| log.text.lines())
        .find(|line| go_failure(line) == Some(GoFailure::Closing))?;
    let reachable = snapshot.models.iter().all(|model| {
        Snapshot::condition(model, "ModelReady")
            .is_none_or(|ready| go_failure(ready.reason).is_none() || ready.status == "True")
    });
    reachable.then(|| Diagnosis {
        cause: Cause::RuntimeWasDeleted,
        named: NamedCause {
            kind: "runtime-was-deleted".into(),
            sentence: "a SeldonRuntime was deleted while its controller ran; handlers of the closed connection keep logging, which harms nothing".into(),
            certainty: Certainty::Certain,
            evidence: vec![format!("the controller's log: {line}"), "no Model tells of an unreachable scheduler".into()],
            ruled_out: vec!["a wrong Service name (that reads \"produced zero addresses\")".into()],
            owner: "nobody".into(),
            fix: "restart the controller to silence the lines".into(),
        },
    })
}
