//! Prometheus metrics of the agent, on port 9006: the capacity of the replica and what is loaded.

use std::sync::Arc;

use http::{Response, StatusCode};

use crate::go_http;
use crate::log::Log;
use crate::residency::Residency;

/// Labels and constants of this replica's metrics.
#[derive(Debug, Clone)]
pub(crate) struct Labels {
    pub(crate) server: String,
    pub(crate) replica: u32,
    pub(crate) capacity: u64,
    pub(crate) over_commit: u32,
}

/// Starts the endpoint.
///
/// # Errors
/// When the port cannot be had.
pub(crate) async fn start(
    port: u16,
    labels: Labels,
    residency: Arc<Residency>,
    log: &Log,
) -> std::io::Result<()> {
    log.with("source", "PrometheusMetrics").info(format!("Starting metrics server on port {port}"));
    let listener = go_http::listen(port).await?;
    tokio::spawn(go_http::serve(listener, move |request, _| {
        let answer = match request.uri().path() {
            "/metrics" => {
                let text = render(&labels, &residency.book().snapshot());
                let mut answer = Response::new(go_http::full(text));
                let kind = http::HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
                answer.headers_mut().insert(http::header::CONTENT_TYPE, kind);
                *answer.status_mut() = StatusCode::OK;
                answer
            }
            _ => go_http::not_found(),
        };
        std::future::ready(answer)
    }));
    Ok(())
}

fn render(labels: &Labels, models: &[(String, bool)]) -> String {
    let own = format!("server=\"{}\",server_replica=\"{}\"", labels.server, labels.replica);
    let mut text = String::new();
    for (model, resident) in models {
        let value = u8::from(*resident);
        text.push_str(&format!("seldon_loaded_model_gauge{{model_internal=\"{model}\",{own}}} {value}\n"));
    }
    let with_over_commit = labels.capacity as f32 * (1.0 + labels.over_commit as f32 / 100.0);
    text.push_str(&format!(
        "seldon_server_replica_memory_capacity_bytes_gauge{{{own}}} {}\n\
         seldon_server_replica_memory_capacity_overcommit_bytes_gauge{{{own}}} {with_over_commit}\n",
        labels.capacity
    ));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_capacity_is_told() {
        let labels = Labels { server: "mlserver".into(), replica: 0, capacity: 1000, over_commit: 10 };
        insta::assert_snapshot!(render(&labels, &[("iris_1".into(), true)]), @r#"
        seldon_loaded_model_gauge{model_internal="iris_1",server="mlserver",server_replica="0"} 1
        seldon_server_replica_memory_capacity_bytes_gauge{server="mlserver",server_replica="0"} 1000
        seldon_server_replica_memory_capacity_overcommit_bytes_gauge{server="mlserver",server_replica="0"} 1100
        "#);
    }
}
