//! OpenAPI documents: enough for `kubectl apply` to leave validation to the server, and for `kubectl explain`.
//!
//! The schemas name every field and its type; those of built-in kinds carry no descriptions.

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};

use crate::catalog::{Resource, Scope};
use crate::state::State;
use crate::wire::{self, Field, Kind, Shape};

/// The index of the third version: a path for each group and version.
pub(crate) fn index(state: &State) -> Value {
    let kinds = state.catalog.all();
    let mut paths = Map::new();
    for resource in kinds.values() {
        let path = path_of(&resource.group, &resource.version);
        // The hash makes clients ask again when kinds come and go.
        let hash = kinds.values().filter(|other| other.api_version == resource.api_version).count();
        let url = format!("/openapi/v3/{path}?hash={hash:X}{:X}", state.catalog.changes());
        paths.entry(path).or_insert_with(|| json!({"serverRelativeURL": url}));
    }
    json!({"paths": paths})
}

fn path_of(group: &str, version: &str) -> String {
    match group {
        "" => format!("api/{version}"),
        group => format!("apis/{group}/{version}"),
    }
}

/// The document of one group and version, by its path in the index.
pub(crate) fn document(state: &State, path: &str) -> Option<Value> {
    let kinds = state.catalog.all();
    let chosen: Vec<&Resource> = kinds
        .values()
        .map(AsRef::as_ref)
        .filter(|kind| path_of(&kind.group, &kind.version) == path)
        .collect();
    if chosen.is_empty() {
        return None;
    }
    let mut paths = Map::new();
    let mut schemas = Map::new();
    for resource in chosen {
        describe(resource, "#/components/schemas/", &mut schemas);
        if resource.stored {
            let (collection, one) = addresses(resource);
            paths.insert(collection, json!({"post": operation(resource, "post")}));
            paths.insert(
                one,
                json!({
                    "get": operation(resource, "get"), "put": operation(resource, "put"),
                    "patch": operation(resource, "patch"), "delete": operation(resource, "delete"),
                }),
            );
        }
    }
    Some(json!({
        "openapi": "3.0.0",
        "info": {"title": "Kubernetes", "version": state.config.version},
        "paths": paths,
        "components": {"schemas": schemas},
    }))
}

/// The document of the second version: everything in one.
pub(crate) fn second_version(state: &State) -> Value {
    let kinds = state.catalog.all();
    let (mut paths, mut definitions) = (Map::new(), Map::new());
    for resource in kinds.values().filter(|resource| resource.stored) {
        describe(resource, "#/definitions/", &mut definitions);
        let (_, one) = addresses(resource);
        let mut operation = operation(resource, "patch");
        operation["parameters"] =
            json!([{"name": "fieldValidation", "in": "query", "type": "string", "uniqueItems": true}]);
        paths.insert(one, json!({"patch": operation}));
    }
    json!({
        "swagger": "2.0",
        "info": {"title": "Kubernetes", "version": state.config.version},
        "paths": paths,
        "definitions": definitions,
    })
}

/// The paths of a collection and of one object.
fn addresses(resource: &Resource) -> (String, String) {
    let base = path_of(&resource.group, &resource.version);
    let within = match resource.scope {
        Scope::Namespaced => "/namespaces/{namespace}",
        Scope::Cluster => "",
    };
    let collection = format!("/{base}{within}/{}", resource.plural);
    let one = format!("{collection}/{{name}}");
    (collection, one)
}

fn operation(resource: &Resource, method: &str) -> Value {
    let kind = json!({"group": resource.group, "version": resource.version, "kind": resource.kind});
    let parameter =
        |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
    let parameters = ["dryRun", "fieldManager", "fieldValidation"].map(parameter);
    json!({
        "x-kubernetes-action": method,
        "x-kubernetes-group-version-kind": kind,
        "parameters": parameters,
        "responses": {"200": {"description": "OK"}},
    })
}

/// Adds the schemas of a kind and of everything it is made of.
fn describe(resource: &Resource, prefix: &str, schemas: &mut Map<String, Value>) {
    let kind = json!([{"group": resource.group, "version": resource.version, "kind": resource.kind}]);
    let mut wanted = BTreeSet::new();
    let (name, mut schema) = match resource.custom() {
        Some(custom) => {
            let mut schema = match &custom.open_api {
                Value::Object(_) => custom.open_api.clone(),
                _ => json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true}),
            };
            let metadata = reference("meta.v1.ObjectMeta", prefix);
            wanted.insert("meta.v1.ObjectMeta");
            let properties = crate::object::object_at(&mut schema, &["properties"]);
            properties.entry("apiVersion").or_insert_with(|| json!({"type": "string"}));
            properties.entry("kind").or_insert_with(|| json!({"type": "string"}));
            properties.insert("metadata".to_owned(), metadata);
            let mut name: Vec<&str> = resource.group.split('.').rev().collect();
            name.extend([resource.version.as_str(), resource.kind.as_str()]);
            (name.join("."), schema)
        }
        None => {
            let message = wire::message_of(&resource.gvk);
            let Some(fields) = wire::message(&message) else { return };
            let mut schema = message_schema(fields, prefix, &mut wanted);
            let properties = crate::object::object_at(&mut schema, &["properties"]);
            properties.insert("apiVersion".to_owned(), json!({"type": "string"}));
            properties.insert("kind".to_owned(), json!({"type": "string"}));
            (schema_name(&message), schema)
        }
    };
    schema["x-kubernetes-group-version-kind"] = kind;
    schemas.insert(name, schema);
    while let Some(message) = wanted.pop_first() {
        let name = schema_name(message);
        if schemas.contains_key(&name) {
            continue;
        }
        let schema = message_schema(wire::message(message).unwrap_or_default(), prefix, &mut wanted);
        schemas.insert(name, schema);
    }
}

/// `io.k8s.api.core.v1.Pod`, `io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta`.
fn schema_name(message: &str) -> String {
    match message.starts_with("meta.") {
        true => format!("io.k8s.apimachinery.pkg.apis.{message}"),
        false => format!("io.k8s.api.{message}"),
    }
}

fn reference(message: &str, prefix: &str) -> Value {
    let reference = json!({"$ref": format!("{prefix}{}", schema_name(message))});
    // Beside a reference, the third version allows nothing else: clients look inside `allOf`.
    match prefix.starts_with("#/components") {
        true => json!({"allOf": [reference], "default": {}}),
        false => reference,
    }
}

fn message_schema(fields: &[Field], prefix: &str, wanted: &mut BTreeSet<&'static str>) -> Value {
    let mut properties = Map::new();
    for field in fields {
        match &field.shape {
            Shape::One(Kind::Message(inner)) if field.inline => {
                let inner = message_schema(wire::message(inner).unwrap_or_default(), prefix, wanted);
                properties.extend(inner["properties"].as_object().cloned().unwrap_or_default());
            }
            Shape::One(kind) => {
                properties.insert(field.name.to_owned(), kind_schema(*kind, prefix, wanted));
            }
            Shape::List(kind) => {
                let items = kind_schema(*kind, prefix, wanted);
                properties.insert(field.name.to_owned(), json!({"type": "array", "items": items}));
            }
            Shape::Map(kind) => {
                let values = kind_schema(*kind, prefix, wanted);
                properties
                    .insert(field.name.to_owned(), json!({"type": "object", "additionalProperties": values}));
            }
        }
    }
    json!({"type": "object", "properties": properties})
}

fn kind_schema(kind: Kind, prefix: &str, wanted: &mut BTreeSet<&'static str>) -> Value {
    match kind {
        Kind::String | Kind::Duration | Kind::Quantity => json!({"type": "string"}),
        Kind::Integer(format) => json!({"type": "integer", "format": format}),
        Kind::Bool => json!({"type": "boolean"}),
        Kind::Bytes => json!({"type": "string", "format": "byte"}),
        Kind::Double => json!({"type": "number", "format": "double"}),
        Kind::Time | Kind::MicroTime => json!({"type": "string", "format": "date-time"}),
        Kind::IntOrString => json!({"type": "string", "format": "int-or-string"}),
        Kind::Raw => json!({"type": "object"}),
        Kind::Strings => json!({"type": "array", "items": {"type": "string"}}),
        Kind::Message(name) => {
            wanted.insert(name);
            reference(name, prefix)
        }
    }
}
