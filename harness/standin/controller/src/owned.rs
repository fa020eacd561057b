//! Objects that the operator creates and keeps as it wants them.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use serde_json::Value;

use crate::cluster::{Cluster, Kind, namespace_of};
use crate::failure::Failure;
use crate::merge::{first_difference, is_contained};

/// Annotation with the wanted object as it was last written.
const LAST_APPLIED: &str = "seldon.io/last-applied";

/// What became of an object.
pub(crate) enum Outcome<K> {
    /// It was not there.
    Created,
    /// It was as wanted; this is what was found.
    Unchanged(K),
    /// It was changed; this is what was found before, and where it differed.
    Updated(K, String),
}

/// A reference by which `owner` owns what it creates.
pub(crate) fn owned_by<Owner: Kind>(owner: &Owner) -> OwnerReference {
    OwnerReference {
        api_version: Owner::api_version(&()).into_owned(),
        kind: Owner::kind(&()).into_owned(),
        name: owner.name_any(),
        uid: owner.uid().unwrap_or_default(),
        controller: Some(true),
        block_owner_deletion: Some(true),
    }
}

/// Creates `wanted` when it is missing, replaces it when its spec is not as wanted.
///
/// A field that was wanted once and is not any more counts as a difference; one that somebody added does not.
pub(crate) async fn keep<K: Kind>(cluster: &Cluster, mut wanted: K) -> Result<Outcome<K>, Failure> {
    let spec = spec_of(&wanted)?;
    wanted.annotations_mut().insert(LAST_APPLIED.to_owned(), spec.to_string());
    let Some(found) = cluster.find::<K>(&namespace_of(&wanted), &wanted.name_any()).await? else {
        cluster.create(&wanted).await?;
        return Ok(Outcome::Created);
    };
    let found_spec = spec_of(&found)?;
    let applied = found.annotations().get(LAST_APPLIED);
    let same_wish =
        applied.is_none_or(|text| serde_json::from_str::<Value>(text).is_ok_and(|last| last == spec));
    if same_wish && is_contained(&spec, &found_spec) {
        return Ok(Outcome::Unchanged(found));
    }
    let difference = first_difference(&spec, &found_spec, "/spec").unwrap_or_else(|| "/spec".to_owned());
    wanted.meta_mut().resource_version = found.resource_version();
    cluster.update(&wanted).await?;
    Ok(Outcome::Updated(found, difference))
}

fn spec_of<K: Kind>(object: &K) -> Result<Value, Failure> {
    let value = serde_json::to_value(object).map_err(|error| Failure::Refused(error.to_string()))?;
    Ok(value.get("spec").cloned().unwrap_or(Value::Null))
}

/// Creates `wanted` when it is missing, replaces it unless `same` says that the found one will do.
pub(crate) async fn keep_by<K: Kind>(
    cluster: &Cluster,
    mut wanted: K,
    same: impl Fn(&K, &K) -> bool,
) -> Result<(), Failure> {
    match cluster.find::<K>(&namespace_of(&wanted), &wanted.name_any()).await? {
        None => cluster.create(&wanted).await.map(drop),
        Some(found) if same(&wanted, &found) => Ok(()),
        Some(found) => {
            wanted.meta_mut().resource_version = found.resource_version();
            cluster.update(&wanted).await.map(drop)
        }
    }
}

/// Whether the wanted spec is found.
pub(crate) fn same_spec<K: Kind>(wanted: &K, found: &K) -> bool {
    match (spec_of(wanted), spec_of(found)) {
        (Ok(wanted), Ok(found)) => is_contained(&wanted, &found),
        _ => false,
    }
}
