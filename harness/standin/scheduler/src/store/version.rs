//! A model, its versions, and the state of each version on each replica.

use std::collections::BTreeMap;

use jiff::Timestamp;
use seldon_proto::scheduler as pb;
use seldon_proto::scheduler::model_runtime_info::ModelRuntimeInfo as Runtime;

/// Where a version stands on one replica.
pub(crate) use seldon_proto::scheduler::model_replica_status::ModelReplicaState as ReplicaState;
/// Where a version stands altogether.
pub(crate) use seldon_proto::scheduler::model_status::ModelState;

/// Questions Seldon 2.9.1 asks of a replica's state.
pub(crate) trait ReplicaStateExt {
    /// A route may lead there: a draining replica still answers.
    fn can_receive_traffic(self) -> bool;
    fn already_loading_or_loaded(self) -> bool;
    fn unloading_or_unloaded(self) -> bool;
    fn loading_or_loaded(self) -> bool;
    /// Nothing is left to be done there.
    fn inactive(self) -> bool;
}

impl ReplicaStateExt for ReplicaState {
    fn can_receive_traffic(self) -> bool {
        matches!(self, Self::Loaded | Self::Available | Self::LoadedUnavailable | Self::Draining)
    }

    fn already_loading_or_loaded(self) -> bool {
        matches!(self, Self::Loading | Self::Loaded | Self::Available | Self::LoadedUnavailable)
    }

    fn unloading_or_unloaded(self) -> bool {
        use ReplicaState::{UnloadEnvoyRequested, UnloadRequested, Unloaded, Unloading};
        matches!(self, UnloadEnvoyRequested | UnloadRequested | Unloading | Unloaded | Self::Unknown)
    }

    fn loading_or_loaded(self) -> bool {
        self == Self::LoadRequested || self.already_loading_or_loaded()
    }

    fn inactive(self) -> bool {
        matches!(self, Self::Unloaded | Self::UnloadFailed | Self::Unknown | Self::LoadFailed)
    }
}

/// The state of a version on one replica.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ReplicaStatus {
    pub(crate) state: ReplicaState,
    pub(crate) reason: String,
    /// `None`: never set, as for a model an agent reports on subscribing.
    pub(crate) changed: Option<Timestamp>,
}

/// The state of a version over all its replicas.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct VersionStatus {
    pub(crate) state: ModelState,
    pub(crate) reason: String,
    pub(crate) available: u32,
    pub(crate) unavailable: u32,
    pub(crate) changed: Option<Timestamp>,
}

/// One version of a model.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ModelVersion {
    pub(crate) definition: pb::Model,
    pub(crate) version: u32,
    /// Name of the server it was given to; empty while it has none.
    pub(crate) server: String,
    pub(crate) replicas: BTreeMap<u32, ReplicaStatus>,
    pub(crate) status: VersionStatus,
}

impl ModelVersion {
    pub(crate) fn new(definition: pb::Model, version: u32) -> ModelVersion {
        let status = VersionStatus {
            state: ModelState::Unknown,
            reason: String::new(),
            available: 0,
            unavailable: 0,
            changed: None,
        };
        ModelVersion { definition, version, server: String::new(), replicas: BTreeMap::new(), status }
    }

    pub(crate) fn name(&self) -> &str {
        self.definition.meta.as_ref().map_or("", |meta| &meta.name)
    }

    pub(crate) fn deployment(&self) -> Option<&pb::DeploymentSpec> {
        self.definition.deployment_spec.as_ref()
    }

    pub(crate) fn desired_replicas(&self) -> u32 {
        self.deployment().map_or(0, |spec| spec.replicas)
    }

    pub(crate) fn min_replicas(&self) -> u32 {
        self.deployment().map_or(0, |spec| spec.min_replicas)
    }

    pub(crate) fn requirements(&self) -> &[String] {
        self.definition.model_spec.as_ref().map_or(&[], |spec| &spec.requirements)
    }

    pub(crate) fn requested_server(&self) -> Option<&str> {
        self.definition.model_spec.as_ref().and_then(|spec| spec.server.as_deref())
    }

    /// Bytes it needs on a replica: its own memory for each instance, nothing when it names none.
    pub(crate) fn required_memory(&self) -> u64 {
        let Some(spec) = &self.definition.model_spec else { return 0 };
        let runtime = spec.model_runtime_info.as_ref().and_then(|info| info.model_runtime_info.as_ref());
        let instances = match runtime {
            Some(Runtime::Mlserver(settings)) => u64::from(settings.parallel_workers),
            Some(Runtime::Triton(config)) => {
                config.cpu.first().map_or(0, |cpu| u64::from(cpu.instance_count))
            }
            None => 1,
        };
        spec.memory_bytes.unwrap_or(0).wrapping_mul(instances)
    }

    pub(crate) fn kubernetes_meta(&self) -> Option<&pb::KubernetesMeta> {
        self.definition.meta.as_ref().and_then(|meta| meta.kubernetes_meta.as_ref())
    }

    pub(crate) fn set_kubernetes_meta(&mut self, meta: Option<pb::KubernetesMeta>) {
        if let Some(own) = &mut self.definition.meta {
            own.kubernetes_meta = meta;
        }
    }

    pub(crate) fn replica_state(&self, replica: u32) -> ReplicaState {
        self.replicas.get(&replica).map_or(ReplicaState::Unknown, |status| status.state)
    }

    pub(crate) fn set_replica(&mut self, replica: u32, state: ReplicaState, reason: &str) {
        let status = ReplicaStatus { state, reason: reason.to_owned(), changed: Some(Timestamp::now()) };
        self.replicas.insert(replica, status);
    }

    /// Replicas in exactly this state.
    pub(crate) fn replicas_in(&self, state: ReplicaState) -> Vec<u32> {
        self.replicas
            .iter()
            .filter(|(_, status)| status.state == state)
            .map(|(replica, _)| *replica)
            .collect()
    }

    /// Replicas a route should lead to; the draining ones only when there are no others.
    pub(crate) fn assignment(&self) -> Vec<u32> {
        let serving = |state| {
            matches!(state, ReplicaState::Loaded | ReplicaState::Available | ReplicaState::LoadedUnavailable)
        };
        let assigned: Vec<u32> = self
            .replicas
            .iter()
            .filter(|(_, status)| serving(status.state))
            .map(|(replica, _)| *replica)
            .collect();
        if assigned.is_empty() { self.replicas_in(ReplicaState::Draining) } else { assigned }
    }

    pub(crate) fn has_live_replicas(&self) -> bool {
        self.replicas.values().any(|status| status.state.can_receive_traffic())
    }

    pub(crate) fn is_loading_or_loaded_anywhere(&self) -> bool {
        self.replicas.values().any(|status| status.state.already_loading_or_loaded())
    }

    pub(crate) fn is_loading_or_loaded_on(&self, server: &str, replica: u32) -> bool {
        self.server == server && self.replica_state(replica).loading_or_loaded()
    }

    fn inactive(&self) -> bool {
        self.replicas.values().all(|status| status.state.inactive())
    }

    /// `<model>_<version>`, the name the inference server knows it by.
    pub(crate) fn internal_name(&self) -> String {
        format!("{}_{}", self.name(), self.version)
    }
}

/// A model: its versions in ascending order.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Model {
    pub(crate) versions: Vec<ModelVersion>,
    pub(crate) deleted: bool,
}

impl Model {
    pub(crate) fn latest(&self) -> Option<&ModelVersion> {
        self.versions.last()
    }

    pub(crate) fn version(&self, version: u32) -> Option<&ModelVersion> {
        self.versions.iter().find(|candidate| candidate.version == version)
    }

    pub(crate) fn version_mut(&mut self, version: u32) -> Option<&mut ModelVersion> {
        self.versions.iter_mut().find(|candidate| candidate.version == version)
    }

    fn last_available_index(&self) -> Option<usize> {
        self.versions.iter().rposition(|version| version.status.state == ModelState::ModelAvailable)
    }

    /// The newest version that is `ModelAvailable`.
    pub(crate) fn last_available(&self) -> Option<&ModelVersion> {
        self.last_available_index().map(|index| &self.versions[index])
    }

    /// Versions that the newest available one has made superfluous.
    pub(crate) fn before_last_available(&self) -> Vec<u32> {
        let end = self.last_available_index().unwrap_or(0);
        self.versions[..end].iter().map(|version| version.version).collect()
    }

    pub(crate) fn can_receive_traffic(&self) -> bool {
        self.last_available().is_some() || self.latest().is_some_and(ModelVersion::has_live_replicas)
    }

    /// A deleted model may be created again once its newest version is nowhere any more.
    pub(crate) fn inactive(&self) -> bool {
        self.latest().is_none_or(ModelVersion::inactive)
    }

    /// Adds a version, keeping the order.
    pub(crate) fn add(&mut self, version: ModelVersion) {
        self.versions.push(version);
        self.versions.sort_by_key(|version| version.version);
    }

    /// Adds the version after the newest; the first one takes its number from the Kubernetes generation.
    pub(crate) fn add_next(&mut self, definition: pb::Model) {
        let generation = definition
            .meta
            .as_ref()
            .and_then(|meta| meta.kubernetes_meta.as_ref())
            .map_or(0, |kubernetes| kubernetes.generation);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "Seldon 2.9.1 converts it so"
        )]
        let first = (generation as u32).max(1);
        let number = self.latest().map_or(first, |latest| latest.version + 1);
        self.add(ModelVersion::new(definition, number));
    }
}
