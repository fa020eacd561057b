use std::collections::HashSet;

use serde_json::Value;

use super::{Found, invalid_each, list, number, text};
use crate::FieldError;
use crate::meta::dns1123_label;

const MODE: &str = "must be a number between 0 and 0777 (octal), both inclusive";
const CLIMBS: &str = "must not contain '..'";

/// Checks the volumes of a pod and names the good ones, for the mounts to refer to.
pub(super) fn volumes(spec: &Value, path: &str, found: &mut Found) -> HashSet<String> {
    let mut names = HashSet::new();
    for (index, volume) in list(spec, "volumes").iter().enumerate() {
        let path = format!("{path}[{index}]");
        let mut own = Vec::new();
        sources(volume, &path, &mut own);
        let name = text(volume, "name");
        let field = format!("{path}.name");
        if name.is_empty() {
            own.push(FieldError::required(field.as_str(), ""));
        } else {
            invalid_each(&mut own, &field, name, dns1123_label(name));
        }
        if names.contains(name) {
            own.push(FieldError::duplicate(field, name));
        }
        if own.is_empty() {
            names.insert(name.to_owned());
        }
        found.extend(own);
    }
    names
}

fn sources(volume: &Value, path: &str, found: &mut Found) {
    let kinds =
        volume.as_object().into_iter().flatten().filter(|(key, value)| *key != "name" && !value.is_null());
    let mut first = true;
    for (kind, source) in kinds {
        let path = format!("{path}.{kind}");
        if !std::mem::take(&mut first) {
            found.push(FieldError::forbidden(path, "may not specify more than 1 volume type"));
            continue;
        }
        let needed = match kind.as_str() {
            "secret" => "secretName",
            "configMap" => "name",
            "persistentVolumeClaim" => "claimName",
            "hostPath" => "path",
            "nfs" => "server",
            "csi" => "driver",
            _ => "",
        };
        if !needed.is_empty() && text(source, needed).is_empty() {
            found.push(FieldError::required(format!("{path}.{needed}"), ""));
        }
        if let Some(mode) = number(source, "defaultMode").filter(|mode| !(0..=0o777).contains(mode)) {
            found.push(FieldError::invalid(format!("{path}.defaultMode"), mode, MODE));
        }
        match kind.as_str() {
            "secret" | "configMap" => items(source, &path, found),
            "downwardAPI" => files(source, &path, found),
            "projected" => projections(source, &path, found),
            "hostPath" if climbs(text(source, "path")) => {
                found.push(FieldError::invalid(format!("{path}.path"), text(source, "path"), CLIMBS));
            }
            _ => {}
        }
    }
    if first {
        found.push(FieldError::required(path, "must specify a volume type"));
    }
}

fn items(source: &Value, path: &str, found: &mut Found) {
    for (index, item) in list(source, "items").iter().enumerate() {
        let path = format!("{path}.items[{index}]");
        if text(item, "key").is_empty() {
            found.push(FieldError::required(format!("{path}.key"), ""));
        }
        place(item, &path, found);
    }
}

/// Files of the downward API.
fn files(source: &Value, path: &str, found: &mut Found) {
    for (index, item) in list(source, "items").iter().enumerate() {
        place(item, &format!("{path}.items[{index}]"), found);
    }
}

fn projections(source: &Value, path: &str, found: &mut Found) {
    for (index, projection) in list(source, "sources").iter().enumerate() {
        let path = format!("{path}.sources[{index}]");
        for kind in ["secret", "configMap"] {
            items(&projection[kind], &format!("{path}.{kind}"), found);
        }
        files(&projection["downwardAPI"], &format!("{path}.downwardAPI"), found);
        let token = &projection["serviceAccountToken"];
        if token.is_object() {
            place(token, &format!("{path}.serviceAccountToken"), found);
        }
    }
}

/// Where below the volume's directory a file goes, and with which mode.
fn place(item: &Value, path: &str, found: &mut Found) {
    let place = text(item, "path");
    let field = format!("{path}.path");
    if place.is_empty() {
        found.push(FieldError::required(field, ""));
    } else if place.starts_with('/') {
        found.push(FieldError::invalid(field, place, "must be a relative path"));
    } else if climbs(place) {
        found.push(FieldError::invalid(field, place, CLIMBS));
    } else if place.starts_with("..") {
        found.push(FieldError::invalid(field, place, "must not start with '..'"));
    }
    if let Some(mode) = number(item, "mode").filter(|mode| !(0..=0o777).contains(mode)) {
        found.push(FieldError::invalid(format!("{path}.mode"), mode, MODE));
    }
}

fn climbs(path: &str) -> bool {
    path.split('/').any(|part| part == "..")
}
