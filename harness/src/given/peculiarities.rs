//! What of a given cluster keeps a mesh from working there, whoever asks: its network plugins, its storage.

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use netmodel::Profile;

/// A network plugin and how it is known: what its DaemonSet's name begins with, and an annotation that it writes on
/// nodes. (k3s runs flannel inside of itself: only the annotation tells.)
const PLUGINS: &[(&str, &str, &str)] = &[
    ("flannel", "kube-flannel", "flannel.alpha.coreos.com/backend-type"),
    ("Calico", "calico-node", "projectcalico.org/IPv4Address"),
    ("Cilium", "cilium", "network.cilium.io/ipv4-cilium-host"),
    ("Weave Net", "weave-net", ""),
];

/// Flannel's links and Calico's policies, on purpose: one plugin.
const CANAL: &str = "canal";

const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// Sentences, with the remedy. What may not be looked at is nothing found: who may not is told so elsewhere.
pub(super) async fn of(client: &Client) -> Vec<String> {
    let all = ListParams::default();
    let (sets, nodes, classes): (Api<DaemonSet>, Api<Node>, Api<StorageClass>) =
        (Api::all(client.clone()), Api::all(client.clone()), Api::all(client.clone()));
    let (sets, nodes, classes) = tokio::join!(sets.list(&all), nodes.list(&all), classes.list(&all));
    let (sets, nodes) = (sets.map(|list| list.items), nodes.map(|list| list.items));
    let networks = two_networks(&sets.unwrap_or_default(), &nodes.unwrap_or_default());
    networks.into_iter().chain(classes.ok().and_then(|list| no_default(&list.items))).collect()
}

/// The network that a cluster seems to have: Calico's where its programs run, flannel's otherwise.
pub(super) async fn network(client: &Client) -> Profile {
    let sets: Api<DaemonSet> = Api::all(client.clone());
    let sets = sets.list(&ListParams::default()).await.map(|list| list.items).unwrap_or_default();
    let calico = |set: &DaemonSet| ["calico-node", CANAL].contains(&set.name_any().as_str());
    if sets.iter().any(calico) { Profile::Calico } else { Profile::Flannel }
}

fn two_networks(sets: &[DaemonSet], nodes: &[Node]) -> Option<String> {
    if sets.iter().any(|set| set.name_any() == CANAL) {
        return None;
    }
    let signs: Vec<String> = PLUGINS.iter().filter_map(|plugin| sign(plugin, sets, nodes)).collect();
    (signs.len() > 1).then(|| {
        format!(
            "more than one network plugin has been at work here: {}; packets then go as neither would have them: \
             remove all but one and start the nodes anew",
            signs.join(", ")
        )
    })
}

fn sign(plugin: &(&str, &str, &str), sets: &[DaemonSet], nodes: &[Node]) -> Option<String> {
    let (name, beginning, annotation) = plugin;
    let set = sets.iter().find(|set| set.name_any().starts_with(beginning));
    let set = set
        .map(|set| format!("{name} (DaemonSet {}/{})", set.namespace().unwrap_or_default(), set.name_any()));
    set.or_else(|| {
        let node = nodes.iter().find(|node| node.annotations().contains_key(*annotation))?;
        Some(format!("{name} (annotation {annotation} of node {})", node.name_any()))
    })
}

/// A scheduler keeps its state in a claim that names no class.
fn no_default(classes: &[StorageClass]) -> Option<String> {
    let is_default = |class: &StorageClass| {
        DEFAULT_CLASS.iter().any(|key| class.annotations().get(*key).is_some_and(|value| value == "true"))
    };
    (!classes.iter().any(is_default)).then(|| {
        let known: Vec<String> = classes.iter().map(ResourceExt::name_any).collect();
        let known = if known.is_empty() { "there is none at all".into() } else { format!("there are: {}", known.join(", ")) };
        format!(
            "no storage class is the default one ({known}), and Seldon's claims name none; mark one: `kubectl annotate \
             storageclass NAME {}=true`",
            DEFAULT_CLASS[0]
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::given::tests::lab::Lab;
    use crate::given::{ClusterScope, Finding, survey};
    use crate::mesh::OwnImages;
    use crate::object;
    use crate::seldon::{ModelServer, SeldonSource};
    use rstest::rstest;
    use serde_json::{Value, json};

    fn set(name: &str) -> DaemonSet {
        let spec = json!({"selector": {}, "template": {}});
        serde_json::from_value(json!({"metadata": {"name": name, "namespace": "kube-system"}, "spec": spec}))
            .unwrap()
    }

    fn node(annotation: &str) -> Node {
        serde_json::from_value(json!({"metadata": {"name": "n", "annotations": {annotation: "x"}}})).unwrap()
    }

    const K3S: &str = "flannel.alpha.coreos.com/backend-type";

    #[rstest]
    #[case::k3s(&[], &[K3S], None)]
    #[case::calico(&["calico-node"], &["projectcalico.org/IPv4Address"], None)]
    #[case::canal(&["canal"], &[K3S, "projectcalico.org/IPv4Address"], None)]
    #[case::calico_beside_k3s(&["calico-node"], &[K3S], Some("flannel (annotation flannel.alpha.coreos.com/backend-type of node n), Calico (DaemonSet kube-system/calico-node)"))]
    #[case::two_sets(&["kube-flannel-ds", "cilium"], &[], Some("flannel (DaemonSet kube-system/kube-flannel-ds), Cilium (DaemonSet kube-system/cilium)"))]
    fn two_networks_are_told_from_one(
        #[case] sets: &[&str],
        #[case] nodes: &[&str],
        #[case] said: Option<&str>,
    ) {
        let sets: Vec<DaemonSet> = sets.iter().map(|name| set(name)).collect();
        let nodes: Vec<Node> = nodes.iter().map(|annotation| node(annotation)).collect();
        let found = two_networks(&sets, &nodes);
        assert_eq!(found.is_some(), said.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    #[rstest]
    #[case::none(json!([]), Some("there is none at all"))]
    #[case::unmarked(json!([{"metadata": {"name": "slow"}, "provisioner": "p"}]), Some("there are: slow"))]
    #[case::marked(json!([{"metadata": {"name": "d", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}]), None)]
    fn a_missing_default_class_is_named(#[case] classes: Value, #[case] said: Option<&str>) {
        let classes: Vec<StorageClass> = serde_json::from_value(classes).unwrap();
        let found = no_default(&classes);
        assert_eq!(found.is_some(), said.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    #[tokio::test]
    async fn a_cluster_of_two_networks_and_no_class_is_told_both_before_a_run() {
        let lab = Lab::new().await;
        let labels = json!({"app": "network"});
        for name in ["kube-flannel-ds", "cilium"] {
            let containers = json!([{"name": "c", "image": "example.org/network:1"}]);
            let manifest = json!({
                "apiVersion": "apps/v1", "kind": "DaemonSet",
                "metadata": {"name": name, "namespace": "kube-system"},
                "spec": {
                    "selector": {"matchLabels": labels},
                    "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
                },
            });
            object::apply(&lab.client(), &manifest).await.unwrap();
        }
        let found = survey(
            &lab.client(),
            ClusterScope::Allowed,
            &SeldonSource::StandIn(ModelServer::MlServer),
            &OwnImages::Imported,
        )
        .await
        .unwrap();
        let lacks = |begins: &str| {
            found.iter().any(|finding| matches!(finding, Finding::Lacks(what) if what.starts_with(begins)))
        };
        assert!(
            lacks(
                "more than one network plugin has been at work here: flannel (DaemonSet kube-system/kube-flannel-ds), Cilium"
            ),
            "{found:?}"
        );
        assert!(lacks("no storage class is the default one (there is none at all)"), "{found:?}");
    }
}
