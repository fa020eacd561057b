//! Groups and the order of their versions.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::catalog::{self, Resource};

/// A group with its versions, the preferred one first.
pub(super) struct Group {
    pub(super) name: String,
    pub(super) versions: Vec<String>,
}

impl Group {
    /// As an APIGroup without kind and version of its own.
    pub(super) fn to_value(&self) -> Value {
        let version = |version: &String| json!({"groupVersion": catalog::api_version(&self.name, version), "version": version});
        json!({
            "name": self.name,
            "versions": self.versions.iter().map(version).collect::<Vec<_>>(),
            "preferredVersion": self.versions.first().map(version),
        })
    }
}

/// The groups of some kinds: core first, then Kubernetes' own, then those of custom kinds, each by name.
pub(super) fn groups(kinds: &[&Resource]) -> Vec<Group> {
    let mut found: BTreeMap<(bool, &str), Vec<String>> = BTreeMap::new();
    for kind in kinds {
        let versions = found.entry((kind.custom().is_some(), &kind.group)).or_default();
        if !versions.contains(&kind.version) {
            versions.push(kind.version.clone());
        }
    }
    let mut groups: Vec<Group> = Vec::new();
    for ((_, name), mut versions) in found {
        versions.sort_by_key(|version| Reverse(rank(version)));
        match groups.iter_mut().find(|group| group.name == name) {
            Some(group) => group.versions.extend(versions),
            None => groups.push(Group { name: name.to_owned(), versions }),
        }
    }
    groups
}

/// The order of versions: `v2` over `v1` over `v1beta2` over `v1beta1` over `v1alpha1` over anything else.
fn rank(version: &str) -> (u8, u32, u32, Reverse<String>) {
    let numbered = version.strip_prefix('v').and_then(|rest| {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        Some((rest[..digits].parse().ok()?, &rest[digits..]))
    });
    let Some((major, suffix)) = numbered else { return (0, 0, 0, Reverse(version.to_owned())) };
    let stage = |word: &str| suffix.strip_prefix(word).and_then(|minor| minor.parse().ok());
    match (suffix, stage("beta"), stage("alpha")) {
        ("", _, _) => (3, major, 0, Reverse(String::new())),
        (_, Some(minor), _) => (2, major, minor, Reverse(String::new())),
        (_, _, Some(minor)) => (1, major, minor, Reverse(String::new())),
        _ => (0, 0, 0, Reverse(version.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_ordered_as_kubernetes_orders_them() {
        let mut versions = ["foo", "v1alpha1", "v10", "v2", "v1beta1", "v1", "v1beta2", "bar"];
        versions.sort_by_key(|version| Reverse(rank(version)));
        assert_eq!(versions, ["v10", "v2", "v1", "v1beta2", "v1beta1", "v1alpha1", "bar", "foo"]);
    }
}
