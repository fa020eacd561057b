//! Role-based access control: whether a binding grants a request.

use serde_json::{Value, json};

use super::{Attributes, Decision, Subject};
use crate::authentication::User;
use crate::object;
use crate::state::State;

const CLUSTER_BINDINGS: &str = "rbac.authorization.k8s.io/clusterrolebindings";
const BINDINGS: &str = "rbac.authorization.k8s.io/rolebindings";

/// Decides from the stored bindings and roles.
pub(super) fn decide(state: &State, user: &User, subject: &Subject) -> Decision {
    if user.groups.iter().any(|group| group == "system:masters") {
        return Decision::Allowed(String::new());
    }
    let namespace = match subject {
        Subject::Object(attributes) => attributes.namespace.as_str(),
        Subject::Path { .. } => "",
    };
    let granted = grants(state, user, namespace)
        .into_iter()
        .find(|grant| grant.rules.iter().any(|rule| allows(rule, subject)));
    granted.map_or(Decision::NoOpinion, |grant| Decision::Allowed(grant.reason))
}

/// The rules a user has in a namespace, for a SelfSubjectRulesReview: those about objects and those about paths.
pub(super) fn rules(state: &State, user: &User, namespace: &str) -> (Vec<Value>, Vec<Value>) {
    if user.groups.iter().any(|group| group == "system:masters") {
        return everything();
    }
    let rules = grants(state, user, namespace).into_iter().flat_map(|grant| grant.rules);
    rules.partition(|rule| rule.get("nonResourceURLs").is_none())
}

/// The rules of whoever may do everything.
pub(super) fn everything() -> (Vec<Value>, Vec<Value>) {
    let objects = json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]});
    (vec![objects], vec![json!({"verbs": ["*"], "nonResourceURLs": ["*"]})])
}

/// The rules that one binding gives.
struct Grant {
    reason: String,
    rules: Vec<Value>,
}

/// What every binding that names the user gives, in the cluster and in the namespace (unless it is `""`).
fn grants(state: &State, user: &User, namespace: &str) -> Vec<Grant> {
    let mut grants = Vec::new();
    for entry in state.store.list(CLUSTER_BINDINGS, "").entries {
        grants.extend(grant(state, user, &entry.value, ""));
    }
    if !namespace.is_empty() {
        for entry in state.store.list(BINDINGS, namespace).entries {
            grants.extend(grant(state, user, &entry.value, namespace));
        }
    }
    grants
}

fn grant(state: &State, user: &User, binding: &Value, namespace: &str) -> Option<Grant> {
    let subjects = binding["subjects"].as_array()?;
    let subject = subjects.iter().find(|subject| names(subject, user, namespace))?;
    let (kind, role) =
        (object::text(binding, &["roleRef", "kind"]), object::text(binding, &["roleRef", "name"]));
    let found = match kind {
        "ClusterRole" => state.store.get("rbac.authorization.k8s.io/clusterroles", "", role),
        _ => state.store.get("rbac.authorization.k8s.io/roles", namespace, role),
    };
    let place = match namespace {
        "" => format!("ClusterRoleBinding {:?}", object::name(binding)),
        namespace => format!("RoleBinding \"{}/{namespace}\"", object::name(binding)),
    };
    let (who, what) = (object::text(subject, &["name"]), object::text(subject, &["kind"]));
    Some(Grant {
        reason: format!("RBAC: allowed by {place} of {kind} {role:?} to {what} {who:?}"),
        rules: found?.value["rules"].as_array().cloned().unwrap_or_default(),
    })
}

/// Whether a binding's subject is the user. A service account without a namespace is one of the binding's own.
fn names(subject: &Value, user: &User, namespace: &str) -> bool {
    let name = object::text(subject, &["name"]);
    match object::text(subject, &["kind"]) {
        "User" => user.name == name,
        "Group" => user.groups.iter().any(|group| group == name),
        "ServiceAccount" => {
            let own = match object::text(subject, &["namespace"]) {
                "" => namespace,
                given => given,
            };
            user.name == format!("system:serviceaccount:{own}:{name}")
        }
        _ => false,
    }
}

/// Whether a rule allows a request.
fn allows(rule: &Value, subject: &Subject) -> bool {
    let has = |key: &str, wanted: &str| {
        let list = rule[key].as_array().map(Vec::as_slice).unwrap_or_default();
        list.iter().any(|value| value == "*" || value == wanted)
    };
    match subject {
        Subject::Path { verb, path } => {
            let urls = rule["nonResourceURLs"].as_array().map(Vec::as_slice).unwrap_or_default();
            has("verbs", verb) && urls.iter().filter_map(Value::as_str).any(|url| covers(url, path))
        }
        Subject::Object(Attributes { verb, group, resource, subresource, name, .. }) => {
            let names = rule["resourceNames"].as_array().map(Vec::as_slice).unwrap_or_default();
            let of_resource = match subresource.as_str() {
                "" => has("resources", resource),
                part => {
                    has("resources", &format!("{resource}/{part}")) || has("resources", &format!("*/{part}"))
                }
            };
            has("verbs", verb)
                && has("apiGroups", group)
                && of_resource
                && (names.is_empty() || names.iter().any(|allowed| allowed == name.as_str()))
        }
    }
}

fn covers(url: &str, path: &str) -> bool {
    match url.strip_suffix('*') {
        Some(prefix) => path.starts_with(prefix),
        None => url == path,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn get(group: &str, resource: &str, subresource: &str, name: &str) -> Subject {
        let own = str::to_owned;
        Subject::Object(Attributes {
            verb: own("get"),
            group: own(group),
            resource: own(resource),
            subresource: own(subresource),
            namespace: own("n"),
            name: own(name),
        })
    }

    #[rstest]
    #[case::plain(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), get("", "pods", "", "p"), true)]
    #[case::other_verb(json!({"verbs": ["list"], "apiGroups": [""], "resources": ["pods"]}), get("", "pods", "", "p"), false)]
    #[case::other_group(json!({"verbs": ["*"], "apiGroups": ["apps"], "resources": ["*"]}), get("", "pods", "", "p"), false)]
    #[case::subresource_is_not_included(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"]}), get("", "pods", "log", "p"), false)]
    #[case::subresource(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods/log"]}), get("", "pods", "log", "p"), true)]
    #[case::everything(json!({"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}), get("apps", "deployments", "scale", "d"), true)]
    #[case::named(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["p"]}), get("", "pods", "", "p"), true)]
    #[case::named_otherwise(json!({"verbs": ["get"], "apiGroups": [""], "resources": ["pods"], "resourceNames": ["q"]}), get("", "pods", "", "p"), false)]
    #[case::path(json!({"verbs": ["get"], "nonResourceURLs": ["/metrics/*"]}), Subject::Path { verb: "get".to_owned(), path: "/metrics/x".to_owned() }, true)]
    fn rules_allow(#[case] rule: Value, #[case] subject: Subject, #[case] expected: bool) {
        assert_eq!(allows(&rule, &subject), expected);
    }
}
