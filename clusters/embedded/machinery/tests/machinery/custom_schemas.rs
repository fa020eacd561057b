use embedded_machinery::FieldError;
use embedded_machinery::schema::Structural;
use proptest::prelude::*;
use rstest::rstest;
use serde_json::{Value, json};

use crate::yaml;

fn toy() -> Structural {
    Structural::parse(&yaml(
        "
type: object
required: [spec]
properties:
  spec:
    type: object
    required: [storageUri]
    properties:
      storageUri: {type: string, minLength: 1}
      replicas: {type: integer, format: int32, minimum: 0, default: 1}
      mode: {type: string, enum: [fast, slow]}
      name: {type: string, pattern: '^[a-z]+$', maxLength: 5}
      port: {x-kubernetes-int-or-string: true}
      when: {type: string, format: date-time}
      note: {type: string, nullable: true}
      free: {type: object, x-kubernetes-preserve-unknown-fields: true}
      labels: {type: object, additionalProperties: {type: string}}
      parts:
        type: array
        maxItems: 3
        x-kubernetes-list-type: map
        x-kubernetes-list-map-keys: [name]
        items:
          type: object
          required: [name]
          properties: {name: {type: string}, weight: {type: integer, default: 5}}
      pod:
        type: object
        x-kubernetes-embedded-resource: true
        properties: {spec: {type: object}}
  status: {type: object, properties: {ready: {type: boolean}}}
",
    ))
    .unwrap()
}

fn texts(errors: &[FieldError]) -> Vec<String> {
    errors.iter().map(ToString::to_string).collect()
}

#[rstest]
#[case("{}", "spec.storageUri: Required value")]
#[case(
    "{storageUri: ''}",
    "spec.storageUri: Invalid value: \"\": spec.storageUri in body should be at least 1 chars long"
)]
#[case(
    "{storageUri: x, replicas: many}",
    "spec.replicas: Invalid value: \"string\": spec.replicas in body must be of type integer: \"string\""
)]
#[case(
    "{storageUri: x, replicas: -1}",
    "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0"
)]
#[case(
    "{storageUri: x, mode: odd}",
    "spec.mode: Unsupported value: \"odd\": supported values: \"fast\", \"slow\""
)]
#[case("{storageUri: x, name: toolong}", "spec.name: Too long: may not be more than 5 bytes")]
#[case(
    "{storageUri: x, name: A}",
    "spec.name: Invalid value: \"A\": spec.name in body should match '^[a-z]+$'"
)]
#[case(
    "{storageUri: x, when: soon}",
    "spec.when: Invalid value: \"soon\": spec.when in body must be of type date-time: \"soon\""
)]
#[case(
    "{storageUri: x, labels: {a: 1}}",
    "spec.labels.a: Invalid value: \"integer\": spec.labels.a in body must be of type string: \"integer\""
)]
#[case("{storageUri: x, parts: [{weight: 1}]}", "spec.parts[0].name: Required value")]
#[case("{storageUri: x, parts: [{name: a}, {name: a}]}", "spec.parts[1]: Duplicate value: {\"name\":\"a\"}")]
#[case(
    "{storageUri: x, parts: [{name: a}, {name: b}, {name: c}, {name: d}]}",
    "spec.parts: Too many: 4: must have at most 3 items"
)]
#[case(
    "{storageUri: x, parts: text}",
    "spec.parts: Invalid value: \"string\": spec.parts in body must be of type array: \"string\""
)]
fn one_fault_is_one_sentence(#[case] spec: &str, #[case] message: &str) {
    let object = json!({"spec": yaml(spec)});
    assert_eq!(texts(&toy().validate(&object)), [message]);
}

#[rstest]
#[case("{storageUri: x}")]
#[case("{storageUri: x, port: 80, note: null, when: '2026-01-02T03:04:05Z'}")]
#[case("{storageUri: x, port: http, replicas: 2, free: {any: [1]}}")]
fn good_objects_have_no_fault(#[case] spec: &str) {
    assert_eq!(texts(&toy().validate(&json!({"spec": yaml(spec)}))), [""; 0]);
}

#[test]
fn a_value_that_fits_no_alternative_is_reported_twice() {
    let object = json!({"spec": {"storageUri": "x", "port": true}});
    insta::assert_snapshot!(texts(&toy().validate(&object)).join("\n"), @r#"
    <nil>: Invalid value: "": "spec.port" must validate at least one schema (anyOf)
    spec.port: Invalid value: "boolean": spec.port in body must be of type integer: "boolean"
    "#);
}

#[test]
fn defaults_fill_only_what_is_absent() {
    let mut object =
        yaml("spec: {storageUri: x, note: null, replicas: null, parts: [{name: a}, {name: b, weight: 1}]}");
    toy().default(&mut object);
    let filled =
        "spec: {storageUri: x, note: null, replicas: 1, parts: [{name: a, weight: 5}, {name: b, weight: 1}]}";
    assert_eq!(object, yaml(filled));
}

#[test]
fn unknown_fields_go_and_are_named() {
    let mut object = yaml(
        "
apiVersion: example.com/v1
kind: Toy
metadata: {name: a, labels: {x: one}}
extra: 1
spec: {storageUri: x, odd: 1, free: {any: 1}, parts: [{name: a, odd: 1}], pod: {kind: Pod, metadata: {}, odd: 1}}
",
    );
    let gone = toy().prune(&mut object);
    assert_eq!(gone, ["extra", "spec.odd", "spec.parts[0].odd", "spec.pod.odd"]);
    assert_eq!(object["metadata"]["labels"]["x"], "one");
    assert_eq!(object["spec"]["free"]["any"], 1);
}

#[rstest]
#[case(
    "{properties: {spec: {type: object}}}",
    "spec.validation.openAPIV3Schema.type: Required value: must not be empty at the root"
)]
#[case(
    "{type: object, properties: {spec: {description: x}}}",
    "spec.validation.openAPIV3Schema.properties[spec].type: Required value: must not be empty for specified object fields"
)]
fn schemas_that_are_not_structural_are_refused(#[case] schema: &str, #[case] message: &str) {
    assert_eq!(Structural::parse(&yaml(schema)).unwrap_err().to_string(), message);
}

fn any_spec() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-5_i64..5).prop_map(Value::from),
        "[a-z]{0,6}".prop_map(Value::from),
    ];
    let value = leaf.prop_recursive(3, 24, 4, |inner| {
        let name = prop::sample::select(vec!["name", "weight", "any", "odd"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            prop::collection::btree_map(name, inner, 0..4)
                .prop_map(|map| Value::Object(map.into_iter().map(|(k, v)| (k.to_owned(), v)).collect())),
        ]
    });
    let names = vec![
        "storageUri",
        "replicas",
        "mode",
        "name",
        "port",
        "free",
        "labels",
        "parts",
        "pod",
        "odd",
        "note",
    ];
    prop::collection::btree_map(prop::sample::select(names), value, 0..8).prop_map(|map| {
        json!({"spec": Value::Object(map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())})
    })
}

proptest! {
    #[test]
    fn nothing_unknown_is_left_after_pruning(mut object in any_spec()) {
        let schema = toy();
        schema.prune(&mut object);
        prop_assert_eq!(schema.prune(&mut object), Vec::<String>::new());
    }

    #[test]
    fn defaulting_twice_is_defaulting_once(mut object in any_spec()) {
        let schema = toy();
        schema.default(&mut object);
        let once = object.clone();
        schema.default(&mut object);
        prop_assert_eq!(object, once);
    }

    #[test]
    fn validation_never_panics(object in any_spec()) {
        let _ = toy().validate(&object);
    }
}
