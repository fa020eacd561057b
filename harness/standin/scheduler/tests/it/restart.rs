//! A scheduler that lost everything: agents and operator bring it back.

use crate::mesh::{Mesh, brief, is, model, replica};

#[tokio::test]
async fn agents_bring_the_models_back_and_the_operators_load_changes_nothing() {
    let mut mesh = Mesh::start().await;
    let mut models = mesh.models().await;
    let mut announcement = replica("mlserver", 0);
    let loaded = seldon_proto::agent::ModelVersion { model: Some(model("iris", 4)), version: 4 };
    announcement.loaded_models.push(loaded);
    let mut agent = mesh.agent(announcement).await;
    mesh.logged("Received subscribe request from mlserver:0").await;
    mesh.declare(&[("mlserver", 1)]).await;
    let status = models.until(is("iris", "ModelAvailable")).await;
    assert_eq!(brief(&status), "iris:4 ModelAvailable @mlserver +1 -0");
    mesh.load(model("iris", 4)).await;
    mesh.load(model("other", 1)).await;
    // The first order is for the other model: iris is neither loaded again nor unloaded.
    agent.load("other", 1).await;
    mesh.logged("Setting model iris version 4 on server mlserver replica 0 to Available").await;
}

#[tokio::test]
async fn a_model_the_scheduler_does_not_know_cannot_be_unloaded() {
    let mut mesh = Mesh::start().await;
    let model = Some(seldon_proto::scheduler::ModelReference { name: "gone".to_owned(), version: None });
    let request = seldon_proto::scheduler::UnloadModelRequest { model, kubernetes_meta: None };
    let refused = mesh.operator.unload_model(request).await.unwrap_err();
    assert_eq!(
        (refused.code(), refused.message()),
        (tonic::Code::FailedPrecondition, "Model gone not found")
    );
}
