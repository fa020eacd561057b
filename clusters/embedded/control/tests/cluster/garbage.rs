//! What goes when its owner or its namespace goes.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, ServiceAccount};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::lab::{Lab, deployment, names, typed, until};

#[tokio::test]
async fn what_a_deployment_owned_goes_after_it() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 2, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::background()).await.unwrap();
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
    until(&lab.api::<ReplicaSet>(), <[ReplicaSet]>::is_empty).await;
}

#[tokio::test]
async fn in_the_foreground_the_owner_goes_last() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::foreground()).await.unwrap();
    until(&lab.api::<Deployment>(), <[Deployment]>::is_empty).await;
    assert!(lab.api::<ReplicaSet>().list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items.is_empty());
}

#[tokio::test]
async fn orphans_stay() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Pod>(), |pods| pods.len() == 1).await;
    lab.api::<Deployment>().delete("web", &DeleteParams::orphan()).await.unwrap();
    until(&lab.api::<Deployment>(), <[Deployment]>::is_empty).await;
    let sets = until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 1).await;
    assert!(sets[0].owner_references().is_empty());
}

#[tokio::test]
async fn an_owner_of_a_custom_kind_takes_its_dependents_along() {
    let lab = Lab::new().await;
    let definition = json!({
        "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": "gadgets.example.org" },
        "spec": { "group": "example.org", "scope": "Namespaced",
            "names": { "plural": "gadgets", "singular": "gadget", "kind": "Gadget", "listKind": "GadgetList" },
            "versions": [{ "name": "v1", "served": true, "storage": true,
                "schema": { "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } } }] },
    });
    let definitions: Api<
        k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition,
    > = Api::all(lab.client.clone());
    definitions.create(&PostParams::default(), &typed(definition)).await.unwrap();
    let kind = kube::core::GroupVersionKind::gvk("example.org", "v1", "Gadget");
    let resource = kube::core::ApiResource::from_gvk(&kind);
    let gadgets: Api<kube::core::DynamicObject> =
        Api::namespaced_with(lab.client.clone(), "default", &resource);
    let gadget = kube::core::DynamicObject::new("one", &resource).data(json!({}));
    let made = gadgets.create(&PostParams::default(), &gadget).await.unwrap();
    lab.create::<ConfigMap>(json!({ "metadata": { "name": "owned", "ownerReferences": [{
        "apiVersion": "example.org/v1", "kind": "Gadget", "name": "one", "uid": made.uid().unwrap(),
    }] } }))
    .await;
    lab.create::<ConfigMap>(json!({ "metadata": { "name": "owned-by-nobody", "ownerReferences": [{
        "apiVersion": "example.org/v1", "kind": "Gadget", "name": "one", "uid": "00000000-0000-0000-0000-000000000000",
    }] } })).await;
    until(&lab.api::<ConfigMap>(), |maps| !names(maps).contains(&"owned-by-nobody".to_owned())).await;
    assert!(lab.api::<ConfigMap>().get_opt("owned").await.unwrap().is_some());
    gadgets.delete("one", &DeleteParams::default()).await.unwrap();
    until(&lab.api::<ConfigMap>(), |maps| !names(maps).contains(&"owned".to_owned())).await;
}

#[tokio::test]
async fn a_namespace_is_furnished_and_goes_with_all_it_holds() {
    let lab = Lab::new().await;
    let namespaces: Api<Namespace> = Api::all(lab.client.clone());
    namespaces
        .create(&PostParams::default(), &typed(json!({ "metadata": { "name": "tenant" } })))
        .await
        .unwrap();
    let accounts: Api<ServiceAccount> = Api::namespaced(lab.client.clone(), "tenant");
    until(&accounts, |accounts| names(accounts) == ["default"]).await;
    let maps: Api<ConfigMap> = Api::namespaced(lab.client.clone(), "tenant");
    let known = until(&maps, |maps| names(maps) == ["kube-root-ca.crt"]).await;
    assert_eq!(known[0].data.as_ref().unwrap()["ca.crt"], "the certificate");
    let deployments: Api<Deployment> = Api::namespaced(lab.client.clone(), "tenant");
    deployments.create(&PostParams::default(), &typed(deployment("web", 1, "good"))).await.unwrap();
    let pods: Api<Pod> = Api::namespaced(lab.client.clone(), "tenant");
    until(&pods, |pods| pods.len() == 1).await;
    namespaces.delete("tenant", &DeleteParams::default()).await.unwrap();
    until(&namespaces, |known| !names(known).contains(&"tenant".to_owned())).await;
    assert!(pods.list(&ListParams::default()).await.unwrap().items.is_empty());
    assert!(maps.list(&ListParams::default()).await.unwrap().items.is_empty());
}
