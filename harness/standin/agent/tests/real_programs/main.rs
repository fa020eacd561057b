//! The stand-in between a scripted scheduler, a scripted API server, and real rclone and MLServer.
//!
//! The programs are those of the cache, fetched when they are not there yet. Ports are Seldon's, so each test gets a
//! network of its own.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod api;
mod network;
mod processes;
mod scheduler;

use std::fs;
use std::time::Duration;

use network::in_own_network;
use processes::{Pod, programs, until};
use seldon_proto::agent::model_event_message::Event;
use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::model_infer_request::InferInputTensor;
use seldon_proto::inference::{InferTensorContents, ModelInferRequest, ServerLiveRequest};
use tonic::Code;

const INFER: &str = r#"{"inputs":[{"name":"predict","shape":[1,4],"datatype":"FP32","data":[[1,2,3,4]]}]}"#;

#[test]
fn a_model_is_loaded_served_and_unloaded() {
    in_own_network("a_model_is_loaded_served_and_unloaded", async {
        let programs = programs();
        let pod = Pod::start(programs, 1 << 30).await;
        let subscription = pod.scheduler.subscribed().await;
        assert_eq!(
            (subscription.server_name.as_str(), subscription.replica_idx, subscription.shared),
            ("mlserver", 0, true)
        );
        assert_eq!(subscription.available_memory_bytes, 1_181_116_008);
        let replica = subscription.replica_config.unwrap();
        assert_eq!(replica.inference_svc, "mlserver-0");
        assert_eq!(replica.inference_http_port, i32::from(pod.http_port));
        pod.until_ready().await;

        pod.scheduler.load("iris", 1, &pod.iris(), &["sklearn"], None);
        let event = pod.scheduler.event().await;
        assert_eq!((event.event(), event.message.as_str()), (Event::Loaded, ""));
        assert_eq!((event.model_name.as_str(), event.model_version), ("iris", 1));
        assert_eq!(event.available_memory_bytes, 1_181_013_608);

        http_answers(&pod).await;
        grpc_answers(&pod).await;

        pod.scheduler.unload("iris", 1);
        assert_eq!(pod.scheduler.event().await.event(), Event::Unloaded);
        let answer = pod.infer(Some("iris_1")).await;
        assert_eq!((answer.0, answer.2.as_str()), (404, "404 page not found\n"));
        assert!(!pod.folder.path().join("agent/models/iris_1").exists(), "the artefact was left behind");
        pod.end_with_signal().await;
    });
}

async fn http_answers(pod: &Pod) {
    let (status, headers, body) = pod.infer(Some("iris_1")).await;
    assert_eq!(status, 200, "{body}");
    assert!(body.contains(r#""model_name":"iris_1""#) && body.contains(r#""data":[2]"#), "{body}");
    assert!(headers.contains("X-Request-Id: ") || headers.contains("x-request-id: "), "{headers}");
    let (status, headers, body) = pod.infer(None).await;
    assert_eq!((status, body.as_str()), (502, ""), "{headers}");
    let (status, headers, body) = pod.infer(Some("nope_1")).await;
    assert_eq!((status, body.as_str()), (404, "404 page not found\n"));
    assert!(headers.contains("X-Content-Type-Options: nosniff"), "{headers}");
    let (status, _, body) = pod.get("/v2/models/other/versions/3/ready", Some("iris_1")).await;
    assert_eq!((status, body.as_str()), (200, ""));
    let (status, _, body) = pod.get("/v2/models/iris/nosuch", Some("iris_1")).await;
    assert_eq!((status, body.as_str()), (404, r#"{"detail":"Not Found"}"#));
}

fn infer_request() -> ModelInferRequest {
    let contents = InferTensorContents { fp32_contents: vec![1.0, 2.0, 3.0, 4.0], ..Default::default() };
    let tensor = InferInputTensor {
        name: "predict".into(),
        datatype: "FP32".into(),
        shape: vec![1, 4],
        contents: Some(contents),
        ..Default::default()
    };
    ModelInferRequest { model_name: "whatever".into(), inputs: vec![tensor], ..Default::default() }
}

async fn grpc_answers(pod: &Pod) {
    let target = format!("http://127.0.0.1:{}", pod.grpc_port);
    let mut client = GrpcInferenceServiceClient::connect(target).await.unwrap();
    let with = |model: &str| {
        let mut request = tonic::Request::new(infer_request());
        request.metadata_mut().insert("seldon-internal-model", model.parse().unwrap());
        request
    };
    let answer = client.model_infer(with("iris_1")).await.unwrap();
    assert!(answer.metadata().get("ce-endpoint").is_some(), "{:?}", answer.metadata());
    assert!(answer.metadata().get("x-request-id").is_some(), "{:?}", answer.metadata());
    let answer = answer.into_inner();
    assert_eq!(answer.model_name, "iris_1");
    assert_eq!(answer.outputs[0].contents.as_ref().unwrap().int64_contents, [2]);

    let status = client.model_infer(infer_request()).await.unwrap_err();
    let text = "Failed to extract model name seldon-internal-model:[] seldon-model:[]";
    assert_eq!((status.code(), status.message()), (Code::FailedPrecondition, text));
    let status = client.model_infer(with("nope_1")).await.unwrap_err();
    let text = "Model nope_1 not found (err: No details for model nope_1)";
    assert_eq!((status.code(), status.message()), (Code::NotFound, text));
    let status = client.server_live(ServerLiveRequest {}).await.unwrap_err();
    assert_eq!((status.code(), status.message()), (Code::Unimplemented, "method ServerLive not implemented"));
}

/// Model, URI, requirements, secret; and the text the scheduler is told.
type Case<'a> = (&'a str, String, &'a [&'a str], Option<&'a str>, String);

#[test]
fn every_failed_load_has_its_text() {
    in_own_network("every_failed_load_has_its_text", async {
        let programs = programs();
        let pod = Pod::start(programs, 1 << 30).await;
        pod.scheduler.subscribed().await;
        let folder = pod.folder.path();
        for (name, file) in [("corrupt", "model.joblib"), ("empty", "readme.txt")] {
            fs::create_dir_all(folder.join(name)).unwrap();
            fs::write(folder.join(name).join(file), "no model at all").unwrap();
        }
        fs::create_dir_all(folder.join("nothing")).unwrap();
        let path = |name: &str| folder.join(name).display().to_string();
        let downloads = folder.join("agent/rclone").display().to_string();
        let models = folder.join("agent/models").display().to_string();
        let rclone = pod.rclone_port;
        let cases: [Case<'_>; 6] = [
            (
                "absent",
                path("absent"),
                &["sklearn"],
                None,
                format!(
                    "Failed to sync/copy {} to {downloads}/N Failed rclone request to host:127.0.0.1 port:{rclone} path:/sync/copy",
                    path("absent")
                ),
            ),
            ("noreq", pod.iris(), &[], None, "Can't create model-settings from requirements []".into()),
            (
                "nofile",
                path("empty"),
                &["sklearn"],
                None,
                format!("Failed to find sklearn artifact in {models}/nofile_1/1"),
            ),
            (
                "nosecret",
                "s3://models/iris".into(),
                &["sklearn"],
                Some("not-there"),
                "secrets \"not-there\" not found".into(),
            ),
            (
                "wrongsecret",
                "s3://models/iris".into(),
                &["sklearn"],
                Some("store"),
                "name from URI (s3) does not match secret (store); are you using the right storage config?"
                    .into(),
            ),
            (
                "inline",
                ":local:x".into(),
                &["sklearn"],
                Some("store"),
                "Can't get remote from URI with configuration included inline".into(),
            ),
        ];
        for (name, uri, requirements, secret, text) in cases {
            pod.scheduler.load(name, 1, &uri, requirements, secret);
            let event = pod.scheduler.event().await;
            assert_eq!(event.event(), Event::LoadFailed, "{name}");
            assert_eq!(processes::without_number(&event.message), text, "{name}");
            // The event is sent before the artefact is removed.
            let artefact = folder.join(format!("agent/models/{name}_1"));
            until("the artefact is removed", async || !artefact.exists()).await;
        }
        corrupt_and_secret(&pod).await;
    });
}

async fn corrupt_and_secret(pod: &Pod) {
    let corrupt = pod.folder.path().join("corrupt").display().to_string();
    pod.scheduler.load("corrupt", 1, &corrupt, &["sklearn"], None);
    let event = pod.scheduler.event().await;
    // Behind it stands Python's error; its shape depends on whether MLServer runs models in a worker process.
    assert!(event.message.starts_with("rpc error: code = Internal desc = "), "{}", event.message);
    assert_eq!(pod.log().matches("Retry op #").count(), 4);
    pod.scheduler.load("secretly", 1, &format!("store:{}", pod.iris()), &["sklearn"], Some("store"));
    assert_eq!(pod.scheduler.event().await.event(), Event::Loaded, "a remote from a secret");
}

#[test]
fn the_least_recently_used_model_makes_room() {
    in_own_network("the_least_recently_used_model_makes_room", async {
        let programs = programs();
        let pod = Pod::start(programs, 150 * 1024).await;
        pod.scheduler.subscribed().await;
        for name in ["a", "b"] {
            pod.scheduler.load(name, 1, &pod.iris(), &["sklearn"], None);
            assert_eq!(pod.scheduler.event().await.event(), Event::Loaded, "{name}");
        }
        let evicted =
            "msg=\"model a_1 102400 evicted (for model b_1 102400), available memory bytes: 153600\"";
        assert!(pod.log().contains(evicted), "{}", pod.log());
        assert_eq!(pod.infer(Some("a_1")).await.0, 200);
        assert!(
            pod.log().contains("msg=\"Reload model a_1 success, available memory is 51200\""),
            "{}",
            pod.log()
        );
    });
}

#[test]
fn a_restarted_server_gets_its_models_back_by_the_first_request() {
    in_own_network("a_restarted_server_gets_its_models_back_by_the_first_request", async {
        let programs = programs();
        let mut pod = Pod::start(programs, 1 << 30).await;
        pod.scheduler.subscribed().await;
        pod.scheduler.load("iris", 1, &pod.iris(), &["sklearn"], None);
        assert_eq!(pod.scheduler.event().await.event(), Event::Loaded);
        pod.kill_mlserver().await;
        let answer = pod.infer(Some("iris_1")).await;
        assert_eq!((answer.0, answer.2.as_str()), (502, ""));
        assert!(pod.log().contains("http: proxy error: dial tcp 127.0.0.1:"), "{}", pod.log());
        pod.start_mlserver(programs).await;
        until("a request brought the model back", async || pod.infer(Some("iris_1")).await.0 == 200).await;
    });
}

#[test]
fn a_lost_scheduler_is_told_what_is_loaded_when_it_returns() {
    in_own_network("a_lost_scheduler_is_told_what_is_loaded_when_it_returns", async {
        let programs = programs();
        let pod = Pod::start(programs, 1 << 30).await;
        pod.scheduler.subscribed().await;
        pod.scheduler.load("iris", 7, &pod.iris(), &["sklearn"], None);
        assert_eq!(pod.scheduler.event().await.event(), Event::Loaded);
        pod.scheduler.drop_streams();
        let again = pod.scheduler.subscribed().await;
        let loaded: Vec<_> = again
            .loaded_models
            .iter()
            .map(|version| {
                (version.model.as_ref().unwrap().meta.as_ref().unwrap().name.as_str(), version.version)
            })
            .collect();
        assert_eq!(loaded, [("iris", 7)]);
        assert!(
            pod.log().contains("msg=\"event recv failed\" Name=AgentServiceManager error=EOF"),
            "{}",
            pod.log()
        );
        assert_eq!(pod.infer(Some("iris_7")).await.0, 200);
    });
}

#[test]
fn three_calls_of_terminate_drain_the_replica() {
    in_own_network("three_calls_of_terminate_drain_the_replica", async {
        let programs = programs();
        let pod = Pod::start(programs, 1 << 30).await;
        pod.scheduler.subscribed().await;
        pod.until_ready().await;
        let calls = futures::future::join_all((0..3).map(|_| pod.terminate()));
        let answers = tokio::time::timeout(Duration::from_secs(10), calls).await.unwrap();
        assert!(
            answers.iter().all(|(status, body)| (*status, body.as_str()) == (200, "ok\n")),
            "{answers:?}"
        );
        assert_eq!(pod.scheduler.drains(), 1);
        assert!(pod.log().contains("msg=\"Agent drain process result true\""), "{}", pod.log());
        assert_eq!(pod.readiness().await, 503);
    });
}

#[test]
fn a_missing_default_secret_is_fatal() {
    in_own_network("a_missing_default_secret_is_fatal", async {
        let programs = programs();
        let mut pod = Pod::start_with_secrets(programs, 1 << 30, &["gs-public"]).await;
        assert_eq!(pod.exit_code().await, Some(1));
        let line = "level=fatal msg=\"Failed to initialise rclone config listener\" \
                    error=\"secrets \\\"gs-public\\\" not found\"";
        assert!(pod.log().contains(line), "{}", pod.log());
    });
}
