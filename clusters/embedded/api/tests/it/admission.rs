//! What the server checks and adds on its own account.

use embedded_api::{ApiServer, Authorization, Config};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, PostParams};
use serde_json::json;

use crate::client::{api_error, client, config_map, pod, with_account};

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
