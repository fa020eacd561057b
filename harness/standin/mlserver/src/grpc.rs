//! The V2 protocol over gRPC.

use std::pin::Pin;
use std::sync::Arc;

use futures::Stream;
use http::{HeaderMap, HeaderName, HeaderValue};
use seldon_proto::inference::grpc_inference_service_server::GrpcInferenceService;
use seldon_proto::inference::repository_index_response::ModelIndex;
use seldon_proto::inference::{
    ModelInferRequest, ModelInferResponse, ModelMetadataRequest, ModelMetadataResponse, ModelReadyRequest,
    ModelReadyResponse, RepositoryIndexRequest, RepositoryIndexResponse, RepositoryModelLoadRequest,
    RepositoryModelLoadResponse, RepositoryModelUnloadRequest, RepositoryModelUnloadResponse,
    ServerLiveRequest, ServerLiveResponse, ServerMetadataRequest, ServerMetadataResponse, ServerReadyRequest,
    ServerReadyResponse,
};
use serde_json::json;
use tonic::{Request, Response, Status, Streaming};
use trailers::Trailers;

use crate::inference::{Inference, Input};
use crate::prediction::{Output, predict, word};
use crate::raw;
use crate::registry::{Registry, Wanted};
use crate::{CONFESSION, PARAMETER, cloud_events};

/// The server.
#[derive(Debug)]
pub(crate) struct Grpc {
    pub(crate) registry: Arc<Registry>,
    pub(crate) namespace: Option<Arc<str>>,
}

/// The request as HTTP would have brought it.
fn inference(request: &ModelInferRequest) -> Inference {
    let inputs = request.inputs.iter().enumerate().map(|(number, tensor)| {
        let data = match (request.raw_input_contents.get(number), &tensor.contents) {
            (Some(bytes), _) => raw::unpacked(&tensor.datatype, bytes),
            (None, Some(contents)) => raw::listed(contents),
            (None, None) => json!([]),
        };
        Input { shape: tensor.shape.clone(), datatype: tensor.datatype.clone(), data }
    });
    Inference {
        id: Some(request.id.clone()),
        inputs: inputs.collect(),
        outputs: request.outputs.iter().map(|output| output.name.clone()).collect(),
    }
}

/// Numbers come back as they were given: as bytes, or in lists.
fn packed(outputs: &[Output], request: &ModelInferRequest) -> ModelInferResponse {
    let mut answer = ModelInferResponse {
        id: request.id.clone(),
        parameters: [(PARAMETER.to_owned(), word(CONFESSION))].into(),
        ..Default::default()
    };
    if request.raw_input_contents.is_empty() {
        answer.outputs = outputs.iter().map(Output::message).collect();
    } else {
        answer.outputs = outputs.iter().map(Output::message_without_contents).collect();
        answer.raw_output_contents = outputs.iter().map(Output::raw).collect();
    }
    answer
}

/// CloudEvents' headers come behind the answer.
fn events(namespace: Option<&str>, model: &str, id: &str) -> Trailers {
    let fields = cloud_events::headers(namespace, model, id).into_iter().filter_map(|(name, value)| {
        Some((HeaderName::from_static(name), HeaderValue::from_str(&value).ok()?))
    });
    Trailers(fields.collect::<HeaderMap>())
}

#[tonic::async_trait]
impl GrpcInferenceService for Grpc {
    type ModelStreamInferStream = Pin<Box<dyn Stream<Item = Result<ModelInferResponse, Status>> + Send>>;

    async fn server_live(
        &self,
        _: Request<ServerLiveRequest>,
    ) -> Result<Response<ServerLiveResponse>, Status> {
        Ok(Response::new(ServerLiveResponse { live: true }))
    }

    async fn server_ready(
        &self,
        _: Request<ServerReadyRequest>,
    ) -> Result<Response<ServerReadyResponse>, Status> {
        Ok(Response::new(ServerReadyResponse { ready: true }))
    }

    async fn model_ready(
        &self,
        request: Request<ModelReadyRequest>,
    ) -> Result<Response<ModelReadyResponse>, Status> {
        let ModelReadyRequest { name, version } = request.into_inner();
        // MLServer forgets to expect the exception here.
        self.registry.model(&name, Some(&version)).map_err(|failure| {
            Status::unknown(format!("Unexpected <class 'mlserver.errors.ModelNotFound'>: {failure}"))
        })?;
        Ok(Response::new(ModelReadyResponse { ready: true }))
    }

    async fn server_metadata(
        &self,
        _: Request<ServerMetadataRequest>,
    ) -> Result<Response<ServerMetadataResponse>, Status> {
        Ok(Response::new(ServerMetadataResponse {
            name: cloud_events::SERVER.to_owned(),
            version: "1.7.1".to_owned(),
            extensions: vec![PARAMETER.to_owned()],
        }))
    }

    async fn model_metadata(
        &self,
        request: Request<ModelMetadataRequest>,
    ) -> Result<Response<ModelMetadataResponse>, Status> {
        let ModelMetadataRequest { name, version } = request.into_inner();
        let model = self.registry.model(&name, Some(&version))?;
        let content_type = model.parameters.content_type.iter();
        Ok(Response::new(ModelMetadataResponse {
            name: model.name.clone(),
            platform: model.platform.clone(),
            versions: model.versions.clone(),
            parameters: content_type.map(|text| ("content_type".to_owned(), word(text))).collect(),
            ..Default::default()
        }))
    }

    async fn model_infer(
        &self,
        request: Request<ModelInferRequest>,
    ) -> Result<Response<ModelInferResponse>, Status> {
        let request = request.into_inner();
        let model = self.registry.model(&request.model_name, Some(&request.model_version))?;
        let outputs = predict(&model, &inference(&request))?;
        let mut message = packed(&outputs, &request);
        message.model_name.clone_from(&model.name);
        message.model_version = model.parameters.version.clone().unwrap_or_default();
        let mut answer = Response::new(message);
        answer.extensions_mut().insert(events(self.namespace.as_deref(), &model.name, &request.id));
        Ok(answer)
    }

    async fn model_stream_infer(
        &self,
        _: Request<Streaming<ModelInferRequest>>,
    ) -> Result<Response<Self::ModelStreamInferStream>, Status> {
        Err(Status::unimplemented("a stand-in for MLServer streams no predictions"))
    }

    async fn repository_index(
        &self,
        request: Request<RepositoryIndexRequest>,
    ) -> Result<Response<RepositoryIndexResponse>, Status> {
        let wanted = if request.into_inner().ready { Wanted::Ready } else { Wanted::All };
        let models = self.registry.index(wanted).into_iter().map(|model| ModelIndex {
            name: model.name,
            version: model.version.unwrap_or_default(),
            // The name of Python's enumeration is in it, and the agent expects the word alone.
            state: format!("State.{}", model.state.word()),
            reason: String::new(),
        });
        Ok(Response::new(RepositoryIndexResponse { models: models.collect() }))
    }

    async fn repository_model_load(
        &self,
        request: Request<RepositoryModelLoadRequest>,
    ) -> Result<Response<RepositoryModelLoadResponse>, Status> {
        self.registry.load(&request.into_inner().model_name)?;
        Ok(Response::new(RepositoryModelLoadResponse {}))
    }

    async fn repository_model_unload(
        &self,
        request: Request<RepositoryModelUnloadRequest>,
    ) -> Result<Response<RepositoryModelUnloadResponse>, Status> {
        self.registry.unload(&request.into_inner().model_name)?;
        Ok(Response::new(RepositoryModelUnloadResponse {}))
    }
}
