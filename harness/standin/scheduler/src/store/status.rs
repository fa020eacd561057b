//! From the states of the replicas to the state of a version, and the messages that say it.

use jiff::Timestamp;
use seldon_proto::scheduler as pb;

use super::version::{Model, ModelState, ModelVersion, ReplicaState, VersionStatus};

/// Whether this version is the model's newest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Latest,
    Superseded,
}

/// Whether the model is being deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Life {
    Wanted,
    Deleted,
}

#[derive(Debug, Default)]
struct Count {
    available: u32,
    loading: u32,
    load_failed: u32,
    unloading: u32,
    unload_failed: u32,
    failed_at: Option<Timestamp>,
    failure: String,
    latest: Option<Timestamp>,
}

impl Count {
    fn of(version: &ModelVersion, life: Life) -> Count {
        let mut count = Count::default();
        for status in version.replicas.values() {
            let failed = match status.state {
                ReplicaState::Available => {
                    count.available += 1;
                    false
                }
                ReplicaState::LoadRequested | ReplicaState::Loading | ReplicaState::Loaded => {
                    count.loading += 1;
                    false
                }
                ReplicaState::LoadFailed | ReplicaState::LoadedUnavailable => {
                    count.load_failed += 1;
                    life == Life::Wanted
                }
                ReplicaState::UnloadEnvoyRequested
                | ReplicaState::UnloadRequested
                | ReplicaState::Unloading => {
                    count.unloading += 1;
                    false
                }
                ReplicaState::UnloadFailed => {
                    count.unload_failed += 1;
                    life == Life::Deleted
                }
                ReplicaState::Unloaded | ReplicaState::Draining | ReplicaState::Unknown => false,
            };
            if failed && status.changed > count.failed_at {
                count.failed_at = status.changed;
                count.failure.clone_from(&status.reason);
            }
            count.latest = count.latest.max(status.changed);
        }
        count
    }
}

/// The status of a version, given whether another version of the model is available already.
///
/// The rules of Seldon 2.9.1: a deleted or superseded version is on its way out; otherwise one failed replica fails it,
/// and it is available with all its replicas, with its minimum, or with any at all while it takes over from another
/// available version.
pub(crate) fn status_of(
    version: &ModelVersion,
    standing: Standing,
    life: Life,
    other_available: bool,
) -> VersionStatus {
    let count = Count::of(version, life);
    let (mut reason, mut changed) = (String::new(), count.latest);
    let state = if life == Life::Deleted || standing == Standing::Superseded {
        if count.unload_failed > 0 {
            (reason, changed) = (count.failure, count.failed_at);
            ModelState::ModelTerminateFailed
        } else if count.unloading > 0 || count.available > 0 || count.loading > 0 {
            ModelState::ModelTerminating
        } else {
            ModelState::ModelTerminated
        }
    } else if count.load_failed > 0 {
        (reason, changed) = (count.failure, count.failed_at);
        ModelState::ModelFailed
    } else {
        let enough = version.deployment().is_some_and(|spec| {
            count.available == spec.replicas
                || (spec.min_replicas > 0 && count.available >= spec.min_replicas)
        });
        if enough || (count.available > 0 && other_available) {
            ModelState::ModelAvailable
        } else {
            ModelState::ModelProgressing
        }
    };
    VersionStatus {
        state,
        reason,
        available: count.available,
        unavailable: count.loading + count.load_failed,
        changed,
    }
}

impl Model {
    /// Works out the status of one version anew.
    pub(crate) fn refresh(&mut self, version: u32, standing: Standing, life: Life) {
        let other = self.last_available().is_some_and(|available| available.version != version);
        if let Some(version) = self.version_mut(version) {
            version.status = status_of(version, standing, life, other);
        }
    }

    /// As [`Model::refresh`], with the standing and life it really has.
    pub(crate) fn refresh_as_is(&mut self, version: u32) {
        let latest = self.latest().is_some_and(|latest| latest.version == version);
        let standing = if latest { Standing::Latest } else { Standing::Superseded };
        let life = if self.deleted { Life::Deleted } else { Life::Wanted };
        self.refresh(version, standing, life);
    }
}

/// Go's zero time, which Seldon sends for a time that was never set.
const GO_ZERO_TIME: i64 = -62_135_596_800;

fn timestamp(moment: Option<Timestamp>) -> pb::Timestamp {
    match moment {
        Some(moment) => pb::Timestamp { seconds: moment.as_second(), nanos: moment.subsec_nanosecond() },
        None => pb::Timestamp { seconds: GO_ZERO_TIME, nanos: 0 },
    }
}

fn version_message(version: &ModelVersion) -> pb::ModelVersionStatus {
    let replica = |(index, status): (&u32, &super::version::ReplicaStatus)| {
        let message = pb::ModelReplicaStatus {
            state: status.state.into(),
            reason: status.reason.clone(),
            last_change_timestamp: Some(timestamp(status.changed)),
        };
        (i32::try_from(*index).unwrap_or(i32::MAX), message)
    };
    pb::ModelVersionStatus {
        version: version.version,
        server_name: version.server.clone(),
        kubernetes_meta: version.kubernetes_meta().cloned(),
        model_replica_state: version.replicas.iter().map(replica).collect(),
        state: Some(pb::ModelStatus {
            state: version.status.state.into(),
            reason: version.status.reason.clone(),
            available_replicas: version.status.available,
            unavailable_replicas: version.status.unavailable,
            last_change_timestamp: Some(timestamp(version.status.changed)),
        }),
        model_defn: Some(version.definition.clone()),
    }
}

/// Which versions a status message tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Versions {
    Latest,
    All,
}

/// The status message of a model; `None` while it has no version.
pub(crate) fn model_message(
    name: &str,
    model: &Model,
    versions: Versions,
) -> Option<pb::ModelStatusResponse> {
    let latest = model.latest()?;
    let versions = match versions {
        Versions::Latest => vec![version_message(latest)],
        Versions::All => model.versions.iter().map(version_message).collect(),
    };
    Some(pb::ModelStatusResponse { model_name: name.to_owned(), versions, deleted: model.deleted })
}
