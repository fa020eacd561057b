//! The watches that keep the [`Directory`] as the API server has it.

use std::fmt::Debug;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::{Namespace, Pod, Service};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::mpsc;

use crate::directory::{Directory, Names};
use crate::log::Journal;

/// How one kind is put into the names and taken out of them.
struct Kind<K> {
    put: fn(&mut Names, &K),
    remove: fn(&mut Names, &str, &str),
}

/// Starts the watches; the directory is synced once each has had its first list.
pub(crate) fn start(client: &Client, directory: &Directory, journal: &Journal, with_pods: bool) {
    let (listed, mut first_lists) = mpsc::channel::<()>(4);
    let service = Kind::<Service> { put: Names::put_service, remove: Names::remove_service };
    let slice = Kind::<EndpointSlice> { put: Names::put_slice, remove: Names::remove_slice };
    let namespace = Kind::<Namespace> {
        put: Names::put_namespace,
        remove: |names, _, name| names.remove_namespace(name),
    };
    let mut expected = 3;
    spawn(client, directory, journal, service, &listed);
    spawn(client, directory, journal, slice, &listed);
    spawn(client, directory, journal, namespace, &listed);
    if with_pods {
        expected += 1;
        let pod = Kind::<Pod> { put: Names::put_pod, remove: Names::remove_pod };
        spawn(client, directory, journal, pod, &listed);
    }
    let directory = directory.clone();
    tokio::spawn(async move {
        for _ in 0..expected {
            if first_lists.recv().await.is_none() {
                return;
            }
        }
        directory.mark_synced();
    });
}

fn spawn<K>(
    client: &Client,
    directory: &Directory,
    journal: &Journal,
    kind: Kind<K>,
    listed: &mpsc::Sender<()>,
) where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let api: Api<K> = Api::all(client.clone());
    let (directory, journal, listed) = (directory.clone(), journal.clone(), listed.clone());
    tokio::spawn(async move {
        let events = watcher(api, watcher::Config::default()).default_backoff();
        pin_mut!(events);
        let mut known: Vec<(String, String)> = Vec::new();
        let mut relisted: Vec<(String, String)> = Vec::new();
        let mut first = Some(listed);
        while let Some(event) = events.next().await {
            match event {
                Ok(watcher::Event::Init) => relisted.clear(),
                Ok(watcher::Event::InitApply(object)) => {
                    relisted.push(key(&object));
                    directory.update(|names| (kind.put)(names, &object));
                }
                Ok(watcher::Event::InitDone) => {
                    // What a new list no longer holds went while no watch was open.
                    directory.update(|names| {
                        for (namespace, name) in known.iter().filter(|key| !relisted.contains(key)) {
                            (kind.remove)(names, namespace, name);
                        }
                    });
                    known.clone_from(&relisted);
                    if let Some(listed) = first.take() {
                        let _ = listed.send(()).await;
                    }
                }
                Ok(watcher::Event::Apply(object)) => {
                    let key = key(&object);
                    if !known.contains(&key) {
                        known.push(key);
                    }
                    directory.update(|names| (kind.put)(names, &object));
                }
                Ok(watcher::Event::Delete(object)) => {
                    let (namespace, name) = key(&object);
                    directory.update(|names| (kind.remove)(names, &namespace, &name));
                    known.retain(|key| *key != (namespace.clone(), name.clone()));
                }
                Err(error) => journal.error(format!("plugin/kubernetes: Unhandled Error: {error}")),
            }
        }
    });
}

fn key<K: Resource<DynamicType = ()>>(object: &K) -> (String, String) {
    (object.namespace().unwrap_or_default(), object.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use embedded_api::{ApiServer, Config};
    use kube::api::{DeleteParams, PostParams};
    use serde_json::json;
    use std::time::Duration;

    async fn until(directory: &Directory, wished: impl Fn(&Names) -> bool) {
        let wait = async {
            while !wished(&directory.read()) {
                directory.changed().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), wait).await.expect("the names came to be as wished");
    }

    #[tokio::test]
    async fn the_directory_follows_the_api_server() {
        let client = ApiServer::new(Config::default()).client();
        let directory = Directory::default();
        start(&client, &directory, &Journal::kept(), true);
        directory.until_synced().await;
        assert!(directory.read().has_namespace("default"));
        assert!(directory.read().service("default", "kubernetes").is_some());
        let services: Api<Service> = Api::namespaced(client, "default");
        let service = json!({ "metadata": { "name": "web" }, "spec": { "ports": [{ "port": 80 }] } });
        services.create(&PostParams::default(), &serde_json::from_value(service).unwrap()).await.unwrap();
        until(&directory, |names| names.service("default", "web").is_some()).await;
        services.delete("web", &DeleteParams::default()).await.unwrap();
        until(&directory, |names| names.service("default", "web").is_none()).await;
    }
}
