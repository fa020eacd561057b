use serde_json::Value;

use crate::{FieldError, Gvk};

pub(super) fn check(_gvk: &Gvk, _new: &Value, _old: Option<&Value>) -> Vec<FieldError> {
    Vec::new()
}
