//! The server through a plain `kube::Client`, without a socket.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

use std::collections::BTreeMap;
use std::time::Duration;

use embedded_api::{ApiServer, Authorization, Config};
use futures::{StreamExt as _, TryStreamExt as _, pin_mut};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{
    Api, DeleteParams, ListParams, ObjectMeta, Patch, PatchParams, PostParams, PropagationPolicy, WatchEvent,
    WatchParams,
};
use kube::runtime::{WatchStreamExt as _, reflector, watcher};
use kube::{Client, ResourceExt as _};
use serde_json::json;

fn config_map(name: &str, data: &[(&str, &str)]) -> ConfigMap {
    let data: BTreeMap<String, String> =
        data.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    ConfigMap {
        metadata: ObjectMeta { name: Some(name.to_owned()), ..ObjectMeta::default() },
        data: Some(data),
        ..ConfigMap::default()
    }
}

fn client() -> Client {
    ApiServer::new(Config::default()).client()
}

/// Fails a test that waits for something that does not come.
async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(10), future).await.expect("it should have happened by now")
}

fn api_error(error: kube::Error) -> (u16, String, String) {
    match error {
        kube::Error::Api(status) => (status.code, status.reason.clone(), status.message.clone()),
        other => panic!("not an API error: {other:?}"),
    }
}

async fn with_account(client: &Client) {
    let accounts: Api<ServiceAccount> = Api::default_namespaced(client.clone());
    let account = serde_json::from_value(json!({"metadata": {"name": "default"}})).unwrap();
    accounts.create(&PostParams::default(), &account).await.unwrap();
}

fn pod(name: &str) -> Pod {
    serde_json::from_value(json!({
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]},
    }))
    .unwrap()
}

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
async fn a_pod_gets_its_account_and_token() {
    let client = client();
    let api: Api<Pod> = Api::default_namespaced(client.clone());
    let (code, _, message) = api_error(api.create(&PostParams::default(), &pod("p")).await.unwrap_err());
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "pods \"p\" is forbidden: error looking up service account default/default: serviceaccount \"default\" not found"
    );
    with_account(&client).await;
    let spec = api.create(&PostParams::default(), &pod("p")).await.unwrap().spec.unwrap();
    assert_eq!(spec.service_account_name.as_deref(), Some("default"));
    let mount = &spec.containers[0].volume_mounts.as_ref().unwrap()[0];
    assert_eq!(mount.mount_path, "/var/run/secrets/kubernetes.io/serviceaccount");
    assert_eq!(spec.volumes.unwrap()[0].name, mount.name);
}

#[tokio::test]
async fn nothing_is_created_in_a_namespace_that_is_missing_or_going() {
    let client = client();
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), "going");
    let (code, _, message) =
        api_error(api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap_err());
    assert_eq!((code, message.as_str()), (404, "namespaces \"going\" not found"));
    let namespace = serde_json::from_value(json!({"metadata": {"name": "going"}})).unwrap();
    let created = namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    assert_eq!(created.labels()["kubernetes.io/metadata.name"], "going");
    let going = namespaces.delete("going", &DeleteParams::default()).await.unwrap().left().unwrap();
    assert_eq!(going.status.unwrap().phase.as_deref(), Some("Terminating"));
    let (code, _, message) =
        api_error(api.create(&PostParams::default(), &config_map("a", &[])).await.unwrap_err());
    assert_eq!(code, 403);
    assert_eq!(
        message,
        "configmaps \"a\" is forbidden: unable to create new content in namespace going because it is being terminated"
    );
    let finalized = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "going"}, "spec": {"finalizers": []}});
    let finalized: Namespace = serde_json::from_value(finalized).unwrap();
    namespaces.replace_subresource("finalize", "going", &PostParams::default(), &finalized).await.unwrap();
    assert_eq!(namespaces.get_opt("going").await.unwrap().map(|namespace| namespace.name_any()), None);
}

#[tokio::test]
async fn services_get_addresses_of_their_own() {
    let api: Api<Service> = Api::default_namespaced(client());
    let service = |name: &str, spec: serde_json::Value| -> Service {
        serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap()
    };
    let create = |service: Service| {
        let api = api.clone();
        async move { api.create(&PostParams::default(), &service).await }
    };
    let plain = create(service("plain", json!({"ports": [{"port": 80}]}))).await.unwrap().spec.unwrap();
    let address = plain.cluster_ip.unwrap();
    assert!(address.starts_with("10.43."), "{address}");
    let headless =
        create(service("headless", json!({"clusterIP": "None", "ports": [{"port": 80}]}))).await.unwrap();
    assert_eq!(headless.spec.unwrap().cluster_ip.as_deref(), Some("None"));
    let external =
        create(service("external", json!({"type": "ExternalName", "externalName": "x.y"}))).await.unwrap();
    assert_eq!(external.spec.unwrap().cluster_ip, None);
    let node = create(service("node", json!({"type": "NodePort", "ports": [{"port": 80}]})))
        .await
        .unwrap()
        .spec
        .unwrap();
    assert!((30000..=32767).contains(&node.ports.unwrap()[0].node_port.unwrap()));
    let asked =
        create(service("asked", json!({"clusterIP": "10.43.0.10", "ports": [{"port": 53}]}))).await.unwrap();
    assert_eq!(asked.spec.unwrap().cluster_ip.as_deref(), Some("10.43.0.10"));
    let (code, _, message) = api_error(
        create(service("taken", json!({"clusterIP": "10.43.0.10", "ports": [{"port": 53}]})))
            .await
            .unwrap_err(),
    );
    assert_eq!(code, 422);
    assert_eq!(
        message,
        "Service \"taken\" is invalid: spec.clusterIPs: Invalid value: [\"10.43.0.10\"]: failed to allocate IP 10.43.0.10: provided IP is already allocated"
    );
    api.delete("asked", &DeleteParams::default()).await.unwrap();
    create(service("again", json!({"clusterIP": "10.43.0.10", "ports": [{"port": 53}]}))).await.unwrap();
}

#[tokio::test]
async fn roles_are_obeyed_where_they_are_asked_for() {
    let server = ApiServer::new(Config { authorization: Authorization::Rbac, ..Config::default() });
    let api: Api<ConfigMap> = Api::default_namespaced(server.client_as("default", "worker"));
    let (code, reason, message) = api_error(api.list(&ListParams::default()).await.unwrap_err());
    assert_eq!((code, reason.as_str()), (403, "Forbidden"));
    assert_eq!(
        message,
        "configmaps is forbidden: User \"system:serviceaccount:default:worker\" cannot list resource \"configmaps\" in API group \"\" in the namespace \"default\""
    );
    let role: Role = serde_json::from_value(json!({"metadata": {"name": "r"}, "rules": [{"apiGroups": [""], "resources": ["configmaps"], "verbs": ["list"]}]})).unwrap();
    Api::default_namespaced(server.client()).create(&PostParams::default(), &role).await.unwrap();
    let binding: RoleBinding = serde_json::from_value(json!({
        "metadata": {"name": "b"}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "r"},
        "subjects": [{"kind": "ServiceAccount", "name": "worker", "namespace": "default"}],
    })).unwrap();
    Api::default_namespaced(server.client()).create(&PostParams::default(), &binding).await.unwrap();
    api.list(&ListParams::default()).await.unwrap();
    assert_eq!(api_error(api.get("x").await.unwrap_err()).0, 403);
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
