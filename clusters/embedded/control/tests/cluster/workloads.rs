//! Deployments and StatefulSets.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet, StatefulSet};
use k8s_openapi::api::core::v1::{Event, PersistentVolume, PersistentVolumeClaim, Pod};
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;

use crate::lab::{Lab, condition, deployment, names, template, until};

#[tokio::test]
async fn a_deployment_comes_up_and_says_so() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 2, "good")).await;
    let known = until(&lab.api::<Deployment>(), |known| {
        known.iter().any(|one| condition(one, "Progressing").1 == "NewReplicaSetAvailable")
    })
    .await;
    let sets = until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 1).await;
    let set = sets[0].name_any();
    let status = known[0].status.clone().unwrap();
    assert_eq!(
        (
            status.replicas,
            status.ready_replicas,
            status.available_replicas,
            status.updated_replicas,
            status.unavailable_replicas
        ),
        (Some(2), Some(2), Some(2), Some(2), None)
    );
    assert_eq!(
        condition(&known[0], "Available"),
        ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    );
    assert_eq!(
        condition(&known[0], "Progressing"),
        (
            "True",
            "NewReplicaSetAvailable",
            format!("ReplicaSet \"{set}\" has successfully progressed.").as_str()
        )
    );
    let hash = set.strip_prefix("web-").unwrap();
    let pods = until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    assert!(pods.iter().all(
        |pod| pod.labels()["pod-template-hash"] == hash && pod.name_any().starts_with(&format!("{set}-"))
    ));
    until(&lab.api::<Deployment>(), |known| {
        known[0].annotations().get("deployment.kubernetes.io/revision").is_some_and(|one| one == "1")
    })
    .await;
    until(&lab.api::<Event>(), |events| {
        events.iter().any(|event| event.reason.as_deref() == Some("ScalingReplicaSet"))
    })
    .await;
    let events = lab.events().await;
    assert!(
        events.contains(&format!("ScalingReplicaSet Scaled up replica set {set} from 0 to 2")),
        "{events:#?}"
    );
    assert!(events.contains(&format!("SuccessfulCreate Created pod: {}", pods[0].name_any())), "{events:#?}");
    assert!(
        events.contains(&format!("Scheduled Successfully assigned default/{} to node-0", pods[0].name_any())),
        "{events:#?}"
    );
}

#[tokio::test]
async fn a_broken_template_leaves_the_old_pods_alone() {
    let lab = Lab::new().await;
    lab.create::<Deployment>(deployment("web", 1, "good")).await;
    until(&lab.api::<Deployment>(), |known| {
        known.iter().any(|one| condition(one, "Progressing").1 == "NewReplicaSetAvailable")
    })
    .await;
    let broken = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "broken" }] } } } });
    lab.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Strategic(&broken)).await.unwrap();
    let known = until(&lab.api::<Deployment>(), |known| {
        known[0]
            .status
            .as_ref()
            .is_some_and(|status| status.replicas == Some(2) && status.updated_replicas == Some(1))
    })
    .await;
    assert_eq!(condition(&known[0], "Available").0, "True");
    until(&lab.api::<ReplicaSet>(), |sets| sets.len() == 2).await;
    // Back again: the first ReplicaSet becomes the newest.
    let good = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "good" }] } } } });
    lab.api::<Deployment>().patch("web", &PatchParams::default(), &Patch::Strategic(&good)).await.unwrap();
    until(&lab.api::<Pod>(), |pods| {
        pods.len() == 1 && pods[0].spec.as_ref().unwrap().containers[0].image.as_deref() == Some("good")
    })
    .await;
    until(&lab.api::<Deployment>(), |known| {
        known[0].annotations().get("deployment.kubernetes.io/revision").is_some_and(|one| one == "3")
    })
    .await;
}

#[tokio::test]
async fn a_stateful_set_brings_its_pods_up_in_order() {
    let lab = Lab::new().await;
    lab.create::<StatefulSet>(json!({ "metadata": { "name": "server" }, "spec": {
        "replicas": 2,
        "serviceName": "server",
        "selector": { "matchLabels": { "app": "server" } },
        "template": template(json!({ "app": "server" }), "good"),
        "volumeClaimTemplates": [{ "metadata": { "name": "models" }, "spec": {
            "accessModes": ["ReadWriteOnce"], "resources": { "requests": { "storage": "1Gi" } },
        } }],
    } }))
    .await;
    let sets = until(&lab.api::<StatefulSet>(), |sets| {
        sets.iter().any(|set| {
            set.status.as_ref().is_some_and(|status| {
                status.available_replicas == Some(2)
                    && status.current_replicas == Some(2)
                    && status.updated_replicas == Some(2)
            })
        })
    })
    .await;
    let status = sets[0].status.clone().unwrap();
    assert_eq!(status.current_revision, status.update_revision);
    let pods = until(&lab.api::<Pod>(), |pods| pods.len() == 2).await;
    assert_eq!(names(&pods), ["server-0", "server-1"]);
    let labels = pods[1].labels();
    assert_eq!(labels["statefulset.kubernetes.io/pod-name"], "server-1");
    assert_eq!(labels["apps.kubernetes.io/pod-index"], "1");
    assert_eq!(Some(&labels["controller-revision-hash"]), status.update_revision.as_ref());
    let spec = pods[1].spec.clone().unwrap();
    assert_eq!((spec.hostname.as_deref(), spec.subdomain.as_deref()), (Some("server-1"), Some("server")));
    let claims = until(&lab.api::<PersistentVolumeClaim>(), |claims| {
        claims.len() == 2
            && claims.iter().all(|claim| {
                claim.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Bound"))
            })
    })
    .await;
    assert_eq!(names(&claims), ["models-server-0", "models-server-1"]);
    let volumes: Api<PersistentVolume> = Api::all(lab.client.clone());
    assert_eq!(volumes.list(&ListParams::default()).await.unwrap().items.len(), 2);
    let told = "create Pod server-1 in StatefulSet server successful";
    until(&lab.api::<Event>(), |events| events.iter().any(|event| event.message.as_deref() == Some(told)))
        .await;
    let events = lab.events().await;
    assert!(
        events.contains(
            &"SuccessfulCreate create Claim models-server-0 Pod server-0 in StatefulSet server success"
                .to_owned()
        ),
        "{events:#?}"
    );

    // Scaled to nothing: the pods go, the claims stay.
    lab.api::<StatefulSet>()
        .patch("server", &PatchParams::default(), &Patch::Merge(json!({ "spec": { "replicas": 0 } })))
        .await
        .unwrap();
    until(&lab.api::<Pod>(), <[Pod]>::is_empty).await;
    assert_eq!(lab.api::<PersistentVolumeClaim>().list(&ListParams::default()).await.unwrap().items.len(), 2);
}

#[tokio::test]
async fn a_new_template_replaces_the_pods_of_a_stateful_set() {
    let lab = Lab::new().await;
    lab.create::<StatefulSet>(json!({ "metadata": { "name": "server" }, "spec": {
        "replicas": 2, "podManagementPolicy": "Parallel", "serviceName": "server",
        "selector": { "matchLabels": { "app": "server" } },
        "template": template(json!({ "app": "server" }), "good"),
    } }))
    .await;
    until(&lab.api::<StatefulSet>(), |sets| {
        sets.iter().any(|set| set.status.as_ref().is_some_and(|status| status.available_replicas == Some(2)))
    })
    .await;
    let better = json!({ "spec": { "template": { "spec": { "containers": [{ "name": "main", "image": "better" }] } } } });
    lab.api::<StatefulSet>()
        .patch("server", &PatchParams::default(), &Patch::Strategic(&better))
        .await
        .unwrap();
    let sets = until(&lab.api::<StatefulSet>(), |sets| {
        sets[0].status.as_ref().is_some_and(|status| {
            status.observed_generation == Some(2)
                && status.updated_replicas == Some(2)
                && status.current_revision == status.update_revision
        })
    })
    .await;
    assert_eq!(sets[0].status.as_ref().unwrap().ready_replicas, Some(2));
    let pods = lab.api::<Pod>().list(&ListParams::default()).await.unwrap().items;
    assert!(
        pods.iter().all(|pod| pod.spec.as_ref().unwrap().containers[0].image.as_deref() == Some("better"))
    );
}
