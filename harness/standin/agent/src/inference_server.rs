//! The control side of the inference server (MLServer): Open Inference Protocol over gRPC.

use std::time::Duration;

use gonet::{BackOff, ClientConn, ConnectOptions, GoStatus};
use pace::Pace;
use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::{
    RepositoryIndexRequest, RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerLiveRequest,
};
use tonic::transport::Channel;
use tonic::{Code, Status};

/// Largest message either way, as the agent sets it.
pub(crate) const LARGEST_MESSAGE: usize = 1000 * 1024 * 1024;
/// Attempts of one call and the first wait between them, doubling.
const ATTEMPTS: u32 = 5;
const FIRST_WAIT: Duration = Duration::from_millis(100);

const LOAD_LIMIT: Duration = Duration::from_secs(60 * 60);
const UNLOAD_LIMIT: Duration = Duration::from_secs(120);
const CONTROL_LIMIT: Duration = Duration::from_secs(60);

/// A client of the inference server; clones share its connection.
#[derive(Clone)]
pub(crate) struct InferenceServer {
    connection: ClientConn,
    pace: Pace,
}

/// A client for one call over `channel`.
pub(crate) fn client(channel: Channel) -> GrpcInferenceServiceClient<Channel> {
    GrpcInferenceServiceClient::new(channel)
        .max_decoding_message_size(LARGEST_MESSAGE)
        .max_encoding_message_size(LARGEST_MESSAGE)
}

impl InferenceServer {
    pub(crate) fn new(host: &str, port: u16, pace: Pace) -> InferenceServer {
        // No pace shortens MLServer's start, so many paced attempts fall into it; unbounded, their waits would
        // outgrow it as real ones never do.
        let max = if pace == Pace::REAL { BackOff::GRPC.max } else { Duration::from_secs(5) };
        let options = ConnectOptions::new(pace).with_back_off(BackOff { max, ..BackOff::GRPC });
        InferenceServer { connection: ClientConn::new(host, port, options), pace }
    }

    /// The channel for one call of a proxy.
    pub(crate) async fn channel(&self) -> Result<Channel, GoStatus> {
        self.connection.channel().await
    }

    /// Whether the server says it is live.
    pub(crate) async fn live(&self) -> Result<bool, GoStatus> {
        let call = |mut client: GrpcInferenceServiceClient<Channel>| async move {
            client.server_live(ServerLiveRequest {}).await.map(|answer| answer.into_inner().live)
        };
        self.retried(CONTROL_LIMIT, call).await
    }

    /// Loads the model with this internal name.
    pub(crate) async fn load(&self, name: &str) -> Result<(), GoStatus> {
        let request = RepositoryModelLoadRequest { model_name: name.to_owned(), ..Default::default() };
        let call = |mut client: GrpcInferenceServiceClient<Channel>| {
            let request = request.clone();
            async move { client.repository_model_load(request).await.map(drop) }
        };
        self.retried(LOAD_LIMIT, call).await
    }

    /// Unloads the model with this internal name.
    pub(crate) async fn unload(&self, name: &str) -> Result<(), GoStatus> {
        let request = RepositoryModelUnloadRequest { model_name: name.to_owned(), ..Default::default() };
        let call = |mut client: GrpcInferenceServiceClient<Channel>| {
            let request = request.clone();
            async move { client.repository_model_unload(request).await.map(drop) }
        };
        self.retried(UNLOAD_LIMIT, call).await
    }

    /// Every model the server knows: name and state such as `READY`.
    pub(crate) async fn index(&self) -> Result<Vec<(String, String)>, GoStatus> {
        let call = |mut client: GrpcInferenceServiceClient<Channel>| async move {
            client
                .repository_index(RepositoryIndexRequest::default())
                .await
                .map(|answer| answer.into_inner().models)
        };
        let models = self.retried(CONTROL_LIMIT, call).await?;
        // MLServer lists a model without a name when its repository is empty.
        Ok(models
            .into_iter()
            .filter(|model| !model.name.is_empty())
            .map(|model| (model.name, model.state))
            .collect())
    }

    /// Calls until the answer is no passing failure.
    async fn retried<T, F>(
        &self,
        limit: Duration,
        call: impl Fn(GrpcInferenceServiceClient<Channel>) -> F,
    ) -> Result<T, GoStatus>
    where
        F: Future<Output = Result<T, Status>>,
    {
        let attempts = async {
            let mut wait = FIRST_WAIT;
            for attempt in 1.. {
                let outcome = match self.connection.channel().await {
                    Ok(channel) => {
                        call(client(channel)).await.map_err(|status| GoStatus::from_tonic(&status))
                    }
                    Err(status) => Err(status),
                };
                match outcome {
                    Err(status) if passing(status.code) && attempt < ATTEMPTS => {
                        tokio::time::sleep(self.pace.wait(wait)).await;
                        wait *= 2;
                    }
                    outcome => return outcome,
                }
            }
            Err(GoStatus::closing())
        };
        tokio::time::timeout(limit, attempts).await.unwrap_or_else(|_| Err(GoStatus::deadline_exceeded()))
    }
}

fn passing(code: Code) -> bool {
    matches!(code, Code::Unavailable | Code::ResourceExhausted)
}
