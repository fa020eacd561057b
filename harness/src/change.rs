//! What people do to a mesh: repairs that help, and repairs that do not.

use std::net::IpAddr;

use anyhow::Context;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::DeleteParams;
use netmodel::OutcomeClass;
use reports::{Event, Phase};
use serde_json::json;
use toolbox::DnsStyle;

use crate::claim::Claim;
use crate::fault::{dns, policy};
use crate::look::{Look, Seen};
use crate::mesh::{InstalledMesh, SCHEDULER_UNDER_ANOTHER_NAME, is_ready};
use crate::model::{condition, condition_in_words, condition_says};
use crate::object::{self, Kind, ObjectRef};
use crate::run::Unjudgeable;
use crate::undo::Undo;
use crate::words::Words;
use crate::world::World;

const CONTROLLER: &str = "seldon-v2-controller-manager";

impl World {
    /// A fault that lies in what was applied: it bites when `bites` holds.
    ///
    /// # Errors
    /// That it does not.
    pub async fn broken_by_manifest(&self, breaks: &str, bites: Claim) -> anyhow::Result<()> {
        let sentence = bites.to_string();
        let seen = self.eventually(bites).await?;
        self.note(Event::Fault { breaks: breaks.into(), proof: format!("{sentence}: {seen}") })?;
        self.enter(Phase::Broken);
        Ok(())
    }

    /// A repair that lies in what was applied: it helped when `gone` holds.
    ///
    /// # Errors
    /// That it did not.
    pub async fn repaired_by_manifest(&self, what: &str, gone: Claim) -> anyhow::Result<()> {
        let sentence = gone.to_string();
        let seen = self.eventually(gone).await?;
        self.note(Event::Repair { undoes: what.into(), proof: format!("{sentence}: {seen}") })?;
        self.enter(Phase::Repaired);
        Ok(())
    }

    /// `claim` goes on holding for a while: what was done changed nothing.
    ///
    /// # Errors
    /// That it did change something.
    pub async fn still(&self, claim: Claim) -> anyhow::Result<()> {
        self.holds_for(self.patience().quiet, claim).await
    }

    /// Applies an object that the runner deletes in the end.
    async fn add(&self, what: &str, kind: Kind, manifest: serde_json::Value) -> anyhow::Result<()> {
        self.step(what)?;
        let text = |field: &str| manifest["metadata"][field].as_str().unwrap_or_default().to_owned();
        self.undo_later(Undo::Delete(ObjectRef::new(kind, &text("namespace"), &text("name"))));
        self.apply_all(std::slice::from_ref(&manifest)).await
    }

    /// Admits the controller's namespace to the scheduler's port 9004.
    ///
    /// # Errors
    /// The API server's.
    pub async fn admit_controller(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.add(
            "admit the controller's namespace on 9004",
            Kind::NetworkPolicy,
            policy::admit_controller(mesh),
        )
        .await
    }

    /// Allows everything into every pod of the tenant.
    ///
    /// # Errors
    /// The API server's.
    pub async fn allow_within_namespace(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.add(
            "allow all traffic to the tenant's pods",
            Kind::NetworkPolicy,
            policy::allow_within_namespace(mesh),
        )
        .await
    }

    /// Lets the DNS rule ask for the label that every namespace carries.
    ///
    /// # Errors
    /// The API server's.
    pub async fn allow_dns_by_the_right_label(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("let the DNS rule ask for kubernetes.io/metadata.name=kube-system")?;
        self.apply_all(&[policy::dns_allowed_to_kube_system(mesh)]).await
    }

    /// Gives kube-system the label `name=kube-system` and waits until names resolve.
    ///
    /// # Errors
    /// The API server's, or that they do not.
    pub async fn label_kube_system(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("label kube-system with name=kube-system")?;
        let object = ObjectRef::new(Kind::Namespace, "", "kube-system");
        let found = object.read(self.client()).await?.unwrap_or_default();
        let before = &found["metadata"]["labels"]["name"];
        let label = |value: &serde_json::Value| json!({"metadata": {"labels": {"name": value}}});
        let (patch, ours) = (label(before), label(&json!("kube-system")));
        let undo = Undo::Merge { object: object.clone(), patch, ours: ours.clone() };
        if let Some(foothold) = self.foothold() {
            if !before.is_null() {
                let why = "kube-system has a label `name` already, which policies of others may rely on";
                return Err(Unjudgeable::because(why.into()));
            }
            foothold.before(self.client(), undo.clone()).await?;
        }
        self.undo_later(undo);
        object.merge(self.hand()?, &ours).await?;
        self.resolves_scheduler(mesh).await
    }

    /// Takes the label away again and waits until names no longer resolve.
    ///
    /// # Errors
    /// The API server's, or that they still do.
    pub async fn unlabel_kube_system(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("take the label away from kube-system")?;
        let object = ObjectRef::new(Kind::Namespace, "", "kube-system");
        object.merge(self.hand()?, &json!({"metadata": {"labels": {"name": null}}})).await?;
        let denied = Claim::new(
            "a look-up from the controller's pod fails",
            mesh.look_up(DnsStyle::Go, &mesh.scheduler_name()),
            |seen| {
                matches!(seen, Seen::Observed(observation)
                if matches!(observation.class, OutcomeClass::NameTimeout | OutcomeClass::NameTemporary))
            },
        );
        self.eventually(denied).await.map(|_| ())
    }

    /// Deletes the controller's pod and waits until the next one is Ready.
    ///
    /// # Errors
    /// The API server's, or that it does not become Ready.
    pub async fn restart_controller(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("restart the controller")?;
        let old = self.pod(&mesh.controller()).await?.metadata.name.unwrap_or_default();
        let pods: Api<Pod> = Api::namespaced(self.hand()?.clone(), mesh.controller_namespace());
        pods.delete(&old, &DeleteParams::default()).await?;
        self.next_controller(mesh, &old).await
    }

    /// Waits until another controller pod than `old` is Ready and the only one.
    async fn next_controller(&self, mesh: &InstalledMesh, old: &str) -> anyhow::Result<()> {
        let query = mesh.controller();
        let look = Look::Objects { kind: Kind::Pod, namespace: query.namespace, labels: query.labels };
        let old = old.to_owned();
        let replaced = Claim::new(format!("controller pod {old} is replaced"), look, move |seen| {
            let Seen::Objects(pods) = seen else { return false };
            pods.len() == 1 && pods[0]["metadata"]["name"] != old.as_str()
        });
        self.eventually(replaced).await?;
        self.eventually(is_ready(&mesh.controller())).await.map(|_| ())
    }

    /// Sets `SELDON_SCHEDULER_HOST` and `_PORT` on the controller and waits until the new one has dialled.
    ///
    /// # Errors
    /// The API server's, or that it does not dial.
    pub async fn set_scheduler_host_on_the_controller(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("set SELDON_SCHEDULER_HOST on the controller")?;
        let old = self.pod(&mesh.controller()).await?.metadata.name.unwrap_or_default();
        let deployment = ObjectRef::new(Kind::Deployment, mesh.controller_namespace(), CONTROLLER);
        let environment = json!([
            {"name": "SELDON_SCHEDULER_HOST", "value": SCHEDULER_UNDER_ANOTHER_NAME},
            {"name": "SELDON_SCHEDULER_PORT", "value": "9004"},
        ]);
        let patch = json!({"spec": {"template": {"spec": {"containers": [{"name": "manager", "env": environment}]}}}});
        deployment.strategic(self.hand()?, &patch).await?;
        self.next_controller(mesh, &old).await?;
        self.eventually(mesh.controller_has_dialled()).await.map(|_| ())
    }

    /// The controller, which has logged `line` before, logs it again.
    ///
    /// # Errors
    /// That it does not.
    pub async fn goes_on_logging(&self, mesh: &InstalledMesh, line: &str) -> anyhow::Result<()> {
        let times = |seen: &Seen, line: &str| match seen {
            Seen::Log(log) => log.matches(line).count(),
            _ => 0,
        };
        let look = Look::Log(mesh.controller());
        let before = times(&self.look(&look).await, line);
        let line = line.to_owned();
        let sentence = format!("the controller logs {line:?} again, which it did {before} times");
        self.eventually(Claim::new(sentence, look, move |seen| times(seen, &line) > before)).await.map(|_| ())
    }

    /// Sets `SELDON_SERVER_HOST` on the agent, through the Server, and waits until the pod with it is Ready.
    ///
    /// # Errors
    /// The API server's, or that it does not become Ready.
    pub async fn set_server_host_on_the_agent(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.step("set SELDON_SERVER_HOST on the agent")?;
        let environment = json!([{"name": "SELDON_SERVER_HOST", "value": "localhost"}]);
        let patch = json!({"spec": {"podSpec": {"containers": [{"name": "agent", "env": environment}]}}});
        mesh.server().merge(self.hand()?, &patch).await?;
        let query = mesh.agent();
        let look = Look::Objects { kind: Kind::Pod, namespace: query.namespace, labels: query.labels };
        let set = Claim::new("the agent has SELDON_SERVER_HOST", look, |seen| {
            let Seen::Objects(pods) = seen else { return false };
            pods.iter().any(|pod| pod.to_string().contains("SELDON_SERVER_HOST"))
        });
        self.eventually(set).await?;
        self.wait_for(is_ready(&mesh.agent()), self.patience().mesh).await.map(|_| ())
    }

    /// Adds an ExternalName Service `seldon-scheduler` for the scheduler's other name.
    ///
    /// # Errors
    /// The API server's.
    pub async fn alias_the_scheduler(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        let target = format!("{SCHEDULER_UNDER_ANOTHER_NAME}.{}.svc.cluster.local", mesh.tenant());
        let manifest = json!({
            "apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "seldon-scheduler", "namespace": mesh.tenant()},
            "spec": {"type": "ExternalName", "externalName": target},
        });
        self.add("alias seldon-scheduler to the Service's other name", Kind::Service, manifest).await
    }

    /// Deletes the tenant's Servers and waits until they and their pods are gone. A chart makes another one besides
    /// `mlserver`, and as long as one is there no SeldonRuntime goes.
    ///
    /// # Errors
    /// The API server's, or that they do not go.
    pub async fn delete_server(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        for server in object::list(self.client(), Kind::Server, mesh.tenant(), "").await? {
            let name = server["metadata"]["name"].as_str().unwrap_or_default();
            self.delete(&ObjectRef::new(Kind::Server, mesh.tenant(), name)).await?;
        }
        self.eventually(mesh.has_no_server_pod()).await.map(|_| ())
    }

    /// Deletes the SeldonRuntime and waits until it is gone.
    ///
    /// # Errors
    /// The API server's, or that it does not go.
    pub async fn delete_runtime(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        self.delete(&ObjectRef::new(Kind::SeldonRuntime, mesh.tenant(), "seldon")).await
    }

    async fn delete(&self, object: &ObjectRef) -> anyhow::Result<()> {
        self.step(format!("delete {object}"))?;
        object.delete(self.hand()?).await?;
        let gone = Claim::new(format!("{object} is gone"), Look::Object(object.clone()), |seen| {
            matches!(seen, Seen::Absent)
        });
        self.eventually(gone).await.map(|_| ())
    }

    /// Waits until the scheduler's name resolves, as Go asks for it, to its Service's address and nothing else.
    ///
    /// # Errors
    /// When the scheduler has no Service, that has no address, or the name never resolves to it.
    pub async fn resolves_scheduler(&self, mesh: &InstalledMesh) -> anyhow::Result<()> {
        let look = mesh.look_up(DnsStyle::Go, &mesh.scheduler_name());
        let address = self.scheduler_address(mesh).await?;
        self.eventually(dns::resolves_to(look, address)).await.map(|_| ())
    }

    /// The address of the scheduler's Service.
    pub(crate) async fn scheduler_address(&self, mesh: &InstalledMesh) -> anyhow::Result<IpAddr> {
        let service = ObjectRef::new(Kind::Service, mesh.tenant(), "seldon-scheduler");
        let found = self.look(&Look::Object(service.clone())).await;
        let Seen::Object(object) = found else { anyhow::bail!("{service}: {found}") };
        let address = object["spec"]["clusterIP"].as_str().and_then(|address| address.parse().ok());
        address.with_context(|| format!("{service} has no address"))
    }
}

impl InstalledMesh {
    /// nslookup finds no address for the scheduler's short name: it asks for it as it stands.
    pub fn nslookup_finds_nothing(&self) -> Claim {
        let look = self.look_up(DnsStyle::BusyboxNslookup, &self.scheduler_name());
        Claim::new(
            "nslookup finds nothing",
            look,
            |seen| matches!(seen, Seen::Observed(observation) if observation.class == OutcomeClass::NameNotFound),
        )
    }

    /// nslookup shows the hijacker's address for the scheduler's name.
    pub fn nslookup_shows_the_hijacker(&self) -> Claim {
        let look = self.look_up(DnsStyle::BusyboxNslookup, &self.scheduler_name());
        dns::resolves_to(look, dns::HIJACKER.into())
    }

    /// The Server's condition is False with a reason that holds `text`.
    pub fn server_tells_of(&self, text: &str) -> Claim {
        condition_says(&self.server(), "StatefulSetReady", text)
    }

    /// The Server's condition is False with one of these reasons, word for word.
    pub fn server_says(&self, words: &Words) -> Claim {
        condition_in_words(&self.server(), "StatefulSetReady", words)
    }

    /// The Server is Ready.
    pub fn server_is_ready(&self) -> Claim {
        condition(&self.server(), "Ready", "True")
    }

    /// The controller that runs now has dialled its scheduler.
    pub fn controller_has_dialled(&self) -> Claim {
        self.controller_logs(&format!("{{\"host\": \"{}\", \"port\": 9004}}", self.scheduler_name()))
    }

    /// The controller's log does not hold `text`.
    pub fn controller_is_silent_about(&self, text: &str) -> Claim {
        let unwanted = text.to_owned();
        Claim::new(
            format!("the controller does not log {text:?}"),
            Look::Log(self.controller()),
            move |seen| matches!(seen, Seen::Log(log) if !log.contains(&unwanted)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn objects_are_named_as_people_name_them() {
        let object = ObjectRef::new(Kind::Deployment, "seldon-system", CONTROLLER);
        assert_eq!(object.to_string(), "Deployment seldon-system/seldon-v2-controller-manager");
        assert_eq!(ObjectRef::new(Kind::Namespace, "", "kube-system").to_string(), "Namespace kube-system");
    }
}
