//! One call of the Open Inference Protocol over HTTP/2 without TLS.

use std::error::Error;
use std::time::{Duration, Instant};

use gonet::{ConnectOptions, GoStatus};
use netmodel::OutcomeClass;
use pace::Pace;
use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::model_infer_request::InferInputTensor;
use seldon_proto::inference::{InferTensorContents, ModelInferRequest, ServerLiveRequest};
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
    let limit = Duration::from_millis(limit_ms);
    let channel = match connected(host, port, limit, pace).await {
        Ok(channel) => channel,
        Err(status) => return broken(began, &status),
    };
    let mut request = tonic::Request::new(message(model, input));
    for (name, value) in headers {
        let (Ok(name), Ok(value)) =
            (MetadataKey::from_bytes(name.as_bytes()), MetadataValue::try_from(value))
        else {
            return observed(began, OutcomeClass::NameNotFound, 3, &format!("{name} is no metadata"), "");
        };
        request.metadata_mut().insert(name, value);
    }
    let mut client = GrpcInferenceServiceClient::new(channel);
    match tokio::time::timeout(limit, client.model_infer(request)).await {
        Ok(Ok(answer)) => observed(began, OutcomeClass::Open, 0, "", &answer.into_inner().model_name),
        Ok(Err(status)) => refused(began, &status),
        Err(_) => broken(began, &GoStatus::deadline_exceeded()),
    }
}

/// Asks whether the server is live; `model_name` of the answer stays empty.
pub(crate) async fn server_live(host: &str, port: u16, limit_ms: u64, pace: Pace) -> Observation {
    let began = Instant::now();
    let limit = Duration::from_millis(limit_ms);
    let channel = match connected(host, port, limit, pace).await {
        Ok(channel) => channel,
        Err(status) => return broken(began, &status),
    };
    let mut client = GrpcInferenceServiceClient::new(channel);
    match tokio::time::timeout(limit, client.server_live(ServerLiveRequest {})).await {
        Ok(Ok(answer)) => {
            let words = if answer.into_inner().live { "live" } else { "not live" };
            observed(began, OutcomeClass::Open, 0, words, "")
        }
        Ok(Err(status)) => refused(began, &status),
        Err(_) => broken(began, &GoStatus::deadline_exceeded()),
    }
}

async fn connected(
    host: &str,
    port: u16,
    limit: Duration,
    pace: Pace,
) -> Result<tonic::transport::Channel, GoStatus> {
    let options = ConnectOptions::new(pace);
    tokio::time::timeout(limit, gonet::connect(host, port, &options))
        .await
        .unwrap_or_else(|_| Err(GoStatus::deadline_while_connecting()))
}

/// A status: the peer's own is an answer, one from a broken connection is not.
fn refused(began: Instant, status: &tonic::Status) -> Observation {
    if status.source().is_some() {
        return broken(began, &GoStatus::from_tonic(status));
    }
    observed(began, OutcomeClass::Open, status.code() as i32, status.message(), "")
}

/// No answer, in grpc-go's words and classed by them.
fn broken(began: Instant, status: &GoStatus) -> Observation {
    let class = netmodel::symptom::read(&status.desc).unwrap_or(OutcomeClass::Reset);
    observed(began, class, status.code as i32, &status.desc, "")
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
            contents: Some(InferTensorContents {
                fp32_contents: input.to_vec(),
                ..InferTensorContents::default()
            }),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_closed_port_is_refused_in_grpc_gos_words() {
        // Bound and not listening: refused, and nobody else's.
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let seen = server_live("127.0.0.1", port, 2000, Pace::REAL).await;
        assert_eq!(seen.class, OutcomeClass::Refused);
        assert!(seen.text.contains("transport: Error while dialing: dial tcp 127.0.0.1:"), "{}", seen.text);
    }

    #[tokio::test]
    async fn a_silent_peer_is_a_timeout() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let seen = infer("127.0.0.1", port, &[], "m", &[1.0], 200, Pace::REAL).await;
        assert_eq!(seen.class, OutcomeClass::Timeout, "{}", seen.text);
    }
}
