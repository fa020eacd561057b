//! A pod's volumes as directories of the node.

use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use k8s_openapi::api::core::v1::{
    ConfigMap, DownwardAPIVolumeFile, KeyToPath, PersistentVolumeClaim, Pod, Secret, Volume, VolumeProjection,
};
use kube::Api;

use super::atomic_writer::{self, Content, Payload};
use super::field_ref::{self, Live};
use crate::shared::Shared;

/// Why a volume cannot be mounted; `Display` is the message of the event `FailedMount`.
#[derive(Debug, thiserror::Error)]
#[error("MountVolume.SetUp failed for volume \"{volume}\" : {reason}")]
pub(crate) struct MountError {
    volume: String,
    reason: String,
}

/// Makes or refreshes every volume; the node's path of each, by name.
pub(crate) async fn set_up(
    shared: &Shared,
    pod: &Pod,
    live: Live<'_>,
) -> Result<IndexMap<String, PathBuf>, MountError> {
    let mut paths = IndexMap::new();
    for volume in pod.spec.iter().flat_map(|it| it.volumes.iter().flatten()) {
        let path = set_up_one(shared, pod, volume, live)
            .await
            .map_err(|reason| MountError { volume: volume.name.clone(), reason })?;
        paths.insert(volume.name.clone(), path);
    }
    Ok(paths)
}

async fn set_up_one(shared: &Shared, pod: &Pod, volume: &Volume, live: Live<'_>) -> Result<PathBuf, String> {
    let own = shared.pod_directory(pod).join("volumes").join(&volume.name);
    if let Some(claim) = &volume.persistent_volume_claim {
        return claimed(shared, pod, &claim.claim_name).await;
    }
    if let Some(host) = &volume.host_path {
        return host_path(shared, &host.path, host.type_.as_deref().unwrap_or_default());
    }
    let Some(payload) = payload(shared, pod, volume, live).await? else {
        // emptyDir (in memory or not) and whatever else is a plain directory.
        return make_directory(own);
    };
    atomic_writer::write(&own, &payload).map_err(|error| error.to_string())?;
    Ok(own)
}

/// The files of a volume that is made of objects; `None` for a plain directory.
async fn payload(
    shared: &Shared,
    pod: &Pod,
    volume: &Volume,
    live: Live<'_>,
) -> Result<Option<Payload>, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let mut files = Payload::new();
    if let Some(source) = &volume.config_map {
        let mode = file_mode(source.default_mode);
        add_config_map(
            shared,
            namespace,
            &source.name,
            source.optional,
            source.items.as_deref(),
            mode,
            &mut files,
        )
        .await?;
    } else if let Some(source) = &volume.secret {
        let mode = file_mode(source.default_mode);
        let name = source.secret_name.as_deref().unwrap_or_default();
        add_secret(shared, namespace, name, source.optional, source.items.as_deref(), mode, &mut files)
            .await?;
    } else if let Some(source) = &volume.downward_api {
        add_fields(pod, source.items.as_deref(), live, file_mode(source.default_mode), &mut files)?;
    } else if let Some(source) = &volume.projected {
        for projection in source.sources.iter().flatten() {
            add_projection(shared, pod, projection, live, file_mode(source.default_mode), &mut files).await?;
        }
    } else {
        return Ok(None);
    }
    Ok(Some(files))
}

fn file_mode(mode: Option<i32>) -> u32 {
    mode.and_then(|it| u32::try_from(it).ok()).unwrap_or(0o644)
}

async fn add_projection(
    shared: &Shared,
    pod: &Pod,
    projection: &VolumeProjection,
    live: Live<'_>,
    mode: u32,
    files: &mut Payload,
) -> Result<(), String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    if let Some(source) = &projection.config_map {
        add_config_map(
            shared,
            namespace,
            &source.name,
            source.optional,
            source.items.as_deref(),
            mode,
            files,
        )
        .await?;
    }
    if let Some(source) = &projection.secret {
        add_secret(shared, namespace, &source.name, source.optional, source.items.as_deref(), mode, files)
            .await?;
    }
    if let Some(source) = &projection.downward_api {
        add_fields(pod, source.items.as_deref(), live, mode, files)?;
    }
    if let Some(source) = &projection.service_account_token {
        let account =
            pod.spec.as_ref().and_then(|it| it.service_account_name.as_deref()).unwrap_or("default");
        let token = (shared.settings.token_issuer)(namespace, account);
        files.insert(source.path.clone(), Content { bytes: token.into_bytes(), mode });
    }
    Ok(())
}

async fn add_config_map(
    shared: &Shared,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    mode: u32,
    files: &mut Payload,
) -> Result<(), String> {
    let api: Api<ConfigMap> = Api::namespaced(shared.client.clone(), namespace);
    let Some(map) = api.get_opt(name).await.map_err(|error| error.to_string())? else {
        return absent(optional, || format!("configmap \"{name}\" not found"));
    };
    let mut data: IndexMap<String, Vec<u8>> = IndexMap::new();
    data.extend(map.data.into_iter().flatten().map(|(key, value)| (key, value.into_bytes())));
    data.extend(map.binary_data.into_iter().flatten().map(|(key, value)| (key, value.0)));
    add_items(data, items, optional, mode, files, |key| {
        format!("configmap references non-existent config key: {key}")
    })
}

async fn add_secret(
    shared: &Shared,
    namespace: &str,
    name: &str,
    optional: Option<bool>,
    items: Option<&[KeyToPath]>,
    mode: u32,
    files: &mut Payload,
) -> Result<(), String> {
    let api: Api<Secret> = Api::namespaced(shared.client.clone(), namespace);
    let Some(secret) = api.get_opt(name).await.map_err(|error| error.to_string())? else {
        return absent(optional, || format!("secret \"{name}\" not found"));
    };
    let data = secret.data.into_iter().flatten().map(|(key, value)| (key, value.0)).collect();
    add_items(data, items, optional, mode, files, |key| format!("references non-existent secret key: {key}"))
}

fn absent(optional: Option<bool>, words: impl FnOnce() -> String) -> Result<(), String> {
    if optional == Some(true) { Ok(()) } else { Err(words()) }
}

fn add_items(
    data: IndexMap<String, Vec<u8>>,
    items: Option<&[KeyToPath]>,
    optional: Option<bool>,
    mode: u32,
    files: &mut Payload,
    words: impl Fn(&str) -> String,
) -> Result<(), String> {
    let Some(items) = items.filter(|it| !it.is_empty()) else {
        files.extend(data.into_iter().map(|(key, bytes)| (key, Content { bytes, mode })));
        return Ok(());
    };
    for item in items {
        match data.get(&item.key) {
            Some(bytes) => {
                let mode = item.mode.map_or(mode, |it| file_mode(Some(it)));
                files.insert(item.path.clone(), Content { bytes: bytes.clone(), mode });
            }
            None => absent(optional, || words(&item.key))?,
        }
    }
    Ok(())
}

fn add_fields(
    pod: &Pod,
    items: Option<&[DownwardAPIVolumeFile]>,
    live: Live<'_>,
    mode: u32,
    files: &mut Payload,
) -> Result<(), String> {
    for item in items.unwrap_or_default() {
        let value = match (&item.field_ref, &item.resource_field_ref) {
            (Some(selector), _) => field_ref::field(pod, selector, live)
                .ok_or_else(|| format!("unsupported fieldPath: {}", selector.field_path))?,
            (None, Some(selector)) => field_ref::resource(pod, None, selector)
                .ok_or_else(|| format!("unsupported container resource : {}", selector.resource))?,
            (None, None) => String::new(),
        };
        let mode = item.mode.map_or(mode, |it| file_mode(Some(it)));
        files.insert(item.path.clone(), Content { bytes: value.into_bytes(), mode });
    }
    Ok(())
}

/// A claim's directory outlives its pods; another claim of the same name gets another one.
async fn claimed(shared: &Shared, pod: &Pod, name: &str) -> Result<PathBuf, String> {
    let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
    let api: Api<PersistentVolumeClaim> = Api::namespaced(shared.client.clone(), namespace);
    let claim = api.get_opt(name).await.map_err(|error| error.to_string())?;
    let Some(claim) = claim else {
        return Err(format!("persistentvolumeclaim \"{name}\" not found"));
    };
    make_directory(shared.settings.state_dir.join("claims").join(claim.metadata.uid.unwrap_or_default()))
}

/// A path of the node. The node's disk is its state directory: pods must not write to the machine's.
fn host_path(shared: &Shared, path: &str, kind: &str) -> Result<PathBuf, String> {
    let own = shared.settings.state_dir.join("disk").join(path.trim_start_matches('/'));
    match kind {
        "Directory" if !own.is_dir() => Err(format!("hostPath type check failed: {path} is not a directory")),
        "File" if !own.is_file() => Err(format!("hostPath type check failed: {path} is not a file")),
        "FileOrCreate" => {
            make_directory(own.parent().unwrap_or(Path::new("/")).to_owned())?;
            std::fs::OpenOptions::new()
                .create(true)
                .append(true)
                .open(&own)
                .map_err(|error| error.to_string())?;
            Ok(own)
        }
        "File" => Ok(own),
        _ => make_directory(own),
    }
}

fn make_directory(path: PathBuf) -> Result<PathBuf, String> {
    std::fs::create_dir_all(&path).map_err(|error| format!("make {}: {error}", path.display()))?;
    Ok(path)
}

/// Whether a change of a ConfigMap or Secret named `name` may change the pod's volumes.
pub(crate) fn refers_to(pod: &Pod, object: Referred<'_>) -> bool {
    pod.spec.iter().flat_map(|it| it.volumes.iter().flatten()).any(|volume| {
        let projections = || volume.projected.iter().flat_map(|it| it.sources.iter().flatten());
        match object {
            Referred::ConfigMap(name) => {
                volume.config_map.as_ref().is_some_and(|it| it.name == name)
                    || projections().any(|it| it.config_map.as_ref().is_some_and(|it| it.name == name))
            }
            Referred::Secret(name) => {
                volume.secret.as_ref().is_some_and(|it| it.secret_name.as_deref() == Some(name))
                    || projections().any(|it| it.secret.as_ref().is_some_and(|it| it.name == name))
            }
        }
    })
}

/// An object by which volumes are filled.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Referred<'a> {
    ConfigMap(&'a str),
    Secret(&'a str),
}
