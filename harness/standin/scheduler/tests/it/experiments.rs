//! Experiments and pipelines as the operator sees them.

use seldon_proto::scheduler as pb;

use crate::mesh::{Agent, Follower, Mesh, is, meta, model, replica};

async fn mesh_with(models: &[&str]) -> (Mesh, Agent) {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut statuses = mesh.models().await;
    for name in models {
        mesh.load(model(name, 1)).await;
        agent.load(name, 1).await;
        statuses.until(is(name, "ModelAvailable")).await;
    }
    (mesh, agent)
}

fn experiment(name: &str, default: Option<&str>, candidates: &[&str]) -> pb::StartExperimentRequest {
    let candidates =
        candidates.iter().map(|name| pb::ExperimentCandidate { name: (*name).to_owned(), weight: 50 });
    pb::StartExperimentRequest {
        experiment: Some(pb::Experiment {
            name: name.to_owned(),
            default: default.map(str::to_owned),
            candidates: candidates.collect(),
            kubernetes_meta: Some(meta(1)),
            ..Default::default()
        }),
    }
}

async fn follow(mesh: &mut Mesh) -> Follower<pb::ExperimentStatusResponse> {
    let request = pb::ExperimentSubscriptionRequest { subscriber_name: "seldon manager".to_owned() };
    Follower(mesh.operator.subscribe_experiment_status(request).await.unwrap().into_inner())
}

#[tokio::test]
async fn an_experiment_on_ready_models_becomes_active() {
    let (mut mesh, _agent) = mesh_with(&["iris", "iris-b"]).await;
    let mut statuses = follow(&mut mesh).await;
    mesh.operator.start_experiment(experiment("ab", Some("iris"), &["iris", "iris-b"])).await.unwrap();
    let status = statuses.until(|status| status.active).await;
    assert!(status.candidates_ready && status.mirror_ready);
    assert_eq!(status.status_description, "experiment active");
    mesh.logged("msg=\"Start ab\" func=StartExperiment source=experimentServer").await;
    mesh.logged("msg=\"Experiment ab sync - calling for model iris\" func=experimentSync").await;
    mesh.logged("msg=\"Trying to setup experiment for iris\" func=addExperimentModelBaselineTraffic").await;
    mesh.operator.stop_experiment(pb::StopExperimentRequest { name: "ab".to_owned() }).await.unwrap();
    statuses.until(|status| !status.active).await;
    mesh.logged("msg=\"Failed to find model version iris:0 so ignoring event\" func=updateServerModelStatus")
        .await;
}

#[tokio::test]
async fn an_experiment_on_a_missing_model_stays_inactive_and_tells_no_reason() {
    let (mut mesh, _agent) = mesh_with(&["iris"]).await;
    let mut statuses = follow(&mut mesh).await;
    mesh.operator.start_experiment(experiment("badcand", None, &["iris", "nosuch"])).await.unwrap();
    let status = statuses.next().await;
    assert!(!status.active && !status.candidates_ready && status.mirror_ready);
    assert_eq!(status.status_description, "");
    let error = "no live replica for model nosuch for model route badcand.experiment";
    mesh.logged(&format!("msg=\"Failed to process sync for experiment badcand\" error=\"{error}\"")).await;
    // The reason is kept all the same, for who asks.
    let request =
        pb::ExperimentStatusRequest { subscriber_name: "lab".to_owned(), name: Some("badcand".to_owned()) };
    let mut answer = mesh.operator.experiment_status(request).await.unwrap().into_inner();
    assert_eq!(answer.message().await.unwrap().unwrap().status_description, error);
}

#[tokio::test]
async fn the_loss_of_a_part_is_told_with_its_reason() {
    let (mut mesh, mut agent) = mesh_with(&["iris", "one"]).await;
    let mut statuses = follow(&mut mesh).await;
    let mut request = experiment("mir", Some("iris"), &["iris"]);
    request.experiment.as_mut().unwrap().mirror =
        Some(pb::ExperimentMirror { name: "one".to_owned(), percent: 50 });
    mesh.operator.start_experiment(request).await.unwrap();
    statuses.until(|status| status.active && status.mirror_ready).await;
    mesh.unload("one", 2).await;
    agent.unload("one", 1).await;
    let status = statuses.until(|status| !status.active && !status.mirror_ready).await;
    assert_eq!(status.status_description, "no live replica for model one for model route mir.experiment");
}

#[tokio::test]
async fn a_pipeline_without_dataflow_engines_stays_in_create() {
    let (mut mesh, _agent) = mesh_with(&["iris"]).await;
    let request = pb::PipelineSubscriptionRequest { subscriber_name: "seldon manager".to_owned() };
    let mut statuses = Follower(mesh.operator.subscribe_pipeline_status(request).await.unwrap().into_inner());
    let step = pb::PipelineStep { name: "iris".to_owned(), ..pb::PipelineStep::default() };
    let pipeline = pb::Pipeline {
        name: "p1".to_owned(),
        steps: vec![step],
        kubernetes_meta: Some(meta(1)),
        ..pb::Pipeline::default()
    };
    mesh.operator.load_pipeline(pb::LoadPipelineRequest { pipeline: Some(pipeline) }).await.unwrap();
    let text = "no dataflow engines available to handle pipeline";
    let reason = |status: &pb::PipelineStatusResponse| status.versions[0].state.clone().unwrap();
    let status = statuses.until(|status| reason(status).reason == text).await;
    let state = reason(&status);
    assert_eq!(state.status().as_str_name(), "PipelineCreate");
    assert!(state.models_ready);
    assert_eq!(status.versions[0].pipeline.as_ref().unwrap().uid.len(), 20);
    mesh.logged(&format!(
        "level=warning msg=\"{text}\" func=handlePipelineEvent pipeline=p1 source=dataflow"
    ))
    .await;
    mesh.logged("msg=\"Adding normal pipeline route p1.pipeline\" func=addPipeline").await;
    mesh.operator.unload_pipeline(pb::UnloadPipelineRequest { name: "p1".to_owned() }).await.unwrap();
    statuses.until(|status| reason(status).status().as_str_name() == "PipelineTerminated").await;
}
