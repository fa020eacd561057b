//! The garbage collector: what an owner leaves behind goes after it, before it, or stays as an orphan.
//!
//! It watches the metadata of every kind, custom ones too, and decides by the owners' uids.

mod act;
mod graph;
mod watches;

use std::sync::{Arc, PoisonError, RwLock};

use kube::Client;
use tokio::sync::watch;

use crate::discovery::Resource;
use crate::queue::Queue;
use crate::tasks::Tasks;
pub(crate) use graph::{Graph, Node};

/// What the collector and its watches share.
#[derive(Clone)]
pub(crate) struct Garbage {
    client: Client,
    tasks: Tasks,
    graph: Arc<RwLock<Graph>>,
    queue: Queue<String>,
    resources: watch::Sender<Vec<Resource>>,
    /// Names of namespaces in which something changed.
    namespaces: Queue<String>,
}

impl Garbage {
    /// A collector that does nothing yet; `namespaces` hears where objects come and go.
    pub(crate) fn new(client: Client, tasks: Tasks, namespaces: Queue<String>) -> Garbage {
        let (graph, queue) = (Arc::default(), Queue::default());
        Garbage { client, tasks, graph, queue, resources: watch::Sender::new(Vec::new()), namespaces }
    }

    /// Starts the watches and the collecting.
    pub(crate) fn start(&self) {
        self.tasks.spawn(watches::keep(self.clone()));
        let collector = self.clone();
        let queue = self.queue.clone();
        self.tasks.spawn(queue.work("garbage", move |uid| {
            let collector = collector.clone();
            async move { act::look(&collector, &uid).await }
        }));
    }

    /// All kinds known by now.
    pub(crate) fn resources(&self) -> Vec<Resource> {
        self.resources.borrow().clone()
    }

    /// The objects of one namespace.
    pub(crate) fn within(&self, namespace: &str) -> Vec<Node> {
        self.read(|graph| graph.within(namespace))
    }

    fn read<T>(&self, read: impl FnOnce(&Graph) -> T) -> T {
        read(&self.graph.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn put(&self, node: Node) {
        let (uid, namespace) = (node.uid.clone(), node.key.namespace.clone());
        let concerned = self.graph.write().unwrap_or_else(PoisonError::into_inner).put(node);
        self.queue.add(uid);
        concerned.into_iter().for_each(|uid| self.queue.add(uid));
        self.tell(namespace);
    }

    fn remove(&self, uid: &str) {
        let removed = self.graph.write().unwrap_or_else(PoisonError::into_inner).remove(uid);
        let Some((node, concerned)) = removed else { return };
        concerned.into_iter().for_each(|uid| self.queue.add(uid));
        self.tell(node.key.namespace);
    }

    fn tell(&self, namespace: String) {
        if !namespace.is_empty() {
            self.namespaces.add(namespace);
        }
    }
}
