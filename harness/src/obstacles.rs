//! Why pods do not come, as the cluster tells it in its events, and what can be done about it.

use kube::Client;
use kube::api::{Api, DynamicObject, ListParams};
use serde_json::Value;

/// How many sentences are worth reading.
const SAID: usize = 4;

/// How nodes come by images that nobody else has.
pub(crate) const IMPORT: &str = "write our images to a file with `seldon-conformance images write FILE` and import it on \
    every node: `k3d image import FILE --cluster NAME`, `k3s ctr images import FILE` or `ctr -n k8s.io images import FILE`";

/// What the refusal of a pod contains for which its namespace leaves no room.
const QUOTA: &str = "exceeded quota";

/// What the cluster's refusals contain, and what helps.
const REMEDIES: &[(&str, &str)] = &[
    (
        "violates PodSecurity",
        "the cluster holds new namespaces to a stricter pod security standard than the mesh's pods keep: exempt the \
         harness's namespaces, or use a cluster whose default is baseline",
    ),
    (QUOTA, "a ResourceQuota leaves no room for a mesh: raise it, or use a cluster without it"),
    (
        "no storage class is set",
        "claims name no storage class and none is the default: mark one as the default",
    ),
    (
        "no persistent volumes available",
        "nothing provisions volumes: install a provisioner and make its class the default",
    ),
    ("Insufficient", "the nodes have no room for a mesh, which asks for about 2 CPUs and 4 GiB: add one"),
    ("is not present with pull policy of Never", IMPORT),
    ("pull", "the nodes cannot get the image: see that they reach its registry, or import it on them"),
    ("untolerated taint", "no node takes ordinary pods: take a taint off, or add a node"),
];

/// What the warnings among `events` say, each once, with its remedy where one is known.
fn sentences(events: &[Value]) -> Vec<String> {
    let mut said: Vec<String> = Vec::new();
    for event in events.iter().filter(|event| event["type"] == "Warning") {
        let text = |field: &Value| field.as_str().unwrap_or_default().to_owned();
        let message = text(&event["message"]);
        let Some((_, remedy)) = REMEDIES.iter().find(|(telling, _)| message.contains(telling)) else {
            continue;
        };
        let about = &event["involvedObject"];
        let sentence = format!(
            "{} {}/{}: {message}; {remedy}",
            text(&about["kind"]),
            text(&about["namespace"]),
            text(&about["name"])
        );
        if !said.iter().any(|other| other.ends_with(remedy)) {
            said.push(sentence);
        }
    }
    said.truncate(SAID);
    said
}

/// The remedy for an answer of the API server, where one is known.
pub(crate) fn remedy(answer: &str) -> Option<&'static str> {
    REMEDIES[..2].iter().find(|(telling, _)| answer.contains(telling)).map(|(_, remedy)| *remedy)
}

/// Whether an answer of the API server tells of a namespace's quota.
pub(crate) fn is_of_quota(answer: &str) -> bool {
    answer.contains(QUOTA)
}

/// What stands in the way of pods in `namespaces`. What cannot be read is nothing found.
pub(crate) async fn in_the_way(client: &Client, namespaces: &[&str]) -> Vec<String> {
    let mut events = Vec::new();
    for namespace in namespaces {
        let resource = kube::api::ApiResource::erase::<k8s_openapi::api::core::v1::Event>(&());
        let api: Api<DynamicObject> = Api::namespaced_with(client.clone(), namespace, &resource);
        let found = api.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
        events.extend(found.iter().filter_map(|event| serde_json::to_value(event).ok()));
    }
    sentences(&events)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::tests::lab::Lab;
    use crate::object;
    use rstest::rstest;
    use serde_json::json;

    fn warning(message: &str) -> Value {
        json!({
            "type": "Warning", "message": message,
            "involvedObject": {"kind": "StatefulSet", "namespace": "ml", "name": "seldon-scheduler"},
        })
    }

    #[rstest]
    #[case::security(
        "create Pod seldon-scheduler-0 in StatefulSet seldon-scheduler failed error: pods \"seldon-scheduler-0\" is forbidden: violates PodSecurity \"restricted:latest\": unrestricted capabilities (container \"scheduler\" must set securityContext.capabilities.drop=[\"ALL\"])",
        "pod security standard"
    )]
    #[case::quota(
        "create Pod seldon-scheduler-0 in StatefulSet seldon-scheduler failed error: pods \"seldon-scheduler-0\" is forbidden: exceeded quota: compute, requested: memory=1Gi, used: memory=0, limited: memory=512Mi",
        "ResourceQuota"
    )]
    #[case::class(
        "no persistent volumes available for this claim and no storage class is set",
        "none is the default"
    )]
    #[case::room("0/1 nodes are available: 1 Insufficient memory.", "no room")]
    #[case::own_image(
        "Container image \"seldon-conformance/seldon-scheduler:2.9.1\" is not present with pull policy of Never",
        "`k3d image import FILE --cluster NAME`"
    )]
    #[case::image(
        "Failed to pull image \"docker.io/seldonio/seldon-agent:2.9.1\": dial tcp: i/o timeout",
        "reach its registry"
    )]
    fn refusals_get_their_remedies(#[case] message: &str, #[case] helps: &str) {
        let found = sentences(&[warning(message), warning(message)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with(&format!("StatefulSet ml/seldon-scheduler: {message}; ")), "{found:?}");
        assert!(found[0].contains(helps), "{found:?}");
    }

    #[test]
    fn what_happens_in_every_start_is_no_obstacle() {
        let mut normal = warning("exceeded quota");
        normal["type"] = "Normal".into();
        assert_eq!(sentences(&[normal, warning("Readiness probe failed: connection refused")]), [""; 0]);
    }

    #[test]
    fn answers_to_a_request_get_theirs() {
        assert!(
            remedy("pods \"visitor\" is forbidden: violates PodSecurity \"restricted:latest\": x").is_some()
        );
        assert!(remedy("pods \"visitor\" not found").is_none());
    }

    #[tokio::test]
    async fn what_the_clusters_events_say_is_found_in_the_namespaces_that_are_asked_about() {
        let lab = Lab::new().await;
        let refused = "create Pod seldon-scheduler-0 in StatefulSet seldon-scheduler failed error: pods \
                       \"seldon-scheduler-0\" is forbidden: exceeded quota: compute";
        for namespace in ["default", "kube-public"] {
            let mut event = warning(refused);
            event["apiVersion"] = "v1".into();
            event["kind"] = "Event".into();
            event["metadata"] = json!({"name": "told", "namespace": namespace});
            event["involvedObject"]["namespace"] = namespace.into();
            object::apply(&lab.client(), &event).await.unwrap();
        }
        let said = in_the_way(&lab.client(), &["default"]).await;
        let remedy = "a ResourceQuota leaves no room for a mesh: raise it, or use a cluster without it";
        assert_eq!(said, [format!("StatefulSet default/seldon-scheduler: {refused}; {remedy}")]);
    }
}
