//! Which mounts a container gets. Pure but for the making of `subPath` directories.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::Container;

use super::environment::{ConfigError, expand};
use crate::container::{Access, MountSpec};

/// Files of the pod and the container that are mounted besides its volumes.
#[derive(Debug, Clone)]
pub(crate) struct OwnFiles {
    pub(crate) resolv_conf: PathBuf,
    pub(crate) hosts: PathBuf,
    pub(crate) hostname: PathBuf,
    pub(crate) termination_message: PathBuf,
}

/// The mounts in the order in which they are made: a parent before what lies in it.
pub(crate) fn plan(
    container: &Container,
    volumes: &IndexMap<String, PathBuf>,
    environment: &IndexMap<String, String>,
    files: &OwnFiles,
) -> Result<Vec<MountSpec>, ConfigError> {
    let message = container
        .termination_message_path
        .as_deref()
        .filter(|it| !it.is_empty())
        .unwrap_or("/dev/termination-log");
    let own = [
        (&files.resolv_conf, "/etc/resolv.conf"),
        (&files.hosts, "/etc/hosts"),
        (&files.hostname, "/etc/hostname"),
        (&files.termination_message, message),
    ];
    let mut mounts = Vec::new();
    for mount in container.volume_mounts.iter().flatten() {
        let volume = volumes.get(&mount.name).ok_or_else(|| {
            ConfigError(format!(
                "cannot find volume \"{}\" to mount into container \"{}\"",
                mount.name, container.name
            ))
        })?;
        let below = match (&mount.sub_path_expr, &mount.sub_path) {
            (Some(text), _) if !text.is_empty() => Some(expand(text, environment)),
            (_, Some(path)) if !path.is_empty() => Some(path.clone()),
            _ => None,
        };
        let access = if mount.read_only == Some(true) { Access::ReadOnly } else { Access::ReadWrite };
        let source =
            below.map_or_else(|| Ok(volume.clone()), |below| sub_path(volume, &below, &mount.name))?;
        mounts.push(MountSpec { source, target: absolute(&mount.mount_path), access });
    }
    for (source, target) in own {
        if !mounts.iter().any(|it| it.target == target) {
            mounts.push(MountSpec {
                source: source.clone(),
                target: target.to_owned(),
                access: Access::ReadWrite,
            });
        }
    }
    mounts.sort_by_key(|it| Path::new(&it.target).components().count());
    Ok(mounts)
}

fn absolute(path: &str) -> String {
    let trimmed = path.trim_end_matches('/');
    if path.starts_with('/') { trimmed.to_owned() } else { format!("/{trimmed}") }
}

/// A path inside a volume; made as a directory when it is not there.
fn sub_path(volume: &Path, below: &str, name: &str) -> Result<PathBuf, ConfigError> {
    if below.starts_with('/') || below.split('/').any(|part| part == "..") {
        return Err(ConfigError(format!(
            "subPath \"{below}\" of volume \"{name}\" must stay inside the volume"
        )));
    }
    let path = volume.join(below);
    if !path.exists() {
        std::fs::create_dir_all(&path).map_err(|error| {
            ConfigError(format!("failed to create subPath directory for volumeMount \"{name}\": {error}"))
        })?;
    }
    Ok(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;
    use serde_json::{Value, json};

    fn planned(mounts: Value, root: &Path) -> Result<String, ConfigError> {
        let container = serde_json::from_value(json!({"name": "c", "volumeMounts": mounts})).unwrap();
        let volumes = [("v".to_owned(), root.join("v"))].into_iter().collect();
        let environment = [("POD".to_owned(), "p0".to_owned())].into_iter().collect();
        let file = |name: &str| root.join(name);
        let files = OwnFiles {
            resolv_conf: file("resolv.conf"),
            hosts: file("hosts"),
            hostname: file("hostname"),
            termination_message: file("message"),
        };
        let show = |it: &MountSpec| {
            format!(
                "{}={}{}",
                it.target,
                it.source.strip_prefix(root).unwrap().display(),
                if it.access == Access::ReadOnly { " ro" } else { "" }
            )
        };
        Ok(plan(&container, &volumes, &environment, &files)?.iter().map(show).collect::<Vec<_>>().join(", "))
    }

    const OWN: &str = "/etc/resolv.conf=resolv.conf, /etc/hosts=hosts, /etc/hostname=hostname, /dev/termination-log=message";

    #[rstest]
    #[case::none(json!([]), OWN.to_owned())]
    #[case::parent_first(json!([{"name": "v", "mountPath": "/a/b/c"}, {"name": "v", "mountPath": "/a/", "readOnly": true}]), format!("/a=v ro, {OWN}, /a/b/c=v"))]
    #[case::sub_path(json!([{"name": "v", "mountPath": "/a", "subPath": "x/y"}]), format!("/a=v/x/y, {OWN}"))]
    #[case::sub_path_expression(json!([{"name": "v", "mountPath": "/a", "subPathExpr": "$(POD)"}]), format!("/a=v/p0, {OWN}"))]
    #[case::own_hosts(json!([{"name": "v", "mountPath": "/etc/hosts"}]), "/etc/hosts=v, /etc/resolv.conf=resolv.conf, /etc/hostname=hostname, /dev/termination-log=message".to_owned())]
    fn plans(#[case] mounts: Value, #[case] expected: String) {
        let root = tempfile::tempdir().unwrap();
        assert_eq!(planned(mounts, root.path()).unwrap(), expected);
    }

    #[rstest]
    #[case::unknown(json!([{"name": "w", "mountPath": "/a"}]), "cannot find volume \"w\"")]
    #[case::climbing(json!([{"name": "v", "mountPath": "/a", "subPath": "../x"}]), "must stay inside")]
    fn refuses(#[case] mounts: Value, #[case] expected: &str) {
        let root = tempfile::tempdir().unwrap();
        let error = planned(mounts, root.path()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
}
