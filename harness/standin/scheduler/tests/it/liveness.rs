//! Connections that are pinged, and connections that fall silent.

use std::time::Duration;

use seldon_proto::agent::agent_service_client::AgentServiceClient;
use tonic::transport::Channel;

use crate::mesh::{Mesh, is, model, replica};
use crate::network::{in_own_network, loopback};

#[tokio::test]
async fn pings_are_answered_however_often_they_come() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let channel = Channel::from_shared(mesh.agents_address.clone()).unwrap();
    let channel = channel
        .http2_keep_alive_interval(Duration::from_millis(5))
        .keep_alive_timeout(Duration::from_secs(10))
        .keep_alive_while_idle(true);
    let mut client = AgentServiceClient::new(channel.connect().await.unwrap());
    let mut orders = client.subscribe(replica("mlserver", 0)).await.unwrap().into_inner();
    mesh.logged("Received subscribe request from mlserver:0").await;
    let mut turns = tokio::time::interval(Duration::from_millis(5));
    for _ in 0..40 {
        turns.tick().await;
    }
    mesh.load(model("iris", 1)).await;
    assert!(orders.message().await.unwrap().is_some(), "the stream was closed");
}

#[test]
fn an_agent_that_falls_silent_is_dropped() {
    in_own_network("liveness::an_agent_that_falls_silent_is_dropped", async {
        let mut mesh = Mesh::start().await;
        mesh.declare(&[("mlserver", 1)]).await;
        let mut agent = mesh.agent(replica("mlserver", 0)).await;
        let mut models = mesh.models().await;
        mesh.load(model("iris", 1)).await;
        agent.load("iris", 1).await;
        models.until(is("iris", "ModelAvailable")).await;
        // No packet arrives any more, and nobody says so: keep-alives after 1 s at this pace find it out.
        loopback("down");
        mesh.logged("msg=\"Client replica mlserver:0 has disconnected\" func=Subscribe source=AgentServer")
            .await;
        mesh.logged("msg=\"Failed to reschedule model iris when server mlserver replica 0 disconnected\"")
            .await;
        drop(agent);
    });
}
