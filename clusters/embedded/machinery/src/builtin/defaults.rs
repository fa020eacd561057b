use serde_json::Value;

use crate::Gvk;

pub(super) fn apply(_gvk: &Gvk, _object: &mut Value) {}
