//! CustomResourceDefinitions: a definition that is stored is served at once, with its names accepted and its condition
//! Established.

use std::sync::Arc;

use embedded_machinery::Gvk;
use embedded_machinery::schema::Structural;
use embedded_machinery::table::PrinterColumn;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::catalog::{self, CustomVersion, Origin, Resource, ScalePaths, Scope};
use crate::object;
use crate::options::Query;
use crate::state::State;
use crate::store::Entry;
use crate::verbs::{Call, Part};

/// The group of CustomResourceDefinition.
pub(crate) const GROUP: &str = "apiextensions.k8s.io";

/// Whether a kind is CustomResourceDefinition.
pub(crate) fn is_definition(resource: &Resource) -> bool {
    resource.group == GROUP && resource.kind == "CustomResourceDefinition"
}

/// Serves what a stored definition defines and writes its status; while it is being deleted, removes the instances and
/// then its own finalizer.
pub(crate) fn serve(state: &Arc<State>, entry: &Arc<Entry>) {
    let definition = &entry.value;
    let versions = versions(definition);
    let shelf = shelf(definition);
    let refused = name_conflict(state, definition);
    match &refused {
        None => state.catalog.set_custom(&shelf, versions),
        Some(_) => state.catalog.set_custom(&shelf, Vec::new()),
    }
    let status = status(definition, refused);
    if definition.get("status") != Some(&status) {
        write_status(state, definition, status);
    }
}

/// Ends a kind: every instance is removed, its watches end.
pub(crate) fn withdraw(state: &Arc<State>, definition: &Value) {
    let shelf = shelf(definition);
    let served = versions(definition).into_iter().next();
    if let Some(resource) = served {
        call(state, Arc::new(resource), "", Part::Main).remove_all();
    }
    state.catalog.set_custom(&shelf, Vec::new());
    state.store.end_watches(&shelf);
}

fn shelf(definition: &Value) -> crate::store::ShelfName {
    catalog::shelf_name(
        object::text(definition, &["spec", "group"]),
        object::text(definition, &["spec", "names", "plural"]),
    )
}

fn call(state: &Arc<State>, resource: Arc<Resource>, name: &str, part: Part) -> Call {
    Call {
        state: state.clone(),
        resource,
        namespace: String::new(),
        name: name.to_owned(),
        part,
        query: Query::default(),
        user: User::admin(),
        user_agent: "kube-apiserver".to_owned(),
    }
}

fn write_status(state: &Arc<State>, definition: &Value, status: Value) {
    let Some(resource) = state.catalog.find(GROUP, "v1", "customresourcedefinitions") else { return };
    let name = object::name(definition);
    let call = call(state, resource, name, Part::Status);
    let written = call.rewrite(|current| {
        let mut next = current.clone();
        object::set(&mut next, &["status"], status.clone());
        Ok(next)
    });
    if let Err(failure) = written {
        tracing::warn!(%failure, name, "the status of a definition was not written");
    }
}

/// The served versions of a definition.
fn versions(definition: &Value) -> Vec<Resource> {
    let spec = &definition["spec"];
    let text = |path: &[&str]| object::text(spec, path).to_owned();
    let texts = |value: &Value| -> Vec<String> {
        value.as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let all = spec["versions"].as_array().map(Vec::as_slice).unwrap_or_default();
    let storage =
        all.iter().find(|version| version["storage"] == true).map(|version| object::text(version, &["name"]));
    let kind = text(&["names", "kind"]);
    let or = |given: String, otherwise: String| if given.is_empty() { otherwise } else { given };
    let served = all.iter().filter(|version| version["served"] == true);
    served
        .map(|version| Resource {
            group: text(&["group"]),
            version: object::text(version, &["name"]).to_owned(),
            kind: kind.clone(),
            gvk: Gvk::new(text(&["group"]), object::text(version, &["name"]), kind.as_str()),
            api_version: catalog::api_version(
                object::text(spec, &["group"]),
                object::text(version, &["name"]),
            ),
            list_kind: or(text(&["names", "listKind"]), format!("{kind}List")),
            plural: text(&["names", "plural"]),
            singular: or(text(&["names", "singular"]), kind.to_lowercase()),
            short_names: texts(&spec["names"]["shortNames"]),
            categories: texts(&spec["names"]["categories"]),
            scope: if spec["scope"] == "Cluster" { Scope::Cluster } else { Scope::Namespaced },
            has_status: version["subresources"].get("status").is_some(),
            scale: scale_paths(&version["subresources"]["scale"]),
            origin: Origin::Custom(Box::new(custom_version(version, storage.unwrap_or_default()))),
            shelf: shelf(definition),
            subresources: Vec::new(),
            stored: true,
        })
        .collect()
}

fn scale_paths(scale: &Value) -> Option<ScalePaths> {
    Some(ScalePaths {
        spec: scale["specReplicasPath"].as_str()?.to_owned(),
        status: scale["statusReplicasPath"].as_str()?.to_owned(),
        selector: scale["labelSelectorPath"].as_str().map(str::to_owned),
    })
}

fn custom_version(version: &Value, storage: &str) -> CustomVersion {
    let open_api = version["schema"]["openAPIV3Schema"].clone();
    let schema = match Structural::parse(&open_api) {
        Ok(schema) => Some(schema),
        Err(error) => {
            tracing::warn!(
                ?error,
                "the schema of a definition cannot be read; its objects are stored as they come"
            );
            None
        }
    };
    let array = |value: &Value| value.as_array().cloned().unwrap_or_default();
    let selectable = array(&version["selectableFields"]);
    CustomVersion {
        storage_version: storage.to_owned(),
        schema,
        open_api,
        columns: PrinterColumn::of_version(version),
        selectable: selectable
            .iter()
            .filter_map(|field| field["jsonPath"].as_str())
            .map(|path| path.trim_start_matches('.').to_owned())
            .collect(),
    }
}

/// Why the names of a definition cannot be accepted: reason and message.
fn name_conflict(state: &State, definition: &Value) -> Option<(&'static str, String)> {
    let group = object::text(definition, &["spec", "group"]);
    let (plural, kind) = (
        object::text(definition, &["spec", "names", "plural"]),
        object::text(definition, &["spec", "names", "kind"]),
    );
    let own = shelf(definition);
    let kinds = state.catalog.all();
    let mut others = kinds.values().filter(|other| other.group == group && other.shelf != own);
    others.find_map(|other| {
        let same = |name: &str, reason| {
            (other.plural == name || other.singular == name || other.kind == name)
                .then(|| (reason, format!("{name:?} is already in use")))
        };
        same(plural, "PluralConflict").or_else(|| same(kind, "KindConflict"))
    })
}

fn status(definition: &Value, refused: Option<(&'static str, String)>) -> Value {
    let now = object::now();
    let condition = |kind: &str, status: &str, reason: &str, message: &str| {
        let earlier = definition["status"]["conditions"].as_array().into_iter().flatten();
        let earlier =
            earlier.into_iter().find(|condition| condition["type"] == kind && condition["status"] == status);
        let since = earlier.and_then(|condition| condition["lastTransitionTime"].as_str()).unwrap_or(&now);
        json!({"lastTransitionTime": since, "message": message, "reason": reason, "status": status, "type": kind})
    };
    let mut names = definition["spec"]["names"].clone();
    let kind = object::text(&names, &["kind"]).to_owned();
    let names_map = object::fields(&mut names);
    names_map.entry("singular").or_insert_with(|| kind.to_lowercase().into());
    names_map.entry("listKind").or_insert_with(|| format!("{kind}List").into());
    let storage = definition["spec"]["versions"].as_array().into_iter().flatten();
    let storage =
        storage.into_iter().find(|version| version["storage"] == true).map(|version| version["name"].clone());
    let (names, conditions) = match refused {
        None => (
            names,
            vec![
                condition("NamesAccepted", "True", "NoConflicts", "no conflicts found"),
                condition(
                    "Established",
                    "True",
                    "InitialNamesAccepted",
                    "the initial names have been accepted",
                ),
            ],
        ),
        Some((reason, message)) => (
            json!({"plural": "", "kind": ""}),
            vec![
                condition("NamesAccepted", "False", reason, &message),
                condition("Established", "False", "NotAccepted", "not all names are accepted"),
            ],
        ),
    };
    json!({"acceptedNames": names, "conditions": conditions, "storedVersions": [storage]})
}
