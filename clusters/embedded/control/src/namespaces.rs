//! Namespaces: what every one gets, and how one goes.

mod drain;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::ResourceExt;

use crate::cluster::Cluster;
use crate::garbage::Garbage;
use crate::queue::{Queue, Trouble};
use crate::store::Key;

const ROOT_CA: &str = "kube-root-ca.crt";

/// Starts the controller on `queue`, which also hears of changes inside of namespaces.
pub(crate) fn start(cluster: &Cluster, garbage: &Garbage, queue: Queue<String>, ca_pem: String) {
    let namespaces = queue.clone();
    cluster.stores.namespaces.on_change(move |change| {
        if let Some(namespace) = change.after {
            namespaces.add(namespace.name_any());
        }
    });
    let accounts = queue.clone();
    cluster.stores.service_accounts.on_change(move |change| {
        if let (Some(account), None) = (change.before, change.after) {
            accounts.add(account.namespace().unwrap_or_default());
        }
    });
    let maps = queue.clone();
    cluster.stores.config_maps.on_change(move |change| {
        if let Some(map) = change.newest().filter(|map| map.name_any() == ROOT_CA) {
            maps.add(map.namespace().unwrap_or_default());
        }
    });
    let (cluster, garbage) = (cluster.clone(), garbage.clone());
    let tasks = cluster.tasks.clone();
    tasks.control(queue.work("namespace", move |name| {
        let (cluster, garbage, ca_pem) = (cluster.clone(), garbage.clone(), ca_pem.clone());
        async move { look(&cluster, &garbage, &name, &ca_pem).await }
    }));
}

async fn look(cluster: &Cluster, garbage: &Garbage, name: &str, ca_pem: &str) -> Result<(), Trouble> {
    let Some(namespace) = cluster.stores.namespaces.get(&Key::new("", name)) else { return Ok(()) };
    if namespace.metadata.deletion_timestamp.is_some() {
        return drain::look(cluster, garbage, &namespace).await;
    }
    furnish(cluster, &namespace, ca_pem).await
}

/// The default ServiceAccount and the CA's certificate.
async fn furnish(cluster: &Cluster, namespace: &Namespace, ca_pem: &str) -> Result<(), Trouble> {
    let name = namespace.name_any();
    let meta = |object: &str| ObjectMeta {
        name: Some(object.to_owned()),
        namespace: Some(name.clone()),
        ..ObjectMeta::default()
    };
    if cluster.stores.service_accounts.get(&Key::new(&name, "default")).is_none() {
        let account = ServiceAccount { metadata: meta("default"), ..ServiceAccount::default() };
        unless_there(cluster.create(&account).await)?;
    }
    let wanted: std::collections::BTreeMap<String, String> =
        [("ca.crt".to_owned(), ca_pem.to_owned())].into();
    match cluster.stores.config_maps.get(&Key::new(&name, ROOT_CA)) {
        None => {
            let mut metadata = meta(ROOT_CA);
            let why = "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints \
                       such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across \
                       distributions of Kubernetes clusters.";
            metadata.annotations = Some([("kubernetes.io/description".to_owned(), why.to_owned())].into());
            let map = ConfigMap { metadata, data: Some(wanted), ..ConfigMap::default() };
            unless_there(cluster.create(&map).await)?;
        }
        Some(map) if map.data.as_ref() != Some(&wanted) => {
            let mut changed = map.as_ref().clone();
            changed.data = Some(wanted);
            cluster.replace(&changed).await?;
        }
        Some(_) => {}
    }
    Ok(())
}

fn unless_there<T>(result: Result<T, kube::Error>) -> Result<(), Trouble> {
    match result {
        Err(kube::Error::Api(status)) if status.reason == "AlreadyExists" => Ok(()),
        other => Ok(other.map(|_| ())?),
    }
}
