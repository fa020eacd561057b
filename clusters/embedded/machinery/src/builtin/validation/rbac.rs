use serde_json::Value;

use super::{Found, list, same, text};
use crate::meta::path_segment;
use crate::{FieldError, Gvk};

const GROUP: &str = "rbac.authorization.k8s.io";

pub(super) fn role(gvk: &Gvk, new: &Value, found: &mut Found) {
    for (index, rule) in list(new, "rules").iter().enumerate() {
        let path = format!("rules[{index}]");
        if list(rule, "verbs").is_empty() {
            found
                .push(FieldError::required(format!("{path}.verbs"), "verbs must contain at least one value"));
        }
        if !list(rule, "nonResourceURLs").is_empty() {
            if gvk.kind == "Role" {
                let detail = "namespaced rules cannot apply to non-resource URLs";
                let shown = super::go_syntax::string_list(rule.get("nonResourceURLs"));
                found.push(FieldError::invalid_verbatim(format!("{path}.nonResourceURLs"), shown, detail));
            }
            continue;
        }
        if list(rule, "apiGroups").is_empty() {
            let detail = "resource rules must supply at least one api group";
            found.push(FieldError::required(format!("{path}.apiGroups"), detail));
        }
        if list(rule, "resources").is_empty() {
            let detail = "resource rules must supply at least one resource";
            found.push(FieldError::required(format!("{path}.resources"), detail));
        }
    }
}

pub(super) fn binding(gvk: &Gvk, new: &Value, old: Option<&Value>, found: &mut Found) {
    let reference = new.get("roleRef").unwrap_or(&Value::Null);
    let group = text(reference, "apiGroup");
    if group != GROUP {
        found.push(FieldError::not_supported("roleRef.apiGroup", group, [GROUP]));
    }
    let kinds: &[&str] = if gvk.kind == "RoleBinding" { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    let kind = text(reference, "kind");
    if !kinds.contains(&kind) {
        found.push(FieldError::not_supported("roleRef.kind", kind, kinds));
    }
    match text(reference, "name") {
        "" => found.push(FieldError::required("roleRef.name", "")),
        name => super::invalid_each(found, "roleRef.name", name, path_segment(name, false)),
    }
    for (index, subject) in list(new, "subjects").iter().enumerate() {
        self::subject(gvk, subject, &format!("subjects[{index}]"), found);
    }
    if let Some(old) = old
        && !same(new.get("roleRef"), old.get("roleRef"))
    {
        let shown =
            format!("rbac.RoleRef{{APIGroup:{group:?}, Kind:{kind:?}, Name:{:?}}}", text(reference, "name"));
        found.push(FieldError::invalid_verbatim("roleRef", shown, "cannot change roleRef"));
    }
}

fn subject(gvk: &Gvk, subject: &Value, path: &str, found: &mut Found) {
    if text(subject, "name").is_empty() {
        found.push(FieldError::required(format!("{path}.name"), ""));
    }
    let group = text(subject, "apiGroup");
    let field = format!("{path}.apiGroup");
    match text(subject, "kind") {
        "ServiceAccount" => {
            if !group.is_empty() {
                found.push(FieldError::not_supported(field, group, [""]));
            }
            if text(subject, "namespace").is_empty() && gvk.kind == "ClusterRoleBinding" {
                found.push(FieldError::required(format!("{path}.namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                found.push(FieldError::not_supported(field, group, [GROUP]));
            }
        }
        other => {
            let kinds = ["ServiceAccount", "User", "Group"];
            found.push(FieldError::not_supported(format!("{path}.kind"), other, kinds));
        }
    }
}
