//! Whatever happens in whatever order: what must never be, and what must come about in the end.

use proptest::prelude::*;
use seldon_proto::agent::model_operation_message::Operation;
use seldon_proto::{agent, scheduler as pb};
use tokio::sync::mpsc;
use tonic::Status;

use super::*;
use crate::routes::Protocol;
use crate::store::version::ModelState;
use crate::xds::Successes;

const MODELS: [&str; 3] = ["a", "b", "c"];

#[derive(Debug, Clone)]
enum Happening {
    Load {
        model: usize,
        revision: u8,
    },
    Unload {
        model: usize,
    },
    Connect {
        replica: u32,
    },
    Disconnect {
        replica: u32,
    },
    /// The agent carries out its oldest order, or fails to.
    Obey {
        replica: u32,
        well: bool,
    },
    Batch,
    StartExperiment,
    StopExperiment,
}

fn happening() -> impl Strategy<Value = Happening> {
    let (model, replica) = (0..MODELS.len(), 0_u32..2);
    prop_oneof![
        3 => (model.clone(), 0_u8..3).prop_map(|(model, revision)| Happening::Load { model, revision }),
        1 => model.prop_map(|model| Happening::Unload { model }),
        2 => replica.clone().prop_map(|replica| Happening::Connect { replica }),
        1 => replica.clone().prop_map(|replica| Happening::Disconnect { replica }),
        6 => (replica, prop::bool::weighted(0.8)).prop_map(|(replica, well)| Happening::Obey { replica, well }),
        3 => Just(Happening::Batch),
        1 => Just(Happening::StartExperiment),
        1 => Just(Happening::StopExperiment),
    ]
}

type Orders = mpsc::UnboundedReceiver<Result<agent::ModelOperationMessage, Status>>;

/// A core with two agents that may be there or not.
struct Play {
    core: Core,
    agents: [Option<Orders>; 2],
    generation: i64,
}

impl Play {
    fn new() -> Play {
        let envoy = EnvoySettings {
            dns_refresh: None,
            access_log: None,
            successes: Successes::Omitted,
            pipeline_gateway_host: "gateway".to_owned(),
            pipeline_gateway_http_port: 9010,
            pipeline_gateway_grpc_port: 9011,
            node: "test-id".to_owned(),
        };
        let settings = CoreSettings {
            pace: Pace::FAST,
            model_autoscaling: Autoscaling::Off,
            server_autoscaling: Autoscaling::On,
            envoy,
        };
        let core = Core::new(settings, Journal::memory(Level::Fatal));
        Play { core, agents: [None, None], generation: 0 }
    }

    fn load(&mut self, model: usize, revision: u8) {
        self.generation += 1;
        let meta = pb::KubernetesMeta { namespace: "ml".to_owned(), generation: self.generation };
        let definition = pb::Model {
            meta: Some(pb::MetaData {
                name: MODELS[model].to_owned(),
                kubernetes_meta: Some(meta),
                ..pb::MetaData::default()
            }),
            model_spec: Some(pb::ModelSpec { uri: format!("s3://{revision}"), ..pb::ModelSpec::default() }),
            deployment_spec: Some(pb::DeploymentSpec { replicas: 1, ..pb::DeploymentSpec::default() }),
            ..pb::Model::default()
        };
        if self.core.store.load(definition).is_ok() {
            self.core.schedule(MODELS[model]).ok();
        }
    }

    fn connect(&mut self, replica: u32) {
        let slot = &mut self.agents[replica as usize];
        if slot.is_some() {
            return;
        }
        let request = agent::AgentSubscribeRequest {
            server_name: "s".to_owned(),
            shared: true,
            replica_idx: replica,
            replica_config: Some(agent::ReplicaConfig {
                inference_svc: format!("s-{replica}"),
                inference_http_port: 9001,
                inference_grpc_port: 9501,
                ..agent::ReplicaConfig::default()
            }),
            ..agent::AgentSubscribeRequest::default()
        };
        let (sender, receiver) = mpsc::unbounded_channel();
        *slot = Some(receiver);
        self.core.subscribe_agent(&request, sender);
        self.core.schedule_for_agent(&request);
    }

    fn disconnect(&mut self, replica: u32) {
        if self.agents[replica as usize].take().is_some() {
            self.core.lose_agent("s", replica);
        }
    }

    /// Whether there was an order.
    fn obey(&mut self, replica: u32, well: bool) -> bool {
        use agent::model_event_message::Event as Report;
        let Some(Ok(Ok(order))) = self.agents[replica as usize].as_mut().map(|orders| orders.try_recv())
        else {
            return false;
        };
        let event = match (order.operation(), well) {
            (Operation::LoadModel, true) => Report::Loaded,
            (Operation::LoadModel, false) => Report::LoadFailed,
            (_, true) => Report::Unloaded,
            (_, false) => Report::UnloadFailed,
        };
        let version = order.model_version.unwrap_or_default();
        let message = agent::ModelEventMessage {
            server_name: "s".to_owned(),
            replica_idx: replica,
            model_name: version.model.and_then(|model| model.meta).unwrap_or_default().name,
            model_version: version.version,
            event: event.into(),
            ..agent::ModelEventMessage::default()
        };
        // The order may have been overtaken meanwhile: then the report is refused, as it should be.
        self.core.agent_event(&message).ok();
        true
    }

    fn happen(&mut self, happening: &Happening) {
        match *happening {
            Happening::Load { model, revision } => self.load(model, revision),
            Happening::Unload { model } => {
                if self.core.store.remove(MODELS[model], None).is_ok() {
                    self.core.schedule(MODELS[model]).ok();
                }
            }
            Happening::Connect { replica } => self.connect(replica),
            Happening::Disconnect { replica } => self.disconnect(replica),
            Happening::Obey { replica, well } => {
                self.obey(replica, well);
            }
            Happening::Batch => self.core.publish_routes(),
            Happening::StartExperiment => {
                let candidates =
                    ["a", "b"].map(|name| pb::ExperimentCandidate { name: name.to_owned(), weight: 50 });
                let request = pb::Experiment {
                    name: "ab".to_owned(),
                    default: Some("a".to_owned()),
                    candidates: candidates.to_vec(),
                    ..Default::default()
                };
                let experiment = crate::experiment::Experiment::requested(request);
                self.core.start_experiment(experiment).ok();
            }
            Happening::StopExperiment => {
                self.core.stop_experiment("ab").ok();
            }
        }
        self.core.settle();
    }

    /// Everything that is due is done, until nothing is due.
    fn come_to_rest(&mut self) {
        loop {
            self.happen(&Happening::Batch);
            let first = self.obey(0, true);
            let second = self.obey(1, true);
            self.core.settle();
            if !first && !second {
                self.happen(&Happening::Batch);
                if self.agents.iter_mut().flatten().all(|orders| orders.is_empty()) {
                    return;
                }
            }
        }
    }

    fn check(&self) -> Result<(), TestCaseError> {
        let core = &self.core;
        for (name, route) in &core.routes.routes {
            for split in route.splits.iter().chain(&route.mirror) {
                for protocol in [Protocol::Http, Protocol::Grpc] {
                    let cluster = split.cluster(protocol);
                    prop_assert!(core.routes.clusters.contains_key(&cluster), "{name} leads to {cluster}");
                }
            }
        }
        for (name, model) in &core.store.models {
            let Some(latest) = model.latest().filter(|_| !model.deleted) else { continue };
            if latest.status.state == ModelState::ModelAvailable {
                prop_assert!(core.store.server(&latest.server).is_ok(), "{name} is available on no server");
            }
        }
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// No route leads to a cluster that is not there, and no model is available on a server that is not there.
    #[test]
    fn routes_and_states_hold_together(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut play = Play::new();
        for happening in &happenings {
            play.happen(happening);
            play.check()?;
        }
    }

    /// When both agents are there and do as they are told, every wanted model is available and has a route, and no
    /// unwanted one has.
    ///
    /// An unwanted model need not be `ModelTerminated`: as with Seldon 2.9.1, one whose load failed stays terminating
    /// for good when its agent goes before it could be told to unload.
    #[test]
    fn everything_comes_right_in_the_end(happenings in prop::collection::vec(happening(), 0..60)) {
        let mut play = Play::new();
        for happening in &happenings {
            play.happen(happening);
        }
        // New agents: what failed before gets another try.
        for replica in 0..2 {
            play.happen(&Happening::Disconnect { replica });
        }
        for replica in 0..2 {
            play.happen(&Happening::Connect { replica });
            play.come_to_rest();
        }
        play.check()?;
        for (name, model) in &play.core.store.models {
            let latest = model.latest().unwrap();
            let routed = play.core.routes.routes.contains_key(name);
            if model.deleted {
                prop_assert!(!routed, "{name} still has a route");
            } else {
                prop_assert_eq!(latest.status.state, ModelState::ModelAvailable, "{}: {:?}", name, latest.replicas);
                prop_assert!(routed, "{name} has no route");
            }
        }
    }
}
