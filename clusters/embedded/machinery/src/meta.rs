//! Rules for names, labels, annotations and the rest of `metadata`, worded as kube-apiserver 1.33.1 words them.

mod names;
mod object;

pub use names::{
    NameRule, config_map_key, dns1035_label, dns1123_label, dns1123_subdomain, env_var_name, label_value,
    path_segment, port_name, qualified_name,
};
pub use object::{
    validate_label_selector, validate_labels, validate_object_meta, validate_object_meta_update,
};
