//! Agents that come, go, drain and report.

use std::time::Duration;

use seldon_proto::agent::model_event_message::Event;
use seldon_proto::scheduler as pb;

use crate::mesh::{Mesh, brief, is, model, replica, replica_states};

#[tokio::test]
async fn the_last_agent_takes_the_server_with_it_and_brings_the_model_back() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    drop(agent);
    mesh.logged("msg=\"Client replica mlserver:0 has disconnected\" func=Subscribe source=AgentServer").await;
    let status = models.until(is("iris", "ScheduleFailed")).await;
    let reason = "Failed to schedule model as no matching servers are available";
    assert_eq!(brief(&status), format!("iris:1 ScheduleFailed @ +0 -1 ({reason})"));
    mesh.logged("msg=\"Removing models [iris] from server mlserver:0\" source=AgentServer").await;
    mesh.logged("msg=\"Failed to reschedule model iris when server mlserver replica 0 disconnected\"").await;
    mesh.logged("msg=\"Failed to schedule failed model iris\" Name=SimpleScheduler").await;
    let mut back = mesh.agent(replica("mlserver", 0)).await;
    back.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
}

#[tokio::test]
async fn an_agent_that_kept_its_models_makes_them_available_at_once() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    drop(agent);
    models.until(is("iris", "ScheduleFailed")).await;
    let mut announcement = replica("mlserver", 0);
    let loaded = seldon_proto::agent::ModelVersion { model: Some(model("iris", 1)), version: 1 };
    announcement.loaded_models.push(loaded);
    let _back = mesh.agent(announcement).await;
    let status = models.until(is("iris", "ModelAvailable")).await;
    assert_eq!(brief(&status), "iris:1 ModelAvailable @mlserver +1 -0");
}

#[tokio::test]
async fn a_second_stream_of_a_replica_waits_for_the_first_to_end() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let first = mesh.agent(replica("mlserver", 0)).await;
    mesh.logged("Received subscribe request from mlserver:0").await;
    let mut second = mesh.agent(replica("mlserver", 0)).await;
    let subscriptions = |mesh: &Mesh| {
        mesh.log().iter().filter(|l| l.contains("Received subscribe request from mlserver:0")).count()
    };
    assert!(tokio::time::timeout(Duration::from_millis(50), second.orders.0.message()).await.is_err());
    assert_eq!(subscriptions(&mesh), 1);
    drop(first);
    mesh.logged("Client replica mlserver:0 has disconnected").await;
    mesh.load(model("iris", 1)).await;
    second.load("iris", 1).await;
    assert_eq!(subscriptions(&mesh), 2);
}

#[tokio::test]
async fn a_report_out_of_turn_is_refused_with_the_states() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    let refused = agent.report("iris", 1, Event::Unloaded, "").await;
    assert_eq!(refused.code(), tonic::Code::Internal);
    let (start, end) = (
        "State mismatch for iris:1 expected state Unloading but was ",
        "when trying to move to state Unloaded",
    );
    assert!(
        refused.message().starts_with(start) && refused.message().ends_with(end),
        "{}",
        refused.message()
    );
}

#[tokio::test]
async fn draining_moves_models_to_another_replica_first() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 2)]).await;
    let mut zero = mesh.agent(replica("mlserver", 0)).await;
    let mut one = mesh.agent(replica("mlserver", 1)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    zero.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    let draining = tokio::spawn(async move { (zero.drain().await, zero) });
    one.load("iris", 1).await;
    let status =
        models.until(|s| brief(s).contains("ModelAvailable") && s.versions[0].model_replica_state.len() == 2);
    let states = replica_states(&status.await);
    assert_eq!(states[&0], "Draining");
    assert_eq!(states[&1], "Available");
    let (success, zero) = draining.await.unwrap();
    assert!(success);
    drop(zero);
    mesh.logged("Client replica mlserver:0 has disconnected").await;
    let request =
        pb::ModelStatusRequest { subscriber_name: "lab".to_owned(), ..pb::ModelStatusRequest::default() };
    let mut statuses = mesh.operator.model_status(request).await.unwrap().into_inner();
    assert_eq!(replica_states(&statuses.message().await.unwrap().unwrap()).len(), 1);
}

#[tokio::test]
async fn draining_the_only_replica_ends_soon_and_the_model_keeps_answering() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    assert!(agent.drain().await);
    let status = models.until(is("iris", "ScheduleFailed")).await;
    // It stays with its server, for the draining replica still answers.
    assert!(brief(&status).starts_with("iris:1 ScheduleFailed @mlserver +1 -0"), "{}", brief(&status));
    mesh.logged("filter=ReplicaDrainingFilter func=filterReplicas model=iris reason=\"Replica server 0 is draining check true\"").await;
    mesh.logged(
        "msg=\"Failed to reschedule model iris when server mlserver replica 0 draining\" source=AgentServer",
    )
    .await;
}

#[tokio::test]
async fn fewer_replicas_than_wanted_are_used_when_the_minimum_is_met() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    let mut three = model("three", 1);
    three.deployment_spec =
        Some(pb::DeploymentSpec { replicas: 2, min_replicas: 1, ..pb::DeploymentSpec::default() });
    mesh.load(three).await;
    agent.load("three", 1).await;
    models.until(is("three", "ModelAvailable")).await;
    mesh.logged(
        "level=warning msg=\"Failed to schedule model as no matching server had enough suitable replicas, \
         managed to schedule with min replicas\" Name=SimpleScheduler func=scheduleToServer model=three",
    )
    .await;
    // The second replica gets it as soon as it is there.
    let mut second = mesh.agent(replica("mlserver", 1)).await;
    second.load("three", 1).await;
}

#[tokio::test]
async fn the_servers_status_counts_what_is_loaded() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut servers = mesh.servers().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    let status = servers.until(|status| status.num_loaded_model_replicas == 1).await;
    assert_eq!(status.r#type(), pb::server_status_response::Type::StatusUpdate);
    assert_eq!((status.expected_replicas, status.available_replicas), (1, 1));
    let resources = &status.resources[0];
    assert_eq!((resources.total_memory_bytes, resources.num_loaded_models), (1_073_741_824, 1));
    assert_eq!(status.kubernetes_meta.unwrap().generation, 1);
}

#[tokio::test]
async fn a_server_sent_to_zero_loses_its_models() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    mesh.notify(&[("mlserver", 0)], false).await;
    models.until(is("iris", "ScheduleFailed")).await;
    mesh.logged(
        "filter=DeletedServerFilter func=filterServer model=iris reason=\"expected replicas 0 != 0\"",
    )
    .await;
}
