//! The controllers of what the operator hands on to a scheduler: Models, Pipelines and Experiments.

use std::marker::PhantomData;
use std::sync::Arc;

use kube::ResourceExt;
use serde_json::json;

use crate::cluster::{Cluster, Kind, is_held};
use crate::failure::Failure;
use crate::scheduler::{Answer, Line, Retryable, Schedulers};
use crate::work_queue::{Context, Reconcile, Request};

/// A kind that is handed on to a scheduler.
pub(crate) trait Dispatch: Kind {
    /// The kind, `Model`.
    const KIND: &'static str;
    /// What log fields call it, `model`; its controller's name, too.
    const WORD: &'static str;
    /// Holds an object until the scheduler has let go of it.
    const FINALIZER: &'static str;
    /// What is logged when a failed load cannot be written into the status.
    const UNWRITTEN: &'static str;
    /// The field of that line that names the object.
    const UNWRITTEN_KEY: &'static str = Self::WORD;

    /// Tells the scheduler to have the object.
    fn load(&self, schedulers: &Schedulers, line: &Line) -> impl Future<Output = Answer> + Send;

    /// Tells the scheduler not to have the object any more.
    fn unload(&self, schedulers: &Schedulers, line: &Line) -> impl Future<Output = Answer> + Send;

    /// What follows when the scheduler has taken an unload: nothing, for most kinds.
    fn leaving(self, _: &Schedulers) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }

    /// Marks in the conditions that the load failed.
    fn mark_failed(&mut self, retryable: Retryable, reason: &str);
}

/// Sends the objects of one kind to their scheduler.
pub(crate) struct Dispatcher<K> {
    cluster: Cluster,
    schedulers: Arc<Schedulers>,
    kind: PhantomData<K>,
}

impl<K: Dispatch> Reconcile for Dispatcher<K> {
    const CONTROLLER: &'static str = K::WORD;
    const KIND: &'static str = K::KIND;

    async fn reconcile(&self, request: &Request, context: &Context) -> Result<(), Failure> {
        let Some(object) = self.cluster.find::<K>(&request.namespace, &request.name).await? else {
            return Ok(());
        };
        if object.meta().deletion_timestamp.is_some() {
            return self.unload(object, context).await;
        }
        let mut object = self.cluster.hold(object, K::FINALIZER).await?;
        match self.schedulers.load(&object, context.deadline).await {
            Ok(()) => Ok(()),
            Err((retryable, failure)) => {
                let reason = failure.to_string();
                object.mark_failed(retryable, &reason);
                context.write_failed(&self.cluster, &object, K::UNWRITTEN, K::UNWRITTEN_KEY, &reason).await;
                if retryable == Retryable::Yes { Err(failure) } else { Ok(()) }
            }
        }
    }
}

impl<K: Dispatch> Dispatcher<K> {
    pub(crate) fn new(cluster: &Cluster, schedulers: &Arc<Schedulers>) -> Dispatcher<K> {
        Dispatcher { cluster: cluster.clone(), schedulers: schedulers.clone(), kind: PhantomData }
    }

    async fn unload(&self, object: K, context: &Context) -> Result<(), Failure> {
        if !is_held(&object, K::FINALIZER) {
            return Ok(());
        }
        match self.schedulers.unload(&object, context.deadline).await {
            Ok(()) => {
                object.leaving(&self.schedulers).await;
                Ok(())
            }
            Err((Retryable::Yes, failure)) => Err(failure),
            Err((Retryable::No, refused)) => {
                let name = [(K::WORD, json!(object.name_any()))];
                self.cluster.let_go(object, K::FINALIZER).await.map_err(|_| {
                    let journal = context.journal.named("Reconcile");
                    journal.error(Some(&refused), "Failed to remove finalizer", &name, &[]);
                    refused
                })
            }
        }
    }
}
