//! Calls over gRPC.

use seldon_proto::inference::grpc_inference_service_client::GrpcInferenceServiceClient;
use seldon_proto::inference::model_infer_request::{InferInputTensor, InferRequestedOutputTensor};
use seldon_proto::inference::{
    InferTensorContents, ModelInferRequest, ModelMetadataRequest, ModelReadyRequest, RepositoryIndexRequest,
    RepositoryModelLoadRequest, RepositoryModelUnloadRequest, ServerLiveRequest, ServerMetadataRequest,
    ServerReadyRequest,
};
use serde_json::{Value, json};
use tonic::metadata::KeyAndValueRef;
use tonic::transport::Channel;
use tonic::{Response, Status};

const SAME: &[&str] = &[];
/// A prediction of the stand-in's says whose it is.
const CONFESSES: &[&str] = &["/stand_in"];
/// The server says that it is a stand-in.
const EXTENSIONS: &[&str] = &["/body"];
/// The stand-in looks at an artefact's beginning only.
const PICKLE: &[&str] = &["/message"];
/// The estimator's name is in Python's words, and the stand-in is none; nor does it print arrays.
const ESTIMATOR: &[&str] = &["/message"];
/// Of bytes MLServer tries to make an array first; either refuses them.
const BYTES: &[&str] = &["/message"];

/// One call.
pub(crate) enum Call {
    Live,
    Ready,
    Server,
    Index(RepositoryIndexRequest),
    Load(&'static str),
    Unload(&'static str),
    ModelReady(&'static str, &'static str),
    Model(&'static str, &'static str),
    Infer(Box<ModelInferRequest>),
}

fn tensor(shape: &[i64], datatype: &str, contents: InferTensorContents) -> InferInputTensor {
    InferInputTensor {
        name: "predict".into(),
        datatype: datatype.into(),
        shape: shape.to_vec(),
        contents: Some(contents),
        ..Default::default()
    }
}

/// An iris that the model calls class 0, as the stand-in does of anything.
fn setosa() -> InferTensorContents {
    InferTensorContents { fp32_contents: vec![5.1, 3.5, 1.4, 0.2], ..Default::default() }
}

fn request(inputs: Vec<InferInputTensor>) -> ModelInferRequest {
    ModelInferRequest { model_name: "iris_1".into(), inputs, ..Default::default() }
}

fn infer(inputs: Vec<InferInputTensor>) -> Call {
    Call::Infer(Box::new(request(inputs)))
}

fn shaped(shape: &[i64]) -> Call {
    infer(vec![tensor(shape, "FP32", setosa())])
}

/// What is said of a call, the call, and in what its answers differ.
pub(crate) type Row = (&'static str, Call, &'static [&'static str]);

/// In this order: what is loaded is so for those that follow.
pub(crate) fn rows() -> Vec<Row> {
    let mut rows = repository();
    rows.extend(inferences());
    rows.extend([
        ("unload", Call::Unload("iris_1"), SAME),
        ("unload again", Call::Unload("iris_1"), SAME),
        ("infer what was unloaded", shaped(&[1, 4]), SAME),
    ]);
    rows
}

fn repository() -> Vec<Row> {
    let index = |ready| Call::Index(RepositoryIndexRequest { ready, ..Default::default() });
    vec![
        ("live", Call::Live, SAME),
        ("ready", Call::Ready, SAME),
        ("server", Call::Server, EXTENSIONS),
        ("load unknown", Call::Load("nope_1"), SAME),
        ("load without artefact", Call::Load("missing_1"), SAME),
        ("load corrupt", Call::Load("corrupt_1"), PICKLE),
        ("load of a runtime that is not there", Call::Load("boosted_1"), SAME),
        ("unload what failed to load", Call::Unload("corrupt_1"), SAME),
        ("unload it again", Call::Unload("corrupt_1"), SAME),
        ("model that is not loaded", Call::ModelReady("iris_1", ""), SAME),
        ("its metadata", Call::Model("iris_1", ""), SAME),
        ("its prediction", shaped(&[1, 4]), SAME),
        ("index of all", index(false), SAME),
        ("load", Call::Load("iris_1"), SAME),
        ("load again", Call::Load("iris_1"), SAME),
        ("index", index(false), SAME),
        ("index of ready ones", index(true), SAME),
        ("model", Call::ModelReady("iris_1", ""), SAME),
        ("version", Call::ModelReady("iris_1", "1"), SAME),
        ("no such version", Call::ModelReady("iris_1", "2"), SAME),
        ("metadata", Call::Model("iris_1", ""), SAME),
    ]
}

fn inferences() -> Vec<Row> {
    let with = |change: &dyn Fn(&mut ModelInferRequest)| {
        let mut request = request(vec![tensor(&[1, 4], "FP32", setosa())]);
        change(&mut request);
        Call::Infer(Box::new(request))
    };
    let output = |name: &str| InferRequestedOutputTensor { name: name.into(), ..Default::default() };
    let words = |all: &[&str]| InferTensorContents {
        bytes_contents: all.iter().map(|word| word.as_bytes().to_vec()).collect(),
        ..Default::default()
    };
    let bytes: Vec<u8> = setosa().fp32_contents.iter().flat_map(|number| number.to_le_bytes()).collect();
    let whole = InferTensorContents { int64_contents: vec![5, 3, 1, 0], ..Default::default() };
    vec![
        ("infer", shaped(&[1, 4]), CONFESSES),
        ("with an id", with(&|request| request.id = "abc".into()), CONFESSES),
        ("of a version", with(&|request| request.model_version = "1".into()), CONFESSES),
        ("of no such version", with(&|request| request.model_version = "2".into()), SAME),
        ("open shape", shaped(&[-1, 4]), CONFESSES),
        ("whole numbers", infer(vec![tensor(&[1, 4], "INT64", whole)]), CONFESSES),
        ("numbers of another type", infer(vec![tensor(&[1, 4], "INT64", setosa())]), CONFESSES),
        (
            "raw",
            with(&|request| {
                request.inputs[0].contents = None;
                request.raw_input_contents = vec![bytes.clone()];
            }),
            CONFESSES,
        ),
        ("unknown output", with(&|request| request.outputs = vec![output("zzz")]), SAME),
        ("two tensors", with(&|request| request.inputs.push(tensor(&[1, 4], "FP32", setosa()))), SAME),
        ("no tensor", infer(Vec::new()), SAME),
        ("no such datatype", infer(vec![tensor(&[1, 4], "FP33", setosa())]), SAME),
        ("no numbers", infer(vec![tensor(&[1, 4], "FP32", InferTensorContents::default())]), SAME),
        ("too large a shape", shaped(&[1, 5]), SAME),
        ("twice open", shaped(&[-1, -1]), SAME),
        ("flat", shaped(&[4]), ESTIMATOR),
        ("deep", shaped(&[1, 1, 4]), ESTIMATOR),
        ("words", infer(vec![tensor(&[1, 4], "BYTES", words(&["a", "b", "c", "d"]))]), BYTES),
    ]
}

/// A client of one server.
pub(crate) struct Caller(GrpcInferenceServiceClient<Channel>);

impl Caller {
    pub(crate) async fn connect(port: u16) -> Caller {
        let target = format!("http://127.0.0.1:{port}");
        Caller(GrpcInferenceServiceClient::connect(target).await.unwrap())
    }

    pub(crate) async fn call(&mut self, call: &Call) -> Value {
        let Caller(client) = self;
        let named = |(name, version): (&str, &str)| (name.to_owned(), version.to_owned());
        match call {
            Call::Live => seen(client.server_live(ServerLiveRequest {}).await),
            Call::Ready => seen(client.server_ready(ServerReadyRequest {}).await),
            Call::Server => seen(client.server_metadata(ServerMetadataRequest {}).await),
            Call::Index(request) => {
                let mut answer = client.repository_index(request.clone()).await;
                if let Ok(answer) = &mut answer {
                    answer.get_mut().models.sort_by(|one, other| one.name.cmp(&other.name));
                }
                seen(answer)
            }
            Call::Load(name) => {
                let request =
                    RepositoryModelLoadRequest { model_name: (*name).to_owned(), ..Default::default() };
                seen(client.repository_model_load(request).await)
            }
            Call::Unload(name) => {
                let request =
                    RepositoryModelUnloadRequest { model_name: (*name).to_owned(), ..Default::default() };
                seen(client.repository_model_unload(request).await)
            }
            Call::ModelReady(name, version) => {
                let (name, version) = named((name, version));
                seen(client.model_ready(ModelReadyRequest { name, version }).await)
            }
            Call::Model(name, version) => {
                let (name, version) = named((name, version));
                seen(client.model_metadata(ModelMetadataRequest { name, version }).await)
            }
            Call::Infer(request) => {
                let mut answer = client.model_infer((**request).clone()).await;
                let said =
                    answer.as_mut().ok().and_then(|answer| answer.get_mut().parameters.remove("stand_in"));
                let mut seen = seen(answer);
                if said.is_some() {
                    seen["stand_in"] = json!(true);
                }
                seen
            }
        }
    }
}

/// Code and message, or the answer with what came behind it.
fn seen<T: std::fmt::Debug>(answer: Result<Response<T>, Status>) -> Value {
    let answer = match answer {
        Err(status) => return json!({"code": format!("{:?}", status.code()), "message": status.message()}),
        Ok(answer) => answer,
    };
    let mut fields = serde_json::Map::new();
    for field in answer.metadata().iter() {
        let KeyAndValueRef::Ascii(name, value) = field else { continue };
        if name.as_str().starts_with("ce-") {
            fields.insert(name.as_str().to_owned(), json!(value.to_str().unwrap()));
        }
    }
    json!({"code": "Ok", "metadata": fields, "body": format!("{:?}", answer.get_ref())})
}
