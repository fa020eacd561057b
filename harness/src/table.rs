//! Objects as the API server prints them: its tables, which kubectl only aligns.

use http::HeaderValue;
use http::header::ACCEPT;
use kube::Client;
use kube::api::ListParams;
use kube::core::{DynamicObject, Request, Resource};
use serde_json::Value;

use crate::object::Kind;

const TABLE: HeaderValue = HeaderValue::from_static("application/json;as=Table;v=v1;g=meta.k8s.io");

/// Headings and rows of the objects of `kind` in `namespace` (all when empty), the namespace first. All columns,
/// those of `--output wide` too; a null cell is empty, as kubectl prints it.
pub(crate) async fn read(client: &Client, kind: Kind, namespace: &str) -> anyhow::Result<Vec<Vec<String>>> {
    let space = (!namespace.is_empty()).then_some(namespace);
    let path = DynamicObject::url_path(&kind.resource(), space);
    let mut request = Request::new(path).list(&ListParams::default())?;
    request.headers_mut().insert(ACCEPT, TABLE);
    let table: Value = client.request(request).await?;
    let items = |field: &str| table[field].as_array().cloned().unwrap_or_default();
    let headings = items("columnDefinitions").into_iter().map(|column| text(&column["name"]).to_uppercase());
    let mut rows = vec![std::iter::once("NAMESPACE".to_owned()).chain(headings).collect()];
    for row in items("rows") {
        let cells = row["cells"].as_array().into_iter().flatten().map(text);
        rows.push(std::iter::once(text(&row["object"]["metadata"]["namespace"])).chain(cells).collect());
    }
    Ok(rows)
}

fn text(cell: &Value) -> String {
    match cell {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
