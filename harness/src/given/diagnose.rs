//! Looking at a mesh that somebody runs, and naming what is wrong with it. Nothing is changed: not even a Lease is taken.

use std::path::PathBuf;

use anyhow::Context;
use clusters::{Cluster, GivenCluster};
use diagnosis::Snapshot;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{Api, ListParams};
use kube::{Client, ResourceExt};
use netmodel::Profile;
use pace::Pace;
use reports::Journal;
use serde_json::Value;

use super::survey::watches;
use crate::mesh::InstalledMesh;
use crate::namespaces::Namespaces;
use crate::object::{self, Kind, ObjectRef};
use crate::patience::Patience;
use crate::progress::Progress;
use crate::run::case_id;
use crate::seldon::{ModelServer, Seldon};
use crate::world::{Parts, Topology, World};

/// Whether programs may be run inside the mesh's pods.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probes {
    /// Yes, where there is one to run.
    Allowed,
    /// No: what only a pod can see stays unseen.
    Forbidden,
}

/// What is to be looked at.
#[derive(Debug)]
pub struct Question {
    /// The cluster.
    pub cluster: GivenCluster,
    /// The tenant's namespace.
    pub namespace: String,
    /// The Model that gives trouble; all of the namespace when absent.
    pub model: Option<String>,
    /// The network; found out when absent.
    pub profile: Option<Profile>,
    /// Whether programs may be run inside the mesh's pods.
    pub probes: Probes,
    /// Where the record goes.
    pub directory: PathBuf,
}

/// What was found.
#[derive(Debug)]
pub struct Answer {
    /// What the mesh is, in a line.
    pub mesh: String,
    /// The cause, with its evidence.
    pub cause: Option<reports::NamedCause>,
    /// What is not as it should be, whether or not a cause explains it.
    pub complaints: Vec<String>,
    /// What could not be looked at, and why.
    pub unseen: Vec<String>,
}

/// Looks and judges.
///
/// # Errors
/// That there is no such mesh, or what may not be looked at.
pub async fn diagnose(question: Question) -> anyhow::Result<Answer> {
    let client = question.cluster.client()?;
    let namespace = &question.namespace;
    let there = ObjectRef::new(Kind::Namespace, "", namespace).read(&client).await;
    let there = there.with_context(|| format!("cannot look at namespace {namespace}"))?;
    anyhow::ensure!(there.is_some(), "there is no namespace {namespace}");
    let home = controller_of(&client, namespace).await?;
    let profile = match question.profile {
        Some(profile) => profile,
        None => super::peculiarities::network(&client).await,
    };
    let mut unseen = Vec::new();
    let mesh = InstalledMesh::of_others(home.as_deref().unwrap_or(namespace), namespace);
    let world = world(&question, client, profile)?;
    let mut snapshot = match question.probes {
        Probes::Allowed => world.snapshot(&mesh).await?,
        Probes::Forbidden => world.snapshot_from_outside(&mesh).await?,
    };
    if snapshot.sightings.is_empty() {
        unseen.push(match question.probes {
            Probes::Allowed => "what the controller's pod resolves and reaches: no probe could be run in it".to_owned(),
            Probes::Forbidden => {
                "what the controller's pod resolves and reaches: that needs a program run in it (--allow-exec)".into()
            }
        });
    }
    for pod in ["manager", "scheduler"] {
        if !snapshot.logs.iter().any(|log| log.container == pod) {
            unseen.push(format!("the log of container {pod}: there is no such pod, or it may not be read"));
        }
    }
    keep_only(&mut snapshot, namespace, question.model.as_deref());
    if let Some(model) = &question.model {
        anyhow::ensure!(!snapshot.models.is_empty(), "there is no Model {namespace}/{model}");
    }
    let mut complaints = complaints(&snapshot);
    if home.is_none() {
        complaints.push(format!("no Seldon controller watches namespace {namespace}"));
    }
    let cause = diagnosis::diagnose(&snapshot, profile).map(|diagnosis| diagnosis.named);
    let mesh =
        format!("controller in {}, tenant {namespace}, {profile}", home.as_deref().unwrap_or("no namespace"));
    Ok(Answer { mesh, cause, complaints, unseen })
}

/// The namespace of the controller that watches `tenant`.
pub(super) async fn controller_of(client: &Client, tenant: &str) -> anyhow::Result<Option<String>> {
    let labels = ListParams::default().labels("control-plane=v2-controller-manager");
    let controllers: Api<Deployment> = Api::all(client.clone());
    let controllers = controllers.list(&labels).await.context("cannot look for Seldon's controllers")?;
    let watching = controllers.items.iter().find(|controller| watches(controller, tenant));
    Ok(watching.and_then(ResourceExt::namespace))
}

fn world(question: &Question, client: Client, profile: Profile) -> anyhow::Result<World> {
    let case = case_id("diagnosis", &question.namespace, profile, Topology::ClusterWide, "given");
    Ok(World::new(Parts {
        client,
        cluster: Cluster::Given(question.cluster.clone()),
        foothold: None,
        namespaces: Namespaces::plain(),
        name_server: String::new(),
        profile,
        topology: Topology::ClusterWide,
        pace: Pace::REAL,
        patience: Patience::default(),
        journal: Journal::open(&question.directory, case, "", &[])?,
        progress: Progress::silent(),
        seldon: Seldon::StandIn(ModelServer::MlServer),
    }))
}

/// Other tenants' troubles are not asked about.
fn keep_only(snapshot: &mut Snapshot, namespace: &str, model: Option<&str>) {
    let here = |object: &Value| object["metadata"]["namespace"] == namespace;
    for objects in [&mut snapshot.models, &mut snapshot.servers, &mut snapshot.runtimes] {
        objects.retain(here);
    }
    snapshot.models.retain(|object| model.is_none_or(|model| object["metadata"]["name"] == model));
}

/// Objects of Seldon's that do not say that they are Ready.
fn complaints(snapshot: &Snapshot) -> Vec<String> {
    let kinds =
        [("Model", &snapshot.models), ("Server", &snapshot.servers), ("SeldonRuntime", &snapshot.runtimes)];
    let all = kinds.into_iter().flat_map(|(kind, objects)| objects.iter().map(move |object| (kind, object)));
    all.filter_map(|(kind, object)| {
        let name = object::name(object);
        let Some(conditions) = object["status"]["conditions"].as_array() else {
            return Some(format!("{kind} {name} has no status: nobody has told it anything"));
        };
        let condition = conditions.iter().find(|one| one["type"] == "Ready");
        let text = |field: &str| condition.and_then(|one| one[field].as_str()).unwrap_or_default().to_owned();
        (text("status") != "True").then(|| {
            let said = [text("message"), text("reason")].join(" ");
            format!(
                "{kind} {name} is not Ready: {}",
                if said.trim().is_empty() { "it does not say why" } else { said.trim() }
            )
        })
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_ready_is_said_in_its_words() {
        let model = |name: &str, conditions: Value| json!({"metadata": {"name": name, "namespace": "ml"}, "status": {"conditions": conditions}});
        let ready = |status: &str| json!([{"type": "Ready", "status": status, "message": "ScheduleFailed", "reason": "no room"}]);
        let mut snapshot = Snapshot {
            models: vec![
                model("well", ready("True")),
                model("ill", ready("False")),
                model("new", Value::Null),
                json!({"metadata": {"name": "other", "namespace": "theirs"}, "status": {"conditions": ready("False")}}),
            ],
            servers: vec![json!({"metadata": {"name": "mlserver", "namespace": "ml"}})],
            ..Snapshot::default()
        };
        keep_only(&mut snapshot, "ml", None);
        assert_eq!(
            complaints(&snapshot),
            [
                "Model ill is not Ready: ScheduleFailed no room",
                "Model new has no status: nobody has told it anything",
                "Server mlserver has no status: nobody has told it anything",
            ]
        );
        snapshot.servers.clear();
        keep_only(&mut snapshot, "ml", Some("well"));
        assert_eq!(complaints(&snapshot), [""; 0]);
    }
}
