use embedded_machinery::Gvk;
use embedded_machinery::patch::{self, PatchError};
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

fn deployment() -> Gvk {
    Gvk::new("apps", "v1", "Deployment")
}

fn with_containers(containers: Value) -> Value {
    json!({"spec": {"template": {"spec": {"containers": containers}}}})
}

#[rstest]
#[case::merges_by_name(
    json!([{"name": "a", "image": "1"}, {"name": "b", "image": "1"}]),
    json!({"containers": [{"name": "b", "image": "2"}, {"name": "c"}]}),
    json!([{"name": "a", "image": "1"}, {"name": "b", "image": "2"}, {"name": "c"}])
)]
#[case::deletes_an_item(
    json!([{"name": "a"}, {"name": "b"}]),
    json!({"containers": [{"name": "a", "$patch": "delete"}]}),
    json!([{"name": "b"}])
)]
#[case::replaces_the_list(
    json!([{"name": "a"}, {"name": "b"}]),
    json!({"containers": [{"$patch": "replace"}, {"name": "c"}]}),
    json!([{"name": "c"}])
)]
#[case::orders_items(
    json!([{"name": "a"}, {"name": "other"}, {"name": "b"}]),
    json!({"$setElementOrder/containers": [{"name": "b"}, {"name": "a"}], "containers": [{"name": "b", "image": "2"}]}),
    json!([{"name": "other"}, {"name": "b", "image": "2"}, {"name": "a"}])
)]
#[case::removes_a_field(
    json!([{"name": "a", "image": "1", "tty": true}]),
    json!({"containers": [{"name": "a", "tty": null}]}),
    json!([{"name": "a", "image": "1"}])
)]
#[case::atomic_lists_are_replaced(
    json!([{"name": "a", "args": ["x", "y"]}]),
    json!({"containers": [{"name": "a", "args": ["z"]}]}),
    json!([{"name": "a", "args": ["z"]}])
)]
fn strategic_patches_merge_lists_by_their_keys(
    #[case] before: Value,
    #[case] change: Value,
    #[case] after: Value,
) {
    let change = json!({"spec": {"template": {"spec": change}}});
    let patched = patch::strategic(&deployment(), &with_containers(before), &change).unwrap();
    assert_eq!(patched, with_containers(after));
}

#[test]
fn a_strategy_keeps_only_the_retained_keys() {
    let before = yaml("spec: {strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}}");
    let change = yaml("spec: {strategy: {$retainKeys: [type], type: Recreate}}");
    let after = patch::strategic(&deployment(), &before, &change).unwrap();
    assert_eq!(after, yaml("spec: {strategy: {type: Recreate}}"));
}

#[test]
fn finalizers_are_a_set_for_strategic_patches() {
    let before = yaml("metadata: {finalizers: [a, b]}");
    let change = yaml("metadata: {$deleteFromPrimitiveList/finalizers: [a], finalizers: [c]}");
    let after = patch::strategic(&deployment(), &before, &change).unwrap();
    assert_eq!(after, yaml("metadata: {finalizers: [b, c]}"));
}

#[test]
fn an_item_without_its_key_does_not_fit() {
    let change = json!({"spec": {"template": {"spec": {"containers": [{"image": "1"}]}}}});
    let refused = patch::strategic(&deployment(), &with_containers(json!([])), &change).unwrap_err();
    assert!(matches!(refused, PatchError::DoesNotFit(_)));
    assert_eq!(refused.to_status().code, 422);
}

#[test]
fn custom_resources_have_no_strategic_merge() {
    let refused =
        patch::strategic(&Gvk::new("example.com", "v1", "Toy"), &json!({}), &json!({})).unwrap_err();
    assert_eq!(refused.to_status().code, 415);
}

#[rstest]
#[case::replace(json!([{"op": "replace", "path": "/a/b", "value": 2}]), Some(json!({"a": {"b": 2}})))]
#[case::add(json!([{"op": "add", "path": "/a/c~1d", "value": 1}]), Some(json!({"a": {"b": 1, "c/d": 1}})))]
#[case::test_fails(json!([{"op": "test", "path": "/a/b", "value": 9}]), None)]
#[case::absent(json!([{"op": "remove", "path": "/x"}]), None)]
#[case::not_a_list(json!({"op": "remove"}), None)]
fn json_patches_apply_whole_or_not_at_all(#[case] change: Value, #[case] after: Option<Value>) {
    assert_eq!(patch::json(&json!({"a": {"b": 1}}), &change).ok(), after);
}

fn document() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![Just(json!(1)), Just(json!("x")), Just(json!([1, 2])), Just(json!(true))];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop::collection::btree_map("[a-d]", inner, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    })
}

fn object() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("[a-d]", document(), 0..4)
        .prop_map(|map| Value::Object(map.into_iter().collect()))
}

proptest! {
    #[test]
    fn a_merge_patch_done_twice_is_done_once(before in object(), change in object()) {
        let once = patch::merge(&before, &change).unwrap();
        prop_assert_eq!(patch::merge(&once, &change).unwrap(), once);
    }

    #[test]
    fn an_empty_merge_patch_changes_nothing(before in object()) {
        prop_assert_eq!(patch::merge(&before, &json!({})).unwrap(), before);
    }

    #[test]
    fn merging_a_document_into_nothing_gives_the_document(document in object()) {
        prop_assert_eq!(patch::merge(&json!({}), &document).unwrap(), document);
    }

    #[test]
    fn nulls_remove_every_field(before in object()) {
        let nothing = before.as_object().unwrap().keys().map(|key| (key.clone(), Value::Null)).collect();
        prop_assert_eq!(patch::merge(&before, &Value::Object(nothing)).unwrap(), json!({}));
    }
}
