//! Who may do what.

use embedded_machinery::status::{GroupResource, Status};
use http::Method;
use serde_json::{Value, json};

use crate::authentication::User;
use crate::config::Authorization;
use crate::failure::{Failure, Outcome};
use crate::state::State;
use crate::verbs::Call;

mod rbac;

/// Paths anyone may read, as the `system:public-info-viewer` role grants them.
const PUBLIC: [&str; 4] = ["/healthz", "/livez", "/readyz", "/version"];

/// What someone wants to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Subject {
    /// Something to objects.
    Object(Attributes),
    /// Something to a path that is no object's.
    Path { verb: String, path: String },
}

/// A request about objects, as rules see it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Attributes {
    pub(crate) verb: String,
    pub(crate) group: String,
    pub(crate) resource: String,
    pub(crate) subresource: String,
    pub(crate) namespace: String,
    pub(crate) name: String,
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Decision {
    /// Yes, and why.
    Allowed(String),
    /// Nothing grants it.
    NoOpinion,
}

/// Decides.
pub(crate) fn decide(state: &State, user: &User, subject: &Subject) -> Decision {
    if let Subject::Path { verb, path } = subject {
        let public =
            |open: &str| path.strip_prefix(open).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if matches!(verb.as_str(), "get" | "head") && PUBLIC.into_iter().any(public) {
            return Decision::Allowed("this path is public".to_owned());
        }
    }
    if !user.is_known() {
        return Decision::NoOpinion;
    }
    match state.config.authorization {
        Authorization::AlwaysAllow => Decision::Allowed(String::new()),
        Authorization::Rbac => rbac::decide(state, user, subject),
    }
}

/// Refuses what the caller may not do to objects.
pub(crate) fn check_object(call: &Call, verb: &str, subresource: &str) -> Outcome<()> {
    let attributes = Attributes {
        verb: verb.to_owned(),
        group: call.resource.group.clone(),
        resource: call.resource.plural.clone(),
        subresource: subresource.to_owned(),
        namespace: call.namespace.clone(),
        name: call.name.clone(),
    };
    let subject = Subject::Object(attributes);
    if decide(&call.state, &call.user, &subject) != Decision::NoOpinion {
        return Ok(());
    }
    let resource = match subresource {
        "" => call.resource.plural.clone(),
        subresource => format!("{}/{subresource}", call.resource.plural),
    };
    let place = match call.namespace.as_str() {
        "" => "at the cluster scope".to_owned(),
        namespace => format!("in the namespace {namespace:?}"),
    };
    let why = format!(
        "User {:?} cannot {verb} resource {resource:?} in API group {:?} {place}",
        call.user.name, call.resource.group
    );
    Err(Failure::forbidden(&call.resource, &call.name, &why))
}

/// Refuses what the caller may not do to a path that is no object's.
pub(crate) fn check_path(state: &State, user: &User, method: &Method, path: &str) -> Outcome<()> {
    let verb = method.as_str().to_lowercase();
    let subject = Subject::Path { verb: verb.clone(), path: path.to_owned() };
    if decide(state, user, &subject) != Decision::NoOpinion {
        return Ok(());
    }
    let why = format!("User {:?} cannot {verb} path {path:?}", user.name);
    Err(Status::forbidden(GroupResource { group: "", resource: "" }, "", &why).into())
}

/// The status of a SelfSubjectRulesReview.
pub(crate) fn rules(call: &Call, namespace: &str) -> Value {
    let (objects, paths) = match call.state.config.authorization {
        _ if !call.user.is_known() => (Vec::new(), Vec::new()),
        Authorization::AlwaysAllow => rbac::everything(),
        Authorization::Rbac => rbac::rules(&call.state, &call.user, namespace),
    };
    json!({"resourceRules": objects, "nonResourceRules": paths, "incomplete": false})
}
