use serde_json::Value;

use super::SelectorError;
use crate::Gvk;

/// A field selector: all terms must hold. The empty one selects everything.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fields {
    terms: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Term {
    field: String,
    sense: Sense,
    value: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sense {
    Equal,
    NotEqual,
}

impl Fields {
    /// Selects every object.
    pub fn everything() -> Self {
        Self { terms: Vec::new() }
    }

    /// Reads the `fieldSelector` of a request: `spec.nodeName=a,status.phase!=Failed`.
    ///
    /// `selectable` are the paths that a CustomResourceDefinition lists in `selectableFields`, without the
    /// leading dot; empty for built-in kinds.
    ///
    /// # Errors
    /// With the API server's text, for a bad request (400): a term that is none, or a field that objects of this
    /// kind cannot be selected by.
    pub fn parse(text: &str, gvk: &Gvk, selectable: &[String]) -> Result<Self, SelectorError> {
        let mut terms = Vec::new();
        let mut parts = split(text);
        parts.sort_unstable();
        for part in parts.into_iter().filter(|part| !part.is_empty()) {
            let (field, sense, value) = term(part).ok_or_else(|| {
                SelectorError(format!("invalid selector: '{text}'; can't understand '{part}'"))
            })?;
            let field = known_field(gvk, field, selectable)?;
            terms.push(Term { field, sense, value: unescape(value)? });
        }
        Ok(Self { terms })
    }

    /// Whether the selector is empty.
    pub fn is_everything(&self) -> bool {
        self.terms.is_empty()
    }

    /// The value that `field` must equal, when a term says so. For watches of a single object:
    /// `metadata.name=x`.
    pub fn requires(&self, field: &str) -> Option<&str> {
        let found = self.terms.iter().find(|term| term.field == field && term.sense == Sense::Equal);
        found.map(|term| term.value.as_str())
    }

    /// Whether an object satisfies every term. An absent field counts as empty.
    pub fn matches(&self, object: &Value) -> bool {
        self.terms.iter().all(|term| {
            let equal = field_text(object, &term.field) == term.value;
            equal == (term.sense == Sense::Equal)
        })
    }
}

fn split(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let (mut start, mut escaped) = (0, false);
    for (index, character) in text.char_indices() {
        match character {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ',' => {
                parts.push(&text[start..index]);
                start = index + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

fn term(part: &str) -> Option<(&str, Sense, &str)> {
    let (field, rest) = part.split_at(part.find("!=").into_iter().chain(part.find('=')).min()?);
    if let Some(value) = rest.strip_prefix("!=") {
        return Some((field, Sense::NotEqual, value));
    }
    let value = rest.strip_prefix("==").or_else(|| rest.strip_prefix('='))?;
    Some((field, Sense::Equal, value))
}

fn unescape(text: &str) -> Result<String, SelectorError> {
    let mut plain = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => match characters.next() {
                Some(escaped @ ('\\' | ',' | '=')) => plain.push(escaped),
                Some(other) => {
                    return Err(SelectorError(format!(
                        "invalid field selector: invalid escape sequence: \\{other}"
                    )));
                }
                None => {
                    return Err(SelectorError("invalid field selector: invalid escape sequence: \\".into()));
                }
            },
            ',' | '=' => {
                return Err(SelectorError(format!(
                    "invalid field selector: unescaped character in value: {character}"
                )));
            }
            other => plain.push(other),
        }
    }
    Ok(plain)
}

fn known_field(gvk: &Gvk, field: &str, selectable: &[String]) -> Result<String, SelectorError> {
    let named: &[&str] = match (gvk.group.as_str(), gvk.kind.as_str()) {
        ("", "Pod") => &[
            "metadata.name",
            "metadata.namespace",
            "spec.nodeName",
            "spec.restartPolicy",
            "spec.schedulerName",
            "spec.serviceAccountName",
            "spec.hostNetwork",
            "status.phase",
            "status.podIP",
            "status.podIPs",
            "status.nominatedNodeName",
        ],
        ("", "Node") => &["metadata.name", "spec.unschedulable"],
        ("", "Namespace") => &["metadata.name", "status.phase"],
        ("", "Secret") => &["metadata.name", "metadata.namespace", "type"],
        ("", "Service") => &["metadata.name", "metadata.namespace", "spec.clusterIP", "spec.type"],
        ("", "ReplicationController") => &["metadata.name", "metadata.namespace", "status.replicas"],
        ("" | "events.k8s.io", "Event") => return event_field(gvk, field),
        ("batch", "Job") => &["metadata.name", "metadata.namespace", "status.successful"],
        _ => {
            let plain = ["metadata.name", "metadata.namespace"];
            if plain.contains(&field) || selectable.iter().any(|path| path == field) {
                return Ok(field.to_owned());
            }
            return Err(SelectorError(match selectable {
                [] => format!(
                    "{field:?} is not a known field selector: only \"metadata.name\", \"metadata.namespace\""
                ),
                _ => format!("field label not supported: {field}"),
            }));
        }
    };
    match field {
        "spec.host" if gvk.kind == "Pod" => Ok("spec.nodeName".to_owned()),
        field if named.contains(&field) => Ok(field.to_owned()),
        field if gvk.kind == "Job" => {
            Err(SelectorError(format!("field label {field:?} not supported for Job")))
        }
        field => Err(SelectorError(format!("field label not supported: {field}"))),
    }
}

fn event_field(gvk: &Gvk, field: &str) -> Result<String, SelectorError> {
    let object = if gvk.group.is_empty() { "involvedObject." } else { "regarding." };
    let parts = ["kind", "namespace", "name", "uid", "apiVersion", "resourceVersion", "fieldPath"];
    let plain: &[&str] = if gvk.group.is_empty() {
        &["reason", "reportingComponent", "source", "type", "metadata.namespace", "metadata.name"]
    } else {
        &["reason", "reportingController", "type", "metadata.namespace", "metadata.name"]
    };
    let known =
        plain.contains(&field) || field.strip_prefix(object).is_some_and(|part| parts.contains(&part));
    if known {
        Ok(field.to_owned())
    } else {
        Err(SelectorError(format!("field label not supported: {field}")))
    }
}

fn field_text(object: &Value, field: &str) -> String {
    if field == "source" {
        let component = object.pointer("/source/component").and_then(Value::as_str).filter(|c| !c.is_empty());
        let fallback = object.get("reportingComponent").and_then(Value::as_str);
        return component.or(fallback).unwrap_or_default().to_owned();
    }
    let value = field.split('.').try_fold(object, |value, key| value.get(key));
    let flag = matches!(field, "spec.unschedulable" | "spec.hostNetwork");
    match value {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(_)) if field == "status.podIPs" => {
            object.pointer("/status/podIPs/0/ip").and_then(Value::as_str).unwrap_or_default().to_owned()
        }
        None | Some(Value::Null) if flag => "false".to_owned(),
        None | Some(Value::Null) => String::new(),
        Some(other) => other.to_string(),
    }
}
