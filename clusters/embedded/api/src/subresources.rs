//! Subresources that are neither the status nor a stream, and the kinds that are only questions.

use bytes::Bytes;
use embedded_machinery::FieldError;
use embedded_machinery::builtin::Subresource;
use embedded_machinery::status::Status;
use http::{HeaderMap, StatusCode};
use serde_json::{Value, json};

use crate::catalog::Resource;
use crate::failure::{Failure, Outcome};
use crate::media::{self, Received};
use crate::object;
use crate::reply::{Document, Reply};
use crate::verbs::{Call, Part};

mod review;
mod scale;
mod token;

/// Answers a request to a subresource.
pub(crate) fn answer(
    call: &Call,
    name: &str,
    verb: &str,
    headers: &HeaderMap,
    body: &Bytes,
) -> Outcome<Reply> {
    let resource = &call.resource;
    let has = |subresource: Subresource| resource.subresources.contains(&subresource);
    let received = || media::decode(headers, body);
    match (name, verb) {
        ("scale", _) if resource.scale.is_some() => scale::answer(call, verb, headers, body),
        ("binding", "create") if has(Subresource::Binding) => bind(call, &received()?.value),
        ("eviction", "create") if has(Subresource::Eviction) => evict(call, &received()?.value),
        ("token", "create") if has(Subresource::Token) => token::request(call, received()?.value),
        ("finalize", "update") if has(Subresource::Finalize) => part(call, "finalize").replace(received()?),
        ("ephemeralcontainers", _) if has(Subresource::EphemeralContainers) => {
            within_spec(&part(call, "ephemeralcontainers"), verb, headers, body)
        }
        ("resize", _) if has(Subresource::Resize) => within_spec(&part(call, "resize"), verb, headers, body),
        ("binding" | "eviction" | "token" | "finalize" | "status", _) => Err(Failure::method_not_allowed()),
        _ => Err(Failure::no_such_path()),
    }
}

/// Answers a kind that is only a question: the reviews, and bindings made without naming the pod in the path.
pub(crate) fn question(call: &Call, received: Received) -> Outcome<Reply> {
    if call.resource.is_core("Binding") {
        let Some(pods) = call.state.catalog.find("", "v1", "pods") else {
            return Err(Failure::no_such_path());
        };
        let name = object::name(&received.value).to_owned();
        return bind(&Call { resource: pods, name, ..call.clone() }, &received.value);
    }
    review::answer(call, received.value)
}

fn part(call: &Call, name: &'static str) -> Call {
    Call { part: Part::Other(name), ..call.clone() }
}

fn within_spec(call: &Call, verb: &str, headers: &HeaderMap, body: &Bytes) -> Outcome<Reply> {
    match verb {
        "get" => call.get(),
        "update" => call.replace(media::decode(headers, body)?),
        "patch" => call.patch(headers, body),
        _ => Err(Failure::method_not_allowed()),
    }
}

/// The answer to a creation that leaves nothing to show.
fn created() -> Reply {
    let status =
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201});
    Reply { code: StatusCode::CREATED, document: Document::Fixed(status), warnings: Vec::new() }
}

/// `pods/binding`: puts a pod on a node, as the scheduler does.
fn bind(call: &Call, binding: &Value) -> Outcome<Reply> {
    let node = object::text(binding, &["target", "name"]).to_owned();
    if node.is_empty() {
        let error = FieldError::required("target.name", "");
        return Err(invalid_binding(&call.resource, &call.name, error));
    }
    let part = part(call, "binding");
    part.rewrite(|pod| {
        let refuse = |why: String| Failure::conflict(&call.resource, &call.name, &why);
        if object::is_deleting(pod) {
            return Err(refuse(format!("pod {} is being deleted, cannot be assigned to a host", call.name)));
        }
        let present = object::text(pod, &["spec", "nodeName"]);
        if !present.is_empty() {
            return Err(refuse(format!("pod {} is already assigned to node {present:?}", call.name)));
        }
        let mut pod = pod.clone();
        object::set(&mut pod, &["spec", "nodeName"], node.as_str());
        schedule(&mut pod);
        Ok(pod)
    })?;
    Ok(created())
}

fn invalid_binding(resource: &Resource, name: &str, error: FieldError) -> Failure {
    let gvk = embedded_machinery::Gvk::new(&resource.group, &resource.version, "Binding");
    Status::invalid(&gvk, name, &[error]).into()
}

/// Sets the condition PodScheduled.
fn schedule(pod: &mut Value) {
    let now = object::now();
    let conditions = object::object_at(pod, &["status"]).entry("conditions").or_insert(Value::Null);
    if !conditions.is_array() {
        *conditions = json!([]);
    }
    let Some(list) = conditions.as_array_mut() else { return };
    list.retain(|condition| condition["type"] != "PodScheduled");
    list.push(
        json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now}),
    );
}

/// `pods/eviction`: a deletion that disruption budgets can forbid.
fn evict(call: &Call, eviction: &Value) -> Outcome<Reply> {
    let pod = call.current()?;
    if let Some(budget) = forbidding_budget(call, &pod.value)? {
        let mut status = Status::too_many_requests(
            "Cannot evict pod as it would violate the pod's disruption budget.",
            10,
        );
        let message = format!(
            "The disruption budget {} needs {} healthy pods and has {} currently",
            object::name(&budget),
            budget["status"]["desiredHealthy"],
            budget["status"]["currentHealthy"]
        );
        if let Some(details) = &mut status.details {
            let cause = embedded_machinery::status::Cause {
                reason: "DisruptionBudget".to_owned(),
                message,
                field: String::new(),
            };
            details.causes.push(cause);
            details.retry_after_seconds = 0;
        }
        return Err(status.into());
    }
    let options = eviction.get("deleteOptions").cloned().unwrap_or_else(|| json!({}));
    call.delete(&options)?;
    Ok(created())
}

/// A disruption budget that selects the pod and allows no disruption now.
fn forbidding_budget(call: &Call, pod: &Value) -> Outcome<Option<Value>> {
    let phase = object::text(pod, &["status", "phase"]);
    if object::is_deleting(pod) || matches!(phase, "Succeeded" | "Failed" | "Pending") {
        return Ok(None);
    }
    let budgets = call.state.store.list("policy/poddisruptionbudgets", &call.namespace).entries;
    let selects = |budget: &Value| {
        embedded_machinery::selector::Labels::from_label_selector(&budget["spec"]["selector"])
            .is_ok_and(|labels| labels.matches_object(pod))
    };
    let forbidding = budgets
        .iter()
        .map(|entry| &entry.value)
        .find(|budget| selects(budget) && budget["status"]["disruptionsAllowed"].as_i64().unwrap_or(0) <= 0);
    Ok(forbidding.cloned())
}
