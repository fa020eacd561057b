//! The server through a plain `kube::Client`, without a socket.

use std::collections::BTreeMap;

use embedded_api::{ApiServer, Config};
use futures::{StreamExt as _, TryStreamExt as _, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use kube::ResourceExt as _;
use kube::api::{
    Api, DeleteParams, ListParams, Patch, PatchParams, PostParams, PropagationPolicy, WatchEvent, WatchParams,
};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use serde_json::json;

use crate::client::{api_error, client, config_map, pod, soon, with_account};

#[tokio::test]
async fn a_new_cluster_has_its_namespaces_and_the_kubernetes_service() {
    let client = client();
    let names: Vec<String> = Api::<Namespace>::all(client.clone())
        .list(&ListParams::default())
        .await
        .unwrap()
        .iter()
        .map(|namespace| namespace.name_any())
        .collect();
    assert_eq!(names, ["default", "kube-node-lease", "kube-public", "kube-system"]);
    let service = Api::<Service>::default_namespaced(client.clone()).get("kubernetes").await.unwrap();
    assert_eq!(service.spec.unwrap().cluster_ip.as_deref(), Some("10.43.0.1"));
    assert_eq!(client.apiserver_version().await.unwrap().git_version, "v1.33.1+k3s1");
}

#[tokio::test]
async fn create_read_replace_delete() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let created = api.create(&PostParams::default(), &config_map("a", &[("k", "1")])).await.unwrap();
    assert!(created.uid().is_some() && created.creation_timestamp().is_some());
    let (code, reason, message) =
        api_error(api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (409, "AlreadyExists"));
    assert_eq!(message, "configmaps \"a\" already exists");

    let mut changed = created.clone();
    changed.data = Some(BTreeMap::from([("k".to_owned(), "2".to_owned())]));
    let second = api.replace("a", &PostParams::default(), &changed).await.unwrap();
    assert!(
        second.resource_version().unwrap().parse::<u64>().unwrap()
            > created.resource_version().unwrap().parse().unwrap()
    );
    let (code, reason, message) =
        api_error(api.replace("a", &PostParams::default(), &changed).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (409, "Conflict"));
    assert_eq!(
        message,
        "Operation cannot be fulfilled on configmaps \"a\": the object has been modified; please apply your changes to the latest version and try again"
    );
    let same = api.replace("a", &PostParams::default(), &second).await.unwrap();
    assert_eq!(same.resource_version(), second.resource_version(), "a replacement by the same is no change");

    assert!(api.delete("a", &DeleteParams::default()).await.unwrap().is_right());
    let (code, reason, message) = api_error(api.get("a").await.unwrap_err());
    assert_eq!((code, reason.as_str(), message.as_str()), (404, "NotFound", "configmaps \"a\" not found"));
}

#[tokio::test]
async fn a_watch_tells_every_change_in_order() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    let watch = api.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(watch);
    api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap();
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"data": {"k": "v"}}))).await.unwrap();
    api.delete("a", &DeleteParams::default()).await.unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(match soon(watch.try_next()).await.unwrap().unwrap() {
            WatchEvent::Added(map) => format!("+{}", map.name_any()),
            WatchEvent::Modified(map) => format!("~{}", map.data.unwrap_or_default()["k"]),
            WatchEvent::Deleted(map) => format!("-{}", map.name_any()),
            other => format!("{other:?}"),
        });
    }
    assert_eq!(seen, ["+a", "~v", "-a"]);
}

#[tokio::test]
async fn an_object_enters_and_leaves_a_selecting_watch() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let watch = api.watch(&WatchParams::default().labels("color=blue"), "0").await.unwrap();
    pin_mut!(watch);
    api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap();
    for color in [json!("blue"), json!("red")] {
        let patch = json!({"metadata": {"labels": {"color": color}}});
        api.patch("a", &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }
    assert!(matches!(soon(watch.try_next()).await.unwrap().unwrap(), WatchEvent::Added(_)));
    assert!(matches!(soon(watch.try_next()).await.unwrap().unwrap(), WatchEvent::Deleted(_)));
}

#[tokio::test]
async fn a_watch_from_a_forgotten_version_is_told_so() {
    let server = ApiServer::new(Config { watch_window: 4, ..Config::default() });
    let api: Api<ConfigMap> = Api::default_namespaced(server.client());
    let version = api.list(&ListParams::default()).await.unwrap().metadata.resource_version.unwrap();
    for name in ["a", "b", "c", "d", "e", "f"] {
        api.create(&PostParams::default(), &config_map(name, &[])).await.unwrap();
    }
    let watch = api.watch(&WatchParams::default(), &version).await.unwrap();
    pin_mut!(watch);
    match soon(watch.try_next()).await.unwrap().unwrap() {
        WatchEvent::Error(status) => {
            assert_eq!((status.code, status.reason.as_str()), (410, "Expired"));
            assert!(
                status.message.starts_with(&format!("too old resource version: {version} (")),
                "{}",
                status.message
            );
        }
        other => panic!("{other:?}"),
    }
    assert!(soon(watch.try_next()).await.unwrap().is_none(), "the watch ends after it");
}

#[rstest::rstest]
#[case::list_then_watch(watcher::Config::default())]
#[case::streaming_list(watcher::Config::default().streaming_lists())]
#[case::small_pages(watcher::Config::default().page_size(2))]
#[tokio::test]
async fn a_reflector_follows(#[case] config: watcher::Config) {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    for name in ["a", "b", "c", "d", "e"] {
        api.create(&PostParams::default(), &config_map(name, &[])).await.unwrap();
    }
    let (reader, writer) = reflector::store();
    let stream = watcher(api.clone(), config).reflect(writer).applied_objects();
    pin_mut!(stream);
    for _ in 0..5 {
        soon(stream.try_next()).await.unwrap().unwrap();
    }
    api.create(&PostParams::default(), &config_map("late", &[])).await.unwrap();
    assert_eq!(soon(stream.try_next()).await.unwrap().unwrap().name_any(), "late");
    assert_eq!(reader.len(), 6);
}

#[tokio::test]
async fn a_status_is_written_apart_and_the_generation_counts_wishes() {
    let client = client();
    let api: Api<Deployment> = Api::default_namespaced(client);
    let deployment = serde_json::from_value(json!({
        "metadata": {"name": "d"},
        "spec": {"selector": {"matchLabels": {"a": "b"}}, "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "c", "image": "i"}]}}},
        "status": {"replicas": 7},
    })).unwrap();
    let created: Deployment = api.create(&PostParams::default(), &deployment).await.unwrap();
    assert_eq!(created.metadata.generation, Some(1));
    assert_eq!(
        created.status.unwrap_or_default().replicas,
        None,
        "a writer of the object does not set its status"
    );
    let status = json!({"spec": {"paused": true}, "status": {"replicas": 1, "observedGeneration": 1}});
    let written = api.patch_status("d", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!(written.metadata.generation, Some(1));
    assert_eq!(written.spec.as_ref().unwrap().paused, None, "nor a writer of the status the wish");
    let paused = api
        .patch(
            "d",
            &PatchParams::default(),
            &Patch::Merge(json!({"spec": {"paused": true}, "status": {"replicas": 9}})),
        )
        .await
        .unwrap();
    assert_eq!(paused.metadata.generation, Some(2));
    assert_eq!(paused.status.unwrap().replicas, Some(1));
    let scaled = api
        .patch_scale("d", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 3}})))
        .await
        .unwrap();
    assert_eq!(scaled.spec.unwrap().replicas, Some(3));
    assert_eq!(scaled.status.unwrap().selector.as_deref(), Some("a=b"));
    assert_eq!(api.get("d").await.unwrap().spec.unwrap().replicas, Some(3));
}

#[tokio::test]
async fn finalizers_hold_an_object_until_the_last_is_gone() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let mut map = config_map("a", &[]);
    map.metadata.finalizers = Some(vec!["example.com/hold".to_owned()]);
    api.create(&PostParams::default(), &map).await.unwrap();
    let marked = api.delete("a", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert!(marked.metadata.deletion_timestamp.is_some());
    let watch = api.watch(&WatchParams::default(), &marked.resource_version().unwrap()).await.unwrap();
    pin_mut!(watch);
    api.patch("a", &PatchParams::default(), &Patch::Merge(json!({"metadata": {"finalizers": null}})))
        .await
        .unwrap();
    assert!(matches!(soon(watch.try_next()).await.unwrap().unwrap(), WatchEvent::Deleted(_)));
    assert_eq!(api.get_opt("a").await.unwrap(), None);
}

#[tokio::test]
async fn a_foreground_deletion_waits_for_the_collector() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap();
    let foreground =
        DeleteParams { propagation_policy: Some(PropagationPolicy::Foreground), ..DeleteParams::default() };
    let marked = api.delete("a", &foreground).await.unwrap().left().unwrap();
    assert_eq!(marked.metadata.finalizers, Some(vec!["foregroundDeletion".to_owned()]));
}

#[tokio::test]
async fn a_bound_pod_is_deleted_in_two_steps() {
    let client = client();
    with_account(&client).await;
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    api.create(&PostParams::default(), &pod("free")).await.unwrap();
    api.delete("free", &DeleteParams::default()).await.unwrap();
    assert_eq!(api.get_opt("free").await.unwrap(), None, "a pod that is on no node is gone at once");

    api.create(&PostParams::default(), &pod("bound")).await.unwrap();
    let binding = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "bound"}, "target": {"kind": "Node", "name": "n"}});
    let _: serde_json::Value =
        api.create_subresource("binding", "bound", &PostParams::default(), &binding).await.unwrap();
    let marked = api.delete("bound", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(marked.spec.as_ref().unwrap().node_name.as_deref(), Some("n"));
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(30));
    api.delete("bound", &DeleteParams::default().grace_period(0)).await.unwrap();
    assert_eq!(api.get_opt("bound").await.unwrap(), None);
}

#[tokio::test]
async fn a_grace_period_without_end_is_no_panic() {
    let client = client();
    with_account(&client).await;
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let mut endless = pod("endless");
    let spec = endless.spec.as_mut().unwrap();
    (spec.node_name, spec.termination_grace_period_seconds) = (Some("n".to_owned()), Some(i64::MAX));
    api.create(&PostParams::default(), &endless).await.unwrap();
    let marked = api.delete("endless", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(marked.metadata.deletion_grace_period_seconds, Some(i64::MAX));
    let sooner =
        api.delete("endless", &DeleteParams::default().grace_period(5)).await.unwrap().left().unwrap();
    assert_eq!(sooner.metadata.deletion_grace_period_seconds, Some(5));
}

#[rstest::rstest]
#[case::watch("/api/v1/pods?watch=1&timeoutSeconds=18446744073709551615", 200)]
#[case::events_of_all("/api/v1/events?watch=1&timeoutSeconds=9223372036854775807&resourceVersion=1", 200)]
#[tokio::test]
async fn a_watch_without_end_is_no_panic(#[case] path: &str, #[case] code: u16) {
    let request = http::Request::get(path).body(kube::client::Body::empty()).unwrap();
    let response = client().send(request).await.unwrap();
    assert_eq!(response.status().as_u16(), code);
}

#[tokio::test]
async fn a_token_lasts_no_longer_than_the_longest() {
    let client = client();
    with_account(&client).await;
    let accounts: Api<k8s_openapi::api::core::v1::ServiceAccount> = Api::default_namespaced(client);
    let wish = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": i64::MAX}});
    let refused: kube::Result<serde_json::Value> =
        accounts.create_subresource("token", "default", &PostParams::default(), &wish).await;
    let (code, _, message) = api_error(refused.unwrap_err());
    assert_eq!(code, 422);
    assert!(message.ends_with("may not specify a duration larger than 2^32 seconds"), "{message}");
}

#[tokio::test]
async fn pages_show_one_moment() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    for name in ["a", "b", "c"] {
        api.create(&PostParams::default(), &config_map(name, &[])).await.unwrap();
    }
    let first = api.list(&ListParams::default().limit(2)).await.unwrap();
    assert_eq!(first.metadata.remaining_item_count, Some(1));
    api.create(&PostParams::default(), &config_map("d", &[])).await.unwrap();
    api.delete("c", &DeleteParams::default()).await.unwrap();
    let token = first.metadata.continue_.unwrap();
    let second = api.list(&ListParams::default().limit(2).continue_token(&token)).await.unwrap();
    let names: Vec<String> = second.iter().map(|map| map.name_any()).collect();
    assert_eq!(names, ["c"], "the second page is of the same moment as the first");
    assert_eq!(second.metadata.continue_, None);
}

#[tokio::test]
async fn thousands_of_objects_are_no_matter() {
    let api: Api<ConfigMap> = Api::default_namespaced(client());
    let watch = api.watch(&WatchParams::default().timeout(60), "0").await.unwrap();
    let seen = tokio::spawn(async move { watch.take(2000).count().await });
    for index in 0..2000 {
        api.create(&PostParams::default(), &config_map(&format!("c{index}"), &[("k", "v")])).await.unwrap();
    }
    assert_eq!(api.list(&ListParams::default()).await.unwrap().items.len(), 2000);
    assert_eq!(soon(seen).await.unwrap(), 2000);
}

#[tokio::test]
async fn who_deletes_a_job_without_a_word_about_its_pods_is_warned_and_keeps_them() {
    let client = client();
    let template = json!({"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let job = json!({"metadata": {"name": "sum"}, "spec": {"template": template}});
    let jobs: Api<Job> = Api::default_namespaced(client.clone());
    let path = "/apis/batch/v1/namespaces/default/jobs/sum";
    let warnings = async |body: &str| {
        jobs.create(&PostParams::default(), &serde_json::from_value(job.clone()).unwrap()).await.unwrap();
        let body = kube::client::Body::from(body.as_bytes().to_vec());
        let answer = client.send(http::Request::delete(path).body(body).unwrap()).await.unwrap();
        let said = answer.headers().get_all("warning").iter().map(|it| it.to_str().unwrap().to_owned());
        said.collect::<Vec<_>>()
    };
    assert_eq!(warnings(r#"{"propagationPolicy":"Background"}"#).await, [""; 0]);
    let said = warnings("{}").await;
    assert!(said.len() == 1 && said[0].contains("child pods are preserved by default"), "{said:?}");
    assert_eq!(jobs.get("sum").await.unwrap().finalizers(), ["orphan"]);
}
