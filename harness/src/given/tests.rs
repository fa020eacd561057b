//! What is done on a given cluster, on a real API server without a node.

pub(crate) mod lab;

use std::time::Duration;

use rstest::rstest;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;

use super::lease::Held;
use super::*;
use crate::mesh::OwnImages;
use crate::seldon::{ModelServer, SeldonSource};
use lab::Lab;

fn config_map(namespace: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": namespace}})
}

fn namespace(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
}

fn label_of_system(value: &Value) -> Value {
    json!({"metadata": {"labels": {"name": value}}})
}

fn system() -> ObjectRef {
    ObjectRef::new(Kind::Namespace, "", "kube-system")
}

/// The Lease, as somebody else renews it.
fn lease(holder: &str, renewed: &str) -> Value {
    json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {"name": "harness", "namespace": HOME},
        "spec": {"holderIdentity": holder, "leaseDurationSeconds": 15, "renewTime": renewed},
    })
}

#[tokio::test]
async fn namespaces_of_others_are_never_touched() {
    let lab = Lab::new().await;
    let (foothold, client) = (lab.foothold(7).await, lab.client());
    object::apply(&client, &namespace("theirs")).await.unwrap();
    let mut of_another_run = namespace("earlier");
    of_another_run["metadata"]["labels"] = json!({RUN_LABEL: "00000006"});
    object::apply(&client, &of_another_run).await.unwrap();
    for theirs in ["theirs", "earlier", "default", "kube-system"] {
        let refused = foothold.apply(&client, &config_map(theirs)).await.unwrap_err().to_string();
        assert_eq!(
            refused,
            format!("ConfigMap {theirs}/c is in a namespace that is not this run's; nothing was changed")
        );
        let taken = foothold.apply(&client, &namespace(theirs)).await.unwrap_err().to_string();
        assert_eq!(taken, format!("Namespace {theirs} exists and is not this run's; nothing was changed"));
        let map = ObjectRef::new(Kind::ConfigMap, theirs, "c").read(&client).await.unwrap();
        assert!(map.is_none(), "{theirs}");
    }
    foothold.apply(&client, &namespace("ours")).await.unwrap();
    foothold.apply(&client, &config_map("ours")).await.unwrap();
    foothold.end_case(&client).await.unwrap();
    foothold.leave().await.unwrap();
    let left: Vec<String> = lab.namespaces().await;
    assert!(["theirs", "earlier"].iter().all(|name| left.contains(&(*name).to_owned())), "{left:?}");
    assert!(!left.contains(&"ours".to_owned()), "{left:?}");
}

#[rstest]
#[case::nobody_touched_it(json!("kube-system"), Value::Null)]
#[case::the_owner_changed_it(json!("owners"), json!("owners"))]
#[case::the_owner_took_it_away(Value::Null, Value::Null)]
#[tokio::test]
async fn a_label_that_the_owner_changed_since_stays(#[case] meanwhile: Value, #[case] left: Value) {
    let lab = Lab::new().await;
    let client = lab.client();
    let undo = Undo::Merge {
        object: system(),
        patch: label_of_system(&Value::Null),
        ours: label_of_system(&json!("kube-system")),
    };
    system().merge(&client, &label_of_system(&json!("kube-system"))).await.unwrap();
    system().merge(&client, &label_of_system(&meanwhile)).await.unwrap();
    sweep::sweep(&client, "00000007", &[undo], Await::All).await.nothing().unwrap();
    let found = system().read(&client).await.unwrap().unwrap();
    assert_eq!(found["metadata"]["labels"]["name"], left);
}

#[tokio::test]
async fn a_living_runs_lease_is_refused_and_a_dead_ones_waited_for() {
    let lab = Lab::new().await;
    let client = lab.client();
    make_home(&client, "other").await.unwrap();
    object::apply(&client, &lease("other", "2026-01-01T00:00:00.000000Z")).await.unwrap();
    let renewing = async {
        look_again().await;
        object::apply(&client, &lease("other", "2026-01-01T00:00:02.000000Z")).await.unwrap();
        std::future::pending::<()>().await;
    };
    let stop = CancellationToken::new();
    let refused = tokio::select! {
        taken = Held::take(&lab.cluster, "mine", &stop) => taken.unwrap_err().to_string(),
        () = renewing => unreachable!("it renews for ever"),
    };
    assert_eq!(refused, "run other works on context \"lab\" right now; wait until it has ended");

    // Nobody renews it any more: no ledger says that there was a run, and the Lease lapses.
    let began = std::time::Instant::now();
    let foothold = lab.foothold(7).await;
    assert!(began.elapsed() >= Duration::from_secs(15), "{:?}", began.elapsed());
    let held = ObjectRef::new(Kind::Lease, HOME, "harness").read(&client).await.unwrap().unwrap();
    assert!(held["spec"]["holderIdentity"].as_str().unwrap().starts_with("00000007-"), "{held}");
    foothold.leave().await.unwrap();
}

#[tokio::test]
async fn who_has_lost_the_lease_changes_nothing_any_more() {
    let lab = Lab::new().await;
    let (foothold, client) = (lab.foothold(7).await, lab.client());
    foothold.apply(&client, &namespace("ours")).await.unwrap();
    object::apply(&client, &lease("thief", "2026-01-01T00:00:00.000000Z")).await.unwrap();
    tokio::time::timeout(Duration::from_secs(10), foothold.lost()).await.unwrap();
    let before = lab.everything().await;
    let said = "this run has lost the cluster's Lease";
    let refused = |outcome: anyhow::Result<()>| assert_eq!(outcome.unwrap_err().to_string(), said);
    refused(foothold.apply(&client, &config_map("ours")).await);
    refused(foothold.before(&client, Undo::Delete(system())).await);
    refused(foothold.end_case(&client).await);
    assert!(foothold.is_spoiled(), "no case may follow");
    refused(foothold.leave().await);
    assert_eq!(lab.everything().await, before);
}

#[tokio::test]
async fn what_nobody_lets_go_of_is_named_after_the_next_case_and_none_follows() {
    let lab = Lab::new().await;
    let (foothold, client) = (lab.foothold(7).await, lab.client());
    foothold.apply(&client, &namespace("ours")).await.unwrap();
    let mut held = config_map("ours");
    held["metadata"]["finalizers"] = json!(["example.com/forever"]);
    foothold.apply(&client, &held).await.unwrap();
    assert!(!foothold.is_spoiled());
    foothold.end_case(&client).await.unwrap();
    let pages = ledger::in_cluster(&client).await.unwrap();
    assert_eq!(pages[0].entries.len(), 1, "what is going stays in the ledger: {pages:?}");
    let began = std::time::Instant::now();
    let left = foothold.end_case(&client).await.unwrap_err().to_string();
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(left.starts_with("Namespace ours is not gone after "), "{left}");
    assert!(
        left.contains("example.com/forever in 1 resource instances; nobody takes these finalizers off"),
        "{left}"
    );
    assert!(foothold.is_spoiled(), "no case may follow");
    let pages = ledger::in_cluster(&client).await.unwrap();
    assert_eq!(pages[0].entries.len(), 1, "it stays in the ledger: {pages:?}");
    let map = ObjectRef::new(Kind::ConfigMap, "ours", "c");
    map.merge(&client, &json!({"metadata": {"finalizers": null}})).await.unwrap();
    foothold.leave().await.unwrap();
    assert!(!lab.namespaces().await.contains(&"ours".to_owned()));
}

#[tokio::test]
async fn a_narrow_account_is_told_each_verb_that_it_lacks() {
    let lab = Lab::new().await;
    let guest = lab.as_account("guest").await.client().unwrap();
    let missing = async |client: &Client| -> Vec<String> {
        let seldon = SeldonSource::StandIn(ModelServer::MlServer);
        let findings = survey(client, ClusterScope::Allowed, &seldon, &OwnImages::Imported).await.unwrap();
        let lacks = findings.into_iter().filter_map(|finding| match finding {
            Finding::Lacks(what) | Finding::MayNot(what) => Some(what),
            Finding::Touches(_) | Finding::Has(_) | Finding::Unsure(_) => None,
        });
        lacks.collect()
    };
    let said = missing(&guest).await;
    assert!(said.contains(&"you may not create, delete, get, list, patch pods".to_owned()), "{said:?}");
    assert!(
        said.contains(
            &"you may not create, delete, get, patch clusterrolebindings.rbac.authorization.k8s.io"
                .to_owned()
        ),
        "{said:?}"
    );
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": "some"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["create", "get", "list"]}],
    });
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "some"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "some"},
        "subjects": [{"kind": "ServiceAccount", "name": "guest", "namespace": "default"}],
    });
    for document in [role, binding] {
        object::apply(&lab.client(), &document).await.unwrap();
    }
    let said = missing(&guest).await;
    assert!(said.contains(&"you may not delete, patch pods".to_owned()), "{said:?}");
    let owner = missing(&lab.client()).await;
    assert!(owner.iter().all(|what| !what.starts_with("you may not")), "{owner:?}");
}

#[tokio::test]
async fn a_run_that_may_not_begin_leaves_nothing_and_says_who_tells_it_all() {
    let lab = Lab::new().await;
    let (guest, before) = (lab.as_account("guest").await, lab.everything().await);
    let directory = tempfile::tempdir().unwrap();
    let take = async |cluster: &GivenCluster, scope| {
        let stop = CancellationToken::new();
        Foothold::take(cluster.clone(), scope, 7, directory.path(), &stop).await.unwrap_err().to_string()
    };
    let said = take(&guest, ClusterScope::Forbidden).await;
    assert!(said.contains("User \"system:serviceaccount:default:guest\" cannot get resource"), "{said}");
    assert!(said.ends_with("; `seldon-conformance doctor --context lab` lists what is missing"), "{said}");
    let said = take(&guest, ClusterScope::Allowed).await;
    assert!(said.ends_with("doctor --context lab --allow-cluster-scope` lists what is missing"), "{said}");

    lab.daemon_set("cilium").await;
    lab.daemon_set("kube-flannel-ds").await;
    let said = take(&lab.cluster, ClusterScope::Allowed).await;
    assert!(said.starts_with("more than one network plugin has been at work here: flannel"), "{said}");
    assert_eq!(lab.everything().await, before);
}

#[tokio::test]
async fn a_token_that_is_none_any_more_is_told_from_silence() {
    let lab = Lab::new().await;
    let said = lab.try_with("out.of.date").await.unwrap_err().to_string();
    assert!(
        said.contains("does not know the user of context \"lab\": ") && said.ends_with("log in again"),
        "{said}"
    );
}

#[tokio::test]
async fn a_home_that_does_not_go_is_said() {
    let lab = Lab::new().await;
    let client = lab.client();
    make_home(&client, "other").await.unwrap();
    let mut held = config_map(HOME);
    held["metadata"]["finalizers"] = json!(["example.com/forever"]);
    object::apply(&client, &held).await.unwrap();
    let home = ObjectRef::new(Kind::Namespace, "", HOME);
    home.delete(&client).await.unwrap();
    let told = async {
        while !home.read(&client).await.unwrap().unwrap()["status"].to_string().contains("forever") {
            look_again().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), told).await.unwrap();
    let said = make_home(&client, "mine").await.unwrap_err().to_string();
    let begins = "namespace seldon-conformance is being deleted and has not gone: Some content in the namespace has finalizers";
    assert!(said.starts_with(begins), "{said}");
}

#[tokio::test]
async fn what_others_wrote_beside_ours_stays() {
    let lab = Lab::new().await;
    let (foothold, client) = (lab.foothold(7).await, lab.client());
    let maps =
        ["corefile", "ours", "shared"].map(|name| ObjectRef::new(Kind::ConfigMap, "kube-system", name));
    let [corefile, ours, shared] = &maps;
    let map = |name: &str| json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, "namespace": "kube-system"}});
    for made in [ours, shared] {
        let mut empty = map(&made.name);
        empty["metadata"]["labels"] = json!({RUN_LABEL: foothold.run()});
        foothold.before(&client, Undo::Delete(made.clone())).await.unwrap();
        object::apply(&client, &empty).await.unwrap();
    }
    shared.merge(&client, &json!({"data": {"theirs": "x"}})).await.unwrap();
    object::apply(&client, &map(&corefile.name)).await.unwrap();
    let undo = Undo::Cut { object: corefile.clone(), key: "Corefile".into(), text: "our block\n".into() };
    foothold.before(&client, undo).await.unwrap();
    let edited = json!({"data": {"Corefile": "as it was\nour block\nand theirs\n"}});
    corefile.merge(&client, &edited).await.unwrap();

    foothold.end_case(&client).await.unwrap();
    let left = corefile.read(&client).await.unwrap().unwrap();
    assert_eq!(left["data"]["Corefile"], "as it was\nand theirs\n");
    assert_eq!(ours.read(&client).await.unwrap(), None);
    let theirs = shared.read(&client).await.unwrap().unwrap();
    assert_eq!((&theirs["data"]["theirs"], label(&theirs)), (&json!("x"), None));
}
