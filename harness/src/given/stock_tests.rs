//! Nodes that have our images, nodes that have not, and nodes that do not say.

use std::sync::Arc;

use netmodel::Profile;
use pace::Pace;
use reports::Verdict;
use rstest::rstest;

use super::*;
use crate::given::tests::lab::Lab;
use crate::ground::Ground;
use crate::images::{REFERENCES, STORE, TOOLBOX};
use crate::object;
use crate::patience::Patience;
use crate::progress::Progress;
use crate::run::{CaseSpec, Keep, Settings, case_id, run_case};
use crate::seldon::{ModelServer, Seldon};
use crate::world::Topology;

fn node(spec: Value, images: &[String]) -> Node {
    let images: Vec<Value> = images.iter().map(|name| json!({"names": [name], "sizeBytes": 1})).collect();
    let node = json!({"metadata": {"name": "n"}, "spec": spec, "status": {"images": images}});
    serde_json::from_value(node).unwrap()
}

fn texts(findings: &[Finding]) -> Vec<&str> {
    let text = |finding| match finding {
        &Finding::Touches(ref what)
        | &Finding::Has(ref what)
        | &Finding::Lacks(ref what)
        | &Finding::MayNot(ref what)
        | &Finding::Unsure(ref what) => what.as_str(),
    };
    findings.iter().map(text).collect()
}

#[rstest]
#[case::ordinary(json!({}), true)]
#[case::cordoned(json!({"unschedulable": true}), false)]
#[case::control_plane(json!({"taints": [{"key": "node-role.kubernetes.io/control-plane", "effect": "NoSchedule"}]}), false)]
#[case::merely_disliked(json!({"taints": [{"key": "k", "effect": "PreferNoSchedule"}]}), true)]
fn nodes_that_take_no_pods_need_no_images(#[case] spec: Value, #[case] takes: bool) {
    assert_eq!(takes_pods(&node(spec, &[])), takes);
}

#[test]
fn what_a_node_has_and_lacks_is_named() {
    // As containerd names it, with its registry; and beside others.
    let some = node(json!({}), &[format!("docker.io/{TOOLBOX}"), "docker.io/library/busybox:1".into()]);
    let findings = shelf(&some, &[TOOLBOX, STORE]).findings();
    assert_eq!(
        texts(&findings),
        [format!("node n: images {TOOLBOX}"), format!("node n has no image {STORE}; {IMPORT}")]
    );
    assert!(matches!(findings[1], Finding::Lacks(_)));
}

#[test]
fn a_kubelet_that_names_the_largest_only_proves_nothing_by_its_silence() {
    let many: Vec<String> = (0..NAMED).map(|number| format!("docker.io/library/large:{number}")).collect();
    let findings = shelf(&node(json!({}), &many), &[TOOLBOX]).findings();
    assert!(matches!(&findings[..], [Finding::Unsure(what)] if what.contains(TOOLBOX)), "{findings:?}");
}

#[rstest]
#[case::nothing_yet(json!({"waiting": {"reason": "ContainerCreating"}}), None)]
#[case::no_state(json!({}), None)]
#[case::missing(json!({"waiting": {"reason": "ErrImageNeverPull"}}), Some(1))]
#[case::runs(json!({"running": {}}), Some(0))]
#[case::ended(json!({"terminated": {"exitCode": 1}}), Some(0))]
#[case::of_somebody_without_our_program(json!({"waiting": {"reason": "CreateContainerError"}}), Some(0))]
fn what_became_of_a_container_tells_whether_its_image_is_there(
    #[case] state: Value,
    #[case] missing: Option<usize>,
) {
    let status = json!({"name": "image-0", "image": TOOLBOX, "imageID": "", "ready": false, "restartCount": 0, "state": state});
    let mut whole = pod("ns", 0, &Doubt { node: Some("n".into()), images: vec![TOOLBOX] });
    whole["status"] = json!({"containerStatuses": [status]});
    let judged = judged(&serde_json::from_value(whole).unwrap());
    assert_eq!(judged.map(|missing| missing.len()), missing);
}

/// A node whose kubelet is this function: it has `images`, and does not say so.
async fn kubelet(client: Client, images: &[&str]) {
    let manifest = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}});
    object::apply(&client, &manifest).await.unwrap();
    let all: Api<Pod> = Api::all(client.clone());
    loop {
        for pod in all.list(&ListParams::default()).await.unwrap() {
            let api: Api<Pod> = Api::namespaced(client.clone(), &pod.namespace().unwrap());
            if pod.metadata.deletion_timestamp.is_some() {
                let at_once = kube::api::DeleteParams::default().grace_period(0);
                let _ = api.delete(&pod.name_any(), &at_once).await;
                continue;
            }
            let containers = pod.spec.clone().unwrap().containers;
            let statuses = containers.iter().map(|container| {
                let image = container.image.clone().unwrap();
                assert_eq!(container.image_pull_policy.as_deref(), Some("Never"));
                let state = match images.contains(&image.as_str()) {
                    true => json!({"running": {}}),
                    false => json!({"waiting": {"reason": "ErrImageNeverPull"}}),
                };
                json!({"name": container.name, "image": image, "imageID": "", "ready": false, "restartCount": 0, "state": state})
            });
            let statuses: Vec<Value> = statuses.collect();
            let status = json!({"status": {"containerStatuses": statuses}});
            let patch = kube::api::Patch::Merge(&status);
            let _ = api.patch_status(&pod.name_any(), &Default::default(), &patch).await;
        }
        look_again().await;
    }
}

/// What a run that is about to begin finds out on a node with `images`.
async fn found_on_a_node_with(images: &[&str]) -> (Lab, Foothold) {
    let lab = Lab::new().await;
    let foothold = lab.foothold(7).await;
    let stop = CancellationToken::new();
    tokio::select! {
        () = foothold.look_for_images(&SeldonSource::StandIn(ModelServer::MlServer), &stop) => {}
        () = kubelet(lab.client(), images) => unreachable!("it works for ever"),
    }
    (lab, foothold)
}

#[tokio::test]
async fn images_that_a_node_does_not_name_are_tried_in_a_pod() {
    let (lab, foothold) = found_on_a_node_with(&REFERENCES).await;
    assert_eq!(foothold.lack_of_images(), None);
    foothold.leave().await.unwrap();
    let left = lab.namespaces().await;
    assert!(left.iter().all(|name| !name.starts_with(HOME)), "{left:?}");
}

#[tokio::test]
async fn where_an_image_is_missing_each_case_is_skipped_by_name() {
    let (_lab, foothold) = found_on_a_node_with(&REFERENCES[1..]).await;
    let said = format!("node n has no image {}; {IMPORT}", REFERENCES[0]);
    assert_eq!(foothold.lack_of_images(), Some(said.as_str()));
    let records = tempfile::tempdir().unwrap();
    let settings = Settings {
        ground: Ground::Given(Arc::new(foothold)),
        cluster: "given",
        seldon: Seldon::StandIn(ModelServer::MlServer),
        pace: Pace::FAST,
        patience: Patience::default(),
        records: records.path().to_owned(),
        keep: Keep::Never,
        shard: None,
    };
    let spec = CaseSpec {
        case: case_id("f", "n", Profile::Flannel, Topology::PerNamespace, "given"),
        claim: String::new(),
        seeds: &[],
        needs: &[],
        on_lent: None,
        profile: Profile::Flannel,
        topology: Topology::PerNamespace,
    };
    let never = |_: &crate::World| -> futures::future::LocalBoxFuture<'_, anyhow::Result<()>> {
        unreachable!("it was to be skipped")
    };
    let stop = CancellationToken::new();
    let record = run_case(&settings, &spec, never, Progress::silent(), &stop).await.unwrap().record;
    assert_eq!((record.verdict, record.message), (Some(Verdict::Skipped), Some(said)));
}

#[tokio::test]
async fn who_may_not_list_nodes_is_told_so_and_tries_a_pod_anywhere() {
    let lab = Lab::new().await;
    let guest = lab.as_account("guest").await.client().unwrap();
    let findings = findings(&guest, &SeldonSource::StandIn(ModelServer::MlServer)).await;
    assert!(
        matches!(&findings[..], [Finding::Unsure(what)] if what.contains("may not be listed")),
        "{findings:?}"
    );
    let doubts = doubts(
        shelves(&guest, &SeldonSource::StandIn(ModelServer::MlServer)).await,
        &SeldonSource::StandIn(ModelServer::MlServer),
    );
    let all = needed(&SeldonSource::StandIn(ModelServer::MlServer)).to_vec();
    assert_eq!(doubts, [Doubt { node: None, images: all }]);
    assert!(pod("ns", 0, &doubts[0])["spec"].get("nodeName").is_none());
}
