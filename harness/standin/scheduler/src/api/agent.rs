//! The agents' API on port 9005.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use pace::Pace;
use seldon_proto::agent as pb;
use seldon_proto::agent::agent_service_server::AgentService;
use tokio::sync::mpsc;
use tokio_stream::wrappers::UnboundedReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};

use crate::core::{AgentSender, Shared, batch};
use crate::journal::Level;

/// Beyond the routes' batch, time for Envoy to settle before a drained replica may go.
const DRAIN_SETTLES: Duration = Duration::from_secs(3);

type Turns = Arc<Mutex<BTreeMap<(String, u32), Arc<tokio::sync::Mutex<()>>>>>;

/// Serves agents.
#[derive(Debug, Clone)]
pub(crate) struct AgentApi {
    shared: Shared,
    pace: Pace,
    stop: CancellationToken,
    /// One stream at a time for each replica: the next waits until the one before has ended.
    turns: Turns,
}

impl AgentApi {
    pub(crate) fn new(shared: Shared, pace: Pace, stop: CancellationToken) -> AgentApi {
        AgentApi { shared, pace, stop, turns: Turns::default() }
    }

    fn turn(&self, server: &str, replica: u32) -> Arc<tokio::sync::Mutex<()>> {
        let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
        turns.entry((server.to_owned(), replica)).or_default().clone()
    }

    async fn serve_agent(self, request: pb::AgentSubscribeRequest, sender: AgentSender) {
        let (server, replica) = (request.server_name.clone(), request.replica_idx);
        let turn = self.turn(&server, replica);
        let _turn = turn.lock().await;
        self.shared.with(|core| core.subscribe_agent(&request, sender.clone()));
        // An agent that leaves before the gate opens is noticed only afterwards, as by Seldon.
        self.shared.ready().await;
        self.shared.with(|core| core.schedule_for_agent(&request));
        tokio::select! {
            () = sender.closed() => self.shared.with(|core| core.lose_agent(&server, replica)),
            () = self.stop.cancelled() => {
                let line = format!("Closing stream for replica: {server}:{replica}");
                let fields = [("func", "Subscribe"), ("source", "AgentServer")];
                self.shared.with(|core| {
                    core.journal.line(Level::Info, &line, &fields);
                    core.agents.remove(&(server.clone(), replica));
                });
            }
        }
    }
}

#[tonic::async_trait]
impl AgentService for AgentApi {
    type SubscribeStream = UnboundedReceiverStream<Result<pb::ModelOperationMessage, Status>>;

    async fn agent_event(
        &self,
        request: Request<pb::ModelEventMessage>,
    ) -> Result<Response<pb::ModelEventResponse>, Status> {
        let message = request.into_inner();
        self.shared.with(|core| core.agent_event(&message)).map_err(Status::internal)?;
        Ok(Response::new(pb::ModelEventResponse {}))
    }

    async fn subscribe(
        &self,
        request: Request<pb::AgentSubscribeRequest>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (sender, receiver) = mpsc::unbounded_channel();
        tokio::spawn(self.clone().serve_agent(request.into_inner(), sender));
        Ok(Response::new(UnboundedReceiverStream::new(receiver)))
    }

    /// Scaling events are read and left alone: model autoscaling is off in every mesh this stands in for.
    async fn model_scaling_trigger(
        &self,
        request: Request<Streaming<pb::ModelScalingTriggerMessage>>,
    ) -> Result<Response<pb::ModelScalingTriggerResponse>, Status> {
        let mut triggers = request.into_inner();
        while triggers.message().await?.is_some() {}
        Ok(Response::new(pb::ModelScalingTriggerResponse {}))
    }

    async fn agent_drain(
        &self,
        request: Request<pb::AgentDrainRequest>,
    ) -> Result<Response<pb::AgentDrainResponse>, Status> {
        let request = request.into_inner();
        let known = self.shared.with(|core| {
            core.store
                .server(&request.server_name)
                .is_ok_and(|s| s.replicas.contains_key(&request.replica_idx))
        });
        let waiting = self.shared.with(|core| core.drain_agent(&request.server_name, request.replica_idx));
        if let Some(done) = waiting {
            drop(done.await);
        }
        if known {
            tokio::time::sleep(batch(self.pace) + self.pace.wait(DRAIN_SETTLES)).await;
        }
        Ok(Response::new(pb::AgentDrainResponse { success: true }))
    }
}
