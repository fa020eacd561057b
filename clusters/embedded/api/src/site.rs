//! Paths that are not the API's: health, version, metrics, OpenAPI.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::body::Body;
use http::{Request, Response, StatusCode};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::state::State;
use crate::{openapi, reply};

/// Answers a `GET` outside of `/api` and `/apis`.
pub(crate) fn answer(state: &Arc<State>, request: &Request<Body>) -> Outcome<Response<Body>> {
    let path = request.uri().path().trim_end_matches('/');
    match path {
        "/healthz" | "/livez" | "/readyz" => Ok(health(path, request.uri().query().unwrap_or_default())),
        "/healthz/ping" | "/livez/ping" | "/readyz/ping" => Ok(text("ok")),
        "/version" => Ok(reply::json_response(StatusCode::OK, &version(&state.config.version))),
        "/metrics" => Ok(text(&metrics(state))),
        "/openapi/v2" => Ok(reply::json_response(StatusCode::OK, &openapi::second_version(state))),
        "/openapi/v3" => Ok(reply::json_response(StatusCode::OK, &openapi::index(state))),
        path if path.starts_with("/openapi/v3/") => {
            let document = openapi::document(state, path.trim_start_matches("/openapi/v3/"));
            Ok(reply::json_response(StatusCode::OK, &document.ok_or_else(Failure::no_such_path)?))
        }
        "" => Ok(reply::json_response(StatusCode::OK, &json!({"paths": paths(state)}))),
        _ => Err(Failure::no_such_path()),
    }
}

fn text(text: &str) -> Response<Body> {
    reply::response(StatusCode::OK, "text/plain; charset=utf-8", text.to_owned())
}

fn health(path: &str, query: &str) -> Response<Body> {
    if query.split('&').any(|pair| pair == "verbose" || pair.starts_with("verbose=")) {
        let name = path.trim_start_matches('/');
        return text(&format!("[+]ping ok\n[+]log ok\n[+]etcd ok\n{name} check passed\n"));
    }
    text("ok")
}

fn version(git_version: &str) -> serde_json::Value {
    let mut numbers = git_version.trim_start_matches('v').split('.');
    let mut number = || numbers.next().unwrap_or_default().to_owned();
    json!({
        "major": number(), "minor": number(), "emulationMajor": "1", "emulationMinor": "33",
        "minCompatibilityMajor": "1", "minCompatibilityMinor": "32",
        "gitVersion": git_version, "gitCommit": "", "gitTreeState": "clean", "buildDate": "",
        "goVersion": "", "compiler": "rustc", "platform": "linux/amd64",
    })
}

fn metrics(state: &State) -> String {
    let mut text = "# HELP apiserver_storage_objects Number of stored objects.\n# TYPE apiserver_storage_objects gauge\n".to_owned();
    for (shelf, count) in state.store.counts() {
        let (group, plural) = shelf.split_once('/').unwrap_or(("", &shelf));
        let resource = if group.is_empty() { plural.to_owned() } else { format!("{plural}.{group}") };
        let _ = writeln!(text, "apiserver_storage_objects{{resource=\"{resource}\"}} {count}");
    }
    text
}

fn paths(state: &State) -> Vec<String> {
    let mut paths = vec!["/api".to_owned(), "/api/v1".to_owned(), "/apis".to_owned()];
    for (group, version, _) in state.catalog.all().keys().filter(|(group, _, _)| !group.is_empty()) {
        for path in [format!("/apis/{group}"), format!("/apis/{group}/{version}")] {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    let others = ["/healthz", "/livez", "/metrics", "/openapi/v2", "/openapi/v3", "/readyz", "/version"];
    paths.extend(others.map(str::to_owned));
    paths
}
