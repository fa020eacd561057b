//! The gRPC proxy (9501): Envoy's calls to MLServer, with the model loaded on demand.

use std::pin::Pin;
use std::sync::Arc;

use futures::{Stream, StreamExt};
use gonet::GoStatus;
use http::HeaderMap;
use seldon_proto::inference::grpc_inference_service_server::{
    GrpcInferenceService, GrpcInferenceServiceServer,
};
use seldon_proto::inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::metadata::{MetadataMap, MetadataValue};
use tonic::{Code, Request, Response, Status, Streaming};
use trailers::{Trailers, TrailersLayer};

use crate::go_http;
use crate::inference_server::{LARGEST_MESSAGE, client};
use crate::log::Log;
use crate::names;
use crate::request_id;
use crate::residency::Residency;

/// The proxy.
#[derive(Clone)]
pub(crate) struct GrpcProxy {
    residency: Arc<Residency>,
    log: Log,
}

impl GrpcProxy {
    pub(crate) fn new(residency: Arc<Residency>, log: &Log) -> GrpcProxy {
        GrpcProxy { residency, log: log.with("Source", "GRPCProxy") }
    }

    /// Serves on `port`; `backend` is MLServer's gRPC port, for the log.
    ///
    /// # Errors
    /// When the port cannot be had.
    pub(crate) async fn start(self, port: u16, backend: u16) -> std::io::Result<()> {
        let listener = go_http::listen(port).await?;
        self.log.info(format!("Setting grpc v2 client pool on port {backend}"));
        self.log.info(format!("Starting gRPC listening server on port {port}"));
        let service = GrpcInferenceServiceServer::new(self)
            .max_decoding_message_size(LARGEST_MESSAGE)
            .max_encoding_message_size(LARGEST_MESSAGE);
        let server = tonic::transport::Server::builder().layer(TrailersLayer).add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        Ok(())
    }

    /// The internal model a call names, in memory.
    async fn model(&self, metadata: &MetadataMap) -> Result<String, Status> {
        let value =
            |name| metadata.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        let (internal, asked) = (value("seldon-internal-model"), value("seldon-model"));
        let external = names::original(&internal).map_or(asked, |(model, _)| model.to_owned());
        if internal.is_empty() || external.is_empty() {
            let text = format!(
                "Failed to extract model name seldon-internal-model:[{internal}] seldon-model:[{external}]"
            );
            self.log.error(&text);
            return Err(Status::failed_precondition(text));
        }
        match self.residency.ensure(&internal).await {
            Ok(()) => Ok(internal),
            Err(error) => Err(Status::not_found(format!("Model {internal} not found (err: {error})"))),
        }
    }

    /// Calls MLServer; `NotFound` and `Unavailable` mean that it may have lost the model, so it is loaded and asked
    /// again.
    async fn with_reload<T, F: Future<Output = Result<Response<T>, Status>>>(
        &self,
        model: &str,
        call: impl Fn() -> F,
    ) -> Result<Response<T>, Status> {
        let first = call().await;
        match &first {
            Err(status) if matches!(status.code(), Code::NotFound | Code::Unavailable) => {
                if let Err(status) = self.residency.server().load(model).await {
                    self.log.error_field(&status).warn(format!("error loading model {model}"));
                }
                call().await
            }
            _ => first,
        }
    }

    async fn channel(&self) -> Result<tonic::transport::Channel, Status> {
        self.residency.server().channel().await.map_err(Status::from)
    }
}

/// A request with the caller's metadata and a request id.
fn onward<T>(message: T, metadata: &MetadataMap, id: &str) -> Request<T> {
    let mut request = Request::new(message);
    for key_and_value in metadata.iter() {
        let tonic::metadata::KeyAndValueRef::Ascii(key, value) = key_and_value else { continue };
        let own = ["user-agent", "content-type", "te", "host", "grpc-timeout"];
        if !own.contains(&key.as_str()) {
            request.metadata_mut().append(key.clone(), value.clone());
        }
    }
    if let Ok(value) = MetadataValue::try_from(id) {
        request.metadata_mut().insert(request_id::HEADER, value);
    }
    request
}

/// MLServer's answer with its trailers (and the request id) as trailers, where the caller expects them.
fn answered(answer: Response<ModelInferResponse>, id: &str) -> Response<ModelInferResponse> {
    let (metadata, message, _) = answer.into_parts();
    let mut trailers: HeaderMap = metadata.into_headers();
    for own in ["content-type", "date", "server", "accept-encoding"] {
        trailers.remove(own);
    }
    let protocol: Vec<_> =
        trailers.keys().filter(|name| name.as_str().starts_with("grpc-")).cloned().collect();
    for name in protocol {
        trailers.remove(name);
    }
    if let Ok(value) = id.parse() {
        trailers.insert(request_id::HEADER, value);
    }
    let mut answer = Response::new(message);
    answer.extensions_mut().insert(Trailers(trailers));
    answer
}

fn go(status: &Status) -> Status {
    GoStatus::from_tonic(status).into()
}

fn unimplemented<T>(method: &str) -> Result<T, Status> {
    Err(Status::unimplemented(format!("method {method} not implemented")))
}

#[tonic::async_trait]
impl GrpcInferenceService for GrpcProxy {
    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelInferResponse, Status>> + Send>>;

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let (metadata, _, mut message) = request.into_parts();
        let model = self.model(&metadata).await?;
        message.model_name.clone_from(&model);
        message.model_version.clear();
        let id = metadata.get(request_id::HEADER).and_then(|value| value.to_str().ok());
        let id = id.map_or_else(request_id::create, str::to_owned);
        let call = || {
            let request = onward(message.clone(), &metadata, &id);
            async move { client(self.channel().await?).model_infer(request).await.map_err(|status| go(&status)) }
        };
        match self.with_reload(&model, call).await {
            Ok(answer) => Ok(answered(answer, &id)),
            Err(mut status) => {
                if let Ok(value) = MetadataValue::try_from(id.as_str()) {
                    status.metadata_mut().insert(request_id::HEADER, value);
                }
                Err(status)
            }
        }
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let model = self.model(request.metadata()).await?;
        let call = || {
            let message = ModelMetadataRequest { name: model.clone(), version: String::new() };
            async move {
                client(self.channel().await?).model_metadata(message).await.map_err(|status| go(&status))
            }
        };
        self.with_reload(&model, call).await.map(|answer| Response::new(answer.into_inner()))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let model = self.model(request.metadata()).await?;
        let call = || {
            let message = ModelReadyRequest { name: model.clone(), version: String::new() };
            async move { client(self.channel().await?).model_ready(message).await.map_err(|status| go(&status)) }
        };
        self.with_reload(&model, call).await.map(|answer| Response::new(answer.into_inner()))
    }

    async fn model_stream_infer(
        &self,
        request: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        let (metadata, _, messages) = request.into_parts();
        let model = self.model(&metadata).await?;
        let messages = messages.filter_map(move |message| {
            let message = message.ok().map(|mut message| {
                message.model_name.clone_from(&model);
                message.model_version.clear();
                message
            });
            std::future::ready(message)
        });
        let request = onward(messages, &metadata, &request_id::create());
        let answers =
            client(self.channel().await?).model_stream_infer(request).await.map_err(|status| go(&status))?;
        let answers = answers.into_inner().map(|answer| answer.map_err(|status| go(&status)));
        Ok(Response::new(Box::pin(answers)))
    }

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        unimplemented("ServerLive")
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        unimplemented("ServerReady")
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        unimplemented("ServerMetadata")
    }

    async fn repository_index(
        &self,
        _: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        unimplemented("RepositoryIndex")
    }

    async fn repository_model_load(
        &self,
        _: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        unimplemented("RepositoryModelLoad")
    }

    async fn repository_model_unload(
        &self,
        _: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        unimplemented("RepositoryModelUnload")
    }
}
