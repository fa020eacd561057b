//! `pods/log`.

use std::convert::Infallible;

use axum::body::Body;
use futures::StreamExt as _;
use http::{Response, StatusCode};
use serde_json::Value;
use tokio::sync::oneshot;
use tokio_stream::wrappers::ReceiverStream;

use super::node;
use crate::failure::{Failure, Outcome};
use crate::node_requests::NodeRequest;
use crate::object;
use crate::reply;
use crate::verbs::Call;

/// Opens the log of a container.
pub(super) async fn open(call: &Call) -> Outcome<Response<Body>> {
    let pod = call.current()?;
    let query = &call.query;
    let container = choose_container(call, &pod.value)?;
    if object::text(&pod.value, &["spec", "nodeName"]).is_empty() {
        // Nothing has run, so nothing was written.
        return Ok(reply::response(StatusCode::OK, "text/plain", Body::empty()));
    }
    let since_seconds = match (query.number("sinceSeconds")?, query.get("sinceTime")) {
        (Some(seconds), _) => Some(seconds),
        (None, None) => None,
        (None, Some(time)) => Some(seconds_since(time)?),
    };
    let (reply, answer) = oneshot::channel();
    let request = NodeRequest::Logs {
        namespace: call.namespace.clone(),
        pod: call.name.clone(),
        container,
        follow: query.flag("follow"),
        tail_lines: query.number("tailLines")?,
        previous: query.flag("previous"),
        timestamps: query.flag("timestamps"),
        since_seconds,
        limit_bytes: query.number("limitBytes")?,
        reply,
    };
    let chunks = node::ask(&call.state, request, answer).await?;
    let stop = call.state.stop.clone().cancelled_owned();
    let stream = ReceiverStream::new(chunks).map(Ok::<_, Infallible>).take_until(stop);
    Ok(reply::response(StatusCode::OK, "text/plain", Body::from_stream(stream)))
}

fn seconds_since(time: &str) -> Outcome<u64> {
    let since: jiff::Timestamp = time
        .parse()
        .map_err(|_| Failure::bad_request(format!("sinceTime: {time:?} is not an RFC 3339 time")))?;
    let seconds = jiff::Timestamp::now().as_second() - since.as_second();
    Ok(u64::try_from(seconds).unwrap_or(0))
}

/// The container a request is about: the one it names, or the only one, or the one an annotation marks.
pub(super) fn choose_container(call: &Call, pod: &Value) -> Outcome<String> {
    let names = |list: &str| -> Vec<&str> {
        let list = pod["spec"][list].as_array().into_iter().flatten();
        list.filter_map(|container| container["name"].as_str()).collect()
    };
    let (main, init, ephemeral) =
        (names("containers"), names("initContainers"), names("ephemeralContainers"));
    if let Some(name) = call.query.get("container") {
        let known = main.iter().chain(&init).chain(&ephemeral).any(|known| *known == name);
        return match known {
            true => Ok(name.to_owned()),
            false => {
                Err(Failure::bad_request(format!("container {name} is not valid for pod {}", call.name)))
            }
        };
    }
    let annotated = pod["metadata"]["annotations"]["kubectl.kubernetes.io/default-container"].as_str();
    if let Some(name) = annotated.filter(|name| main.contains(name)) {
        return Ok(name.to_owned());
    }
    match main.as_slice() {
        [only] => Ok((*only).to_owned()),
        many => {
            let mut why = format!(
                "a container name must be specified for pod {}, choose one of: [{}]",
                call.name,
                many.join(" ")
            );
            if !init.is_empty() {
                why = format!("{why} or one of the init containers: [{}]", init.join(" "));
            }
            Err(Failure::bad_request(why))
        }
    }
}
