//! The real Envoy, configured by the stand-in, against what it answers under Seldon 2.9.1.

use std::time::Duration;

use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::{ModelReadyRequest, ModelReadyResponse};
use seldon_proto::scheduler as pb;
use tonic::transport::Channel;

use crate::mesh::{ACCESS_LOG, Agent, Mesh, is, meta, model, replica};
use crate::proxy::{Backend, Envoy, FRONT, Request, with_envoy};

struct Stage {
    mesh: Mesh,
    agent: Agent,
    backend: Backend,
    envoy: Envoy,
}

/// A mesh with these models, each available, and Envoy in front.
async fn stage(models: &[&str]) -> Stage {
    let backend = Backend::start().await;
    let mut mesh = Mesh::start().await;
    mesh.declare(&[("mlserver", 1)]).await;
    let mut announcement = replica("mlserver", 0);
    let config = announcement.replica_config.as_mut().unwrap();
    config.inference_svc = "127.0.0.1".to_owned();
    config.inference_http_port = i32::from(backend.port);
    config.inference_grpc_port = i32::from(grpc::backend().await);
    let mut agent = mesh.agent(announcement).await;
    let mut statuses = mesh.models().await;
    for name in models {
        mesh.load(model(name, 1)).await;
        agent.load(name, 1).await;
        statuses.until(is(name, "ModelAvailable")).await;
    }
    mesh.logged("Scheduler is ready").await;
    let envoy = Envoy::start(&mesh.envoy).await;
    Stage { mesh, agent, backend, envoy }
}

/// A request to the model succeeds, or does within patience: Envoy is told of routes without being waited for.
async fn converged(request: Request) {
    let mut turns = tokio::time::interval(Duration::from_millis(5));
    let asking = async {
        while request.clone().send().await.status != 200 {
            turns.tick().await;
        }
    };
    tokio::time::timeout(crate::mesh::PATIENCE, asking).await.expect("never 200");
}

#[test]
fn http_requests_are_routed_as_by_the_real_one() {
    with_envoy("envoy::http_requests_are_routed_as_by_the_real_one", async {
        let stage = stage(&["iris"]).await;
        let iris = |request: Request| request.header("seldon-model", "iris");
        let routed = [
            iris(Request::infer("/v2/models/iris/infer")),
            Request::infer("/v2/models/iris/infer"),
            Request::infer("/v2/models/anything/infer").header("Seldon-Model", "iris"),
            Request::infer("/v2/models/iris/infer").header("host", "whatever.example"),
            iris(Request::get("/v2/docs")),
            Request::get("/v2/models/iris/docs"),
            Request::get("/v2/models/iris"),
            Request::get("/v2/models/iris/ready"),
            iris(Request::get("/v2/health/ready")),
            iris(Request::get("/v2")),
            Request::new("HEAD", "/v2/models/iris"),
            Request::infer("/v2/models/iris/infer").header("seldon-internal-model", "other_9"),
            Request::infer("/v2/models/iris/versions/1/infer"),
            iris(Request::infer("/v2/repository/index")),
        ];
        for request in routed {
            let told = format!("{request:?}");
            let answer = request.send().await;
            assert_eq!(answer.status, 200, "{told}");
            assert_eq!(answer.header("x-seldon-route"), Some(":iris_1:"), "{told}");
            assert_eq!(answer.header("server"), Some("envoy"));
            assert!(
                answer.header("x-envoy-upstream-service-time").is_some() && answer.header("date").is_some()
            );
            let seen = stage.backend.take();
            assert_eq!(
                (seen[0].internal.as_slice(), seen[0].model.as_slice()),
                (&["iris_1".to_owned()][..], &["iris".to_owned()][..]),
                "{told}"
            );
        }
        let unrouted = [
            Request::infer("/v2/models/nope/infer").header("seldon-model", "nope"),
            Request::infer("/v2/models/iris/infer").header("seldon-model", "nope"),
            iris(Request::infer("/v2/models/iris/infer")).header("x-seldon-route", ":iris_1:"),
            iris(Request::infer("/seldon/seldon-mesh/iris/v2/models/iris/infer")),
        ];
        for request in unrouted {
            let told = format!("{request:?}");
            let answer = request.send().await;
            assert_eq!((answer.status, answer.body.as_str()), (404, ""), "{told}");
            assert_eq!(answer.header_names(), ["date", "server", "connection", "content-length"], "{told}");
        }
        for path in ["/v2/docs", "/v2/health/ready", "/seldon/seldon-mesh/iris/v2/docs", "/v2/pipelines/iris"]
        {
            let answer = Request::get(path).send().await;
            assert_eq!(answer.status, 404, "{path}");
            assert_eq!(answer.header_names(), ["date", "server", "content-length"], "{path}");
        }
        assert!(stage.backend.take().is_empty());
        // Envoy pings its xDS connection every 1.2 s: it must still be there, and routes must still change.
        tokio::time::timeout(Duration::from_secs(10), unload(stage)).await.unwrap();
    });
}

async fn unload(mut stage: Stage) {
    stage.mesh.unload("iris", 2).await;
    stage.agent.unload("iris", 1).await;
    let mut turns = tokio::time::interval(Duration::from_millis(5));
    while Request::get("/v2/models/iris").send().await.status != 404 {
        turns.tick().await;
    }
}

#[test]
fn the_configuration_is_that_of_the_real_one() {
    with_envoy("envoy::the_configuration_is_that_of_the_real_one", async {
        let mut mesh = Mesh::start().await;
        mesh.declare(&[("mlserver", 1)]).await;
        let mut agent = mesh.agent(replica("mlserver", 0)).await;
        let mut statuses = mesh.models().await;
        mesh.load(model("iris", 1)).await;
        agent.load("iris", 1).await;
        statuses.until(is("iris", "ModelAvailable")).await;
        mesh.logged("Scheduler is ready").await;
        let envoy = Envoy::start(&mesh.envoy).await;
        let recorded =
            include_str!("recorded/envoy-config.json").replace("/tmp/envoy-accesslog.txt", ACCESS_LOG);
        let recorded: serde_json::Value = serde_json::from_str(&recorded).unwrap();
        let ours = dynamic(&envoy.config().await);
        for kind in ["clusters", "listeners", "routes"] {
            assert_eq!(ours[kind], recorded[kind], "{kind}");
        }
    });
}

/// What came over xDS, without versions and times, sorted by name; the program of the lua filter is left out, since
/// it is ours and only behaves alike.
fn dynamic(dump: &serde_json::Value) -> serde_json::Value {
    fn clean(value: &mut serde_json::Value) {
        match value {
            serde_json::Value::Object(fields) => {
                if let Some(text) = fields.get_mut("inline_string")
                    && text.as_str().is_some_and(|text| text.contains("envoy_on_request"))
                {
                    *text = "<lua>".into();
                }
                fields.values_mut().for_each(clean);
            }
            serde_json::Value::Array(items) => items.iter_mut().for_each(clean),
            _ => {}
        }
    }
    let section = |list: &str, path: &str| {
        let configs = dump["configs"].as_array().unwrap();
        let items = configs.iter().find_map(|config| config[list].as_array()).unwrap();
        let mut items: Vec<serde_json::Value> =
            items.iter().filter_map(|item| item.pointer(path).cloned()).collect();
        items.iter_mut().for_each(clean);
        items.sort_by_key(|item| item["name"].as_str().unwrap().to_owned());
        items
    };
    serde_json::json!({
        "clusters": section("dynamic_active_clusters", "/cluster"),
        "listeners": section("dynamic_listeners", "/active_state/listener"),
        "routes": section("dynamic_route_configs", "/route_config"),
    })
}

#[test]
fn grpc_requests_are_routed_by_metadata_alone() {
    with_envoy("envoy::grpc_requests_are_routed_by_metadata_alone", async {
        let _stage = stage(&["iris"]).await;
        let channel = Channel::from_shared(format!("http://{FRONT}")).unwrap().connect().await.unwrap();
        let mut client = GrpcInferenceServiceClient::new(channel);
        let mut ask = async |model: Option<&str>| {
            let mut request = tonic::Request::new(ModelReadyRequest::default());
            if let Some(model) = model {
                request.metadata_mut().insert("seldon-model", model.parse().unwrap());
            }
            client.model_ready(request).await
        };
        let answer = ask(Some("iris")).await.unwrap();
        assert_eq!(answer.metadata().get("x-seldon-route").unwrap(), ":iris_1:");
        assert_eq!(answer.metadata().get("internal").unwrap(), "iris_1");
        assert_eq!(answer.into_inner(), ModelReadyResponse { ready: true });
        for model in [None, Some("nope")] {
            let refused = ask(model).await.unwrap_err();
            assert_eq!((refused.code(), refused.message()), (tonic::Code::Unimplemented, ""), "{model:?}");
        }
    });
}

#[test]
fn what_cannot_be_reached_is_a_503_with_its_cause() {
    with_envoy("envoy::what_cannot_be_reached_is_a_503_with_its_cause", async {
        let mut stage = stage(&["iris"]).await;
        let step = pb::PipelineStep { name: "iris".to_owned(), ..pb::PipelineStep::default() };
        let pipeline = pb::Pipeline { name: "p1".to_owned(), steps: vec![step], ..pb::Pipeline::default() };
        let request = pb::LoadPipelineRequest { pipeline: Some(pipeline) };
        stage.mesh.operator.load_pipeline(request).await.unwrap();
        let mut turns = tokio::time::interval(Duration::from_millis(5));
        let mut answer = Request::infer("/v2/pipelines/p1/infer").send().await;
        while answer.status == 404 {
            turns.tick().await;
            answer = Request::infer("/v2/pipelines/p1/infer").send().await;
        }
        assert_eq!((answer.status, answer.body.as_str()), (503, "no healthy upstream"));
        // A replica whose port nobody listens on: the model is available all the same.
        let mut announcement = replica("other", 0);
        let config = announcement.replica_config.as_mut().unwrap();
        (config.inference_svc, config.inference_http_port) = ("127.0.0.1".to_owned(), 1);
        let mut other = stage.mesh.agent(announcement).await;
        let mut far = model("far", 1);
        far.model_spec.as_mut().unwrap().server = Some("other".to_owned());
        stage.mesh.load(far).await;
        other.load("far", 1).await;
        let mut answer = Request::infer("/v2/models/far/infer").send().await;
        while answer.status == 404 || answer.body == "no healthy upstream" {
            turns.tick().await;
            answer = Request::infer("/v2/models/far/infer").send().await;
        }
        assert_eq!(answer.status, 503);
        assert!(answer.body.contains("delayed connect error: Connection refused"), "{}", answer.body);
    });
}

#[test]
fn experiments_split_pin_and_mirror() {
    with_envoy("envoy::experiments_split_pin_and_mirror", async {
        let mut stage = stage(&["iris", "iris-b", "one"]).await;
        let candidates =
            ["iris", "iris-b"].map(|name| pb::ExperimentCandidate { name: name.to_owned(), weight: 50 });
        let experiment = pb::Experiment {
            name: "ab".to_owned(),
            default: Some("iris".to_owned()),
            candidates: candidates.to_vec(),
            mirror: Some(pb::ExperimentMirror { name: "one".to_owned(), percent: 100 }),
            kubernetes_meta: Some(meta(1)),
            ..Default::default()
        };
        let request = pb::StartExperimentRequest { experiment: Some(experiment) };
        stage.mesh.operator.start_experiment(request).await.unwrap();
        let ask = |name: &str| Request::infer(&format!("/v2/{name}")).header("seldon-model", name);
        converged(ask("ab.experiment")).await;
        let mut turns = tokio::time::interval(Duration::from_millis(5));
        while !stage.backend.take().iter().any(|seen| seen.internal == ["one_1"]) {
            turns.tick().await;
            ask("ab.experiment").send().await;
        }
        for name in ["ab.experiment", "iris"] {
            let path = format!("/v2/counted/{name}");
            let mut routes = std::collections::BTreeMap::new();
            for _ in 0..100 {
                let answer = Request::infer(&path).header("seldon-model", name).send().await;
                *routes.entry(answer.header("x-seldon-route").unwrap().to_owned()).or_insert(0) += 1;
            }
            assert_eq!(routes.keys().collect::<Vec<_>>(), [":iris-b_1:", ":iris_1:"], "{name}");
            assert!(routes.values().all(|count| (20..=80).contains(count)), "{name}: {routes:?}");
            let seen = stage.backend.saw(200, &path).await;
            let mirrored: Vec<&str> = seen
                .iter()
                .filter(|seen| seen.internal == ["one_1"])
                .map(|seen| seen.authority.as_str())
                .collect();
            assert_eq!(mirrored.len(), 100, "{name}");
            assert!(
                mirrored.iter().all(|authority| authority.starts_with("seldon-mesh-shadow")),
                "{mirrored:?}"
            );
        }
        for _ in 0..20 {
            let answer = ask("ab.experiment").header("x-seldon-route", ":iris-b_1:").send().await;
            assert_eq!((answer.status, answer.header("x-seldon-route")), (200, Some(":iris-b_1:")));
        }
        assert_eq!(ask("ab.experiment").header("x-seldon-route", ":iris_9:").send().await.status, 404);
        assert_eq!(ask("ab").send().await.status, 404);
        drop(stage);
    });
}

#[test]
fn an_update_loses_no_request() {
    with_envoy("envoy::an_update_loses_no_request", async {
        let mut stage = stage(&["iris"]).await;
        converged(Request::infer("/v2/models/iris/infer")).await;
        let load = tokio::spawn(async {
            let mut answers = Vec::new();
            while answers.last().map(String::as_str) != Some(":iris_2:") || answers.len() < 50 {
                let answer = Request::infer("/v2/models/iris/infer").send().await;
                assert_eq!(answer.status, 200, "{answer:?}");
                answers.push(answer.header("x-seldon-route").unwrap().to_owned());
            }
            answers
        });
        let mut second = model("iris", 2);
        second.model_spec.as_mut().unwrap().uri = "s3://models/iris-v2".to_owned();
        stage.mesh.load(second).await;
        stage.agent.load("iris", 2).await;
        stage.agent.unload("iris", 1).await;
        tokio::time::timeout(crate::mesh::PATIENCE, load).await.expect("never version 2").unwrap();
        drop(stage.envoy);
    });
}

mod grpc {
    //! Something that answers as an agent's gRPC proxy might.

    use seldon_proto::inference::grpc_inference_service_server::{
        GrpcInferenceService, GrpcInferenceServiceServer,
    };
    use seldon_proto::inference::*;
    use tokio_stream::wrappers::TcpListenerStream;
    use tonic::{Request, Response, Status, Streaming};

    struct Echo;

    pub(super) async fn backend() -> u16 {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = tonic::transport::Server::builder().add_service(GrpcInferenceServiceServer::new(Echo));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        port
    }

    type Answer<T> = Result<Response<T>, Status>;

    #[tonic::async_trait]
    impl GrpcInferenceService for Echo {
        type ModelStreamInferStream = tokio_stream::Empty<Result<ModelInferResponse, Status>>;

        async fn model_ready(&self, request: Request<ModelReadyRequest>) -> Answer<ModelReadyResponse> {
            let mut answer = Response::new(ModelReadyResponse { ready: true });
            if let Some(internal) = request.metadata().get("seldon-internal-model") {
                answer.metadata_mut().insert("internal", internal.clone());
            }
            Ok(answer)
        }
        async fn server_live(&self, _: Request<ServerLiveRequest>) -> Answer<ServerLiveResponse> {
            Err(Status::unimplemented(""))
        }
        async fn server_ready(&self, _: Request<ServerReadyRequest>) -> Answer<ServerReadyResponse> {
            Err(Status::unimplemented(""))
        }
        async fn server_metadata(&self, _: Request<ServerMetadataRequest>) -> Answer<ServerMetadataResponse> {
            Err(Status::unimplemented(""))
        }
        async fn model_metadata(&self, _: Request<ModelMetadataRequest>) -> Answer<ModelMetadataResponse> {
            Err(Status::unimplemented(""))
        }
        async fn model_infer(&self, _: Request<ModelInferRequest>) -> Answer<ModelInferResponse> {
            Err(Status::unimplemented(""))
        }
        async fn model_stream_infer(
            &self,
            _: Request<Streaming<ModelInferRequest>>,
        ) -> Answer<Self::ModelStreamInferStream> {
            Err(Status::unimplemented(""))
        }
        async fn repository_index(
            &self,
            _: Request<RepositoryIndexRequest>,
        ) -> Answer<RepositoryIndexResponse> {
            Err(Status::unimplemented(""))
        }
        async fn repository_model_load(
            &self,
            _: Request<RepositoryModelLoadRequest>,
        ) -> Answer<RepositoryModelLoadResponse> {
            Err(Status::unimplemented(""))
        }
        async fn repository_model_unload(
            &self,
            _: Request<RepositoryModelUnloadRequest>,
        ) -> Answer<RepositoryModelUnloadResponse> {
            Err(Status::unimplemented(""))
        }
    }
}
