//! Scripts of a shell's programs, and one that speaks to an API.

use base64::Engine;
use embedded::supervision::storage_class;
use embedded_api::{ApiServer, Config as ApiConfig, TlsIdentity};
use k8s_openapi::api::storage::v1::StorageClass;
use serde_json::json;

use super::*;
use crate::step::Program;

/// A script of a shell's: `sh` reads what it is to do.
fn script(logs: &Path, steps: Vec<Step>) -> Script {
    let environment = vec![("PATH", "/usr/bin:/bin".to_owned())];
    Script { environment, logs: logs.to_owned(), kubeconfig: None, limit: ENDING, steps }
}

fn sh(text: &str) -> Program {
    Program::new("sh").args(["-c", text])
}

#[tokio::test]
async fn steps_are_done_in_order_and_what_goes_on_is_kept() {
    let place = tempfile::tempdir().unwrap();
    let (file, name) = (place.path().join("file"), place.path().join("name"));
    let read = format!("grep words {} > {}", name.display(), place.path().join("read").display());
    let steps = vec![
        Step::new("write", Action::Write { file: file.clone(), text: "words".into() }),
        Step::new("link", Action::Link { to: file, name }),
        Step::new("begin", Action::Begin("part", sh("exec sleep 600"))),
        Step::new("read", Action::Run("read", sh(&read))),
        Step::new("look", Action::Await(Sign::Succeeds(sh(&read)))),
    ];
    let crew = Crew::carry_out(&script(place.path(), steps)).await.unwrap();
    assert_eq!(std::fs::read_to_string(place.path().join("read")).unwrap(), "words\n");
    assert_eq!(crew.running.len(), 1);
}

#[tokio::test]
async fn a_program_that_should_go_on_and_ends_is_the_end() {
    let place = tempfile::tempdir().unwrap();
    let steps = vec![
        Step::new("begin", Action::Begin("part", sh("echo no room; exit 3"))),
        Step::new("wait", Action::Await(Sign::Succeeds(sh("exit 1")))),
    ];
    let error = Crew::carry_out(&script(place.path(), steps)).await.err().unwrap();
    assert_eq!(error.to_string(), "part ended (exit status: 3): no room");
    assert!(error.is::<NotUp>());
}

#[tokio::test]
async fn what_cannot_be_done_is_named() {
    let place = tempfile::tempdir().unwrap();
    let steps = vec![Step::new("do it", Action::Run("step", sh("echo broken; exit 1")))];
    let error = Crew::carry_out(&script(place.path(), steps)).await.err().unwrap();
    assert_eq!(format!("{error:#}"), "cannot do it: step failed (exit status: 1): broken");
    let steps = vec![Step::new("look", Action::Await(Sign::Succeeds(sh("echo not yet; exit 1"))))];
    let mut script = script(place.path(), steps);
    script.limit = Duration::from_secs(3);
    let error = Crew::carry_out(&script).await.err().unwrap();
    let said = "cannot look: it was not so 3 s after the beginning; at the last look: \
                look failed (exit status: 1): not yet";
    assert_eq!(error.to_string(), said);
    assert!(error.is::<NotUp>());
}

#[tokio::test]
async fn a_program_is_ended_in_order() {
    let place = tempfile::tempdir().unwrap();
    let ended = place.path().join("ended");
    let text =
        format!("trap 'echo yes > {}; exit' TERM; echo up; while :; do sleep 0.01; done", ended.display());
    let up = format!("grep up {}", place.path().join("part.log").display());
    let steps = vec![
        Step::new("begin", Action::Begin("part", sh(&text))),
        Step::new("see it up", Action::Await(Sign::Succeeds(sh(&up)))),
        Step::new("end it", Action::End("part")),
    ];
    let crew = Crew::carry_out(&script(place.path(), steps)).await.unwrap();
    assert!(crew.running.is_empty());
    assert_eq!(std::fs::read_to_string(ended).unwrap(), "yes\n");
}

const DEFINITION: &str = "\
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata:
  name: pools.example.org
spec:
  group: example.org
  names: {kind: Pool, listKind: PoolList, plural: pools, singular: pool}
  scope: Cluster
  versions:
  - name: v1
    schema:
      openAPIV3Schema: {type: object}
    served: true
    storage: true
status:
  acceptedNames: {kind: '', plural: ''}
  conditions: []
  storedVersions: []
";

/// An API server, and a kubeconfig of it.
async fn api(kubeconfig: &Path) -> (ApiServer, tokio::task::JoinHandle<std::io::Result<()>>) {
    let tls = TlsIdentity::generate(&["127.0.0.1"]).unwrap();
    let server = ApiServer::new(ApiConfig { ca_pem: tls.ca_pem().to_owned(), ..ApiConfig::default() });
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let authority = base64::engine::general_purpose::STANDARD.encode(tls.ca_pem());
    let token = server.admin_token();
    let text = format!(
        "apiVersion: v1\nkind: Config\ncurrent-context: a\n\
         clusters: [{{name: a, cluster: {{server: 'https://{address}', certificate-authority-data: {authority}}}}}]\n\
         users: [{{name: a, user: {{token: '{token}'}}}}]\ncontexts: [{{name: a, context: {{cluster: a, user: a}}}}]\n"
    );
    std::fs::write(kubeconfig, text).unwrap();
    let serving = server.clone();
    (server, tokio::spawn(async move { serving.serve(listener, tls).await }))
}

#[tokio::test]
async fn what_a_script_says_of_the_api_is_done_there() {
    let place = tempfile::tempdir().unwrap();
    let (kubeconfig, defined) = (place.path().join("kubeconfig"), place.path().join("definitions"));
    std::fs::create_dir(&defined).unwrap();
    std::fs::write(defined.join("pools.yaml"), DEFINITION).unwrap();
    let (server, serving) = api(&kubeconfig).await;
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "node-0"}});
    let steps = vec![
        Step::new("reach it", Action::Await(Sign::ApiReady)),
        Step::new("define", Action::Define(defined.clone())),
        Step::new("see it defined", Action::Await(Sign::DefinitionsServed(defined))),
        Step::new("create", Action::Create(vec![storage_class(), node])),
        Step::new("see the node", Action::Await(Sign::NodeRegistered("node-0"))),
        Step::new("label it", Action::Label { node: "node-0", labels: &[("role", "everything")] }),
    ];
    let mut script = script(place.path(), steps);
    script.kubeconfig = Some(kubeconfig);
    let crew = Crew::carry_out(&script).await.unwrap();
    let client = crew.client().await.unwrap();
    let node = Api::<Node>::all(client.clone()).get("node-0").await.unwrap();
    assert_eq!(node.labels()["role"], "everything");
    let class = Api::<StorageClass>::all(client.clone()).get("local-path").await.unwrap();
    assert_eq!(class.provisioner, "rancher.io/local-path");
    assert!(Api::<CustomResourceDefinition>::all(client).get("pools.example.org").await.is_ok());

    // What is there already is no success.
    script.steps = vec![Step::new("create it again", Action::Create(vec![storage_class()]))];
    let error = format!("{:#}", Crew::carry_out(&script).await.err().unwrap());
    assert!(error.starts_with("cannot create it again: cannot create StorageClass local-path: "), "{error}");
    server.stop();
    serving.await.unwrap().unwrap();
}
