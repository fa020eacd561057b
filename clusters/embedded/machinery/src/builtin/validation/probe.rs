use serde_json::Value;

use super::service::port_or_name;
use super::{Found, given, list, non_negative, number, port_number, text};
use crate::FieldError;

/// What a probe is for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Liveness,
    Readiness,
    Startup,
}

pub(super) fn probe(probe: Option<&Value>, kind: Kind, path: &str, found: &mut Found) {
    let Some(probe) = probe.filter(|probe| !probe.is_null()) else { return };
    handler(probe, &["exec", "httpGet", "tcpSocket", "grpc"], path, found);
    let spans =
        ["initialDelaySeconds", "timeoutSeconds", "periodSeconds", "successThreshold", "failureThreshold"];
    for key in spans {
        non_negative(found, probe, key, path);
    }
    if let Some(grace) = number(probe, "terminationGracePeriodSeconds") {
        let field = format!("{path}.terminationGracePeriodSeconds");
        if grace <= 0 {
            found.push(FieldError::invalid(field.as_str(), grace, "must be greater than 0"));
        }
        if kind == Kind::Readiness {
            found.push(FieldError::invalid(field, grace, "must not be set for readinessProbes"));
        }
    }
    let successes = number(probe, "successThreshold").unwrap_or(1);
    if kind != Kind::Readiness && successes != 1 {
        found.push(FieldError::invalid(format!("{path}.successThreshold"), successes, "must be 1"));
    }
}

pub(super) fn lifecycle(lifecycle: Option<&Value>, path: &str, found: &mut Found) {
    for key in ["postStart", "preStop"] {
        if let Some(hook) = lifecycle.and_then(|lifecycle| lifecycle.get(key)).filter(|hook| !hook.is_null())
        {
            handler(hook, &["exec", "httpGet", "tcpSocket", "sleep"], &format!("{path}.{key}"), found);
        }
    }
}

fn handler(owner: &Value, kinds: &[&str], path: &str, found: &mut Found) {
    let mut first = true;
    for kind in kinds.iter().filter(|kind| given(owner, kind)) {
        let path = format!("{path}.{kind}");
        if !std::mem::take(&mut first) {
            found.push(FieldError::forbidden(path, "may not specify more than 1 handler type"));
            continue;
        }
        let action = &owner[*kind];
        match *kind {
            "exec" if list(action, "command").is_empty() => {
                found.push(FieldError::required(format!("{path}.command"), ""));
            }
            "httpGet" => {
                if text(action, "path").is_empty() {
                    found.push(FieldError::required(format!("{path}.path"), ""));
                }
                port_or_name(found, action.get("port"), &format!("{path}.port"));
                let scheme = text(action, "scheme");
                if !["HTTP", "HTTPS"].contains(&scheme) {
                    let field = format!("{path}.scheme");
                    found.push(FieldError::not_supported(field, scheme, ["HTTP", "HTTPS"]));
                }
            }
            "tcpSocket" => port_or_name(found, action.get("port"), &format!("{path}.port")),
            "grpc" => {
                port_number(found, number(action, "port").unwrap_or_default(), &format!("{path}.port"));
            }
            _ => {}
        }
    }
    if first {
        found.push(FieldError::required(path, "must specify a handler type"));
    }
}
