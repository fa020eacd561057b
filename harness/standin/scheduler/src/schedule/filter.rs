//! Why a server or a replica may not take a model.

use crate::store::version::{ModelVersion, ReplicaStateExt as _};
use crate::store::{Replica, Server};

/// The filter that said no, and its reason, as Seldon 2.9.1 logs them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejection {
    pub(crate) filter: &'static str,
    pub(crate) reason: String,
}

fn go_list(items: &[String]) -> String {
    format!("[{}]", items.join(" "))
}

fn reject(filter: &'static str, reason: String) -> Option<Rejection> {
    Some(Rejection { filter, reason })
}

/// The first filter that rejects the server, if any.
pub(crate) fn reject_server(version: &ModelVersion, server: &Server) -> Option<Rejection> {
    if server.replicas.is_empty() {
        return reject(
            "ServerReplicaFilter",
            "0 server replicas (waiting for server replicas to connect)".to_owned(),
        );
    }
    match version.requested_server() {
        // The whole string must match: a namespace in front of the name never does.
        Some(requested) if requested != server.name => {
            return reject("SharingServerFilter", format!("requested server {requested} == {}", server.name));
        }
        None if !server.shared => return reject("SharingServerFilter", "sharing false".to_owned()),
        _ => {}
    }
    if server.expected_replicas == 0 {
        return reject("DeletedServerFilter", "expected replicas 0 != 0".to_owned());
    }
    // All replicas of a server are taken to be alike: one speaks for all.
    let capabilities = server.replicas.values().next().map_or(&[][..], |replica| &replica.capabilities);
    let met = |requirement: &String| capabilities.iter().any(|capability| capability == requirement.trim());
    if !version.requirements().iter().all(met) {
        let (wants, has) = (go_list(version.requirements()), go_list(capabilities));
        return reject(
            "ServerRequirementsFilter",
            format!("model requirements {wants}, server capabilities {has}"),
        );
    }
    None
}

/// The first filter that rejects the replica, if any.
pub(crate) fn reject_replica(
    version: &ModelVersion,
    server: &Server,
    replica: &Replica,
) -> Option<Rejection> {
    let there =
        version.server == server.name && version.replica_state(replica.index).already_loading_or_loaded();
    let free = replica.available_memory.saturating_sub(replica.reserved_memory);
    let required = version.required_memory();
    if required > free && !there {
        let reason = format!("model memory {required} replica memory {}", replica.available_memory);
        return reject("AvailableMemoryReplicaFilter", reason);
    }
    let explainer = version.definition.model_spec.as_ref().is_some_and(|spec| {
        matches!(spec.model_spec, Some(seldon_proto::scheduler::model_spec::ModelSpec::Explainer(_)))
    });
    if explainer && !replica.capabilities.iter().any(|capability| capability == "alibi-explain") {
        // The false is Seldon's own slip: it prints whether the model is no explainer.
        let reason =
            format!("model is explainer false replica capabilities {}", go_list(&replica.capabilities));
        return reject("ExplainerFilter", reason);
    }
    if replica.draining {
        return reject(
            "ReplicaDrainingFilter",
            format!("Replica server {} is draining check true", replica.index),
        );
    }
    None
}
