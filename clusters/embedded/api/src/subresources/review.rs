//! Reviews: kinds that are created only to be answered.

use http::StatusCode;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::authorization::{self, Attributes, Subject};
use crate::failure::{Failure, Outcome};
use crate::object;
use crate::reply::{Document, Reply};
use crate::verbs::Call;

/// Answers a review.
pub(super) fn answer(call: &Call, mut review: Value) -> Outcome<Reply> {
    let kind = call.resource.kind.as_str();
    let status = match kind {
        "SelfSubjectAccessReview" => access(call, &call.user, &review["spec"]),
        "SubjectAccessReview" | "LocalSubjectAccessReview" => {
            access(call, &named_user(&review["spec"]), &review["spec"])
        }
        "SelfSubjectRulesReview" => authorization::rules(call, object::text(&review, &["spec", "namespace"])),
        "SelfSubjectReview" => json!({"userInfo": user_info(&call.user)}),
        "TokenReview" => token(call, object::text(&review, &["spec", "token"])),
        _ => return Err(Failure::method_not_allowed()),
    };
    object::set(&mut review, &["kind"], kind);
    object::set(&mut review, &["apiVersion"], call.resource.api_version.as_str());
    object::object_at(&mut review, &["metadata"]).entry("creationTimestamp").or_insert(Value::Null);
    object::set(&mut review, &["status"], status);
    Ok(Reply { code: StatusCode::CREATED, document: Document::Fixed(review), warnings: Vec::new() })
}

fn access(call: &Call, user: &User, spec: &Value) -> Value {
    let text = |value: &Value, key: &str| object::text(value, &[key]).to_owned();
    let subject = match spec.get("nonResourceAttributes").filter(|value| !value.is_null()) {
        Some(attributes) => Subject::Path { verb: text(attributes, "verb"), path: text(attributes, "path") },
        None => {
            let attributes = &spec["resourceAttributes"];
            Subject::Object(Attributes {
                verb: text(attributes, "verb"),
                group: text(attributes, "group"),
                resource: text(attributes, "resource"),
                subresource: text(attributes, "subresource"),
                namespace: text(attributes, "namespace"),
                name: text(attributes, "name"),
            })
        }
    };
    match authorization::decide(&call.state, user, &subject) {
        authorization::Decision::Allowed(reason) => json!({"allowed": true, "reason": reason}),
        authorization::Decision::NoOpinion => json!({"allowed": false}),
    }
}

fn named_user(spec: &Value) -> User {
    let groups = spec["groups"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .map(str::to_owned)
        .collect();
    User {
        name: object::text(spec, &["user"]).to_owned(),
        uid: object::text(spec, &["uid"]).to_owned(),
        groups,
    }
}

fn user_info(user: &User) -> Value {
    let mut info = json!({"username": user.name, "groups": user.groups});
    if !user.uid.is_empty() {
        info["uid"] = user.uid.clone().into();
    }
    info
}

fn token(call: &Call, token: &str) -> Value {
    match call.state.tokens.user(token, &call.state.store) {
        Some(user) => {
            json!({"authenticated": true, "user": user_info(&user), "audiences": [call.state.config.issuer]})
        }
        None => json!({"user": {}, "error": "invalid bearer token"}),
    }
}
