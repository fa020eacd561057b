//! How unknown fields in a patch are refused, which is not how they are refused in a document.

use embedded_machinery::status::{Reason, Status};
use embedded_machinery::{FieldError, Gvk};
use serde_json::Value;

use crate::catalog::Resource;
use crate::failure::Failure;
use crate::object;

/// 422 that shows the patch: `"" is invalid: patch: Invalid value: "…": strict decoding error: …`.
pub(super) fn of_patch(shown: String, faults: &[String]) -> Failure {
    let why = format!("strict decoding error: {}", faults.join(", "));
    Status::invalid(&Gvk::new("", "", ""), "", &[FieldError::invalid("patch", shown, why)]).into()
}

/// A map as Go prints it, in which form the server shows strategic merge patches: `map[data:map[k:v]]`.
pub(super) fn go_text(value: &Value) -> String {
    match value {
        Value::Null => "<nil>".to_owned(),
        Value::String(text) => text.clone(),
        Value::Array(list) => format!("[{}]", list.iter().map(go_text).collect::<Vec<_>>().join(" ")),
        Value::Object(map) => {
            let mut entries: Vec<String> =
                map.iter().map(|(key, value)| format!("{key}:{}", go_text(value))).collect();
            entries.sort();
            format!("map[{}]", entries.join(" "))
        }
        other => other.to_string(),
    }
}

/// The refusal of an applied document with fields its kind does not have.
pub(super) fn of_apply(resource: &Resource, document: &Value, unknown: &[String]) -> Failure {
    let faults: Vec<String> =
        unknown.iter().map(|path| format!(".{path}: field not declared in schema")).collect();
    let faults = match faults.as_slice() {
        [only] => only.clone(),
        many => format!("errors:\n  {}", many.join("\n  ")),
    };
    let message = format!(
        "failed to create typed patch object ({}/{}; {}): {faults}",
        object::namespace(document),
        object::name(document),
        resource.gvk
    );
    Status { code: 500, reason: Some(Reason::InternalError), message, details: None }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_strict_refusal_shows_the_patch() {
        let failure = of_patch(r#"{"spec":{"x":1}}"#.to_owned(), &["unknown field \"spec.x\"".to_owned()]);
        assert_eq!(
            failure.to_string(),
            r#" "" is invalid: patch: Invalid value: "{\"spec\":{\"x\":1}}": strict decoding error: unknown field "spec.x""#
        );
    }

    #[test]
    fn maps_are_shown_as_go_shows_them() {
        assert_eq!(
            go_text(&json!({"b": [1, true, null], "a": {"k": "v w"}})),
            "map[a:map[k:v w] b:[1 true <nil>]]"
        );
    }
}
