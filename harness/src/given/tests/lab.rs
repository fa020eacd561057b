//! A real API server with its controllers and no node, reached as any cluster is.

use std::sync::Arc;

use clusters::{Access, GivenCluster, GivenError, kubeconfig};
use embedded_api::{ApiServer, Authorization, Config, TlsIdentity};
use k8s_openapi::api::storage::v1::StorageClass;
use kube::Client;
use kube::api::{Api, DeleteParams};
use pace::Pace;
use serde_json::{Value, json};
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::given::{ClusterScope, Foothold};
use crate::object::{self, Kind};

const STORAGE: &str = "local";

/// Ends when it is dropped.
pub(crate) struct Lab {
    pub(crate) cluster: GivenCluster,
    api: ApiServer,
    identity: Arc<TlsIdentity>,
    server: String,
    directory: tempfile::TempDir,
    _stop: DropGuard,
}

impl Drop for Lab {
    fn drop(&mut self) {
        self.api.stop();
    }
}

impl Lab {
    pub(crate) async fn new() -> Lab {
        let identity = TlsIdentity::generate(&["127.0.0.1"]).unwrap();
        let ca_pem = identity.ca_pem().to_owned();
        let config =
            Config { authorization: Authorization::Rbac, ca_pem: ca_pem.clone(), ..Config::default() };
        let api = ApiServer::new(config);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let server = format!("https://{}", listener.local_addr().unwrap());
        let (serving, shown) = (api.clone(), identity.clone());
        tokio::spawn(async move { serving.serve(listener, shown).await });
        let stop = CancellationToken::new();
        let settings = embedded_control::Settings { pace: Pace::FAST, ca_pem };
        tokio::spawn(embedded_control::run(api.client(), settings, stop.clone()));
        let directory = tempfile::tempdir().unwrap();
        let token = api.admin_token().to_owned();
        let cluster = connect(directory.path(), &server, &identity, token).await.unwrap();
        let lab =
            Lab { cluster, api, identity: identity.into(), server, directory, _stop: stop.drop_guard() };
        lab.has_seldons_kinds().await;
        let class = json!({
            "apiVersion": "storage.k8s.io/v1", "kind": "StorageClass", "provisioner": "example.org/none",
            "metadata": {"name": STORAGE, "annotations": {"storageclass.kubernetes.io/is-default-class": "true"}},
        });
        object::apply(&lab.client(), &class).await.unwrap();
        lab
    }

    /// Takes the one storage class away.
    pub(crate) async fn without_storage(&self) {
        let classes: Api<StorageClass> = Api::all(self.client());
        classes.delete(STORAGE, &DeleteParams::default()).await.unwrap();
    }

    /// A network plugin's, by its name.
    pub(crate) async fn daemon_set(&self, name: &str) {
        let labels = json!({"app": "network"});
        let containers = json!([{"name": "c", "image": "example.org/network:1"}]);
        let manifest = json!({
            "apiVersion": "apps/v1", "kind": "DaemonSet",
            "metadata": {"name": name, "namespace": "kube-system"},
            "spec": {
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
            },
        });
        object::apply(&self.client(), &manifest).await.unwrap();
    }

    async fn has_seldons_kinds(&self) {
        for definition in seldon_crds::definitions::all() {
            object::apply(&self.client(), &object::manifest(&definition).unwrap()).await.unwrap();
        }
    }

    pub(crate) fn client(&self) -> Client {
        self.api.client()
    }

    /// A run that may make nothing without a namespace.
    pub(crate) async fn foothold(&self, seed: u32) -> Foothold {
        let ledgers = self.directory.path().join("ledgers");
        let (cluster, stop) = (self.cluster.clone(), CancellationToken::new());
        Foothold::take(cluster, ClusterScope::Forbidden, seed, &ledgers, &stop).await.unwrap()
    }

    /// The cluster as a service account of `default` sees it.
    pub(crate) async fn as_account(&self, name: &str) -> GivenCluster {
        let account = json!({
            "apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": "default"},
        });
        object::apply(&self.client(), &account).await.unwrap();
        let token = self.api.token_for("default", name);
        connect(self.directory.path(), &self.server, &self.identity, token).await.unwrap()
    }

    /// Reaches the cluster with another token.
    pub(crate) async fn try_with(&self, token: &str) -> Result<GivenCluster, GivenError> {
        connect(self.directory.path(), &self.server, &self.identity, token.to_owned()).await
    }

    pub(crate) async fn namespaces(&self) -> Vec<String> {
        let all = object::list(&self.client(), Kind::Namespace, "", "").await.unwrap();
        all.iter().map(|one| one["metadata"]["name"].as_str().unwrap().to_owned()).collect()
    }

    /// Every object of a namespace, of the kinds that may be put into somebody's, and of others beside them.
    pub(crate) async fn everything_in(&self, namespace: &str) -> Vec<Value> {
        let mut objects = Vec::new();
        for kind in [Kind::NetworkPolicy, Kind::Model, Kind::ConfigMap, Kind::Pod] {
            objects.extend(object::list(&self.client(), kind, namespace, "").await.unwrap());
        }
        objects
    }

    /// Every object of the kinds that a run makes.
    pub(crate) async fn everything(&self) -> Vec<Value> {
        let mut objects = Vec::new();
        for kind in [Kind::Namespace, Kind::ConfigMap, Kind::ClusterRole, Kind::CustomResourceDefinition] {
            objects.extend(object::list(&self.client(), kind, "", "").await.unwrap());
        }
        objects
    }
}

async fn connect(
    directory: &std::path::Path,
    server: &str,
    identity: &TlsIdentity,
    token: String,
) -> Result<GivenCluster, GivenError> {
    let access = Access { server: server.to_owned(), ca_pem: identity.ca_pem().to_owned(), token };
    let file = directory.join(format!("{:08x}.kubeconfig", rand::random::<u32>()));
    std::fs::write(&file, kubeconfig("lab", &access)).unwrap();
    GivenCluster::connect(Some(&file), "lab").await
}
