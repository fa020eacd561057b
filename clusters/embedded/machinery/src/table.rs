//! Tables (`meta/v1` `Table`) as `kubectl get` prints them.

mod age;
mod columns;
mod json_path;
mod misc_rows;
mod network_rows;
mod pod_row;
mod view;
mod workload_rows;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use crate::Gvk;
pub use age::{age_since, human_duration};
use columns::Column;
use view::View;

/// How much of each object a row carries (`includeObject` of the request).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IncludeObject {
    /// `PartialObjectMetadata`.
    #[default]
    Metadata,
    /// The whole object.
    Object,
    /// Nothing.
    None,
}

/// One of a CustomResourceDefinition's `additionalPrinterColumns`.
#[derive(Clone, Debug, PartialEq)]
pub struct PrinterColumn {
    /// Header.
    pub name: String,
    /// `string`, `integer`, `number`, `boolean` or `date`.
    pub kind: String,
    /// OpenAPI format; may be empty.
    pub format: String,
    /// What the column says; may be empty.
    pub description: String,
    /// 0 for the ordinary table, above for `-o wide`.
    pub priority: i64,
    /// Where the value stands: `.status.replicas`, `.status.conditions[?(@.type=="Ready")].status`.
    pub json_path: String,
}

impl IncludeObject {
    /// Reads the request's `includeObject`; absent or empty means metadata.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "" | "Metadata" => Some(Self::Metadata),
            "Object" => Some(Self::Object),
            "None" => Some(Self::None),
            _ => None,
        }
    }
}

impl PrinterColumn {
    /// Reads the columns of a version of a CustomResourceDefinition; without any, the one default column `Age`.
    pub fn of_version(version: &Value) -> Vec<Self> {
        let listed = version.get("additionalPrinterColumns").and_then(Value::as_array);
        let columns: Vec<Self> = listed.into_iter().flatten().map(Self::parse).collect();
        if columns.is_empty() { vec![Self::age()] } else { columns }
    }

    fn parse(column: &Value) -> Self {
        let text = |key: &str| column.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
        Self {
            name: text("name"),
            kind: text("type"),
            format: text("format"),
            description: text("description"),
            priority: column.get("priority").and_then(Value::as_i64).unwrap_or_default(),
            json_path: text("jsonPath"),
        }
    }

    fn age() -> Self {
        Self {
            name: "Age".to_owned(),
            kind: "date".to_owned(),
            format: String::new(),
            description: String::new(),
            priority: 0,
            json_path: ".metadata.creationTimestamp".to_owned(),
        }
    }

    fn cell(&self, object: &Value, now: Timestamp) -> Value {
        let Some(value) = json_path::find(&self.json_path, object) else { return Value::Null };
        match (self.kind.as_str(), value) {
            (_, Value::Null) => Value::Null,
            ("string", Value::String(text)) => json!(text),
            ("string", other) => json!(other.to_string()),
            ("integer", Value::Number(number)) => {
                json!(number.as_i64().or(number.as_f64().map(|float| float as i64)))
            }
            ("number", Value::Number(number)) => json!(number.as_f64()),
            ("boolean", Value::Bool(flag)) => json!(flag),
            ("date", Value::String(stamp)) => match stamp.parse::<Timestamp>() {
                Ok(then) => json!(age_since(Some(then), now)),
                Err(_) => json!("<invalid>"),
            },
            _ => Value::Null,
        }
    }

    fn definition(&self) -> Value {
        let described = if self.description.is_empty() {
            format!("Custom resource definition column (in JSONPath format): {}", self.json_path)
        } else {
            self.description.clone()
        };
        definition(&self.name, &self.kind, &self.format, &described, self.priority)
    }
}

/// The table of objects of a built-in kind. Kinds without columns of their own get name and time of creation.
///
/// `metadata` of the table is empty: the caller adds the resource version of the list. Cells of all columns are
/// there, also those of `-o wide` (priority 1), as kube-apiserver sends them.
pub fn builtin_table(gvk: &Gvk, objects: &[Value], now: Timestamp, include: IncludeObject) -> Value {
    let columns = columns::of(gvk);
    let definitions = columns.iter().map(Column::definition).collect();
    let rows = objects.iter().map(|object| {
        let cells = cells(gvk, &View { object, now });
        let mut row = row(cells, object, include);
        if let Some(conditions) = pod_row::conditions(gvk, object) {
            row.insert("conditions".to_owned(), conditions);
        }
        Value::Object(row)
    });
    table(definitions, rows.collect())
}

/// The table of custom resources: their name, then `columns`. `metadata` is empty as in [`builtin_table`].
pub fn crd_table(
    columns: &[PrinterColumn],
    objects: &[Value],
    now: Timestamp,
    include: IncludeObject,
) -> Value {
    let mut definitions = vec![columns::NAME.definition()];
    definitions.extend(columns.iter().map(PrinterColumn::definition));
    let rows = objects.iter().map(|object| {
        let mut cells = vec![json!(View { object, now }.name())];
        cells.extend(columns.iter().map(|column| column.cell(object, now)));
        Value::Object(row(cells, object, include))
    });
    table(definitions, rows.collect())
}

fn cells(gvk: &Gvk, view: &View<'_>) -> Vec<Value> {
    match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => pod_row::cells(view),
        ("", "Service") => network_rows::service(view),
        ("", "Endpoints") => network_rows::endpoints(view),
        ("discovery.k8s.io", "EndpointSlice") => network_rows::endpoint_slice(view),
        ("networking.k8s.io", "NetworkPolicy") => network_rows::network_policy(view),
        ("networking.k8s.io", "Ingress") => network_rows::ingress(view),
        ("networking.k8s.io", "IngressClass") => network_rows::ingress_class(view),
        ("apps", "Deployment") => workload_rows::deployment(view),
        ("apps", "ReplicaSet") | ("", "ReplicationController") => workload_rows::replica_set(view),
        ("apps", "StatefulSet") => workload_rows::stateful_set(view),
        ("apps", "DaemonSet") => workload_rows::daemon_set(view),
        ("apps", "ControllerRevision") => workload_rows::controller_revision(view),
        ("batch", "Job") => workload_rows::job(view),
        ("batch", "CronJob") => workload_rows::cron_job(view),
        ("", "PodTemplate") => workload_rows::pod_template(view),
        ("autoscaling", "HorizontalPodAutoscaler") => workload_rows::autoscaler(view),
        ("policy", "PodDisruptionBudget") => workload_rows::disruption_budget(view),
        ("", "Node") => misc_rows::node(view),
        ("" | "events.k8s.io", "Event") => misc_rows::event(view),
        ("", "Namespace") => vec![json!(view.name()), json!(view.text("/status/phase")), view.age()],
        ("", "ConfigMap") => {
            vec![json!(view.name()), json!(view.size("/data") + view.size("/binaryData")), view.age()]
        }
        ("", "Secret") => {
            vec![json!(view.name()), json!(view.text("/type")), json!(view.size("/data")), view.age()]
        }
        ("", "ServiceAccount") => vec![json!(view.name()), json!(view.list("/secrets").len()), view.age()],
        ("", "PersistentVolume") => misc_rows::persistent_volume(view),
        ("", "PersistentVolumeClaim") => misc_rows::claim(view),
        ("", "ResourceQuota") => misc_rows::resource_quota(view),
        ("rbac.authorization.k8s.io", "RoleBinding" | "ClusterRoleBinding") => misc_rows::role_binding(view),
        ("coordination.k8s.io", "Lease") => {
            vec![json!(view.name()), json!(view.text("/spec/holderIdentity")), view.age()]
        }
        ("storage.k8s.io", "StorageClass") => misc_rows::storage_class(view),
        ("scheduling.k8s.io", "PriorityClass") => misc_rows::priority_class(view),
        _ => vec![json!(view.name()), json!(view.text("/metadata/creationTimestamp"))],
    }
}

fn row(cells: Vec<Value>, object: &Value, include: IncludeObject) -> Map<String, Value> {
    let mut row = Map::new();
    row.insert("cells".to_owned(), Value::Array(cells));
    let carried = match include {
        IncludeObject::Metadata => json!({
            "kind": "PartialObjectMetadata",
            "apiVersion": "meta.k8s.io/v1",
            "metadata": object.get("metadata").cloned().unwrap_or_default(),
        }),
        IncludeObject::Object => object.clone(),
        IncludeObject::None => Value::Null,
    };
    if !carried.is_null() {
        row.insert("object".to_owned(), carried);
    }
    row
}

fn table(definitions: Vec<Value>, rows: Vec<Value>) -> Value {
    json!({
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": {},
        "columnDefinitions": definitions,
        "rows": rows,
    })
}

fn definition(name: &str, kind: &str, format: &str, description: &str, priority: i64) -> Value {
    json!({"name": name, "type": kind, "format": format, "description": description, "priority": priority})
}
