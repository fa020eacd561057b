//! Models come and go: what `LoadModel` and `UnloadModel` do to the store.

use seldon_proto::scheduler as pb;

use super::status::{Life, Standing};
use super::version::Model;
use super::{Store, StoreError};

/// Whether a name is one Seldon accepts: `^[a-z0-9]([-a-z0-9]*[a-z0-9])?$`.
pub(crate) fn valid_name(name: &str) -> bool {
    let alphanumeric = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit();
    let bytes = name.as_bytes();
    bytes.first().is_some_and(alphanumeric)
        && bytes.last().is_some_and(alphanumeric)
        && bytes.iter().all(|byte| alphanumeric(byte) || *byte == b'-')
}

/// How a definition differs from the one before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    /// Not in anything that matters.
    None,
    /// In the model itself: a new version is due.
    Model,
    /// Only in how many there should be, or in its Kubernetes metadata.
    Around { deployment: bool, meta: bool },
}

/// Compares two definitions; what an agent found out about the runtime does not count.
pub(crate) fn difference(old: &pb::Model, new: &pb::Model) -> Difference {
    let without_runtime = |model: &pb::Model| {
        let mut model = model.clone();
        if let Some(spec) = &mut model.model_spec {
            spec.model_runtime_info = None;
        }
        model
    };
    let (old, new) = (without_runtime(old), without_runtime(new));
    if old == new {
        Difference::None
    } else if old.model_spec != new.model_spec {
        Difference::Model
    } else {
        Difference::Around {
            deployment: old.deployment_spec != new.deployment_spec,
            meta: old.meta != new.meta,
        }
    }
}

impl Store {
    /// Takes in a definition. Scheduling is another step, due even when nothing differed.
    pub(crate) fn load(&mut self, definition: pb::Model) -> Result<(), StoreError> {
        let name = definition.meta.as_ref().map_or("", |meta| &meta.name).to_owned();
        if !valid_name(&name) {
            return Err(StoreError::InvalidName(name));
        }
        let model = self.models.entry(name.clone()).or_default();
        if model.deleted {
            if !model.inactive() {
                return Err(StoreError::BeingDeleted(name));
            }
            *model = Model::default();
        }
        let Some(latest) = model.versions.last_mut() else {
            model.add_next(definition);
            return Ok(());
        };
        match difference(&latest.definition, &definition) {
            Difference::None => {}
            Difference::Model => model.add_next(definition),
            Difference::Around { deployment, meta } => {
                if deployment {
                    latest.definition.deployment_spec = definition.deployment_spec;
                }
                if meta {
                    latest.set_kubernetes_meta(definition.meta.and_then(|meta| meta.kubernetes_meta));
                }
            }
        }
        Ok(())
    }

    /// Marks a model deleted; its replicas are taken down by the scheduling that follows.
    pub(crate) fn remove(&mut self, name: &str, meta: Option<pb::KubernetesMeta>) -> Result<(), StoreError> {
        let Some(model) = self.models.get_mut(name) else {
            return Err(StoreError::UnknownModelToRemove(name.to_owned()));
        };
        model.deleted = true;
        let Some(latest) = model.versions.last_mut() else { return Ok(()) };
        // The operator ignores events of another generation, so the one of the deletion must travel with them.
        if meta.is_some() {
            latest.set_kubernetes_meta(meta);
        }
        let version = latest.version;
        model.refresh(version, Standing::Latest, Life::Deleted);
        Ok(())
    }
}
