//! Aggregated discovery (`apidiscovery.k8s.io`): everything in one document.

use axum::body::Body;
use http::header::{ACCEPT, CONTENT_TYPE, HeaderValue, VARY};
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::versions::groups;
use super::{below, verbs};
use crate::catalog::{Resource, Scope};
use crate::reply;

/// A version of the document.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V2,
    V2Beta1,
}

/// The version the caller asks for first, if any.
pub(super) fn wanted(headers: &HeaderMap) -> Option<Version> {
    let accept = headers.get(ACCEPT)?.to_str().ok()?;
    for clause in accept.split(',') {
        let parts: Vec<&str> = clause.split(';').map(str::trim).collect();
        if parts.first() != Some(&"application/json") {
            continue;
        }
        let has = |part: &str| parts.contains(&part);
        if !has("as=APIGroupDiscoveryList") {
            return None;
        }
        match (has("v=v2"), has("v=v2beta1")) {
            (true, _) => return Some(Version::V2),
            (_, true) => return Some(Version::V2Beta1),
            _ => {}
        }
    }
    None
}

/// The document about some kinds.
pub(super) fn respond(kinds: &[&Resource], version: Version) -> Response<Body> {
    let (name, content_type) = match version {
        Version::V2 => ("v2", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"),
        Version::V2Beta1 => {
            ("v2beta1", "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList")
        }
    };
    let items: Vec<Value> = groups(kinds)
        .iter()
        .map(|group| {
            let versions: Vec<Value> = group
                .versions
                .iter()
                .map(|version| {
                    let of_version =
                        kinds.iter().filter(|kind| kind.group == group.name && kind.version == *version);
                    let resources: Vec<Value> = of_version.map(|kind| entry(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            let metadata = match group.name.as_str() {
                "" => json!({"creationTimestamp": null}),
                name => json!({"name": name, "creationTimestamp": null}),
            };
            json!({"metadata": metadata, "versions": versions})
        })
        .collect();
    let document = json!({
        "kind": "APIGroupDiscoveryList",
        "apiVersion": format!("apidiscovery.k8s.io/{name}"),
        "metadata": {},
        "items": items,
    });
    let mut response = reply::json_response(StatusCode::OK, &document);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response.headers_mut().insert(VARY, HeaderValue::from_static("Accept"));
    response
}

fn entry(kind: &Resource) -> Value {
    let own = json!({"group": kind.group, "version": kind.version, "kind": kind.kind});
    let mut entry = json!({
        "resource": kind.plural,
        "responseKind": own,
        "scope": match kind.scope { Scope::Namespaced => "Namespaced", Scope::Cluster => "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short_names.is_empty() {
        entry["shortNames"] = kind.short_names.clone().into();
    }
    if !kind.categories.is_empty() {
        entry["categories"] = kind.categories.clone().into();
    }
    let parts: Vec<Value> = below(kind)
        .into_iter()
        .map(|part| {
            let response_kind = match part.kind {
                Some((group, version, kind)) => json!({"group": group, "version": version, "kind": kind}),
                None => own.clone(),
            };
            json!({"subresource": part.name, "responseKind": response_kind, "verbs": part.verbs})
        })
        .collect();
    if !parts.is_empty() {
        entry["subresources"] = parts.into();
    }
    entry
}
