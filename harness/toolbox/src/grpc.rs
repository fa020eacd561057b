//! One `ModelInfer` over HTTP/2 without TLS.

use std::time::{Duration, Instant};

use gonet::ConnectOptions;
use netmodel::OutcomeClass;
use pace::Pace;
use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::model_infer_request::InferInputTensor;
use seldon_proto::inference::{InferTensorContents, ModelInferRequest};
use tonic::metadata::{MetadataKey, MetadataValue};

use crate::probe::{Detail, Observation};
use crate::tcp::millis;

/// Sends the request; any status that the peer itself gave is [`OutcomeClass::Open`].
pub(crate) async fn infer(
    host: &str,
    port: u16,
    headers: &[(String, String)],
    model: &str,
    input: &[f32],
    limit_ms: u64,
    pace: Pace,
) -> Observation {
    let began = Instant::now();
    let channel = match gonet::connect(host, port, &ConnectOptions::new(pace)).await {
        Ok(channel) => channel,
        Err(status) => return observed(began, OutcomeClass::Refused, status.code as i32, &status.desc, ""),
    };
    let mut request = tonic::Request::new(message(model, input));
    for (name, value) in headers {
        let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), MetadataValue::try_from(value)) else {
            return observed(began, OutcomeClass::NameNotFound, 3, &format!("{name} is no metadata"), "");
        };
        request.metadata_mut().insert(name, value);
    }
    let limit = Duration::from_millis(limit_ms);
    match tokio::time::timeout(limit, GrpcInferenceServiceClient::new(channel).model_infer(request)).await {
        Ok(Ok(answer)) => observed(began, OutcomeClass::Open, 0, "", &answer.into_inner().model_name),
        Ok(Err(status)) => observed(began, OutcomeClass::Open, status.code() as i32, status.message(), ""),
        Err(_) => observed(began, OutcomeClass::Timeout, 4, &format!("no answer within {limit_ms} ms"), ""),
    }
}

fn message(model: &str, input: &[f32]) -> ModelInferRequest {
    let columns = i64::try_from(input.len()).unwrap_or(i64::MAX);
    ModelInferRequest {
        model_name: model.into(),
        inputs: vec![InferInputTensor {
            name: "predict".into(),
            datatype: "FP32".into(),
            shape: vec![1, columns],
            parameters: Default::default(),
            contents: Some(InferTensorContents { fp32_contents: input.to_vec(), ..InferTensorContents::default() }),
        }],
        ..ModelInferRequest::default()
    }
}

fn observed(began: Instant, class: OutcomeClass, code: i32, message: &str, model_name: &str) -> Observation {
    Observation {
        class,
        errno: None,
        elapsed_ms: millis(began),
        text: format!("gRPC status {code} {message}"),
        detail: Detail::Grpc { code, message: message.into(), model_name: model_name.into() },
    }
}
