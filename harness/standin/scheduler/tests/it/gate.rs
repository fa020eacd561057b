//! The start gate as clients see it.

use std::time::Duration;

use seldon_proto::scheduler as pb;
use seldon_proto::scheduler::control_plane_response::Event;

use crate::mesh::{Follower, Mesh, brief, is, model, replica, settings};

#[tokio::test]
async fn nothing_is_told_of_models_until_all_agents_are_here() {
    let mut mesh = Mesh::start().await;
    let mut models = mesh.models().await;
    let mut servers = mesh.servers().await;
    let request = pb::ControlPlaneSubscriptionRequest { subscriber_name: "seldon manager".to_owned() };
    let mut control = Follower(mesh.operator.subscribe_control_plane(request).await.unwrap().into_inner());
    assert_eq!(control.next().await.event(), Event::SendServers);
    mesh.declare(&[("mlserver", 1), ("triton", 1)]).await;
    mesh.load(model("iris", 1)).await;
    let _first = mesh.agent(replica("mlserver", 0)).await;
    mesh.logged("Received subscribe request from mlserver:0").await;
    // A second agent of the same replica waits for its turn and does not count.
    let _same = mesh.agent(replica("mlserver", 0)).await;
    assert!(!mesh.log().iter().any(|line| line.contains("Schedule model")));
    let silent = tokio::time::timeout(Duration::from_millis(50), models.0.message()).await;
    assert!(silent.is_err(), "a model was told of before the gate opened: {silent:?}");
    let _second = mesh.agent(replica("triton", 0)).await;
    mesh.logged("msg=\"All (num: 2) servers connected\" source=ServerBasedSynchroniser").await;
    assert_eq!(control.next().await.event(), Event::SendResources);
    models.until(is("iris", "ModelProgressing")).await;
    assert_eq!(servers.next().await.server_name, "mlserver");
}

#[tokio::test]
async fn envoys_door_opens_after_the_gate_only() {
    let mut mesh = Mesh::start().await;
    assert!(tokio::net::TcpStream::connect(&mesh.envoy).await.is_err());
    mesh.declare(&[]).await;
    mesh.logged("Scheduler is ready").await;
    tokio::net::TcpStream::connect(&mesh.envoy).await.unwrap();
}

#[tokio::test]
async fn the_gate_opens_by_itself_in_the_end() {
    let mut settings = settings();
    settings.ready_timeout = Duration::from_secs(1);
    let mut mesh = Mesh::start_with(settings).await;
    let mut models = mesh.models().await;
    mesh.declare(&[("mlserver", 1)]).await;
    mesh.load(model("iris", 1)).await;
    let status = models.until(is("iris", "ScheduleFailed")).await;
    let reason = "Failed to schedule model as no matching servers are available";
    assert_eq!(brief(&status), format!("iris:1 ScheduleFailed @ +0 -1 ({reason})"));
}

#[tokio::test]
async fn the_scheduler_calls_itself_0_0_1() {
    let mut mesh = Mesh::start().await;
    let request = pb::SchedulerStatusRequest { subscriber_name: "lab".to_owned() };
    let answer = mesh.operator.scheduler_status(request).await.unwrap().into_inner();
    assert_eq!(answer.application_version, "0.0.1");
}

#[tokio::test]
async fn an_unknown_model_has_no_status() {
    let mut mesh = Mesh::start().await;
    let model = Some(pb::ModelReference { name: "nope".to_owned(), version: None });
    let request = pb::ModelStatusRequest { subscriber_name: "lab".to_owned(), model, all_versions: false };
    let refused = mesh.operator.model_status(request).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (tonic::Code::FailedPrecondition, "Failed to find model nope")
    );
}
