//! A server and its replicas, as their agents described them.

use std::collections::{BTreeMap, BTreeSet};

use seldon_proto::{agent, scheduler as pb};

/// A version of a model, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct ModelVersionKey {
    pub(crate) model: String,
    pub(crate) version: u32,
}

/// One replica of a server: a pod whose agent is subscribed.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Replica {
    pub(crate) index: u32,
    pub(crate) inference_service: String,
    pub(crate) http_port: i32,
    pub(crate) grpc_port: i32,
    pub(crate) capabilities: Vec<String>,
    /// Bytes, without overcommit.
    pub(crate) memory: u64,
    /// Bytes left as the agent last said, overcommit included.
    pub(crate) available_memory: u64,
    /// Bytes promised to models that are on their way.
    pub(crate) reserved_memory: u64,
    pub(crate) overcommit_percentage: u32,
    pub(crate) loaded: BTreeSet<ModelVersionKey>,
    pub(crate) loading: BTreeSet<ModelVersionKey>,
    pub(crate) draining: bool,
}

impl Replica {
    /// The replica an agent announces itself as.
    pub(crate) fn announced(request: &agent::AgentSubscribeRequest) -> Replica {
        let config = request.replica_config.clone().unwrap_or_default();
        let key = |loaded: &agent::ModelVersion| ModelVersionKey {
            model: loaded
                .model
                .as_ref()
                .and_then(|model| model.meta.as_ref())
                .map_or("", |meta| &meta.name)
                .to_owned(),
            version: loaded.version,
        };
        Replica {
            index: request.replica_idx,
            inference_service: config.inference_svc,
            http_port: config.inference_http_port,
            grpc_port: config.inference_grpc_port,
            capabilities: config.capabilities.iter().map(|capability| capability.trim().to_owned()).collect(),
            memory: config.memory_bytes,
            available_memory: request.available_memory_bytes,
            reserved_memory: 0,
            overcommit_percentage: config.over_commit_percentage,
            loaded: request.loaded_models.iter().map(key).collect(),
            loading: BTreeSet::new(),
            draining: false,
        }
    }

    /// Models loaded there, each counted once whatever the number of its versions.
    pub(crate) fn loaded_models(&self) -> usize {
        self.loaded.iter().map(|key| &key.model).collect::<BTreeSet<_>>().len()
    }

    pub(crate) fn reserve(&mut self, bytes: u64) {
        self.reserved_memory = self.reserved_memory.saturating_add(bytes);
    }

    pub(crate) fn release(&mut self, bytes: u64) {
        self.reserved_memory = self.reserved_memory.saturating_sub(bytes);
    }
}

/// A server: what the operator declared, and the replicas that came.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Server {
    pub(crate) name: String,
    pub(crate) replicas: BTreeMap<u32, Replica>,
    /// Whether models that name no server may be put here; agents always say yes.
    pub(crate) shared: bool,
    /// -1 until the operator has spoken.
    pub(crate) expected_replicas: i32,
    pub(crate) min_replicas: i32,
    pub(crate) max_replicas: i32,
    pub(crate) kubernetes_meta: Option<pb::KubernetesMeta>,
}

impl Server {
    pub(crate) fn new(name: &str, shared: bool) -> Server {
        Server {
            name: name.to_owned(),
            replicas: BTreeMap::new(),
            shared,
            expected_replicas: -1,
            min_replicas: 0,
            max_replicas: 0,
            kubernetes_meta: None,
        }
    }

    /// Names of all models loaded or loading on any replica.
    pub(crate) fn models(&self) -> BTreeSet<String> {
        let keys =
            |replica: &Replica| replica.loaded.iter().chain(&replica.loading).cloned().collect::<Vec<_>>();
        self.replicas.values().flat_map(keys).map(|key| key.model).collect()
    }

    /// Replicas with no model on them.
    pub(crate) fn empty_replicas(&self) -> usize {
        self.replicas
            .values()
            .filter(|replica| replica.loaded.is_empty() && replica.loading.is_empty())
            .count()
    }

    /// The status the operator is sent; draining replicas do not count.
    pub(crate) fn status(&self) -> pb::ServerStatusResponse {
        let resources: Vec<pb::ServerReplicaResources> = self
            .replicas
            .values()
            .filter(|replica| !replica.draining)
            .map(|replica| pb::ServerReplicaResources {
                replica_idx: replica.index,
                total_memory_bytes: replica.memory,
                available_memory_bytes: replica.available_memory,
                num_loaded_models: i32::try_from(replica.loaded_models()).unwrap_or(i32::MAX),
                over_commit_percentage: replica.overcommit_percentage,
            })
            .collect();
        pb::ServerStatusResponse {
            server_name: self.name.clone(),
            expected_replicas: self.expected_replicas,
            available_replicas: i32::try_from(resources.len()).unwrap_or(i32::MAX),
            num_loaded_model_replicas: resources.iter().map(|resource| resource.num_loaded_models).sum(),
            resources,
            kubernetes_meta: self.kubernetes_meta.clone(),
            r#type: pb::server_status_response::Type::StatusUpdate.into(),
        }
    }

    /// The request to the operator to give the server another size.
    pub(crate) fn scaling_request(&self, replicas: u32) -> pb::ServerStatusResponse {
        pb::ServerStatusResponse {
            server_name: self.name.clone(),
            expected_replicas: i32::try_from(replicas).unwrap_or(i32::MAX),
            kubernetes_meta: self.kubernetes_meta.clone(),
            r#type: pb::server_status_response::Type::ScalingRequest.into(),
            ..pb::ServerStatusResponse::default()
        }
    }
}
