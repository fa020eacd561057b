//! The stream to the scheduler: subscribe, carry out orders, subscribe again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use gonet::{BackOff, GoStatus};
use seldon_proto::agent::agent_service_client::AgentServiceClient;
use seldon_proto::agent::model_operation_message::Operation;
use seldon_proto::agent::{AgentDrainRequest, AgentSubscribeRequest, ModelOperationMessage, ReplicaConfig};
use tokio_util::sync::CancellationToken;
use tonic::Streaming;
use tonic::transport::Channel;

use crate::drainer::Drainer;
use crate::operations::Operations;

/// Largest message either way.
const LARGEST_MESSAGE: usize = i32::MAX as usize;

/// The control loop's parts.
pub(crate) struct SchedulerLink {
    pub(crate) operations: Arc<Operations>,
    pub(crate) replica: ReplicaConfig,
    pub(crate) stop: CancellationToken,
    pub(crate) orders: AtomicU64,
}

fn client(channel: Channel) -> AgentServiceClient<Channel> {
    AgentServiceClient::new(channel)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE)
}

impl SchedulerLink {
    /// Subscribes again and again until stopped.
    pub(crate) async fn run(&self) {
        let log = self.operations.log.with("func", "StartControlLoop");
        while !self.stop.is_cancelled() {
            let mut back_off = BackOff::SELDON_SUBSCRIPTION.waits();
            while let Err(status) = self.subscription().await {
                self.operations.log.error_field(&status).error("Scheduler not ready");
                let wait = self.operations.pace.wait(back_off.next_wait());
                if self.stop.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
                    break;
                }
            }
            log.info("Scheduler subscription ended");
        }
        log.info("Stopping");
    }

    /// One subscription, to its end.
    ///
    /// # Errors
    /// When it could not be begun.
    async fn subscription(&self) -> Result<(), GoStatus> {
        let log = self.operations.log.with("func", "HandleSchedulerSubscription");
        log.info("Call subscribe to scheduler");
        let channel = self.operations.scheduler.channel().await?;
        let request = self.request();
        let mut subscriber = client(channel.clone());
        let opening = tokio::spawn(async move { subscriber.subscribe(request).await });
        log.info("Subscribed to scheduler");
        // Nothing is ever sent on it here: autoscaling triggers are what it is for.
        let (_triggers, silent) = tokio::sync::mpsc::channel(1);
        let mut scaler = client(channel);
        let scaling = tokio::spawn(async move {
            scaler.model_scaling_trigger(tokio_stream::wrappers::ReceiverStream::new(silent)).await
        });
        self.operations.readiness.subscribed();
        let end = async {
            match opening.await {
                Ok(Ok(answer)) => self.receive(answer.into_inner()).await,
                Ok(Err(status)) => GoStatus::from_tonic(&status).to_string(),
                Err(_) => GoStatus::closing().to_string(),
            }
        };
        let end = self.stop.run_until_cancelled(end).await.unwrap_or_else(|| GoStatus::closing().to_string());
        log.error_field(&end).error("event recv failed");
        log.info("Exiting");
        scaling.abort();
        Ok(())
    }

    fn request(&self) -> AgentSubscribeRequest {
        let book = self.operations.residency.book();
        AgentSubscribeRequest {
            server_name: self.operations.settings.server_name.clone(),
            shared: true,
            replica_idx: self.operations.settings.replica,
            replica_config: Some(self.replica.clone()),
            loaded_models: book.loaded_models(),
            available_memory_bytes: book.offered(),
        }
    }

    /// Carries out orders side by side until the stream ends; Go's words for its end.
    async fn receive(&self, mut orders: Streaming<ModelOperationMessage>) -> String {
        loop {
            match orders.message().await {
                Ok(Some(order)) => self.carry_out(order),
                Ok(None) => return "EOF".to_owned(),
                Err(status) => return GoStatus::from_tonic(&status).to_string(),
            }
        }
    }

    fn carry_out(&self, order: ModelOperationMessage) {
        let log = &self.operations.log;
        log.info("Received operation");
        let number = self.orders.fetch_add(1, Ordering::Relaxed);
        let operations = self.operations.clone();
        match order.operation() {
            Operation::LoadModel => {
                log.info("calling load model");
                tokio::spawn(async move { operations.load(order, number).await });
            }
            Operation::UnloadModel => {
                log.info("calling unload model");
                tokio::spawn(async move { operations.unload(order, number).await });
            }
            Operation::UnknownEvent => {}
        }
    }

    /// Waits for the pod's end, then has the scheduler move this replica's models away.
    pub(crate) async fn drain(&self, drainer: &Drainer) {
        drainer.triggered().await;
        self.operations.readiness.drain();
        let log = &self.operations.log;
        let request = AgentDrainRequest {
            server_name: self.operations.settings.server_name.clone(),
            replica_idx: self.operations.settings.replica,
        };
        let drained = async {
            let channel = self.operations.scheduler.channel().await?;
            client(channel).agent_drain(request).await.map_err(|status| GoStatus::from_tonic(&status))
        };
        match drained.await {
            Ok(answer) => log.info(format!("Agent drain process result {}", answer.into_inner().success)),
            Err(status) => log.error_field(&status).warn("Could not drain agent / server"),
        }
        drainer.drained();
    }
}
