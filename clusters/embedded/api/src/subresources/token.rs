//! `serviceaccounts/token`: `authentication.k8s.io/v1` TokenRequest.

use embedded_machinery::FieldError;
use embedded_machinery::Gvk;
use embedded_machinery::status::Status;
use http::StatusCode;
use serde_json::{Value, json};

use crate::authentication::Claims;
use crate::failure::{Failure, Outcome};
use crate::object;
use crate::reply::{Document, Reply};
use crate::verbs::Call;

/// The shortest life a token may be asked for, in seconds.
const SHORTEST: i64 = 600;
/// The longest.
const LONGEST: i64 = 1 << 32;
/// What the ServiceAccount plugin asks for, and what it gets: a token that outlives a forgetful client.
const PLUGIN_ASKS: i64 = 3607;
const PLUGIN_GETS: i64 = 365 * 24 * 3600;

/// Issues a token for the account the call names.
pub(super) fn request(call: &Call, mut wish: Value) -> Outcome<Reply> {
    let account = call.current()?;
    let asked = wish["spec"]["expirationSeconds"].as_i64().unwrap_or(3600);
    let invalid = |error| {
        Err(Status::invalid(&Gvk::new("authentication.k8s.io", "v1", "TokenRequest"), "", &[error]).into())
    };
    if asked < SHORTEST {
        let error = FieldError::invalid(
            "spec.expirationSeconds",
            asked,
            "may not specify a duration less than 10 minutes",
        );
        return invalid(error);
    }
    if asked > LONGEST {
        let error = FieldError::invalid(
            "spec.expirationSeconds",
            asked,
            "may not specify a duration larger than 2^32 seconds",
        );
        return invalid(error);
    }
    let issuer = &call.state.config.issuer;
    let audiences: Vec<String> = wish["spec"]["audiences"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    let audiences = if audiences.is_empty() { vec![issuer.clone(), "k3s".to_owned()] } else { audiences };
    let pod = bound_pod(call, &wish["spec"]["boundObjectRef"])?;
    let seconds = if asked == PLUGIN_ASKS { PLUGIN_GETS } else { asked };
    let token = call.state.tokens.issue(&Claims {
        namespace: &call.namespace,
        account: &call.name,
        account_uid: object::uid(&account.value),
        pod: pod.as_ref().map(|(name, uid)| (name.as_str(), uid.as_str())),
        issuer,
        audiences: audiences.clone(),
        seconds,
    });
    let expires = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(asked);
    object::set(&mut wish, &["kind"], "TokenRequest");
    object::set(&mut wish, &["apiVersion"], "authentication.k8s.io/v1");
    object::set(
        &mut wish,
        &["metadata"],
        json!({"name": call.name, "namespace": call.namespace, "creationTimestamp": object::now()}),
    );
    object::set(&mut wish, &["spec", "audiences"], json!(audiences));
    object::set(&mut wish, &["spec", "expirationSeconds"], asked);
    object::set(
        &mut wish,
        &["status"],
        json!({"token": token, "expirationTimestamp": object::time_text(expires)}),
    );
    Ok(Reply { code: StatusCode::CREATED, document: Document::Fixed(wish), warnings: Vec::new() })
}

/// The pod a token is bound to: it ends with the pod.
fn bound_pod(call: &Call, reference: &Value) -> Outcome<Option<(String, String)>> {
    if reference.is_null() || object::text(reference, &["kind"]) != "Pod" {
        return Ok(None);
    }
    let name = object::text(reference, &["name"]);
    let Some(pods) = call.state.catalog.find("", "v1", "pods") else { return Ok(None) };
    let pod = call
        .state
        .store
        .get(&pods.shelf, &call.namespace, name)
        .ok_or_else(|| Failure::not_found(&pods, name))?;
    let (uid, wanted) = (object::uid(&pod.value), object::text(reference, &["uid"]));
    if !wanted.is_empty() && wanted != uid {
        let why = format!(
            "the UID in the bound object reference ({wanted}) does not match the UID in record. The object might have been deleted and then recreated"
        );
        return Err(Failure::conflict(&pods, name, &why));
    }
    Ok(Some((name.to_owned(), uid.to_owned())))
}
