mod fake_scheduler;
mod lab;

use std::time::Duration;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use kube::api::DeleteParams;
use pace::Pace;
use rstest::rstest;
use seldon_crds::defaults::seldon_runtime;
use seldon_crds::{Experiment, Model, Pipeline, SeldonRuntime, Server};
use seldon_proto::scheduler::model_status::ModelState;
use seldon_proto::scheduler::pipeline_version_state::PipelineStatus;
use seldon_proto::scheduler::{self as proto, control_plane_response, server_status_response};
use serde_json::{Value, json};
use tonic::Status;

use self::fake_scheduler::Running;
use self::lab::{Lab, NAMESPACE, TENANT, condition, timeless};

fn iris() -> Value {
    json!({"storageUri": "s3://models/iris", "requirements": ["sklearn"], "memory": "100Ki"})
}

fn meta(generation: i64) -> Option<proto::KubernetesMeta> {
    Some(proto::KubernetesMeta { namespace: NAMESPACE.to_owned(), generation })
}

fn said_of_model(name: &str, generation: i64, state: ModelState, reason: &str) -> proto::ModelStatusResponse {
    let available = u32::from(state == ModelState::ModelAvailable);
    let server_name = if available > 0 { "mlserver".to_owned() } else { String::new() };
    proto::ModelStatusResponse {
        model_name: name.to_owned(),
        versions: vec![proto::ModelVersionStatus {
            version: 1,
            server_name,
            kubernetes_meta: meta(generation),
            state: Some(proto::ModelStatus {
                state: state.into(),
                reason: reason.to_owned(),
                available_replicas: available,
                unavailable_replicas: 1 - available,
                ..Default::default()
            }),
            ..Default::default()
        }],
        deleted: false,
    }
}

/// A lab with an operator, a fake scheduler that has its subscribers, and one Server.
async fn served() -> (Lab, Running) {
    let (lab, scheduler) = (Lab::new().await, Running::start().await);
    lab.operate(scheduler.address.port(), Pace::FAST);
    lab.apply::<Server>("mlserver", json!({"serverConfig": "mlserver"})).await;
    let five_and_the_smoke_test = |calls: &[String]| {
        calls.iter().filter(|call| call.starts_with("subscribe models")).count() == 2
            && ["servers", "experiments", "pipelines", "control plane"]
                .iter()
                .all(|what| calls.contains(&format!("subscribe {what}")))
    };
    scheduler.until(five_and_the_smoke_test).await;
    (lab, scheduler)
}

#[tokio::test]
async fn a_server_gets_its_pods_after_the_scheduler_was_told() {
    let (lab, scheduler) = served().await;
    lab.until::<StatefulSet>("mlserver", "appears", |_| true).await;
    let calls = scheduler.until_said("servers mlserver=1 first=false").await;
    assert!(calls.contains(&"subscribe models as seldon manager".to_owned()), "{calls:?}");
    lab.until::<Server>("mlserver", "not ready", |server| condition(server, "Ready").is_some()).await;
    assert_eq!(lab.names::<Service>().await, ["mlserver-0"]);
    lab.merge_status::<StatefulSet>("mlserver", json!({"replicas": 1, "readyReplicas": 1})).await;
    let update = proto::ServerStatusResponse {
        server_name: "mlserver".to_owned(),
        num_loaded_model_replicas: 1,
        kubernetes_meta: meta(1),
        r#type: server_status_response::Type::StatusUpdate.into(),
        ..Default::default()
    };
    scheduler.fake.servers.send(update).unwrap();
    let server = lab
        .until::<Server>("mlserver", "ready with one model", |server| {
            condition(server, "Ready").is_some_and(|(status, ..)| status == "True")
                && server["status"]["loadedModels"] == 1
        })
        .await;
    insta::assert_json_snapshot!("server_ready", timeless(&server));
}

#[tokio::test]
async fn a_model_becomes_what_the_scheduler_says() {
    let (lab, scheduler) = served().await;
    lab.apply::<Model>("iris", iris()).await;
    scheduler.until_said("load iris generation 1").await;
    scheduler.fake.models.send(said_of_model("iris", 1, ModelState::ModelProgressing, "")).unwrap();
    scheduler.fake.models.send(said_of_model("iris", 1, ModelState::ModelAvailable, "")).unwrap();
    let model = lab
        .until::<Model>("iris", "ready", |model| {
            condition(model, "ModelReady").is_some_and(|c| c.0 == "True")
        })
        .await;
    assert_eq!(model["metadata"]["finalizers"], json!(["seldon.model.finalizer"]));
    insta::assert_json_snapshot!("model_available", timeless(&model));
    // An event of another generation changes nothing; the next one of this generation does.
    scheduler.fake.models.send(said_of_model("iris", 7, ModelState::ModelFailed, "not mine")).unwrap();
    let reason = "Failed to schedule model as no matching servers are available";
    scheduler.fake.models.send(said_of_model("iris", 1, ModelState::ScheduleFailed, reason)).unwrap();
    let model = lab
        .until::<Model>("iris", "unschedulable", |model| {
            condition(model, "Ready").is_some_and(|c| c.0 == "False")
        })
        .await;
    insta::assert_json_snapshot!("model_unschedulable", timeless(&model));
    assert!(lab.text().contains("Ignoring event for old generation"), "{}", lab.text());
    let event = lab.first_event("ModelNotReady").await;
    assert_eq!(event.message.as_deref(), Some("Model [iris] is no longer Ready"));
}

#[tokio::test]
async fn deletion_waits_for_the_scheduler() {
    let (lab, scheduler) = served().await;
    lab.apply::<Model>("iris", iris()).await;
    scheduler.until_said("load iris generation 1").await;
    lab.api::<Model>().delete("iris", &DeleteParams::default()).await.unwrap();
    scheduler.until_said("unload iris generation 2").await;
    scheduler.fake.models.send(said_of_model("iris", 2, ModelState::ModelTerminating, "")).unwrap();
    lab.until::<Model>("iris", "terminating", |model| {
        condition(model, "ModelReady").is_some_and(|c| c.1 == "ModelTerminating")
    })
    .await;
    scheduler.fake.models.send(said_of_model("iris", 2, ModelState::ModelTerminated, "")).unwrap();
    lab.until_gone::<Model>("iris").await;
}

#[tokio::test]
async fn a_new_generation_is_loaded_and_a_label_is_not() {
    let (lab, scheduler) = served().await;
    lab.apply::<Model>("iris", iris()).await;
    scheduler.until_said("load iris generation 1").await;
    lab.merge::<Model>("iris", json!({"metadata": {"labels": {"a": "b"}}})).await;
    lab.merge::<Model>("iris", json!({"spec": {"replicas": 2}})).await;
    let calls = scheduler.until_said("load iris generation 2").await;
    assert_eq!(calls.iter().filter(|call| call.starts_with("load iris")).count(), 2, "{calls:?}");
}

#[rstest]
#[case::for_good(
    Status::failed_precondition("Model iris does not have a valid name"),
    "ModelFailed",
    "rpc error: code = FailedPrecondition desc = Model iris does not have a valid name"
)]
#[case::for_now(Status::internal("boom"), "ModelProgressing", "rpc error: code = Internal desc = boom")]
#[tokio::test]
async fn a_refused_load_is_the_models_reason(
    #[case] refusal: Status,
    #[case] message: &str,
    #[case] reason: &str,
) {
    let (lab, scheduler) = served().await;
    *scheduler.fake.refusal.lock().unwrap() = Some(refusal);
    lab.apply::<Model>("iris", iris()).await;
    let expected = Some(("False".to_owned(), message.to_owned(), reason.to_owned()));
    lab.until::<Model>("iris", "refused", |model| {
        condition(model, "ModelReady") == expected && condition(model, "Ready") == expected
    })
    .await;
}

#[tokio::test]
async fn without_a_scheduler_no_server_pod_appears() {
    let lab = Lab::new().await;
    let (_held, port) = refusing();
    lab.operate(port, Pace::FAST);
    lab.apply::<Server>("mlserver", json!({"serverConfig": "mlserver"})).await;
    lab.apply::<Model>("iris", iris()).await;
    let reason = format!(
        "rpc error: code = Unavailable desc = connection error: desc = \"transport: Error while dialing: \
         dial tcp 127.0.0.1:{port}: connect: connection refused\""
    );
    let expected = Some(("False".to_owned(), "ModelProgressing".to_owned(), reason.clone()));
    lab.until::<Model>("iris", "cut off", |model| condition(model, "Ready") == expected).await;
    let expected = Some(("False".to_owned(), String::new(), reason));
    lab.until::<Server>("mlserver", "cut off", |server| condition(server, "StatefulSetReady") == expected)
        .await;
    assert!(lab.names::<StatefulSet>().await.is_empty());
    let text = lab.text();
    for line in ["Connected to scheduler", "Failed smoke test on scheduler", "Reconciler error"] {
        assert!(text.contains(line), "{text}");
    }
}

/// A loopback port that refuses for as long as the socket is held: bound, so nobody else can have it, and not listening.
fn refusing() -> (tokio::net::TcpSocket, u16) {
    let socket = tokio::net::TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let port = socket.local_addr().unwrap().port();
    (socket, port)
}

#[tokio::test]
async fn a_broken_connection_leaves_statuses_stale() {
    let (lab, scheduler) = (Lab::new().await, Running::start().await);
    lab.operate_within(scheduler.address.port(), Pace::FAST, Duration::from_secs(3));
    lab.apply::<Model>("iris", iris()).await;
    scheduler
        .until(|calls| calls.iter().filter(|call| call.starts_with("subscribe models")).count() == 2)
        .await;
    scheduler.until_said("load iris generation 1").await;
    scheduler.fake.models.send(said_of_model("iris", 1, ModelState::ModelAvailable, "")).unwrap();
    lab.until::<Model>("iris", "ready", |model| condition(model, "Ready").is_some_and(|c| c.0 == "True"))
        .await;
    drop(scheduler);
    lab.apply::<Model>("late", iris()).await;
    // The reconcile's whole time passes, and its status can no longer be written.
    let late =
        lab.until::<Model>("late", "being loaded", |model| !model["metadata"]["finalizers"].is_null()).await;
    assert!(late.get("status").is_none());
    lab.until_logged(1, "Failed to set status for model on error").await;
    let text = lab.text();
    assert!(text.contains("rpc error: code = DeadlineExceeded desc = context deadline exceeded"), "{text}");
    assert!(text.contains("Scheduler not ready"), "{text}");
    let model = lab.until::<Model>("iris", "there", |_| true).await;
    assert_eq!(condition(&model, "Ready").unwrap().0, "True");
}

#[tokio::test]
async fn a_resync_sends_everything_again() {
    let (lab, scheduler) = served().await;
    lab.apply::<Model>("iris", iris()).await;
    lab.apply::<Experiment>("ab", json!({"candidates": [{"name": "iris", "weight": 100}]})).await;
    lab.apply::<Pipeline>("p1", json!({"steps": [{"name": "iris"}]})).await;
    scheduler.until_said("servers mlserver=1 first=true").await;
    for line in ["load iris generation 1", "start experiment ab", "load pipeline p1"] {
        scheduler.until_said(line).await;
    }
    let resources = control_plane_response::Event::SendResources;
    scheduler.fake.control.send(proto::ControlPlaneResponse { event: resources.into() }).unwrap();
    let calls =
        scheduler.until(|calls| calls.iter().filter(|call| call.starts_with("load iris")).count() == 2).await;
    let order: Vec<&str> =
        calls.iter().map(String::as_str).filter(|call| !call.starts_with("servers")).collect();
    let order = &order[order.len() - 3..];
    assert_eq!(order, ["start experiment ab", "load pipeline p1", "load iris generation 1"]);
    lab.until_logged(1, "Handled state on reconnect").await;
    assert!(lab.text().contains(r#"{"event": "event:SEND_RESOURCES"}"#), "{}", lab.text());
}

#[tokio::test]
async fn a_runtime_becomes_a_mesh_and_reverts_what_others_change() {
    let lab = Lab::new().await;
    let (_held, port) = refusing();
    lab.operate(port, Pace::FAST);
    lab.create(&seldon_runtime(NAMESPACE)).await;
    lab.until::<Deployment>("seldon-dataflow-engine", "appears", |_| true).await;
    assert_eq!(lab.names::<StatefulSet>().await, ["seldon-scheduler"]);
    let deployments = [
        "hodometer",
        "seldon-dataflow-engine",
        "seldon-envoy",
        "seldon-modelgateway",
        "seldon-pipelinegateway",
    ];
    assert_eq!(lab.names::<Deployment>().await, deployments);
    assert_eq!(lab.names::<Service>().await, ["seldon-mesh", "seldon-pipelinegateway", "seldon-scheduler"]);
    assert_eq!(lab.names::<ConfigMap>().await, ["seldon-agent", "seldon-kafka", "seldon-tracing"]);
    assert_eq!(lab.names::<ServiceAccount>().await, ["hodometer", "seldon-scheduler", "seldon-server"]);
    let status = json!({"replicas": 1, "readyReplicas": 1});
    lab.merge_status::<StatefulSet>("seldon-scheduler", status.clone()).await;
    lab.merge_status::<Deployment>("seldon-envoy", status).await;
    let runtime = lab
        .until::<SeldonRuntime>("seldon", "ready", |runtime| {
            condition(runtime, "Ready").is_some_and(|c| c.0 == "True")
        })
        .await;
    insta::assert_json_snapshot!("runtime_ready", timeless(&runtime));
    lab.merge::<StatefulSet>("seldon-scheduler", json!({"spec": {"replicas": 0}})).await;
    let reverted = |set: &Value| set["spec"]["replicas"] == 1 && set["metadata"]["generation"] == 3;
    lab.until::<StatefulSet>("seldon-scheduler", "scaled back", reverted).await;
    lab.until_logged(1, "stateful set difference").await;
}

#[tokio::test]
async fn a_runtime_stays_while_there_are_servers_and_leaves_handlers_behind() {
    let (lab, scheduler) = served().await;
    lab.create(&seldon_runtime(NAMESPACE)).await;
    lab.until::<SeldonRuntime>("seldon", "held", |runtime| !runtime["metadata"]["finalizers"].is_null())
        .await;
    lab.api::<SeldonRuntime>().delete("seldon", &DeleteParams::default()).await.unwrap();
    lab.until_logged(1, "Runtime is being deleted but servers still running in namespace seldon-mesh").await;
    lab.api::<Server>().delete("mlserver", &DeleteParams::default()).await.unwrap();
    lab.until_gone::<SeldonRuntime>("seldon").await;
    let closing = "rpc error: code = Canceled desc = grpc: the client connection is closing";
    lab.until_logged(1, closing).await;
    for kind in ["Model", "Server", "Pipeline", "Experiment", "ControlPlane"] {
        let line = format!(
            "schedulerClient.Subscribe{kind}Events\tScheduler not ready\t{{\"error\": \"{closing}\"}}"
        );
        lab.until_logged(2, &line).await;
    }
    drop(scheduler);
}

#[tokio::test]
async fn experiments_and_pipelines_keep_their_own_conventions() {
    let (lab, scheduler) = served().await;
    lab.apply::<Experiment>("ab", json!({"candidates": [{"name": "iris", "weight": 100}]})).await;
    lab.apply::<Pipeline>("p1", json!({"steps": [{"name": "iris"}]})).await;
    scheduler.until_said("start experiment ab").await;
    scheduler.until_said("load pipeline p1").await;
    let active = proto::ExperimentStatusResponse {
        experiment_name: "ab".to_owned(),
        active: true,
        candidates_ready: true,
        mirror_ready: true,
        status_description: "experiment active".to_owned(),
        kubernetes_meta: meta(1),
    };
    scheduler.fake.experiments.send(active).unwrap();
    let state = proto::PipelineVersionState {
        pipeline_version: 1,
        status: PipelineStatus::PipelineCreate.into(),
        reason: "no dataflow engines available to handle pipeline".to_owned(),
        models_ready: true,
        ..Default::default()
    };
    let pipeline = proto::Pipeline { version: 1, kubernetes_meta: meta(1), ..Default::default() };
    let versions = vec![proto::PipelineWithState { pipeline: Some(pipeline), state: Some(state) }];
    scheduler
        .fake
        .pipelines
        .send(proto::PipelineStatusResponse { pipeline_name: "p1".to_owned(), versions })
        .unwrap();
    let has_ready = |object: &Value| condition(object, "Ready").is_some();
    let experiment = lab.until::<Experiment>("ab", "judged", has_ready).await;
    insta::assert_json_snapshot!("experiment", timeless(&experiment));
    let pipeline = lab.until::<Pipeline>("p1", "judged", |p| condition(p, "ModelsReady").is_some()).await;
    insta::assert_json_snapshot!("pipeline", timeless(&pipeline));
}

#[tokio::test]
async fn a_refused_experiment_says_so_under_a_foreign_type() {
    let (lab, scheduler) = served().await;
    *scheduler.fake.refusal.lock().unwrap() =
        Some(Status::failed_precondition("Resource iris already in experiment"));
    lab.apply::<Experiment>("ab", json!({"candidates": [{"name": "iris", "weight": 100}]})).await;
    let experiment = lab.until::<Experiment>("ab", "refused", |e| condition(e, "ModelReady").is_some()).await;
    insta::assert_json_snapshot!("refused_experiment", timeless(&experiment));
}

#[tokio::test]
async fn a_silent_scheduler_makes_other_tenants_wait() {
    let (lab, scheduler) = (Lab::new().await, Running::start().await);
    let port = scheduler.address.port();
    // It accepts and never says a word.
    let silent = tokio::net::TcpListener::bind(("127.0.0.2", port)).await.unwrap();
    let hosts = format!("127.0.0.1 seldon-scheduler.{NAMESPACE}\n127.0.0.2 seldon-scheduler.{TENANT}");
    lab.operate_with_hosts(port, Pace::FAST, &hosts);
    let api: kube::Api<Server> = kube::Api::namespaced(lab.client.clone(), TENANT);
    let server =
        Server::new("mlserver", serde_json::from_value(json!({"serverConfig": "mlserver"})).unwrap());
    api.create(&Default::default(), &server).await.unwrap();
    lab.until_logged(1, "Dialing scheduler\t{\"host\": \"seldon-scheduler.tenant\"").await;
    lab.apply::<Model>("iris", iris()).await;
    scheduler.until_said("load iris generation 1").await;
    let text = lab.text();
    let failed = text.find("Failed smoke test on scheduler\t{\"namespace\": \"tenant\"}").expect(&text);
    let dialled = text.find("Dialing scheduler\t{\"host\": \"seldon-scheduler.seldon-mesh\"").expect(&text);
    assert!(failed < dialled, "{text}");
    drop(silent);
}

#[tokio::test]
async fn the_charts_runtime_is_at_its_second_generation() {
    let lab = Lab::new().await;
    let (_held, port) = refusing();
    lab.operate(port, Pace::FAST);
    let manifest = seldon_crds::defaults::seldon_runtime_manifest(NAMESPACE);
    let api: kube::Api<kube::api::DynamicObject> = kube::Api::namespaced_with(
        lab.client.clone(),
        NAMESPACE,
        &kube::api::ApiResource::erase::<SeldonRuntime>(&()),
    );
    api.create(&Default::default(), &serde_json::from_value(manifest).unwrap()).await.unwrap();
    let held = |runtime: &Value| !runtime["metadata"]["finalizers"].is_null();
    let runtime = lab.until::<SeldonRuntime>("seldon", "held", held).await;
    assert_eq!(runtime["metadata"]["generation"], 2);
}
