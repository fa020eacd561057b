//! Discovery: which groups, versions and kinds are served.

use std::sync::Arc;

use axum::body::Body;
use embedded_machinery::builtin::Subresource;
use http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use crate::catalog::{self, Resource, Scope};
use crate::failure::{Failure, Outcome};
use crate::path::Route;
use crate::reply;
use crate::state::State;

mod aggregated;
mod versions;

/// What can be done with a stored kind.
const VERBS: [&str; 8] = ["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

/// Answers a `GET` of a discovery path.
pub(crate) fn answer(state: &Arc<State>, route: &Route, headers: &HeaderMap) -> Outcome<Response<Body>> {
    let kinds = state.catalog.all();
    let all: Vec<&Resource> = kinds.values().map(Arc::as_ref).collect();
    if let (Some(version), Route::CoreVersions | Route::Groups) = (aggregated::wanted(headers), route) {
        let core = *route == Route::CoreVersions;
        let chosen: Vec<&Resource> = all.into_iter().filter(|kind| kind.group.is_empty() == core).collect();
        return Ok(aggregated::respond(&chosen, version));
    }
    let value = match route {
        Route::CoreVersions => json!({
            "kind": "APIVersions",
            "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": server_address(state)}],
        }),
        Route::Groups => {
            let groups: Vec<Value> = versions::groups(&all)
                .iter()
                .filter(|group| !group.name.is_empty())
                .map(versions::Group::to_value)
                .collect();
            json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups})
        }
        Route::Group(name) => {
            let groups = versions::groups(&all);
            let found = groups.iter().find(|group| group.name == *name).ok_or_else(Failure::no_such_path)?;
            let mut value = found.to_value();
            value["kind"] = "APIGroup".into();
            value["apiVersion"] = "v1".into();
            value
        }
        Route::GroupVersion(group, version) => {
            let chosen: Vec<&Resource> =
                all.into_iter().filter(|kind| kind.group == *group && kind.version == *version).collect();
            if chosen.is_empty() {
                return Err(Failure::no_such_path());
            }
            json!({
                "kind": "APIResourceList",
                "apiVersion": "v1",
                "groupVersion": catalog::api_version(group, version),
                "resources": chosen.into_iter().flat_map(resource_entries).collect::<Vec<_>>(),
            })
        }
        Route::Object(_) | Route::Other => return Err(Failure::no_such_path()),
    };
    Ok(reply::json_response(StatusCode::OK, &value))
}

fn server_address(state: &State) -> String {
    match state.config.endpoint {
        Some((host, port)) => format!("{host}:{port}"),
        None => "127.0.0.1:6443".to_owned(),
    }
}

/// A subresource as discovery shows it.
struct Below {
    name: &'static str,
    /// Group, version and kind of what is exchanged; `None` for the kind itself.
    kind: Option<(&'static str, &'static str, &'static str)>,
    verbs: &'static [&'static str],
}

/// The subresources of a kind.
fn below(resource: &Resource) -> Vec<Below> {
    let change: &[&str] = &["get", "patch", "update"];
    let mut found = Vec::new();
    let mut add = |name, kind, verbs| found.push(Below { name, kind, verbs });
    for subresource in &resource.subresources {
        match subresource {
            Subresource::Status => add("status", None, change),
            Subresource::Scale => add("scale", Some(("autoscaling", "v1", "Scale")), change),
            Subresource::Log => add("log", None, &["get"]),
            Subresource::Exec => add("exec", Some(("", "v1", "PodExecOptions")), &["create", "get"]),
            Subresource::Attach => add("attach", Some(("", "v1", "PodAttachOptions")), &["create", "get"]),
            Subresource::PortForward => {
                add("portforward", Some(("", "v1", "PodPortForwardOptions")), &["create", "get"])
            }
            // HTTP through the server is not served, so it is not shown.
            Subresource::Proxy => {}
            Subresource::Binding => add("binding", Some(("", "v1", "Binding")), &["create"]),
            Subresource::Eviction => add("eviction", Some(("policy", "v1", "Eviction")), &["create"]),
            Subresource::EphemeralContainers => add("ephemeralcontainers", None, change),
            Subresource::Resize => add("resize", None, change),
            Subresource::Token => {
                add("token", Some(("authentication.k8s.io", "v1", "TokenRequest")), &["create"])
            }
            Subresource::Finalize => add("finalize", None, &["update"]),
        }
    }
    if resource.custom().is_some() {
        if resource.has_status {
            add("status", None, change);
        }
        if resource.scale.is_some() {
            add("scale", Some(("autoscaling", "v1", "Scale")), change);
        }
    }
    found
}

fn verbs(resource: &Resource) -> Vec<&'static str> {
    if !resource.stored {
        return vec!["create"];
    }
    // Namespaces are ended one by one.
    let no_collection = resource.is_core("Namespace");
    VERBS.into_iter().filter(|verb| !(no_collection && *verb == "deletecollection")).collect()
}

/// A kind and its subresources as entries of an APIResourceList.
fn resource_entries(resource: &Resource) -> Vec<Value> {
    let namespaced = resource.scope == Scope::Namespaced;
    let mut main = json!({
        "name": resource.plural, "singularName": resource.singular, "namespaced": namespaced,
        "kind": resource.kind, "verbs": verbs(resource),
    });
    if !resource.short_names.is_empty() {
        main["shortNames"] = resource.short_names.clone().into();
    }
    if !resource.categories.is_empty() {
        main["categories"] = resource.categories.clone().into();
    }
    let mut entries = vec![main];
    for part in below(resource) {
        let mut entry = json!({
            "name": format!("{}/{}", resource.plural, part.name), "singularName": "", "namespaced": namespaced,
            "kind": resource.kind, "verbs": part.verbs,
        });
        if let Some((group, version, kind)) = part.kind {
            entry["kind"] = kind.into();
            entry["version"] = version.into();
            if !group.is_empty() {
                entry["group"] = group.into();
            }
        }
        entries.push(entry);
    }
    entries
}
