//! Which objects a list, a watch or a deletion of many is about.

use std::sync::Arc;

use embedded_machinery::selector::{Fields, Labels};
use serde_json::Value;

use crate::catalog::Resource;
use crate::failure::{Failure, Outcome};
use crate::options::ListOptions;
use crate::store::Entry;

/// Label and field selectors together with a single name.
#[derive(Debug, Clone)]
pub(crate) struct Selection {
    labels: Option<Labels>,
    fields: Option<Fields>,
    namespace: String,
    name: String,
}

impl Selection {
    /// Reads the selectors. `namespace` and `name` narrow further unless empty.
    pub(crate) fn read(
        resource: &Resource,
        options: &ListOptions,
        namespace: &str,
        name: &str,
    ) -> Outcome<Selection> {
        let gvk = &resource.gvk;
        let selectable = resource.custom().map(|custom| custom.selectable.as_slice()).unwrap_or_default();
        let labels = options.label_selector.as_deref().map(Labels::parse).transpose();
        let fields =
            options.field_selector.as_deref().map(|text| Fields::parse(text, gvk, selectable)).transpose();
        Ok(Selection {
            labels: labels
                .map_err(|error| Failure::bad_request(format!("unable to parse requirement: {error}")))?,
            fields: fields.map_err(|error| Failure::bad_request(error.to_string()))?,
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        })
    }

    /// Whether an object is selected.
    pub(crate) fn takes(&self, object: &Value) -> bool {
        let metadata = &object["metadata"];
        (self.namespace.is_empty() || metadata["namespace"] == self.namespace.as_str())
            && (self.name.is_empty() || metadata["name"] == self.name.as_str())
            && self.labels.as_ref().is_none_or(|labels| labels.matches(&metadata["labels"]))
            && self.fields.as_ref().is_none_or(|fields| fields.matches(object))
    }

    /// Whether a stored object is selected.
    pub(crate) fn takes_entry(&self, entry: &Arc<Entry>) -> bool {
        self.takes(&entry.value)
    }
}
