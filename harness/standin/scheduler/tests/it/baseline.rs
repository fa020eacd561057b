//! The everyday sequence: sync, agent, model, Envoy's door. The log's telling lines in the order of Seldon 2.9.1.

use crate::mesh::{Mesh, brief, is, model, replica};

/// Lines that tell what the scheduler decided; the rest is chatter that the real one prints in any order.
fn telling(line: &str) -> bool {
    ![
        "Remove routes",
        "No route found",
        "Received subscribe request from seldon manager",
        "Stream disconnected",
        "barrier",
    ]
    .iter()
    .any(|chatter| line.contains(chatter))
}

#[tokio::test]
async fn the_log_reads_as_that_of_the_real_one() {
    let mut mesh = Mesh::start().await;
    let mut models = mesh.models().await;
    mesh.declare(&[("mlserver", 1)]).await;
    mesh.load(model("iris", 1)).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    mesh.logged("Scheduler is ready").await;
    // Asking anything waits for whatever the core is at.
    let request = seldon_proto::scheduler::SchedulerStatusRequest { subscriber_name: "barrier".to_owned() };
    mesh.operator.scheduler_status(request).await.unwrap();
    let log: Vec<String> = mesh.log().into_iter().filter(|line| telling(line)).map(without_ports).collect();
    // The model may be available before Envoy's door opens or after it: 10 s are 20 ms here.
    let (ready, log): (Vec<String>, Vec<String>) = log
        .into_iter()
        .partition(|line| line.contains("StartXDSServer") || line.contains("Scheduler is ready"));
    let xds =
        "level=info msg=\"Starting xDS envoy server on port <port> with secure: false\" func=StartXDSServer";
    assert_eq!(ready, [xds, "level=info msg=\"Scheduler is ready\""]);
    insta::assert_snapshot!(log.join("\n"));
}

fn without_ports(line: String) -> String {
    let port = |word: &str| word.trim_end_matches('"').parse::<u16>().is_ok_and(|number| number > 1024);
    let bare = |word: &str| if port(word) { word.replace(char::is_numeric, "") } else { word.to_owned() };
    let words = line.split(' ').map(|word| match bare(word) {
        same if same == word => same,
        rest => format!("<port>{rest}"),
    });
    words.collect::<Vec<_>>().join(" ")
}

#[tokio::test]
async fn a_model_progresses_and_becomes_available() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    let mut seen = vec![brief(&models.next().await)];
    while !seen.last().unwrap().contains("ModelAvailable") {
        seen.push(brief(&models.next().await));
        seen.dedup();
    }
    assert_eq!(seen, ["iris:1 ModelProgressing @mlserver +0 -1", "iris:1 ModelAvailable @mlserver +1 -0"]);
}

#[tokio::test]
async fn the_first_version_is_the_generation_and_an_equal_load_is_not_heard_of() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 4)).await;
    agent.load("iris", 4).await;
    models.until(is("iris", "ModelAvailable")).await;
    mesh.load(model("iris", 4)).await;
    // The next model's first message follows at once: nothing was said of iris.
    mesh.load(model("other", 1)).await;
    agent.load("other", 1).await;
    assert!(models.next().await.model_name == "other");
}

#[tokio::test]
async fn an_update_takes_over_and_the_old_version_is_unloaded() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    let mut second = model("iris", 2);
    second.model_spec.as_mut().unwrap().uri = "s3://models/iris-v2".to_owned();
    mesh.load(second).await;
    agent.load("iris", 2).await;
    let status = models.until(is("iris", "ModelAvailable")).await;
    assert_eq!(brief(&status), "iris:2 ModelAvailable @mlserver +1 -0");
    agent.unload("iris", 1).await;
    mesh.logged("Removing model iris(1) from server mlserver replica 0").await;
}

#[tokio::test]
async fn a_failed_update_fails_the_model_with_the_agents_words() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    assert_eq!(agent.order().await, "LOAD_MODEL iris:1");
    let text = "Failed to download from s3://models/nothere any files";
    let event = seldon_proto::agent::model_event_message::Event::LoadFailed;
    agent.report("iris", 1, event, text).await;
    let status = models.until(is("iris", "ModelFailed")).await;
    assert_eq!(brief(&status), format!("iris:1 ModelFailed @mlserver +0 -1 ({text})"));
}

#[tokio::test]
async fn a_deleted_model_is_terminated_under_its_last_generation_and_may_come_again() {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    mesh.load(model("iris", 1)).await;
    agent.load("iris", 1).await;
    models.until(is("iris", "ModelAvailable")).await;
    mesh.unload("iris", 2).await;
    assert_eq!(agent.order().await, "UNLOAD_MODEL iris:1");
    let again = seldon_proto::scheduler::LoadModelRequest { model: Some(model("iris", 3)) };
    let refused = mesh.operator.load_model(again).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(refused.message(), "Model iris is in process of deletion - new model can not be created");
    let unloaded = seldon_proto::agent::model_event_message::Event::Unloaded;
    agent.report("iris", 1, unloaded, "").await;
    let status = models.until(is("iris", "ModelTerminated")).await;
    assert_eq!(status.versions[0].kubernetes_meta.as_ref().unwrap().generation, 2);
    assert!(status.deleted);
    mesh.load(model("iris", 3)).await;
    agent.load("iris", 3).await;
    models.until(is("iris", "ModelAvailable")).await;
}

#[rstest::rstest]
#[case::requirements(
    |model: &mut seldon_proto::scheduler::Model| {
        model.model_spec.as_mut().unwrap().requirements =
            ["mlflow", "torch", "numpy", "scikit-learn"].map(str::to_owned).to_vec();
    },
    "Failed to schedule model as no matching servers are available",
    "msg=\"Rejecting server for model\" Name=SimpleScheduler filter=ServerRequirementsFilter func=filterServer \
     model=bad reason=\"model requirements [mlflow torch numpy scikit-learn], server capabilities \
     [mlserver mlflow python sklearn]\" server=mlserver")]
#[case::server_of_another_namespace(
    |model: &mut seldon_proto::scheduler::Model| {
        model.model_spec.as_mut().unwrap().server = Some("seldon-system/mlserver".to_owned());
    },
    "Failed to schedule model as no matching servers are available",
    "filter=SharingServerFilter func=filterServer model=bad \
     reason=\"requested server seldon-system/mlserver == mlserver\" server=mlserver")]
#[case::memory(
    |model: &mut seldon_proto::scheduler::Model| {
        model.model_spec.as_mut().unwrap().memory_bytes = Some(10_737_418_240);
    },
    "Failed to schedule model as no matching server had enough suitable replicas",
    "msg=\"Rejecting server replica for model\" Name=SimpleScheduler filter=AvailableMemoryReplicaFilter \
     func=filterReplicas model=bad reason=\"model memory 10737418240 replica memory 1181116006\" replica=0 \
     server=mlserver")]
#[case::replicas(
    |model: &mut seldon_proto::scheduler::Model| model.deployment_spec.as_mut().unwrap().replicas = 2,
    "Failed to schedule model as no matching server had enough suitable replicas",
    "level=warning msg=\"Empty server for bad so ignoring scale up request\" Name=SimpleScheduler func=serverScaleUp")]
#[tokio::test]
async fn what_fits_nowhere_is_said_so(
    #[case] spoil: fn(&mut seldon_proto::scheduler::Model),
    #[case] reason: &str,
    #[case] line: &str,
) {
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let _agent = mesh.agent(replica("mlserver", 0)).await;
    let mut models = mesh.models().await;
    let mut bad = model("bad", 1);
    spoil(&mut bad);
    mesh.load(bad).await;
    let status = models.until(is("bad", "ScheduleFailed")).await;
    assert!(brief(&status).ends_with(&format!("({reason})")), "{}", brief(&status));
    mesh.logged(line).await;
    mesh.logged(&format!("msg=\"Failed to schedule model bad\" error=\"{reason}\" func=LoadModel")).await;
    mesh.logged(
        "level=warning msg=\"Empty server for bad:1 so ignoring event\" func=updateServerModelStatus",
    )
    .await;
}

#[tokio::test]
async fn a_dotted_name_is_refused() {
    let mut mesh = Mesh::start().await;
    let request = seldon_proto::scheduler::LoadModelRequest { model: Some(model("dotted.name", 1)) };
    let refused = mesh.operator.load_model(request).await.unwrap_err();
    assert_eq!(refused.code(), tonic::Code::FailedPrecondition);
    assert_eq!(
        refused.message(),
        "Model dotted.name does not have a valid name - it must be alphanumeric and not contains dots (.)"
    );
}
