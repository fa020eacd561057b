//! A Kubernetes API with Seldon's definitions, an operator on it, and what a person would look at.

use std::time::Duration;

use embedded_api::{ApiServer, Config};
use futures::StreamExt;
use gonet::{ConnectOptions, Resolver};
use k8s_openapi::api::core::v1::{Event, Namespace};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::runtime::wait::await_condition;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use pace::Pace;
use seldon_crds::defaults::{self, Values};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::cluster::{Kind, Reach};
use crate::journal::{Journal, Level};
use crate::operator::Operator;
use crate::work_queue::reconcile_limit;

/// How long anything is waited for: above the longest limit that the operator has at any pace, on a busy machine.
const LIMIT: Duration = Duration::from_secs(90);

pub(super) const NAMESPACE: &str = "seldon-mesh";
/// Another namespace, without a scheduler.
pub(super) const TENANT: &str = "tenant";

/// An API server, and the lines the operator printed.
pub(super) struct Lab {
    pub(super) client: Client,
    lines: watch::Receiver<Vec<String>>,
    journal: Journal,
}

impl Lab {
    /// An API server with the definitions, the namespace, and the chart's configurations.
    pub(super) async fn new() -> Lab {
        let client = ApiServer::new(Config::default()).client();
        let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
        for definition in seldon_crds::definitions::all() {
            definitions.create(&PostParams::default(), &definition).await.unwrap();
        }
        let namespaces: Api<Namespace> = Api::all(client.clone());
        for name in [NAMESPACE, TENANT] {
            let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            namespaces.create(&PostParams::default(), &namespace).await.unwrap();
        }
        let (journal, lines) = Journal::memory(Level::Info);
        let lab = Lab { client, lines, journal };
        let values = Values::testable(NAMESPACE);
        lab.create(&defaults::seldon_config(&values)).await;
        lab.create(&defaults::server_config(&values)).await;
        lab
    }

    /// Starts an operator whose schedulers are all on one loopback port.
    pub(super) fn operate(&self, port: u16, pace: Pace) {
        self.operate_within(port, pace, reconcile_limit(pace));
    }

    /// Starts an operator whose reconciles have this long.
    pub(super) fn operate_within(&self, port: u16, pace: Pace, reconcile_limit: Duration) {
        self.start(port, pace, reconcile_limit, &format!("127.0.0.1 seldon-scheduler.{NAMESPACE}"));
    }

    /// Starts an operator that finds schedulers in a hosts file, all on one port.
    pub(super) fn operate_with_hosts(&self, port: u16, pace: Pace, hosts: &str) {
        self.start(port, pace, reconcile_limit(pace), hosts);
    }

    fn start(&self, port: u16, pace: Pace, reconcile_limit: Duration, hosts: &str) {
        let resolver = Resolver::from_resolv_conf("", pace).with_hosts(hosts);
        let operator = Operator {
            client: self.client.clone(),
            journal: self.journal.clone(),
            pace,
            reconcile_limit,
            reach: Reach::All,
            home: NAMESPACE.to_owned(),
            scheduler_port: port,
            connect: ConnectOptions::new(pace).with_resolver(resolver),
        };
        operator.start();
    }

    pub(super) fn api<K: Kind>(&self) -> Api<K> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    pub(super) async fn create<K: Kind>(&self, object: &K) -> K {
        self.api().create(&PostParams::default(), object).await.unwrap()
    }

    /// Creates an object from JSON, in the lab's namespace.
    pub(super) async fn apply<K: Kind>(&self, name: &str, spec: Value) -> K {
        let object = json!({
            "apiVersion": K::api_version(&()), "kind": K::kind(&()),
            "metadata": {"name": name, "namespace": NAMESPACE}, "spec": spec,
        });
        self.create(&serde_json::from_value::<K>(object).unwrap()).await
    }

    pub(super) async fn merge<K: Kind>(&self, name: &str, patch: Value) {
        self.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    pub(super) async fn merge_status<K: Kind>(&self, name: &str, patch: Value) {
        let patch = Patch::Merge(json!({"status": patch}));
        self.api::<K>().patch_status(name, &PatchParams::default(), &patch).await.unwrap();
    }

    /// Waits for an object to be as wanted.
    pub(super) async fn until<K: Kind>(
        &self,
        name: &str,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let condition = |object: Option<&K>| object.is_some_and(|object| wanted(&json!(object)));
        let waited = tokio::time::timeout(LIMIT, await_condition(self.api::<K>(), name, condition));
        match waited.await {
            Ok(found) => json!(found.unwrap()),
            Err(_) => {
                let last = self.api::<K>().get_opt(name).await.unwrap();
                panic!("{} {name} never {what}: {:#}\n{}", K::kind(&()), json!(last), self.text())
            }
        }
    }

    /// Waits for an object to be gone.
    pub(super) async fn until_gone<K: Kind>(&self, name: &str) {
        let gone = |object: Option<&K>| object.is_none();
        let waited = tokio::time::timeout(LIMIT, await_condition(self.api::<K>(), name, gone));
        assert!(waited.await.is_ok(), "{} {name} stays\n{}", K::kind(&()), self.text());
    }

    /// All lines printed so far.
    pub(super) fn text(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// Waits until `count` lines hold `part`.
    pub(super) async fn until_logged(&self, count: usize, part: &str) {
        let mut lines = self.lines.clone();
        let enough = |lines: &Vec<String>| lines.iter().filter(|line| line.contains(part)).count() >= count;
        let waited = tokio::time::timeout(LIMIT, lines.wait_for(enough)).await.is_ok();
        assert!(waited, "not {count} lines hold {part:?}:\n{}", self.text());
    }

    /// Waits for an event with a reason.
    pub(super) async fn first_event(&self, reason: &str) -> Event {
        let events = watcher(self.api::<Event>(), watcher::Config::default()).applied_objects();
        let mut matching = events
            .filter_map(async |event| event.ok().filter(|e| e.reason.as_deref() == Some(reason)))
            .boxed();
        let waited = tokio::time::timeout(LIMIT, matching.next()).await;
        waited.ok().flatten().unwrap_or_else(|| panic!("no event {reason}\n{}", self.text()))
    }

    /// The names of all objects of a kind.
    pub(super) async fn names<K: Kind>(&self) -> Vec<String> {
        let list = self.api::<K>().list(&Default::default()).await.unwrap();
        list.items.iter().map(ResourceExt::name_any).collect()
    }
}

/// One condition's status, message and reason.
pub(super) fn condition(object: &Value, kind: &str) -> Option<(String, String, String)> {
    let list = object["status"]["conditions"].as_array()?;
    let found = list.iter().find(|condition| condition["type"] == kind)?;
    let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
    Some((text("status"), text("message"), text("reason")))
}

/// A status without its times.
pub(super) fn timeless(object: &Value) -> Value {
    let mut status = object["status"].clone();
    for condition in status["conditions"].as_array_mut().into_iter().flatten() {
        condition["lastTransitionTime"] = json!("TIME");
    }
    status
}
