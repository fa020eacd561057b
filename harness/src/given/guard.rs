//! What may be applied on a given cluster, and what is written down before it is.

use kube::Client;
use serde_json::Value;

use super::{ClusterScope, Foothold, RUN_LABEL, label, sweep};
use crate::object::{Kind, Manifest, ObjectRef, Trial};
use crate::run::Unjudgeable;
use crate::undo::Undo;

impl Foothold {
    /// Applies a manifest: into a namespace of this run, into that of a lent mesh, or, where that is allowed, without a
    /// namespace. A definition that exists is somebody's Seldon's and stays as it is.
    ///
    /// # Errors
    /// Why it may not be applied, or the API server's `Status`. Nothing was changed then.
    pub(crate) async fn apply(&self, client: &Client, manifest: &Value) -> anyhow::Result<()> {
        self.must_hold()?;
        let target = Manifest::of(client, manifest)?;
        if target.namespace.is_empty() {
            let stands = self.may_stand(client, &target).await?;
            let labelled = labelled(manifest, &self.run);
            let target = Manifest::of(client, &labelled)?;
            return match stands {
                Stands::AsItIs => Ok(()),
                Stands::Ours => target.apply(Trial::ForGood).await,
                Stands::NotYet => {
                    target.create(Trial::DryRun).await?;
                    self.before(client, undoing(&target)?).await?;
                    target.create(Trial::ForGood).await
                }
            };
        }
        if self.lent().is_some_and(|lent| lent.namespace() == target.namespace) {
            // What keeps a fault from being made says nothing of the mesh.
            return self.put_into_lent(client, manifest).await.map_err(Unjudgeable::from_error);
        }
        anyhow::ensure!(
            self.owns(client, &target.namespace).await?,
            "{} {}/{} is in a namespace that is not this run's; nothing was changed",
            target.kind,
            target.namespace,
            target.name
        );
        target.apply(Trial::DryRun).await?;
        target.apply(Trial::ForGood).await
    }

    /// Puts an object into the namespace of a lent mesh. One that is there already is never changed.
    async fn put_into_lent(&self, client: &Client, manifest: &Value) -> anyhow::Result<()> {
        let labelled = labelled(manifest, &self.run);
        let target = Manifest::of(client, &labelled)?;
        let Manifest { kind, namespace, name, .. } = &target;
        let kind = match kind.as_str() {
            "NetworkPolicy" => Kind::NetworkPolicy,
            "Model" => Kind::Model,
            other => anyhow::bail!(
                "{other} {namespace}/{name} is nothing that is put into a mesh of somebody's; nothing was changed"
            ),
        };
        let object = ObjectRef::new(kind, namespace, name);
        match object.read(client).await?.as_ref().map(label) {
            Some(Some(run)) if run == self.run => target.apply(Trial::ForGood).await,
            Some(_) => anyhow::bail!("{object} exists and is not this run's; nothing was changed"),
            None => {
                target.create(Trial::DryRun).await?;
                self.before(client, Undo::Delete(object)).await?;
                target.create(Trial::ForGood).await
            }
        }
    }

    /// Deletes an object that this run has made. What the guard refused to make is not ours to delete.
    ///
    /// # Errors
    /// The API server's.
    pub(crate) async fn take_away(&self, client: &Client, object: &ObjectRef) -> anyhow::Result<()> {
        if self.owns(client, &object.namespace).await? {
            return Ok(object.delete(client).await?);
        }
        sweep::delete_ours(client, &self.run, object).await
    }

    /// Notes an object without a namespace that somebody else, told to by this run, is about to make.
    ///
    /// # Errors
    /// Why it may not be made.
    pub(crate) async fn expect(&self, client: &Client, manifest: &Value) -> anyhow::Result<()> {
        let target = Manifest::of(client, manifest)?;
        match self.may_stand(client, &target).await? {
            Stands::Ours => Ok(()),
            Stands::NotYet => self.before(client, undoing(&target)?).await,
            Stands::AsItIs => {
                let Manifest { kind, name, .. } = target;
                anyhow::bail!(
                    "{kind} {name} exists and is not this run's, and the others of its chart do not"
                )
            }
        }
    }

    /// Whether a namespace is this run's.
    pub(crate) async fn owns(&self, client: &Client, namespace: &str) -> kube::Result<bool> {
        let found = ObjectRef::new(Kind::Namespace, "", namespace).read(client).await?;
        Ok(found.as_ref().and_then(label) == Some(&self.run))
    }

    /// Whether an object without a namespace may be applied.
    async fn may_stand(&self, client: &Client, target: &Manifest<'_>) -> anyhow::Result<Stands> {
        let kind = cluster_kind(&target.kind, &target.name)?;
        let found = ObjectRef::new(kind, "", &target.name).read(client).await?;
        match found.as_ref().map(label) {
            Some(Some(run)) if run == self.run => Ok(Stands::Ours),
            Some(_) if kind == Kind::CustomResourceDefinition => Ok(Stands::AsItIs),
            Some(_) => anyhow::bail!(
                "{} {} exists and is not this run's; nothing was changed",
                target.kind,
                target.name
            ),
            None if kind != Kind::Namespace && self.scope != ClusterScope::Allowed => anyhow::bail!(
                "{} {} has no namespace; allow such objects with --allow-cluster-scope",
                target.kind,
                target.name
            ),
            None => Ok(Stands::NotYet),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Stands {
    /// It is this run's.
    Ours,
    /// There is none.
    NotYet,
    /// It exists and is left alone.
    AsItIs,
}

/// An object without a namespace says whose it is.
pub(super) fn labelled(manifest: &Value, run: &str) -> Value {
    let mut labelled = manifest.clone();
    labelled["metadata"]["labels"][RUN_LABEL] = run.into();
    labelled
}

fn undoing(target: &Manifest<'_>) -> anyhow::Result<Undo> {
    undoing_of(&target.kind, &target.name)
}

/// How the making of an object without a namespace is undone.
pub(super) fn undoing_of(kind: &str, name: &str) -> anyhow::Result<Undo> {
    Ok(Undo::Delete(ObjectRef::new(cluster_kind(kind, name)?, "", name)))
}

fn cluster_kind(kind: &str, name: &str) -> anyhow::Result<Kind> {
    match kind {
        "Namespace" => Ok(Kind::Namespace),
        "CustomResourceDefinition" => Ok(Kind::CustomResourceDefinition),
        "ClusterRole" => Ok(Kind::ClusterRole),
        "ClusterRoleBinding" => Ok(Kind::ClusterRoleBinding),
        other => anyhow::bail!("{other} {name} has no namespace, and is nothing the harness makes"),
    }
}
