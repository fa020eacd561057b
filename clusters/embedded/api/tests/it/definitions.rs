//! Custom kinds, from their definition to their end.

use std::time::Duration;

use embedded_api::{ApiServer, Config};
use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{
    Api, ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams, WatchEvent,
    WatchParams,
};
use kube::core::GroupVersionKind;
use kube::{Client, ResourceExt as _};
use rstest::rstest;
use serde_json::{Value, json};

const DEFINITION: &str = include_str!("widgets.yaml");

fn resource(version: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("example.com", version, "Widget"))
}

fn definition() -> CustomResourceDefinition {
    serde_saphyr::from_str(DEFINITION).unwrap()
}

fn widget(name: &str, spec: Value) -> DynamicObject {
    let value =
        json!({"apiVersion": "example.com/v1", "kind": "Widget", "metadata": {"name": name}, "spec": spec});
    serde_json::from_value(value).unwrap()
}

async fn widgets() -> (Client, Api<DynamicObject>) {
    let client = ApiServer::new(Config::default()).client();
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    definitions.create(&PostParams::default(), &definition()).await.unwrap();
    let api = Api::default_namespaced_with(client.clone(), &resource("v1"));
    (client, api)
}

fn message(error: kube::Error) -> String {
    match error {
        kube::Error::Api(status) => format!("{} {}: {}", status.code, status.reason, status.message),
        other => panic!("not an API error: {other:?}"),
    }
}

#[tokio::test]
async fn a_definition_is_established_at_once() {
    let (client, _) = widgets().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let status = definitions.get("widgets.example.com").await.unwrap().status.unwrap();
    let conditions: Vec<(String, String)> =
        status.conditions.unwrap().into_iter().map(|condition| (condition.type_, condition.status)).collect();
    let true_for = |name: &str| (name.to_owned(), "True".to_owned());
    assert_eq!(conditions, [true_for("NamesAccepted"), true_for("Established")]);
    assert_eq!(status.accepted_names.unwrap().singular.as_deref(), Some("widget"));
    assert_eq!(status.stored_versions, Some(vec!["v1".to_owned()]));
    let discovered =
        kube::discovery::pinned_kind(&client, &GroupVersionKind::gvk("example.com", "v1", "Widget")).await;
    let (found, capabilities) = discovered.unwrap();
    assert_eq!(found.plural, "widgets");
    assert!(capabilities.subresources.iter().any(|(part, _)| part.plural == "status"), "{capabilities:?}");
}

#[tokio::test]
async fn objects_are_defaulted_and_pruned() {
    let (_, api) = widgets().await;
    let created = api
        .create(&PostParams::default(), &widget("a", json!({"color": "red", "shape": "round"})))
        .await
        .unwrap();
    assert_eq!(created.data["spec"], json!({"color": "red", "size": 3}));
    assert_eq!(created.metadata.generation, Some(1));
}

#[rstest]
#[case::enumerated(json!({"color": "green"}), "422 Invalid: Widget.example.com \"a\" is invalid: spec.color: Unsupported value: \"green\": supported values: \"red\", \"blue\"")]
#[case::too_small(json!({"size": -1}), "422 Invalid: Widget.example.com \"a\" is invalid: spec.size: Invalid value: -1: spec.size in body should be greater than or equal to 0")]
#[tokio::test]
async fn invalid_objects_are_refused(#[case] spec: Value, #[case] expected: &str) {
    let (_, api) = widgets().await;
    assert_eq!(message(api.create(&PostParams::default(), &widget("a", spec)).await.unwrap_err()), expected);
}

#[tokio::test]
async fn strict_validation_names_unknown_fields() {
    let (client, _) = widgets().await;
    let body = serde_json::to_vec(&widget("a", json!({"shape": "round"}))).unwrap();
    let path = "/apis/example.com/v1/namespaces/default/widgets?fieldValidation=Strict";
    let request = http::Request::post(path).header("content-type", "application/json").body(body).unwrap();
    let refused = client.request::<Value>(request).await.unwrap_err();
    assert_eq!(
        message(refused),
        "400 BadRequest: Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.shape\""
    );
}

#[tokio::test]
async fn the_status_is_apart_and_the_scale_reaches_both() {
    let (_, api) = widgets().await;
    api.create(&PostParams::default(), &widget("a", json!({"size": 2}))).await.unwrap();
    let status = json!({"spec": {"size": 9}, "status": {"size": 1, "selector": "a=b"}});
    let written = api.patch_status("a", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
    assert_eq!((written.metadata.generation, &written.data["spec"]["size"]), (Some(1), &json!(2)));
    let scale = api
        .patch_scale("a", &PatchParams::default(), &Patch::Merge(json!({"spec": {"replicas": 5}})))
        .await
        .unwrap();
    assert_eq!(scale.spec.unwrap().replicas, Some(5));
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("a=b"));
    assert_eq!(api.get("a").await.unwrap().metadata.generation, Some(2));
}

#[tokio::test]
async fn every_served_version_shows_every_object() {
    let (client, api) = widgets().await;
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let older: Api<DynamicObject> = Api::default_namespaced_with(client, &resource("v1alpha1"));
    let found = older.get("a").await.unwrap();
    assert_eq!(found.types.unwrap().api_version, "example.com/v1alpha1");
    assert_eq!(older.list(&ListParams::default()).await.unwrap().items.len(), 1);
}

#[tokio::test]
async fn server_side_apply_creates_and_contests() {
    let (_, api) = widgets().await;
    let apply = |manager: &'static str, size: u64| {
        let api = api.clone();
        async move {
            api.patch("a", &PatchParams::apply(manager), &Patch::Apply(widget("a", json!({"size": size}))))
                .await
        }
    };
    assert_eq!(apply("one", 1).await.unwrap().data["spec"]["size"], 1);
    let contested = message(apply("two", 2).await.unwrap_err());
    assert!(
        contested.starts_with("409 Conflict: Apply failed with 1 conflict: conflict with \"one\""),
        "{contested}"
    );
    let forced = api
        .patch("a", &PatchParams::apply("two").force(), &Patch::Apply(widget("a", json!({"size": 2}))))
        .await
        .unwrap();
    assert_eq!(forced.data["spec"]["size"], 2);
}

#[tokio::test]
async fn a_definition_takes_its_objects_along() {
    let (client, api) = widgets().await;
    api.create(&PostParams::default(), &widget("a", json!({}))).await.unwrap();
    let watch = api.watch(&WatchParams::default(), "0").await.unwrap().boxed();
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    definitions.delete("widgets.example.com", &DeleteParams::default()).await.unwrap();
    let events: Vec<WatchEvent<DynamicObject>> =
        tokio::time::timeout(Duration::from_secs(10), watch.try_collect())
            .await
            .expect("the watch ends")
            .unwrap();
    let seen: Vec<String> = events
        .iter()
        .map(|event| match event {
            WatchEvent::Added(object) => format!("+{}", object.name_any()),
            WatchEvent::Deleted(object) => format!("-{}", object.name_any()),
            other => format!("{other:?}"),
        })
        .collect();
    assert_eq!(seen, ["+a", "-a"]);
    assert_eq!(
        message(api.get("a").await.unwrap_err()),
        "404 NotFound: the server could not find the requested resource"
    );
}
