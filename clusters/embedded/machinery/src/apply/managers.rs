use serde_json::{Map, Value, json};

use super::compare::Comparison;
use super::field_set::{FieldSet, field_step};
use super::{Conflict, Writer};

/// How a manager writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Operation {
    Apply,
    Update,
}

/// The managers of an object and what they own.
#[derive(Debug)]
pub(super) struct Managers {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    manager: String,
    operation: Operation,
    api_version: String,
    subresource: String,
    time: String,
    set: FieldSet,
    /// The writer's own entry and what it held before; it gets a new time when that differs.
    before: Option<FieldSet>,
}

impl Operation {
    fn as_str(self) -> &'static str {
        match self {
            Self::Apply => "Apply",
            Self::Update => "Update",
        }
    }
}

impl Entry {
    fn parse(entry: &Value) -> Self {
        let text = |key: &str| entry.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            manager: text("manager"),
            operation: if text("operation") == "Apply" { Operation::Apply } else { Operation::Update },
            api_version: text("apiVersion"),
            subresource: text("subresource"),
            time: text("time"),
            set: FieldSet::parse(entry.get("fieldsV1").unwrap_or(&Value::Null)),
            before: None,
        }
    }

    /// Whether the entry is the writer's own. An applier keeps its entry across versions.
    fn is_of(&self, writer: &Writer<'_>, operation: Operation) -> bool {
        self.manager == writer.manager
            && self.operation == operation
            && self.subresource == writer.subresource.unwrap_or_default()
            && (operation == Operation::Apply || self.api_version == writer.api_version)
    }

    fn shown(&self) -> String {
        let mut shown = format!("{:?}", self.manager);
        if !self.subresource.is_empty() {
            shown.push_str(&format!(" with subresource {:?}", self.subresource));
        }
        if self.operation == Operation::Update {
            shown.push_str(&format!(" using {}", self.api_version));
        }
        shown
    }

    fn to_value(&self) -> Value {
        let mut entry = Map::new();
        entry.insert("manager".to_owned(), json!(self.manager));
        entry.insert("operation".to_owned(), json!(self.operation.as_str()));
        entry.insert("apiVersion".to_owned(), json!(self.api_version));
        if !self.time.is_empty() {
            entry.insert("time".to_owned(), json!(self.time));
        }
        entry.insert("fieldsType".to_owned(), json!("FieldsV1"));
        entry.insert("fieldsV1".to_owned(), self.set.to_value());
        if !self.subresource.is_empty() {
            entry.insert("subresource".to_owned(), json!(self.subresource));
        }
        Value::Object(entry)
    }
}

impl Managers {
    pub(super) fn of(object: &Value) -> Self {
        let listed = object.pointer("/metadata/managedFields").and_then(Value::as_array);
        Self { entries: listed.into_iter().flatten().map(Entry::parse).collect() }
    }

    /// Gives the writer's entry a new set and returns the old one.
    pub(super) fn replace(
        &mut self,
        writer: &Writer<'_>,
        operation: Operation,
        set: FieldSet,
    ) -> Option<FieldSet> {
        if let Some(entry) = self.entries.iter_mut().find(|entry| entry.is_of(writer, operation)) {
            writer.api_version.clone_into(&mut entry.api_version);
            let before = std::mem::replace(&mut entry.set, set);
            entry.before = Some(before.clone());
            return Some(before);
        }
        self.entries.push(Entry {
            manager: writer.manager.to_owned(),
            operation,
            api_version: writer.api_version.to_owned(),
            subresource: writer.subresource.unwrap_or_default().to_owned(),
            time: String::new(),
            set,
            before: Some(FieldSet::default()),
        });
        None
    }

    /// What the writer's entry holds.
    pub(super) fn held(&self, writer: &Writer<'_>, operation: Operation) -> FieldSet {
        let entry = self.entries.iter().find(|entry| entry.is_of(writer, operation));
        entry.map(|entry| entry.set.clone()).unwrap_or_default()
    }

    /// What anybody owns.
    pub(super) fn owned(&self) -> FieldSet {
        let mut owned = FieldSet::default();
        self.entries.iter().for_each(|entry| owned.unite(&entry.set));
        owned
    }

    /// Fields of others that the change touches.
    pub(super) fn conflicts(
        &self,
        writer: &Writer<'_>,
        operation: Operation,
        change: &Comparison,
    ) -> Vec<Conflict> {
        let mut touched = change.modified.clone();
        touched.unite(&change.added);
        let others = self.entries.iter().filter(|entry| !entry.is_of(writer, operation));
        others
            .flat_map(|entry| {
                let paths = entry.set.shared_paths(&touched).into_iter();
                paths.map(|field| Conflict { manager: entry.shown(), field })
            })
            .collect()
    }

    /// Takes from the others what the change touches or removes.
    pub(super) fn yield_fields(&mut self, writer: &Writer<'_>, operation: Operation, change: &Comparison) {
        for entry in self.entries.iter_mut().filter(|entry| !entry.is_of(writer, operation)) {
            entry.set.subtract(&change.modified);
            entry.set.subtract(&change.added);
            entry.set.subtract(&change.removed);
        }
    }

    /// Writes the entries into an object, sorted; the writer's own gets the time of the write.
    pub(super) fn store(mut self, object: &mut Value, time: &str) {
        self.entries.retain(|entry| !entry.set.is_empty());
        // Others keep the time of their last write even when they lose fields.
        let written = |entry: &&mut Entry| entry.before.as_ref().is_some_and(|before| *before != entry.set);
        for entry in self.entries.iter_mut().filter(written) {
            time.clone_into(&mut entry.time);
        }
        self.entries.sort_by(|left, right| {
            let key = |entry: &Entry| {
                let Entry { operation, time, manager, api_version, subresource, .. } = entry.clone();
                (operation, time, manager, api_version, subresource)
            };
            key(left).cmp(&key(right))
        });
        let listed: Vec<Value> = self.entries.iter().map(Entry::to_value).collect();
        let Some(object) = object.as_object_mut() else { return };
        let meta = object.entry("metadata").or_insert_with(|| json!({}));
        let Some(meta) = meta.as_object_mut() else { return };
        if listed.is_empty() {
            meta.shift_remove("managedFields");
        } else {
            meta.insert("managedFields".to_owned(), Value::Array(listed));
        }
    }
}

/// Fields that nobody owns: what identifies the object or is the server's own, and what the path written through
/// cannot change.
pub(super) fn strip(set: &mut FieldSet, subresource: Option<&str>) {
    let own = [
        "name",
        "namespace",
        "creationTimestamp",
        "selfLink",
        "uid",
        "clusterName",
        "generation",
        "managedFields",
        "resourceVersion",
    ];
    for root in ["apiVersion", "kind", "metadata"] {
        release(set, &[root]);
    }
    for field in own {
        release(set, &["metadata", field]);
    }
    set.children.remove(&field_step(if subresource == Some("status") { "spec" } else { "status" }));
}

/// Takes one place out, not what lies within it; an entry of `managedFields` has nothing within.
fn release(set: &mut FieldSet, path: &[&str]) {
    let [name, rest @ ..] = path else {
        set.member = false;
        return;
    };
    let step = field_step(name);
    if let Some(child) = set.children.get_mut(&step) {
        release(child, rest);
        if child.is_empty() || *name == "managedFields" {
            set.children.remove(&step);
        }
    }
}
