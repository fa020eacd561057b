//! As much of a Kubernetes API server as the agent asks: one ConfigMap to list and watch, one secret to read.

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde_json::{Value, json};
use std::collections::HashMap;

/// Serves on loopback; the port. `configuration` is the ConfigMap's `agent.yaml`.
pub(crate) async fn start(configuration: String) -> u16 {
    let router = Router::new()
        .route("/api/v1/namespaces/mesh/configmaps", get(config_maps))
        .route("/api/v1/namespaces/mesh/secrets/{name}", get(secret))
        .with_state(configuration);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move { axum::serve(listener, router).await });
    port
}

async fn config_maps(
    State(configuration): State<String>,
    Query(query): Query<HashMap<String, String>>,
) -> Response {
    if query.contains_key("watch") {
        return Response::new(Body::from_stream(futures::stream::pending::<Result<&[u8], std::io::Error>>()));
    }
    let map = json!({
        "apiVersion": "v1", "kind": "ConfigMap",
        "metadata": {"name": "seldon-agent", "namespace": "mesh", "resourceVersion": "1", "uid": "u"},
        "data": {"agent.yaml": configuration},
    });
    Json(json!({
        "apiVersion": "v1", "kind": "ConfigMapList", "metadata": {"resourceVersion": "1"}, "items": [map],
    }))
    .into_response()
}

async fn secret(Path(name): Path<String>) -> (StatusCode, Json<Value>) {
    use base64::Engine;
    if name == "store" {
        let remote = "type: local\nname: store\nparameters:\n  nounc: \"true\"\n";
        let value = base64::engine::general_purpose::STANDARD.encode(remote);
        let metadata = json!({"name": name, "namespace": "mesh"});
        let secret =
            json!({"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "data": {"remote": value}});
        return (StatusCode::OK, Json(secret));
    }
    let status = json!({
        "apiVersion": "v1", "kind": "Status", "metadata": {}, "status": "Failure", "reason": "NotFound",
        "message": format!("secrets \"{name}\" not found"), "code": 404,
        "details": {"name": name, "kind": "secrets"},
    });
    (StatusCode::NOT_FOUND, Json(status))
}
