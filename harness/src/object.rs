//! Kubernetes objects of any kind, by name: apply, read, delete.

use std::fmt;

use k8s_openapi::api::apps::v1::{Deployment, StatefulSet};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Secret, Service, ServiceAccount};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, Patch, PatchParams, PostParams, Preconditions};
use kube::core::GroupVersionKind;
use kube::{Api, Client, Resource};
use serde_json::{Value, json};

use crate::obstacles;

/// Field manager under which the harness writes.
const MANAGER: &str = "seldon-conformance";

/// The kinds that scenarios touch or look at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "each is the Kubernetes or Seldon kind of that name")]
pub enum Kind {
    Namespace,
    Pod,
    Service,
    ConfigMap,
    Secret,
    ServiceAccount,
    EndpointSlice,
    Deployment,
    StatefulSet,
    NetworkPolicy,
    Lease,
    ClusterRole,
    ClusterRoleBinding,
    CustomResourceDefinition,
    Model,
    Server,
    ServerConfig,
    SeldonConfig,
    SeldonRuntime,
}

impl Kind {
    pub(crate) fn resource(self) -> ApiResource {
        match self {
            Kind::Namespace => ApiResource::erase::<Namespace>(&()),
            Kind::Pod => ApiResource::erase::<Pod>(&()),
            Kind::Service => ApiResource::erase::<Service>(&()),
            Kind::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Kind::Secret => ApiResource::erase::<Secret>(&()),
            Kind::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Kind::EndpointSlice => ApiResource::erase::<EndpointSlice>(&()),
            Kind::Deployment => ApiResource::erase::<Deployment>(&()),
            Kind::StatefulSet => ApiResource::erase::<StatefulSet>(&()),
            Kind::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Kind::Lease => ApiResource::erase::<Lease>(&()),
            Kind::ClusterRole => ApiResource::erase::<ClusterRole>(&()),
            Kind::ClusterRoleBinding => ApiResource::erase::<ClusterRoleBinding>(&()),
            Kind::CustomResourceDefinition => ApiResource::erase::<CustomResourceDefinition>(&()),
            Kind::Model => ApiResource::erase::<seldon_crds::Model>(&()),
            Kind::Server => ApiResource::erase::<seldon_crds::Server>(&()),
            Kind::ServerConfig => ApiResource::erase::<seldon_crds::ServerConfig>(&()),
            Kind::SeldonConfig => ApiResource::erase::<seldon_crds::SeldonConfig>(&()),
            Kind::SeldonRuntime => ApiResource::erase::<seldon_crds::SeldonRuntime>(&()),
        }
    }
}

/// An object's kind, namespace and name. A [`Kind::Namespace`] has an empty namespace.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
pub struct ObjectRef {
    /// Kind.
    pub kind: Kind,
    /// Namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// Name.
    pub name: String,
}

impl ObjectRef {
    /// A namespaced object.
    pub fn new(kind: Kind, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef { kind, namespace: namespace.into(), name: name.into() }
    }

    fn api(&self, client: &Client) -> Api<DynamicObject> {
        api(client, &self.kind.resource(), &self.namespace)
    }

    /// The object, or `None` when there is no such object.
    ///
    /// # Errors
    /// kube's, other than "not found".
    pub async fn read(&self, client: &Client) -> kube::Result<Option<Value>> {
        Ok(self.api(client).get_opt(&self.name).await?.map(|object| to_value(&object)))
    }

    /// Deletes the object; one that is gone already is fine.
    ///
    /// # Errors
    /// kube's, other than "not found".
    pub async fn delete(&self, client: &Client) -> kube::Result<()> {
        match self.api(client).delete(&self.name, &DeleteParams::default()).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes a pod and leaves its programs a second to end, whatever its own grace.
    ///
    /// # Errors
    /// kube's, other than "not found".
    pub(crate) async fn delete_at_once(&self, client: &Client) -> kube::Result<()> {
        match self.api(client).delete(&self.name, &DeleteParams::default().grace_period(1)).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if status.code == 404 => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Deletes the object if it is the one with this uid; another of that name stays.
    ///
    /// # Errors
    /// kube's, other than "not found" and "another one".
    pub(crate) async fn delete_exactly(&self, client: &Client, uid: &str) -> kube::Result<()> {
        let only = Preconditions { uid: Some(uid.to_owned()), ..Preconditions::default() };
        let parameters = DeleteParams { preconditions: Some(only), ..DeleteParams::default() };
        match self.api(client).delete(&self.name, &parameters).await {
            Ok(_) => Ok(()),
            Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Creates the object, or replaces the version of it that `whole` names.
    ///
    /// # Errors
    /// kube's; a conflict when somebody else was quicker.
    pub(crate) async fn put(&self, client: &Client, whole: &Value, exists: bool) -> anyhow::Result<()> {
        let object: DynamicObject = serde_json::from_value(whole.clone())?;
        let api = self.api(client);
        if exists {
            api.replace(&self.name, &PostParams::default(), &object).await?;
        } else {
            api.create(&PostParams::default(), &object).await?;
        }
        Ok(())
    }

    /// Applies a strategic merge patch.
    ///
    /// # Errors
    /// kube's.
    pub async fn strategic(&self, client: &Client, patch: &Value) -> kube::Result<()> {
        self.api(client)
            .patch(&self.name, &PatchParams::default(), &Patch::Strategic(patch))
            .await
            .map(|_| ())
    }

    /// Merges `patch` if what `ours` names still reads as it does there: a change that somebody made since stays, also
    /// one that comes at the same moment.
    ///
    /// # Errors
    /// kube's.
    pub(crate) async fn take_back(&self, client: &Client, patch: &Value, ours: &Value) -> anyhow::Result<()> {
        loop {
            let Some(found) = self.read(client).await? else { return Ok(()) };
            if !holds(&found, ours) {
                return Ok(());
            }
            let mut patch = patch.clone();
            patch["metadata"]["resourceVersion"] = found["metadata"]["resourceVersion"].clone();
            match self.merge(client, &patch).await {
                // Somebody was quicker: what they wrote is looked at again.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => return Ok(other?),
            }
        }
    }

    /// Takes `text` out of an entry of a ConfigMap, if it stands there; what else stands there stays, also what is
    /// written at the same moment.
    ///
    /// # Errors
    /// kube's.
    pub(crate) async fn cut(&self, client: &Client, key: &str, text: &str) -> anyhow::Result<()> {
        loop {
            let Some(found) = self.read(client).await? else { return Ok(()) };
            let entry = found["data"][key].as_str().unwrap_or_default();
            let rest = entry.replace(text, "");
            if rest == entry {
                return Ok(());
            }
            let version = &found["metadata"]["resourceVersion"];
            let patch = json!({"metadata": {"resourceVersion": version}, "data": {key: rest}});
            match self.merge(client, &patch).await {
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                other => return Ok(other?),
            }
        }
    }

    /// Applies a JSON merge patch.
    ///
    /// # Errors
    /// kube's.
    pub async fn merge(&self, client: &Client, patch: &Value) -> kube::Result<()> {
        self.api(client).patch(&self.name, &PatchParams::default(), &Patch::Merge(patch)).await.map(|_| ())
    }
}

/// Whether every field of `part` reads the same in `whole`.
fn holds(whole: &Value, part: &Value) -> bool {
    match part.as_object() {
        Some(fields) => fields.iter().all(|(name, part)| holds(&whole[name], part)),
        None => whole == part,
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(formatter, "{:?} {}", self.kind, self.name),
            namespace => write!(formatter, "{:?} {namespace}/{}", self.kind, self.name),
        }
    }
}

/// Objects of `kind` in `namespace` (all namespaces when empty) whose labels match `selector`.
///
/// # Errors
/// kube's.
pub async fn list(client: &Client, kind: Kind, namespace: &str, selector: &str) -> kube::Result<Vec<Value>> {
    let parameters = kube::api::ListParams::default().labels(selector);
    let listed = api(client, &kind.resource(), namespace).list(&parameters).await?;
    // Items of a list do not carry their kind.
    let resource = kind.resource();
    Ok(listed
        .items
        .iter()
        .map(|object| {
            let mut value = to_value(object);
            value["kind"] = resource.kind.clone().into();
            value["apiVersion"] = resource.api_version.clone().into();
            value
        })
        .collect())
}

/// Server-side applies any manifest, strictly: an unknown field is an error, not a warning.
///
/// # Errors
/// The API server's own `Status`, as `kubectl` would show it.
pub async fn apply(client: &Client, manifest: &Value) -> anyhow::Result<()> {
    Manifest::of(client, manifest)?.apply(Trial::ForGood).await
}

/// Whether what is applied stays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trial {
    /// The API server only says whether it would take it.
    DryRun,
    /// It stays.
    ForGood,
}

/// A manifest and the place where it belongs.
#[derive(Debug)]
pub(crate) struct Manifest<'a> {
    /// Kind, as it is written.
    pub(crate) kind: String,
    /// Namespace; empty for cluster-scoped kinds.
    pub(crate) namespace: String,
    /// Name.
    pub(crate) name: String,
    place: Api<DynamicObject>,
    whole: &'a Value,
}

impl<'a> Manifest<'a> {
    /// Reads the place from the manifest.
    ///
    /// # Errors
    /// That it has no kind or no name.
    pub(crate) fn of(client: &Client, whole: &'a Value) -> anyhow::Result<Manifest<'a>> {
        let object: DynamicObject = serde_json::from_value(whole.clone())?;
        let types = object.types.ok_or_else(|| anyhow::anyhow!("a manifest has no apiVersion and kind"))?;
        let name = object.metadata.name.ok_or_else(|| anyhow::anyhow!("a {} has no name", types.kind))?;
        let namespace = object.metadata.namespace.unwrap_or_default();
        let resource = ApiResource::from_gvk(&GroupVersionKind::try_from(&types)?);
        let place = api(client, &resource, &namespace);
        Ok(Manifest { kind: types.kind, namespace, name, place, whole })
    }

    /// Creates it; one that came in between is refused.
    ///
    /// # Errors
    /// The API server's own `Status`.
    pub(crate) async fn create(&self, trial: Trial) -> anyhow::Result<()> {
        let parameters =
            PostParams { dry_run: trial == Trial::DryRun, field_manager: Some(MANAGER.to_owned()) };
        let object: DynamicObject = serde_json::from_value(self.whole.clone())?;
        let Manifest { kind, name, .. } = self;
        let made = self.place.create(&parameters, &object).await;
        made.map(drop).map_err(|error| anyhow::anyhow!("cannot create {kind} {name}: {error}"))
    }

    /// Server-side applies it, strictly.
    ///
    /// # Errors
    /// The API server's own `Status`.
    pub(crate) async fn apply(&self, trial: Trial) -> anyhow::Result<()> {
        let mut parameters = PatchParams::apply(MANAGER).force().validation_strict();
        parameters.dry_run = trial == Trial::DryRun;
        let Manifest { kind, namespace, name, .. } = self;
        let patch = Patch::Apply(self.whole);
        clusters::once_accounted(|| self.place.patch(name, &parameters, &patch)).await.map_err(|error| {
            let helps = obstacles::remedy(&error.to_string()).map(|remedy| format!("; {remedy}"));
            let helps = helps.unwrap_or_default();
            anyhow::anyhow!("cannot apply {kind} {namespace}/{name}: {error}{helps}")
        })?;
        Ok(())
    }
}

fn api(client: &Client, resource: &ApiResource, namespace: &str) -> Api<DynamicObject> {
    if namespace.is_empty() {
        Api::all_with(client.clone(), resource)
    } else {
        Api::namespaced_with(client.clone(), namespace, resource)
    }
}

/// The name of a manifest or of an object that was read.
pub(crate) fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

fn to_value(object: &DynamicObject) -> Value {
    // A DynamicObject came from JSON, and goes back to it.
    serde_json::to_value(object).unwrap_or_default()
}

/// A typed object as a manifest that [`apply`] takes.
///
/// # Errors
/// serde_json's; Kubernetes types always serialise.
pub fn manifest<K: Resource<DynamicType = ()> + serde::Serialize>(object: &K) -> anyhow::Result<Value> {
    let mut value = serde_json::to_value(object)?;
    value["apiVersion"] = K::api_version(&()).into();
    value["kind"] = K::kind(&()).into();
    if let Some(fields) = value.as_object_mut() {
        fields.remove("status");
    }
    Ok(value)
}
