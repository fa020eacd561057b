use serde_json::{Value, json};

use super::go_syntax::{label_selector, string_map};
use super::{Found, given, invalid_each, list, non_negative, number, pod, same, text};
use crate::FieldError;
use crate::meta::{dns1123_label, validate_label_selector};
use crate::selector::Labels;

fn spec_of(object: &Value) -> &Value {
    object.get("spec").unwrap_or(&Value::Null)
}

pub(super) fn deployment(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = spec_of(new);
    non_negative(found, spec, "replicas", "spec");
    selector(spec, "deployment", found);
    template(spec, "ReplicaSet", found);
    strategy(spec, found);
    for key in ["minReadySeconds", "revisionHistoryLimit", "progressDeadlineSeconds"] {
        non_negative(found, spec, key, "spec");
    }
    let ready = number(spec, "minReadySeconds").unwrap_or_default();
    if let Some(deadline) = number(spec, "progressDeadlineSeconds").filter(|deadline| *deadline <= ready) {
        let detail = "must be greater than minReadySeconds";
        found.push(FieldError::invalid("spec.progressDeadlineSeconds", deadline, detail));
    }
    selector_unchanged(new, old, found);
}

pub(super) fn replica_set(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = spec_of(new);
    non_negative(found, spec, "replicas", "spec");
    non_negative(found, spec, "minReadySeconds", "spec");
    selector(spec, "deployment", found);
    template(spec, "ReplicaSet", found);
    selector_unchanged(new, old, found);
}

pub(super) fn daemon_set(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = spec_of(new);
    selector(spec, "daemonset", found);
    template(spec, "DaemonSet", found);
    for key in ["minReadySeconds", "revisionHistoryLimit"] {
        non_negative(found, spec, key, "spec");
    }
    selector_unchanged(new, old, found);
}

pub(super) fn stateful_set(new: &Value, old: Option<&Value>, found: &mut Found) {
    let spec = spec_of(new);
    let management = text(spec, "podManagementPolicy");
    if management.is_empty() {
        found.push(FieldError::required("spec.podManagementPolicy", ""));
    } else if !["OrderedReady", "Parallel"].contains(&management) {
        let detail = "must be 'OrderedReady' or 'Parallel'";
        found.push(FieldError::invalid("spec.podManagementPolicy", management, detail));
    }
    stateful_strategy(spec, found);
    for key in ["replicas", "minReadySeconds", "revisionHistoryLimit"] {
        non_negative(found, spec, key, "spec");
    }
    let name = text(spec, "serviceName");
    if old.is_none() && !name.is_empty() {
        invalid_each(found, "spec.serviceName", name, dns1123_label(name));
    }
    selector(spec, "statefulset", found);
    template(spec, "StatefulSet", found);
    if let Some(old) = old
        && !same(Some(&frozen(spec)), Some(&frozen(spec_of(old))))
    {
        let detail = "updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', \
             'updateStrategy', 'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' \
             are forbidden";
        found.push(FieldError::forbidden("spec", detail));
    }
}

/// What of a StatefulSet's spec may not change. The status that stored claims carry does not count.
fn frozen(spec: &Value) -> Value {
    let mut frozen = spec.clone();
    if let Some(fields) = frozen.as_object_mut() {
        let free = [
            "replicas",
            "ordinals",
            "template",
            "updateStrategy",
            "revisionHistoryLimit",
            "persistentVolumeClaimRetentionPolicy",
            "minReadySeconds",
        ];
        fields.retain(|key, _| !free.contains(&key.as_str()));
        let claims = fields.get_mut("volumeClaimTemplates").and_then(Value::as_array_mut);
        for claim in claims.into_iter().flatten().filter_map(Value::as_object_mut) {
            claim.shift_remove("status");
        }
    }
    frozen
}

fn stateful_strategy(spec: &Value, found: &mut Found) {
    let strategy = spec.get("updateStrategy").unwrap_or(&Value::Null);
    match text(strategy, "type") {
        "RollingUpdate" => {
            if let Some(rolling) = strategy.get("rollingUpdate") {
                non_negative(found, rolling, "partition", "spec.updateStrategy.rollingUpdate");
            }
        }
        "OnDelete" => {
            if given(strategy, "rollingUpdate") {
                let shown = strategy["rollingUpdate"].clone();
                let detail = "only allowed for updateStrategy 'RollingUpdate'";
                found.push(FieldError::invalid("spec.updateStrategy.rollingUpdate", shown, detail));
            }
        }
        "" => found.push(FieldError::required("spec.updateStrategy", "")),
        other => {
            let shown = format!(
                "apps.StatefulSetUpdateStrategy{{Type:{other:?}, \
                 RollingUpdate:(*apps.RollingUpdateStatefulSetStrategy)(nil)}}"
            );
            let detail = "must be 'RollingUpdate' or 'OnDelete'";
            found.push(FieldError::invalid_verbatim("spec.updateStrategy", shown, detail));
        }
    }
}

fn selector(spec: &Value, kind: &str, found: &mut Found) {
    let Some(selector) = spec.get("selector").filter(|selector| !selector.is_null()) else {
        found.push(FieldError::required("spec.selector", ""));
        return;
    };
    found.extend(validate_label_selector(selector, "spec.selector"));
    let empty = super::entries(selector, "matchLabels").next().is_none()
        && list(selector, "matchExpressions").is_empty();
    if empty {
        let detail = format!("empty selector is invalid for {kind}");
        found.push(FieldError::invalid_verbatim("spec.selector", label_selector(selector), detail));
    }
}

fn template(spec: &Value, kind: &str, found: &mut Found) {
    let path = "spec.template";
    let selector = spec.get("selector").unwrap_or(&Value::Null);
    if let Ok(selector) = Labels::from_label_selector(selector)
        && !selector.is_everything()
    {
        let labels = spec.pointer("/template/metadata/labels");
        if !selector.matches(labels.unwrap_or(&Value::Null)) {
            let detail = "`selector` does not match template `labels`";
            let field = format!("{path}.metadata.labels");
            found.push(FieldError::invalid_verbatim(field, string_map(labels), detail));
        }
    }
    // As in 1.33, the pod of a StatefulSet is judged when it is made: its claims' volumes are not in the template.
    if kind != "StatefulSet" {
        pod::template(spec.get("template"), path, found);
    }
    let policy = spec.pointer("/template/spec/restartPolicy").and_then(Value::as_str).unwrap_or_default();
    if policy != "Always" {
        found.push(FieldError::not_supported(format!("{path}.spec.restartPolicy"), policy, ["Always"]));
    }
    if spec.pointer("/template/spec/activeDeadlineSeconds").is_some_and(|seconds| !seconds.is_null()) {
        let detail = format!("activeDeadlineSeconds in {kind} is not Supported");
        found.push(FieldError::forbidden(format!("{path}.spec.activeDeadlineSeconds"), detail));
    }
}

fn selector_unchanged(new: &Value, old: Option<&Value>, found: &mut Found) {
    let Some(old) = old else { return };
    let (before, after) = (spec_of(old).get("selector"), spec_of(new).get("selector"));
    if !same(before, after) {
        let shown = label_selector(after.unwrap_or(&Value::Null));
        found.push(FieldError::invalid_verbatim("spec.selector", shown, "field is immutable"));
    }
}

fn strategy(spec: &Value, found: &mut Found) {
    let strategy = spec.get("strategy").unwrap_or(&Value::Null);
    let path = "spec.strategy";
    match text(strategy, "type") {
        "Recreate" => {
            if given(strategy, "rollingUpdate") {
                let detail = "may not be specified when strategy `type` is 'Recreate'";
                found.push(FieldError::forbidden(format!("{path}.rollingUpdate"), detail));
            }
        }
        "RollingUpdate" => {
            rolling_update(&strategy["rollingUpdate"], &format!("{path}.rollingUpdate"), found)
        }
        other => {
            let mut error = FieldError::not_supported(path, other, ["Recreate", "RollingUpdate"]);
            error.bad_value = crate::BadValue::Verbatim(format!(
                "apps.DeploymentStrategy{{Type:{other:?}, RollingUpdate:(*apps.RollingUpdateDeployment)(nil)}}"
            ));
            found.push(error);
        }
    }
}

fn rolling_update(rolling: &Value, path: &str, found: &mut Found) {
    let zero = |value: &Value| *value == json!(0) || *value == json!("0%");
    for key in ["maxUnavailable", "maxSurge"] {
        let field = format!("{path}.{key}");
        match &rolling[key] {
            Value::String(percent) => {
                let digits = percent.strip_suffix('%').unwrap_or_default();
                if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                    let detail = "a valid percent string must be a numeric string followed by an ending '%' (e.g. \
                         '1%',  or '93%', regex used for validation is '[0-9]+%')";
                    found.push(FieldError::invalid(field, percent.as_str(), detail));
                } else if key == "maxUnavailable" && digits.parse::<u64>().is_ok_and(|percent| percent > 100)
                {
                    found.push(FieldError::invalid(field, percent.as_str(), "must not be greater than 100%"));
                }
            }
            _ => non_negative(found, rolling, key, path),
        }
    }
    if zero(&rolling["maxUnavailable"]) && zero(&rolling["maxSurge"]) {
        let shown = rolling["maxUnavailable"].clone();
        let detail = "may not be 0 when `maxSurge` is 0";
        found.push(FieldError::invalid(format!("{path}.maxUnavailable"), shown, detail));
    }
}
