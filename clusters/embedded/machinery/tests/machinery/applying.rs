use embedded_machinery::Gvk;
use embedded_machinery::apply::{Conflicts, Force, MergeTypes, Writer, apply, record_update};
use embedded_machinery::schema::Structural;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

const FIRST: &str = "2026-01-02T03:04:05Z";
const LATER: &str = "2026-01-02T03:05:05Z";

fn writer<'a>(manager: &'a str, time: &'a str) -> Writer<'a> {
    Writer { manager, api_version: "apps/v1", subresource: None, time }
}

fn deployments() -> Gvk {
    Gvk::new("apps", "v1", "Deployment")
}

fn applied(live: Option<&Value>, manager: &str, text: &str, force: Force) -> Result<Value, Conflicts> {
    apply(live, &yaml(text), &writer(manager, LATER), force, MergeTypes::Builtin(&deployments()))
}

const WEB: &str = "
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  template: {spec: {containers: [{name: web, image: 'web:1', ports: [{containerPort: 80}]}]}}
";

fn owned(object: &Value, manager: &str) -> Value {
    let entries = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    entries
        .iter()
        .find(|entry| entry["manager"] == manager)
        .map_or(Value::Null, |entry| entry["fieldsV1"].clone())
}

#[test]
fn an_applier_owns_what_it_says() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    insta::assert_json_snapshot!(web["metadata"]["managedFields"]);
}

#[test]
fn applying_the_same_again_changes_nothing() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    assert_eq!(applied(Some(&web), "one", WEB, Force::No).unwrap(), web);
}

#[test]
fn two_appliers_conflict_over_different_values() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let other = "spec: {replicas: 3}";
    let conflicts = applied(Some(&web), "two", other, Force::No).unwrap_err();
    assert_eq!(conflicts.to_string(), "Apply failed with 1 conflict: conflict with \"one\": .spec.replicas");
    assert_eq!(conflicts.to_status().code, 409);
    let forced = applied(Some(&web), "two", other, Force::Yes).unwrap();
    assert_eq!(forced["spec"]["replicas"], 3);
    assert!(owned(&forced, "one").pointer("/f:spec/f:replicas").is_none());
    assert!(owned(&forced, "two").pointer("/f:spec/f:replicas").is_some());
}

#[test]
fn appliers_of_one_value_share_it() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let shared = applied(Some(&web), "two", "spec: {replicas: 2}", Force::No).unwrap();
    let left = applied(Some(&shared), "two", "metadata: {name: web}", Force::No).unwrap();
    assert_eq!(left["spec"]["replicas"], 2);
    assert_eq!(owned(&left, "two"), Value::Null);
}

#[test]
fn an_ordinary_writer_is_named_with_its_version() {
    let mut web = yaml(WEB);
    record_update(None, &mut web, &writer("kubectl", FIRST), MergeTypes::Builtin(&deployments()));
    let text = "{spec: {replicas: 3, template: {spec: {containers: [{name: web, image: 'web:2'}]}}}}";
    let conflicts = applied(Some(&web), "two", text, Force::No).unwrap_err();
    insta::assert_snapshot!(conflicts, @r#"
    Apply failed with 2 conflicts: conflicts with "kubectl" using apps/v1:
    - .spec.replicas
    - .spec.template.spec.containers[name="web"].image
    "#);
}

#[rstest]
#[case::field(WEB.replace("  replicas: 2\n", ""), "/spec/replicas", None)]
#[case::label(WEB.replace(", labels: {app: web}", ""), "/metadata/labels", None)]
#[case::item(WEB.replace(", ports: [{containerPort: 80}]", ""), "/spec/template/spec/containers/0/ports", None)]
#[case::rest(WEB.replace("  replicas: 2\n", ""), "/metadata/labels/app", Some(json!("web")))]
fn what_an_applier_leaves_out_goes(#[case] text: String, #[case] pointer: &str, #[case] left: Option<Value>) {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let web = applied(Some(&web), "one", &text, Force::No).unwrap();
    assert_eq!(web.pointer(pointer), left.as_ref());
}

#[test]
fn lists_are_merged_by_their_keys() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let sidecar = "spec: {template: {spec: {containers: [{name: log, image: 'log:1'}]}}}";
    let both = applied(Some(&web), "two", sidecar, Force::No).unwrap();
    let names: Vec<&Value> = both["spec"]["template"]["spec"]["containers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| &c["name"])
        .collect();
    assert_eq!(names, ["web", "log"]);
    assert!(applied(Some(&both), "one", WEB, Force::No).is_ok());
}

#[test]
fn an_update_takes_the_changed_fields_only() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let mut scaled = web.clone();
    scaled["spec"]["replicas"] = json!(5);
    let scale = Writer { subresource: Some("scale"), ..writer("autoscaler", LATER) };
    record_update(Some(&web), &mut scaled, &scale, MergeTypes::Builtin(&deployments()));
    assert_eq!(owned(&scaled, "autoscaler"), json!({"f:spec": {"f:replicas": {}}}));
    assert!(owned(&scaled, "one").pointer("/f:spec/f:replicas").is_none());
    assert_eq!(scaled["metadata"]["managedFields"][1]["subresource"], "scale");
}

#[test]
fn status_writers_own_status_alone() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let mut ready = web.clone();
    ready["status"] = json!({"readyReplicas": 2, "conditions": [{"type": "Available", "status": "True"}]});
    let status = Writer { subresource: Some("status"), ..writer("controller", LATER) };
    record_update(Some(&web), &mut ready, &status, MergeTypes::Builtin(&deployments()));
    insta::assert_json_snapshot!(owned(&ready, "controller"));
}

#[test]
fn an_update_without_change_leaves_no_trace() {
    let web = applied(None, "one", WEB, Force::No).unwrap();
    let mut same = web.clone();
    record_update(Some(&web), &mut same, &writer("kubectl", LATER), MergeTypes::Builtin(&deployments()));
    assert_eq!(same, web);
}

#[test]
fn custom_resources_follow_their_schema() {
    let schema = Structural::parse(&yaml(
        "
type: object
properties:
  spec:
    type: object
    properties:
      tags: {type: array, x-kubernetes-list-type: set, items: {type: string}}
      plain: {type: array, items: {type: string}}
",
    ))
    .unwrap();
    let toy = |live: Option<&Value>, manager: &str, text: &str| {
        apply(live, &yaml(text), &writer(manager, FIRST), Force::No, MergeTypes::Custom(&schema))
    };
    let first = toy(None, "one", "{metadata: {name: a}, spec: {tags: [a], plain: [x]}}").unwrap();
    let both = toy(Some(&first), "two", "{metadata: {name: a}, spec: {tags: [b]}}").unwrap();
    assert_eq!(both["spec"]["tags"], json!(["a", "b"]));
    assert_eq!(owned(&both, "two"), json!({"f:spec": {"f:tags": {"v:\"b\"": {}}}}));
    let conflicts = toy(Some(&both), "two", "{metadata: {name: a}, spec: {plain: [y]}}").unwrap_err();
    assert_eq!(conflicts.0[0].field, ".spec.plain");
}

fn spec() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([1, 2])), Just(json!({}))];
    leaf.prop_recursive(3, 16, 3, |inner| {
        prop::collection::btree_map("[a-c]", inner, 1..3)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

proptest! {
    #[test]
    fn applying_twice_is_applying_once(first in spec(), second in spec()) {
        let apply_spec = |live: Option<&Value>, manager: &str, spec: &Value| {
            let said = json!({"metadata": {"name": "a"}, "spec": spec});
            apply(live, &said, &writer(manager, FIRST), Force::Yes, MergeTypes::Deduced).unwrap()
        };
        let one = apply_spec(None, "one", &first);
        prop_assert_eq!(&apply_spec(Some(&one), "one", &first), &one);
        let both = apply_spec(Some(&one), "two", &second);
        prop_assert_eq!(&apply_spec(Some(&both), "two", &second), &both);
    }

    #[test]
    fn the_only_applier_removes_what_it_no_longer_says(first in spec(), second in spec()) {
        let apply_spec = |live: Option<&Value>, spec: &Value| {
            let said = json!({"metadata": {"name": "a"}, "spec": spec});
            apply(live, &said, &writer("one", FIRST), Force::No, MergeTypes::Deduced).unwrap()
        };
        let one = apply_spec(None, &first);
        prop_assert_eq!(&apply_spec(Some(&one), &second)["spec"], &second);
    }
}
