//! Models: what is applied, and what can be claimed of it.

use serde_json::{Map, Value, json};

use crate::claim::Claim;
use crate::look::{Look, Seen};
use crate::mesh::InstalledMesh;
use crate::object::{Kind, ObjectRef};
use crate::words::Words;
use crate::world::World;

/// A Model to be applied.
#[derive(Debug, Clone)]
pub struct Model {
    name: String,
    requirements: Vec<String>,
    memory: Option<String>,
    /// What else its spec says.
    further: Map<String, Value>,
}

/// The iris classifier of the artefact store, under a name.
pub fn iris(name: &str) -> Model {
    Model {
        name: name.into(),
        requirements: vec!["sklearn".into()],
        memory: Some("100Ki".into()),
        further: Map::new(),
    }
}

impl Model {
    /// The same Model with these requirements.
    #[must_use]
    pub fn requiring(mut self, requirements: &[&str]) -> Model {
        self.requirements = requirements.iter().map(|word| (*word).to_owned()).collect();
        self
    }

    /// The same Model asking for this much memory: a Kubernetes quantity.
    #[must_use]
    pub fn with_memory(mut self, quantity: &str) -> Model {
        self.memory = Some(quantity.into());
        self
    }

    /// The same Model without a word about memory.
    #[must_use]
    pub fn without_memory(mut self) -> Model {
        self.memory = None;
        self
    }

    /// The same Model for one Server only.
    #[must_use]
    pub fn on_server(mut self, name: &str) -> Model {
        self.further.insert("server".into(), name.into());
        self
    }

    /// The same Model so many times.
    #[must_use]
    pub fn with_replicas(mut self, count: u32) -> Model {
        self.further.insert("replicas".into(), count.into());
        self
    }

    pub(crate) fn manifest(&self, namespace: &str) -> Value {
        let mut spec = self.further.clone();
        spec.insert("storageUri".into(), "s3://models/iris".into());
        spec.insert("secretName".into(), "store-s3".into());
        spec.insert("requirements".into(), json!(self.requirements));
        spec.extend(self.memory.iter().map(|quantity| ("memory".to_owned(), json!(quantity))));
        json!({
            "apiVersion": "mlops.seldon.io/v1alpha1", "kind": "Model",
            "metadata": {"name": self.name, "namespace": namespace},
            "spec": spec,
        })
    }
}

/// A Model that was applied.
#[derive(Debug, Clone)]
pub struct AppliedModel {
    object: ObjectRef,
}

impl World {
    /// Applies `model` in `mesh`'s tenant.
    ///
    /// # Errors
    /// The API server's.
    pub async fn apply(&self, mesh: &InstalledMesh, model: Model) -> anyhow::Result<AppliedModel> {
        self.step(format!(
            "apply Model {}/{} requiring {}",
            mesh.tenant(),
            model.name,
            model.requirements.join(",")
        ))?;
        self.apply_all(&[model.manifest(mesh.tenant())]).await?;
        Ok(AppliedModel { object: ObjectRef::new(Kind::Model, mesh.tenant(), &model.name) })
    }
}

impl AppliedModel {
    /// Its `ModelReady` is True.
    pub fn is_ready(&self) -> Claim {
        condition(&self.object, "ModelReady", "True")
    }

    /// Its `ModelReady` is False with this state, and a reason that holds `text`.
    pub fn is_not_ready(&self, state: &str, text: &str) -> Claim {
        let (state, text) = (state.to_owned(), text.to_owned());
        let sentence = format!("{} is {state}: {text}", self.object);
        Claim::new(sentence, Look::Object(self.object.clone()), move |seen| {
            let Some(found) = condition_of(seen, "ModelReady") else { return false };
            let field = |name: &str| found[name].as_str().unwrap_or_default();
            field("status") == "False" && field("message") == state && field("reason").contains(&text)
        })
    }

    /// Both its `ModelReady` and its `Ready` are False with this state and one of these reasons, word for word.
    pub fn is_not_ready_in_words(&self, state: &str, words: &Words) -> Claim {
        let (state, words) = (state.to_owned(), words.clone());
        let sentence = format!("{} is {state}: {words}", self.object);
        Claim::new(sentence, Look::Object(self.object.clone()), move |seen| {
            ["ModelReady", "Ready"].iter().all(|kind| {
                let Some(found) = condition_of(seen, kind) else { return false };
                let field = |name: &str| found[name].as_str().unwrap_or_default();
                field("status") == "False" && field("message") == state && words.fit(field("reason"))
            })
        })
    }

    /// Nobody has said anything of it yet.
    pub fn has_no_condition(&self) -> Claim {
        Claim::new(format!("{} has no condition", self.object), Look::Object(self.object.clone()), |seen| {
            let Seen::Object(found) = seen else { return false };
            found["status"]["conditions"].as_array().is_none_or(Vec::is_empty)
        })
    }

    /// The Model.
    pub fn object(&self) -> &ObjectRef {
        &self.object
    }
}

/// `object`'s condition of this type has this status.
pub fn condition(object: &ObjectRef, kind: &str, status: &str) -> Claim {
    let (wanted, status) = (kind.to_owned(), status.to_owned());
    Claim::new(format!("{object} has {kind}={status}"), Look::Object(object.clone()), move |seen| {
        condition_of(seen, &wanted).is_some_and(|found| found["status"] == status.as_str())
    })
}

/// `object`'s condition of this type is False, and its reason is one of `words`.
pub(crate) fn condition_in_words(object: &ObjectRef, kind: &str, words: &Words) -> Claim {
    let (wanted, words) = (kind.to_owned(), words.clone());
    Claim::new(format!("{object} has {kind}=False: {words}"), Look::Object(object.clone()), move |seen| {
        condition_of(seen, &wanted).is_some_and(|found| {
            found["status"] == "False" && words.fit(found["reason"].as_str().unwrap_or_default())
        })
    })
}

/// `object`'s condition of this type is False, and its reason holds `text`.
pub fn condition_says(object: &ObjectRef, kind: &str, text: &str) -> Claim {
    let (wanted, text) = (kind.to_owned(), text.to_owned());
    Claim::new(format!("{object} has {kind}=False: {text}"), Look::Object(object.clone()), move |seen| {
        condition_of(seen, &wanted).is_some_and(|found| {
            found["status"] == "False"
                && found["reason"].as_str().is_some_and(|reason| reason.contains(&text))
        })
    })
}

fn condition_of<'a>(seen: &'a Seen, kind: &str) -> Option<&'a Value> {
    let Seen::Object(object) = seen else { return None };
    object["status"]["conditions"].as_array()?.iter().find(|condition| condition["type"] == kind)
}
