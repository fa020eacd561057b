//! Answers: from a result to an HTTP response in the form the caller asked for.

use std::sync::Arc;

use axum::body::Body;
use embedded_machinery::table::{self, IncludeObject};
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use serde_json::{Map, Value, json};

use crate::catalog::{Origin, Resource};
use crate::failure::Failure;
use crate::media::{self, Encoding, Form, Wanted};
use crate::store::Entry;
use crate::view;

/// What an answer holds.
#[derive(Debug)]
pub(crate) enum Document {
    /// A stored object.
    Stored(Arc<Entry>),
    /// An object that is not (or not so) in the store.
    Value(Value),
    /// Something that has no other form, such as a `Status` or a `Scale`.
    Fixed(Value),
    /// Objects of one kind.
    List(List),
}

/// The answer to a list.
#[derive(Debug)]
pub(crate) struct List {
    pub(crate) entries: Vec<Arc<Entry>>,
    pub(crate) revision: u64,
    pub(crate) continue_token: Option<String>,
    pub(crate) remaining: Option<usize>,
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) code: StatusCode,
    pub(crate) document: Document,
    pub(crate) warnings: Vec<String>,
}

impl Reply {
    /// 200 without warnings.
    pub(crate) fn ok(document: Document) -> Reply {
        Reply { code: StatusCode::OK, document, warnings: Vec::new() }
    }

    /// The response over HTTP.
    pub(crate) fn respond(
        self,
        resource: &Resource,
        wanted: Wanted,
        include: IncludeObject,
    ) -> Response<Body> {
        let bytes = match (&self.document, wanted.form, wanted.encoding) {
            (Document::Stored(entry), Form::Whole, Encoding::Json) => view::json(resource, entry).to_vec(),
            (Document::List(list), Form::Whole, Encoding::Json) => list_json(resource, list),
            (document, form, encoding) => media::encode(encoding, &shaped(resource, document, form, include)),
        };
        let mut response = response(self.code, wanted.encoding.content_type(), bytes);
        for warning in self.warnings {
            if let Some(value) = warning_header(&warning) {
                response.headers_mut().append(HeaderName::from_static("warning"), value);
            }
        }
        response
    }
}

/// A response with a body.
pub(crate) fn response(
    code: StatusCode,
    content_type: &'static str,
    body: impl Into<Body>,
) -> Response<Body> {
    let mut response = Response::new(body.into());
    *response.status_mut() = code;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache, private"));
    response
}

/// A JSON response.
pub(crate) fn json_response(code: StatusCode, value: &Value) -> Response<Body> {
    response(code, "application/json", media::encode(Encoding::Json, value))
}

/// The response to a refused request.
pub(crate) fn refusal(failure: &Failure) -> Response<Body> {
    let status = &failure.status;
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json_response(code, &failure.to_value());
    let retry = status.details.as_ref().map_or(0, |details| details.retry_after_seconds);
    if retry > 0 {
        response.headers_mut().insert(http::header::RETRY_AFTER, HeaderValue::from(retry));
    }
    response
}

/// `299 - "text"`, as `kubectl` prints after `Warning: `.
fn warning_header(text: &str) -> Option<HeaderValue> {
    let quoted = text.replace('\\', "\\\\").replace('"', "\\\"");
    HeaderValue::from_str(&format!("299 - \"{quoted}\"")).ok()
}

fn list_metadata(list: &List) -> Value {
    let mut metadata = json!({"resourceVersion": list.revision.to_string()});
    if let Some(token) = &list.continue_token {
        metadata["continue"] = token.clone().into();
    }
    if let Some(remaining) = list.remaining {
        metadata["remainingItemCount"] = remaining.into();
    }
    metadata
}

/// A list as JSON, made of the objects' own (already serialised) JSON.
fn list_json(resource: &Resource, list: &List) -> Vec<u8> {
    let head = format!(
        "{{\"kind\":{},\"apiVersion\":{},\"metadata\":{},\"items\":[",
        Value::from(resource.list_kind.as_str()),
        Value::from(resource.api_version.as_str()),
        list_metadata(list)
    );
    let mut bytes = head.into_bytes();
    for (index, entry) in list.entries.iter().enumerate() {
        if index > 0 {
            bytes.push(b',');
        }
        bytes.extend_from_slice(&view::json(resource, entry));
    }
    bytes.extend_from_slice(b"]}\n");
    bytes
}

fn shaped(resource: &Resource, document: &Document, form: Form, include: IncludeObject) -> Value {
    let whole = |entry: &Arc<Entry>| view::value(resource, &entry.value).into_owned();
    match (document, form) {
        (Document::Fixed(value), _) | (Document::Value(value), Form::Whole) => value.clone(),
        (Document::Stored(entry), Form::Whole) => whole(entry),
        (Document::Value(value), Form::Metadata) => view::partial(value),
        (Document::Stored(entry), Form::Metadata) => view::partial(&entry.value),
        (Document::Value(value), Form::Table) => {
            let version = crate::object::resource_version(value).to_owned();
            table(resource, std::slice::from_ref(value), include, json!({"resourceVersion": version}))
        }
        (Document::Stored(entry), Form::Table) => {
            let metadata = json!({"resourceVersion": entry.revision.to_string()});
            table(resource, &[whole(entry)], include, metadata)
        }
        (Document::List(list), Form::Table) => {
            let objects: Vec<Value> = list.entries.iter().map(whole).collect();
            table(resource, &objects, include, list_metadata(list))
        }
        (Document::List(list), Form::Whole) => {
            listed(&resource.list_kind, &resource.api_version, list, whole)
        }
        (Document::List(list), Form::Metadata) => {
            listed("PartialObjectMetadataList", "meta.k8s.io/v1", list, |entry| view::partial(&entry.value))
        }
    }
}

fn listed(kind: &str, api_version: &str, list: &List, item: impl Fn(&Arc<Entry>) -> Value) -> Value {
    let mut value = Map::new();
    value.insert("kind".to_owned(), kind.into());
    value.insert("apiVersion".to_owned(), api_version.into());
    value.insert("metadata".to_owned(), list_metadata(list));
    value.insert("items".to_owned(), list.entries.iter().map(item).collect());
    Value::Object(value)
}

/// The objects as a `meta/v1` Table.
pub(crate) fn table(
    resource: &Resource,
    objects: &[Value],
    include: IncludeObject,
    metadata: Value,
) -> Value {
    let now = jiff::Timestamp::now();
    let mut table = match &resource.origin {
        Origin::Builtin => table::builtin_table(&resource.gvk, objects, now, include),
        Origin::Custom(custom) => table::crd_table(&custom.columns, objects, now, include),
    };
    table["metadata"] = metadata;
    table
}
