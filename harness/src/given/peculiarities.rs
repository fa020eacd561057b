//! What of a given cluster keeps a mesh from working there, whoever asks: its network plugins, its storage.

use clusters::GivenCluster;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{Node, PersistentVolume};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use netmodel::Profile;

/// A network plugin and how it is known: what its DaemonSet's name begins with, and an annotation that it writes on
/// nodes. (k3s runs flannel inside of itself: only the annotation tells.)
const PLUGINS: [(&str, &str, &str); 4] = [
    ("flannel", "kube-flannel", "flannel.alpha.coreos.com/backend-type"),
    ("Calico", "calico-node", "projectcalico.org/IPv4Address"),
    ("Cilium", "cilium", "network.cilium.io/ipv4-cilium-host"),
    ("Weave Net", "weave-net", ""),
];

/// Flannel's links and Calico's policies, on purpose: one plugin.
const CANAL: &str = "canal";

const DEFAULT_CLASS: [&str; 2] =
    ["storageclass.kubernetes.io/is-default-class", "storageclass.beta.kubernetes.io/is-default-class"];

/// What one sees of a cluster. What may not be looked at is nothing seen: who may not is told so elsewhere.
#[derive(Debug, Default)]
struct Sight {
    sets: Vec<DaemonSet>,
    nodes: Vec<Node>,
}

async fn look(client: &Client) -> Sight {
    let all = ListParams::default();
    let (sets, nodes): (Api<DaemonSet>, Api<Node>) = (Api::all(client.clone()), Api::all(client.clone()));
    let (sets, nodes) = tokio::join!(sets.list(&all), nodes.list(&all));
    let (sets, nodes) = (sets.map(|list| list.items), nodes.map(|list| list.items));
    Sight { sets: sets.unwrap_or_default(), nodes: nodes.unwrap_or_default() }
}

/// Sentences, with the remedy.
pub(super) async fn of(client: &Client) -> Vec<String> {
    let all = ListParams::default();
    let (classes, volumes): (Api<StorageClass>, Api<PersistentVolume>) =
        (Api::all(client.clone()), Api::all(client.clone()));
    let (networks, classes, volumes) =
        tokio::join!(of_network(client), classes.list(&all), volumes.list(&all));
    let volumes = volumes.map(|list| list.items).unwrap_or_default();
    networks.into_iter().chain(classes.ok().and_then(|list| no_default(&list.items, &volumes))).collect()
}

/// The same of the network alone.
pub(super) async fn of_network(client: &Client) -> Option<String> {
    two_networks(&look(client).await)
}

/// The network that a cluster seems to have: Calico's where one sees it, flannel's otherwise.
pub(super) async fn network(client: &Client) -> Profile {
    clear(&look(client).await).map_or(Profile::Flannel, |(profile, _)| profile)
}

/// The network that one clearly sees, in a sentence.
pub(super) async fn network_found(client: &Client) -> Option<String> {
    let (profile, sign) = clear(&look(client).await)?;
    Some(format!("the network of {sign}: `run` takes --cni {profile}"))
}

/// Why cases that expect the network of `profile` are in the wrong place; nothing where one sees no other.
///
/// # Errors
/// The API server's: it cannot be reached.
pub async fn refuse_other_network(
    cluster: &GivenCluster,
    profile: Profile,
) -> anyhow::Result<Option<String>> {
    let found = clear(&look(&cluster.client()?).await);
    let other = found.filter(|(found, _)| *found != profile);
    Ok(other.map(|(found, sign)| {
        format!("the cluster of context {:?} has the network of {sign}: say --cni {found}", cluster.context())
    }))
}

/// The network that one sees, and by what. Canal is flannel's links and Calico's policies: as cases feel it, Calico's.
fn clear(sight: &Sight) -> Option<(Profile, String)> {
    let [flannel, calico, ..] = &PLUGINS;
    let canal = sight.sets.iter().find(|set| set.name_any() == CANAL);
    let canal = canal.map(|set| format!("Canal (DaemonSet {}/{CANAL})", set.namespace().unwrap_or_default()));
    let calico = canal.or_else(|| sign(calico, sight)).map(|sign| (Profile::Calico, sign));
    calico.or_else(|| sign(flannel, sight).map(|sign| (Profile::Flannel, sign)))
}

fn two_networks(sight: &Sight) -> Option<String> {
    if sight.sets.iter().any(|set| set.name_any() == CANAL) {
        return None;
    }
    let signs: Vec<String> = PLUGINS.iter().filter_map(|plugin| sign(plugin, sight)).collect();
    (signs.len() > 1).then(|| {
        format!(
            "more than one network plugin has been at work here: {}; packets then go as neither would have them: \
             remove all but one and start the nodes anew",
            signs.join(", ")
        )
    })
}

fn sign((name, beginning, annotation): &(&str, &str, &str), sight: &Sight) -> Option<String> {
    let set = sight.sets.iter().find(|set| set.name_any().starts_with(beginning));
    let set = set
        .map(|set| format!("{name} (DaemonSet {}/{})", set.namespace().unwrap_or_default(), set.name_any()));
    set.or_else(|| {
        let node = sight.nodes.iter().find(|node| node.annotations().contains_key(*annotation))?;
        Some(format!("{name} (annotation {annotation} of node {})", node.name_any()))
    })
}

/// A scheduler keeps its state in a claim that names no class: without a default one it gets a volume that has none, or
/// none.
fn no_default(classes: &[StorageClass], volumes: &[PersistentVolume]) -> Option<String> {
    let is_free = |volume: &PersistentVolume| {
        let class = volume.spec.as_ref().and_then(|spec| spec.storage_class_name.as_deref());
        let phase = volume.status.as_ref().and_then(|status| status.phase.as_deref());
        class.unwrap_or_default().is_empty() && phase == Some("Available")
    };
    if volumes.iter().any(is_free) {
        return None;
    }
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

    fn sight(sets: &[&str], nodes: &[&str]) -> Sight {
        Sight {
            sets: sets.iter().map(|name| set(name)).collect(),
            nodes: nodes.iter().map(|annotation| node(annotation)).collect(),
        }
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
        let found = two_networks(&sight(sets, nodes));
        assert_eq!(found.is_some(), said.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    #[rstest]
    #[case::nothing_seen(&[], &[], None)]
    #[case::k3s(&[], &[K3S], Some((Profile::Flannel, "flannel (annotation flannel.alpha.coreos.com/backend-type of node n)")))]
    #[case::calico(&["calico-node"], &[], Some((Profile::Calico, "Calico (DaemonSet kube-system/calico-node)")))]
    #[case::calico_without_a_set(&[], &["projectcalico.org/IPv4Address"], Some((Profile::Calico, "Calico (annotation projectcalico.org/IPv4Address of node n)")))]
    #[case::canal(&["canal"], &[K3S], Some((Profile::Calico, "Canal (DaemonSet kube-system/canal)")))]
    #[case::neither(&["cilium"], &[], None)]
    fn a_network_is_known_by_what_it_leaves(
        #[case] sets: &[&str],
        #[case] nodes: &[&str],
        #[case] known: Option<(Profile, &str)>,
    ) {
        let found = clear(&sight(sets, nodes));
        assert_eq!(found.as_ref().map(|(profile, sign)| (*profile, sign.as_str())), known);
    }

    #[rstest]
    #[case::none(json!([]), Some("there is none at all"))]
    #[case::unmarked(json!([{"metadata": {"name": "slow"}, "provisioner": "p"}]), Some("there are: slow"))]
    #[case::marked(json!([{"metadata": {"name": "d", "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}}, "provisioner": "p"}]), None)]
    fn a_missing_default_class_is_named(#[case] classes: Value, #[case] said: Option<&str>) {
        let classes: Vec<StorageClass> = serde_json::from_value(classes).unwrap();
        let found = no_default(&classes, &[volume("slow", "Available"), volume("", "Bound")]);
        assert_eq!(found.is_some(), said.is_some(), "{found:?}");
        assert!(found.unwrap_or_default().contains(said.unwrap_or_default()));
    }

    fn volume(class: &str, phase: &str) -> PersistentVolume {
        let (spec, status) = (json!({"storageClassName": class}), json!({"phase": phase}));
        serde_json::from_value(json!({"metadata": {"name": "v"}, "spec": spec, "status": status})).unwrap()
    }

    #[test]
    fn a_free_volume_without_a_class_serves_a_claim_without_one() {
        assert_eq!(no_default(&[], &[volume("", "Available")]), None);
    }

    #[tokio::test]
    async fn a_cluster_of_two_networks_and_no_class_is_told_both_before_a_run() {
        let lab = Lab::new().await;
        for name in ["kube-flannel-ds", "cilium"] {
            lab.daemon_set(name).await;
        }
        lab.without_storage().await;
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
